"""Pat-Map's example sets: MATLAB 7.3 files (HDF5, transposed) of binary events and labels."""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import xarray as xr

from neuroml.data import make_recording

FILES = {
    "drifting_gratings": "visual_cortex",
    "contextual_fear": "contextual_fear",
    "spatial_reward": "spatial_reward",
}
PRESENTATION = 22  # frames at most
SPATIAL_RATE_HZ = 10.0


def keys(folder: Path) -> list[tuple[str, str, str]]:
    return [(name, "", "") for name in FILES]


def read(folder: Path, key: tuple[str, str, str]) -> tuple[xr.Dataset, pd.DataFrame | None]:
    name = key[0]
    stem = folder / name / FILES[name]
    events = _matrix(f"{stem}_data.mat", "data")
    labels = _matrix(f"{stem}_udf.mat", "udf")
    parts = {
        "drifting_gratings": _gratings,
        "contextual_fear": _contexts,
        "spatial_reward": _places,
    }[name](events, labels)
    frames, cells = parts["frames"], parts["cells"]
    recording = make_recording(
        events[np.ix_(frames, cells)],
        units=[f"{name}#{cell:03d}" for cell in cells],
        rate_hz=parts.get("rate_hz"),
        modality="calcium",
        value_units="event",
        key=key,
        covariates=parts["covariates"].iloc[frames],
        segment=parts["segment"],
        dropped=parts["dropped"],
    )
    return recording, _visits(recording) if name == "spatial_reward" else None


def _matrix(path: str, name: str) -> np.ndarray:
    with h5py.File(path) as file:
        return file[name][()].T


def _gratings(events: np.ndarray, labels: np.ndarray) -> dict:
    orientation = (labels[:, 0] - 1) * 45
    starts = np.flatnonzero(np.r_[True, np.diff(orientation) != 0, True])
    middles = [
        start + length // 2
        for start, length in zip(starts[:-1], np.diff(starts), strict=True)
        if length > PRESENTATION
    ]
    first = np.zeros(len(events), dtype=int)
    first[[*starts[1:-1], *middles]] = 1
    return {
        "frames": np.arange(len(events)),
        "cells": np.arange(events.shape[1]),
        "covariates": pd.DataFrame({"orientation_deg": orientation}),
        "segment": np.cumsum(first),
        "dropped": [],
    }


def _contexts(events: np.ndarray, labels: np.ndarray) -> dict:
    _, first = np.unique(events, axis=0, return_index=True)
    frames = np.sort(first)
    return {
        "frames": frames,
        "cells": np.arange(events.shape[1]),
        "covariates": pd.DataFrame({"context": labels.argmax(axis=1)}),
        "segment": np.arange(len(frames)),
        "dropped": [f"{len(events) - len(frames)} frames identical to an earlier one"],
    }


def _places(events: np.ndarray, labels: np.ndarray) -> dict:
    position = labels.argmax(axis=1) + 1
    _, first = np.unique(events, axis=1, return_index=True)
    twins = sorted(set(range(events.shape[1])) - set(first))
    return {
        "frames": np.arange(len(events)),
        "cells": np.sort(first),
        "covariates": pd.DataFrame({"position_bin": position}),
        "segment": np.cumsum(np.r_[0, np.abs(np.diff(position)) > 1]),
        "rate_hz": SPATIAL_RATE_HZ,
        "dropped": [f"cell {cell:03d}: identical to an earlier one" for cell in twins],
    }


def _visits(recording: xr.Dataset) -> pd.DataFrame:
    """An event for each time that the mouse is in a bin of the track."""
    position = recording["covariates"].values[:, 0].astype(int)
    new = (np.diff(position) != 0) | (np.diff(recording["segment"].values) != 0)
    starts = np.flatnonzero(np.r_[True, new])
    lengths = np.diff(np.r_[starts, len(position)])
    return pd.DataFrame(
        {
            "onset": recording["time"].values[starts],
            "duration": lengths / SPATIAL_RATE_HZ,
            "trial_type": [f"bin{position[start]:02d}" for start in starts],
        }
    )
