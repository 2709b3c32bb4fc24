"""Folders in the Brain Imaging Data Structure: which files belong to which run."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr
from sklearn.utils import Bunch

from neuroml._core.recording import RecordingKey
from neuroml._core.validation import list_some
from neuroml.data._bids_names import entities_of, files_that_apply, plain_label, same_label
from neuroml.data._regions import Units
from neuroml.data._tables import read_text_table
from neuroml.data._units import OnNaN, check_unique
from neuroml.data.events import read_events
from neuroml.data.fmri import check_run, read_fmri
from neuroml.exceptions import DataError

__all__ = ["BRAIN", "Run", "find_candidates", "find_runs", "other_folders", "read_bids"]

_OF_A_RUN = ("sub", "ses", "task", "acq", "ce", "dir", "rec", "run")
_OF_A_KEY = (*_OF_A_RUN[2:], "echo", "part", "hemi")
"""Echoes, parts and hemispheres are images of one run: which of them is a question to the user."""
BRAIN = "brain"
"""Stands for each run's own brain mask."""
_VOLUMES = (".nii", ".nii.gz")
_SURFACES = (".dtseries.nii", ".func.gii")


def read_bids(  # noqa: PLR0913 - what the runs share, as read_fmri takes it
    folder: Path | str,
    *,
    labels: Any = None,
    mask: Any = None,
    maps: Any = None,
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
        only those are read. Surfaces (``*_bold.dtseries.nii``, ``*_bold.func.gii``) are read where
        ``entities`` leave no volumes, such as by their space. Of echoes and the run that fMRIPrep
        combined from them, the combined one is read.
    labels, mask, maps, units : optional
        As for `read_fmri`; ``mask="brain"`` is each run's own brain mask, as fMRIPrep writes it
        beside the image (``*_desc-brain_mask.nii.gz``).
    confounds : mapping, optional
        Keywords of `nilearn.interfaces.fmriprep.load_confounds`.
    entities : mapping of str to str, int or None, optional
        Which files to take, e.g. ``{"task": "rest", "space": "MNI152NLin2009cAsym"}``; None stands
        for files without the entity, such as ``{"echo": None}``. As in PyBIDS ``extension`` is one,
        such as ``".dtseries.nii"``.
    raw : path-like, optional
        The data set with ``participants.tsv`` and the events; by default ``folder`` itself, or the
        data set whose ``derivatives`` hold it.
    tr_s : float, optional
        Repetition time of all runs in seconds; by default as for `read_fmri`.
    on_nan : {"raise", "drop_units", "interpolate", "keep"}
        As for `read_fmri`.

    Returns
    -------
    sklearn.utils.Bunch
        ``recordings``, list of Dataset, keyed by subject, session and run, such as
        ``("01", "", "task-rest_run-1")``; ``events``, list of DataFrame or None, by BIDS'
        inheritance (a table beside the run or above it that its name fits); ``participants``,
        DataFrame with ``participant_id`` as in the recordings, without "sub-"; ``failed``, dict of
        the file names of runs that were left out, with a warning, as their events cannot be read.

    Raises
    ------
    DataError
        If there is no run, one run has several files, for example in several spaces or of several
        echoes, a sidecar and the image's header state different repetition times, or the table of
        participants repeats the subjects' ids, or spells them in another way than the folders by
        more than zeros in front of a number.
    """
    found, participants = find_runs(folder, entities=entities, raw=raw)
    runs, failed = _with_events(found)
    options = {"labels": labels, "mask": mask, "maps": maps, "units": units}
    options |= {"confounds": confounds, "tr_s": tr_s, "on_nan": on_nan}
    return Bunch(
        recordings=[run.read(**options) for run in runs],
        events=[run.events for run in runs],
        participants=participants,
        failed={path.name: str(error) for path, error in failed.items()},
    )


def _with_events(runs: list[Run]) -> tuple[list[Run], dict[Path, DataError]]:
    """Runs whose events can be read, or that have none; and what is wrong with the others."""
    failed: dict[Path, DataError] = {}
    for run in runs:
        try:
            _ = run.events
        except DataError as error:
            failed[run.path] = error
    if len(failed) == len(runs):
        raise next(iter(failed.values()))
    for path, problem in failed.items():
        warnings.warn(f"{path.name} is left out: {problem}", UserWarning, stacklevel=3)
    return [run for run in runs if run.path not in failed], failed


@dataclass(frozen=True)
class Run:
    """A functional run of a data set.

    Attributes
    ----------
    path : Path
        Of the image.
    key : tuple of str
        (subject, session, run).
    home : Path
        The data set with the events.
    siblings : list of Path
        All images of the subject.
    events : DataFrame or None
        Read when it is asked for; then raises DataError if it cannot be used.
    notes : list of str
        What was found, but not used.
    """

    path: Path
    key: RecordingKey
    home: Path
    siblings: list[Path] = field(repr=False)

    @cached_property
    def _found(self) -> tuple[pd.DataFrame | None, list[str]]:
        return _events(self.home, self.path, self.siblings)

    @property
    def events(self) -> pd.DataFrame | None:
        """The table of events that is nearest to the run."""
        return self._found[0]

    @property
    def notes(self) -> list[str]:
        """Tables of events that fit no run."""
        return self._found[1]

    def read(self, *, mask: Any = None, **options: Any) -> xr.Dataset:
        """The recording, with the options of `read_bids`."""
        if isinstance(mask, str) and mask == BRAIN:
            mask = self.brain_mask()
        recording = read_fmri(self.path, mask=mask, key=self.key, **options)
        return recording.assign_attrs(dropped=recording.attrs["dropped"] + self.notes)

    def brain_mask(self) -> Path:
        """The brain mask of the run on the image's grid.

        Raises
        ------
        DataError
            If there is none.
        """
        of_image = ("desc", "echo", "part")  # a mask is of all of them
        own = _without(entities_of(self.path), of_image)
        for path in sorted(self.path.parent.glob(f"sub-{self.key[0]}_*_mask.nii*")):
            parts = entities_of(path)
            if parts.get("desc") == "brain" and _without(parts, of_image) == own:
                return path
        raise DataError(
            "the run has no brain mask beside it",
            expected="*_desc-brain_mask.nii.gz with the same entities",
            fix="Pass mask= as a file.",
            file=self.path,
            field="mask",
        )

    def find_problems(
        self, *, mask: Any = None, confounds: Any = None, tr_s: float | None = None
    ) -> Iterator[DataError]:
        """What `read` would refuse, as far as headers and tables tell it; no voxel is read."""
        checks: list[Callable[[], Any]] = [lambda: self.events]
        checks.append(lambda: check_run(self.path, confounds=confounds, tr_s=tr_s))
        if isinstance(mask, str) and mask == BRAIN:
            checks.append(self.brain_mask)
        for one in checks:
            try:
                one()
            except DataError as error:
                yield error.at(file=self.path)


def find_runs(
    folder: Path | str,
    *,
    entities: Mapping[str, Any] | None = None,
    raw: Path | str | None = None,
) -> tuple[list[Run], pd.DataFrame]:
    """Functional runs and the participants, without opening an image or a table of events.

    Parameters and errors are those of `read_bids`.
    """
    folder = Path(folder)
    home = _raw_folder(folder, raw)
    paths = _images(folder)
    chosen = _one_per_run(_candidates(paths, dict(entities or {}), folder), folder)
    siblings: dict[str, list[Path]] = {}
    for path in paths:
        siblings.setdefault(entities_of(path)["sub"], []).append(path)
    runs = [Run(path, _key(parts), home, siblings[parts["sub"]]) for path, parts in chosen.items()]
    return runs, _participants(home, [run.key[0] for run in runs])


def find_candidates(
    folder: Path, entities: Mapping[str, Any]
) -> dict[tuple[str, ...], list[dict[str, str]]]:
    """Entities of all files that `find_runs` would choose from, by run.

    A run with several is a question to the user; "extension" is told beside the entities.
    """
    found: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for path, parts in _candidates(_images(folder), dict(entities), folder).items():
        found.setdefault(_run_of(parts), []).append({**parts, "extension": _extension(path)})
    return found


def _run_of(parts: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(plain_label(name, parts.get(name, "")) for name in _OF_A_RUN)


def _raw_folder(folder: Path, raw: Path | str | None) -> Path:
    if raw is not None:
        if not Path(raw).is_dir():
            raise DataError("there is no such folder", file=raw, field="raw")
        return Path(raw)
    parents = folder.resolve().parents
    if not (folder / "participants.tsv").is_file() and parents[0].name == "derivatives":
        return parents[1]
    return folder


def _images(folder: Path) -> list[Path]:
    found = [*folder.glob("sub-*/func/sub-*_bold.*"), *folder.glob("sub-*/ses-*/func/sub-*_bold.*")]
    return sorted(path for path in found if _extension(path) in (*_VOLUMES, *_SURFACES))


def _extension(path: Path) -> str:
    return "." + path.name.partition(".")[2]


def _candidates(
    paths: list[Path], wanted: dict[str, Any], folder: Path
) -> dict[Path, dict[str, str]]:
    """Files of the wanted runs with their entities."""
    endings = wanted.get("extension")
    named = {name: label for name, label in wanted.items() if name != "extension"}
    files = {
        path: parts
        for path, parts in ((path, entities_of(path)) for path in paths)
        if all(_has(parts, name, label) for name, label in named.items())
        and endings in (None, _extension(path), _extension(path)[1:])
    }
    volumes = {path: parts for path, parts in files.items() if _extension(path) in _VOLUMES}
    files = volumes or files
    preproc = {path: parts for path, parts in files.items() if parts.get("desc") == "preproc"}
    if "desc" not in wanted:
        files = preproc or files
    if "echo" not in wanted:
        files = _combined(files)
    if not files:
        raise DataError(
            "there is no functional run in the folder",
            expected="sub-*/func/*_bold.nii.gz (or .dtseries.nii, .func.gii)"
            + (f" with {wanted}" if wanted else ""),
            found=", ".join(path.name for path in paths[:3]) or None,
            fix=other_folders(folder) or "Check the folder, and entities=.",
            file=folder,
        )
    return files


def other_folders(folder: Path) -> str | None:
    """Which folders below hold subjects, where the one that was given is the study's."""
    found = [*folder.glob("*/sub-*/"), *folder.glob("derivatives/*/sub-*/")]
    below = {one.parent for one in found if one.is_dir()}
    names = sorted(str(one) for one in below if not one.name.startswith("sub-"))
    return f"There are subjects in {list_some(names)}: give that folder." if names else None


def _one_per_run(files: dict[Path, dict[str, str]], folder: Path) -> dict[Path, dict[str, str]]:
    by_run: dict[tuple[str, ...], Path] = {}
    for path, parts in files.items():
        run = _run_of(parts)
        if run in by_run:
            raise _more_than_one(by_run[run], path, folder)
        by_run[run] = path
    return files


def _combined(files: dict[Path, dict[str, str]]) -> dict[Path, dict[str, str]]:
    """Files without the echoes of which another one, that fMRIPrep wrote, is the combination."""
    whole = [
        _without(parts, ("echo",))
        for parts in files.values()
        if "echo" not in parts and parts.get("desc") == "preproc"
    ]
    return {
        path: parts
        for path, parts in files.items()
        if "echo" not in parts or _without(parts, ("echo",)) not in whole
    }


def _without(parts: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """Entities but those named, counts without leading zeros."""
    return {name: plain_label(name, of) for name, of in parts.items() if name not in names}


def _has(parts: Mapping[str, str], name: str, label: Any) -> bool:
    """Whether a file has the label of an entity, or for None lacks the entity."""
    if label is None or name not in parts:
        return label is None and name not in parts
    return same_label(name, label, parts[name])


def _more_than_one(one: Path, other: Path, folder: Path) -> DataError:
    first, second = entities_of(one), entities_of(other)
    names = [name for name in first | second if first.get(name) != second.get(name)]
    if not names:
        names = ["extension"]
        first, second = {"extension": _extension(one)}, {"extension": _extension(other)}
    name = names[0]
    return DataError(
        "a run has more than one file",
        expected="one",
        found=f"{one.name} and {other.name}",
        fix=f"Choose with entities=, for example {{{name!r}: {first.get(name)!r}}} or "
        f"{{{name!r}: {second.get(name)!r}}} (None: files without it).",
        file=folder,
    )


def _key(parts: Mapping[str, str]) -> RecordingKey:
    run = "_".join(f"{name}-{parts[name]}" for name in _OF_A_KEY if name in parts)
    return parts["sub"], parts.get("ses", ""), run


def _events(home: Path, image: Path, images: list[Path]) -> tuple[pd.DataFrame | None, list[str]]:
    """The table of events that is nearest to a run, and a note on those that fit no run."""
    parts = entities_of(image)
    subject = home / f"sub-{parts['sub']}"
    folders = [subject, subject / "func"]
    if "ses" in parts:
        session = subject / f"ses-{parts['ses']}"
        folders = [subject, session, session / "func"]
    found = files_that_apply(home, image.name, "events.tsv", folders)
    if found:
        nearest = [path for path in found if path.parent == found[-1].parent]
        rivals = [path for path in nearest if len(entities_of(path)) == len(entities_of(found[-1]))]
        if len(rivals) > 1:
            raise DataError(
                "a run has more than one table of events",
                expected="one",
                found=", ".join(path.name for path in rivals),
                file=home,
            )
        return read_events(found[-1]), []
    near = [path for folder in folders for path in sorted(folder.glob("*_events.tsv"))]
    of_none = [
        path.name
        for path in near
        if entities_of(path).get("task") == parts.get("task")
        and not any(_applies(path, other) for other in images)
    ]
    note = f"{len(of_none)} tables of events, whose names fit no run: {', '.join(of_none[:3])}"
    return None, [note] if of_none else []


def _applies(table: Path, image: Path) -> bool:
    parts = entities_of(image)
    return all(_has(parts, name, label) for name, label in entities_of(table).items())


def _participants(home: Path, subjects: list[str]) -> pd.DataFrame:
    """One row per subject that was read, in order."""
    rows = pd.DataFrame({"participant_id": list(dict.fromkeys(subjects))})
    path = home / "participants.tsv"
    if not path.is_file():
        return rows
    table = read_text_table(path, text=["participant_id"]).columns
    if "participant_id" not in table:
        raise DataError(
            "the table of participants has no participant_id",
            found=", ".join(map(str, table.columns)),
            file=path,
        )
    names = table["participant_id"].astype(str).str.strip().str.removeprefix("sub-")
    names = names.replace(_spellings(names.tolist(), subjects))
    check_unique(names[names.isin(subjects)].tolist(), file=path)
    _refuse_other_spellings(names, subjects, path)
    return rows.merge(table.assign(participant_id=names), on="participant_id", how="left")


def _spellings(names: list[str], subjects: list[str]) -> dict[str, str]:
    """Numbers with other zeros in front than the folders have, where each fits one folder alone."""
    numbers = {one: int(one) for one in {*names, *subjects} if one.isdecimal()}
    of_folders = {numbers[one]: one for one in subjects if one in numbers}
    alone = [n for n in numbers.values() if sum(n == other for other in numbers.values()) == 2]
    return {
        one: of_folders[numbers[one]]
        for one in names
        if numbers.get(one) in alone and one not in subjects and numbers[one] in of_folders
    }


def _refuse_other_spellings(names: pd.Series, subjects: list[str], path: Path) -> None:
    """Refuse a table that has a subject under another spelling, or none of the subjects."""
    absent = [subject for subject in dict.fromkeys(subjects) if subject not in set(names)]
    others = {_bare(name): name for name in names if name not in subjects}
    variants = [(subject, others[_bare(subject)]) for subject in absent if _bare(subject) in others]
    if variants or len(absent) == len(set(subjects)):
        raise DataError(
            "the table of participants names subjects in another way than the folders",
            expected=", ".join(f"sub-{subject}" for subject in absent[:3]),
            found=", ".join([name for _, name in variants[:3]] or [*names[:3]]),
            fix="Write participant_id as in the names of the folders.",
            file=path,
            field="participant_id",
        )


def _bare(name: str) -> str:
    """What spellings of an id share: letters in lower case, and numbers without leading zeros."""
    return re.sub(r"(?<![0-9])0+(?=[0-9])", "", re.sub(r"[^a-z0-9]|^sub", "", name.lower()))
