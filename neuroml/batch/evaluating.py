"""A recipe's ``[select]`` and ``[evaluate]`` for one job: choose, then score beside baselines."""

from __future__ import annotations

import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from neuroml.batch.fitting import build_model, context_of
from neuroml.batch.manifest import append_alone, read_records
from neuroml.batch.recipe import EvaluateSection, Recipe
from neuroml.evaluation._choosing import Choice, fold_scores, simplest
from neuroml.evaluation._evaluate import plan_evaluation
from neuroml.evaluation._folds import Folds
from neuroml.evaluation._results import Evaluation
from neuroml.evaluation._tasks import Result
from neuroml.report import Context

__all__ = ["SCORE_COLUMNS", "ResultStore", "Scored", "check_folds", "choose_and_score"]

SCORE_COLUMNS = ["model", "job", "subject", "fold", "scoring", "value"]


@dataclass(frozen=True)
class ResultStore:
    """The finished fits of a job's evaluation, one per line of a file, until the job is done.

    Attributes
    ----------
    path : Path
    identity : str
        Of the job: what was kept for another recipe, other data or other code is not used.
    stage : str
        "select" or "evaluate".
    """

    path: Path
    identity: str
    stage: str

    @cached_property
    def _known(self) -> dict[tuple[str, int], Result]:
        return {
            (record["name"], record["fold"]): _result(record)
            for record in read_records(self.path)
            if record["id"] == self.identity and record["stage"] == self.stage
        }

    def recall(self, name: str, fold: int) -> Result | None:
        """What was kept of a model in a fold."""
        return self._known.get((name, fold))

    def keep(self, result: Result) -> None:
        """Keep a result."""
        record = {"id": self.identity, "stage": self.stage}
        append_alone(self.path, record | _record(result))


def _record(result: Result) -> dict[str, Any]:
    """A result as JSON has it."""
    return {
        "name": result.name,
        "fold": result.fold,
        "rows": [
            [value.item() if isinstance(value, np.generic) else value for value in row]
            for row in result.rows
        ],
        "null": {
            scoring: {str(subject): np.asarray(values).tolist() for subject, values in by.items()}
            for scoring, by in result.null.items()
        },
        "failure": result.failure,
        "unscored": result.unscored,
        "warned": [
            [text, f"{kind.__module__}:{kind.__qualname__}"] for text, kind in result.warned
        ],
    }


def _result(record: dict[str, Any]) -> Result:
    return Result(
        record["name"],
        record["fold"],
        [tuple(row) for row in record["rows"]],
        {
            scoring: {subject: np.array(values) for subject, values in by.items()}
            for scoring, by in record["null"].items()
        },
        failure=record["failure"],
        unscored=record["unscored"],
        warned=[(text, pkgutil.resolve_name(kind)) for text, kind in record["warned"]],
    )


@dataclass(frozen=True)
class Scored:
    """What choosing and evaluating came to.

    Attributes
    ----------
    recipe : Recipe
        With the chosen value in its place.
    selection : DataFrame or None
        One row per candidate: ``candidate``, ``mean``, ``shortfall`` to the best, its
        ``standard_error`` over folds, ``scoring`` and ``chosen``.
    evaluation : Evaluation or None
    """

    recipe: Recipe
    selection: pd.DataFrame | None = None
    evaluation: Evaluation | None = None


def choose_and_score(
    recipe: Recipe,
    recordings: Sequence[xr.Dataset],
    events: Sequence[pd.DataFrame | None],
    path: Path,
    identity: str,
) -> Scored:
    """Do what a recipe's ``[select]`` and ``[evaluate]`` ask for.

    Parameters
    ----------
    recipe : Recipe
    recordings : sequence of Dataset
        Prepared.
    events : sequence of DataFrame or None
    path : Path
        Where finished fits are kept.
    identity : str
        Of the job.
    """
    if recipe.select is None and recipe.evaluate is None:
        return Scored(recipe)
    section = recipe.evaluate or EvaluateSection()
    data = _data_of(context_of(recipe.data, recordings, events))
    candidates = recipe.candidates()
    models: dict[str, Any] = {name: build_model(one) for name, one in candidates.items()}
    chosen, selection = recipe, None
    if models:
        best, selection, scorers = _choose(
            models, data, section, recipe, ResultStore(path, identity, "select")
        )
        chosen = candidates[best]
    if recipe.evaluate is None:
        return Scored(chosen, selection)
    model: Any = build_model(chosen)
    if models:
        model = Choice(model, models, _folds(section.cv), scorers, section.n_adapt)
    plan = plan_evaluation(
        {chosen.fit.steps[-1].use: model},
        **data,
        **_options(section, recipe),
        scoring=section.scoring,
        baselines=_baselines(section.baselines, chosen),
        null=section.null,
    )
    found = plan.run(ResultStore(path, identity, "evaluate"))
    subjects = {recording.attrs["subject"] for recording in recordings}
    if len(subjects) == 1:  # where there is one, the evaluation does not tell subjects apart
        found = replace(found, table_=found.table_.replace({"subject": {"": subjects.pop()}}))
    return Scored(chosen, selection, found)


def check_folds(
    recipe: Recipe, recordings: Sequence[xr.Dataset], events: Sequence[pd.DataFrame | None]
) -> None:
    """Raise DataError if ``[select]`` or ``[evaluate]`` cannot divide the data; nothing is fitted.

    Parameters
    ----------
    recipe : Recipe
    recordings : sequence of Dataset
        Prepared.
    events : sequence of DataFrame or None
    """
    if recipe.select is None and recipe.evaluate is None:
        return
    section = recipe.evaluate or EvaluateSection()
    models = {name: build_model(one) for name, one in recipe.candidates().items()}
    plan_evaluation(
        models or {recipe.fit.steps[-1].use: build_model(recipe)},
        **_data_of(context_of(recipe.data, recordings, events)),
        **_options(section, recipe),
        scoring=section.scoring,
        baselines=None,
        null=None,
    )


def _data_of(context: Context) -> dict[str, Any]:
    """A context as `neuroml.evaluation.evaluate` takes it."""
    sessions: Any = context.sessions
    if not isinstance(context.X, dict):
        return {
            "X": context.X, "y": context.y, "sessions": sessions, "groups": context.groups,
            "covariates": context.covariates,
        }  # fmt: skip
    sessions = {s: sessions[context.groups == s] for s in context.X}
    return {"X": context.X, "y": context.y, "sessions": sessions, "groups": None}


def _options(section: EvaluateSection, recipe: Recipe) -> dict[str, Any]:
    return {
        "cv": _folds(section.cv),
        "n_permutations": section.n_permutations,
        "n_adapt": section.n_adapt,
        "random_state": recipe.fit.random_state,
    }


def _folds(cv: Any) -> Any:
    return Folds(cv) if isinstance(cv, str) else cv


def _baselines(given: Any, recipe: Recipe) -> Any:
    if given == "none":
        return None
    if isinstance(given, dict):
        return {name: build_model(recipe.with_last(step)) for name, step in given.items()}
    return given


def _choose(
    models: dict[str, Any],
    data: dict[str, Any],
    section: EvaluateSection,
    recipe: Recipe,
    store: ResultStore,
) -> tuple[str, pd.DataFrame, dict[str, Any]]:
    """The candidate, the table of all of them, and the score that decided."""
    scoring = section.scoring if isinstance(section.scoring, str | None) else section.scoring[0]
    plan = plan_evaluation(
        models, **data, **_options(section, recipe), scoring=scoring, baselines=None, null=None
    )
    first = next(iter(plan.scorers))
    plan = replace(plan, scorers={first: plan.scorers[first]})
    table = plan.run(store).table_
    own = table[table["scoring"] == first]
    names = list(models)
    scores = fold_scores(own[["model", "fold", "value"]].itertuples(index=False), names)
    best = simplest(scores, names)
    shortfall = scores[scores.mean(axis=1).argmax()] - scores
    found = pd.DataFrame(
        {
            "candidate": names,
            "mean": scores.mean(axis=1),
            "shortfall": shortfall.mean(axis=1),
            "standard_error": shortfall.std(axis=1, ddof=1) / np.sqrt(scores.shape[1]),
            "scoring": first,
            "chosen": [k == best for k in range(len(names))],
        }
    )
    return names[best], found, {first: plan.scorers[first]}
