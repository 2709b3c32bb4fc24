"""From a packed tensor to a factorization problem on the device that solves it."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from neuroml._core.estimator import resolve_device
from neuroml.connectome._fibers import build_fibers
from neuroml.connectome._hals import Constant, Gaps, Penalty, Problem
from neuroml.connectome._packed import Packed
from neuroml.connectome._rows import BlockRows, MemoryRows, Rows
from neuroml.exceptions import DataError

__all__ = ["build_problem", "kernels_for", "squares_along"]


def kernels_for(device: Any) -> Any:
    """Return the compute kernels of a device; "auto" takes a GPU where torch finds one."""
    if device != "cpu":  # the CPU's kernels do without torch
        found = resolve_device(device, double=True)
        if found.type != "cpu":
            from neuroml.connectome import _torch_kernels

            return _torch_kernels.on_device(found)
    from neuroml.connectome import _kernels

    return _kernels


def build_problem(
    packed: Packed, penalty: Penalty, *, dtype: str, kernels: ModuleType, background: str = "none"
) -> Problem:
    """Build the problem of factorizing a packed tensor, with its data on the device.

    Parameters
    ----------
    packed : Packed
    penalty : Penalty
    dtype : {"float32", "float64"}
        Type of the data; factors and sums are float64 in any case.
    kernels : module
        `_kernels` or `_torch_kernels`.
    background : {"none", "mean", "rank-one"}
    """
    values = packed.values
    broken = np.empty(0, dtype=np.int64)
    seen = np.empty((0, packed.shape[-1]))
    if isinstance(values, np.ndarray):
        broken = np.flatnonzero(np.isnan(values).any(axis=1))
        seen = ~np.isnan(values[broken])
        values = np.nan_to_num(values) if len(broken) else values
        rows: Rows = MemoryRows(kernels.array(values, dtype), kernels)
    elif hasattr(values, "on_device"):
        rows = values.on_device(dtype, kernels)
    else:
        rows = BlockRows(values, dtype, kernels)
    which = np.zeros(packed.values.shape[0], dtype=np.int64)
    which[broken] = np.arange(1, len(broken) + 1)
    entries = np.bincount(packed.rows)
    squared_norm = _squared_norm(rows, entries)
    constant = None
    if background == "mean":
        counts = np.full(len(which), float(packed.shape[-1]))
        counts[broken] = seen.sum(axis=1)
        (sums,) = rows.along([kernels.array(np.ones((packed.shape[-1], 1)))])
        parts = (kernels.to_numpy(sums)[:, 0], counts, entries)
        constant = Constant(*(kernels.array(part) for part in parts))
    return Problem(
        fibers=build_fibers(packed.shape[:-1], packed.index, packed.rows, kernels),
        rows=rows,
        squared_norm=squared_norm,
        kernels=kernels,
        gaps=Gaps(kernels.array(which, np.int64), kernels.array(seen)),
        penalty=penalty,
        # rounding of sums over the data is a few units in the last place of their largest part
        rounding=10 * float(np.finfo(dtype).eps) * squared_norm,
        constant=constant,
        n_held=int(background == "rank-one"),
    )


def squares_along(problem: Problem, packed: Packed, place: int, background: Any) -> np.ndarray:
    """Compute the sum of the squared data at each index of one mode, the background taken off."""
    off = np.zeros(len(np.bincount(packed.rows)))
    if background is not None:
        off = problem.kernels.to_numpy(background)
    size, last = packed.shape[place], place == len(packed.shape) - 1
    entries = np.bincount(packed.rows)
    total, norms = np.zeros(size), np.empty(len(entries))
    for first, block in problem.rows.blocks():
        rows = slice(first, first + len(block))
        if last:
            values = problem.kernels.to_numpy(block) - off[rows, None]
            if isinstance(packed.values, np.ndarray):
                values[np.isnan(packed.values[rows])] = 0
            total += np.einsum("i,ij,ij->j", entries[rows], values, values, dtype=np.float64)
        else:
            norms[rows] = problem.kernels.squared_norms(block)
            if background is not None:
                sums, counts = (
                    problem.kernels.to_numpy(part)[rows]
                    for part in (problem.constant.sums, problem.constant.counts)  # type: ignore[union-attr]
                )
                norms[rows] += counts * off[rows] ** 2 - 2 * off[rows] * sums
    if last:
        return total
    return np.bincount(packed.index[:, place], norms[packed.rows], minlength=size)


def _squared_norm(rows: Rows, weights: np.ndarray) -> float:
    total = 0.0
    for first, block in rows.blocks():
        squares = rows.kernels.squared_norms(block)
        given_in_blocks = not isinstance(rows, MemoryRows)
        if given_in_blocks and not (np.isfinite(squares).all() and float(block.min()) >= 0):
            place = first + int(np.argmin(np.isfinite(squares)))
            raise DataError(
                "rows hold values that cannot be factorized",
                expected="finite values >= 0; leave a fiber with missing values out of the index",
                found=f"minimum {float(block.min()):.4g} in the rows from {place} on",
                field="X",
            )
        total += float(np.dot(weights[first : first + len(block)], squares))
    return total
