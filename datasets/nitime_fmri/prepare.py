"""nitime's example series: region means and nuisance signals in one table."""

from pathlib import Path

import pandas as pd
import xarray as xr

from neuroml.data import make_recording

TR_S = 1.89
CONFOUNDS = ["WM", "Vent", "Brain"]


def keys(folder: Path) -> list[tuple[str, str, str]]:
    return [("01", "", "")]


def read(folder: Path, key: tuple[str, str, str]) -> tuple[xr.Dataset, None]:
    table = pd.read_csv(folder / "fmri_timeseries.csv").rename(columns={"APHG": "LAntPHG"})
    regions = table.drop(columns=CONFOUNDS)
    recording = make_recording(
        regions.to_numpy(),
        units=list(regions.columns),
        rate_hz=1 / TR_S,
        modality="fmri",
        value_units="BOLD a.u.",
        key=key,
        confounds=table[CONFOUNDS],
        unit_coords={"hemisphere": [name[0] for name in regions.columns]},
    )
    return recording, None
