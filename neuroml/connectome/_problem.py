"""From a packed tensor to a factorisation problem on the device that solves it."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np

from neuroml.connectome._fibres import lay_out
from neuroml.connectome._hals import Gaps, Penalty, Problem
from neuroml.connectome._packed import Packed
from neuroml.connectome._rows import MemoryRows, Rows

__all__ = ["kernels_for", "pose", "squared_residual"]


def kernels_for(device: str) -> ModuleType:
    """The compute kernels of a device; "auto" takes a GPU where torch finds one."""
    if device != "cpu":
        import torch

        if device == "cuda" or torch.cuda.is_available():
            from neuroml.connectome import _torch_kernels

            return _torch_kernels
    from neuroml.connectome import _kernels

    return _kernels


class _ForeignRows(Rows):
    """Blocks of somebody else's rows, brought to the device and type of the computation."""

    def __init__(self, values: Any, dtype: Any, kernels: ModuleType) -> None:
        super().__init__(values.shape, kernels)
        self._values, self._dtype = values, dtype

    def blocks(self) -> Iterator[tuple[int, Any]]:
        for first, block in self._values.blocks():
            yield first, self.kernels.array(block, self._dtype)


def pose(packed: Packed, penalty: Penalty, *, dtype: Any, kernels: ModuleType) -> Problem:
    """Pose the problem of factorising a packed tensor.

    Parameters
    ----------
    packed : Packed
    penalty : Penalty
    dtype : numpy dtype
        Of the data; factors and sums are float64 in any case.
    kernels : module
        `_kernels` or `_torch_kernels`.
    """
    gaps, values = None, packed.values
    if isinstance(values, np.ndarray):
        broken = np.flatnonzero(np.isnan(values).any(axis=1))
        if len(broken):
            which = np.zeros(len(values), dtype=np.int64)
            which[broken] = np.arange(1, len(broken) + 1)
            seen = kernels.array(~np.isnan(values[broken]), dtype)
            gaps = Gaps(kernels.array(which, np.int64), seen)
            values = np.nan_to_num(values)
        rows: Rows = MemoryRows(kernels.array(values, dtype), kernels)
    elif hasattr(values, "on_device"):
        rows = values.on_device(dtype, kernels)
    else:
        rows = _ForeignRows(values, dtype, kernels)
    return Problem(
        fibres=lay_out(packed.shape[:-1], packed.index, packed.rows, kernels),
        rows=rows,
        squared_norm=_squared_norm(rows, np.bincount(packed.rows)) or 1.0,
        kernels=kernels,
        gaps=gaps,
        penalty=penalty,
    )


def _squared_norm(rows: Rows, weights: np.ndarray) -> float:
    total = 0.0
    for first, block in rows.blocks():
        squares = rows.kernels.squares(block)
        total += float(np.dot(weights[first : first + len(block)], squares))
    return total
