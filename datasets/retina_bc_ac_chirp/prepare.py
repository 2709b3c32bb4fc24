"""Mean chirp responses of retinal cell clusters, plain NumPy files."""

from pathlib import Path

import numpy as np
import xarray as xr

from neuroml.data import make_recording

RATE_HZ = 64.0
SIGNS = ["green_center", "green_surround", "uv_center", "uv_surround"]


def keys(folder: Path) -> list[tuple[str, str, str]]:
    return [("pooled", "", "global"), ("pooled", "", "local")]


def read(folder: Path, key: tuple[str, str, str]) -> tuple[xr.Dataset, None]:
    file = f"{key[2]}_chirp_avrg_resp_64Hz_norm.npy"
    responses = {kind: np.load(folder / kind / file) for kind in ("BC", "AC")}
    kinds = [kind for kind, values in responses.items() for _ in values]
    unknown = len(responses["AC"])
    signs = {name: np.load(folder / f"BC/types_{name}.npy") for name in SIGNS}
    stimulus = np.load(folder / "BC/chirp_stim_64Hz.npy")
    recording = make_recording(
        np.concatenate(list(responses.values())).T,
        units=[f"{kind}{i:02d}" for kind, values in responses.items() for i in range(len(values))],
        rate_hz=RATE_HZ,
        modality="responses",
        value_units="normalized response",
        key=key,
        unit_coords={
            "cell_class": kinds,
            "location": [*np.load(folder / "BC/bc_cluster_locations.npy"), *[""] * unknown],
            **{name: np.pad(v, (0, unknown), constant_values=np.nan) for name, v in signs.items()},
        },
        variables={
            "stimulus": xr.DataArray(
                stimulus,
                dims="stimulus_time",
                coords={"stimulus_time": np.arange(len(stimulus)) / RATE_HZ},
            )
        },
    )
    return recording, None
