"""What is in a file, and what is wrong with it, in sentences."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nibabel as nib
import numpy as np

from neuroml._core.validation import list_some
from neuroml.data._alf import is_alf
from neuroml.data._arrays import ARRAY_SUFFIXES, existing_file, list_arrays
from neuroml.data._caiman import is_caiman
from neuroml.data._matrix import is_matrix
from neuroml.data._nifti import image_problems, is_image, parse_image
from neuroml.data._nwb import has_units, list_roi_series
from neuroml.data._phy import is_phy
from neuroml.data._poses import is_tracked, read_poses
from neuroml.data._pynapple import SPIKE_TYPES, is_pynapple, saved_type
from neuroml.data._readers_tried import FileReport, as_problem, try_one, try_readers
from neuroml.data._surfaces import describe_surface, is_surface_file, write_full_mask
from neuroml.data._tables import is_table, read_text_table
from neuroml.data.bids import find_runs
from neuroml.data.calcium import read_traces
from neuroml.data.events import read_events
from neuroml.data.fmri import read_fmri
from neuroml.data.spikes import read_spikes
from neuroml.data.trials import letters_of
from neuroml.exceptions import DataError

__all__ = ["FileReport", "describe_file"]

_MAX_IDS = 2000
_SURFACE_SERIES = (".func.gii", ".time.gii", ".dtseries.nii", ".ptseries.nii")
_CHOICE = {"choice", "choices", "response", "decision"}
_NUISANCE = {"wm", "csf", "vent", "brain", "global", "white_matter", "global_signal", "trend"}


def describe_file(path: Path | str) -> FileReport:
    """Say what is in a file or folder, what its reader returns, and what is wrong with it.

    Parameters
    ----------
    path : path-like
        An image, a table, an array file, an NWB file, or a folder of Suite2p, Kilosort or BIDS.

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
    >>> report.facts[1][:81]
    'read_traces(path, units_first=True) returns 100 times x 3 units, without a rate: '
    >>> report.problems[0][:58]
    'Field units_first: the array has more columns than rows: i'
    """
    report = FileReport(Path(path))
    try:
        if report.path.is_dir():
            _describe_folder(report)
        else:
            existing_file(report.path)
            _describer(report.path)(report)
    except (DataError, ImportError) as error:
        report.problems.append(as_problem(error))
    return report


def _describer(path: Path) -> Callable[[FileReport], None]:
    suffix = path.suffix.lower()
    if is_surface_file(path):
        return _describe_surface
    if is_image(path):
        return _describe_image
    if suffix == ".nwb":
        return _describe_nwb
    if is_tracked(path):
        return _describe_poses
    if is_table(path):
        return _describe_table
    if suffix in ARRAY_SUFFIXES:
        return _describe_arrays
    raise DataError(
        f"neuroml does not know files that end in {suffix!r}",
        expected=".nii, .nii.gz, .csv, .tsv, .txt, .1D, .parquet, .nwb, "
        f"{', '.join(ARRAY_SUFFIXES)}",
    )


def _describe_image(report: FileReport) -> None:
    report.kind = "a brain image"
    image = parse_image(report.path)
    size = " x ".join(str(n) for n in image.shape[:3])
    millimetres = " x ".join(f"{float(zoom):.3g}" for zoom in image.header.get_zooms()[:3])
    report.facts.append(f"It has {size} voxels of {millimetres} mm, stored as {_dtype(image)}.")
    is_signal = math.prod(image.shape[3:]) > 1
    problems = list(image_problems(image, report.path))
    report.problems += [as_problem(problem) for problem in problems]
    if is_signal:
        report.kind = "a series of brain images (fMRI)"
        report.facts.append(f"It has {' x '.join(map(str, image.shape[3:]))} volumes.")
        report.advice = "Read it with neuroml.data.read_fmri(path, labels=ATLAS) or mask=MASK."
    if not problems:
        (_try_series if is_signal else _try_regions)(report, image)


def _try_series(report: FileReport, image: Any) -> None:
    """Read every voxel that varies."""
    data = np.asanyarray(image.dataobj)
    varies = ~(data == data[..., :1]).all(axis=tuple(range(3, data.ndim)))
    report.facts.append(f"{int((~varies).sum())} of {varies.size} voxels never change.")
    inside = varies if varies.any() else ~varies
    try_readers(report, [read_fmri], mask=nib.Nifti1Image(inside.astype(np.uint8), image.affine))


def _try_regions(report: FileReport, image: Any) -> None:
    """Read an image without a signal through a mask or an atlas."""
    values = np.asanyarray(image.dataobj)
    ids = np.unique(values)
    is_whole = bool(np.isfinite(ids).all()) and (ids == np.round(ids)).all()
    blank = nib.Nifti1Image(np.ones((*image.shape[:3], 1), np.float32), image.affine)
    options = {"tr_s": 1.0, "on_nan": "keep"}
    as_mask = try_one(read_fmri, blank, **options, mask=report.path)
    if not is_whole or len(ids) > _MAX_IDS:
        if as_mask.recording is None:
            report.problems += [as_problem(error) for error in as_mask.errors]
        return
    as_labels = try_one(read_fmri, blank, **options, labels=report.path)
    report.problems += [as_problem(error) for error in as_labels.errors]
    if len(ids) == 2 and as_mask.recording is not None:
        report.kind = "a mask"
        report.facts.append(f"{as_mask.recording.sizes['unit']} voxels are inside.")
    elif as_labels.recording is not None:
        report.kind = "an atlas of labels, or an image of whole numbers"
        n_regions = as_labels.recording.sizes["unit"]
        report.facts.append(f"It has {n_regions} different values above 0.")


def _describe_surface(report: FileReport) -> None:
    report.kind = "a surface file"
    report.facts += describe_surface(report.path)
    report.advice = "Read it with neuroml.data.read_fmri(path, labels=SURFACE_ATLAS, tr_s=...)."
    if report.path.name.lower().endswith(_SURFACE_SERIES):
        options: dict[str, Any] = {"tr_s": 1.0} if report.path.suffix == ".gii" else {}
        with TemporaryDirectory() as folder:
            mask = write_full_mask(report.path, Path(folder))
            try_readers(report, [read_fmri], **options, **({} if mask is None else {"mask": mask}))


def _dtype(image: Any) -> str:
    return str(np.dtype(image.get_data_dtype()))


def _describe_table(report: FileReport) -> None:
    report.kind = "a table"
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
    if any(letters_of(name) in _CHOICE for name in names):
        report.kind = "a table of trials"
        report.advice = (
            "Read it with neuroml.data.read_trials(path, y=COLUMN), or begin a recipe by "
            "neuroml init trials FILE --y COLUMN."
        )
        return
    try_readers(report, [read_traces, read_fmri, read_spikes])
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


def _describe_poses(report: FileReport) -> None:
    report.kind = "body parts that DeepLabCut or SLEAP tracked"
    table = read_poses(report.path)
    report.facts.append(
        f"It has {len(table)} frames and {table.shape[1]} columns: {list_some(list(table))}."
    )
    report.advice = (
        "Join it to a recording with neuroml.data.add_covariates(recording, path, rate_hz=..., "
        "min_likelihood=...)."
    )


def _describe_arrays(report: FileReport) -> None:
    if is_pynapple(report.path):
        report.kind = "a file of pynapple"
        holds_spikes = saved_type(report.path) in SPIKE_TYPES
        reader = read_spikes if holds_spikes else read_traces
        report.advice = f"Read it with neuroml.data.{reader.__name__}(path)."
        return try_readers(report, [reader])
    if is_caiman(report.path):
        report.kind = "results of CaImAn"
        report.advice = "Read it with neuroml.data.read_traces(path)."
        return try_readers(report, [read_traces])
    report.kind = "a file of arrays"
    arrays = list_arrays(report.path)
    shown = ", ".join(map(str, arrays[:10])) + (", ..." if len(arrays) > 10 else "")
    report.facts.append(f"It holds {shown or 'nothing'}.")
    notes = dict.fromkeys(array.note for array in arrays if array.note and array.kind != "other")
    report.facts += [f"{note}." for note in notes]
    unreadable = [array for array in arrays if array.kind == "other"]
    report.problems += [f"{a.name or 'array'} cannot be read: {a.note}" for a in unreadable]
    matrices = [array.name for array in arrays if is_matrix(array)]
    lists = [array.name for array in arrays if array.kind == "list"]
    report.advice = "Read it with neuroml.data." + (
        "read_traces(path, variable=NAME, rate_hz=...), or read_fmri(path, tr_s=...)."
        if matrices
        else "read_spikes(path, bin_s=...)."
    )
    for name in matrices:
        try_readers(
            report, [read_traces, read_fmri], **({"variable": name} if len(matrices) > 1 else {})
        )
    for name in lists:
        try_readers(
            report, [read_spikes], **({"variable": name} if matrices or len(lists) > 1 else {})
        )
    if not matrices and not lists and len(unreadable) < len(arrays):
        try_readers(report, [read_spikes, read_traces])


def _describe_nwb(report: FileReport) -> None:
    report.kind = "an NWB file"
    series, unreadable = list_roi_series(report.path)
    for name, reason in unreadable.items():
        report.problems.append(f"The series {name!r} cannot be read and is left out: {reason}.")
    for name, (times, units) in series.items():
        report.facts.append(f"Fluorescence series {name!r}: {times} times x {units} regions.")
        try_readers(report, [read_traces], variable=name)
    if has_units(report.path):
        try_readers(report, [read_spikes])
    elif not series:
        try_readers(report, [read_traces, read_spikes])
    report.advice = "Read it with neuroml.data." + (
        f"read_traces(path{', variable=NAME' if len(series) > 1 else ''})."
        if series
        else "read_spikes(path, bin_s=...)."
    )


def _describe_folder(report: FileReport) -> None:
    if (report.path / "F.npy").is_file():
        report.kind = "a plane folder of Suite2p"
        for file in ("F.npy", "Fneu.npy", "iscell.npy"):
            if (report.path / file).is_file():
                rows, columns = (*list_arrays(report.path / file)[0].shape, 0)[:2]
                report.facts.append(f"{file}: {rows} regions x {columns}.")
        try_readers(report, [read_traces], rate_hz=1.0)
        report.advice = "Read it with neuroml.data.read_traces(path, rate_hz=...)."
        return
    if is_phy(report.path) or is_alf(report.path):
        is_named = is_alf(report.path)
        report.kind = "a folder in ALF's naming" if is_named else "a folder of Kilosort or phy"
        try_readers(report, [read_spikes])
        report.advice = "Read it with neuroml.data.read_spikes(path, bin_s=...)."
        return
    subjects = sorted(part.name for part in report.path.glob("sub-*") if part.is_dir())
    if subjects:
        report.kind = "a BIDS folder"
        report.facts.append(f"It has {len(subjects)} subjects.")
        report.advice = "Read it with neuroml.data.read_bids(path, labels=ATLAS)."
        _try_runs(report)
        return
    raise DataError(
        "neuroml does not know this kind of folder",
        expected="a file, a plane folder of Suite2p (F.npy), of Kilosort or phy (spike_times.npy), "
        "of ALF (spikes.times.npy), or BIDS (sub-*)",
        found=", ".join(sorted(part.name for part in report.path.iterdir())[:8]) or "nothing",
    )


def _try_runs(report: FileReport) -> None:
    """Find the runs of a BIDS folder, and open their images without reading all voxels."""
    runs, _ = find_runs(report.path)
    n_events = 0
    for run in runs:
        problems = list(run.find_problems())
        report.problems += [str(problem) for problem in problems]
        with contextlib.suppress(DataError):  # told among the problems
            n_events += run.events is not None
            report.facts += [f"Not used: {note}." for note in run.notes]
    report.facts.append(f"It has {len(runs)} functional runs, {n_events} of them with events.")
