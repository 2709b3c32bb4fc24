"""How near to the mean map of the others a new subject's map is kept, where voxels correspond."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import polygamma

from neuroml._core.dependence import autocorrelation_time
from neuroml._core.statistics import first_within_one_standard_error
from neuroml.data.splits import BlockedKFold
from neuroml.decoding._held_out_folds import autocorrelation

__all__ = ["map_near", "others_map"]

# Weights of the others' map that are tried, from that map alone to the subject's own.
_WEIGHTS = (1.0, 0.9, 0.7, 0.5, 0.3, 0.0)
# With eight samples, blocks of two or three chose too low a weight for maps that were the same in
# all subjects (r = .66 where the others' map has .68); with 15 the loss was gone.
_N_BLOCKS, _MIN_BLOCK = 3, 4


def map_near(
    fit: Callable[[np.ndarray, np.ndarray], np.ndarray],
    mix: Callable[[np.ndarray, np.ndarray, float], np.ndarray],
    X: np.ndarray,
    target: np.ndarray,
    pooled: np.ndarray,
) -> tuple[np.ndarray, float]:
    """The map of one subject and the others', mixed by a weight that left-out blocks choose.

    The weight is the largest whose predictions of left-out blocks are within one standard error of
    the best ones, and 1 with fewer than twelve independent samples: a map of the subject's own has
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

    Returns
    -------
    tuple of ndarray of shape (n_voxels, n_out) and float
        The map, and the weight of the others' map in it.
    """
    target = target - target.mean(axis=0)
    one_session = np.zeros(len(target), dtype=int)
    if len(X) / autocorrelation(target, one_session) < _N_BLOCKS * _MIN_BLOCK:
        return mix(np.zeros_like(pooled), pooled, 1.0), 1.0
    # the autocorrelation time tau is 1 + 2 sum(rho): 2 (tau - 1) samples on both sides of a block,
    # about twice as far as its memory reaches, are in no part of the fold
    tau = autocorrelation_time(target, one_session)
    gap = min(int(np.ceil(2 * (tau - 1))), len(X) // 5)
    scores = []
    for train, test in BlockedKFold(_N_BLOCKS, gap=gap).split(X):
        own = _within_samples(fit(X[train], target[train]), X[train])
        scores.append([_cosine(X[test] @ mix(own, pooled, w), target[test]) for w in _WEIGHTS])
    weight = _WEIGHTS[first_within_one_standard_error(np.transpose(scores))]
    return mix(_within_samples(fit(X, target), X), pooled, weight), weight


def others_map(
    pooled: np.ndarray, X: np.ndarray, scale: np.ndarray, pooled_scale: np.ndarray
) -> np.ndarray:
    r"""The others' map for voxels that were divided by standard deviations of few samples.

    The logarithm of a voxel's standard deviation, relative to the others', has a sampling variance
    of about :math:`\tau / 2n` with the autocorrelation time :math:`\tau`; this share of its
    variance over voxels is taken back.

    Parameters
    ----------
    pooled : ndarray of shape (n_voxels, n_out)
    X : ndarray of shape (n_samples, n_voxels)
        Divided by ``scale``.
    scale, pooled_scale : ndarray of shape (n_voxels,)
        The subject's divisors and the others'.
    """
    ratio = np.log(scale / pooled_scale)
    ratio -= ratio.mean()  # units of measure may differ between subjects
    # the logarithm of a chi-square variable of m degrees of freedom has the variance psi'(m / 2)
    freedom = len(X) / autocorrelation(X, np.zeros(len(X), dtype=int)) - 1
    expected = float(polygamma(1, max(freedom, 1.0) / 2)) / 4
    noise = min(1.0, expected / max(float(ratio.var()), 1e-30))
    return np.exp(noise * ratio)[:, None] * pooled


def _within_samples(own: np.ndarray, X: np.ndarray) -> np.ndarray:
    """A map without directions of voxels in which there are no samples."""
    if len(X) >= X.shape[1]:
        return own
    span = np.linalg.qr(X.T)[0]
    return span @ (span.T @ own)


def _cosine(first: np.ndarray, second: np.ndarray) -> float:
    size = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(np.vdot(first, second)) / size if size > 0 else 0.0
