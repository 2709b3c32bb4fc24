"""Where a recipe's recordings come from: a named data set, or files on disk."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import xarray as xr

from neuroml._core.files import sha256_of_file
from neuroml._core.recording import RecordingKey
from neuroml.batch.keys import keys_of, matches
from neuroml.batch.labeling import no_events, no_labels
from neuroml.batch.recipe import DataSection, Recipe
from neuroml.batch.vocabulary import READERS, files_in
from neuroml.data import open_dataset, read_card, read_trials
from neuroml.data._nifti import is_image
from neuroml.data._surfaces import is_surface_file
from neuroml.data.bids import BRAIN, Run, find_runs
from neuroml.data.fmri import check_run
from neuroml.exceptions import DataError

__all__ = ["Source", "find_source_faults", "open_source", "provenance"]

_ENTITIES = ("subject", "session", "run")


class Source(Protocol):
    """Anything that lists recordings and reads them one at a time."""

    def keys(self) -> list[RecordingKey]:
        """(subject, session, run) of every recording."""

    def read(self, key: RecordingKey) -> tuple[xr.Dataset, pd.DataFrame | None]:
        """One recording and its events."""

    def only(self, keys: Iterable[RecordingKey]) -> Source:
        """The part that these recordings need, small enough to send to another process."""


@dataclass(frozen=True)
class FileSource:
    """Files matched by a recipe's patterns; BIDS-style names give the keys, others the stem."""

    section: DataSection
    where: Path
    files: dict[RecordingKey, Path]

    def keys(self) -> list[RecordingKey]:
        """(subject, session, run) of every file, in order of their names."""
        return list(self.files)

    def read(self, key: RecordingKey) -> tuple[xr.Dataset, None]:
        """Read one file with the recipe's reader and options."""
        path = self.files[key]
        reader = str(self.section.reader)
        recording = READERS[reader](path, key=key, **_options(self.section, self.where))
        recording.attrs["sha256"] = recording.attrs["sha256"] or sha256_of_file(path)
        return recording, None

    def only(self, keys: Iterable[RecordingKey]) -> FileSource:
        """The part that these recordings need."""
        return replace(self, files={key: self.files[key] for key in keys})


@dataclass(frozen=True)
class TrialSource:
    """Tables of trials: each subject of a table is a recording."""

    section: DataSection
    where: Path
    tables: dict[RecordingKey, tuple[Path, str]]
    """The file of each recording, and the name that its subject has there."""

    def keys(self) -> list[RecordingKey]:
        """(subject, session, run) of every subject, by file and in the order of its rows."""
        return list(self.tables)

    def read(self, key: RecordingKey) -> tuple[xr.Dataset, None]:
        """Read the table anew, since labels are coded over all of it, and take one subject."""
        path, name = self.tables[key]
        found = {one.attrs["subject"]: one for one in read_trials(path, **self.section.options)}
        return found[name].assign_attrs(dict(zip(_ENTITIES, key, strict=True))), None

    def only(self, keys: Iterable[RecordingKey]) -> TrialSource:
        """The part that these recordings need."""
        return replace(self, tables={key: self.tables[key] for key in keys})


@dataclass(frozen=True)
class BidsSource:
    """The functional runs of a BIDS folder."""

    section: DataSection
    where: Path
    runs: dict[RecordingKey, Run]

    def keys(self) -> list[RecordingKey]:
        """(subject, session, run) of every run, in order of their files' names."""
        return list(self.runs)

    def read(self, key: RecordingKey) -> tuple[xr.Dataset, pd.DataFrame | None]:
        """One run and its events."""
        options = _options(self.section, self.where)
        options.pop("raw", None)
        return self.runs[key].read(**options), self.runs[key].events

    def only(self, keys: Iterable[RecordingKey]) -> BidsSource:
        """The part that these recordings need."""
        return replace(self, runs={key: self.runs[key] for key in keys})


def _options(section: DataSection, where: Path) -> dict[str, Any]:
    """The reader's options, files by their paths."""
    return section.options | files_in(str(section.reader), section.options, where)


def open_source(section: DataSection, where: Path) -> Source:
    """Open the data a recipe names.

    Parameters
    ----------
    section : DataSection
    where : Path
        The folder that relative file names start from.

    Raises
    ------
    DataError
        If no file matches, two files have the same key, or the data set's files are not here.
    """
    if section.dataset is not None:
        return open_dataset(section.dataset)
    if section.folder is not None:
        wanted = {name: None if label == "" else label for name, label in section.entities.items()}
        raw = files_in("bids", section.options, where).get("raw")
        runs, _ = find_runs(where / section.folder, entities=wanted, raw=raw)
        return BidsSource(section, where, {run.key: run for run in runs})
    paths: list[Path] = []
    for pattern in section.files or []:
        paths += matches(pattern, where)
    if not paths:
        raise DataError(
            "no file matches the recipe",
            expected=section.files,
            found="no files",
            file=where,
        )
    if len(set(paths)) < len(paths):
        twice = next(path for path in paths if paths.count(path) > 1)
        raise DataError("two patterns of the recipe match one file", file=twice)
    files = keys_of(paths, where)
    if section.reader == "trials":
        return _open_trials(section, where, files)
    return FileSource(section, where, files)


def find_source_faults(source: Source, keys: Sequence[RecordingKey]) -> list[str]:
    """What is wrong with the chosen recordings, as far as headers and tables beside them tell it.

    Parameters
    ----------
    source : Source
    keys : sequence of (str, str, str)
    """
    problems: list[DataError] = []
    if isinstance(source, BidsSource):
        known = {name: source.section.options.get(name) for name in ("mask", "confounds", "tr_s")}
        for key in keys:
            problems += source.runs[key].find_problems(**known)
            problems += _event_problems(source.section, source.runs[key])
    if isinstance(source, FileSource) and source.section.reader == "fmri":
        tr_s = source.section.options.get("tr_s")
        for path in [source.files[key] for key in keys]:
            try:
                if is_image(path) or is_surface_file(path):
                    check_run(path, confounds=source.section.options.get("confounds"), tr_s=tr_s)
            except DataError as error:
                problems.append(error.at(file=path))
    return [f"data: {problem}" for problem in problems]


def _event_problems(section: DataSection, run: Run) -> Iterator[DataError]:
    """Events that the recipe needs and the run does not have."""
    if section.events is None:
        return
    with contextlib.suppress(DataError):  # what is wrong with the table is told already
        if run.events is None:
            yield no_events().at(file=run.path)
        elif section.events.label not in run.events:
            yield no_labels(section.events.label, run.events).at(file=run.path)


def _open_trials(section: DataSection, where: Path, files: dict[RecordingKey, Path]) -> TrialSource:
    """Read every table once, for the subjects in it."""
    tables: dict[RecordingKey, tuple[Path, str]] = {}
    for of_file, path in files.items():
        for recording in read_trials(path, **section.options):
            name = recording.attrs["subject"]
            key = _key_in_table(name, of_file, only_file=len(files) == 1)
            if key in tables:
                raise DataError(
                    "two tables have trials of the same subject and session",
                    found=f"{tables[key][0].name} and {path.name}, both of {key[0]!r}",
                    fix="Join them into one table, with a column for session=.",
                    file=path,
                )
            tables[key] = (path, name)
    return TrialSource(section, where, tables)


def _key_in_table(name: str, of_file: RecordingKey, *, only_file: bool) -> RecordingKey:
    """The key of a subject that a table names, where each of several tables is a session."""
    subject, session, run = of_file
    if not name:
        return of_file
    return (name, "", "") if only_file else (name, session or subject, run)


def provenance(recipe: Recipe) -> dict[str, str]:
    """What a report says about where the data are from, and what was made of them."""
    data = recipe.data
    found = {"files": ", ".join(data.files or [])}
    if data.dataset is not None:
        card = read_card(data.dataset)
        found = {
            "data set": f"{data.dataset}: {card.title}",
            "source": card.source,
            "licence": card.licence,
            "please cite": card.citation,
            "known defects": " ".join(card.defects),
        }
    if data.folder is not None:
        found = {"folder": data.folder, "entities": _listed(data.entities)}
    names = {"labels": "atlas", "maps": "atlas of maps", "mask": "mask"}
    found |= {said: str(data.options[name]) for name, said in names.items() if name in data.options}
    if data.options.get("mask") == BRAIN:
        found["mask"] = "each run's own brain mask"
    confounds = data.options.get("confounds")
    if confounds is not None:
        shown = _listed(confounds) if isinstance(confounds, dict) else str(confounds)
        found["confounds"] = shown if recipe.clean else f"{shown} (read, not regressed out)"
    return found | _model_of(data)


def _model_of(data: DataSection) -> dict[str, str]:
    """What y and X are."""
    events, target = data.events, data.target
    found = {"target": ", ".join([target] if isinstance(target, str) else target or [])}
    if events is not None:
        rows = f"at each sample, {events.lag_s:g} s after onset"
        if events.epoch_s is not None:
            start, stop = events.epoch_s
            rows = f"of each event, mean from {start:g} to {stop:g} s after onset"
        found = {"target": f"{events.label} {rows}"}
    if data.stimuli is not None:
        found = {"target": data.signal, "inputs": data.stimuli}
    elif data.inputs is not None:
        found["inputs"] = ", ".join(data.inputs) or "none"
    else:
        found["inputs"] = f"the {data.signal} of all units"
    return {name: value for name, value in found.items() if value}


def _listed(options: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in options.items())
