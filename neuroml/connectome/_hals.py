r"""Non-negative CP by hierarchical alternating least squares on observed fibers.

The objective, over observed entries :math:`(i, j, \ldots, t)`, is

.. math::
    \sum (x_{ij\ldots t} - \sum_r a_{ir} b_{jr} \cdots c_{tr})^2
    + \sum_r \alpha_r (\rho \|c_r\|^2 + \mu \|\nabla c_r\|^2)
    + \lambda \sum_r \|a_r\|_1 \|b_r\|_1 \cdots \|c_r\|_1, \quad
    \alpha_r = \|a_r\|^2 \|b_r\|^2 \cdots

with ridge :math:`\rho`, smoothness :math:`\mu` along the last mode, sparsity :math:`\lambda`. All
penalties are unchanged when scale moves from one factor to another, so none is escaped that way,
and each is quadratic or linear in every single factor: every update below minimizes exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import mul
from types import ModuleType
from typing import Any

import numpy as np

from neuroml._core.iteration import FitTrace, iterate_together
from neuroml.connectome._fibers import Fibers
from neuroml.connectome._rows import Rows

__all__ = [
    "Gaps",
    "Penalty",
    "Position",
    "Problem",
    "climb_factors",
    "normal_equations",
    "quadratic",
    "sweep",
]

Factors = Sequence[Any]
SWEEPS = 10
ALTERNATIONS = 2


@dataclass(frozen=True)
class Penalty:
    """Weights of the three penalties, all relative to the data's own scale."""

    ridge: float = 0.0
    sparsity: float = 0.0
    smoothness: float = 0.0


@dataclass(frozen=True)
class Gaps:
    """Broken rows: which they are, and where they are observed.

    Attributes
    ----------
    which : array of int of shape (n_rows,)
        0 for whole rows, else one more than the place in ``seen``.
    seen : array of shape (n_broken, length)
        1 where observed, 0 where missing (there the data hold 0).
    """

    which: Any
    seen: Any


@dataclass(frozen=True)
class Problem:
    """A tensor to be factorized; ``rounding`` is what the objective's own error may reach."""

    fibers: Fibers
    rows: Rows
    squared_norm: float
    kernels: ModuleType
    gaps: Gaps
    penalty: Penalty
    rounding: float

    def relative(self, loss: float) -> float:
        """Root of the objective over the norm of the data."""
        return float(np.sqrt(max(loss, 0.0) / (self.squared_norm or 1.0)))


@dataclass(frozen=True)
class Position:
    """Factors, their objective, and what the momentum of the next step comes from."""

    factors: Factors
    loss: float
    previous: Factors
    age: int = 0


def sweep(problem: Problem, starts: Sequence[Factors]) -> list[tuple[list[Any], float]]:
    """Update every factor of several starts once, with two passes over the data for all of them.

    Returns
    -------
    list of (factors, loss)
        The loss never exceeds that of the factors given.
    """
    contracted = problem.rows.along([factors[-1] for factors in starts])
    moved = [
        _update_places(problem, factors, part)
        for factors, part in zip(starts, contracted, strict=True)
    ]
    projected = problem.rows.across([_design(problem, factors) for factors in moved])
    return [
        _update_last(problem, factors, part) for factors, part in zip(moved, projected, strict=True)
    ]


def normal_equations(problem: Problem, factors: Factors, mode: int) -> tuple[Any, Any]:
    """Projection (size, R) and normal matrix (R, R) or (size, R, R) of one mode, penalties in."""
    if mode == len(factors) - 1:
        (projected,) = problem.rows.across([_design(problem, factors)])
        return _last_equations(problem, factors, projected)
    (contracted,) = problem.rows.along([factors[-1]])
    return _place_equations(problem, factors, mode, contracted)


def _update_places(problem: Problem, factors: Factors, contracted: Any) -> list[Any]:
    """Update all modes but the last, given the data contracted with the last one's factor."""
    updated = list(factors)
    for _ in range(ALTERNATIONS if len(problem.fibers.shape) > 1 else 1):
        for mode in range(len(problem.fibers.shape)):
            wanted, gram = _place_equations(problem, updated, mode, contracted)
            updated[mode] = problem.kernels.hals(updated[mode], wanted, gram, SWEEPS)
    return updated


def _place_equations(
    problem: Problem, factors: Factors, mode: int, contracted: Any
) -> tuple[Any, Any]:
    kernels = problem.kernels
    partner = problem.fibers.partner(mode, factors)
    projected = kernels.gather(contracted, problem.fibers.entries[mode], partner)
    gram = _gram_of_place(problem, mode, factors, partner)
    ridge, threshold = _penalty_of_place(problem.penalty, mode, factors)
    return projected - threshold, gram + kernels.diagonal(ridge)


def _last_equations(problem: Problem, factors: Factors, projected: Any) -> tuple[Any, Any]:
    """Of the last mode, all but smoothness, which ties its rows together."""
    energy, mass = _energy_and_mass(factors[:-1])
    ridge = problem.kernels.diagonal(problem.penalty.ridge * energy)
    wanted = projected - problem.penalty.sparsity / 2 * mass
    return wanted, _gram_of_last(problem, factors) + ridge


def _update_last(problem: Problem, factors: Factors, projected: Any) -> tuple[list[Any], float]:
    """Update the last mode, and give the objective, which falls out of it."""
    kernels, smoothness = problem.kernels, problem.penalty.smoothness
    wanted, gram = _last_equations(problem, factors, projected)
    roughness = 0.0
    if smoothness:
        energy, _ = _energy_and_mass(factors[:-1])
        last = _smooth_hals(factors[-1], wanted, gram, smoothness * energy, kernels)
        roughness = float((smoothness * energy * ((last[1:] - last[:-1]) ** 2).sum(0)).sum())
    else:
        last = kernels.hals(factors[-1], wanted, gram, SWEEPS)
    return [*factors[:-1], last], quadratic(problem, wanted, gram, last) + roughness


def quadratic(problem: Problem, wanted: Any, gram: Any, factor: Any) -> float:
    """The objective from the normal equations of one mode and its factor."""
    if gram.ndim == 3:
        explained = (factor[:, :, None] * gram * factor[:, None, :]).sum()
    else:
        explained = (gram * (factor.T @ factor)).sum()
    return problem.squared_norm - 2 * float((wanted * factor).sum()) + float(explained)


def _energy_and_mass(factors: Factors) -> tuple[Any, Any]:
    """Products over modes of the squared norms and of the sums of the columns, each (R,)."""
    energy = reduce(mul, ((factor * factor).sum(0) for factor in factors))
    return energy, reduce(mul, (factor.sum(0) for factor in factors))


def _smooth_hals(factor: Any, projected: Any, gram: Any, weight: Any, kernels: ModuleType) -> Any:
    """Coordinate descent under a penalty on differences: even and odd rows take turns."""
    neighbors = np.full(len(factor), 2.0)
    neighbors[0] -= 1
    neighbors[-1] -= 1
    own = gram + kernels.array(neighbors)[:, None, None] * kernels.diagonal(weight)
    factor = factor * 1.0
    for _ in range(SWEEPS):
        for parity in (0, 1):
            around = factor * 0.0
            around[:-1] += factor[1:]
            around[1:] += factor[:-1]
            half = (factor, projected + weight * around, own)
            parts = (kernels.array(part[parity::2]) for part in half)
            factor[parity::2] = kernels.hals(*parts, 1)
    return factor


def _design(problem: Problem, factors: Factors) -> Any:
    """What each row is modeled by, before the last mode (n_rows, R)."""
    fibers = problem.fibers
    return problem.kernels.design(
        factors[0], fibers.entries[0], fibers.partner(0, factors), fibers.n_rows
    )


def _gram_of_place(problem: Problem, mode: int, factors: Factors, partner: Any) -> Any:
    """Normal matrix of a mode but the last, shared (R, R) or one for each index (size, R, R)."""
    fibers, kernels, gaps = problem.fibers, problem.kernels, problem.gaps
    last = factors[-1].T @ factors[-1]
    if fibers.complete and not len(gaps.seen):
        others = (factor.T @ factor for k, factor in enumerate(factors[:-1]) if k != mode)
        return reduce(mul, others, last)
    squares = kernels.array(_outer(factors[-1]).reshape(len(factors[-1]), -1), np.float64)
    broken = (gaps.seen @ squares).reshape(-1, *last.shape)
    grams = kernels.join([last[None], broken])
    return kernels.gather_grams(fibers.entries[mode], partner, grams, gaps.which)


def _gram_of_last(problem: Problem, factors: Factors) -> Any:
    """Normal matrix of the last mode, shared (R, R) or one for each index (length, R, R)."""
    fibers, gaps = problem.fibers, problem.gaps
    if fibers.complete and not len(gaps.seen):
        return reduce(mul, (factor.T @ factor for factor in factors[:-1]))
    models = reduce(mul, (f[i] for f, i in zip(factors[:-1], fibers.index, strict=True)))
    which = gaps.which[fibers.rows]
    whole = models[which == 0]
    shared = whole.T @ whole
    if not len(gaps.seen):
        return shared
    broken = problem.kernels.sum_by(
        _outer(models[which > 0]), which[which > 0] - 1, len(gaps.seen)
    ).reshape(len(gaps.seen), -1)
    return shared + (gaps.seen.T @ broken).reshape(-1, *shared.shape)


def _outer(factor: Any) -> Any:
    """Outer product of every row with itself (size, R, R)."""
    return factor[:, :, None] * factor[:, None, :]


def _penalty_of_place(penalty: Penalty, mode: int, factors: Factors) -> tuple[Any, Any]:
    """What is added to the normal matrix's diagonal and taken from the projection, each (R,)."""
    last = factors[-1]
    others = [factor for k, factor in enumerate(factors[:-1]) if k != mode]
    rough = penalty.ridge * (last * last).sum(0)
    rough = rough + penalty.smoothness * ((last[1:] - last[:-1]) ** 2).sum(0)
    ridge = reduce(mul, ((factor * factor).sum(0) for factor in others), rough)
    mass = reduce(mul, (factor.sum(0) for factor in others), last.sum(0))
    return ridge, penalty.sparsity / 2 * mass


def climb_factors(
    problem: Problem, starts: Sequence[Factors], *, max_iter: int, tol: float
) -> list[FitTrace[Position]]:
    """Sweep several starts in lockstep, with momentum, until each has converged.

    A step first moves every factor on along its last change (Nesterov's momentum, begun afresh
    when it fails [1]_) and sweeps from there. If that gains no more than ``tol``, the step is a
    sweep from where it stood: so the objective never falls, and no start counts as converged on
    the strength of a step that overshot.

    References
    ----------
    .. [1] B. O'Donoghue and E. Candès (2015). Adaptive restart for accelerated gradient schemes.
       Foundations of Computational Mathematics 15.
    """

    def value(loss: float) -> float:
        return -problem.relative(loss)

    def followed(
        before: Position, factors: Factors, loss: float, age: int
    ) -> tuple[Position, float]:
        if before.loss < loss <= before.loss + problem.rounding:
            return before, value(before.loss)
        return Position(factors, loss, before.factors, age), value(loss)

    def step(positions: Sequence[Position]) -> list[tuple[Position, float]]:
        moved = sweep(problem, [_moved_on(position) for position in positions])
        poor = [
            k
            for k, (_, loss) in enumerate(moved)
            if positions[k].age and value(loss) - value(positions[k].loss) <= tol
        ]
        again = sweep(problem, [positions[k].factors for k in poor]) if poor else []
        ages = [position.age + 1 for position in positions]
        for k, result in zip(poor, again, strict=True):
            moved[k], ages[k] = result, 1
        return [
            followed(position, factors, loss, age)
            for position, (factors, loss), age in zip(positions, moved, ages, strict=True)
        ]

    first = [Position(factors, loss, factors) for factors, loss in sweep(problem, starts)]
    return iterate_together(
        step, first, [value(position.loss) for position in first], max_iter=max_iter, tol=tol
    )


def _moved_on(position: Position) -> Factors:
    momentum = position.age / (position.age + 3)
    return [
        (factor + momentum * (factor - before)).clip(min=0)
        for factor, before in zip(position.factors, position.previous, strict=True)
    ]
