r"""What brains of a cohort share on the side of the targets: components by decodability.

With disjoint stimuli and unequal voxels nothing in voxel space is common. What can be common is
which directions of the target space brains carry, and how well. Each subject gives two matrices of
targets by targets: the second moment :math:`C_s` of its targets and the part :math:`M_s` of it that
its brain explains, judged by leave-one-out predictions. The generalized eigenvectors of their
means, :math:`M a = \lambda C a`, are the canonical directions of the cohort [1]_: uncorrelated over
stimuli, sorted by the share :math:`\lambda` of variance that brains explain.

.. [1] L. Breiman and J. H. Friedman (1997). Predicting multivariate responses in multiple linear
   regression. Journal of the Royal Statistical Society B 59(1), for one data set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

__all__ = ["Components", "explained", "shared_components"]


@dataclass(frozen=True)
class Components:
    """Directions of the target space that brains carry.

    Attributes
    ----------
    mean : ndarray of shape (n_targets,)
    axes : ndarray of shape (n_targets, n_components)
        Project centered targets to components of about unit variance.
    patterns : ndarray of shape (n_targets, n_components)
        Carry components back: the covariance of targets with components.
    decodability : ndarray of shape (n_components,)
        Share of variance that brains explain, falling.
    """

    mean: np.ndarray
    axes: np.ndarray
    patterns: np.ndarray
    decodability: np.ndarray

    def encode(self, targets: np.ndarray) -> np.ndarray:
        """Components (n, n_components) of targets (n, n_targets)."""
        return (targets - self.mean) @ self.axes

    def decode(self, components: np.ndarray) -> np.ndarray:
        """Targets (n, n_targets) of components (n, n_components)."""
        return self.mean + components @ self.patterns.T


def explained(targets: np.ndarray, left_out: np.ndarray) -> np.ndarray:
    """Part of the covariance of targets that leave-one-out predictions explain.

    Parameters
    ----------
    targets, left_out : ndarray of shape (n_samples, n_targets)

    Returns
    -------
    ndarray of shape (n_targets, n_targets)
        Symmetric.
    """
    cross = (targets - targets.mean(axis=0)).T @ (left_out - left_out.mean(axis=0))
    return (cross + cross.T) / (2 * len(targets))


def shared_components(
    targets: Sequence[np.ndarray], parts: Sequence[np.ndarray], n_components: int, shrinkage: float
) -> Components:
    """Canonical directions of a cohort.

    Parameters
    ----------
    targets : sequence of ndarray of shape (n_samples_s, n_targets)
        One per subject.
    parts : sequence of ndarray of shape (n_targets, n_targets)
        From `explained`, in the same order.
    n_components : int
        The most to keep.
    shrinkage : float
        Fraction of the mean variance of the targets that is added to each: directions with less
        variance than this count as noise.
    """
    mean = np.mean([y.mean(axis=0) for y in targets], axis=0)
    covariance = np.mean([(y - mean).T @ (y - mean) / len(y) for y in targets], axis=0)
    n_targets = len(mean)
    ridge = shrinkage * max(np.trace(covariance) / n_targets, 1e-12) * np.eye(n_targets)
    first = max(n_targets - n_components, 0)
    values, axes = eigh(
        np.mean(parts, axis=0), covariance + ridge, subset_by_index=[first, n_targets - 1]
    )
    axes = axes[:, ::-1]
    return Components(mean, axes, covariance @ axes, np.clip(values[::-1], 1e-3, 1.0))
