"""The data of a tensor as rows: in memory, or a block at a time.

The factorization does only two things with its data: contract them along the rows and across them.
Any class with these two methods can be factorized, whether it holds the numbers, reads them or
computes them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

__all__ = ["BlockRows", "MemoryRows", "Rows"]


class Rows(ABC):
    """Rows that come in blocks.

    Parameters
    ----------
    shape : tuple of int
        (n_rows, length)
    kernels : module
        `_kernels` or `_torch_kernels`.
    """

    def __init__(self, shape: tuple[int, ...], kernels: ModuleType) -> None:
        self.shape = shape
        self.kernels = kernels

    @abstractmethod
    def blocks(self) -> Iterator[tuple[int, Any]]:
        """Yield (number of the first row, rows) for all rows, in order."""

    def along(self, factors: Sequence[Any]) -> list[Any]:
        """Contract with each of several factors (length, R) along the rows: (n_rows, R)."""
        stacked, split = self.kernels.stack(factors)
        return split([self.kernels.along(block, stacked) for _, block in self.blocks()])

    def across(self, designs: Sequence[Any]) -> list[Any]:
        """Contract with each of several designs (n_rows, R) across the rows: (length, R)."""
        stacked, split = self.kernels.stack(designs)
        parts = (
            self.kernels.across(block, stacked[first : first + len(block)])
            for first, block in self.blocks()
        )
        return split([sum(parts)])


class MemoryRows(Rows):
    """Rows in memory, in one block."""

    def __init__(self, data: Any, kernels: ModuleType) -> None:
        super().__init__(data.shape, kernels)
        self._data = data

    def blocks(self) -> Iterator[tuple[int, Any]]:
        """Yield all rows at once."""
        yield 0, self._data


class BlockRows(Rows):
    """Rows that another object yields in blocks, converted to the type and device of the fit."""

    def __init__(self, values: Any, dtype: Any, kernels: ModuleType) -> None:
        super().__init__(values.shape, kernels)
        self._values, self._dtype = values, dtype

    def blocks(self) -> Iterator[tuple[int, Any]]:
        """Yield the blocks as they come."""
        for first, block in self._values.blocks():
            yield first, self.kernels.array(block, self._dtype)
