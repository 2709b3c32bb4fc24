"""Places of a tensor's data: rows along its last mode, and the entries that they stand for.

A tensor is kept as its observed fibers, the rows along one mode, each with its place in the other
modes. Missing fibers are not stored, so they cannot affect a result; for a fiber with missing
values, it is stored which of its values are observed. A tensor that is symmetric in two modes keeps
one row for the two entries (i, j) and (j, i): half the data, the same factorization.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import mul
from types import ModuleType
from typing import Any

import numpy as np

__all__ = ["Entries", "Fibers", "build_fibers"]


@dataclass(frozen=True)
class Entries:
    """The entries sorted by their index along one mode.

    Attributes
    ----------
    starts : ndarray of int of shape (size + 1,)
        Entries of index i are those from ``starts[i]`` to ``starts[i + 1]``.
    rows : ndarray of int of shape (n_entries,)
        The row of data that each entry reads.
    places : ndarray of int of shape (n_entries,)
        The row of the partner (`Fibers.partner`), the product of the other modes' factors.
    order : ndarray of int of shape (n_entries,)
        Number of each entry in the order of the first mode.
    index : ndarray of int of shape (n_entries,)
        Index of each entry along this mode.
    """

    starts: Any
    rows: Any
    places: Any
    order: Any
    index: Any


@dataclass(frozen=True)
class Fibers:
    """The places of all rows.

    Attributes
    ----------
    shape : tuple of int
        Sizes of all modes but the last, along which the rows run.
    n_rows : int
    index : tuple of ndarray of int of shape (n_entries,)
        Place of each entry along every mode but the last, sorted by the first one.
    rows : ndarray of int of shape (n_entries,)
    entries : tuple of Entries
        One per mode but the last.
    complete : bool
        Whether every place of the tensor has its entry.
    """

    shape: tuple[int, ...]
    n_rows: int
    index: tuple[Any, ...]
    rows: Any
    entries: tuple[Entries, ...]
    complete: bool

    def partner(self, mode: int, factors: Sequence[Any]) -> Any:
        """Product of the other modes' factors, which ``entries[mode].places`` points into.

        With one other mode this is its factor itself; with more, one row for each entry.
        """
        others = [k for k in range(len(self.shape)) if k != mode]
        if not others:
            return factors[mode][:1] * 0 + 1
        if len(others) == 1:
            return factors[others[0]]
        order = self.entries[mode].order
        return reduce(mul, (factors[k][self.index[k][order]] for k in others))


def build_fibers(
    shape: tuple[int, ...], index: np.ndarray, rows: np.ndarray, kernels: ModuleType
) -> Fibers:
    """Sort entries for the updates of every mode.

    Parameters
    ----------
    shape : tuple of int
        Sizes of all modes but the last.
    index : ndarray of int of shape (n_entries, len(shape))
    rows : ndarray of int of shape (n_entries,)
    kernels : module
        `_kernels` or `_torch_kernels`, which make the arrays.
    """
    order = np.lexsort(index.T[::-1])
    index, rows = index[order], rows[order]
    return Fibers(
        shape=shape,
        n_rows=int(rows.max()) + 1,
        index=tuple(kernels.array(column, np.int64) for column in index.T),
        rows=kernels.array(rows, np.int64),
        entries=tuple(_sorted_by(mode, shape, index, rows, kernels) for mode in range(len(shape))),
        complete=len(index) == int(np.prod(shape)),
    )


def _sorted_by(
    mode: int, shape: tuple[int, ...], index: np.ndarray, rows: np.ndarray, kernels: ModuleType
) -> Entries:
    order = np.argsort(index[:, mode], kind="stable")
    if len(shape) == 1:
        places = np.zeros(len(rows), dtype=np.int64)
    elif len(shape) == 2:
        places = index[order, 1 - mode]
    else:
        places = np.arange(len(rows))
    starts = np.searchsorted(index[order, mode], np.arange(shape[mode] + 1))
    parts = (starts, rows[order], places, order, index[order, mode])
    return Entries(*(kernels.array(part, np.int64) for part in parts))
