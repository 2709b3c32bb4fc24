"""What is held out of a tensor so that nothing that is fitted tells it.

Two kinds. Fibers (a pair in a subject; both entries of a symmetric pair) are left out of the fit,
and predicted by their indices' factors. Whole slices (a stretch of time, a subject) are left out
with their neighbors; half of their fibers then say how strong each component is there, and the
other half is predicted, so that the patterns are judged and not the slice's own noise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import combinations
from operator import mul
from typing import Any

import numpy as np
from tensorly.cp_tensor import CPTensor

from neuroml._core.dependence import autocorrelation_time
from neuroml._core.validation import as_given, as_numbers, break_points
from neuroml.connectome.nonnegative_cp import NonnegativeCP
from neuroml.connectome.tensors import FiberTensor
from neuroml.exceptions import DataError

__all__ = [
    "Holdout",
    "Layout",
    "fiber_products",
    "held_out_error",
    "hold_out",
    "in_memory",
    "layout_of",
]


@dataclass(frozen=True)
class Layout:
    """A tensor with time last, and which of its fibers are one piece of data.

    Attributes
    ----------
    tensor : FiberTensor
        Its values in memory; both entries of a symmetric pair have their fiber.
    units : ndarray of int of shape (n_fibers,)
        Fibers of the same number hold the same data.
    symmetric : bool
    """

    tensor: FiberTensor
    units: np.ndarray
    symmetric: bool

    @property
    def n_subjects(self) -> int:
        """Number of subjects, 0 where no axis is called so."""
        axes = self.tensor.axes
        return self.tensor.shape[axes.index("subject")] if "subject" in axes else 0


@dataclass(frozen=True)
class Holdout:
    """What one fold leaves out: fibers, or slices of a mode.

    Attributes
    ----------
    fibers : ndarray of bool of shape (n_fibers,)
        Fibers that are left out; of slices, those that are predicted from the others, and which
        predict the others.
    mode : int, optional
        The mode whose slices are left out; None for fibers.
    train, test : ndarray of int, optional
        Slices.
    """

    fibers: np.ndarray
    mode: int | None = None
    train: Any = None
    test: Any = None


def layout_of(given: Any, time_mode: int | None, symmetric_modes: tuple[int, int] | None) -> Layout:
    """Put time last, and find the pairs of a symmetric tensor.

    Parameters
    ----------
    given : FiberTensor or array-like
    time_mode : int, optional
        By default, the mode that the tensor calls time or window; else the one beside a pair of
        symmetric modes; else the last one.
    symmetric_modes : tuple of two int, optional
        By default, modes whose exchange leaves the tensor as it is.

    Raises
    ------
    DataError
        If several pairs of modes are symmetric, or time is one of a symmetric pair.
    """
    if isinstance(given, FiberTensor) and given.axes:
        return _fibers_with_names(given, time_mode)
    # a DataArray comes with time first, by the name of its axis
    names = tuple(sorted(map(str, getattr(given, "dims", ())), key=lambda name: name != "time"))
    if isinstance(given, FiberTensor):
        dense = given.to_dense()
    else:
        dense = as_numbers(as_given(given, "tensor"), "tensor").astype(np.float64)
    if dense.ndim < 2 or np.isinf(dense).any() or np.isnan(dense).all():
        raise DataError(
            "this is no tensor whose rank could be chosen",
            expected="two or more modes, finite numbers or NaN, some of them observed",
            found=f"shape {dense.shape}, {int(np.isinf(dense).sum())} infinite, "
            f"{int(np.isnan(dense).sum())} missing",
            field="tensor",
        )
    if time_mode is None:
        time_mode = next((k for k, name in enumerate(names) if name in ("time", "window")), None)
    pair = _symmetric_pair(dense, time_mode, symmetric_modes)
    if time_mode is None:
        free = [mode for mode in range(dense.ndim) if mode not in pair]
        time_mode = free[0] if pair else dense.ndim - 1
    time = _checked_mode(time_mode, dense.ndim)
    if time in pair:
        raise DataError(
            "time cannot be one of two symmetric modes",
            expected=f"a mode other than {pair}",
            found=f"time_mode={time_mode}",
            field="time_mode",
        )
    order = (*pair, *(k for k in range(dense.ndim) if k not in (*pair, time)), time)
    kept = tuple(names[k] for k in order) if names else ()
    moved = np.array(dense.transpose(order))
    if pair:
        _forget_constant_diagonal(moved)
    tensor = FiberTensor.from_dense(moved, axes=kept)
    return Layout(tensor, _units_of(tensor, bool(pair)), bool(pair))


def _fibers_with_names(tensor: FiberTensor, time_mode: int | None) -> Layout:
    if time_mode is not None and _checked_mode(time_mode, tensor.ndim) != tensor.ndim - 1:
        raise DataError(
            "the fibers of a FiberTensor run along its last mode, which is time",
            expected=f"time_mode=None or {tensor.ndim - 1}",
            found=f"time_mode={time_mode}",
            field="time_mode",
        )
    held = in_memory(tensor)
    return Layout(replace(tensor, values=held), tensor.units, symmetric=False)


def in_memory(tensor: FiberTensor) -> np.ndarray:
    """All fibers (n_fibers, length), whether they are held, read or computed."""
    if isinstance(tensor.values, np.ndarray):
        return tensor.values
    return np.concatenate([block for _, block in tensor.values.blocks()])


def _checked_mode(mode: int, ndim: int) -> int:
    if not -ndim <= mode < ndim:
        raise DataError(
            "the tensor has no such mode",
            expected=f"0 to {ndim - 1}",
            found=f"time_mode={mode}",
            field="time_mode",
        )
    return mode % ndim


def _symmetric_pair(
    dense: np.ndarray, time: int | None, given: tuple[int, int] | None
) -> tuple[int, ...]:
    """The two modes whose exchange leaves the tensor as it is; () if there are none."""
    if given is not None:
        return tuple(sorted(_checked_mode(int(mode), dense.ndim) for mode in given))
    if dense.ndim < 3:
        return ()
    found = [pair for pair in combinations(range(dense.ndim), 2) if _is_symmetric(dense, pair)]
    if time is not None and len(found) > 1:
        found = [pair for pair in found if time % dense.ndim not in pair]
    if len(found) > 1:
        raise DataError(
            "several pairs of modes are symmetric, so it is not plain which one is time",
            expected="time_mode=, or a model with symmetric_modes=",
            found=f"pairs {found} of a tensor of shape {dense.shape}",
            field="time_mode",
        )
    return found[0] if found else ()


def _is_symmetric(dense: np.ndarray, pair: tuple[int, int]) -> bool:
    """Whether two modes can be exchanged, up to the rounding of float32."""
    if dense.shape[pair[0]] != dense.shape[pair[1]] or dense.shape[pair[0]] < 2:
        return False
    largest = np.nanmax(np.abs(dense), initial=0.0)
    return np.allclose(dense, dense.swapaxes(*pair), rtol=0, atol=1e-5 * largest, equal_nan=True)


def _forget_constant_diagonal(dense: np.ndarray) -> None:
    """Mark as missing a diagonal of the first two modes that holds one number throughout.

    The 1 of a correlation with itself is no observation, but an identity matrix takes as many
    components as it has rows, so that every further one would predict held-out ones better.
    """
    diagonal = np.arange(len(dense))
    held = dense[diagonal, diagonal]
    if np.nanmax(held, initial=-np.inf) - np.nanmin(held, initial=np.inf) <= 1e-5:
        dense[diagonal, diagonal] = np.nan


def _units_of(tensor: FiberTensor, symmetric: bool) -> np.ndarray:
    if not symmetric:
        return np.arange(len(tensor.index))
    places = tensor.index.copy()
    places[:, :2].sort(axis=1)
    return np.unique(places, axis=0, return_inverse=True)[1].ravel()


def hold_out(
    layout: Layout,
    holdout: str,
    n_folds: int,
    gap: int | None,
    groups: Any,
    rng: np.random.Generator,
) -> tuple[list[Holdout], int]:
    """Return what every fold leaves out, and the gap of blocks of time (0 for other kinds)."""
    length, last = layout.tensor.shape[-1], layout.tensor.ndim - 1
    most = length if holdout == "time_block" else int(layout.units.max()) + 1
    if not 2 <= n_folds <= most:
        raise DataError(
            "the data cannot be cut into that many folds",
            expected=f"2 to {most}",
            found=f"n_folds={n_folds}",
            field="n_folds",
        )
    if holdout in ("fiber", "pair"):
        return list(_fibers(layout, n_folds, rng)), 0
    if holdout == "subject":
        mode = last if groups is not None else layout.tensor.axes.index("subject")
        labels = np.arange(layout.n_subjects) if groups is None else groups
        names = rng.permutation(np.unique(labels))
        parts = np.array_split(names, min(n_folds, len(names)))
        tests, reach = [np.flatnonzero(np.isin(labels, part)) for part in parts], 0
    else:
        reach = _gap_of(layout.tensor, gap, n_folds, groups)
        mode, tests = last, np.array_split(np.arange(length), n_folds)
    every = np.arange(layout.tensor.shape[mode])
    folds = []
    for test in tests:
        near = (np.abs(every[:, None] - test) <= reach).any(axis=1)
        folds.append(Holdout(_half(layout.units, rng), mode, np.flatnonzero(~near), test))
    return folds, reach


def _half(units: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random half of the pieces of data."""
    n_units = int(units.max()) + 1
    return (rng.permutation(n_units) % 2 == 0)[units]


def _gap_of(tensor: FiberTensor, gap: int | None, n_folds: int, groups: Any) -> int:
    """Slices left out on either side of a block; by default, what the data remember."""
    length = tensor.shape[-1]
    block = length // n_folds
    if gap is None:
        starts = np.zeros(length, dtype=np.int64)
        if groups is not None:
            starts[break_points(groups)[1:]] = 1
        memory = autocorrelation_time(tensor.values.T, np.cumsum(starts))
        # a longer gap would leave less than half of the data to fit
        gap = min(int(np.ceil(memory)) if memory > 1 else 0, block)
    if gap < 0 or length - block - 2 * gap < 2:
        raise DataError(
            "blocks of time and the gaps around them leave nothing to fit",
            expected=f"0 <= 2 * gap < {length - block - 1} of {length} slices in {n_folds} folds",
            found=f"gap={gap}",
            fix="Use a smaller gap, or more folds.",
            field="gap",
        )
    return gap


def _fibers(layout: Layout, n_folds: int, rng: np.random.Generator) -> Iterator[Holdout]:
    """Leave out whole fibers at random, each in one fold."""
    n_units = int(layout.units.max()) + 1
    fold = rng.permutation(np.arange(n_units) % n_folds)[layout.units]
    for f in range(n_folds):
        yield Holdout(_keep_every_index(layout, fold == f))


def _keep_every_index(layout: Layout, mask: np.ndarray) -> np.ndarray:
    """Put back fibers without which an index has no data, and check that some stay left out."""
    tensor, mask = layout.tensor, mask.copy()
    left = ~mask
    for size, places in zip(tensor.shape[:-1], tensor.index.T, strict=True):
        shown = np.bincount(places[left], minlength=size) > 0
        # both entries of a pair come back, or the one would tell the other
        mask[np.isin(layout.units, layout.units[~shown[places]])] = False
    if not mask.any():
        raise DataError(
            "nothing can be left out: every fiber is the only one of its pair or subject",
            expected="pairs seen in at least two subjects",
            found=f"{len(mask)} fibers for shape {tensor.shape}",
            fix="Use holdout='time_block'.",
            field="tensor",
        )
    return mask


def held_out_error(estimator: NonnegativeCP, layout: Layout, fold: Holdout) -> float:
    """Relative error of a fit on the data that a fold left out."""
    tensor, index = layout.tensor, layout.tensor.index
    if fold.mode is None:
        kept = ~fold.fibers
        fitted = estimator.fit(replace(tensor, values=tensor.values[kept], index=index[kept]))
        target = tensor.values[fold.fibers]
        # the ridge shrinks every component by 1 / (1 + ridge), which is undone
        model = _predicted(fitted.cp_, index[fold.fibers]) * (1 + estimator.ridge)
        return _relative(target, model)
    training, places = _compressed(_taken(tensor, fold.mode, fold.train))
    estimator.set_params(sample_mode=fold.mode).fit(training)
    parts = []
    for shown in (fold.fibers, ~fold.fibers):
        known = _within(_taken(tensor, fold.mode, fold.test, shown), places, fold.mode)
        asked = _within(_taken(tensor, fold.mode, fold.test, ~shown), places, fold.mode)
        factors = list(estimator.cp_.factors)
        factors[fold.mode] = estimator.transform(known)
        model = _predicted(CPTensor((None, factors)), asked.index)
        if estimator.background_ is not None:
            model = model + estimator.background_[tuple(asked.index.T)][:, None]
        parts.append((asked.values, model))
    targets, models = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    return _relative(targets, models)


def _relative(target: np.ndarray, model: np.ndarray) -> float:
    known = ~np.isnan(target) & ~np.isnan(model)
    norm = np.linalg.norm(target[known])
    return float(np.linalg.norm(target[known] - model[known]) / norm) if norm > 0 else float("nan")


def fiber_products(factors: Sequence[np.ndarray], index: np.ndarray) -> np.ndarray:
    """Product of all factors but the last for each fiber (n_fibers, R)."""
    return reduce(mul, (f[i] for f, i in zip(factors[:-1], index.T, strict=True)))


def _predicted(cp: CPTensor, index: np.ndarray) -> np.ndarray:
    weights = 1.0 if cp.weights is None else cp.weights
    return (fiber_products(cp.factors, index) * weights) @ cp.factors[-1].T


def _taken(
    tensor: FiberTensor, mode: int, slices: np.ndarray, fibers: np.ndarray | None = None
) -> FiberTensor:
    """Some slices of a mode, numbered anew, of some fibers."""
    chosen = np.ones(len(tensor.index), dtype=bool) if fibers is None else fibers
    shape = (*tensor.shape[:mode], len(slices), *tensor.shape[mode + 1 :])
    if mode == tensor.ndim - 1:
        values, index = tensor.values[chosen][:, slices], tensor.index[chosen]
        return FiberTensor(values, index, shape)
    number = np.full(tensor.shape[mode], -1)
    number[slices] = np.arange(len(slices))
    chosen = chosen & (number[tensor.index[:, mode]] >= 0)
    index = tensor.index[chosen]
    index[:, mode] = number[index[:, mode]]
    return FiberTensor(tensor.values[chosen], index, shape)


def _compressed(tensor: FiberTensor) -> tuple[FiberTensor, list[np.ndarray]]:
    """Leave out indices without data, such as pairs that only what is held out has."""
    seen = ~np.isnan(tensor.values).all(axis=1)
    places = [np.unique(column[seen]) for column in tensor.index.T]
    return _within(replace(tensor, values=tensor.values[seen], index=tensor.index[seen]),
                   places, None), places  # fmt: skip


def _within(
    tensor: FiberTensor, places: Sequence[np.ndarray], sample_mode: int | None
) -> FiberTensor:
    """The fibers whose indices a fit knows, numbered as there, but along the mode of samples."""
    index, shape = tensor.index, list(tensor.shape)
    kept = np.ones(len(index), dtype=bool)
    columns = []
    for mode, known in enumerate(places):
        column = index[:, mode]
        if mode != sample_mode:
            number = np.full(shape[mode], -1)
            number[known] = np.arange(len(known))
            column, shape[mode] = number[column], len(known)
            kept &= column >= 0
        columns.append(column)
    return FiberTensor(tensor.values[kept], np.column_stack(columns)[kept], tuple(shape))
