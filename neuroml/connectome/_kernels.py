"""The inner loops of the factorization, compiled for the CPU by numba.

`_torch_kernels` has the same functions for GPUs. Throughout, a factor is (size, n_components), data
are rows along the last mode (n_rows, length), and an *entry* is one place of a row in the tensor:
entry ``e`` lies in row ``rows[e]``, and its factor rows are multiplied with ``partner[place[e]]``,
the product of the other factors there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = [
    "across",
    "along",
    "array",
    "design",
    "diagonal",
    "gather",
    "gather_grams",
    "hals",
    "join",
    "squared_norms",
    "stack",
    "sum_by",
    "to_numpy",
]

_fast = njit(cache=True, fastmath=True, nogil=True, error_model="numpy")
# Rows that are updated by the same instructions: two registers of eight doubles (AVX-512).
_LANES = 16
# Rows whose contraction is summed in the data's type before it is added in float64: few enough for
# the rounding of float32, and for the rows to stay in the cache.
_BLOCK = 2048
# From so many components on, BLAS is faster than the loops below, which win for few: it packs the
# large operand first, which costs as much as the product then.
_MANY_COLUMNS = 24


def array(values: Any, dtype: Any = np.float64) -> np.ndarray:
    """Convert values to the array type of these kernels."""
    return np.ascontiguousarray(values, dtype=dtype)


def to_numpy(values: np.ndarray) -> np.ndarray:
    """Convert an array of these kernels to NumPy."""
    return values


def diagonal(values: np.ndarray) -> np.ndarray:
    """Return the diagonal matrix of the given values."""
    return np.diag(values)


def join(parts: list[np.ndarray]) -> np.ndarray:
    """Concatenate arrays along the first axis."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def sum_by(values: np.ndarray, labels: np.ndarray, n_labels: int) -> np.ndarray:
    """Sum the values of each label: (n_labels, ...)."""
    out = np.zeros((n_labels, *values.shape[1:]))
    np.add.at(out, labels, values)
    return out


def squared_norms(data: np.ndarray) -> np.ndarray:
    """Compute the squared norm of every row, in float64."""
    out = np.empty(len(data))
    _squared_norms(data, out)
    return out


@_fast
def _squared_norms(data, out):  # type: ignore[no-untyped-def]
    for i in range(len(data)):
        total = 0.0
        for value in data[i]:
            total += np.float64(value) * value
        out[i] = total


def along(data: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """``data @ factor``: contract the last mode; (n_rows, n_components) in the type of the data."""
    n_components = factor.shape[1]
    if n_components >= _MANY_COLUMNS:
        return data @ factor.astype(data.dtype)
    # the kernel takes two components at a time: a column of zeros makes their number even
    even = np.zeros((n_components + n_components % 2, len(factor)), dtype=data.dtype)
    even[:n_components] = factor.T
    out = np.empty((len(data), len(even)), dtype=data.dtype)
    _along(data, even, out)
    return out[:, :n_components]


def across(data: np.ndarray, design: np.ndarray) -> np.ndarray:
    """``data.T @ design``: contract the rows; (length, n_components), summed in float64."""
    n_components = design.shape[1]
    if n_components >= _MANY_COLUMNS:
        narrow = design.astype(data.dtype, copy=False)
        starts = range(0, len(data), _BLOCK)
        parts = (narrow[i : i + _BLOCK].T @ data[i : i + _BLOCK] for i in starts)
        total = np.zeros((n_components, data.shape[1]))
        for part in parts:
            total += part
        return np.ascontiguousarray(total.T)
    even = np.zeros((n_components + n_components % 2, len(data)), dtype=data.dtype)
    even[:n_components] = design.T
    out = np.zeros((len(even), data.shape[1]))
    _across(data, even, out)
    return np.ascontiguousarray(out[:n_components].T)


@_fast
def _along(data, factor, out):  # type: ignore[no-untyped-def]
    """Four rows times two components at a time, so that each value loaded is used repeatedly."""
    n_rows, length = data.shape
    whole = n_rows - n_rows % 4
    zero = data.dtype.type(0)
    for i in range(0, whole, 4):
        x0, x1, x2, x3 = data[i], data[i + 1], data[i + 2], data[i + 3]
        for r in range(0, len(factor), 2):
            u, v = factor[r], factor[r + 1]
            # eight sums in registers for six loads
            a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = zero
            for t in range(length):
                a0 += x0[t] * u[t]
                a1 += x1[t] * u[t]
                a2 += x2[t] * u[t]
                a3 += x3[t] * u[t]
                b0 += x0[t] * v[t]
                b1 += x1[t] * v[t]
                b2 += x2[t] * v[t]
                b3 += x3[t] * v[t]
            out[i, r], out[i + 1, r], out[i + 2, r], out[i + 3, r] = a0, a1, a2, a3
            out[i, r + 1], out[i + 1, r + 1] = b0, b1
            out[i + 2, r + 1], out[i + 3, r + 1] = b2, b3
    # the last rows, fewer than four
    for i in range(whole, n_rows):
        for r in range(len(factor)):
            out[i, r] = np.dot(data[i], factor[r])


@_fast
def _across(data, design, out):  # type: ignore[no-untyped-def]
    """Eight rows at a time; sums over blocks of rows in the data's type, over blocks in float64."""
    n_rows, length = data.shape
    partial = np.empty((len(design), length), data.dtype)
    for first in range(0, n_rows, _BLOCK):
        last = min(first + _BLOCK, n_rows)
        whole = last - (last - first) % 8
        partial[:] = 0
        for i in range(first, whole, 8):
            x0, x1, x2, x3 = data[i], data[i + 1], data[i + 2], data[i + 3]
            x4, x5, x6, x7 = data[i + 4], data[i + 5], data[i + 6], data[i + 7]
            for r in range(len(design)):
                d0, d1, d2, d3 = design[r, i], design[r, i + 1], design[r, i + 2], design[r, i + 3]
                d4, d5, d6, d7 = (
                    design[r, i + 4],
                    design[r, i + 5],
                    design[r, i + 6],
                    design[r, i + 7],
                )
                total = partial[r]
                for t in range(length):
                    low = x0[t] * d0 + x1[t] * d1 + x2[t] * d2 + x3[t] * d3
                    total[t] += low + (x4[t] * d4 + x5[t] * d5 + x6[t] * d6 + x7[t] * d7)
        # the last rows of the block, fewer than eight
        for i in range(whole, last):
            for r in range(len(design)):
                partial[r] += data[i] * design[r, i]
        out += partial


def gather(contracted, entries, partner):  # type: ignore[no-untyped-def]
    """Sum ``contracted[row] * partner[place]`` over the entries of each index: (size, R)."""
    out = np.zeros((len(entries.starts) - 1, partner.shape[1]))
    _gather(contracted, entries.starts, entries.rows, entries.places, partner, out)
    return out


@_fast
def _gather(contracted, starts, rows, places, partner, out):  # type: ignore[no-untyped-def]
    n_components = partner.shape[1]
    for i in range(len(out)):
        for e in range(starts[i], starts[i + 1]):
            row, place = rows[e], places[e]
            for r in range(n_components):
                out[i, r] += contracted[row, r] * partner[place, r]


def design(factor, entries, partner, n_rows):  # type: ignore[no-untyped-def]
    """Sum the products of all factors but the last over the entries of each row: (n_rows, R)."""
    out = np.zeros((n_rows, partner.shape[1]))
    _design(factor, entries.starts, entries.rows, entries.places, partner, out)
    return out


@_fast
def _design(factor, starts, rows, places, partner, out):  # type: ignore[no-untyped-def]
    n_components = partner.shape[1]
    for i in range(len(factor)):
        for e in range(starts[i], starts[i + 1]):
            row, place = rows[e], places[e]
            for r in range(n_components):
                out[row, r] += factor[i, r] * partner[place, r]


def gather_grams(entries, partner, grams, which):  # type: ignore[no-untyped-def]
    """Compute the normal matrix of each index (size, R, R) from the entries that are observed.

    Sum over entries of (partner partner^T) * (C^T C over the samples observed in the row).
    """
    n_components = partner.shape[1]
    out = np.zeros((len(entries.starts) - 1, n_components, n_components))
    _gather_grams(entries.starts, entries.rows, entries.places, partner, grams, which, out)
    return out


@_fast
def _gather_grams(starts, rows, places, partner, grams, which, out):  # type: ignore[no-untyped-def]
    n_components = partner.shape[1]
    for i in range(len(out)):
        for e in range(starts[i], starts[i + 1]):
            gram, place = grams[which[rows[e]]], places[e]
            for r in range(n_components):
                for q in range(n_components):
                    out[i, r, q] += gram[r, q] * partner[place, r] * partner[place, q]


def hals(factor, projected, gram, n_passes):  # type: ignore[no-untyped-def]
    """Minimize ``a @ gram @ a - 2 * projected @ a`` by coordinate descent, a >= 0, for each row.

    Column r has its exact minimum, given the others, at
    a_r = max(0, (m_r - sum_{q != r} g_rq a_q) / g_rr) (Gillis and Glineur 2012).
    Returns a new factor.
    """
    out = factor.copy()
    if gram.ndim == 2:
        _hals_shared(out, projected, gram, n_passes)
    else:
        _hals_own(out, projected, gram, n_passes)
    return out


@_fast
def _hals_shared(factor, projected, gram, n_passes):  # type: ignore[no-untyped-def]
    """A block of rows at a time, transposed so that one instruction updates all of them."""
    n_rows, n_components = factor.shape
    a = np.zeros((n_components, _LANES))
    m = np.zeros((n_components, _LANES))
    total = np.empty(_LANES)
    for first in range(0, n_rows, _LANES):
        size = min(_LANES, n_rows - first)
        a[:, :size] = factor[first : first + size].T
        m[:, :size] = projected[first : first + size].T
        for _ in range(n_passes):
            for r in range(n_components):
                if gram[r, r] > 0:
                    # m_r - sum_{q != r} g_rq a_q; the sum runs over all q, g_rr a_r is added first
                    for k in range(_LANES):
                        total[k] = m[r, k] + gram[r, r] * a[r, k]
                    for q in range(n_components):
                        g = gram[r, q]
                        for k in range(_LANES):
                            total[k] -= g * a[q, k]
                    inverse = 1 / gram[r, r]
                    for k in range(_LANES):
                        a[r, k] = max(total[k] * inverse, 0.0)
        factor[first : first + size] = a[:, :size].T


@_fast
def _hals_own(factor, projected, gram, n_passes):  # type: ignore[no-untyped-def]
    """As `_hals_shared`, where every row has a normal matrix of its own."""
    n_rows, n_components = factor.shape
    a = np.zeros((n_components, _LANES))
    m = np.zeros((n_components, _LANES))
    g = np.ones((n_components, n_components, _LANES))  # ones: lanes without a row stay finite
    total = np.empty(_LANES)
    for first in range(0, n_rows, _LANES):
        size = min(_LANES, n_rows - first)
        for k in range(size):
            for r in range(n_components):
                a[r, k] = factor[first + k, r]
                m[r, k] = projected[first + k, r]
                for q in range(n_components):
                    g[r, q, k] = gram[first + k, r, q]
        for _ in range(n_passes):
            for r in range(n_components):
                for k in range(_LANES):
                    total[k] = m[r, k] + g[r, r, k] * a[r, k]
                for q in range(n_components):
                    for k in range(_LANES):
                        total[k] -= g[r, q, k] * a[q, k]
                for k in range(_LANES):
                    if g[r, r, k] > 0:
                        a[r, k] = max(total[k] / g[r, r, k], 0.0)
        factor[first : first + size] = a[:, :size].T


def stack(matrices):  # type: ignore[no-untyped-def]
    """Concatenate matrices side by side; also return how to take blocks of such rows apart."""
    if len(matrices) == 1:
        return matrices[0], lambda parts: [join(parts)]
    ends = np.cumsum([matrix.shape[1] for matrix in matrices])

    def split(parts):  # type: ignore[no-untyped-def]
        return [np.ascontiguousarray(part) for part in np.split(join(parts), ends[:-1], axis=1)]

    return np.concatenate(matrices, axis=1), split
