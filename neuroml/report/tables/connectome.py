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
    SlidingWindowConnectivity,
    WeightedSBM,
)
from neuroml.report.context import Context
from neuroml.report.present import TABLE_COLUMNS

__all__ = ["affinity_of", "cp_of", "mode_labels", "tabulate", "windows_of"]

Row = tuple[str, str, str, str, float]


def mode_labels(model: BaseEstimator, context: Context) -> list[tuple[str, np.ndarray]]:
    """Name and labels of every mode of the factorised tensor."""
    factors = cp_of(model).cp_.factors
    affinity = affinity_of(model)
    if affinity is not None:
        times = context.time[: len(factors[2]) * affinity.stride : affinity.stride]
        return [
            ("pair", np.asarray(context.columns)),
            ("animal", _animal_names(context, len(factors[1]))),
            (context.time_label, times),
        ]
    sizes = [len(factor) for factor in factors]
    windows = windows_of(model)
    labels: list[tuple[str, np.ndarray]] = [
        (f"mode {m}", np.arange(n)) for m, n in enumerate(sizes)
    ]
    if windows is not None:
        centres = windows.windows_.mean(axis=1).astype(int)
        labels[0] = (f"window centre, {context.time_label}", context.time[centres])
        units = np.asarray(context.columns)
        if windows.vectorize:
            labels[1] = ("pair", windows.get_feature_names_out(units))
        else:
            labels[1:] = [("unit", units), ("unit, second", units)]
    return labels


def cp_of(model: BaseEstimator) -> Any:
    """The estimator, most often a factorisation, at the end of the model."""
    return model.steps[-1][1] if isinstance(model, Pipeline) else model


def windows_of(model: BaseEstimator) -> SlidingWindowConnectivity | None:
    """The windows that the tensor came from, if the model has such a step."""
    return _step_of(model, SlidingWindowConnectivity)


def affinity_of(model: BaseEstimator) -> AffinityTensor | None:
    """The affinities that the tensor came from, if the model has such a step."""
    return _step_of(model, AffinityTensor)


def _step_of(model: BaseEstimator, kind: type[BaseEstimator]) -> Any:
    steps = model.steps if isinstance(model, Pipeline) else []
    return next((step for _, step in steps if isinstance(step, kind)), None)


def _animal_names(context: Context, n_animals: int) -> np.ndarray:
    """Subjects if each has one recording, else numbers."""
    subjects = [recording.attrs["subject"] for recording in context.recordings]
    return np.array(subjects) if len(subjects) == n_animals else np.arange(n_animals)


def tabulate(model: BaseEstimator, context: Context) -> pd.DataFrame:
    """Weights of components and loadings on every mode, or the communities of units."""
    last = cp_of(model)
    if isinstance(last, WeightedSBM):
        rows = _labels(context, "block", "", last.labels_)
    elif isinstance(last, DynamicConnectome):
        rows = _cohort(last, context)
    else:
        rows = _loadings(model, context)
    return pd.DataFrame(rows, columns=TABLE_COLUMNS)


def _labels(context: Context, quantity: str, component: str, labels: np.ndarray) -> list[Row]:
    named = zip(context.columns, labels, strict=True)
    return [(quantity, component, "unit", str(unit), float(label)) for unit, label in named]


def _cohort(model: DynamicConnectome, context: Context) -> list[Row]:
    """Communities of units, loadings of animals and active intervals in samples."""
    rows: list[Row] = []
    for r, labels in enumerate(model.communities_):
        rows += _labels(context, "community", str(r), labels)
        animals = enumerate(model.subject_loadings_[:, r])
        rows += [("loading", str(r), "animal", str(a), float(v)) for a, v in animals]
    active = model.table_[["component", "start", "stop"]].drop_duplicates()
    for r, start, stop in active.itertuples(index=False):
        rows += [("active", str(r), "start", str(start), float(start))]
        rows += [("active", str(r), "stop", str(start), float(stop))]
    return rows


def _loadings(model: BaseEstimator, context: Context) -> list[Row]:
    cp = cp_of(model).cp_
    rows = [("weight", str(r), "", "", float(w)) for r, w in enumerate(cp.weights)]
    for (axis, labels), factor in zip(mode_labels(model, context), cp.factors, strict=True):
        for label, loadings in zip(labels, factor, strict=True):
            name = f"{label:.3f}" if isinstance(label, float) else str(label)
            rows += [("loading", str(r), axis, name, float(v)) for r, v in enumerate(loadings)]
    return rows
