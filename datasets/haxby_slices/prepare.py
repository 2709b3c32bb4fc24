"""PyMVPA's slice of Haxby 2001: one image and mask, and per run events and motion."""

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from neuroml.data import make_recording, read_fmri

TR_S = 2.5
RUNS, VOLUMES = 12, 121
MOTION = "rot_x rot_y rot_z trans_x trans_y trans_z".split()


def keys(folder: Path) -> list[tuple[str, str, str]]:
    return [("1", "", "")]


def read(folder: Path, key: tuple[str, str, str]) -> tuple[xr.Dataset, pd.DataFrame]:
    image = read_fmri(folder / "bold.nii.gz", mask=folder / "mask.nii.gz")
    shown = pd.read_csv(folder / "attributes_literal.txt", sep=" ", names=["label", "chunk"])
    categories = sorted(set(shown["label"]) - {"rest"})
    recording = make_recording(
        image["signal"].values,
        units=image["unit"].values.tolist(),
        rate_hz=1 / TR_S,
        modality="fmri",
        value_units="BOLD a.u.",
        key=key,
        covariates=pd.DataFrame({name: shown["label"] == name for name in categories}),
        confounds=pd.concat([_motion(folder, run) for run in range(RUNS)]),
        segment=shown["chunk"],
        unit_coords={axis: image[axis].values for axis in "xyz"},
        variables={"label": xr.DataArray(shown["label"].to_numpy(str), dims="time")},
    )
    return recording, pd.concat([_events(folder, run) for run in range(RUNS)], ignore_index=True)


def _run_folder(folder: Path, run: int) -> Path:
    return folder / f"haxby2001/sub001/BOLD/task001_run{run + 1:03d}"


def _motion(folder: Path, run: int) -> pd.DataFrame:
    return pd.DataFrame(np.loadtxt(_run_folder(folder, run) / "bold_moest.txt"), columns=MOTION)


def _events(folder: Path, run: int) -> pd.DataFrame:
    blocks = pd.read_csv(_run_folder(folder, run) / "bold_events.tsv", sep="\t")
    return blocks.assign(onset=blocks["onset"] + run * VOLUMES * TR_S)
