"""Freely moving worms: HDF5 files of traces and behaviour, and one table of neuron names."""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import xarray as xr

from neuroml.data import make_recording

VOLUME_S = 0.6
BEHAVIOUR = {
    "velocity": "velocity",
    "reversal": "reversal_vec",
    "head_angle": "head_angle",
    "nose_angle": "nose_angle",
    "nose_curling": "nose_curling",
    "angular_velocity": "angular_velocity",
    "curvature": "worm_curvature",
}

NAMES = ["label", "neuron_class", "hemisphere"]


def keys(folder: Path) -> list[tuple[str, str, str]]:
    files = sorted((folder / "data/swf702_with_id").glob("*-data.h5"))
    return [(file.name.removesuffix("-data.h5"), "", "") for file in files]


def read(folder: Path, key: tuple[str, str, str]) -> tuple[xr.Dataset, pd.DataFrame]:
    with h5py.File(folder / f"data/swf702_with_id/{key[0]}-data.h5") as file:
        traces = file["gcamp/trace_array"][:]
        f_f20 = file["gcamp/traces_array_F_F20"][:]
        time = file["timing/timestamp_confocal"][:]
        behaviour = {name: file[f"behavior/{path}"][:] for name, path in BEHAVIOUR.items()}
        reversals = file["behavior/reversal_events"][:]
    time = time - time[0]
    neurons, dropped = _neurons(folder, key[0], traces.shape[1])
    recording = make_recording(
        traces,
        units=neurons.index.to_list(),
        rate_hz=1 / VOLUME_S,
        time=time,
        modality="calcium",
        value_units="z",
        key=key,
        covariates=pd.DataFrame(behaviour),
        unit_coords={
            "confidence": neurons["confidence"],
            **{name: neurons[name].to_numpy(str) for name in NAMES},
        },
        variables={"f_f20": xr.DataArray(f_f20, dims=("time", "unit"))},
        dropped=["behavior/pumping: all NaN", *dropped],
    )
    ends = np.append(time, time[-1] + VOLUME_S)
    onset = time[reversals[0]]
    events = pd.DataFrame(
        {"onset": onset, "duration": ends[reversals[1]] - onset, "trial_type": "reversal"}
    )
    return recording, events


def _neurons(folder: Path, worm: str, n_units: int) -> tuple[pd.DataFrame, list[str]]:
    """Name and what else is known of every column of the traces, and which names were not used."""
    table = pd.read_csv(folder / "neuron_labels.csv", keep_default_na=False)
    table = table[table["worm"] == worm].sort_values("confidence", ascending=False, kind="stable")
    column = table["trace_index_1based"].to_numpy() - 1
    uncertain = table["label"].str.endswith("?").to_numpy()
    repeated = (table["label"].duplicated() & ~uncertain).to_numpy()
    names = np.array([f"{worm}#{i:03d}" for i in range(n_units)], dtype=object)
    named = ~uncertain & ~repeated
    names[column[named]] = table["label"].to_numpy()[named]
    about = {
        "label": table["label"],
        "neuron_class": table["neuron_class"],
        "hemisphere": table["LR"].where(table["LR"].isin(["L", "R"]), ""),
        "confidence": table["confidence"],
    }
    neurons = pd.DataFrame(about).set_index(column).reindex(range(n_units))
    neurons[NAMES] = neurons[NAMES].fillna("")
    dropped = [
        f"name {label} of column {at}: {why}"
        for at, label, is_uncertain, is_repeated in zip(
            column, table["label"], uncertain, repeated, strict=True
        )
        for why in ["uncertain"] * bool(is_uncertain) + ["given twice"] * bool(is_repeated)
    ]
    return neurons.set_index(names), dropped
