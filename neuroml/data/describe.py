"""What is in a file, and what is wrong with it, in sentences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from neuroml.data._arrays import ARRAY_SUFFIXES, StoredArray, existing_file, list_arrays
from neuroml.data._caiman import is_caiman, read_caiman
from neuroml.data._nifti import image_problems, is_image, parse_image, tr_of
from neuroml.data._nwb import list_roi_series, read_unit_spikes
from neuroml.data._surfaces import describe_surface, is_surface_file
from neuroml.data._tables import is_table, read_text_table
from neuroml.data.calcium import read_traces
from neuroml.data.events import read_events
from neuroml.exceptions import DataError

__all__ = ["FileReport", "describe_file"]

_NUISANCE = {"wm", "csf", "vent", "brain", "global", "white_matter", "global_signal", "trend"}


@dataclass
class FileReport:
    """What `describe_file` found.

    Attributes
    ----------
    path : Path
    kind : str
        What kind of file it is.
    facts : list of str
        What is in it, a sentence each.
    problems : list of str
        What is wrong with it and what to do, a sentence or two each.
    advice : str
        How to read it.
    """

    path: Path
    kind: str = "unknown"
    facts: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    advice: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing was found to be wrong."""
        return not self.problems

    def __str__(self) -> str:
        lines = [f"{self.path}: {self.kind}", *(f"  {fact}" for fact in self.facts)]
        lines += [f"  Problem: {problem}" for problem in self.problems]
        lines += [] if self.problems else ["  Nothing wrong was found."]
        return "\n".join(lines + ([f"  {self.advice}"] if self.advice else []))


def describe_file(path: Path | str) -> FileReport:
    """Say what is in a file or folder, and what is wrong with it.

    Parameters
    ----------
    path : path-like
        An image, a table, an array file, an NWB file, or a folder of Suite2p or BIDS.

    Returns
    -------
    FileReport
        Its text is for people: ``print(describe_file(path))``. A damaged or missing file is a
        problem in the report, not an error.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from neuroml.data import describe_file
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "traces.npy"
    >>> np.save(file, np.random.default_rng(0).normal(size=(3, 100)))
    >>> report = describe_file(file)
    >>> report.facts
    ['It holds array (3 x 100).']
    >>> report.problems[0][:50]
    'array has 3 rows and 100 columns: one unit per row'
    """
    report = FileReport(Path(path))
    try:
        if report.path.is_dir():
            _describe_folder(report)
        else:
            existing_file(report.path)
            _describer(report.path)(report)
    except (DataError, ImportError) as error:
        report.problems.append(_without_path(error))
    return report


def _describer(path: Path) -> Callable[[FileReport], None]:
    suffix = path.suffix.lower()
    if is_surface_file(path):
        return _describe_surface
    if is_image(path):
        return _describe_image
    if suffix == ".nwb":
        return _describe_nwb
    if is_table(path):
        return _describe_table
    if suffix in ARRAY_SUFFIXES:
        return _describe_arrays
    raise DataError(
        f"neuroml does not know files that end in {suffix!r}",
        expected=f".nii, .nii.gz, .csv, .tsv, .txt, .nwb, {', '.join(ARRAY_SUFFIXES)}",
    )


def _without_path(error: Exception) -> str:
    """The message without the place, which the report names already."""
    if isinstance(error, DataError):
        text = str(DataError(**{**vars(error), "file": None}))
        return text[0].upper() + text[1:]
    return str(error)


def _describe_image(report: FileReport) -> None:
    report.kind = "a brain image"
    image = parse_image(report.path)
    shape = image.shape
    size = " x ".join(str(n) for n in shape[:3])
    millimetres = " x ".join(f"{float(zoom):.3g}" for zoom in image.header.get_zooms()[:3])
    report.facts.append(f"It has {size} voxels of {millimetres} mm, stored as {_dtype(image)}.")
    problems = list(image_problems(image, report.path, is_signal=len(shape) == 4))
    report.problems += [_without_path(problem) for problem in problems]
    if len(shape) == 4:
        report.kind = "a series of brain images (fMRI)"
        try:
            tr_s = tr_of(image, None)
            report.facts.append(f"It has {shape[3]} volumes, one every {tr_s:g} s.")
        except DataError as error:
            report.facts.append(f"It has {shape[3]} volumes.")
            report.problems.append(_without_path(error))
        report.advice = "Read it with neuroml.data.read_fmri(path, labels=ATLAS) or mask=MASK."
    if not problems:
        _describe_voxels(report, np.asanyarray(image.dataobj))


def _describe_surface(report: FileReport) -> None:
    report.kind = "a surface file"
    report.facts += describe_surface(report.path)
    report.advice = "Read it with neuroml.data.read_fmri(path, labels=SURFACE_ATLAS, tr_s=...)."


def _dtype(image: Any) -> str:
    return str(np.dtype(image.get_data_dtype()))


def _describe_voxels(report: FileReport, data: np.ndarray) -> None:
    n_missing = int((~np.isfinite(data)).sum())
    if n_missing:
        report.problems.append(
            f"{n_missing} of {data.size} values are NaN or infinite. "
            "Those inside the mask or atlas will be refused unless on_nan= says otherwise."
        )
    if data.ndim == 4:
        still = int((data == data[..., :1]).all(axis=-1).sum())
        report.facts.append(f"{still} of {data[..., 0].size} voxels never change.")
    elif not n_missing and (data == np.round(data)).all():
        ids = np.unique(data)
        if ids.min() < 0:
            report.problems.append(
                f"It has negative whole numbers, such as {int(ids.min())}. Region ids above 127 "
                "turn negative when stored as 8-bit integers: save it as int16."
            )
        if len(ids) == 2 and ids[0] == 0:
            report.kind = "a mask"
            report.facts.append(f"{int((data > 0).sum())} voxels are inside.")
        elif len(ids) <= 2000:
            report.kind = "an atlas of labels, or an image of whole numbers"
            report.facts.append(f"It has {int((ids > 0).sum())} different values above 0.")


def _describe_table(report: FileReport) -> None:
    report.kind = "a text table"
    table = read_text_table(report.path)
    columns = table.columns
    names = [str(name) for name in columns.columns]
    listed = f": {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}"
    heading = "named columns" + listed if table.has_names else "columns without names"
    report.facts.append(f"It has {len(columns)} rows and {len(names)} {heading}.")
    report.facts += [f"Left out on reading: {note}." for note in table.notes]
    lower = {name.lower() for name in names}
    if {"onset", "duration"} <= lower:
        report.kind = "a table of events"
        read_events(report.path)
        report.advice = "Read it with neuroml.data.read_events(path)."
        return
    is_text = [name for name in names if columns[name].dtype.kind not in "biuf"]
    if is_text:
        report.facts.append(f"Columns of text: {', '.join(is_text[:8])}.")
        return
    values = columns.to_numpy(dtype=np.float64)
    if not table.has_names:
        values = _upright(report, values, "The table")
    _describe_matrix(report, values, "The table", names if table.has_names else None)
    nuisance = [name for name in names if name.lower() in _NUISANCE]
    if nuisance:
        report.facts.append(
            f"{', '.join(nuisance)} look like nuisance signals: "
            f"pass confounds={nuisance} to read_fmri."
        )
    report.advice = (
        "Read it with neuroml.data.read_fmri(path, tr_s=...), read_traces(path, rate_hz=...) "
        "or, for spike times, read_spikes(path, bin_s=...)."
    )


def _describe_caiman(report: FileReport) -> None:
    report.kind = "results of CaImAn"
    matrix, rate_hz, _ = read_caiman(report.path, None, None)
    times, n_units = matrix.values.shape
    report.facts.append(f"F_dff: {times} times x {n_units} regions at {rate_hz:g} Hz.")
    report.facts += [f"Left out on reading: {note}." for note in matrix.notes]
    _describe_matrix(report, matrix.values, "F_dff", matrix.names)
    report.advice = "Read it with neuroml.data.read_traces(path)."


def _describe_arrays(report: FileReport) -> None:
    if is_caiman(report.path):
        return _describe_caiman(report)
    report.kind = "a file of arrays"
    arrays = list_arrays(report.path)
    shown = ", ".join(map(str, arrays[:10])) + (", ..." if len(arrays) > 10 else "")
    report.facts.append(f"It holds {shown or 'nothing'}.")
    notes = dict.fromkeys(array.note for array in arrays if array.note and array.kind != "other")
    report.facts += [f"{note}." for note in notes]
    for array in arrays:
        if array.kind == "other":
            report.problems.append(f"{array.name or 'array'} cannot be read: {array.note}")
        elif array.kind == "numbers" and len(array.shape) == 2 and min(array.shape) > 1:
            _describe_stored(report, array)
    has_lists = any(array.kind == "list" for array in arrays)
    report.advice = "Read it with neuroml.data." + (
        "read_spikes(path, bin_s=...)."
        if has_lists
        else "read_traces(path, variable=NAME, rate_hz=...), or read_fmri(path, tr_s=...)."
    )


def _describe_stored(report: FileReport, array: StoredArray) -> None:
    name = array.name or "array"
    values = np.asarray(array.read(), dtype=np.float64)
    _describe_matrix(report, _upright(report, values, name), name)


def _upright(report: FileReport, values: np.ndarray, name: str) -> np.ndarray:
    """The values with time first, as far as their shape can tell."""
    rows, columns = values.shape
    if columns <= rows:
        return values
    report.problems.append(
        f"{name} has {rows} rows and {columns} columns: one unit per row? neuroml puts time "
        "first. Pass units_first=True if rows are units, units_first=False if they are times."
    )
    return values.T


def _describe_matrix(
    report: FileReport, values: np.ndarray, name: str, names: list[str] | None = None
) -> None:
    """Missing and constant columns of values (n_times, n_units)."""
    if not values.size:
        return
    missing = ~np.isfinite(values)
    if missing.any():
        report.problems.append(
            f"{name} has {int(missing.sum())} missing values (NaN or infinite), in "
            f"{int(missing.any(axis=0).sum())} of {values.shape[1]} units. "
            "Pass on_nan='drop_units' or 'interpolate' when reading."
        )
    still = np.flatnonzero((values == values[:1]).all(axis=0))
    if len(still) and len(values) > 1:
        first = names[int(still[0])] if names else f"number {int(still[0])}"
        report.problems.append(
            f"{name} has {len(still)} of {values.shape[1]} units that never vary, the first is "
            f"{first}. Pass on_nan='drop_units' when reading."
        )


def _describe_nwb(report: FileReport) -> None:
    report.kind = "an NWB file"
    series, unreadable = list_roi_series(report.path)
    for name, reason in unreadable.items():
        report.problems.append(f"The series {name!r} cannot be read and is left out: {reason}.")
    for name, shape in series.items():
        times, units = (*shape, 1)[:2]
        report.facts.append(f"Fluorescence series {name!r}: {times} times x {units} regions.")
    try:
        trains = read_unit_spikes(report.path)
        count = sum(map(len, trains.values()))
        report.facts.append(f"Spike times of {len(trains)} units, {count} spikes in all.")
    except DataError as error:
        if not series:
            report.problems.append(_without_path(error))
    report.advice = "Read it with neuroml.data." + (
        "read_traces(path)." if series else "read_spikes(path, bin_s=...)."
    )


def _describe_folder(report: FileReport) -> None:
    if (report.path / "F.npy").is_file():
        report.kind = "a plane folder of Suite2p"
        for file in ("F.npy", "Fneu.npy", "iscell.npy"):
            if (report.path / file).is_file():
                rows, columns = (*list_arrays(report.path / file)[0].shape, 0)[:2]
                report.facts.append(f"{file}: {rows} regions x {columns}.")
        read_traces(report.path, rate_hz=1.0, on_nan="keep")
        report.advice = "Read it with neuroml.data.read_traces(path, rate_hz=...)."
        return
    subjects = sorted(part.name for part in report.path.glob("sub-*") if part.is_dir())
    if subjects:
        report.kind = "a BIDS folder"
        runs = sorted(report.path.glob("sub-*/**/func/*_bold.nii*"))
        report.facts.append(f"It has {len(subjects)} subjects and {len(runs)} functional images.")
        report.advice = "Read it with neuroml.data.read_bids(path, labels=ATLAS)."
        return
    raise DataError(
        "neuroml does not know this kind of folder",
        expected="a file, a plane folder of Suite2p (F.npy), or BIDS (sub-*)",
        found=", ".join(sorted(part.name for part in report.path.iterdir())[:8]) or "nothing",
    )
