"""Larval zebrafish: region averages and the structural matrices between the same regions."""

from pathlib import Path

import numpy as np
import xarray as xr

from neuroml.data import make_recording


def keys(folder: Path) -> list[tuple[str, str, str]]:
    return [("fish6", "", "")]


def read(folder: Path, key: tuple[str, str, str]) -> tuple[xr.Dataset, None]:
    series = np.load(folder / "timeseries_regions_fish6.npy").T
    names = np.load(folder / "region_names.npy")
    kept = np.flatnonzero((series != 0).any(axis=0))
    centroids = np.load(folder / "region_centroids.npy")[kept]
    acronyms = np.load(folder / "region_acronyms.npy")[kept]
    recording = make_recording(
        series[:, kept],
        units=acronyms,
        modality="calcium",
        value_units="dF/F",
        key=key,
        unit_coords={"region": names[kept], **dict(zip("xyz", centroids.T, strict=True))},
        variables={
            variable: xr.DataArray(
                np.load(folder / file)[np.ix_(kept, kept)],
                dims=("unit", "target"),
                coords={"target": acronyms},
            )
            for variable, file in (
                ("structural", "SC_undirected.npy"),
                ("structural_directed", "SC.npy"),
            )
        },
        dropped=[f"{name}: all zero" for name in np.delete(names, kept)],
    )
    return recording, None
