"""What each unit did lately: spike counts filtered by causal basis functions."""

from __future__ import annotations

import numpy as np

from neuroml.data.bases import filter_past, raised_cosine_basis

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
        values = raised_cosine_basis(n_basis, n_lags)
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
    return filter_past(counts, functions, sessions, first_lag=1)
