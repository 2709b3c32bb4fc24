"""Sparse binary patterns: random ones, noisy ones, unions of several."""

from __future__ import annotations

from numbers import Integral
from typing import Literal

import numba
import numpy as np
from scipy import sparse

from neuroml._core.estimator import check_option
from neuroml._core.parallel import RandomState, spawn_generators
from neuroml.exceptions import DataError

__all__ = ["add_pattern_noise", "make_patterns", "unite_patterns"]


@numba.njit(cache=True, nogil=True)
def draw_subset(rng: np.random.Generator, cells: np.ndarray, size: int) -> None:
    """Shuffle a random subset of ``size`` cells to the front of ``cells``, in place."""
    n = len(cells)
    for i in range(size):
        j = i + int(rng.random() * (n - i))
        cells[i], cells[j] = cells[j], cells[i]


@numba.njit(cache=True, nogil=True)
def _draw_patterns(rng: np.random.Generator, n: int, chosen: np.ndarray) -> None:
    cells = np.arange(n, dtype=chosen.dtype)
    size = chosen.shape[1]
    for row in chosen:
        draw_subset(rng, cells, size)
        row[:] = cells[:size]


@numba.njit(cache=True, nogil=True)
def _add_noise(
    rng: np.random.Generator,
    n: int,
    pattern: np.ndarray,
    n_removed: int,
    n_added: int,
    noisy: np.ndarray,
) -> None:
    """Write the active cells of one noisy pattern to ``noisy``: the kept ones, then new ones."""
    kept = len(pattern) - n_removed
    active = pattern.copy()
    draw_subset(rng, active, kept)
    noisy[:kept] = active[:kept]
    silent = np.ones(n, dtype=np.bool_)
    silent[pattern] = False
    others = np.flatnonzero(silent)
    draw_subset(rng, others, n_added)
    noisy[kept:] = others[:n_added]


def make_patterns(
    n_patterns: int, n: int, a: int, *, random_state: RandomState = None
) -> sparse.csr_array:
    """Draw random patterns of ``a`` active cells out of ``n``.

    Parameters
    ----------
    n_patterns, n, a : int
        Patterns, cells, active cells in each.
    random_state : int, RandomState, Generator or None

    Returns
    -------
    csr_array of uint8 of shape (n_patterns, n)
        Ones at the active cells, sorted within a row.

    Raises
    ------
    DataError
        If an argument is no whole number, or a is not between 0 and n.

    Examples
    --------
    >>> from neuroml.simulate import make_patterns
    >>> patterns = make_patterns(3, n=100, a=5, random_state=0)
    >>> patterns.shape, patterns.sum(axis=1).tolist()
    ((3, 100), [5, 5, 5])
    """
    for name, count in {"n_patterns": n_patterns, "n": n, "a": a}.items():
        if not isinstance(count, Integral):
            raise DataError(f"{name} must be a count", expected="an int", found=count, field=name)
    if not 0 <= a <= n:
        raise DataError("too many active cells", expected=f"0 <= a <= n = {n}", found=a, field="a")
    chosen = np.empty((n_patterns, a), dtype=np.int32)
    _draw_patterns(spawn_generators(random_state, 1)[0], n, chosen)
    return _binary(chosen, np.arange(n_patterns + 1) * a, n)


def add_pattern_noise(
    patterns: sparse.csr_array,
    v: int,
    *,
    kind: Literal["swap", "drop", "add"] = "swap",
    random_state: RandomState = None,
) -> sparse.csr_array:
    """Change ``v`` cells of every pattern.

    Parameters
    ----------
    patterns : csr_array of shape (n_patterns, n)
        Binary.
    v : int
        Number of cells.
    kind : {"swap", "drop", "add"}, default="swap"
        Silence v active cells, activate v silent ones, or both. A cell that was silenced is never
        activated again.
    random_state : int, RandomState, Generator or None

    Returns
    -------
    csr_array of uint8 of shape (n_patterns, n)

    Raises
    ------
    DataError
        If a pattern has too few active or silent cells.

    Examples
    --------
    >>> from neuroml.simulate import add_pattern_noise, make_patterns
    >>> patterns = make_patterns(2, n=100, a=5, random_state=0)
    >>> noisy = add_pattern_noise(patterns, 2, random_state=0)
    >>> patterns.multiply(noisy).sum(axis=1).tolist()
    [3, 3]
    """
    check_option(kind, ("swap", "drop", "add"), "kind")
    n_removed, n_added = (0 if kind == "add" else v), (0 if kind == "drop" else v)
    n = patterns.shape[1]
    sizes = np.diff(patterns.indptr)
    if v < 0 or np.any(sizes < n_removed) or np.any(n - sizes < n_added):
        raise DataError(
            f"cannot {kind} {v} cells of every pattern",
            expected=f">= {n_removed} active and >= {n_added} silent cells in each",
            found=f"{sizes.min()} to {sizes.max()} active cells of {n}",
            field="v",
        )
    rng = spawn_generators(random_state, 1)[0]
    ends = np.concatenate([[0], np.cumsum(sizes - n_removed + n_added)])
    noisy = np.empty(ends[-1], dtype=np.int32)
    for row in range(len(sizes)):
        pattern = patterns.indices[patterns.indptr[row] : patterns.indptr[row + 1]]
        _add_noise(rng, n, pattern, n_removed, n_added, noisy[ends[row] : ends[row + 1]])
    return _binary(noisy, ends, n)


def unite_patterns(patterns: sparse.csr_array, size: int) -> sparse.csr_array:
    """Unite every ``size`` consecutive patterns into one; the last union may hold fewer.

    Parameters
    ----------
    patterns : csr_array of shape (n_patterns, n)
        Binary.
    size : int
        Patterns per union.

    Returns
    -------
    csr_array of uint8 of shape (ceil(n_patterns / size), n)

    Raises
    ------
    DataError
        If size is less than one.

    Examples
    --------
    >>> from neuroml.simulate import make_patterns, unite_patterns
    >>> unite_patterns(make_patterns(5, n=100, a=5, random_state=0), 2).shape
    (3, 100)
    """
    if size < 1:
        raise DataError("a union needs patterns", expected="size >= 1", found=size, field="size")
    n_patterns, n = patterns.shape
    starts = np.append(np.arange(0, n_patterns, size), n_patterns)
    united = sparse.csr_array(
        (np.ones(patterns.nnz, np.uint8), patterns.indices.copy(), patterns.indptr[starts]),
        shape=(len(starts) - 1, n),
    )
    united.sum_duplicates()
    united.data[:] = 1
    return united


def _binary(cells: np.ndarray, ends: np.ndarray, n: int) -> sparse.csr_array:
    """Binary rows whose active cells are given one row after another."""
    small = np.iinfo(np.int32).max
    ends = ends.astype(np.int32 if ends[-1] <= small else np.int64)
    ones = np.ones(cells.size, dtype=np.uint8)
    cells = cells.reshape(-1).astype(ends.dtype, copy=False)
    rows = sparse.csr_array((ones, cells, ends), shape=(len(ends) - 1, n))
    rows.sort_indices()
    return rows
