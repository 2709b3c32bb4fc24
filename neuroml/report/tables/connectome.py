"""Tables of dynamic connectomes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from neuroml.connectome import AffinityTensor, DynamicConnectome
from neuroml.report.context import Context
from neuroml.report.elements import TABLE_COLUMNS, last_step

__all__ = ["affinity_of", "blocks", "cohort", "loadings", "mode_labels", "subject_names"]

Row = tuple[str, str, str, str, float]


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


def cohort(model: BaseEstimator, context: Context) -> pd.DataFrame:
    """Communities of units, loadings of subjects, active intervals, matches of starts."""
    model = last_step(model)
    rows: list[Row] = []
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
    rows = [("weight", str(r), "", "", float(w)) for r, w in enumerate(cp.weights)]
    for (axis, labels), factor in zip(mode_labels(model, context), cp.factors, strict=True):
        for label, shares in zip(labels, factor, strict=True):
            name = f"{label:.3f}" if isinstance(label, float) else str(label)
            rows += [("loading", str(r), axis, name, float(v)) for r, v in enumerate(shares)]
    rows += _matches(factorization.restart_matches_)
    return pd.DataFrame(rows, columns=TABLE_COLUMNS)
