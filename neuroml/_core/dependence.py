"""Dependence between units, linear, and between samples, over time."""

from __future__ import annotations

from typing import Any

import numpy as np

from neuroml._core.validation import session_slices

__all__ = ["autocorrelation_time", "dependent_units"]

_LEAST_LEFT = 1e-10
"""Share of the variance, a hundred-thousandth of the standard deviation: what float32 resolves."""
_LEAST_PART = 1e-3
# The columns that are looked at, spread over all: their median changes little with more.
_MAX_COLUMNS = 50


def dependent_units(covariance: np.ndarray) -> np.ndarray:
    """Indices of the units that take part in a linear dependence; empty if there is an inverse.

    Parameters
    ----------
    covariance : ndarray of shape (n_units, n_units)
        Symmetric, positive semidefinite up to rounding.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml._core.dependence import dependent_units
    >>> X = np.random.default_rng(0).normal(size=(50, 4))
    >>> dependent_units(np.cov(np.column_stack([X, X[:, 1]]), rowvar=False)).tolist()
    [1, 4]
    """
    deviation = np.sqrt(np.diag(covariance))
    constant = deviation <= 0
    deviation = np.where(constant, 1.0, deviation)
    values, vectors = np.linalg.eigh(covariance / np.outer(deviation, deviation))
    rounding = 10 * len(values) * np.finfo(values.dtype).eps * values[-1]
    null = vectors[:, values <= max(_LEAST_LEFT, rounding)]
    return np.flatnonzero(constant | (np.linalg.norm(null, axis=1) > _LEAST_PART))


def autocorrelation_time(values: Any, sessions: np.ndarray, *, negligible: float = 0.05) -> float:
    r"""Median over columns of the integrated autocorrelation time, in samples.

    .. math:: \tau = 1 + 2 \sum_{k \ge 1} \rho_k

    summed until the autocorrelation falls below what is negligible; 1 for independent samples.
    Lags are within sessions.

    Parameters
    ----------
    values : array-like of shape (n_samples, ...)
        Numbers; constant columns are left out.
    sessions : ndarray of int of shape (n_samples,)
    negligible : float, default=0.05
        Estimates below are noise (about 1/sqrt(400) samples).
    """
    table = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
    some = np.linspace(0, table.shape[1] - 1, min(_MAX_COLUMNS, table.shape[1]), dtype=int)
    table = table[:, some]
    centered = np.nan_to_num(table - np.nanmean(table, axis=0))
    power = (centered**2).sum(axis=0)
    centered = centered[:, power > 0]
    if not centered.size:
        return 1.0
    slices = session_slices(sessions)
    longest = max(part.stop - part.start for part in slices)
    tau, active = np.ones(centered.shape[1]), np.ones(centered.shape[1], dtype=bool)
    for lag in range(1, longest // 2):
        product = sum(
            (centered[part][lag:] * centered[part][:-lag]).sum(axis=0)
            for part in slices
            if part.stop - part.start > lag
        )
        rho = product / power[power > 0]
        active &= rho > negligible
        if not active.any():
            break
        tau[active] += 2 * rho[active]
    return float(np.median(tau))
