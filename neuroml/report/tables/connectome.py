"""Tables of dynamic connectomes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from neuroml.connectome import (
    AffinityTensor,
    DynamicConnectome,
    NonnegativeCP,
    SlidingWindowConnectivity,
)
from neuroml.connectome._affinity import WINDOWED
from neuroml.report.context import Context
from neuroml.report.elements import TABLE_COLUMNS, last_step

__all__ = [
    "FEWEST_WINDOWS",
    "affinity_of",
    "blocks",
    "cohort",
    "independent_windows",
    "loadings",
    "mode_labels",
    "restarts_sentence",
    "subject_names",
    "windows_sentence",
    "worth",
]

Row = tuple[str, str, str, str, float]
_WINDOWS = (AffinityTensor, SlidingWindowConnectivity)
FEWEST_WINDOWS = 5  # for each component: a rule of thumb of ours


def mode_labels(model: BaseEstimator, context: Context) -> list[tuple[str, np.ndarray]]:
    """Name and labels of every mode of the factorized tensor."""
    if context.axes:
        return list(context.axes)
    factors = last_step(model).cp_.factors
    if len(factors) == 2 and len(context.columns) == len(factors[1]):
        return [(context.time_label, context.time), ("unit", np.asarray(context.columns))]
    return [(f"mode {m}", np.arange(len(factor))) for m, factor in enumerate(factors)]


def affinity_of(model: BaseEstimator) -> AffinityTensor | None:
    """The affinities that the tensor came from, if the model has such a step."""
    steps = model.steps if isinstance(model, Pipeline) else []
    return next((step for _, step in steps if isinstance(step, AffinityTensor)), None)


def blocks(model: BaseEstimator, context: Context) -> pd.DataFrame:
    """The block of every unit."""
    rows = _labels(context, "block", "", last_step(model).labels_)
    return pd.DataFrame(rows, columns=TABLE_COLUMNS)


def subject_names(model: DynamicConnectome, context: Context) -> list[str]:
    """Subjects as the context knows them, else numbers."""
    names, n_subjects = list(context.rows_of_subjects()), len(model.subject_loadings_)
    return names if len(names) == n_subjects else [str(a) for a in range(n_subjects)]


def _labels(context: Context, quantity: str, component: str, labels: np.ndarray) -> list[Row]:
    named = zip(context.columns, labels, strict=True)
    return [(quantity, component, "unit", str(unit), float(label)) for unit, label in named]


def _matches(matches: np.ndarray) -> list[Row]:
    """How alike every start of a factorization is to the kept one, from 0 to 1."""
    return [("match", "", "start", str(k), float(match)) for k, match in enumerate(matches)]


def restarts_sentence(factorization: NonnegativeCP) -> str:
    """Whether other starts found the same components, in a sentence."""
    others = np.delete(
        factorization.restart_matches_, int(factorization.restart_objectives_.argmin())
    )
    if not len(others):
        return "There was one start, so that nothing tells whether others find the same."
    return (
        f"Match of the other starts with the kept one: {others.min():.2f} to {others.max():.2f} "
        "(1: the same components)."
    )


def independent_windows(model: BaseEstimator) -> tuple[int, int, float] | None:
    """Number of windows, their length in samples, and how many are as good as independent.

    Windows that overlap say the same again: n windows, of which k share a sample, count as n / k.
    None where there are no windows.
    """
    last = last_step(model)
    steps = [step for _, step in model.steps] if isinstance(model, Pipeline) else [model]
    if isinstance(last, DynamicConnectome):
        steps, n_windows = [last.affinity_], len(last.time_courses_)
    before: Any = next((s for s in steps if isinstance(s, _WINDOWS)), None)
    if not isinstance(last, DynamicConnectome):
        n_windows = len(last.cp_.factors[-1 if isinstance(before, AffinityTensor) else 0])
    if before is None or getattr(before, "method", "correlation") not in WINDOWED:
        return None
    return n_windows, before.window, worth(n_windows, before.window, before.stride)


def worth(n_windows: int, window: int, stride: int) -> float:
    """Of how many independent windows those that overlap tell as much."""
    return n_windows / max(1.0, window / stride)


def windows_sentence(model: BaseEstimator) -> str | None:
    """That a recording is too short for its windows, if it is."""
    found = independent_windows(model)
    last = last_step(model)
    if found is None or found[2] >= FEWEST_WINDOWS * last.n_components:
        return None
    n_windows, window, independent = found
    return (
        f"The recording is too short for its windows: {n_windows} windows of {window} samples "
        f"overlap so much that they are worth {independent:.3g} independent ones, for "
        f"{last.n_components} components; {FEWEST_WINDOWS} for each are the least to trust a time "
        "course. Take shorter windows or fewer components."
    )


def _windows(model: BaseEstimator) -> list[Row]:
    found = independent_windows(model)
    return [] if found is None else [("independent_windows", "", "", "", found[2])]


def cohort(model: BaseEstimator, context: Context) -> pd.DataFrame:
    """Communities of units, loadings of subjects, active intervals, matches of starts."""
    model = last_step(model)
    rows: list[Row] = _windows(model)
    for r, labels in enumerate(model.communities_):
        rows += _labels(context, "community", str(r), labels)
        subjects = zip(subject_names(model, context), model.subject_loadings_[:, r], strict=True)
        rows += [("loading", str(r), "subject", name, float(v)) for name, v in subjects]
    active = model.table_[["component", "start", "stop"]].drop_duplicates()
    for r, start, stop in active.itertuples(index=False):
        rows += [("active", str(r), "start", str(start), float(start))]
        rows += [("active", str(r), "stop", str(start), float(stop))]
    rows += _matches(model.factorization_.restart_matches_)
    return pd.DataFrame(rows, columns=TABLE_COLUMNS)


def loadings(model: BaseEstimator, context: Context) -> pd.DataFrame:
    """Weights of components and their loadings on every mode; matches of starts."""
    factorization = last_step(model)
    cp = factorization.cp_
    rows = _windows(model)
    rows += [("weight", str(r), "", "", float(w)) for r, w in enumerate(cp.weights)]
    for (axis, labels), factor in zip(mode_labels(model, context), cp.factors, strict=True):
        for label, shares in zip(labels, factor, strict=True):
            name = f"{label:.3f}" if isinstance(label, float) else str(label)
            rows += [("loading", str(r), axis, name, float(v)) for r, v in enumerate(shares)]
    rows += _matches(factorization.restart_matches_)
    return pd.DataFrame(rows, columns=TABLE_COLUMNS)
