"""Four ways to count active synapses of many segments, with the same result bit for bit.

Which is fastest depends on how sparse segments and activity are; `cheapest` compares them by a
cost model whose constants were measured (``tests/benchmarks/dendrites/run.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numba.core import types
from numba.extending import intrinsic
from scipy import sparse

__all__ = ["BACKENDS", "Index", "cheapest"]

Index = dict[str, np.ndarray]

_QUERIES_AT_ONCE = 64  # so many share one pass over the segments, which limits the speed
_SEGMENTS_AT_ONCE = 1 << 16  # their counts, 256 KiB, stay in a core's cache


@intrinsic
def _popcount(context: Any, word: Any) -> Any:  # noqa: ARG001
    """Number of set bits of a uint64, one instruction where the processor has it."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


@numba.njit(cache=True, nogil=True)
def _pack(starts: np.ndarray, cells: np.ndarray, packed: np.ndarray) -> None:
    """Set the bit of every active cell: bit c % 64 of word c // 64."""
    for row in range(len(starts) - 1):
        for cell in cells[starts[row] : starts[row + 1]]:
            packed[row, cell >> 6] |= np.uint64(1) << np.uint64(cell & 63)


@numba.njit(cache=True, nogil=True)
def _count_bits(segments: np.ndarray, queries: np.ndarray, overlaps: np.ndarray) -> None:
    """Overlap = number of bits that are set in both, word by word."""
    n_words = segments.shape[1]
    for i in range(len(segments)):
        for q in range(len(queries)):
            count = np.uint64(0)
            for w in range(n_words):
                count += _popcount(segments[i, w] & queries[q, w])  # type: ignore[call-arg]
            overlaps[q, i] = count


@numba.njit(cache=True, nogil=True)
def _count_listed(
    list_starts: np.ndarray,
    listed: np.ndarray,
    starts: np.ndarray,
    cells: np.ndarray,
    overlaps: np.ndarray,
) -> None:
    """Overlap = how often a segment occurs in the lists of the query's active cells.

    Increments are scattered over the segments: they stay in the cache where all lists advance
    together, a block of segments at a time. The lists are sorted.
    """
    n_segments = overlaps.shape[1]
    for q in range(len(starts) - 1):
        active = cells[starts[q] : starts[q + 1]]
        reached, counts = list_starts[active], overlaps[q]
        for first in range(0, n_segments, _SEGMENTS_AT_ONCE):
            last = min(first + _SEGMENTS_AT_ONCE, n_segments)
            counts[first:last] = 0
            for k in range(len(active)):
                start, end = reached[k], list_starts[active[k] + 1]
                if last < n_segments:
                    end = start + np.searchsorted(listed[start:end], last)
                for i in range(start, end):
                    # a signed index costs a test for negative ones, a third of the time
                    counts[np.uintp(listed[i])] += np.int32(1)
                reached[k] = end


def _packed(patterns: sparse.csr_array) -> np.ndarray:
    rows, n_cells = patterns.shape
    packed = np.zeros((rows, -(-n_cells // 64)), dtype=np.uint64)
    _pack(patterns.indptr, patterns.indices, packed)
    return packed


def _build_bits(synapses: sparse.csr_array) -> Index:
    return {"packed": _packed(synapses)}


def _overlaps_by_bits(index: Index, queries: sparse.csr_array) -> np.ndarray:
    packed = index["packed"]
    overlaps = np.empty((queries.shape[0], len(packed)), dtype=np.int32)
    words = _packed(queries)
    for first in range(0, len(words), _QUERIES_AT_ONCE):
        part = slice(first, first + _QUERIES_AT_ONCE)
        _count_bits(packed, words[part], overlaps[part])
    return overlaps


def _build_inverted(synapses: sparse.csr_array) -> Index:
    by_cell = synapses.tocsc()
    return {
        "starts": by_cell.indptr,
        "segments": by_cell.indices,
        "n_segments": np.array(synapses.shape[0]),
    }


def _overlaps_by_inverted_index(index: Index, queries: sparse.csr_array) -> np.ndarray:
    overlaps = np.empty((queries.shape[0], int(index["n_segments"])), dtype=np.int32)
    _count_listed(index["starts"], index["segments"], queries.indptr, queries.indices, overlaps)
    return overlaps


def _build_csr(synapses: sparse.csr_array) -> Index:
    return {"starts": synapses.indptr, "cells": synapses.indices}


def _overlaps_by_csr(index: Index, queries: sparse.csr_array) -> np.ndarray:
    starts, cells = index["starts"], index["cells"]
    shape = (len(starts) - 1, queries.shape[1])
    synapses = sparse.csr_array((np.ones(len(cells), np.int32), cells, starts), shape=shape)
    overlaps = np.empty((queries.shape[0], shape[0]), dtype=np.int32)
    for first in range(0, len(overlaps), _QUERIES_AT_ONCE):
        part = slice(first, first + _QUERIES_AT_ONCE)
        overlaps[part] = (synapses @ queries[part].toarray().astype(np.int32).T).T
    return overlaps


def _build_dense(synapses: sparse.csr_array) -> Index:
    return {"weights": synapses.toarray().astype(np.float32)}


def _overlaps_by_matmul(index: Index, queries: sparse.csr_array) -> np.ndarray:
    # Sums of ones are exact in float32 up to 2^24 synapses.
    weights = index["weights"]
    overlaps = np.empty((queries.shape[0], len(weights)), dtype=np.int32)
    for first in range(0, len(overlaps), _QUERIES_AT_ONCE):
        part = slice(first, first + _QUERIES_AT_ONCE)
        overlaps[part] = queries[part].toarray().astype(np.float32) @ weights.T
    return overlaps


@dataclass(frozen=True)
class _Backend:
    """A way to count overlaps.

    Attributes
    ----------
    build : callable
        ``build(synapses) -> index``, from binary rows (n_segments, n_cells).
    overlaps : callable
        ``overlaps(index, queries) -> int32 (n_queries, n_segments)``, from binary rows.
    nanoseconds : callable
        ``nanoseconds(n, s, a, M)`` per segment and query: the cost model, for n cells, s synapses
        per segment, a active cells and M segments.
    """

    build: Callable[[sparse.csr_array], Index]
    overlaps: Callable[[Index, sparse.csr_array], np.ndarray]
    nanoseconds: Callable[[float, float, float, int], float]


# Nanoseconds per segment and query, fitted to measurements of tests/benchmarks/dendrites/run.py:
# a fixed part, and one for every unit of work (list entries a s / n, words n / 64, synapses s or
# cells n).
BACKENDS = {
    "inverted": _Backend(
        _build_inverted,
        _overlaps_by_inverted_index,
        lambda n, s, a, M: 0.1 + 0.75 * a * s / n + 2 * a / M,
    ),
    "bits": _Backend(_build_bits, _overlaps_by_bits, lambda n, s, a, M: 1.8 + 0.11 * n / 64),
    "csr": _Backend(_build_csr, _overlaps_by_csr, lambda n, s, a, M: 4 + 0.25 * s),
    "dense": _Backend(_build_dense, _overlaps_by_matmul, lambda n, s, a, M: 1 + 0.034 * n),
}


def cheapest(n: float, s: float, a: float, M: int) -> str:
    """Name of the backend with the lowest modeled cost."""
    return min(BACKENDS, key=lambda name: BACKENDS[name].nanoseconds(n, s, a, M))
