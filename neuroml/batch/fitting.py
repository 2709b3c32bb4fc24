"""From recordings to a fitted model: the arrays a recipe asks for, and its chain of steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from sklearn.base import BaseEstimator
from sklearn.pipeline import make_pipeline
from sklearn.utils import Bunch
from sklearn.utils.validation import has_fit_parameter

from neuroml._core.recording import key_of, name_of
from neuroml._core.validation import list_some
from neuroml.batch.labeling import label_rows
from neuroml.batch.preparing import apply_preparation, warn_of_raw_fluorescence
from neuroml.batch.recipe import DataSection, Recipe
from neuroml.data import align_units, clean, stack
from neuroml.exceptions import DataError
from neuroml.report import Context

__all__ = ["build_model", "context_of", "fit_recipe", "prepare"]

_TOLERANCE_S = 1e-6


def prepare(
    recipe: Recipe,
    recordings: Sequence[xr.Dataset],
    events: Sequence[pd.DataFrame | None] = (),
) -> list[xr.Dataset]:
    """Prepare each recording, put all on one unit axis if the recipe asks for it, and clean them.

    Then events, one table per recording, make rows or labels of them, if the recipe says so. Raw
    fluorescence that is left is warned of.
    """
    prepared = [
        apply_preparation(recipe.preparation, recording, key_of(recording), recipe.where)
        for recording in recordings
    ]
    if recipe.data.shared_by is not None:
        prepared = align_units(prepared, min_recordings=recipe.data.shared_by)
    if recipe.clean is not None:
        prepared = [clean(recording, **recipe.clean) for recording in prepared]
    warn_of_raw_fluorescence(prepared)
    if recipe.data.events is not None:
        pairs = zip(prepared, events, strict=True)
        prepared = [label_rows(recipe.data.events, *pair) for pair in pairs]
    return prepared


def fit_recipe(
    recipe: Recipe, recordings: Sequence[xr.Dataset], events: Sequence[pd.DataFrame | None]
) -> tuple[BaseEstimator, Context]:
    """Fit the recipe's steps to prepared recordings.

    Returns
    -------
    model : BaseEstimator
        The step itself, or a Pipeline if there are several.
    context : Context
        What the last step was fitted to.
    """
    steps = _build_steps(recipe)
    context = context_of(recipe.data, recordings, events)
    for step in steps[:-1]:
        context = context.after(
            step, step.fit_transform(context.X, context.y, **_extras_for(step, context))
        )
    steps[-1].fit(context.X, context.y, **_extras_for(steps[-1], context))
    return _chained(steps), context


def build_model(recipe: Recipe) -> BaseEstimator:
    """Return the recipe's steps as one estimator that is not fitted."""
    return _chained(_build_steps(recipe))


def _build_steps(recipe: Recipe) -> list[BaseEstimator]:
    return [step.build(recipe.fit.random_state) for step in recipe.fit.steps]


def _chained(steps: list[BaseEstimator]) -> BaseEstimator:
    return steps[0] if len(steps) == 1 else make_pipeline(*steps)


def context_of(
    section: DataSection,
    recordings: Sequence[xr.Dataset],
    events: Sequence[pd.DataFrame | None],
) -> Context:
    """The arrays that the first step is fitted to."""
    if section.layout == "subjects":
        return _subjects(section, recordings, events)
    names = _output_names(section, recordings[0])
    arrays = _stacked(section, recordings)
    context = Context.of(recordings, events, arrays, names)
    if section.covariates:
        beside = stack(recordings, inputs=section.covariates)
        context = replace(context, covariates=pd.DataFrame(beside.X, columns=beside.units))
    if section.stimuli is None:
        return context
    shown = np.concatenate([_shown(one, section.stimuli) for one in recordings])
    return replace(context, X=shown, y=arrays.X, columns=[], outputs=arrays.units)


def _stacked(section: DataSection, recordings: Sequence[xr.Dataset]) -> Bunch:
    return stack(recordings, target=section.y, inputs=section.inputs, signal=section.signal)


def _output_names(section: DataSection, recording: xr.Dataset) -> list[str]:
    """Names of the columns of y: the target's own, or the units of the signal."""
    if section.target == section.signal:
        return [str(unit) for unit in recording["unit"].values]
    return [section.y] if isinstance(section.y, str) else list(section.y or [])


def _subjects(
    section: DataSection,
    recordings: Sequence[xr.Dataset],
    events: Sequence[pd.DataFrame | None],
) -> Context:
    """A dict of arrays by subject; each subject's recordings stand together."""
    order = sorted(range(len(recordings)), key=lambda i: recordings[i].attrs["subject"])
    ordered = [recordings[i] for i in order]
    parts = {
        subject: _stacked(section, list(several))
        for subject, several in groupby(ordered, key=lambda one: one.attrs["subject"])
    }
    counts = np.cumsum([0, *[part.sessions.max() + 1 for part in parts.values()]])
    sessions = [p.sessions + first for p, first in zip(parts.values(), counts, strict=False)]
    units = [part.units for part in parts.values()]
    _check_outputs(section, ordered)
    return Context(
        ordered,
        [events[i] for i in order],
        units[0] if all(names == units[0] for names in units) else [],
        np.concatenate(sessions),
        {subject: part.X for subject, part in parts.items()},
        None if section.y is None else {subject: part.y for subject, part in parts.items()},
        _output_names(section, ordered[0]),
        np.concatenate([part.groups for part in parts.values()]),
    )


def _check_outputs(section: DataSection, recordings: Sequence[xr.Dataset]) -> None:
    """The columns of y of all subjects are joined by their place, so they have to be the same."""
    first = _output_names(section, recordings[0])
    for recording in recordings[1:]:
        found = _output_names(section, recording)
        if found != first:
            raise DataError(
                "subjects differ in their targets",
                expected=f"the columns of {name_of(recordings[0])}: {list_some(first)}",
                found=list_some(found),
                fix="Put them on one axis with neuroml.data.align_units.",
                subject=name_of(recording),
                field="target",
            )


def _extras_for(step: BaseEstimator, context: Context) -> dict[str, Any]:
    """What stands beside the rows, for a step that takes it and whose X has rows.

    A step that takes both would count every session as a subject if it were not told. One that
    takes subjects alone is told of them where there are several: one array is then one subject,
    and a saved model predicts without being told.
    """
    if isinstance(context.X, dict):
        return {}
    extras: dict[str, Any] = {}
    if has_fit_parameter(step, "sessions"):
        extras["sessions"] = context.sessions
    if context.groups is not None and has_fit_parameter(step, "groups"):
        if extras or len(np.unique(context.groups)) > 1:
            extras["groups"] = context.groups
    if context.covariates is not None and has_fit_parameter(step, "covariates"):
        extras["covariates"] = context.covariates
    return extras


def _shown(recording: xr.Dataset, name: str) -> np.ndarray:
    """The stimulus frame that began last at each sample of the signal (n_samples, ...)."""
    if name not in recording:
        raise DataError(
            "the recording has no such stimulus",
            expected=f"one of {sorted(map(str, recording.data_vars))}",
            found=name,
            field="data.stimuli",
        )
    stimulus = recording[name]
    clock = stimulus[stimulus.dims[0]].values
    times = recording["time"].values
    length = np.diff(clock).mean() if len(clock) > 1 else np.inf
    frames = np.searchsorted(clock, times + _TOLERANCE_S, side="right") - 1
    if frames[0] < 0 or times[-1] >= clock[-1] + length:
        raise DataError(
            "the stimulus does not cover the recording",
            expected=f"a frame for every sample from {times[0]:g} to {times[-1]:g} s",
            found=f"frames from {clock[0]:g} to {clock[-1]:g} s",
            field="data.stimuli",
        )
    return stimulus.values[frames]
