"""Adaptive pooling of voxels to a common number, and back."""

from __future__ import annotations

from typing import Literal

import numpy as np

from neuroml.exceptions import DataError

__all__ = ["Pooling", "pool", "unpool", "windows"]

Pooling = Literal["max", "average"]


def windows(n_voxels: int, n_windows: int) -> tuple[np.ndarray, np.ndarray]:
    """First voxel and end of each window: floor(i L / P) and ceil((i + 1) L / P)."""
    i = np.arange(n_windows)
    return i * n_voxels // n_windows, -(-(i + 1) * n_voxels // n_windows)


def pool(X: np.ndarray, n_windows: int, kind: Pooling) -> np.ndarray:
    """Pool voxels (n_samples, n_voxels) to (n_samples, n_windows), in the order they come in.

    Raises
    ------
    DataError
        If there are fewer voxels than windows, which would only duplicate voxels.
    """
    if X.shape[1] < n_windows:
        raise DataError(
            "there are fewer voxels than pooling windows",
            expected=f"at least n_pool = {n_windows} voxels",
            found=X.shape[1],
            fix="Lower n_pool, or use pooling=None.",
            field="X",
        )
    starts, ends = windows(X.shape[1], n_windows)
    # the mean of a window is a difference of cumulative sums
    if kind == "average":
        total = np.pad(np.cumsum(X, axis=1, dtype=np.float64), ((0, 0), (1, 0)))
        return ((total[:, ends] - total[:, starts]) / (ends - starts)).astype(X.dtype)
    # the maximum is taken over the first voxels of all windows, then the second ones and so on; a
    # shorter window meets its last voxel again, which changes nothing
    pooled = X[:, starts]
    for step in range(1, int((ends - starts).max())):
        np.maximum(pooled, X[:, np.minimum(starts + step, ends - 1)], out=pooled)
    return pooled


def unpool(pooled: np.ndarray, n_voxels: int) -> np.ndarray:
    """Give every voxel the mean of the windows that it lies in."""
    starts, ends = windows(n_voxels, pooled.shape[1])
    # a window adds its value where it starts and takes it away where it ends; the cumulative sum is
    # then the sum, and the number, of the windows over each voxel
    edges = np.zeros((n_voxels + 1, len(pooled)))
    counts = np.zeros(n_voxels + 1)
    for at, sign in ((starts, 1), (ends, -1)):
        np.add.at(edges, at, sign * pooled.T)
        np.add.at(counts, at, sign)
    return (np.cumsum(edges[:-1], axis=0) / np.cumsum(counts[:-1])[:, None]).T.astype(pooled.dtype)
