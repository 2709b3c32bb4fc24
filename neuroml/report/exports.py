"""What a model holds as tables for other programs, and what their columns mean."""

from __future__ import annotations

import re
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

import neuroml
from neuroml.report.context import Context
from neuroml.report.elements import TABLE_COLUMNS, last_step
from neuroml.report.meanings import quantity_meaning
from neuroml.report.presenters import presenter

__all__ = ["describe_table", "parameters", "posteriors", "with_errors"]

_COLUMNS = {
    "quantity": "What the value is; of parameters, the fitted attribute that it is from.",
    "value": "The number.",
    "se": "Standard error of the value.",
    "component": "Number of the component, state or cluster, from 0.",
    "state": "Number of the state, from 0, in falling order of occupancy.",
    "to_state": "The state that a transition leads to.",
    "axis": "What the label is of, such as unit, subject or time.",
    "label": "Name or number of what the value belongs to.",
    "unit": "Name or number of the unit: a neuron, voxel or region.",
    "to_unit": "The other unit of a pair.",
    "from_unit": "The unit that a coupling comes from.",
    "cell": "Name or number of the cell, from 0.",
    "feature": "Name or number of the input.",
    "output": "Name or number of the output, or the class that is set against the first.",
    "target": "Name or number of the target.",
    "subject": "The subject; empty where subjects are not told apart.",
    "session": "Number of the contiguous piece of a recording, from 0, as they were stacked.",
    "job": "Name of the job, which is that of its folder.",
    "model": "The model, or the baseline.",
    "fold": "Number of the fold, from 0.",
    "scoring": "Name of the score; larger is better.",
    "mean": "Mean over subjects of the mean over folds.",
    "difference": "The mean minus that of the best baseline.",
    "ci_low": "Lower end of the 95 % interval of the difference.",
    "ci_high": "Upper end of the 95 % interval of the difference.",
    "n_subjects_above": "Subjects in which the model does better than the best baseline.",
    "n_subjects": "Number of subjects.",
    "p": "Share of the permutations with a score at least as large.",
    "null": "The surrogates: shift (units unrelated), matched-covariance (relations never change).",
    "weight": "Norm of the component.",
    "contrast": "Correlation over pairs of the component with belonging to the same community.",
    "weight_p": "Of the weight, family-wise over components.",
    "contrast_p": "Of the contrast, family-wise over components.",
    "permutation": "Number of the permutation, from 0.",
    "path": "State of the most probable path.",
}


def with_errors(model: BaseEstimator, context: Context) -> Context:
    """The context with standard errors: tables and figures need them, and they cost a few fits."""
    step = last_step(model)
    known = presenter(type(step))
    return context if known is None else replace(context, errors=known.errors_of(step, context))


def parameters(model: BaseEstimator, context: Context) -> pd.DataFrame | None:
    """What the last step learned, by the names of its data; None for one without `to_frame`."""
    step = last_step(model)
    if not hasattr(step, "to_frame"):
        return None
    known = presenter(type(step))
    errors = None if known is None else known.errors_of(step, context)
    return _named(step, context).to_frame(*([] if errors is None else [errors]))


def posteriors(model: BaseEstimator, context: Context) -> pd.DataFrame | None:
    """Probability of every hidden state in every row of the data; None for other models."""
    known = presenter(type(last_step(model)))
    return None if known is None else known.posterior_of(last_step(model), context)


def describe_table(table: pd.DataFrame, model: BaseEstimator, context: Context) -> dict[str, Any]:
    """The sidecar of a table: the model that it is of, and what its columns mean."""
    columns = dict(_COLUMNS, time=f"Of the row, on its recording's clock: {context.time_label}.")
    columns |= {
        name: f"Probability of {name.replace('_', ' ')}, given all data."
        for name in map(str, table)
        if re.fullmatch(r"state_\d+", name)
    }
    told: dict[str, dict[str, Any]] = {
        str(name): {"Description": columns[name]} if name in columns else {} for name in table
    }
    if list(table) == TABLE_COLUMNS:  # a table of `tabulate`; `to_frame` names attributes
        names = map(str, table["quantity"].unique())
        told["quantity"]["Levels"] = {name: quantity_meaning(name) for name in names}
    return {
        "Model": type(last_step(model)).__name__,
        "GeneratedBy": {"Name": "neuroml", "Version": neuroml.__version__},
        "Rows": len(table),
        "Columns": told,
    }


def _named(step: Any, context: Context) -> Any:
    """A copy of the step with its data's names, where it was fitted to arrays without names."""
    # the second mode of a tensor is what an estimator takes for its columns
    columns = context.axes[1][1] if len(context.axes) > 1 else context.columns
    names: dict[str, Any] = {}
    if len(columns) == getattr(step, "n_features_in_", -1):
        names["feature_names_in_"] = np.array([str(name) for name in columns], object)
    outputs = [str(name) for name in context.outputs]
    if outputs and getattr(step, "n_outputs_", len(outputs)) == len(outputs):
        names["target_names_"] = outputs
    units = {one.attrs["subject"]: one["unit"].values.astype(str) for one in context.recordings}
    sizes = {s: len(rows) for s, rows in getattr(step, "unit_factors_", {}).items()}
    sizes |= getattr(step, "n_voxels_", {})
    known = {s: units[s].tolist() for s, n in sizes.items() if s in units and len(units[s]) == n}
    names |= dict.fromkeys(("voxel_names_", "unit_names_"), known)
    named = copy(step)
    vars(named).update({key: value for key, value in names.items() if not hasattr(step, key)})
    return named
