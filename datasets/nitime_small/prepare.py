"""nitime's examples beside the region table: NIfTI pieces, an event series, spikes, sound."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import xarray as xr

from neuroml.data import make_recording, read_fmri

MT_TR_S = 2.0
DURATION_MS = 10_000
SOUND_HZ = 20_000.0


def keys(folder: Path) -> list[tuple[str, str, str]]:
    return [
        ("volunteer", "", "1"),
        ("volunteer", "", "2"),
        ("mt", "", ""),
        ("grasshopper", "", "1"),
        ("grasshopper", "", "2"),
    ]


def read(folder: Path, key: tuple[str, str, str]) -> tuple[xr.Dataset, pd.DataFrame | None]:
    if key[0] == "volunteer":
        return _image(folder / f"fmri{key[2]}.nii.gz", key), None
    if key[0] == "mt":
        return _event_related(folder / "event_related_fmri.csv", key)
    return _grasshopper(folder, key), None


def _image(path: Path, key: tuple[str, str, str]) -> xr.Dataset:
    """Take the voxels from the end of the file: they start later than its header says."""
    header = nib.Nifti1Image.from_filename(path)
    with gzip.open(path) as file:
        content = file.read()
    dtype, shape = header.get_data_dtype(), header.shape
    voxels = np.frombuffer(content[-dtype.itemsize * np.prod(shape) :], dtype)
    image = nib.Nifti1Image(voxels.reshape(shape, order="F"), header.affine, header.header)
    everywhere = nib.Nifti1Image(np.ones(shape[:3], dtype=np.uint8), header.affine)
    return read_fmri(image, mask=everywhere, key=key)


def _event_related(path: Path, key: tuple[str, str, str]) -> tuple[xr.Dataset, pd.DataFrame]:
    table = pd.read_csv(path)
    recording = make_recording(
        table[["bold"]],
        units=["MT"],
        rate_hz=1 / MT_TR_S,
        modality="fmri",
        value_units="BOLD a.u.",
        key=key,
    )
    at = np.flatnonzero(table["events"])
    kinds = table["events"].iloc[at].astype(int).astype(str).to_numpy()
    return recording, pd.DataFrame({"onset": at * MT_TR_S, "duration": 0.0, "trial_type": kinds})


def _grasshopper(folder: Path, key: tuple[str, str, str]) -> xr.Dataset:
    microseconds = np.loadtxt(folder / f"grasshopper_spike_times{key[2]}.txt").astype(int)
    counts = np.bincount(microseconds // 1000, minlength=DURATION_MS)
    amplitude, sound = None, {}
    if key[2] == "1":
        pressure = np.loadtxt(folder / "grasshopper_stimulus1.txt.gz", usecols=1)
        amplitude = pd.DataFrame({"amplitude": pressure.reshape(DURATION_MS, -1).mean(axis=1)})
        clock = {"stimulus_time": np.arange(len(pressure)) / SOUND_HZ}
        sound["stimulus"] = xr.DataArray(pressure, dims="stimulus_time", coords=clock)
    return make_recording(
        counts[:, None],
        units=[f"receptor{key[2]}"],
        rate_hz=1000.0,
        time=(np.arange(DURATION_MS) + 0.5) / 1000,
        modality="spikes",
        value_units="count",
        key=key,
        covariates=amplitude,
        variables=sound,
    )
