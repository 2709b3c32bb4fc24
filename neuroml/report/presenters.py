"""Which estimators have tables and figures of their own, and where these are."""

from __future__ import annotations

import importlib
from types import ModuleType

from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

__all__ = ["PRESENTERS", "last_step", "presenter", "without_figures"]

PRESENTERS = {
    "CrossSubjectDecoder": "decoding",
    "DynamicConnectome": "connectome",
    "FacetedStimuli": "celltypes",
    "HierarchicalRidgeDecoder": "decoding",
    "MindBridgeDecoder": "decoding",
    "MostDiscriminativeStimuli": "celltypes",
    "NonnegativeCP": "connectome",
    "ProcrustesAligner": "decoding",
    "ResponseModel": "celltypes",
    "RidgeDecoder": "decoding",
    "SharedResponseModel": "decoding",
    "SwitchingGLM": "switching",
    "SwitchingPopulationGLM": "switching",
    "WeightedSBM": "connectome",
}
"""Module of ``report.tables`` and ``report.figures`` by class. A report of any other estimator
holds its facts: the fitted attributes that are single numbers, words or truth values."""


def last_step(model: BaseEstimator) -> BaseEstimator:
    """The estimator at the end of a pipeline, or the model itself."""
    return model.steps[-1][1] if isinstance(model, Pipeline) else model


def without_figures(name: str) -> str | None:
    """What to say of a class that has no figures of its own; None if it has some."""
    if name in PRESENTERS:
        return None
    return f"There are no figures of {name}: the report holds its facts."


def presenter(kind: str, model: BaseEstimator) -> ModuleType | None:
    """The module with the ``"tables"`` or ``"figures"`` of a model, or None if it has none."""
    name = PRESENTERS.get(type(last_step(model)).__name__)
    return None if name is None else importlib.import_module(f"neuroml.report.{kind}.{name}")
