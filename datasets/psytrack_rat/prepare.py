"""psytrack's example rat: one trial per sample, one training day per segment."""

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from neuroml.data import make_recording


def keys(folder: Path) -> list[tuple[str, str, str]]:
    return [("W053", "", "")]


def read(folder: Path, key: tuple[str, str, str]) -> tuple[xr.Dataset, None]:
    with np.load(folder / "psytrack_rat.npz") as file:
        choice = file["y"] - 1.0
        days = file["dayLength"]
        trials = pd.DataFrame(
            {
                "s1": file["inputs_s1"][:, 0],
                "s2": file["inputs_s2"][:, 0],
                "previous_choice": file["inputs_c"][:, 0],
                "previous_answer": file["inputs_h"][:, 0],
                "previous_correct": file["inputs_r"][:, 0],
                "previous_stimulus": file["inputs_s_avg"][:, 0],
                "answer": file["answer"] - 1.0,
                "correct": file["correct"],
            }
        )
    recording = make_recording(
        choice[:, None],
        units=["choice"],
        time_axis="trials",
        modality="behaviour",
        value_units="choice",
        key=key,
        covariates=trials,
        segment=np.repeat(np.arange(len(days)), days),
    )
    return recording, None
