"""Panels of the brain, for models whose units' places are known."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from neuroml.plotting import plot_brain_map
from neuroml.report.context import Context
from neuroml.report.elements import Panel, last_step

__all__ = ["brain_maps"]

_MOST = 6


def brain_maps(model: BaseEstimator, context: Context) -> list[Panel]:
    """Loadings or weights of units in the brain, if there are some of each unit of a recording.

    Nothing is said of recordings that have no place in a brain image, such as tables.
    """
    if not context.recordings or not context.recordings[0].attrs.get("image"):
        return []
    recording = context.recordings[0]
    found = _maps_of(model, [str(unit) for unit in recording["unit"].values], context)
    if found is None:
        return []
    names, values, caption = found
    more = f" The first {_MOST} of {len(names)}." if len(names) > _MOST else ""
    try:
        drawn = plot_brain_map(values[:_MOST], recording, map_names=names[:_MOST])
    except Exception as error:  # a figure that fails must not lose the fit; nilearn raises any kind
        return [Panel("brain_map", None, f"The brain is not drawn: {error}")]
    return [Panel("brain_map", drawn, caption + more)]


def _maps_of(
    model: BaseEstimator, units: list[str], context: Context
) -> tuple[list[str], np.ndarray, str] | None:
    """Names of maps, their values (n_maps, n_units), and what they are."""
    step: Any = last_step(model)
    if hasattr(step, "cp_"):
        axes = [list(map(str, labels)) for _, labels in context.axes]
        if units not in axes:
            return None
        loadings = step.cp_.factors[axes.index(units)].T
        names = [f"component {r}" for r in range(len(loadings))]
        return names, loadings, "Loadings of the units on each component, in the brain."
    weights = _weights(step)
    if weights is None or list(map(str, context.columns)) != units:
        return None
    labels = [str(name) for name in getattr(step, "classes_", context.outputs)]
    names = labels if len(labels) == len(weights) else []
    return (
        names or [f"output {k}" for k in range(len(weights))],
        weights,
        "Weights of the decoder in the brain: what it reads, which is not all that responds (Haufe "
        "et al. 2014).",
    )


def _weights(step: Any) -> np.ndarray | None:
    """Weights (n_outputs, n_units) of a linear model, also of the one that a classifier fits."""
    found = getattr(getattr(step, "estimator_", step), "coef_", None)
    if isinstance(found, dict):  # by subject, who may have units of their own
        found = next(iter(found.values())) if len(found) == 1 else None
    return None if found is None else np.atleast_2d(found)
