"""Folders in the Brain Imaging Data Structure: which files belong to which run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.utils import Bunch

from neuroml._core.recording import RecordingKey
from neuroml.data._nifti import parse_image, tr_of
from neuroml.data._regions import Units
from neuroml.data._tables import read_text_table
from neuroml.data._units import OnNaN
from neuroml.data.events import read_events
from neuroml.data.fmri import read_fmri
from neuroml.exceptions import DataError

__all__ = ["read_bids"]

_OF_A_RUN = ("sub", "ses", "task", "acq", "ce", "dir", "rec", "run", "echo")
_OF_EVENTS = ("sub", "ses", "task", "run")


def read_bids(
    folder: Path | str,
    *,
    labels: Any = None,
    mask: Any = None,
    units: Units | None = None,
    confounds: Mapping[str, Any] | None = None,
    entities: Mapping[str, str] | None = None,
    raw: Path | str | None = None,
    tr_s: float | None = None,
    on_nan: OnNaN = "raise",
) -> Bunch:
    """Read all functional runs of a BIDS folder or of derivatives such as fMRIPrep's.

    Parameters
    ----------
    folder : path-like
        Holds ``sub-*/[ses-*/]func/*_bold.nii.gz``. Where there are files with ``desc-preproc``,
        only those are read.
    labels, mask, units : optional
        As for `read_fmri`.
    confounds : mapping, optional
        Keywords of `nilearn.interfaces.fmriprep.load_confounds`.
    entities : mapping of str to str, optional
        Which files to take, e.g. ``{"task": "rest", "space": "MNI152NLin2009cAsym"}``.
    raw : path-like, optional
        The data set with ``participants.tsv`` and the events; by default ``folder`` itself, or the
        data set whose ``derivatives`` hold it.
    tr_s : float, optional
        Repetition time of all runs in seconds; by default that of the sidecar beside each image,
        failing that of its header.
    on_nan : {"raise", "drop_units", "interpolate", "keep"}
        As for `read_fmri`.

    Returns
    -------
    sklearn.utils.Bunch
        ``recordings``, list of Dataset, keyed by subject, session and run (task and run);
        ``events``, list of DataFrame or None; ``participants``, DataFrame with ``participant_id``
        as in the recordings, without "sub-".

    Raises
    ------
    DataError
        If there is no run, one run has several files, for example in several spaces, or a sidecar
        and the image's header state different repetition times.
    """
    folder = Path(folder)
    home = _raw_folder(folder, raw)
    runs = _runs(folder, dict(entities or {}))
    recordings = [
        read_fmri(
            path,
            labels=labels,
            mask=mask,
            units=units,
            confounds=confounds,
            tr_s=_sidecar_tr(path) if tr_s is None else tr_s,
            on_nan=on_nan,
            key=_key(parts),
        )
        for path, parts in runs
    ]
    return Bunch(
        recordings=recordings,
        events=[_events(home, parts) for _, parts in runs],
        participants=_participants(home, [parts["sub"] for _, parts in runs]),
    )


def _raw_folder(folder: Path, raw: Path | str | None) -> Path:
    if raw is not None:
        return Path(raw)
    parents = folder.resolve().parents
    if not (folder / "participants.tsv").is_file() and parents[0].name == "derivatives":
        return parents[1]
    return folder


def _runs(folder: Path, wanted: dict[str, str]) -> list[tuple[Path, dict[str, str]]]:
    """Files of the wanted runs with the parts of their names, one file per run."""
    from nilearn.interfaces.bids import get_bids_files

    found = get_bids_files(
        folder,
        file_tag="bold",
        file_type="nii*",
        modality_folder="func",
        filters=list(wanted.items()),
    )
    files = [(Path(path), _parts(path)) for path in sorted(found)]
    if any("desc" in parts for _, parts in files) and "desc" not in wanted:
        files = [(path, parts) for path, parts in files if parts.get("desc") == "preproc"]
    if not files:
        raise DataError(
            "there is no functional run in the folder",
            expected="sub-*/func/*_bold.nii.gz" + (f" with {wanted}" if wanted else ""),
            fix="Check the folder, and entities=.",
            file=folder,
        )
    by_run: dict[tuple[str, ...], Path] = {}
    for path, parts in files:
        run = tuple(parts.get(name, "") for name in _OF_A_RUN)
        if run in by_run:
            raise DataError(
                "a run has more than one file",
                expected="one",
                found=f"{by_run[run].name} and {path.name}",
                fix="Choose with entities=, for example {'space': ...}.",
                file=folder,
            )
        by_run[run] = path
    return files


def _parts(path: Path | str) -> dict[str, str]:
    from nilearn.interfaces.bids import parse_bids_filename

    entities = parse_bids_filename(path)["entities"]
    return {name: value for name, value in entities.items() if value is not None}


def _key(parts: Mapping[str, str]) -> RecordingKey:
    run = "_".join(parts[name] for name in _OF_A_RUN[2:] if name in parts)
    return parts["sub"], parts.get("ses", ""), run


def _sidecar_tr(path: Path) -> float | None:
    """The repetition time that stands beside the image, where the header does not contradict it."""
    sidecar = path.with_name(path.name.split(".")[0] + ".json")
    if not sidecar.is_file():
        return None
    try:
        beside = json.loads(sidecar.read_text(encoding="utf-8")).get("RepetitionTime")
    except (ValueError, AttributeError) as error:
        raise DataError(f"the sidecar is not JSON ({error})", file=sidecar) from error
    if beside is not None and not isinstance(beside, int | float):
        raise DataError(
            "the sidecar's repetition time is not a number",
            expected="seconds",
            found=repr(beside),
            file=sidecar,
            field="RepetitionTime",
        )
    try:
        within = tr_of(parse_image(path), None)
    except DataError:  # none that could contradict; a damaged image is told when it is read
        return beside
    if beside is not None and abs(beside - within) > 0.01 * within:
        raise DataError(
            "the sidecar and the image's header state different repetition times",
            expected=f"{within:g} s, as in the header",
            found=f"{beside:g} s",
            fix="Find out which is right, and pass tr_s= or correct the other.",
            file=sidecar,
            field="RepetitionTime",
        )
    return beside


def _events(home: Path, parts: Mapping[str, str]) -> pd.DataFrame | None:
    from nilearn.interfaces.bids import get_bids_files

    named = [(name, parts[name]) for name in _OF_EVENTS if name in parts]
    found = get_bids_files(
        home, file_tag="events", file_type="tsv", modality_folder="func", filters=named
    )
    if len(found) > 1:
        raise DataError(
            "a run has more than one table of events",
            expected="one",
            found=", ".join(Path(path).name for path in found),
            file=home,
        )
    return read_events(found[0]) if found else None


def _participants(home: Path, subjects: list[str]) -> pd.DataFrame:
    """One row per subject that was read, in order."""
    rows = pd.DataFrame({"participant_id": list(dict.fromkeys(subjects))})
    path = home / "participants.tsv"
    if not path.is_file():
        return rows
    table = read_text_table(path).columns
    if "participant_id" not in table:
        raise DataError(
            "the table of participants has no participant_id",
            found=", ".join(map(str, table.columns)),
            file=path,
        )
    names = table["participant_id"].astype(str).str.removeprefix("sub-")
    return rows.merge(table.assign(participant_id=names), on="participant_id", how="left")
