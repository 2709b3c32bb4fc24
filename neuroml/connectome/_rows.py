"""The data of a tensor as rows: in memory, or a block at a time.

The factorisation asks only two things of its data, to contract them along the rows and across
them. Whoever can answer, whether it holds the numbers, reads them or derives them, can be
factorised.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

import numpy as np

__all__ = ["CompressedRows", "MemoryRows", "Rows"]


class Rows:
    """Rows that come in blocks.

    Parameters
    ----------
    shape : tuple of int
        (n_rows, length)
    kernels : module
        `_kernels` or `_torch_kernels`.
    """

    def __init__(self, shape: tuple[int, int], kernels: ModuleType) -> None:
        self.shape = shape
        self.kernels = kernels

    def blocks(self) -> Iterator[tuple[int, Any]]:
        """Yield (number of the first row, rows) for all rows, in order."""
        raise NotImplementedError

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
    """Rows that are all there: one block."""

    def __init__(self, data: Any, kernels: ModuleType) -> None:
        super().__init__(data.shape, kernels)
        self.data = data

    def blocks(self) -> Iterator[tuple[int, Any]]:
        """Yield all rows at once."""
        yield 0, self.data


class CompressedRows(Rows):
    r"""Rows projected on the directions along which they vary most.

    With :math:`Q` an orthonormal basis of a random sketch of the rows, :math:`X \approx (X Q) Q^T`:
    a contraction costs the size of the basis instead of the length of the rows.
    """

    def __init__(self, rows: Rows, size: int, rng: np.random.Generator) -> None:
        super().__init__(rows.shape, rows.kernels)
        kernels = rows.kernels
        probe = kernels.array(rng.standard_normal((rows.shape[0], size)))
        self.basis = kernels.orthonormal(rows.across([probe])[0])
        self.data = rows.along([self.basis])[0]

    def along(self, factors: Sequence[Any]) -> list[Any]:
        """As `Rows.along`, through the basis."""
        stacked, split = self.kernels.stack([self.basis.T @ factor for factor in factors])
        return split([self.kernels.along(self.data, stacked)])

    def across(self, designs: Sequence[Any]) -> list[Any]:
        """As `Rows.across`, through the basis."""
        stacked, split = self.kernels.stack(designs)
        return [self.basis @ part for part in split([self.kernels.across(self.data, stacked)])]
