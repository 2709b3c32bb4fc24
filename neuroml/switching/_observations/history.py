"""What each unit did lately: spike counts filtered by causal basis functions."""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

from neuroml._core.validation import session_slices

__all__ = ["basis_functions", "history"]


def basis_functions(kind: str, n_basis: int, n_lags: int) -> np.ndarray:
    r"""Non-negative functions of the lag, each with a sum of one.

    Parameters
    ----------
    kind : {"exponential", "raised-cosine", "lags"}
        Exponentials :math:`e^{-l / 2^b}` for :math:`b = 0, 1, ...`; bumps equally spaced on a
        logarithmic axis of lags (Pillow et al. 2008, Nature 454:995); or one function per lag.
    n_basis, n_lags : int
        ``n_basis`` must equal ``n_lags`` for "lags".

    Returns
    -------
    ndarray of shape (n_basis, n_lags)
        Column l is lag l + 1.
    """
    lags = np.arange(1, n_lags + 1)
    if kind == "exponential":
        values = np.exp(-lags / 2.0 ** np.arange(n_basis)[:, None])
    elif kind == "raised-cosine":
        position = np.log1p(lags - 1)
        centers, spacing = np.linspace(0.0, position[-1], n_basis, retstep=True)
        width = spacing if n_basis > 1 else position[-1] + 1.0
        phase = np.clip((position - centers[:, None]) / width, -1.0, 1.0)
        values = 1.0 + np.cos(np.pi * phase)
    else:
        values = np.eye(n_lags)
    return values / values.sum(axis=1, keepdims=True)


def history(counts: np.ndarray, functions: np.ndarray, sessions: np.ndarray) -> np.ndarray:
    """Filter every unit's past, which is empty at the start of a session.

    Parameters
    ----------
    counts : ndarray of shape (n_bins, n_units)
    functions : ndarray of shape (n_basis, n_lags)
    sessions : ndarray of int of shape (n_bins,)

    Returns
    -------
    ndarray of shape (n_basis, n_bins, n_units)
        Row t depends on counts before t only.
    """
    filtered = np.empty((len(functions), *counts.shape), dtype=counts.dtype)
    for rows in session_slices(sessions):
        for b, function in enumerate(functions):
            filtered[b, rows] = lfilter(np.append(0.0, function), 1.0, counts[rows], axis=0)
    return filtered
