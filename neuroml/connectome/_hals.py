r"""Non-negative CP by hierarchical alternating least squares on observed fibres.

The objective, over observed entries :math:`(i, j, \ldots, t)`, is

.. math::
    \sum (x_{ij\ldots t} - \sum_r a_{ir} b_{jr} \cdots c_{tr})^2
    + \sum_r \alpha_r (\rho \|c_r\|^2 + \mu \|\nabla c_r\|^2)
    + \lambda \sum_r \|a_r\|_1 \|b_r\|_1 \cdots \|c_r\|_1, \quad
    \alpha_r = \|a_r\|^2 \|b_r\|^2 \cdots

with ridge :math:`\rho`, smoothness :math:`\mu` along the last mode and sparsity :math:`\lambda`. All
penalties are unchanged when scale moves from one factor to another, so none is escaped that way,
and each is quadratic or linear in every single factor: every update below minimises exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import mul
from types import ModuleType
from typing import Any

import numpy as np

from neuroml._core.em import Climb, climb_together
from neuroml.connectome._fibres import Fibres
from neuroml.connectome._rows import Rows

__all__ = ["Gaps", "Penalty", "Position", "Problem", "climb_factors", "relative_error", "sweep"]

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
    """A tensor to be factorised."""

    fibres: Fibres
    rows: Rows
    squared_norm: float
    kernels: ModuleType
    gaps: Gaps | None = None
    penalty: Penalty = Penalty()


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
        _update_last(problem, factors, part)
        for factors, part in zip(moved, projected, strict=True)
    ]


def _update_places(problem: Problem, factors: Factors, contracted: Any) -> list[Any]:
    """Update all modes but the last, given the data contracted with the last one's factor."""
    fibres, kernels = problem.fibres, problem.kernels
    updated = list(factors)
    for _ in range(ALTERNATIONS if len(fibres.shape) > 1 else 1):
        for mode in range(len(fibres.shape)):
            partner = fibres.partner(mode, updated)
            projected = kernels.gather(contracted, fibres.entries[mode], partner)
            gram = _gram_of_place(problem, mode, updated, partner)
            ridge, threshold = _penalty_of_place(problem.penalty, mode, updated)
            updated[mode] = kernels.hals(
                updated[mode], projected - threshold, gram + kernels.diagonal(ridge), SWEEPS
            )
    return updated


def _update_last(
    problem: Problem, factors: Factors, projected: Any
) -> tuple[list[Any], float]:
    """Update the last mode, and give the objective, which falls out of it."""
    kernels, penalty = problem.kernels, problem.penalty
    gram = _gram_of_last(problem, factors)
    energy = reduce(mul, ((factor * factor).sum(0) for factor in factors[:-1]))
    mass = reduce(mul, (factor.sum(0) for factor in factors[:-1]))
    wanted = projected - penalty.sparsity / 2 * mass
    regular = gram + kernels.diagonal(penalty.ridge * energy)
    if penalty.smoothness:
        last = _smooth_hals(factors[-1], wanted, regular, penalty.smoothness * energy, kernels)
    else:
        last = kernels.hals(factors[-1], wanted, regular, SWEEPS)
    explained = (last[:, :, None] * gram * last[:, None, :]).sum() if gram.ndim == 3 else (
        gram * (last.T @ last)
    ).sum()
    loss = problem.squared_norm - 2 * float((projected * last).sum()) + float(explained)
    ridge, roughness = (last * last).sum(0), ((last[1:] - last[:-1]) ** 2).sum(0)
    loss += float((energy * (penalty.ridge * ridge + penalty.smoothness * roughness)).sum())
    loss += penalty.sparsity * float((mass * last.sum(0)).sum())
    return [*factors[:-1], last], loss


def _smooth_hals(factor: Any, projected: Any, gram: Any, weight: Any, kernels: ModuleType) -> Any:
    """Coordinate descent under a penalty on differences: even and odd rows take turns."""
    factor = factor.copy() if isinstance(factor, np.ndarray) else factor.clone()
    neighbours = kernels.array(np.r_[1.0, np.full(max(len(factor) - 2, 0), 2.0), 1.0])
    own = gram + neighbours[:, None, None] * kernels.diagonal(weight)
    for _ in range(SWEEPS):
        for parity in (0, 1):
            around = kernels.array(np.zeros(factor.shape))
            around[:-1] += factor[1:]
            around[1:] += factor[:-1]
            factor[parity::2] = kernels.hals(
                kernels.array(factor[parity::2]),
                kernels.array((projected + weight * around)[parity::2]),
                kernels.array(own[parity::2]),
                1,
            )
    return factor


def _design(problem: Problem, factors: Factors) -> Any:
    """What each row is modelled by, before the last mode (n_rows, R)."""
    fibres = problem.fibres
    return problem.kernels.design(
        factors[0], fibres.entries[0], fibres.partner(0, factors), fibres.n_rows
    )


def _gram_of_place(problem: Problem, mode: int, factors: Factors, partner: Any) -> Any:
    """Normal matrix of a mode but the last, shared (R, R) or one for each index (size, R, R)."""
    fibres, kernels = problem.fibres, problem.kernels
    last = factors[-1].T @ factors[-1]
    if fibres.complete and problem.gaps is None:
        others = (factor.T @ factor for k, factor in enumerate(factors[:-1]) if k != mode)
        return reduce(mul, others, last)
    if problem.gaps is None:
        return kernels.gather_grams(fibres.entries[mode], partner, last[None], None)
    broken = problem.gaps.seen @ kernels.array(_outer(factors[-1]).reshape(len(factors[-1]), -1), problem.gaps.seen.dtype)
    grams = kernels.join([last[None], kernels.array(broken.reshape(-1, *last.shape))])
    return kernels.gather_grams(fibres.entries[mode], partner, grams, problem.gaps.which)


def _gram_of_last(problem: Problem, factors: Factors) -> Any:
    """Normal matrix of the last mode, shared (R, R) or one for each index (length, R, R)."""
    fibres = problem.fibres
    if fibres.complete and problem.gaps is None:
        return reduce(mul, (factor.T @ factor for factor in factors[:-1]))
    models = reduce(mul, (f[i] for f, i in zip(factors[:-1], fibres.index, strict=True)))
    if problem.gaps is None:
        return models.T @ models
    kernels, seen = problem.kernels, problem.gaps.seen
    which = problem.gaps.which[fibres.rows]
    whole = models[which == 0]
    broken = kernels.sum_by(_outer(models[which > 0]), which[which > 0] - 1, len(seen))
    flat = kernels.array(broken.reshape(len(seen), -1), seen.dtype)
    n_components = models.shape[1]
    own = kernels.array(seen.T @ flat).reshape(-1, n_components, n_components)
    return whole.T @ whole + own


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
) -> list[Climb[Position]]:
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
        return -float(np.sqrt(max(loss, 0.0) / problem.squared_norm))

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
            (Position(factors, loss, position.factors, age), value(loss))
            for position, (factors, loss), age in zip(positions, moved, ages, strict=True)
        ]

    first = [Position(factors, loss, factors) for factors, loss in sweep(problem, starts)]
    return climb_together(
        step, first, [value(position.loss) for position in first], max_iter=max_iter, tol=tol
    )


def _moved_on(position: Position) -> Factors:
    momentum = position.age / (position.age + 3)
    return [
        (factor + momentum * (factor - before)).clip(min=0)
        for factor, before in zip(position.factors, position.previous, strict=True)
    ]
