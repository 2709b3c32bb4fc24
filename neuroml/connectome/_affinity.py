"""How strongly two units act together at each moment: the formulas of `AffinityTensor`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import gaussian_filter1d

from neuroml.exceptions import DataError

__all__ = [
    "METHODS",
    "SEPARABLE",
    "WINDOWED",
    "later_mean",
    "pair_affinity",
    "prepare_signals",
    "windowed_mean",
]

METHODS = ("unsigned", "same_sign", "min", "ratio", "mtd", "correlation", "edge")
SEPARABLE = ("unsigned", "same_sign", "edge")
WINDOWED = ("mtd", "correlation")
# Derivatives are divided by this quantile of their absolute value and cut at one: a scale that few
# artefacts do not set, and an affinity that is bounded, as Dyballa et al. (2024) describe theirs.
_QUANTILE = 0.95
_CONSTANT = 1e-12  # share of the largest value below which a deviation is rounding
_NO_SCALE = 1e-10  # in windows of traces with unit variance


def prepare_signals(
    x: np.ndarray, method: str, sigma: float, slices: Sequence[slice]
) -> np.ndarray:
    """Compute what is compared between units: derivatives or z-scores, on one scale for all units.

    Parameters
    ----------
    x : ndarray of shape (n_samples, n_units)
        One subject's traces without missing values.
    method : str
        One of `METHODS`.
    sigma : float
        Width of the smoothing of derivatives, in samples.
    slices : sequence of slice
        Stretches of samples; nothing is computed across their borders.

    Raises
    ------
    DataError
        If a unit never changes.
    """
    if method in ("correlation", "edge"):
        signals = x - x.mean(axis=0)
    else:
        # g = dx/dt, of the trace smoothed by a Gaussian
        signals = np.concatenate(
            [gaussian_filter1d(x[part], sigma, axis=0, order=1, mode="nearest") for part in slices]
        )
    if method in ("correlation", "edge", "mtd"):
        scale = signals.std(axis=0)
    else:
        scale = np.quantile(np.abs(signals), _QUANTILE, axis=0)
    silent = np.flatnonzero(scale <= _CONSTANT * np.abs(x).max(axis=0, initial=1e-300))
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
    """Compute the affinity of prepared signals, column by column.

    Parameters
    ----------
    a, b : ndarray of shape (n_samples, n_pairs)
        From `prepare_signals`; with ``-b`` in place of ``b``, affinity by opposite signs.
    method : str
        One of `METHODS`.
    window : int
        Number of samples, for "mtd" and "correlation".
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
    # "min" and "ratio": min(|a|, |b|), or its share of max(|a|, |b|), where the signs agree
    low, high = np.minimum(np.abs(a), np.abs(b)), np.maximum(np.abs(a), np.abs(b))
    agree = product > 0
    if method == "ratio":
        return np.divide(low, high, out=np.zeros_like(low), where=agree)
    return np.where(agree, low, 0.0)


def later_mean(signals: np.ndarray, n_lags: int, slices: Sequence[slice]) -> np.ndarray:
    """Mean over the ``n_lags`` samples that follow each one, cut where a stretch ends.

    Parameters
    ----------
    signals : ndarray of shape (n_samples, n_units)
    n_lags : int
    slices : sequence of slice
        As in `prepare_signals`.

    Returns
    -------
    ndarray of shape (n_samples, n_units)
        0 at the last sample of a stretch, which nothing follows.
    """
    later = np.zeros_like(signals)
    for part in slices:
        total = np.cumsum(np.concatenate([np.zeros_like(signals[:1]), signals[part]]), axis=0)
        first = np.arange(1, len(total) - 1)
        last = np.minimum(first + n_lags, len(total) - 1)
        later[part][:-1] = (total[last] - total[first]) / (last - first)[:, None]
    return later


def windowed_mean(values: np.ndarray, window: int, slices: Sequence[slice]) -> np.ndarray:
    """Mean in a window around each sample, cut where a stretch ends."""
    means = []
    for part in slices:
        # differences of cumulative sums: the cost does not depend on the window
        total = np.cumsum(np.concatenate([np.zeros_like(values[:1]), values[part]]), axis=0)
        center = np.arange(len(total) - 1)
        first = np.maximum(center - window // 2, 0)
        last = np.minimum(center - window // 2 + window, len(center))
        means.append((total[last] - total[first]) / (last - first)[:, None])
    return np.concatenate(means)


def _windowed_correlation(
    a: np.ndarray, b: np.ndarray, product: np.ndarray, window: int, slices: Sequence[slice]
) -> np.ndarray:
    """Pearson's correlation in each window, 0 where one of the two does not vary."""
    mean_a, mean_b, mean_ab, mean_aa, mean_bb = (
        windowed_mean(values, window, slices) for values in (a, b, product, a * a, b * b)
    )
    # (E[ab] - E[a] E[b]) / sqrt((E[aa] - E[a]^2) (E[bb] - E[b]^2))
    scale = np.sqrt(np.maximum((mean_aa - mean_a**2) * (mean_bb - mean_b**2), 0))
    covariance = mean_ab - mean_a * mean_b
    correlation = np.divide(covariance, scale, out=np.zeros_like(scale), where=scale > _NO_SCALE)
    return np.clip(correlation, -1, 1)
