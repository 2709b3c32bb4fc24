"""Affinities between pairs as rows that are computed from the traces whenever they are needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from neuroml.connectome._affinity import SEPARABLE, pair_affinity
from neuroml.connectome._rows import BlockRows, Rows

__all__ = ["PairRows", "Subject"]

_BLOCK_VALUES = 2**22  # values of one block: 16 MiB of float32


@dataclass(frozen=True)
class Subject:
    """The traces and pairs of one subject.

    Attributes
    ----------
    signals : ndarray of shape (n_samples, n_units)
        From `prepare_signals`; 0 for units that were not recorded, to which no pair refers.
    pairs : ndarray of int of shape (n_pairs, 2)
        Pairs of units that were both recorded.
    signs : ndarray of int of shape (n_pairs,)
        1 or, for affinity by opposite signs, -1.
    slices : tuple of slice
        Stretches of samples without a gap.
    later : ndarray of shape (n_samples, n_units)
        The signals of the second unit of each pair: ``signals``, or for directed affinities their
        means over later samples.
    """

    signals: np.ndarray
    pairs: np.ndarray
    signs: np.ndarray
    slices: tuple[slice, ...]
    later: np.ndarray


class PairRows:
    """One row per subject and pair, subject by subject; it takes the memory of the traces only.

    Parameters
    ----------
    subjects : sequence of Subject
        All with the same number of samples.
    method : str
        One of `METHODS`.
    window : int
        Number of samples of a window.
    stride : int
        Number of samples from one value of a row to the next.

    Attributes
    ----------
    shape : tuple of int
        (n_rows, length)
    dtype : numpy.dtype
    """

    dtype = np.dtype(np.float32)

    def __init__(self, subjects: Sequence[Subject], method: str, window: int, stride: int) -> None:
        self._subjects, self._method = subjects, method
        self._window, self._stride = window, stride
        n_samples = len(subjects[0].signals)
        self.shape = (sum(len(one.pairs) for one in subjects), -(-n_samples // stride))

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (number of the first row, rows) for all rows, in order."""
        first = 0
        for one in self._subjects:
            step = max(1, _BLOCK_VALUES // len(one.signals))
            for start in range(0, len(one.pairs), step):
                i, j = one.pairs[start : start + step].T
                a, b = one.signals[:, i], one.later[:, j] * one.signs[start : start + step]
                values = pair_affinity(a, b, self._method, self._window, one.slices)
                yield first, np.ascontiguousarray(values[:: self._stride].T, dtype=self.dtype)
                first += len(i)

    def materialize(self) -> np.ndarray:
        """Compute all rows."""
        values = np.empty(self.shape, self.dtype)
        for first, block in self.blocks():
            values[first : first + len(block)] = block
        return values

    def on_device(self, dtype: Any, kernels: ModuleType) -> Rows:
        """Return the rows as the factorization takes them."""
        if self._method not in SEPARABLE:
            return BlockRows(self, dtype, kernels)
        terms = _terms(self._subjects, self._method, self._stride, dtype, kernels)
        return _SeparableRows(self, terms, dtype, kernels)


class _SeparableRows(BlockRows):
    r"""Affinities that are sums of products of one unit's signal and another's.

    With :math:`u, v` the roots of the positive and negative part of a signal,
    :math:`\sqrt{\max(g_i g_j, 0)} = u_i u_j + v_i v_j`, and for opposite signs
    :math:`u_i v_j + v_i u_j`. Both contractions are then products of matrices of the traces' size,
    and no affinity needs to be computed.
    """

    def __init__(
        self, values: PairRows, terms: Sequence[_Term], dtype: Any, kernels: ModuleType
    ) -> None:
        super().__init__(values, dtype, kernels)
        self._terms = terms
        self._n_rows = values.shape[0]

    def along(self, factors: Sequence[Any]) -> list[Any]:
        """Contract as `Rows.along` does: sum_t u_i(t) c_r(t) u_j(t) for all i, j at once."""
        stacked, split = self.kernels.stack(factors)
        out = self.kernels.array(np.zeros((self._n_rows, stacked.shape[1])))
        for term in self._terms:
            columns = self.kernels.array(stacked, self._dtype)
            for r in range(stacked.shape[1]):
                product = term.left.T @ (columns[:, r, None] * term.right)
                out[term.rows, r] += self.kernels.array(product[term.i, term.j])
        return split([out])

    def across(self, designs: Sequence[Any]) -> list[Any]:
        """Contract as `Rows.across` does: sum_ij u_i(t) D_r(i, j) u_j(t) for all t at once."""
        stacked, split = self.kernels.stack(designs)
        out = self.kernels.array(np.zeros((self.shape[1], stacked.shape[1])))
        for term in self._terms:
            n_units = term.left.shape[1]
            for r in range(stacked.shape[1]):
                weights = self.kernels.array(np.zeros((n_units, n_units)), self._dtype)
                weights[term.i, term.j] = self.kernels.array(stacked[term.rows, r], self._dtype)
                summed = ((term.left @ weights) * term.right).sum(1)
                out[:, r] += self.kernels.array(summed)
        return split([out])


@dataclass(frozen=True)
class _Term:
    """One product of signals, (length, n_units) each, and the rows of pairs that it is part of."""

    left: Any
    right: Any
    rows: Any
    i: Any
    j: Any


def _terms(
    subjects: Sequence[Subject], method: str, stride: int, dtype: Any, kernels: ModuleType
) -> list[_Term]:
    terms, first = [], 0
    for one in subjects:
        # roots of the positive and negative parts (for "edge", the product itself is wanted)
        (up, down), (then_up, then_down) = (
            [np.maximum(sign * signals[::stride], 0) for sign in (1, -1)]
            for signals in (one.signals, one.later)
        )
        if method != "edge":
            up, down, then_up, then_down = map(np.sqrt, (up, down, then_up, then_down))
        same, opposite = [(up, then_up), (down, then_down)], [(up, then_down), (down, then_up)]
        products = {1: same, -1: opposite}
        if method == "unsigned":
            products = {1: [(up + down, then_up + then_down)]}
        for sign, pairs_of_signals in products.items():
            chosen = np.flatnonzero(one.signs == sign)
            if len(chosen):
                where = (first + chosen, *one.pairs[chosen].T)
                indices = [kernels.array(part, np.int64) for part in where]
                terms += [
                    _Term(kernels.array(left, dtype), kernels.array(right, dtype), *indices)
                    for left, right in pairs_of_signals
                ]
        first += len(one.pairs)
    return terms
