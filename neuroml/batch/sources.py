"""Where a recipe's recordings come from: a named data set, or files on disk."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import pandas as pd
import xarray as xr

from neuroml._core.files import sha256_of_file
from neuroml._core.recording import RecordingKey
from neuroml.batch.keys import keys_of
from neuroml.batch.recipe import DataSection, Recipe
from neuroml.batch.vocabulary import FILE_OPTIONS, READERS
from neuroml.data import open_dataset, read_card, read_trials
from neuroml.exceptions import DataError

__all__ = ["Source", "open_source", "provenance"]

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
        options = {
            name: self.where / value
            if name in FILE_OPTIONS.get(reader, ()) and isinstance(value, str)
            else value
            for name, value in self.section.options.items()
        }
        recording = READERS[reader](path, key=key, **options)
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
    paths: list[Path] = []
    for pattern in section.files or []:
        base = Path(pattern).anchor or where
        relative = str(Path(pattern).relative_to(base)) if Path(pattern).is_absolute() else pattern
        paths += sorted(Path(base).glob(relative))
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
    """What a report says about where the data are from."""
    if recipe.data.dataset is None:
        return {"files": ", ".join(recipe.data.files or [])}
    card = read_card(recipe.data.dataset)
    return {
        "data set": f"{recipe.data.dataset}: {card.title}",
        "source": card.source,
        "licence": card.licence,
        "please cite": card.citation,
        "known defects": " ".join(card.defects),
    }
