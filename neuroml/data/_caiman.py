"""Results of CaImAn: an HDF5 file whose group ``estimates`` holds one component per row."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from neuroml.data._arrays import StoredArray, list_arrays, read_array
from neuroml.data._matrix import Matrix
from neuroml.data._units import DECONVOLVED, no_cell
from neuroml.exceptions import DataError

__all__ = ["is_caiman", "read_caiman"]

_GROUP = "estimates"
_RATE = "params/data/fr"


def is_caiman(path: Path) -> bool:
    """Whether an HDF5 file has CaImAn's denoised traces."""
    return path.suffix.lower() in (".h5", ".hdf5") and any(
        array.name == f"{_GROUP}/C" for array in list_arrays(path)
    )


def read_caiman(
    path: Path, variable: str | None, rate_hz: float | None
) -> tuple[Matrix, float, str]:
    """Traces of the accepted components, their rate in Hz, and their units.

    Parameters
    ----------
    path : Path
    variable : str or None
        "F_dff" (the default), "C" (denoised), "S" (deconvolved) or "YrA" (residual).
    rate_hz : float or None
        By default the one that the file stores.

    Raises
    ------
    DataError
        If the array is not there, or its parts do not fit together.
    """
    stored = {array.name: array for array in list_arrays(path)}
    name = variable or "F_dff"
    full = f"{_GROUP}/{name.removeprefix(f'{_GROUP}/')}"
    here = [key.split("/")[1] for key, array in stored.items() if _is_traces(array, key)]
    if full not in stored or not _is_traces(stored[full], full):
        raise DataError(
            f"CaImAn did not store {name}",
            expected="an array of components x times",
            found=", ".join(here) or "no traces",
            fix="Pass variable='C' for the denoised traces in arbitrary units, or compute "
            "estimates.detrend_df_f() in CaImAn and save again.",
            file=path,
            field=name,
        )
    values = read_array(path, full, lambda array: True, "an array")
    keep, notes = np.arange(len(values)), []
    accepted = f"{_GROUP}/idx_components"
    if accepted in stored and stored[accepted].kind == "numbers":
        keep = np.asarray(read_array(path, accepted, lambda array: True, "an array")).ravel()
        if not keep.size:
            raise no_cell(f"idx_components names none of {len(values)} components", path)
        if keep.dtype.kind not in "iu" or keep.min(initial=0) < 0 or keep.max() >= len(values):
            raise DataError(
                "the accepted components do not fit the traces",
                expected=f"whole numbers from 0 to {len(values) - 1}",
                found=keep[:10].tolist(),
                file=path,
                field="idx_components",
            )
        notes = [f"{len(values) - len(keep)} of {len(values)} components that CaImAn rejects"]
    units = {"F_dff": "dF/F", "S": DECONVOLVED}.get(full.rpartition("/")[2], "a.u.")
    names = [f"roi{i}" for i in keep]
    return Matrix(values[keep].T, names, notes=notes), _rate(path, stored, rate_hz), units


def _is_traces(array: StoredArray, name: str) -> bool:
    return name.startswith(f"{_GROUP}/") and array.kind == "numbers" and len(array.shape) == 2


def _rate(path: Path, stored: dict[str, StoredArray], rate_hz: float | None) -> float:
    if rate_hz is not None:
        return rate_hz
    if _RATE in stored and stored[_RATE].kind == "numbers" and stored[_RATE].shape == ():
        rate = float(stored[_RATE].read())
        if np.isfinite(rate) and rate > 0:
            return rate
    raise DataError(
        "the file does not say its frame rate",
        expected=f"a frequency in {_RATE}",
        fix="Pass rate_hz=, in frames per second.",
        file=path,
        field="rate_hz",
    )
