"""One layout for every tensor: rows of data, and the entries that each row holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from neuroml.connectome.tensors import FiberTensor
from neuroml.exceptions import DataError

__all__ = ["Packed", "pack", "unobserved"]


@dataclass(frozen=True)
class Packed:
    """A tensor as rows along one of its modes.

    Attributes
    ----------
    values : ndarray of shape (n_rows, length), RowsOnDisk, or implicit rows
        NaN marks missing values inside a row.
    index : ndarray of int of shape (n_entries, n_modes - 1)
        Places of the entries along the other modes.
    rows : ndarray of int of shape (n_entries,)
        The row that each entry reads; two entries share one where the tensor is symmetric.
    order : tuple of int
        The mode of the tensor that each mode here is; the last one is that along the rows.
    shape : tuple of int
        Sizes of the modes in that order.
    """

    values: Any
    index: np.ndarray
    rows: np.ndarray
    order: tuple[int, ...]
    shape: tuple[int, ...]


def pack(
    tensor: np.ndarray | FiberTensor,
    symmetric_modes: tuple[int, int] | None,
    *,
    check_unseen: bool = True,
    along: int | None = None,
) -> Packed:
    """Arrange a tensor as rows and check it.

    Rows run along the mode with the fewest rows that have missing values, or the longest of such
    modes; in an array, along the mode ``along`` if it is given. Rows that are missing throughout
    are left out. ``check_unseen`` refuses a tensor with an index that is never observed, for which
    no factor could be learned.

    Raises
    ------
    DataError
        If values are negative, an index is never observed, or slices said to be symmetric are not.
    """
    if isinstance(tensor, FiberTensor):
        if symmetric_modes is not None:
            raise DataError(
                "a FiberTensor has no symmetric modes: its pairs stand there once",
                expected="symmetric_modes=None",
                found=symmetric_modes,
                field="symmetric_modes",
            )
        values, index = tensor.values, tensor.index
        if isinstance(values, np.ndarray) and np.isnan(values.sum()):
            seen = ~np.isnan(values).all(axis=1)
            values, index = values[seen], index[seen]
        packed = Packed(
            values,
            index,
            np.arange(len(index)),
            tuple(range(tensor.ndim)),
            tensor.shape,
        )
    else:
        packed = _pack_dense(tensor, symmetric_modes, along)
    _check_values(packed)
    if check_unseen:
        _check_unseen(packed)
    return packed


def _pack_dense(
    tensor: np.ndarray, symmetric_modes: tuple[int, int] | None, along: int | None
) -> Packed:
    pair = _pair_of(tensor, symmetric_modes)
    # rows run along one of the modes that are not symmetric
    free = [mode for mode in range(tensor.ndim) if mode not in pair]
    if along is not None:
        if along not in free:
            raise DataError(
                "the background is constant in time, which is the first mode of an array",
                expected="symmetric_modes without it, such as (1, 2)",
                found=f"symmetric_modes={symmetric_modes}",
                fix="Move time to the front.",
                field="symmetric_modes",
            )
        free = [along]
    broken = _count_broken(tensor, free)
    last = min(free, key=lambda mode: (broken[mode], -tensor.shape[mode], -mode))
    order = (*pair, *(k for k in range(tensor.ndim) if k not in (*pair, last)), last)
    moved = tensor.transpose(order)
    if pair:
        # one row for (i, j) and (j, i)
        first, second = np.triu_indices(moved.shape[0])
        stacked = moved[first, second]
        _check_symmetric(stacked, moved[second, first], pair)
    else:
        stacked = moved
    places = np.indices(stacked.shape[:-1]).reshape(stacked.ndim - 1, -1).T
    values = stacked.reshape(len(places), -1)
    if pair:
        places = np.column_stack([first[places[:, 0]], second[places[:, 0]], places[:, 1:]])
    if any(broken.values()) or np.isnan(values.sum()):
        seen = ~np.isnan(values).all(axis=1)
        values, places = values[seen], places[seen]
    rows = np.arange(len(places))
    # a second entry (j, i) reads the same row, but on the diagonal
    if pair:
        off = places[:, 0] != places[:, 1]
        rows = np.concatenate([rows, rows[off]])
        mirrored = places[off][:, [1, 0, *range(2, places.shape[1])]]
        places = np.concatenate([places, mirrored])
    return Packed(values, places, rows, order, moved.shape)


def _count_broken(tensor: np.ndarray, modes: list[int]) -> dict[int, int]:
    """Number of fibers along each mode that are partly missing."""
    if not np.isnan(tensor.sum()):
        return dict.fromkeys(modes, 0)
    missing = np.isnan(tensor)
    counts = {mode: missing.sum(axis=mode) for mode in modes}
    return {m: int(((n > 0) & (n < tensor.shape[m])).sum()) for m, n in counts.items()}


def _pair_of(tensor: np.ndarray, symmetric_modes: tuple[int, int] | None) -> tuple[int, ...]:
    if symmetric_modes is None:
        return ()
    pair = tuple(int(mode) % tensor.ndim for mode in symmetric_modes)
    if len(set(pair)) != 2 or tensor.ndim < 3 or tensor.shape[pair[0]] != tensor.shape[pair[1]]:
        raise DataError(
            "these modes cannot be symmetric",
            expected="two modes of the same size, in a tensor with a third one",
            found=f"symmetric_modes={symmetric_modes} for shape {tensor.shape}",
            field="symmetric_modes",
        )
    return pair


def _check_symmetric(upper: np.ndarray, lower: np.ndarray, pair: tuple[int, ...]) -> None:
    if np.array_equal(upper, lower):
        return
    # values may differ by the rounding of float32 (1e-5 of the largest)
    one_sided = np.isnan(upper) != np.isnan(lower)
    difference = np.nanmax(np.abs(upper - lower), initial=0.0)
    if one_sided.any() or difference > 1e-5 * np.nanmax(np.abs(upper), initial=0.0):
        raise DataError(
            "slices said to be symmetric are not",
            expected=f"equal values, and missing ones, when modes {pair} are swapped",
            found=f"a largest difference of {difference:.3g} "
            f"and {int(one_sided.sum())} values missing on one side only",
            fix="Average the two halves, or pass symmetric_modes=None.",
            field="symmetric_modes",
        )


def _check_values(packed: Packed) -> None:
    if not len(packed.index):
        raise DataError("every entry is missing", expected="some that are observed", field="X")
    if isinstance(packed.values, np.ndarray) and np.nanmin(packed.values) < 0:
        negative = packed.values[packed.values < 0]
        raise DataError(
            "Negative values in data passed to NonnegativeCP",
            expected="entries >= 0",
            found=f"minimum {negative.min():.4g} in {len(negative)} entries",
            fix="Clip them, or use SlidingWindowConnectivity(negative='zero' or 'absolute').",
            field="X",
        )


def unobserved(packed: Packed, place: int) -> np.ndarray:
    """Return the indices of one mode, by its place in ``order``, that no observed entry has."""
    if place < len(packed.shape) - 1:
        counts = np.bincount(packed.index[:, place], minlength=packed.shape[place])
        return np.flatnonzero(counts == 0)
    if isinstance(packed.values, np.ndarray):
        return np.flatnonzero(np.isnan(packed.values).all(axis=0))
    return np.empty(0, dtype=int)


def _check_unseen(packed: Packed) -> None:
    for place, mode in enumerate(packed.order):
        unseen = unobserved(packed, place)
        if len(unseen):
            raise _never_observed(mode, unseen)


def _never_observed(mode: int, places: np.ndarray) -> DataError:
    return DataError(
        "some of the tensor is never observed, so nothing is known of its loadings",
        expected="every index of every mode in some observed entry",
        found=f"none at {places[:10].tolist()} of mode {mode}",
        fix="Leave these out.",
        field="X",
    )
