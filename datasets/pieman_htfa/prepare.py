"""Pie Man: one MATLAB cell with a (time, node) array per subject."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import xarray as xr
from scipy.io import loadmat

from neuroml.data import make_recording

SUBJECTS = [f"{i:02d}" for i in range(1, 37)]


@lru_cache(maxsize=1)
def _weights(path: Path) -> np.ndarray:
    """All subjects: they come in one file, which is asked for once per subject."""
    return loadmat(path)["weights"].ravel()


def keys(folder: Path) -> list[tuple[str, str, str]]:
    return [(subject, "", "") for subject in SUBJECTS]


def read(folder: Path, key: tuple[str, str, str]) -> tuple[xr.Dataset, None]:
    weights = _weights(folder / "weights.mat")[SUBJECTS.index(key[0])].copy()
    recording = make_recording(
        weights,
        units=[f"node{i:03d}" for i in range(weights.shape[1])],
        rate_hz=1 / 1.5,
        modality="fmri",
        value_units="HTFA weight a.u.",
        key=key,
    )
    return recording, None
