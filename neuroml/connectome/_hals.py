r"""Non-negative CP by hierarchical alternating least squares on observed fibers.

The objective, over observed entries :math:`(i, j, \ldots, t)`, is

.. math::
    \sum (x_{ij\ldots t} - \sum_r a_{ir} b_{jr} \cdots c_{tr})^2
    + \sum_r \alpha_r (\rho \|c_r\|^2 + \mu \|\nabla c_r\|^2)
    + \lambda \sum_r \|a_r\|_1 \|b_r\|_1 \cdots \|c_r\|_1, \quad
    \alpha_r = \|a_r\|^2 \|b_r\|^2 \cdots

with ridge :math:`\rho`, smoothness :math:`\mu` along the last mode, sparsity :math:`\lambda`. All
penalties are unchanged when scale moves from one factor to another, so that none can be reduced
that way, and each is quadratic or linear in every single factor: every update of a column minimizes
the objective exactly.

A background :math:`B \ge 0` that is constant along the rows has its optimum in closed form, given
the factors, and changes the normal equations by products of what they hold already, so that the
data are not read once more. A background of rank one is a further component whose last factor is
held.
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
    "Constant",
    "Gaps",
    "Iterate",
    "Penalty",
    "Problem",
    "background_of",
    "background_shift",
    "factorize",
    "given_held",
    "normal_equations",
    "quadratic",
    "update_all",
]

Factors = Sequence[Any]
# Passes over the columns of one factor, which cost little beside the passes over the data. At rank
# 10, a fit took 22 iterations with 5 passes and 17 with 10 (111, 44 and 43 with 1, 5 and 10 without
# momentum).
N_PASSES = 10
# Times that all modes but the last are updated from one contraction of the data: they come closer
# to the optimum given the last mode, without a further pass over the data.
N_ALTERNATIONS = 2


@dataclass(frozen=True)
class Penalty:
    """Weights of the three penalties, see the module's objective."""

    ridge: float = 0.0
    sparsity: float = 0.0
    smoothness: float = 0.0


@dataclass(frozen=True)
class Gaps:
    """Rows with missing values, and where they are observed.

    Attributes
    ----------
    which : array of int of shape (n_rows,)
        0 for complete rows, else one more than the row's place in ``seen``.
    seen : array of shape (n_broken, length)
        1 where observed, 0 where missing (there the data hold 0).
    """

    which: Any
    seen: Any


@dataclass(frozen=True)
class Constant:
    """What a background that is constant along every row needs, each (n_rows,).

    Attributes
    ----------
    sums, counts : array
        Sum and number of the observed values of a row.
    entries : array
        Number of entries that read a row.
    given : array, optional
        The background, where it is not to be learned.
    """

    sums: Any
    counts: Any
    entries: Any
    given: Any = None


@dataclass(frozen=True)
class Problem:
    """A tensor to be factorized; ``rounding`` is what the objective's own error may reach.

    With ``constant``, a background is taken off every row; with ``n_held``, so many last columns
    of the last mode's factor stay as they are.
    """

    fibers: Fibers
    rows: Rows
    squared_norm: float
    kernels: ModuleType
    gaps: Gaps
    penalty: Penalty
    rounding: float
    constant: Constant | None = None
    n_held: int = 0

    def relative(self, loss: float) -> float:
        """Root of the objective over the norm of the data."""
        return float(np.sqrt(max(loss, 0.0) / (self.squared_norm or 1.0)))


@dataclass(frozen=True)
class Iterate:
    """Factors and their objective; ``previous`` and ``age`` give the next step's momentum."""

    factors: Factors
    loss: float
    previous: Factors
    age: int = 0


def update_all(problem: Problem, starts: Sequence[Factors]) -> list[tuple[list[Any], float]]:
    """Update every factor of several starts once, with two passes over the data for all of them.

    Returns
    -------
    list of (factors, loss)
        The loss never exceeds that of the factors given.
    """
    # first pass: X contracted with the last mode's factor serves the updates of all other modes
    contracted = problem.rows.along([factors[-1] for factors in starts])
    updated = [
        _update_places(problem, factors, _less_along(problem, factors, part))
        for factors, part in zip(starts, contracted, strict=True)
    ]
    # second pass: X contracted with all other modes' factors gives the last mode and the objective
    designs = [_design(problem, factors) for factors in updated]
    projected = problem.rows.across(designs)
    results = []
    for factors, design, part in zip(updated, designs, projected, strict=True):
        background = background_of(problem, factors, design)
        factors, loss = _update_last(
            problem, factors, _less_across(problem, design, part, background)
        )
        results.append((factors, loss + background_shift(problem, background)))
    return results


def background_of(problem: Problem, factors: Factors, design: Any = None) -> Any:
    """Compute the background of every row (n_rows,) that is best given the factors, or None.

    b_f = max(0, mean over observed t and over the row's entries of (x_ft - sum_r d_fr c_tr))
    """
    constant = problem.constant
    if constant is None or constant.given is not None:
        return None if constant is None else constant.given
    design = _design(problem, factors) if design is None else design
    model = (design * _sums_of_last(problem, factors[-1])).sum(1) / constant.entries
    return ((constant.sums - model) / constant.counts).clip(min=0)


def background_shift(problem: Problem, background: Any) -> float:
    """What the squared norm of the data changes by, when the background is taken off."""
    if background is None:
        return 0.0
    constant = problem.constant
    squares = constant.counts * background**2 - 2 * background * constant.sums  # type: ignore[union-attr]
    return float((constant.entries * squares).sum())  # type: ignore[union-attr]


def _sums_of_last(problem: Problem, last: Any) -> Any:
    """Sum of the last mode's factor over what is observed in each row (n_rows, R)."""
    gaps = problem.gaps
    if not len(gaps.seen):
        return last.sum(0)[None]
    return problem.kernels.join([last.sum(0)[None], gaps.seen @ last])[gaps.which]


def _less_along(problem: Problem, factors: Factors, contracted: Any) -> Any:
    """(X - B) c from X c."""
    background = background_of(problem, factors)
    if background is None:
        return contracted
    return contracted - background[:, None] * _sums_of_last(problem, factors[-1])


def _less_across(problem: Problem, design: Any, projected: Any, background: Any) -> Any:
    """(X - B)^T d from X^T d."""
    if background is None:
        return projected
    weighted, which = background[:, None] * design, problem.gaps.which
    less = projected - weighted[which == 0].sum(0)
    if not len(problem.gaps.seen):
        return less
    broken = problem.kernels.sum_by(
        weighted[which > 0], which[which > 0] - 1, len(problem.gaps.seen)
    )
    return less - problem.gaps.seen.T @ broken


def normal_equations(problem: Problem, factors: Factors, mode: int) -> tuple[Any, Any]:
    """Compute the projection (size, R) and normal matrix (R, R) or (size, R, R) of one mode.

    With all other factors fixed, the objective is sum_i (a_i G_i a_i - 2 m_i a_i) plus a constant,
    with projections m_i and normal matrices G_i that include the penalties (but smoothness, which
    ties the rows of the last mode together).
    """
    if mode == len(factors) - 1:
        design = _design(problem, factors)
        (projected,) = problem.rows.across([design])
        background = background_of(problem, factors, design)
        less = _less_across(problem, design, projected, background)
        return _last_equations(problem, factors, less)
    (contracted,) = problem.rows.along([factors[-1]])
    return _place_equations(problem, factors, mode, _less_along(problem, factors, contracted))


def _update_places(problem: Problem, factors: Factors, contracted: Any) -> list[Any]:
    """Update all modes but the last, given the data contracted with the last one's factor."""
    updated = list(factors)
    for _ in range(N_ALTERNATIONS if len(problem.fibers.shape) > 1 else 1):
        for mode in range(len(problem.fibers.shape)):
            wanted, gram = _place_equations(problem, updated, mode, contracted)
            updated[mode] = problem.kernels.hals(updated[mode], wanted, gram, N_PASSES)
    return updated


def _place_equations(
    problem: Problem, factors: Factors, mode: int, contracted: Any
) -> tuple[Any, Any]:
    """`normal_equations` of a mode but the last, given the contraction with the last factor."""
    kernels = problem.kernels
    partner = problem.fibers.partner(mode, factors)
    # m_i = sum over entries of index i of (X c)_row * partner
    projected = kernels.gather(contracted, problem.fibers.entries[mode], partner)
    gram = _gram_of_place(problem, mode, factors, partner)
    ridge, threshold = _penalty_of_place(problem.penalty, mode, factors)
    return projected - threshold, gram + kernels.diagonal(ridge)


def _last_equations(problem: Problem, factors: Factors, projected: Any) -> tuple[Any, Any]:
    """`normal_equations` of the last mode, without smoothness."""
    energy, mass = _energy_and_mass(factors[:-1])
    ridge = problem.kernels.diagonal(problem.penalty.ridge * energy)
    wanted = projected - problem.penalty.sparsity / 2 * mass
    return wanted, _gram_of_last(problem, factors) + ridge


def _update_last(problem: Problem, factors: Factors, projected: Any) -> tuple[list[Any], float]:
    """Update the last mode, and compute the objective from its normal equations."""
    kernels, smoothness = problem.kernels, problem.penalty.smoothness
    wanted, gram = _last_equations(problem, factors, projected)
    free, asked, own = given_held(factors[-1], wanted, gram, problem.n_held)
    free, asked, own = (kernels.array(part) for part in (free, asked, own))
    roughness = 0.0
    if smoothness:
        energy, _ = _energy_and_mass(factors[:-1])
        energy = energy[: free.shape[1]]
        free = _smooth_hals(free, asked, own, smoothness * energy, kernels)
        roughness = float((smoothness * energy * ((free[1:] - free[:-1]) ** 2).sum(0)).sum())
    else:
        free = kernels.hals(free, asked, own, N_PASSES)
    held = factors[-1][:, free.shape[1] :]
    last = kernels.array(kernels.join([free.T, held.T]).T) if problem.n_held else free
    return [*factors[:-1], last], quadratic(problem, wanted, gram, last) + roughness


def given_held(factor: Any, wanted: Any, gram: Any, n_held: int) -> tuple[Any, Any, Any]:
    """Free columns of a factor, with their normal equations given the last ones, which are held."""
    if not n_held:
        return factor, wanted, gram
    held = factor[:, -n_held:]
    mixed = gram[..., -n_held:, :-n_held]
    explained = (held[:, :, None] * mixed).sum(1) if gram.ndim == 3 else held @ mixed
    return factor[:, :-n_held], wanted[:, :-n_held] - explained, gram[..., :-n_held, :-n_held]


def quadratic(problem: Problem, wanted: Any, gram: Any, factor: Any) -> float:
    """Compute the objective from the normal equations of one mode and its factor.

    |X|^2 - 2 sum m a + sum a G a: no pass over the data, but a difference of large numbers, whose
    rounding ``Problem.rounding`` bounds.
    """
    if gram.ndim == 3:
        explained = (factor[:, :, None] * gram * factor[:, None, :]).sum()
    else:
        explained = (gram * (factor.T @ factor)).sum()
    return problem.squared_norm - 2 * float((wanted * factor).sum()) + float(explained)


def _energy_and_mass(factors: Factors) -> tuple[Any, Any]:
    """Products over modes of the columns' squared norms, and of their sums, each (R,)."""
    energy = reduce(mul, ((factor * factor).sum(0) for factor in factors))
    return energy, reduce(mul, (factor.sum(0) for factor in factors))


def _smooth_hals(factor: Any, projected: Any, gram: Any, weight: Any, kernels: ModuleType) -> Any:
    """Coordinate descent under a penalty on differences: even and odd rows take turns.

    mu sum_t (w_{t+1} - w_t)^2 adds mu times the number of neighbors to the diagonal of row t and
    mu (w_{t-1} + w_{t+1}) to its projection. Given the odd rows, even rows do not depend on each
    other, so that each half is updated at once, and exactly.
    """
    neighbors = np.full(len(factor), 2.0)
    neighbors[0] -= 1
    neighbors[-1] -= 1
    own = gram + kernels.array(neighbors)[:, None, None] * kernels.diagonal(weight)
    factor = factor * 1.0
    for _ in range(N_PASSES):
        for parity in (0, 1):
            around = factor * 0.0
            around[:-1] += factor[1:]
            around[1:] += factor[:-1]
            half = (factor, projected + weight * around, own)
            parts = (kernels.array(part[parity::2]) for part in half)
            factor[parity::2] = kernels.hals(*parts, 1)
    return factor


def _design(problem: Problem, factors: Factors) -> Any:
    """Product of all factors but the last for each row (n_rows, R), summed over its entries."""
    fibers = problem.fibers
    return problem.kernels.design(
        factors[0], fibers.entries[0], fibers.partner(0, factors), fibers.n_rows
    )


def _gram_of_place(problem: Problem, mode: int, factors: Factors, partner: Any) -> Any:
    """Normal matrix of a mode but the last, shared (R, R) or one for each index (size, R, R)."""
    fibers, kernels, gaps = problem.fibers, problem.kernels, problem.gaps
    last = factors[-1].T @ factors[-1]
    # complete data: the product over the other modes of A^T A, for all indices
    if fibers.complete and not len(gaps.seen):
        others = (factor.T @ factor for k, factor in enumerate(factors[:-1]) if k != mode)
        return reduce(mul, others, last)
    # else c c^T summed over the observed samples of each row with gaps ("broken"), and over all
    # samples for complete rows, times the partners' outer products, summed over entries
    squares = kernels.array(_outer(factors[-1]).reshape(len(factors[-1]), -1), np.float64)
    broken = (gaps.seen @ squares).reshape(-1, *last.shape)
    grams = kernels.join([last[None], broken])
    return kernels.gather_grams(fibers.entries[mode], partner, grams, gaps.which)


def _gram_of_last(problem: Problem, factors: Factors) -> Any:
    """Normal matrix of the last mode, shared (R, R) or one for each index (length, R, R)."""
    fibers, gaps = problem.fibers, problem.gaps
    if fibers.complete and not len(gaps.seen):
        return reduce(mul, (factor.T @ factor for factor in factors[:-1]))
    # sum over observed entries of the outer products of their designs: one sum for complete rows,
    # and for each sample those of the rows with gaps that are observed there
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
    """What is added to the normal matrix's diagonal and taken from the projection, each (R,).

    For mode a: |b|^2 ... (rho |c|^2 + mu |grad c|^2), and lambda / 2 |b|_1 ... |c|_1.
    """
    last = factors[-1]
    others = [factor for k, factor in enumerate(factors[:-1]) if k != mode]
    rough = penalty.ridge * (last * last).sum(0)
    rough = rough + penalty.smoothness * ((last[1:] - last[:-1]) ** 2).sum(0)
    ridge = reduce(mul, ((factor * factor).sum(0) for factor in others), rough)
    mass = reduce(mul, (factor.sum(0) for factor in others), last.sum(0))
    return ridge, penalty.sparsity / 2 * mass


def factorize(
    problem: Problem, starts: Sequence[Factors], *, max_iter: int, tol: float
) -> list[FitTrace[Iterate]]:
    """Iterate from several starts in lockstep, with momentum, until each has converged.

    An iteration extrapolates every factor along its last change (Nesterov's momentum, restarted
    when it fails [1]_) and updates all factors from there. If that gains no more than ``tol``, it
    updates them from where they were instead: so the objective never rises, and no start counts
    as converged because a step overshot.

    References
    ----------
    .. [1] B. O'Donoghue and E. Candès (2015). Adaptive restart for accelerated gradient schemes.
       Foundations of Computational Mathematics 15.
    """

    def value(loss: float) -> float:
        return -problem.relative(loss)

    def accept(before: Iterate, factors: Factors, loss: float, age: int) -> tuple[Iterate, float]:
        # a rise within rounding is no rise: the factors stay
        if before.loss < loss <= before.loss + problem.rounding:
            return before, value(before.loss)
        return Iterate(factors, loss, before.factors, age), value(loss)

    def step(iterates: Sequence[Iterate]) -> list[tuple[Iterate, float]]:
        updated = update_all(problem, [_extrapolate(one) for one in iterates])
        # where momentum gained nothing: plain updates, and momentum from the beginning
        failed = [
            k
            for k, (_, loss) in enumerate(updated)
            if iterates[k].age and value(loss) - value(iterates[k].loss) <= tol
        ]
        again = update_all(problem, [iterates[k].factors for k in failed]) if failed else []
        ages = [one.age + 1 for one in iterates]
        for k, result in zip(failed, again, strict=True):
            updated[k], ages[k] = result, 1
        return [
            accept(one, factors, loss, age)
            for one, (factors, loss), age in zip(iterates, updated, ages, strict=True)
        ]

    first = [Iterate(factors, loss, factors) for factors, loss in update_all(problem, starts)]
    return iterate_together(
        step, first, [value(one.loss) for one in first], max_iter=max_iter, tol=tol
    )


def _extrapolate(iterate: Iterate) -> Factors:
    """Factors moved on along their last change, with Nesterov's weight k / (k + 3)."""
    momentum = iterate.age / (iterate.age + 3)
    return [
        (factor + momentum * (factor - before)).clip(min=0)
        for factor, before in zip(iterate.factors, iterate.previous, strict=True)
    ]
