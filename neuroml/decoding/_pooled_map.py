"""How near to the mean map of the others a new subject's map is kept, where voxels correspond."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import polygamma

from neuroml._core.statistics import first_within_one_standard_error
from neuroml.data.splits import BlockedKFold
from neuroml.decoding._held_out_folds import autocorrelation

__all__ = ["map_near", "memory", "memory_of_seen", "scale_near"]

# Weights of the others' map that are tried, from that map alone to the subject's own.
_WEIGHTS = (1.0, 0.9, 0.7, 0.5, 0.3, 0.0)
# Measured on `partly_alike` in tests/benchmarks/decoding/few_samples.py (seeds 10 to 12), maps that
# are the same in all subjects, where any weight below 1 loses: from 12 independent samples in three
# blocks r was .010 +- .003 below the others' map alone; in four blocks it was below at no amount.
# Five blocks lost a gain of .10 from 90 samples of maps that differ.
_N_BLOCKS, _MIN_BLOCK = 4, 4


def map_near(
    fit: Callable[[np.ndarray, np.ndarray], np.ndarray],
    mix: Callable[[np.ndarray, np.ndarray, float], np.ndarray],
    X: np.ndarray,
    target: np.ndarray,
    pooled: np.ndarray,
    tau: float,
) -> tuple[np.ndarray, float]:
    """The map of one subject and the others', mixed by a weight that left-out blocks choose.

    The weight is the largest whose predictions of left-out blocks are within one standard error of
    the best ones, and 1 with fewer than sixteen independent samples: a map of the subject's own has
    to show that it is better than none. With weights by least squares, as `CrossSubjectDecoder` has
    them, 15 to 60 samples were worse than none in 36 people who hear a story: neighbors in time and
    all columns vote as if they were independent.

    Parameters
    ----------
    fit : callable
        ``fit(X, target)`` is the map (n_voxels, n_out) of X to the target.
    mix : callable
        ``mix(own, pooled, weight)`` is a map between the two.
    X : ndarray of shape (n_samples, n_voxels)
        Centered.
    target : ndarray of shape (n_samples, n_out)
    pooled : ndarray of shape (n_voxels, n_out)
    tau : float
        Autocorrelation time of the target, in samples of X, as `memory_of_seen` gives it.

    Returns
    -------
    tuple of ndarray of shape (n_voxels, n_out) and float
        The map, and the weight of the others' map in it.
    """
    target = target - target.mean(axis=0)
    if len(X) / tau < _N_BLOCKS * _MIN_BLOCK:
        return mix(np.zeros_like(pooled), pooled, 1.0), 1.0
    # tau is 1 + 2 sum(rho): 2 (tau - 1) samples on both sides of a block,
    # about twice as far as its memory reaches, are in no part of the fold
    gap = min(int(np.ceil(2 * (tau - 1))), len(X) // 5)
    scores = []
    for train, test in BlockedKFold(_N_BLOCKS, gap=gap).split(X):
        own = _within_samples(fit(X[train], target[train]), X[train])
        scores.append([_cosine(X[test] @ mix(own, pooled, w), target[test]) for w in _WEIGHTS])
    weight = _WEIGHTS[first_within_one_standard_error(np.transpose(scores))]
    return mix(_within_samples(fit(X, target), X), pooled, weight), weight


def memory(X: np.ndarray) -> float:
    """Autocorrelation time of one session (n_samples, n_columns), in samples."""
    return autocorrelation(X, np.zeros(len(X), dtype=int))


def memory_of_seen(tau: float, seen: np.ndarray) -> float:
    """Autocorrelation time in the samples that were seen, given that of all that are known.

    Estimated from few samples it comes out far too short: their mean takes the slow part off, and
    what is left is within their noise. Fifteen samples of a story with a memory of five passed for
    fifteen independent ones.

    Parameters
    ----------
    tau : float
        Of all samples.
    seen : ndarray of bool of shape (n_samples,)
    """
    # with every d-th sample, the sum over lags has 1/d of its terms
    at = np.flatnonzero(seen)
    return 1 + (tau - 1) * len(at) / (at[-1] - at[0] + 1)


def scale_near(scale: np.ndarray, pooled_scale: np.ndarray, n_independent: float) -> np.ndarray:
    r"""Standard deviations of few samples, drawn to those of the others.

    The logarithm of a voxel's standard deviation, relative to the others', has a sampling variance
    of about :math:`1 / 2n` with n independent samples; this share of its variance over voxels is
    taken back.

    Parameters
    ----------
    scale, pooled_scale : ndarray of shape (n_voxels,)
        The subject's divisors and the others'.
    n_independent : float
    """
    ratio = np.log(scale / pooled_scale)
    ratio -= ratio.mean()  # units of measure may differ between subjects
    # the logarithm of a chi-square variable of m degrees of freedom has the variance psi'(m / 2)
    expected = float(polygamma(1, max(n_independent - 1, 1.0) / 2)) / 4
    noise = min(1.0, expected / max(float(ratio.var()), 1e-30))
    return scale * np.exp(-noise * ratio)


def _within_samples(own: np.ndarray, X: np.ndarray) -> np.ndarray:
    """A map without directions of voxels in which there are no samples."""
    if len(X) >= X.shape[1]:
        return own
    span = np.linalg.qr(X.T)[0]
    return span @ (span.T @ own)


def _cosine(first: np.ndarray, second: np.ndarray) -> float:
    size = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(np.vdot(first, second)) / size if size > 0 else 0.0
