"""NWB units through `read_spikes`, and one Suite2p plane."""

from pathlib import Path

import numpy as np
import xarray as xr

from neuroml.data import make_recording, read_spikes

BIN_S = 0.025
NWB_FILES = {"A8604": "A8604-211122.nwb", "rat": "derived/linear_track.nwb"}
WAKE_S = {"A8604": (0.0, 1087.5289)}  # the file's only epoch


def keys(folder: Path) -> list[tuple[str, str, str]]:
    return [("A8604", "211122", ""), ("rat", "linear-track", ""), ("suite2p", "", "")]


def read(folder: Path, key: tuple[str, str, str]) -> tuple[xr.Dataset, None]:
    if key[0] == "suite2p":
        return _suite2p(folder / "suite2p/plane0", key), None
    start_s, stop_s = WAKE_S.get(key[0], (None, None))
    recording = read_spikes(
        folder / NWB_FILES[key[0]], bin_s=BIN_S, start_s=start_s, stop_s=stop_s, key=key
    )
    names = [f"{key[0]}#{unit}" for unit in recording["unit"].values]
    return recording.assign_coords(unit=names), None


def _suite2p(plane: Path, key: tuple[str, str, str]) -> xr.Dataset:
    traces = np.load(plane / "F.npy").T
    cells = np.flatnonzero(np.load(plane / "iscell.npy")[:, 0])
    return make_recording(
        traces[:, cells],
        units=[f"suite2p#{cell}" for cell in cells],
        modality="calcium",
        value_units="F a.u.",
        key=key,
        dropped=[f"{traces.shape[1] - len(cells)} regions that Suite2p does not mark as cells"],
    )
