"""Singing finch: seqNMF's MATLAB file, and PPSeq's list of the same events."""

from pathlib import Path

import numpy as np
import xarray as xr
from scipy.io import loadmat

from neuroml.data import make_recording


def keys(folder: Path) -> list[tuple[str, str, str]]:
    return [("finch", "", "")]


def read(folder: Path, key: tuple[str, str, str]) -> tuple[xr.Dataset, None]:
    file = loadmat(folder / "MackeviciusData.mat")
    rate_hz, song_hz = float(file["VIDEOfs"].item()), float(file["SONGfs"].item())
    neural, song = file["NEURAL"].T, file["SONG"].T
    active = np.flatnonzero(neural.any(axis=0))
    ids = _ppseq_ids(folder / "songbird_spikes.txt", neural[:, active], rate_hz)
    recording = make_recording(
        neural[:, active],
        units=[f"neuron{i:02d}" for i in active],
        rate_hz=rate_hz,
        modality="calcium",
        value_units="deconvolved a.u.",
        key=key,
        unit_coords={"ppseq_id": ids},
        variables={
            "song": xr.DataArray(
                song,
                dims=("song_time", "frequency"),
                coords={"song_time": np.arange(len(song)) / song_hz},
            )
        },
        dropped=[f"neuron{i:02d}: all zero" for i in set(range(neural.shape[1])) - set(active)],
    )
    return recording, None


def _ppseq_ids(path: Path, neural: np.ndarray, rate_hz: float) -> list[int]:
    """Number in PPSeq's list of every neuron, found by the frames in which it is active."""
    numbers, times = np.loadtxt(path).T
    frames = np.round(times * rate_hz).astype(int) - 1
    by_frames = {tuple(np.sort(frames[numbers == n])): int(n) for n in np.unique(numbers)}
    return [by_frames[tuple(np.flatnonzero(trace))] for trace in neural.T]
