"""Parameters of a model by the names of the fitted attributes, and what their axes are called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from neuroml._core.frames import Quantity, long_frame
from neuroml._core.validation import column_indices
from neuroml.switching._bootstrap import AXES
from neuroml.switching._em import Model
from neuroml.switching._observations.families import NOISE

__all__ = ["axis_labels", "join_weights", "named_parameters", "parameter_frame", "split_weights"]


def join_weights(weights: np.ndarray, intercept: np.ndarray, *, has_intercept: bool) -> np.ndarray:
    """The inverse of `split_weights`."""
    if has_intercept:
        return np.concatenate([weights, intercept[..., None]], axis=-1)
    return weights


def split_weights(weights: np.ndarray, *, has_intercept: bool) -> tuple[np.ndarray, np.ndarray]:
    """Weights (..., F) as weights of inputs and intercepts (...), which are 0 without one."""
    if has_intercept:
        return weights[..., :-1], weights[..., -1]
    return weights, np.zeros(weights.shape[:-1])


def named_parameters(model: Model, family: str, *, has_intercept: bool) -> dict[str, np.ndarray]:
    """Parameters by the names of the fitted attributes, without their underscores."""
    weights, intercept = split_weights(model.emissions.weights, has_intercept=has_intercept)
    found = {"weights": weights, "intercept": intercept}
    if family in NOISE:
        found[NOISE[family]] = model.emissions.noise
    initial, matrix, by_input = model.chain
    return found | {
        "initial_proba": initial, "transition_matrix": matrix, "transition_weights": by_input,
    }  # fmt: skip


def axis_labels(
    inputs: Sequence[Any],
    names: Sequence[str] | None,
    columns: Mapping[str, ArrayLike | None],
    outputs: Sequence[Any],
) -> dict[str, dict[str, list[Any]]]:
    """What outputs and features of every parameter are called: names, or their numbers.

    Parameters
    ----------
    inputs : sequence
        Of the columns of X, names or numbers.
    names : array-like of str, or None
        Of the columns of X, if it was a table.
    columns : mapping of str to array-like or None
        ``emission_columns`` and ``transition_columns``.
    outputs : sequence
        Of the rows of a state's weights.
    """
    chosen = {
        field: list(inputs) if selected is None else [
            inputs[i] for i in column_indices(selected, len(inputs), names, field=field)
        ]
        for field, selected in columns.items()
    }  # fmt: skip
    of_outputs = {"output": list(outputs), "to_output": list(outputs)}
    return {name: of_outputs for name in AXES} | {
        "weights": of_outputs | {"feature": chosen["emission_columns"]},
        "transition_weights": {"feature": chosen["transition_columns"]},
    }


def parameter_frame(
    model: Any, labels: Mapping[str, Mapping[str, Sequence[Any]]], errors: Mapping[str, Any]
) -> pd.DataFrame:
    """The table of `SwitchingGLM.to_frame`.

    Parameters
    ----------
    model : SwitchingGLM
        A fitted one.
    labels : mapping
        From `axis_labels`.
    errors : mapping of str to ndarray
        Standard errors by the names of `AXES`; others are not used.
    """
    found = []
    for name, axes in {**AXES, "occupancy": ("state",)}.items():
        for prefix, first in (("", ()), ("subject_", ("subject",))):
            values = getattr(model, f"{prefix}{name}_", None)
            if values is None or isinstance(values, pd.DataFrame):
                continue
            own = {"subject": model.subjects_.tolist()} if first else {}
            known = own | dict(labels.get(name, {}))
            sizes = dict(zip((*first, *axes), np.shape(values), strict=True))
            named = {axis: known.get(axis, range(n)) for axis, n in sizes.items()}
            se = getattr(model, f"{prefix}{name}_std_", None) if first else errors.get(name)
            found.append(Quantity(f"{prefix}{name}", values, named, se))
    return long_frame(found)


def population_frame(model: Any, units: Sequence[Any]) -> pd.DataFrame:
    """The table of `SwitchingPopulationGLM.to_frame`, with the names or numbers of the units."""
    states = range(len(model.occupancy_))
    pair, state = {"unit": units, "from_unit": units}, {"state": states}
    lags = range(1, model.filters_.shape[1] + 1)
    found = [
        Quantity("weights", model.weights_, {**state, **pair}),
        Quantity("intercept", model.intercept_, {**state, "unit": units}),
        Quantity("filters", model.filters_, {"from_unit": units, "lag": lags}),
        Quantity("transition_matrix", model.transition_matrix_, state | {"to_state": states}),
        Quantity("initial_proba", model.initial_proba_, state),
        Quantity("occupancy", model.occupancy_, state),
    ]
    if hasattr(model, "covariate_weights_"):
        weights = model.covariate_weights_
        names = getattr(model, "covariate_names_", range(weights.shape[2]))
        axes = {**state, "unit": units, "covariate": names}
        found.insert(1, Quantity("covariate_weights", weights, axes))
    if hasattr(model, "connection_probability_"):
        signs = pair | {"sign": ["inhibitory", "no connection", "excitatory"]}
        found.append(Quantity("connection_probability", model.connection_probability_, signs))
    return long_frame(found)
