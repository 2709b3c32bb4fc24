"""What a recipe can name: estimators, readers and their options; and the nearest word."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import xarray as xr
from sklearn.base import BaseEstimator

import neuroml
from neuroml.data import read_fmri, read_spikes, read_traces

__all__ = ["FILE_OPTIONS", "READERS", "estimator_classes", "step_names"]

READERS: dict[str, Callable[..., xr.Dataset]] = {
    "fmri": read_fmri,
    "traces": read_traces,
    "spikes": read_spikes,
}
FILE_OPTIONS = {"fmri": ("labels", "mask", "confounds", "units"), "traces": (), "spikes": ()}
"""Options of a reader in which a text is the name of a file, relative to the recipe."""

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
