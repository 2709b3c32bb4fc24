"""What models are told of all data before these are split into folds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sklearn.base import clone

from neuroml._core.estimator import metadata_keywords
from neuroml.evaluation._choosing import Choice
from neuroml.evaluation._fitted import last_step
from neuroml.evaluation._layouts import Rows
from neuroml.exceptions import DataError
from neuroml.switching import SwitchingGLM
from neuroml.switching._classes import WITH_CLASSES, classes_of

__all__ = ["with_classes", "with_covariates"]


def with_covariates(
    data: Rows | dict[Any, Rows], covariates: Any, X: Any, models: list[Any]
) -> Rows:
    """The data with covariates, which each of the models must take."""
    without = [
        type(last_step(model)).__name__
        for model in models
        if "covariates" not in metadata_keywords(type(last_step(model)), "score")
    ]
    if without or not isinstance(data, Rows):
        raise DataError(
            "covariates are for models that take them",
            expected="such as SwitchingPopulationGLM or ResponseModel",
            found=", ".join(without) or "subjects with units of their own",
            field="covariates",
        )
    return data.with_covariates(covariates, X)


def with_classes(model: Any, data: Rows | dict[Any, Rows]) -> Any:
    """The model with the classes of all data, of which a fold's training data may lack some."""
    if isinstance(model, Choice):
        every = {name: with_classes(one, data) for name, one in model.candidates.items()}
        return replace(model, candidates=every)
    last = last_step(model)
    lacks = isinstance(last, SwitchingGLM) and last.family in WITH_CLASSES and last.classes is None
    if not lacks or not isinstance(data, Rows) or data.y is None:
        return model
    copy = clone(model)
    last_step(copy).set_params(classes=classes_of(data.y, last.family))
    return copy
