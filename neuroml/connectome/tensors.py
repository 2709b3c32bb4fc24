"""Tensors with missing fibers, in memory or on disk."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from neuroml._core.validation import as_given, as_numbers
from neuroml.exceptions import DataError

__all__ = ["FiberTensor", "RowsOnDisk"]


class RowsOnDisk:
    """A two-dimensional ``.npy`` file that is read a block of rows at a time, never as a whole.

    Parameters
    ----------
    path : path-like
        Written by `numpy.save`, or row by row through `numpy.lib.format.open_memmap`.
    block_bytes : int, default=32 MiB
        Maximum memory of one block.

    Attributes
    ----------
    shape : tuple of int
        (n_rows, length)
    dtype : numpy.dtype

    Raises
    ------
    DataError
        If the file is not a two-dimensional array of float32 or float64 in row order.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from neuroml.connectome import RowsOnDisk
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/rows.npy", np.ones((5, 3)))
    ...     rows = RowsOnDisk(f"{folder}/rows.npy", block_bytes=48)
    ...     [(first, len(block)) for first, block in rows.blocks()]
    [(0, 2), (2, 2), (4, 1)]
    """

    def __init__(self, path: Path | str, *, block_bytes: int = 2**25) -> None:
        self.path = Path(path)
        with self.path.open("rb") as handle:
            old = np.lib.format.read_magic(handle)[0] == 1
            form = np.lib.format
            read = form.read_array_header_1_0 if old else form.read_array_header_2_0
            self.shape, columns_first, self.dtype = read(handle)
            self._offset = handle.tell()
        if len(self.shape) != 2 or columns_first or self.dtype not in (np.float32, np.float64):
            raise DataError(
                "these rows cannot be read in blocks",
                expected="a two-dimensional array of float32 or float64 in row order",
                found=f"shape {self.shape}, {self.dtype}, "
                f"{'column' if columns_first else 'row'} order",
                file=self.path,
            )
        self._rows_per_block = max(1, block_bytes // max(1, self.shape[1] * self.dtype.itemsize))

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (number of the first row, rows) for all rows, in order."""
        with self.path.open("rb") as handle:
            handle.seek(self._offset)
            for first in range(0, self.shape[0], self._rows_per_block):
                count = min(self._rows_per_block, self.shape[0] - first)
                values = np.fromfile(handle, self.dtype, count * self.shape[1])
                yield first, values.reshape(count, self.shape[1])


@dataclass(frozen=True)
class FiberTensor:
    """A non-negative tensor given by its observed fibers along the last mode.

    Fibers that are not observed are not stored: they take neither memory nor time.

    Attributes
    ----------
    values : ndarray of shape (n_fibers, length), RowsOnDisk, or implicit rows
        One fiber per row. In an array, NaN marks missing values inside a fiber.
    index : ndarray of int of shape (n_fibers, n_modes - 1)
        The place of each fiber along all modes but the last.
    shape : tuple of int
        Sizes of all modes.
    axes : tuple of str
        Names of the modes.
    labels : tuple of (ndarray or None)
        Labels along each mode.
    pieces : ndarray of int of shape (n_first,), optional
        Number of the piece of data that each index of the first mode is of, where several are of
        one, as both directions of a pair of units: these are held out together. By default each
        is its own.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.connectome import FiberTensor
    >>> dense = np.ones((2, 2, 3))
    >>> dense[1, 0] = np.nan
    >>> tensor = FiberTensor.from_dense(dense)
    >>> tensor.index.tolist()
    [[0, 0], [0, 1], [1, 1]]
    >>> bool(np.isnan(tensor.to_dense()[1, 0]).all())
    True
    """

    values: Any
    index: np.ndarray
    shape: tuple[int, ...]
    axes: tuple[str, ...] = ()
    labels: tuple[Any, ...] = field(default=())
    pieces: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", as_given(self.values, "values"))
        expected = (self.values.shape[0], len(self.shape) - 1)
        if self.index.shape != expected or self.values.shape[1] != self.shape[-1]:
            raise DataError(
                "fibers, their index and the shape disagree",
                expected=f"index of shape {expected} for fibers of length {self.shape[-1]}",
                found=f"index of shape {self.index.shape}, values of shape {self.values.shape}",
                field="index",
            )
        if self.pieces is not None and np.shape(self.pieces) != self.shape[:1]:
            raise DataError(
                "pieces of data do not go with the first mode",
                expected=f"{self.shape[0]} numbers",
                found=f"shape {np.shape(self.pieces)}",
                field="pieces",
            )
        if ((self.index < 0) | (self.index >= self.shape[:-1])).any():
            raise DataError(
                "fibers lie outside the tensor", expected=f"places within {self.shape[:-1]}",
                found=f"places up to {self.index.max(axis=0).tolist()}", field="index",
            )  # fmt: skip
        if len(np.unique(np.ravel_multi_index(tuple(self.index.T), self.shape[:-1]))) < expected[0]:
            raise DataError("two fibers have the same place", field="index")

    @property
    def ndim(self) -> int:
        """The number of modes."""
        return len(self.shape)

    def labels_of(self, mode: int) -> np.ndarray:
        """Return the labels along a mode, numbers if it has none."""
        labels = self.labels[mode] if self.labels else None
        return np.arange(self.shape[mode]) if labels is None else np.asarray(labels)

    @property
    def units(self) -> np.ndarray:
        """Number of the piece of data of each fiber (n_fibers,)."""
        if self.pieces is None:
            return np.arange(len(self.index))
        places = np.column_stack([np.asarray(self.pieces)[self.index[:, 0]], self.index[:, 1:]])
        return np.unique(places, axis=0, return_inverse=True)[1].ravel()

    @classmethod
    def from_dense(cls, tensor: np.ndarray, **names: Any) -> FiberTensor:
        """Convert an array with NaN for missing; fibers missing throughout are left out."""
        tensor = as_numbers(as_given(tensor, "tensor"), "tensor")
        rows = tensor.reshape(-1, tensor.shape[-1])
        seen = np.flatnonzero(~np.isnan(rows).all(axis=1))
        index = np.column_stack(np.unravel_index(seen, tensor.shape[:-1]))
        return cls(rows[seen], index, tensor.shape, **names)

    def to_dense(self) -> np.ndarray:
        """Convert to an array with NaN for missing.

        Raises
        ------
        MemoryError
            If it does not fit.
        """
        held = self.values.dtype  # whole numbers cannot be NaN
        dtype = held if np.issubdtype(held, np.inexact) else np.float64
        dense = np.full((math.prod(self.shape[:-1]), self.shape[-1]), np.nan, dtype)
        where = np.ravel_multi_index(tuple(self.index.T), self.shape[:-1])
        if isinstance(self.values, np.ndarray):
            dense[where] = self.values
        else:
            for first, block in self.values.blocks():
                dense[where[first : first + len(block)]] = block
        return dense.reshape(self.shape)
