"""What a recipe can name: estimators, readers and their options; and the nearest word."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
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
    read_bids,
    read_fmri,
    read_spikes,
    read_traces,
    read_trials,
    subtract_neuropil,
)
from neuroml.data.bids import BRAIN

__all__ = [
    "FILE_OPTIONS",
    "LABEL",
    "PREPARATIONS",
    "READERS",
    "estimator_classes",
    "files_in",
    "has_y",
    "step_names",
]

READERS: dict[str, Callable[..., Any]] = {
    "bids": read_bids,
    "fmri": read_fmri,
    "traces": read_traces,
    "spikes": read_spikes,
    "trials": read_trials,
}
"""Each returns a recording, but for "trials", which returns one per subject of the table, and
"bids", which returns all of a folder."""
FILE_OPTIONS = {
    "bids": ("labels", "mask", "maps", "units", "raw"),
    "fmri": ("labels", "mask", "maps", "confounds", "units"),
}
"""Options of a reader in which a text is the name of a file or folder, relative to the recipe."""

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

LABEL = "label"
"""The variable that ``[data.events]`` makes: the y of the recipe."""

_SKLEARN_STEPS = {"StandardScaler": "sklearn.preprocessing", "PCA": "sklearn.decomposition"}


def files_in(reader: str, options: Mapping[str, Any], where: Path) -> dict[str, Path]:
    """Options of a reader that name files, as paths."""
    return {
        name: where / options[name]
        for name in FILE_OPTIONS.get(reader, ())
        if isinstance(options.get(name), str) and (name, options[name]) != ("mask", BRAIN)
    }


def has_y(data: Mapping[str, Any]) -> bool:
    """Whether a recipe's ``[data]`` says what y is."""
    return any(data.get(name) is not None for name in ("target", "stimuli", "events"))


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
