"""Where a recipe's recordings come from: a named data set, or files on disk."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import pandas as pd
import xarray as xr

from neuroml._core.files import sha256_of_file
from neuroml._core.recording import RecordingKey
from neuroml.batch.recipe import DataSection, Recipe
from neuroml.batch.vocabulary import FILE_OPTIONS, READERS
from neuroml.data import open_dataset, read_card
from neuroml.exceptions import DataError

__all__ = ["Source", "open_source", "provenance"]

_ENTITIES = {"subject": "sub", "session": "ses", "run": "run"}


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
            if name in FILE_OPTIONS[reader] and isinstance(value, str)
            else value
            for name, value in self.section.options.items()
        }
        recording = READERS[reader](path, key=key, **options)
        recording.attrs["sha256"] = recording.attrs["sha256"] or sha256_of_file(path)
        return recording, None

    def only(self, keys: Iterable[RecordingKey]) -> FileSource:
        """The part that these recordings need."""
        return replace(self, files={key: self.files[key] for key in keys})


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
    files: dict[RecordingKey, Path] = {}
    for pattern in section.files or []:
        base = Path(pattern).anchor or where
        relative = str(Path(pattern).relative_to(base)) if Path(pattern).is_absolute() else pattern
        for path in sorted(Path(base).glob(relative)):
            key = _key_of(path)
            if key in files:
                raise DataError(
                    "two files have the same subject, session and run",
                    found=f"{files[key].name} and {path.name}",
                    fix="Name them sub-<id>[_ses-<id>][_run-<id>]_....",
                    file=path,
                )
            files[key] = path
    if not files:
        raise DataError(
            "no file matches the recipe",
            expected=section.files,
            found="no files",
            file=where,
        )
    return FileSource(section, where, files)


def _key_of(path: Path) -> RecordingKey:
    found = {
        level: re.search(rf"(?:^|_){entity}-([A-Za-z0-9]+)", path.name)
        for level, entity in _ENTITIES.items()
    }
    if found["subject"] is None:
        return (path.name.split(".")[0], "", "")
    subject, session, run = (match[1] if match else "" for match in found.values())
    return (subject, session, run)


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
