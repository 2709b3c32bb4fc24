"""Tables of state-switching models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from neuroml.report.context import Context
from neuroml.report.elements import TABLE_COLUMNS, last_step
from neuroml.report.tables.switching_population import sign_rows
from neuroml.switching import SwitchingGLM

__all__ = ["errors", "fitted_to", "output_names", "posteriors", "tabulate"]


def class_names(model: SwitchingGLM, context: Context) -> list[str]:
    """The labels of choices, behind the codes of a table of trials too."""
    coded = context.recordings[0].attrs.get("classes", []) if context.recordings else []
    if len(coded) == len(model.classes_) and model.classes_.dtype.kind in "iu":
        return [str(coded[code]) for code in model.classes_]
    return [str(label) for label in model.classes_]


def output_names(model: BaseEstimator, context: Context) -> list[str]:
    """One name for each row of a state's weights."""
    switching, n_outputs = last_step(model), last_step(model).weights_.shape[1]
    if not isinstance(switching, SwitchingGLM):
        return [str(name) for name in context.columns]
    if switching.family == "categorical":
        return [f"class {label}" for label in class_names(switching, context)[1:]]
    if len(context.outputs) == n_outputs:
        return [str(name) for name in context.outputs]
    return ["y"] if n_outputs == 1 else [f"y{m}" for m in range(n_outputs)]


def tabulate(model: BaseEstimator, context: Context) -> pd.DataFrame:
    """Weights, intercepts, transitions and first-state probabilities of every state."""
    switching, outputs = last_step(model), output_names(model, context)
    inputs = np.asarray(context.columns)
    if getattr(switching, "emission_columns", None) is not None:
        inputs = inputs[np.asarray(switching.emission_columns, dtype=int)]
    rows: list[tuple[str, str, str, str, float]] = []
    for k, weights in enumerate(switching.weights_):
        for m, output in enumerate(outputs):
            axis = f"input of {output}"
            rows += [
                ("weight", str(k), axis, str(name), float(value))
                for name, value in zip(inputs, weights[m], strict=True)
            ]
            value = float(switching.intercept_[k, m])
            rows.append(("intercept", str(k), "output", output, value))
        rows += [
            ("transition", str(k), "to state", str(j), float(value))
            for j, value in enumerate(switching.transition_matrix_[k])
        ]
        rows.append(("first state", str(k), "", "", float(switching.initial_proba_[k])))
    rows += sign_rows(switching, outputs)
    return pd.DataFrame(rows, columns=TABLE_COLUMNS)


def posteriors(model: Any, context: Context) -> pd.DataFrame | None:
    """Probability of every state in every row, and the most probable path; None without data."""
    given, whose = fitted_to(model, context)
    if given[-1] is None:
        return None
    posterior = model.predict_proba(*given, **whose)
    table = pd.DataFrame(posterior, columns=[f"state_{k}" for k in range(posterior.shape[1])])
    for place, (name, values) in enumerate(
        (("subject", context.groups), ("session", context.sessions), ("time", context.time))
    ):
        table.insert(place, name, "" if values is None else values)
    return table.assign(path=model.predict(*given, **whose))


def errors(model: SwitchingGLM, context: Context) -> Any:
    """Standard errors of a choice model; None without its data, and of subjects' own weights."""
    if context.errors is not None:
        return context.errors
    # those of weights that subjects have of their own are not defined
    if context.X is None or context.y is None or model.pooling != "complete":
        return None
    return model.standard_errors(context.X, context.y, sessions=context.sessions)


def fitted_to(model: Any, context: Context) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A switching model's data, and their sessions and subjects, as its methods take them."""
    whose: dict[str, Any] = {"sessions": context.sessions, "groups": context.groups}
    if isinstance(model, SwitchingGLM):
        return (context.X, context.y), whose
    return (context.X,), whose | {"covariates": context.covariates}
