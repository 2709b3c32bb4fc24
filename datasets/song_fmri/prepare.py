"""SONG: parcel series, published HMM states and response-time variability, in MATLAB files."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from scipy.io import loadmat

from neuroml.data import make_recording

RUNS = ["rest1", "rest2", "gradCPTface", "gradCPTscene"]
SUBJECTS = [f"{i:03d}" for i in range(1, 28)]
NETWORKS = (
    "VisCent VisPeri SomMotA SomMotB DorsAttnA DorsAttnB SalVentAttnA SalVentAttnB LimbicTempPole "
    "LimbicOFC ContC ContA ContB TempPar DefaultC DefaultA DefaultB"
).split()
NUCLEI = "Hippocampus Amygdala PostThalamus AntThalamus Accumbens Pallidum Putamen Caudate".split()


@lru_cache(maxsize=4)
def _load(path: Path) -> dict[str, np.ndarray]:
    """A whole file: each holds all subjects, and is asked for once per subject."""
    return loadmat(path)


def keys(folder: Path) -> list[tuple[str, str, str]]:
    return [(subject, "", run) for subject in SUBJECTS for run in RUNS]


def read(folder: Path, key: tuple[str, str, str]) -> tuple[xr.Dataset, None]:
    row, run = SUBJECTS.index(key[0]), key[2]
    signal = _load(folder / f"fmri/ts_{run}.mat")["ts"][row]
    states = _load(folder / "fmri/hmmoutput.mat")[run][row].astype(np.int64)
    recording = make_recording(
        signal,
        units=NETWORKS + NUCLEI,
        rate_hz=1.0,
        modality="fmri",
        value_units="BOLD a.u.",
        key=key,
        covariates=_behaviour(folder, run, row, len(signal)) if "CPT" in run else None,
        unit_coords={"structure": ["cortex"] * len(NETWORKS) + ["subcortex"] * len(NUCLEI)},
        variables={"hmm_state": xr.DataArray(states, dims="time")},
    )
    return recording, None


def _behaviour(folder: Path, run: str, row: int, n_times: int) -> pd.DataFrame:
    file = _load(folder / f"behavior/{run}_beh.mat")
    raw = file["rtvariability"][:, row]
    return pd.DataFrame(
        {
            "rt_variability": np.pad(raw, (0, n_times - len(raw)), constant_values=np.nan),
            "rt_variability_hrf": file["rtvariability_conv"][:, row],
        }
    )


def participants(folder: Path) -> pd.DataFrame:
    table = pd.read_csv(folder / "behavior/traitscores.csv")
    table.columns = [
        *("participant_id", "sex", "handedness"),
        *("engagement_sitcom1", "engagement_sitcom2", "engagement_documentary"),
        *("working_memory_p", "working_memory_sd", "working_memory_k"),
    ]
    return table.assign(participant_id=table["participant_id"].str.removeprefix("sub-"))
