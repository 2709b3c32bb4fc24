"""A background that is constant in time: from the tensor's modes to a problem's rows and back."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np

from neuroml.connectome._hals import Problem, background_of, background_shift
from neuroml.connectome._packed import Packed
from neuroml.exceptions import DataError

__all__ = ["background_map", "norm_of_change", "with_constant", "with_known", "with_profiles"]


def norm_of_change(problem: Problem) -> float:
    """Norm of the data less a mean background: starts of this size leave the mean to it."""
    known = problem.constant
    shift = 0.0 if known is None else background_shift(problem, known.sums / known.counts)
    return float(np.sqrt(max(problem.squared_norm + shift, 0.0)))


def with_constant(factors: Any, problem: Problem) -> list[Any]:
    """The factors of a start with those of a background of rank one: its time course is 1."""
    kernels = problem.kernels
    columns = [factor.mean(1)[None] for factor in factors[:-1]] + [factors[-1][:, 0][None] * 0 + 1]
    return [
        kernels.array(kernels.join([factor.T, column]).T)
        for factor, column in zip(factors, columns, strict=True)
    ]


def with_profiles(
    factors: Any, background: Any, order: Any, place: int, problem: Problem
) -> list[Any]:
    """The factors with those of a background of rank one, 1 along the mode of new data."""
    kernels, time = problem.kernels, order[-1]
    modes = [mode for mode in range(len(order)) if mode != time]  # of the background's axes
    extended = []
    for k, (mode, factor) in enumerate(zip(order, factors, strict=True)):
        column = np.ones(len(factor))
        if k != place and mode != time:
            # a tensor of rank one is the product of its sums along all axes but one
            others = tuple(axis for axis, other in enumerate(modes) if other != mode)
            sums = background.sum(axis=others)
            column = sums / (np.linalg.norm(sums) or 1.0)
        extended.append(kernels.array(kernels.join([factor.T, kernels.array(column)[None]]).T))
    return extended


def with_known(problem: Problem, packed: Packed, background: Any) -> Problem:
    """The problem with the background that a fit found, at the places of its rows."""
    given = np.empty(len(np.bincount(packed.rows)))
    given[packed.rows] = np.transpose(background, _axes_without_time(packed))[tuple(packed.index.T)]
    if np.isnan(given).any():
        raise DataError(
            "the background of some fibers is not known, since the fit did not see them",
            expected="fibers that were observed in fit",
            found=f"{int(np.isnan(given).sum())} others",
            fix="Leave these out.",
            field="X",
        )
    known = replace(problem.constant, given=problem.kernels.array(given))  # type: ignore[type-var]
    return replace(problem, constant=known)


def _axes_without_time(packed: Packed) -> list[int]:
    """The axis of a background that each mode but the last is."""
    return [int(k) for k in np.argsort(np.argsort(packed.order[:-1]))]


def background_map(factors: Any, packed: Packed, problem: Problem) -> np.ndarray | None:
    """The background (the tensor's shape without time), or None."""
    axes = np.argsort(_axes_without_time(packed))
    if problem.n_held:
        columns = [problem.kernels.to_numpy(factor)[:, -1] for factor in factors[:-1]]
        return np.transpose(reduce(np.multiply.outer, columns), axes)
    found = background_of(problem, factors)
    if found is None:
        return None
    dense = np.full(packed.shape[:-1], np.nan)
    dense[tuple(packed.index.T)] = problem.kernels.to_numpy(found)[packed.rows]
    return np.transpose(dense, axes)
