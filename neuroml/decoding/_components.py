r"""Directions of the target space that the brains of a cohort carry, sorted by decodability.

Subjects with disjoint stimuli and different voxels have nothing in common in voxel space. What they
can have in common is which directions of the target space their brains carry, and how well. Each
subject gives two matrices of targets by targets: the second moment :math:`C_s` of its targets and
the part :math:`M_s` of it that its brain explains, according to leave-one-out predictions. The
generalized eigenvectors of their means, :math:`M a = \lambda C a`, are the canonical directions of
the cohort [1]_: uncorrelated over stimuli, sorted by the share :math:`\lambda` of variance that
brains explain.

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
        Map centered targets to components of about unit variance.
    patterns : ndarray of shape (n_targets, n_components)
        Map components to targets: the covariance of targets with components.
    decodability : ndarray of shape (n_components,)
        Share of variance that brains explain, in descending order.
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
    # the cross-covariance of targets and predictions, made symmetric
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
        Maximum number of directions.
    shrinkage : float
        Fraction of the mean variance of the targets that is added to each: directions with less
        variance than this count as noise.
    """
    # C, the mean second moment of the targets: subjects count alike, however many rows they have
    mean = np.mean([y.mean(axis=0) for y in targets], axis=0)
    covariance = np.mean([(y - mean).T @ (y - mean) / len(y) for y in targets], axis=0)
    # shrinkage keeps directions that the targets hardly have from looking decodable
    n_targets = len(mean)
    ridge = shrinkage * max(np.trace(covariance) / n_targets, 1e-12) * np.eye(n_targets)
    # M a = lambda C a; eigh sorts eigenvalues upwards
    first = max(n_targets - n_components, 0)
    values, axes = eigh(
        np.mean(parts, axis=0), covariance + ridge, subset_by_index=[first, n_targets - 1]
    )
    axes = axes[:, ::-1]
    # lambda is a share; 1e-3 keeps the penalties (1 - lambda) / lambda and divisions by it finite
    return Components(mean, axes, covariance @ axes, np.clip(values[::-1], 1e-3, 1.0))
