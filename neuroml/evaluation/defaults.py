"""What `evaluate` does where it is not told: scores, baselines and null of each class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from neuroml.evaluation import baselines
from neuroml.evaluation._fitted import last_step

__all__ = ["DEFAULTS", "Defaults", "defaults_of", "defaults_of_class"]


@dataclass(frozen=True)
class Defaults:
    """How models of a class are evaluated.

    Attributes
    ----------
    scoring : tuple of str
        Names of scores; the first one is the summary's.
    baselines : callable
        ``baselines(model, data) -> {name: estimator}``, given the rows, or those of each subject.
    null : {"permutation", "circular-shift", "matched-covariance"}
    layout : {"samples", "array", "subjects", "cells"}
        How data are read: rows with the same units; one array of any number of axes; subjects with
        units of their own; or a model of cells.
    """

    scoring: tuple[str, ...]
    baselines: Callable[[Any, Any], dict[str, Any]]
    null: str
    layout: str = "samples"


_DECODER = Defaults(("correlation", "retrieval"), baselines.for_decoders, "permutation", "subjects")
_CLASSIFIER = Defaults(("accuracy",), baselines.for_classifiers, "permutation")
_OTHER = Defaults(("score",), baselines.plain, "permutation")

DEFAULTS: dict[str, Defaults] = {
    "ActiveDendriteClassifier": _CLASSIFIER,
    "BayesianDecoder": Defaults(("score",), baselines.for_positions, "circular-shift"),
    "CrossSubjectClassifier": Defaults(
        ("accuracy",), baselines.for_cohort_classes, "permutation", "subjects"
    ),
    "CrossSubjectDecoder": _DECODER,
    "DynamicConnectome": Defaults(
        ("explained_share",), baselines.for_windows, "matched-covariance"
    ),
    "FunctionalTypes": Defaults(("adjusted_rand",), baselines.for_types, "permutation"),
    "HierarchicalRidgeDecoder": _DECODER,
    "MindBridgeDecoder": _DECODER,
    "MostDiscriminativeStimuli": Defaults(
        ("adjusted_rand",), baselines.for_cells, "permutation", "cells"
    ),
    "NonnegativeCP": Defaults(
        ("explained_share",), baselines.for_windows, "matched-covariance", "array"
    ),
    "PrototypeClassifier": _CLASSIFIER,
    "ResponseModel": Defaults(
        ("correlation", "score"), baselines.for_responses, "circular-shift", "array"
    ),
    "RidgeDecoder": _DECODER,
    "SwitchingGLM": Defaults(("log_likelihood", "bits"), baselines.for_choices, "circular-shift"),
    "SwitchingPopulationGLM": Defaults(
        ("log_likelihood", "bits"), baselines.for_populations, "circular-shift"
    ),
}


def defaults_of(model: Any) -> Defaults:
    """The defaults of a model's class, or of the nearest class that it is derived from."""
    return defaults_of_class(type(last_step(model)))


def defaults_of_class(kind: type) -> Defaults:
    """The defaults of a class, or of the nearest class that it is derived from."""
    for one in kind.__mro__:
        if one.__name__ in DEFAULTS:
            return DEFAULTS[one.__name__]
    return _OTHER
