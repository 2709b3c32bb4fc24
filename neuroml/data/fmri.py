"""fMRI: brain images through an atlas or mask, or tables of regions, to recordings."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import xarray as xr

from neuroml._core.files import sha256_of_file
from neuroml._core.recording import RecordingKey, make_recording
from neuroml.data._arrays import existing_file
from neuroml.data._matrix import read_matrix
from neuroml.data._nifti import is_image, load_image, on_grid_of, open_series, tr_of
from neuroml.data._tables import read_numbers, read_text_table
from neuroml.data._units import OnNaN, check_unique, settle_units
from neuroml.exceptions import DataError

__all__ = ["read_fmri"]

Units = Sequence[str] | pd.DataFrame | str | Path
Confounds = pd.DataFrame | str | Path | Sequence[str] | Mapping[str, Any]


def read_fmri(
    source: Any,
    *,
    labels: Any = None,
    mask: Any = None,
    confounds: Confounds | None = None,
    tr_s: float | None = None,
    units: Units | None = None,
    variable: str | None = None,
    on_nan: OnNaN = "raise",
    key: RecordingKey = ("", "", ""),
) -> xr.Dataset:
    """Read one run of fMRI: regions of an atlas, voxels of a mask, or a table of regions.

    Values are neither centred nor scaled: see `neuroml.data.clean` for that.

    Parameters
    ----------
    source : path-like, image, or list of these
        A 4-D image; a list of 3-D images of one grid; a nilearn ``SurfaceImage``; or a table of
        time x regions (csv, tsv, txt, npy, npz, h5, or mat of v5 to v7.3).
    labels : image or path-like, optional
        An atlas: the value of a voxel is the id of its region, 0 is background. The signal is the
        mean over a region's voxels (`nilearn.maskers.NiftiLabelsMasker`). An atlas on another grid
        is resampled onto that of the data (nearest neighbour).
    mask : image or path-like, optional
        Instead of an atlas: each voxel above 0 is a unit.
    confounds : optional
        Nuisance signals: a DataFrame or a table file with one row per volume; for a table of
        regions, names of its own columns; for a file that fMRIPrep wrote, a mapping of keywords of
        `nilearn.interfaces.fmriprep.load_confounds`, such as ``{"strategy": ["motion", "scrub"]}``.
        Volumes that the strategy marks are not removed but marked in the variable ``outlier``.
    tr_s : float, optional
        Repetition time in seconds; for a 4-D image by default its header's. A table without it
        counts samples.
    units : optional
        Names of the regions: a list in the order of the atlas's ids or of the table's columns; or
        for an atlas, a DataFrame or table file with the columns ``id`` (or ``index``) and
        ``label`` (or ``name``), and ``hemisphere`` where labels repeat. For a table with named
        columns, those to take.
    variable : str, optional
        Which array of an npz, mat or h5 file.
    on_nan : {"raise", "drop_units", "interpolate", "keep"}
        What to do with units with missing values, and with units that never vary: refuse; leave
        out; fill gaps on a straight line through time (and leave out the constant ones); keep.
    key : tuple of str
        (subject, session, run).

    Returns
    -------
    xarray.Dataset
        A recording in the units of the file ("BOLD a.u."); units have coordinates x, y, z (mm)
        where an image tells. What was left out stands in ``attrs["dropped"]``.

    Raises
    ------
    DataError
        If the file is damaged, its header makes no sense, or the parts do not fit together.

    Examples
    --------
    >>> import nibabel, numpy as np
    >>> from neuroml.data import read_fmri
    >>> values = np.random.default_rng(0).normal(size=(4, 4, 2, 10)).astype(np.float32)
    >>> image = nibabel.Nifti1Image(values, np.eye(4))
    >>> atlas = np.ones((4, 4, 2), dtype=np.int16)
    >>> atlas[2:] = 7
    >>> atlas = nibabel.Nifti1Image(atlas, np.eye(4))
    >>> run = read_fmri(image, labels=atlas, units=["front", "back"], tr_s=2.0)
    >>> run.signal.sizes["time"], run.unit.values.tolist(), run.attrs["rate_hz"]
    (10, ['front', 'back'], 0.5)
    """
    path = Path(source) if isinstance(source, str | Path) else None
    if _is_surface(source):
        series = _from_surface(source, labels, mask, units)
        rate_hz: float | None = 1 / tr_of(source, _needed(tr_s))
    elif is_image(source) or not isinstance(source, str | Path):
        image = open_series(source)
        rate_hz = 1 / tr_of(image, tr_s, file=path)
        series = _from_image(image, labels, mask, units)
    else:
        if labels is not None or mask is not None:
            raise DataError(
                "labels and mask need a brain image", expected="a NIfTI image", file=source
            )
        columns = confounds if _is_names(confounds) else ()
        series = _from_table(existing_file(source), variable, units, list(columns))
        rate_hz = None if tr_s is None else 1 / tr_of(None, tr_s)
    settled = settle_units(series.values, series.names, on_nan, file=path)
    table, outlier = _confounds(confounds, series, path)
    return make_recording(
        settled.values,
        units=[series.names[i] for i in settled.kept],
        rate_hz=rate_hz,
        modality="fmri",
        value_units="BOLD a.u.",
        key=key,
        confounds=table,
        unit_coords={name: values[settled.kept] for name, values in series.coords.items()},
        variables=outlier,
        source=str(path or ""),
        sha256=sha256_of_file(path) if path else "",
        dropped=series.notes + settled.notes,
    )


@dataclass(frozen=True)
class _Series:
    """Values (n_times, n_units) on their way to a recording."""

    values: np.ndarray
    names: list[str]
    coords: dict[str, np.ndarray] = field(default_factory=dict)
    side: pd.DataFrame = field(default_factory=pd.DataFrame)
    notes: list[str] = field(default_factory=list)


def _is_names(confounds: Any) -> bool:
    return isinstance(confounds, Sequence) and not isinstance(confounds, str)


def _from_table(
    path: Path, variable: str | None, units: Units | None, columns: list[str]
) -> _Series:
    if isinstance(units, str | Path | pd.DataFrame):
        raise DataError("a region table needs names", expected="units= as a list", field="units")
    matrix = read_matrix(path, variable=variable, units=units, side=columns)
    names = matrix.names or [f"region{i}" for i in range(matrix.values.shape[1])]
    notes = list(matrix.notes)
    return _Series(np.asarray(matrix.values, dtype=np.float64), names, {}, matrix.side, notes)


def _from_image(image: Any, labels: Any, mask: Any, units: Units | None) -> _Series:
    _one_of(labels, mask)
    if mask is not None:
        return _voxels(image, load_image(mask))
    return _regions(image, load_image(labels), units)


def _one_of(labels: Any, mask: Any) -> None:
    if (labels is None) == (mask is None):
        raise DataError(
            "an image needs an atlas or a mask",
            expected="labels= or mask=",
            found="neither" if labels is None else "both",
        )


def _voxels(image: Any, mask: Any) -> _Series:
    from nilearn.masking import apply_mask

    mask = on_grid_of(image, mask, "mask")
    inside = np.asanyarray(mask.dataobj)
    if not np.isfinite(inside).all():
        raise DataError("the mask has values that are not finite", field="mask")
    chosen = inside > 0
    if not chosen.any():
        raise DataError("the mask is empty", expected="voxels above 0", found=0, field="mask")
    binary = nib.Nifti1Image(chosen.astype(np.uint8), mask.affine)
    values = apply_mask(image, binary, ensure_finite=False)
    where = np.argwhere(chosen)
    names = ["voxel_{}_{}_{}".format(*index) for index in where]
    return _Series(values, names, _millimetres(where, image.affine))


def _regions(image: Any, atlas: Any, units: Units | None) -> _Series:
    from nilearn.image import new_img_like
    from nilearn.maskers import NiftiLabelsMasker
    from scipy import ndimage

    ids = _region_ids(atlas)
    names, coords = _region_names(units, ids)
    atlas = on_grid_of(image, atlas, "labels")
    grid = np.asanyarray(atlas.dataobj).astype(np.int32)
    present = np.isin(ids, grid)
    if not present.any():
        raise DataError(
            "no region of the atlas lies on the image's grid",
            fix="Check that both are in the same space.",
            field="labels",
        )
    masker = NiftiLabelsMasker(
        nib.Nifti1Image(grid, image.affine), standardize=None, resampling_target=None, reports=False
    )
    data = np.asanyarray(image.dataobj, dtype=np.float32)
    missing = ~np.isfinite(data)
    if missing.any():
        image = new_img_like(image, np.where(missing, 0, data), copy_header=True)
    values = masker.fit_transform(image)
    if missing.any():  # a region with a missing voxel is missing, where nilearn would count it as 0
        touched = masker.transform(new_img_like(image, missing.astype(np.float32))) > 0
        values = np.where(touched, np.nan, values)
    centres = ndimage.center_of_mass(np.ones_like(grid), grid, ids[present])
    lost = [name for name, here in zip(names, present, strict=True) if not here]
    notes = [f"{len(lost)} regions without a voxel on the image's grid: {', '.join(lost)}"]
    return _Series(
        values,
        [name for name, here in zip(names, present, strict=True) if here],
        {name: column[present] for name, column in coords.items()}
        | _millimetres(np.asarray(centres), image.affine),
        notes=notes if lost else [],
    )


def _millimetres(index: np.ndarray, affine: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip("xyz", nib.affines.apply_affine(affine, index).T, strict=True))


def _region_ids(atlas: Any) -> np.ndarray:
    """Sorted ids of an atlas without the background."""
    values = np.unique(np.asanyarray(atlas.dataobj))
    if not np.isfinite(values).all() or (values != np.round(values)).any():
        raise DataError(
            "the atlas is not made of whole numbers",
            expected="one integer id per region",
            found=values[(values != np.round(values)) | ~np.isfinite(values)][:5].tolist(),
            fix="A probabilistic atlas or resampled labels cannot serve as labels=.",
            field="labels",
        )
    if values.min() < 0:
        raise DataError(
            "the atlas has negative ids",
            expected="0 for background and ids above 0",
            found=values[values < 0][:5].tolist(),
            fix="Ids above 127 turn negative when stored as 8-bit integers: save it as int16.",
            field="labels",
        )
    ids = values[values > 0].astype(np.int32)
    if not len(ids):
        raise DataError("the atlas has no region", expected="ids above 0", field="labels")
    return ids


def _region_names(units: Units | None, ids: np.ndarray) -> tuple[list[str], dict[str, np.ndarray]]:
    """Names of the regions, and coordinates that go with them."""
    if units is None:
        return [f"region{i}" for i in ids], {}
    if isinstance(units, str | Path | pd.DataFrame):
        return _names_from_table(units, ids)
    if len(units) != len(ids):
        raise DataError(
            "the names do not fit the atlas",
            expected=f"{len(ids)} names, without the background",
            found=len(units),
            fix="Pass a table with the columns id and label to be sure which is which.",
            field="units",
        )
    names = [str(name) for name in units]
    check_unique(names)
    return names, {}


def _names_from_table(
    units: pd.DataFrame | str | Path, ids: np.ndarray
) -> tuple[list[str], dict[str, np.ndarray]]:
    file = None if isinstance(units, pd.DataFrame) else units
    table = units if isinstance(units, pd.DataFrame) else read_text_table(units).columns
    by_lower = {str(name).lower(): name for name in table.columns}
    found = [
        next((by_lower[name] for name in choices if name in by_lower), None)
        for choices in (("id", "index"), ("label", "name", "region"), ("hemisphere", "hemi"))
    ]
    if found[0] is None or found[1] is None:
        raise DataError(
            "the table of regions lacks a column",
            expected="id (or index) and label (or name)",
            found=", ".join(map(str, table.columns)),
            file=file,
            field="units",
        )
    table = table.drop_duplicates(found[0]).set_index(found[0])
    absent = [int(i) for i in ids if i not in table.index]
    if absent:
        raise DataError(
            "the table of regions lacks ids of the atlas",
            expected=f"{len(ids)} ids",
            found=f"no row for {absent[:5]}",
            file=file,
            field="units",
        )
    rows = table.loc[ids]
    names = rows[found[1]].astype(str).tolist()
    if found[2] is None:
        check_unique(names, file=file)
        return names, {}
    sides = rows[found[2]].astype(str).to_numpy()
    if len(set(names)) < len(names):
        names = [f"{side}_{name}" for side, name in zip(sides, names, strict=True)]
    check_unique(names, file=file)
    return names, {"hemisphere": sides}


def _is_surface(source: Any) -> bool:
    return type(source).__name__ == "SurfaceImage"


def _needed(tr_s: float | None) -> float:
    if tr_s is None:
        raise DataError("a surface image has no repetition time", fix="Pass tr_s= in seconds.")
    return tr_s


def _from_surface(source: Any, labels: Any, mask: Any, units: Units | None) -> _Series:
    from nilearn.maskers import SurfaceLabelsMasker, SurfaceMasker

    _one_of(labels, mask)
    if any(not np.isfinite(part).all() for part in source.data.parts.values()):
        raise DataError("the surface data have missing values", fix="Fill or mask them first.")
    if mask is not None:
        values = SurfaceMasker(mask, standardize=None, reports=False).fit_transform(source)
        names = [
            f"{side}_{vertex}"
            for side, part in mask.data.parts.items()
            for vertex in np.flatnonzero(np.asarray(part).ravel() > 0)
        ]
        return _Series(values, names, {"hemisphere": np.array([n.split("_")[0] for n in names])})
    every = np.concatenate([np.ravel(part) for part in labels.data.parts.values()])
    ids = np.unique(every[every > 0])
    names, coords = _region_names(units, ids)
    values = SurfaceLabelsMasker(labels, standardize=None, reports=False).fit_transform(source)
    return _Series(values, names, coords)


def _confounds(
    confounds: Confounds | None, series: _Series, path: Path | None
) -> tuple[pd.DataFrame | None, dict[str, xr.DataArray]]:
    """The table of confounds, and the volumes that it marks as outliers."""
    n_times = len(series.values)
    if confounds is None:
        return None, {}
    if isinstance(confounds, Mapping):
        return _from_fmriprep(confounds, path, n_times)
    if _is_names(confounds):
        if series.side.empty:
            raise DataError(
                "column names of confounds need a table of regions",
                fix="Pass a DataFrame, a table file, or keywords of load_confounds.",
                field="confounds",
            )
        return series.side, {}
    is_frame = isinstance(confounds, pd.DataFrame)
    table = confounds if is_frame else read_numbers(confounds).columns
    if len(table) != n_times:
        raise DataError(
            "the confounds do not fit the volumes",
            expected=f"{n_times} rows",
            found=len(table),
            fix="Were volumes discarded from one and not from the other?",
            file=None if is_frame else confounds,
            field="confounds",
        )
    return table, {}


def _from_fmriprep(
    keywords: Mapping[str, Any], path: Path | None, n_times: int
) -> tuple[pd.DataFrame, dict[str, xr.DataArray]]:
    from nilearn.interfaces.fmriprep import load_confounds

    if path is None:
        raise DataError(
            "fMRIPrep's confounds are found beside the image's file",
            expected="a path as source",
            found="an image in memory",
            field="confounds",
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            table, kept = load_confounds(str(path), **keywords)
    except (ValueError, OSError, TypeError) as error:
        raise DataError(
            f"fMRIPrep's confounds cannot be loaded ({error})", file=path, field="confounds"
        ) from error
    outlier = np.zeros(n_times, dtype=bool)
    if kept is not None:
        outlier[:] = True
        outlier[kept] = False
    return table, {"outlier": xr.DataArray(outlier, dims="time")}
