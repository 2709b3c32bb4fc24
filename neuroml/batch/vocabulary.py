"""What a recipe can name: estimators, readers and their options; and the nearest word."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import xarray as xr
from sklearn.base import BaseEstimator

import neuroml
from neuroml.data import (
    add_covariates,
    bin_time,
    clean,
    delta_f_over_f,
    detect_events,
    read_fmri,
    read_spikes,
    read_traces,
    read_trials,
    subtract_neuropil,
)

__all__ = ["FILE_OPTIONS", "PREPARATIONS", "READERS", "estimator_classes", "step_names"]

READERS: dict[str, Callable[..., Any]] = {
    "fmri": read_fmri,
    "traces": read_traces,
    "spikes": read_spikes,
    "trials": read_trials,
}
"""Each returns a recording, but for "trials", which returns one per subject of the table."""
FILE_OPTIONS = {"fmri": ("labels", "mask", "confounds", "units")}
"""Options of a reader in which a text is the name of a file, relative to the recipe."""

# resample_to is not among them: its reference is another recording, which no text can name
PREPARATIONS: dict[str, Callable[..., xr.Dataset]] = {
    function.__name__: function
    for function in (
        add_covariates,
        bin_time,
        clean,
        delta_f_over_f,
        detect_events,
        subtract_neuropil,
    )
}
"""What a ``[[prepare]]`` can use: from a recording to a recording."""

_SKLEARN_STEPS = {"StandardScaler": "sklearn.preprocessing", "PCA": "sklearn.decomposition"}


def estimator_classes() -> dict[str, type[BaseEstimator]]:
    """Every class a step can name: neuroml's public estimators, and scalers of scikit-learn."""
    classes: dict[str, type[BaseEstimator]] = {
        name: getattr(importlib.import_module(module), name)
        for name, module in _SKLEARN_STEPS.items()
    }
    for family in neuroml._FAMILIES:
        module = importlib.import_module(f"neuroml.{family}")
        for name in module.__all__:
            found = getattr(module, name)
            if isinstance(found, type) and issubclass(found, BaseEstimator):
                classes[name] = found
    return classes


def step_names(uses: list[str]) -> list[str]:
    """What to call each step: its class, numbered from 1 where several are of one class."""
    return [
        use if uses.count(use) == 1 else f"{use}-{uses[: k + 1].count(use)}"
        for k, use in enumerate(uses)
    ]
