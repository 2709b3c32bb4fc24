"""One model in one fold: fitted, scored, and scored again without the effect."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neuroml._core.cohort import Subject
from neuroml.evaluation._choosing import Choice, fold_scores, simplest
from neuroml.evaluation._designs import Design, Parts, design_of
from neuroml.evaluation._fitted import (
    Fitted,
    last_step,
    seeded,
)
from neuroml.evaluation._folds import Folds
from neuroml.evaluation._layouts import Rows
from neuroml.evaluation._scorers import Scorer
from neuroml.evaluation.nulls import reorder, unpair

__all__ = ["Result", "Task", "choose", "run_task"]


@dataclass(frozen=True)
class Task:
    """One model in one fold."""

    design: Design
    fold: int
    name: str
    model: Any
    scorers: dict[str, Scorer]
    seed: int
    null: str | None
    draws: np.ndarray
    refits: bool = False


@dataclass
class Result:
    """What came of a task.

    Attributes
    ----------
    name, fold : str, int
    rows : list of tuple
        Of the evaluation's table.
    null : dict of str to dict of subject to ndarray of shape (n_permutations,)
        By score.
    failure : str
        Why a default baseline could not be fitted, if so.
    unscored : list of str
        Why surrogates could not be fitted or scored.
    warned : list of (str, type)
        Warnings of its fits, each once.
    """

    name: str
    fold: int
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    null: dict[str, dict[Subject, np.ndarray]] = field(default_factory=dict)
    failure: str = ""
    unscored: list[str] = field(default_factory=list)
    warned: list[tuple[str, type[Warning]]] = field(default_factory=list)


def run_task(task: Task, optional: set[str]) -> Result:
    """Fit, score, and score again without the effect.

    Warnings travel with the result: those of worker processes would be lost.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = _attempt(task, optional)
    result.warned = list(dict.fromkeys((str(one.message), one.category) for one in caught))
    return result


def _attempt(task: Task, optional: set[str]) -> Result:
    try:
        return _run(task)
    except Exception as error:
        if task.name not in optional:
            error.add_note(f"While {task.name!r} was evaluated in fold {task.fold}.")
            raise
        missing = [
            (task.name, "", task.fold, scoring, np.nan, np.nan, None) for scoring in task.scorers
        ]
        nothing = np.full(len(task.draws), np.nan)
        return Result(
            task.name,
            task.fold,
            missing,
            {scoring: {"": nothing} for scoring in task.scorers},
            f"{type(error).__name__}: {error}",
        )


def _run(task: Task) -> Result:
    parts, seconds, fitted = _fit(task, task.design)
    converged = getattr(last_step(fitted), "converged_", None)
    result = Result(task.name, task.fold)
    for scoring, scorer in task.scorers.items():
        for subject, one, rows in parts:
            value = scorer(one, rows)
            result.rows.append((task.name, subject, task.fold, scoring, value, seconds, converged))
    if task.null is None:
        return result
    if task.refits:
        result.null, result.unscored = _refitted(task, task.null, [one[0] for one in parts])
        return result
    for scoring, scorer in task.scorers.items():
        result.null[scoring] = {
            subject: _permuted(task, task.null, scorer, one, rows) for subject, one, rows in parts
        }
    return result


def _fit(task: Task, design: Design) -> tuple[Parts, float, Any]:
    model = task.model
    if isinstance(model, Choice):  # anew in every fold: the choice must not see what is held out
        model = choose(model, design.training(task.fold), task.seed)
    return design.run(seeded(model, np.random.default_rng(task.seed)), task.fold)


def choose(choice: Choice, data: Rows | dict[Subject, Rows], seed: int) -> Any:
    """The simplest candidate whose held-out score is within a standard error of the best one's."""
    candidates = choice.candidates
    if isinstance(data, dict) and len(data) == 1:
        data = next(iter(data.values()))
    cv = choice.cv
    if isinstance(data, Rows) and isinstance(cv, Folds) and cv.kind == "subjects":
        if data.groups is None or len(np.unique(data.groups)) < 2:
            cv = None  # only one subject is left to choose on
    design = design_of(data, cv, choice.n_adapt, list(candidates.values()))
    results = [
        _attempt(
            Task(design, fold, name, model, choice.scorers, seed, None, np.empty(0)),
            optional=set(),
        )
        for name, model in candidates.items()
        for fold in range(design.n_folds)
    ]
    rows = [(name, fold, value) for one in results for name, _, fold, _, value, *_ in one.rows]
    names = list(candidates)
    return candidates[names[simplest(fold_scores(rows, names), names)]]


def _permuted(task: Task, kind: str, scorer: Scorer, fitted: Fitted, rows: Rows) -> np.ndarray:
    """Scores of the same fit for pairs of inputs and targets that do not belong together."""
    values = np.empty(len(task.draws))
    for b, draw in enumerate(task.draws):
        # the same draw for every model, so that their p-values are of the same permutations
        order = reorder(kind, rows.whole_sessions, np.random.default_rng([int(draw), task.fold]))
        one = fitted.turned(rows, order) if kind == "circular-shift" else fitted
        values[b] = scorer(one, unpair(kind, rows, order))
    return values


def _refitted(
    task: Task, kind: str, subjects: list[Subject]
) -> tuple[dict[str, dict[Subject, np.ndarray]], list[str]]:
    """Scores of fits to surrogates, the same ones in every fold and for every model.

    A surrogate that cannot be fitted (its training data may lack a class) is NaN, which counts
    against significance.
    """
    found = {
        scoring: {subject: np.full(len(task.draws), np.nan) for subject in subjects}
        for scoring in task.scorers
    }
    failures = []
    for b, draw in enumerate(task.draws):
        design = task.design.surrogate(kind, np.random.default_rng(int(draw)))
        try:
            for subject, one, rows in _fit(task, design)[0]:
                for scoring, scorer in task.scorers.items():
                    found[scoring][subject][b] = scorer(one, rows)
        except Exception as error:
            failures.append(f"{type(error).__name__}: {error}")
    return found, failures
