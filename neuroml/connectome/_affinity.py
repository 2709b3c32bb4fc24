"""How strongly two units act together at each moment: the formulas behind `AffinityTensor`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import gaussian_filter1d

from neuroml.exceptions import DataError

__all__ = ["METHODS", "SEPARABLE", "WINDOWED", "pair_affinity", "prepare_signals", "windowed_mean"]

METHODS = ("unsigned", "same_sign", "min", "ratio", "mtd", "correlation", "edge")
SEPARABLE = ("unsigned", "same_sign", "edge")
WINDOWED = ("mtd", "correlation")


def prepare_signals(
    x: np.ndarray, method: str, sigma: float, slices: Sequence[slice]
) -> np.ndarray:
    """What is compared between units: derivatives or z-scores, on a scale common to all units.

    Parameters
    ----------
    x : ndarray of shape (n_samples, n_units)
        One subject's traces without missing values.
    method : str
        One of `METHODS`.
    sigma : float
        Width of the smoothing of derivatives, in samples.
    slices : sequence of slice
        Stretches of samples over whose borders nothing is computed.

    Raises
    ------
    DataError
        If a unit never changes.
    """
    if method in ("correlation", "edge"):
        signals = x - x.mean(axis=0)
    else:
        signals = np.concatenate(
            [gaussian_filter1d(x[part], sigma, axis=0, order=1, mode="nearest") for part in slices]
        )
    if method in ("correlation", "edge", "mtd"):
        scale = signals.std(axis=0)
    else:
        scale = np.quantile(np.abs(signals), 0.95, axis=0)
    silent = np.flatnonzero(scale <= 1e-12 * np.abs(x).max(axis=0, initial=1e-300))
    if len(silent):
        raise DataError(
            "units that never change have no affinity to others",
            expected="traces that vary, or NaN throughout for a unit that was not seen",
            found=f"constant units {silent[:10].tolist()}",
            field="X",
        )
    signals = signals / scale
    return signals if method in ("correlation", "edge", "mtd") else np.clip(signals, -1, 1)


def pair_affinity(
    a: np.ndarray, b: np.ndarray, method: str, window: int, slices: Sequence[slice]
) -> np.ndarray:
    """Affinity of prepared signals, column by column.

    Parameters
    ----------
    a, b : ndarray of shape (n_samples, n_pairs)
        From `prepare_signals`; with ``-b`` in place of ``b``, affinity by opposite signs.
    method : str
        One of `METHODS`.
    window : int
        Samples, for "mtd" and "correlation".
    slices : sequence of slice
        As in `prepare_signals`.

    Returns
    -------
    ndarray of shape (n_samples, n_pairs)
        Not negative.
    """
    product = a * b
    if method == "unsigned":
        return np.sqrt(np.abs(product))
    if method == "same_sign":
        return np.sqrt(np.maximum(product, 0))
    if method == "edge":
        return np.maximum(product, 0)
    if method == "mtd":
        return np.maximum(windowed_mean(product, window, slices), 0)
    if method == "correlation":
        return np.maximum(_windowed_correlation(a, b, product, window, slices), 0)
    low, high = np.minimum(np.abs(a), np.abs(b)), np.maximum(np.abs(a), np.abs(b))
    agree = product > 0
    if method == "ratio":
        return np.divide(low, high, out=np.zeros_like(low), where=agree)
    return np.where(agree, low, 0.0)


def windowed_mean(values: np.ndarray, window: int, slices: Sequence[slice]) -> np.ndarray:
    """Mean in a window around each sample, cut where a stretch ends."""
    means = []
    for part in slices:
        total = np.cumsum(np.concatenate([np.zeros_like(values[:1]), values[part]]), axis=0)
        center = np.arange(len(total) - 1)
        first = np.maximum(center - window // 2, 0)
        last = np.minimum(center - window // 2 + window, len(center))
        means.append((total[last] - total[first]) / (last - first)[:, None])
    return np.concatenate(means)


def _windowed_correlation(
    a: np.ndarray, b: np.ndarray, product: np.ndarray, window: int, slices: Sequence[slice]
) -> np.ndarray:
    """Pearson's in each window, 0 where one of the two does not vary."""
    mean_a, mean_b, mean_ab, mean_aa, mean_bb = (
        windowed_mean(values, window, slices) for values in (a, b, product, a * a, b * b)
    )
    scale = np.sqrt(np.maximum((mean_aa - mean_a**2) * (mean_bb - mean_b**2), 0))
    covariance = mean_ab - mean_a * mean_b
    correlation = np.divide(covariance, scale, out=np.zeros_like(scale), where=scale > 1e-10)
    return np.clip(correlation, -1, 1)
