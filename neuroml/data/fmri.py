"""fMRI: brain images through an atlas or mask, or tables of regions, to recordings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from neuroml._core.files import sha256_of_file
from neuroml._core.recording import RecordingKey, make_recording
from neuroml.data._arrays import existing_file
from neuroml.data._bids_names import stated_tr
from neuroml.data._image_space import space_of
from neuroml.data._matrix import read_matrix
from neuroml.data._nifti import is_image, needed, open_series, places_apart, tr_of
from neuroml.data._regions import Series, Units, is_surface, series_from_surface
from neuroml.data._stream import VolumeStream
from neuroml.data._surfaces import describe_surface, is_surface_file, series_from_file
from neuroml.data._tables import check_named, read_numbers
from neuroml.data._units import OnNaN, settle_units
from neuroml.data._volumes import series_from_image
from neuroml.exceptions import DataError

__all__ = ["check_run", "read_fmri"]

Confounds = pd.DataFrame | str | Path | Sequence[str] | Mapping[str, Any]


def read_fmri(  # noqa: PLR0913 - one keyword for each thing that a file may not say
    source: Any,
    *,
    labels: Any = None,
    mask: Any = None,
    maps: Any = None,
    confounds: Confounds | None = None,
    tr_s: float | None = None,
    units: Units | None = None,
    variable: str | None = None,
    units_first: bool | None = None,
    on_nan: OnNaN = "raise",
    key: RecordingKey = ("", "", ""),
) -> xr.Dataset:
    """Read one run of fMRI: regions of an atlas, voxels of a mask, or a table of regions.

    Values are neither centered nor scaled: see `neuroml.data.clean` for that.

    Parameters
    ----------
    source : path-like, image, or list of these
        A 4-D image; a list of 3-D images of one grid; a GIFTI (``.func.gii``) or CIFTI file
        (``.dtseries.nii``; the parcels of a ``.ptseries.nii`` are the units); a nilearn
        ``SurfaceImage``; or a table of time x regions (csv, tsv, txt, npy, npz, h5, or mat of v5
        to v7.3).
    labels : image or path-like, optional
        An atlas: the value of a voxel is the id of its region, 0 is background. The signal is the
        mean over a region's voxels (`nilearn.maskers.NiftiLabelsMasker`) that were scanned, which
        those that are 0 throughout were not. An atlas on another grid
        is resampled onto that of the data (nearest neighbor). For surface files a ``.label.gii``
        or ``.dlabel.nii`` of the same mesh; grayordinates that it lacks are background.
    mask : image or path-like, optional
        Alone: each voxel above 0 is a unit. Beside an atlas: only voxels above 0 count.
    maps : image or path-like, optional
        A probabilistic atlas (4-D, one map per region, such as MSDL or DiFuMo): the signals are
        those whose sum of maps is nearest to each volume, as those of
        `nilearn.maskers.NiftiMapsMasker`, but over scanned voxels only. A missing voxel makes its
        volume missing.
    confounds : optional
        Nuisance signals: a DataFrame or a table file with one row per volume; for a table of
        regions, names of its own columns; for a file that fMRIPrep wrote, a mapping of keywords of
        `nilearn.interfaces.fmriprep.load_confounds`, such as ``{"strategy": ["motion", "scrub"]}``.
        Volumes that the strategy marks are not removed but marked in the variable ``outlier``.
    tr_s : float, optional
        Repetition time in seconds. By default that of an image's or CIFTI file's header, or of the
        JSON sidecar beside or above it (BIDS' inheritance); the two must agree. A table without it
        counts samples.
    units : optional
        Names of the regions: a list in the order of the atlas's ids or of the table's columns; or
        for an atlas, a DataFrame or table file with the columns ``id`` (or ``index``) and
        ``label`` (or ``name``), and ``hemisphere`` where labels repeat. For a table with named
        columns, those to take.
    variable : str, optional
        Which array of an npz, mat or h5 file.
    units_first : bool, optional
        Whether a table or array without names has one region per row. If None, the number of names
        in ``units`` decides; failing that time is first, and an array that has more columns than
        rows, is square, or is smoother along its rows is refused.
    on_nan : {"raise", "drop_units", "interpolate", "keep"}
        What to do with units with missing values, and with units that never vary: refuse; leave
        out; fill gaps on a straight line through time (and leave out the constant ones); keep.
    key : tuple of str
        (subject, session, run).

    Returns
    -------
    xarray.Dataset
        A recording in the units of the file ("BOLD a.u."); units have coordinates x, y, z (mm)
        where an image tells, and ``coverage``, the share of an atlas' region that was scanned and
        in the mask. A region without a voxel on the image's grid is left out; one of which nothing
        was scanned or in the mask is missing (NaN), which ``on_nan`` settles. What was left out
        stands in ``attrs["dropped"]``, the space in ``attrs["space"]``; with ``attrs["image"]`` and
        the coordinate ``image_index``, `to_image` finds the way back.

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
    is_picture = path is None or is_surface_file(path) or is_image(path)
    _refuse_options(path, is_picture, units_first, labels, mask, maps)
    sha256 = ""
    rate_hz: float | None
    if path is None or is_picture:
        with _named(path):
            series, rate_hz, sha256 = _from_image(source, path, (labels, mask, maps), units, tr_s)
    else:
        series = _from_table(existing_file(path), variable, units, _names(confounds), units_first)
        rate_hz = None if tr_s is None else 1 / tr_of(None, tr_s)
    settled = settle_units(series.values, series.names, on_nan, file=path)
    table, outlier = _confounds(confounds, series, path)
    recording = make_recording(
        settled.values,
        units=np.asarray(series.names)[settled.kept],
        rate_hz=rate_hz,
        modality="fmri",
        value_units="BOLD a.u.",
        key=key,
        confounds=table,
        unit_coords={name: values[settled.kept] for name, values in series.coords.items()},
        variables=outlier,
        source=str(path or ""),
        sha256=sha256 or (sha256_of_file(path) if path else ""),
        dropped=series.notes + settled.notes,
    )
    return recording.assign_attrs(space=series.space, image=series.image)


def _refuse_options(
    path: Path | None, is_picture: bool, units_first: bool | None, labels: Any, mask: Any, maps: Any
) -> None:
    """Refuse what belongs to another kind of source."""
    if units_first is not None and is_picture:
        raise DataError(
            "an image has no rows of units",
            expected="units_first= for tables and arrays only",
            found=f"units_first={units_first}",
            file=path,
            field="units_first",
        )
    if not is_picture and any(given is not None for given in (labels, mask, maps)):
        raise DataError(
            "labels, maps and mask need a brain image", expected="a NIfTI image", file=path
        )


def _from_image(
    source: Any,
    path: Path | None,
    atlases: tuple[Any, Any, Any],
    units: Units | None,
    tr_s: float | None,
) -> tuple[Series, float, str]:
    """Signals, rate (Hz) and fingerprint of an image or a surface."""
    labels, mask, maps = atlases
    surface = is_surface(source) or is_surface_file(path)
    if surface and maps is not None:
        raise DataError("maps need a brain image of voxels", expected="labels=", field="maps")
    if is_surface(source):
        series = series_from_surface(source, labels, mask, units)
        return series, 1 / tr_of(source, needed(tr_s)), ""
    if path is not None and surface:
        series, stored_s = series_from_file(existing_file(path), labels, mask, units, tr_s)
        return replace(series, space=space_of(None, path)), 1 / stored_s, ""
    image = open_series(source)
    if tr_s is None:
        tr_s = stated_tr(lambda: tr_of(image, None, file=path), path)
    rate_hz = 1 / tr_of(image, tr_s)
    stream = VolumeStream(image, path)
    series = series_from_image(stream, labels, mask, maps, units)
    notes = [*series.notes, *places_apart(image)]
    return replace(series, space=space_of(image, path), notes=notes), rate_hz, stream.sha256


def check_run(
    path: Path, *, confounds: Any = None, tr_s: float | None = None
) -> tuple[int, float] | None:
    """Open what `read_fmri` would read, but for the values: header, sidecars and confounds.

    Returns
    -------
    n_volumes : int
    tr_s : float
        Repetition time (s). None in place of both for surfaces, whose values would have to be read.

    Raises
    ------
    DataError
        On the first thing that it would refuse.
    """
    if is_surface_file(path):
        describe_surface(path)
        return None
    image = open_series(path)
    seconds = stated_tr(lambda: tr_of(image, None, file=path), path) if tr_s is None else tr_s
    if isinstance(confounds, Mapping):
        _from_fmriprep(confounds, path, image.shape[3])
    return image.shape[3], seconds


@contextmanager
def _named(path: Path | None) -> Iterator[None]:
    """Put the file's name into an error that lacks it."""
    try:
        yield
    except DataError as error:
        raise error.at(file=path) from error


def _names(confounds: Confounds | None) -> list[str]:
    """The columns of a region table that are confounds."""
    if confounds is None or isinstance(confounds, str | Path | pd.DataFrame | Mapping):
        return []
    return list(confounds)


def _from_table(
    path: Path,
    variable: str | None,
    units: Units | None,
    confounds: list[str],
    units_first: bool | None,
) -> Series:
    if isinstance(units, str | Path | pd.DataFrame):
        raise DataError("a region table needs names", expected="units= as a list", field="units")
    matrix = read_matrix(
        path, variable=variable, units=units, units_first=units_first, side=confounds
    )
    names = matrix.names or [f"region{i}" for i in range(matrix.values.shape[1])]
    return Series(matrix.values, names, {}, matrix.side, list(matrix.notes))


def _confounds(
    confounds: Confounds | None, series: Series, path: Path | None
) -> tuple[pd.DataFrame | None, dict[str, xr.DataArray]]:
    """The table of confounds, and the volumes that it marks as outliers."""
    n_times = len(series.values)
    if confounds is None:
        return None, {}
    if isinstance(confounds, Mapping):
        return _from_fmriprep(confounds, path, n_times)
    if isinstance(confounds, pd.DataFrame):
        table, file = confounds, None
    elif isinstance(confounds, str | Path):
        found, file = read_numbers(confounds), confounds
        check_named(found, "Name the column in the file, or take it out.", file=file)
        table = found.columns
    elif not series.side.empty:
        return series.side, {}
    else:
        raise DataError(
            "column names of confounds need a table of regions",
            fix="Pass a DataFrame, a table file, or a mapping of keywords of load_confounds.",
            field="confounds",
        )
    _check_rows(table, n_times, file)
    return table, {}


def _check_rows(table: pd.DataFrame, n_times: int, file: object) -> None:
    if len(table) != n_times:
        raise DataError(
            "the confounds do not fit the volumes",
            expected=f"{n_times} rows",
            found=len(table),
            fix="Were volumes discarded from one and not from the other?",
            file=file,
            field="confounds",
        )


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
        table, kept = load_confounds(str(path), **keywords)
    except Exception as error:  # nilearn raises many kinds, KeyError for a column that is absent
        reason = " ".join(str(error).split())
        raise DataError(
            f"fMRIPrep's confounds cannot be loaded ({type(error).__name__}: {reason})",
            fix="Check the keywords of load_confounds, and that the table beside the image has the "
            "columns that they take.",
            file=path,
            field="confounds",
        ) from error
    _check_rows(table, n_times, path)
    outlier = np.full(n_times, kept is not None)
    if kept is not None:
        outlier[kept] = False
    return table, {"outlier": xr.DataArray(outlier, dims="time")}
