"""The one loop behind every iterative fit: EM, alternating least squares, local searches.

A family gives a ``step`` that maps a state to the next state and its objective; the loop checks,
stops, and keeps the record that the estimators show as ``converged_``, ``n_iter_`` and a trace.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import numpy as np

from neuroml._core.parallel import run_parallel, show_progress
from neuroml._core.warn import warn_caller
from neuroml.exceptions import DataError, MonotonicityWarning, NotConvergedWarning

__all__ = ["FitTrace", "best_restart", "fit_from_starts", "iterate_together", "select_restart"]

State = TypeVar("State")


@dataclass(frozen=True)
class FitTrace(Generic[State]):
    """Where an iterative fit ended, and its objective on the way there.

    Attributes
    ----------
    state : object
        The last state whose objective is finite.
    trace : tuple of float
        The objective of the initial state and after every step; the last one is ``state``'s.
    converged : bool
        True only if the gain of a step fell to the tolerance.
    stop_reason : {"converged", "max_iter", "not finite"}, or the error of a start that broke down
    """

    state: State
    trace: tuple[float, ...]
    converged: bool
    stop_reason: str

    @property
    def objective(self) -> float:
        """The objective of ``state``."""
        return self.trace[-1]

    @property
    def n_iter(self) -> int:
        """The number of steps taken."""
        return len(self.trace) - 1


def iterate(
    step: Callable[[State], tuple[State, float]],
    state: State,
    objective: float,
    *,
    max_iter: int,
    tol: float,
    monotone: bool = True,
    rounding: float = 1e-9,
    settled: Callable[[State, State], bool] | None = None,
    callback: Callable[[int, float], None] | None = None,
) -> FitTrace[State]:
    """Repeat ``step`` until the objective gains at most ``tol`` or ``max_iter`` steps are done.

    Parameters
    ----------
    step : callable
        ``step(state) -> (next_state, objective of next_state)``.
    state : object
        Where to start.
    objective : float
        The objective of ``state``, on a scale on which ``tol`` means something (per sample, or
        relative): larger is better.
    max_iter : int
        Maximum number of steps.
    tol : float
        A step that gains no more than this is the last one.
    monotone : bool
        Whether theory says that the objective cannot fall. A fall beyond rounding then emits a
        `MonotonicityWarning`.
    rounding : float
        The share of the objective that it may lose to rounding.
    settled : callable, optional
        ``settled(state, next_state)`` decides in place of ``tol`` whether a step was the last one,
        for states that stop changing, such as cluster labels.
    callback : callable, optional
        Called as ``callback(n_iter, objective)`` after each step.
    """
    (only,) = iterate_together(
        lambda states: [step(one) for one in states],
        [state],
        [objective],
        max_iter=max_iter,
        tol=tol,
        rounding=rounding if monotone else math.inf,
        settled=settled,
        callback=callback,
    )
    return only


def iterate_together(
    step: Callable[[list[State]], list[tuple[State, float]]],
    states: Sequence[State],
    objectives: Sequence[float],
    *,
    max_iter: int,
    tol: float,
    rounding: float = 1e-9,
    settled: Callable[[State, State], bool] | None = None,
    callback: Callable[[int, float], None] | None = None,
) -> list[FitTrace[State]]:
    """Iterate from several states in lockstep, for steps that cost less when done together.

    Parameters
    ----------
    step : callable
        ``step(states) -> [(next_state, objective), ...]``, given those not converged.
    states, objectives : sequence
        Where each starts.
    max_iter, tol : int, float
        As in `iterate`.
    rounding : float
        A fall of the objective by more than this share of it emits a `MonotonicityWarning`;
        infinity where it may fall.
    settled : callable, optional
        As in `iterate`.
    callback : callable, optional
        Called as ``callback(n_iter, best objective)`` after each step.
    """
    fits = [
        FitTrace(
            state, (float(value),), False, "max_iter" if math.isfinite(value) else "not finite"
        )
        for state, value in zip(states, objectives, strict=True)
    ]
    active = [k for k, one in enumerate(fits) if math.isfinite(one.objective)]
    for n_iter in range(1, max_iter + 1):
        if not active:
            break
        for k, (state, value) in zip(active, step([fits[k].state for k in active]), strict=True):
            done = None if settled is None else settled(fits[k].state, state)
            fits[k] = _follow(fits[k], state, float(value), tol, rounding, done)
        if callback is not None:
            callback(n_iter, max(one.objective for one in fits))
        active = [k for k in active if fits[k].stop_reason == "max_iter"]
    return fits


def _follow(
    before: FitTrace[State],
    state: State,
    value: float,
    tol: float,
    rounding: float,
    done: bool | None,
) -> FitTrace[State]:
    """The fit after one more step, which is the last one if ``done`` or else by ``tol``."""
    if not math.isfinite(value):
        return FitTrace(before.state, before.trace, False, "not finite")
    gain = value - before.objective
    if gain < -rounding * max(1.0, abs(before.objective)):
        warn_caller(
            f"The objective fell by {-gain:.3g} at step {before.n_iter + 1} (to {value:.9g}); "
            "it should never fall.",
            MonotonicityWarning,
        )
    converged = abs(gain) <= tol if done is None else done
    return FitTrace(
        state, (*before.trace, value), converged, "converged" if converged else "max_iter"
    )


def fit_from_starts(
    fit: Callable[..., Any],
    starts: Iterable[tuple[Any, ...]],
    *,
    name: str,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> list[Any]:
    """Fit from every start; one that breaks down does not take the others with it.

    Parameters
    ----------
    fit : callable
        ``fit(*start)`` returns a `FitTrace`, or anything else with an ``objective``.
    starts : iterable of tuple
    name : str
        The estimator's name, for messages.
    n_jobs : int or None
        Processes; ``fit`` must then be a function that they can import.
    verbose : int
        1 shows a bar over the starts.

    Returns
    -------
    list
        In the order of the starts. A start that broke down has the objective NaN, and no state.

    Raises
    ------
    DataError
        If every start broke down.

    Warns
    -----
    UserWarning
        If some starts broke down.
    """
    tasks = list(starts)
    done = run_parallel(partial(_attempt, fit), tasks, n_jobs=n_jobs)
    every = list(show_progress(done, len(tasks), f"{name}: starts", verbose))
    reasons = [one.stop_reason for one in every if isinstance(one, _Failed)]
    if reasons and len(reasons) == len(every):
        raise DataError(
            f"{name}: all of {len(every)} starts broke down",
            expected="a start from which the objective can be computed",
            found=reasons[-1],
            fix="Check the scale of the data, and for columns that are constant or copies.",
        )
    if reasons:
        warn_caller(
            f"{name}: {len(reasons)} of {len(every)} starts broke down and are left out "
            f"({reasons[-1]}).",
            UserWarning,
        )
    return every


class _Failed(FitTrace[None]):
    """A start that broke down."""


def _attempt(fit: Callable[..., Any], *start: Any) -> Any:
    try:
        return fit(*start)
    except (np.linalg.LinAlgError, FloatingPointError) as error:
        return _Failed(None, (math.nan,), False, f"{type(error).__name__}: {error}")


def best_restart(fits: Sequence[Any], *, name: str) -> int:
    """Return the index of the restart with the highest objective; never one that is not finite.

    Parameters
    ----------
    fits : sequence of FitTrace
        Restarts, or anything else with an ``objective``.
    name : str
        The estimator's name, for messages.

    Raises
    ------
    FloatingPointError
        If no restart has a finite objective.
    """
    objectives = np.array([one.objective for one in fits], dtype=np.float64)
    finite = np.isfinite(objectives)
    if not finite.any():
        raise FloatingPointError(
            f"{name}: the objective is not finite at the start of any of {len(fits)} restarts. "
            "Check the scale of the data."
        )
    return int(np.where(finite, objectives, -np.inf).argmax())


def select_restart(
    fits: Iterable[FitTrace[State]], *, name: str
) -> tuple[FitTrace[State], list[FitTrace[State]]]:
    """Return the restart with the highest objective, and all of them.

    Parameters
    ----------
    fits : iterable of FitTrace
        One per restart.
    name : str
        The estimator's name, for messages.

    Raises
    ------
    FloatingPointError
        If no restart has a finite objective.

    Warns
    -----
    NotConvergedWarning
        If the best restart did not converge.
    """
    every = list(fits)
    best = every[best_restart(every, name=name)]
    if not best.converged:
        warn_caller(
            f"{name} stopped after {best.n_iter} iterations without converging "
            f"({best.stop_reason}). Increase max_iter or tol, or rescale the data.",
            NotConvergedWarning,
        )
    return best, every
