"""How well predicted responses agree with recorded ones."""

from __future__ import annotations

import numpy as np

__all__ = ["correlation_to_mean", "explained_variance"]


def correlation_to_mean(
    predicted: np.ndarray, repeats: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Correlation over frames with the mean over repeats (n_cells,).

    Parameters
    ----------
    predicted : ndarray of shape (n_frames, n_cells)
    repeats : ndarray of shape (n_repeats, n_frames, n_cells)
    weights : ndarray of shape (n_frames,), optional

    Returns
    -------
    ndarray of shape (n_cells,)
        NaN where the recorded mean never changes, 0 where only the prediction does not.
    """
    first, second = predicted, repeats.mean(axis=0)
    first = first - np.average(first, axis=0, weights=weights)
    second = second - np.average(second, axis=0, weights=weights)
    if weights is not None:
        root = np.sqrt(weights)[:, None]
        first, second = first * root, second * root
    spread = np.linalg.norm(second, axis=0)
    both = np.linalg.norm(first, axis=0) * spread
    result = np.divide((first * second).sum(axis=0), both, out=np.zeros_like(both), where=both > 0)
    return np.where(spread > 0, result, np.nan)


def explained_variance(
    predicted: np.ndarray, repeats: np.ndarray, min_explainable: float
) -> np.ndarray:
    """Fraction of explainable variance explained (n_cells,), see `ResponseModel.feve`."""
    noise = repeats.var(axis=0, ddof=1).mean(axis=0)
    total = repeats.var(axis=(0, 1), ddof=1)
    error = ((repeats - predicted) ** 2).mean(axis=(0, 1))
    explainable = total - noise
    known = explainable > min_explainable * total
    share = np.divide(
        error - noise, explainable, out=np.full_like(total, np.nan), where=known & (total > 0)
    )
    return 1 - share
