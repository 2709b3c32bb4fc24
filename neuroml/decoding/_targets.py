"""Targets in the coordinates that models are fitted in: centered, heads with ranks of their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neuroml.exceptions import DataError

__all__ = ["TargetSpace", "fit_target_space", "head_sizes"]


@dataclass(frozen=True)
class TargetSpace:
    """Affine map between targets and their coordinates.

    Attributes
    ----------
    mean : ndarray of shape (n_targets,)
    basis : ndarray of shape (n_targets, n_coordinates) or None
        Orthonormal columns, block by block for the heads; None for the identity.
    sizes : list of int
        Coordinates of each head.
    """

    mean: np.ndarray
    basis: np.ndarray | None
    sizes: list[int]

    def encode(self, targets: np.ndarray) -> np.ndarray:
        """Coordinates (n_samples, n_coordinates) of targets (n_samples, n_targets)."""
        centered = targets - self.mean
        return centered if self.basis is None else centered @ self.basis

    def decode(self, coordinates: np.ndarray) -> np.ndarray:
        """Targets of coordinates."""
        full = coordinates if self.basis is None else coordinates @ self.basis.T
        return full + self.mean


def head_sizes(heads: dict[str, int] | None, n_targets: int) -> list[int]:
    """Columns of each head, checked to be all of them."""
    if heads is None:
        return [n_targets]
    sizes = [int(size) for size in heads.values()]
    if sum(sizes) != n_targets or min(sizes, default=0) < 1:
        raise DataError(
            "heads do not cover the targets",
            expected=f"sizes that add up to the {n_targets} columns of y",
            found=heads,
            field="heads",
        )
    return sizes


def fit_target_space(
    targets: np.ndarray, sizes: list[int], rank: int | None, *, center: bool
) -> TargetSpace:
    """Mean and, with a rank, the principal components of each head's training targets.

    Parameters
    ----------
    targets : ndarray of shape (n_samples, n_targets)
        Of all subjects.
    sizes : list of int
        Columns of each head.
    rank : int or None
        The most coordinates of a head.
    center : bool
    """
    mean = targets.mean(axis=0) if center else np.zeros(targets.shape[1], targets.dtype)
    if rank is None:
        return TargetSpace(mean, None, list(sizes))
    blocks, starts = [], np.cumsum([0, *sizes])
    for first, size in zip(starts, sizes, strict=False):
        part = targets[:, first : first + size] - mean[first : first + size]
        rows = np.linalg.svd(part, full_matrices=False)[2][:rank]
        block = np.zeros((targets.shape[1], len(rows)), targets.dtype)
        block[first : first + size] = rows.T
        blocks.append(block)
    return TargetSpace(mean, np.hstack(blocks), [block.shape[1] for block in blocks])
