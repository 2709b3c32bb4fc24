"""From recordings to a fitted model: the arrays a recipe asks for, and its chain of steps."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
import pandas as pd
import xarray as xr
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

from neuroml.batch.recipe import Recipe
from neuroml.data import align_units, clean, stack
from neuroml.exceptions import DataError
from neuroml.report import Context

__all__ = ["fit_recipe", "prepare"]

_TOLERANCE_S = 1e-6


def prepare(recipe: Recipe, recordings: Sequence[xr.Dataset]) -> list[xr.Dataset]:
    """Put recordings on one unit axis if the recipe asks for it, and clean them."""
    prepared = list(recordings)
    if recipe.data.shared_by is not None:
        prepared = align_units(prepared, min_recordings=recipe.data.shared_by)
    if recipe.clean is not None:
        prepared = [clean(recording, **recipe.clean) for recording in prepared]
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
        What tables and figures need to know about the data.
    """
    section = recipe.data
    if section.layout == "subjects":
        return _fit_subjects(recipe, recordings, events)
    arrays = stack(recordings, target=section.target, inputs=section.inputs, signal=section.signal)
    columns = arrays.units
    data, y, sessions = arrays.X if columns else None, arrays.y, arrays.sessions
    if section.stimuli is not None:
        data, y = np.concatenate([_shown(one, section.stimuli) for one in recordings]), arrays.X
    steps = [step.build(recipe.fit.random_state) for step in recipe.fit.steps]
    for step in steps[:-1]:
        data = step.fit_transform(data, y, **_sessions_for(step, sessions))
        if hasattr(step, "windows_"):
            rows = step.windows_.mean(axis=1).astype(int)
            y, sessions = None if y is None else y[rows], sessions[rows]
        else:
            columns = list(step.get_feature_names_out(columns))
    steps[-1].fit(data, y, **_sessions_for(steps[-1], sessions))
    context = Context(recordings, events, columns, arrays.sessions)
    if len(steps) == 1:
        return steps[0], context
    return Pipeline([(type(step).__name__.lower(), step) for step in steps]), context


def _fit_subjects(
    recipe: Recipe, recordings: Sequence[xr.Dataset], events: Sequence[pd.DataFrame | None]
) -> tuple[BaseEstimator, Context]:
    """Fit the one step to a dict of subjects; the context keeps their recordings together."""
    section = recipe.data
    order = sorted(range(len(recordings)), key=lambda i: recordings[i].attrs["subject"])
    grouped = {
        subject: stack(
            list(parts), target=section.target, inputs=section.inputs, signal=section.signal
        )
        for subject, parts in groupby(
            (recordings[i] for i in order), key=lambda one: one.attrs["subject"]
        )
    }
    step = recipe.fit.steps[0].build(recipe.fit.random_state)
    y = None if section.target is None else {s: part.y for s, part in grouped.items()}
    step.fit({s: part.X for s, part in grouped.items()}, y)
    counts = np.cumsum([0, *[part.sessions.max() + 1 for part in grouped.values()]])
    sessions = [p.sessions + first for p, first in zip(grouped.values(), counts, strict=False)]
    columns = next(iter(grouped.values())).units
    ordered = [recordings[i] for i in order], [events[i] for i in order]
    return step, Context(*ordered, columns, np.concatenate(sessions))


def _sessions_for(step: BaseEstimator, sessions: np.ndarray) -> dict[str, np.ndarray]:
    return {"sessions": sessions} if has_fit_parameter(step, "sessions") else {}


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
