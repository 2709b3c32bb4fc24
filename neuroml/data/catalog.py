"""Named data sets: a card says what they are and where the bytes come from.

A data set is a folder below ``datasets/`` with a ``card.toml``, a ``prepare.py`` that turns its
files into recordings, and, where the licence allows, the files themselves in ``sample/``.
"""

from __future__ import annotations

import difflib
import functools
import importlib.util
import os
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import pandas as pd
import pooch
import xarray as xr
from sklearn.utils import Bunch

import neuroml
from neuroml._core.files import sha256_of_file
from neuroml._core.recording import RecordingKey
from neuroml.exceptions import DataError

__all__ = ["Card", "DataSource", "list_datasets", "load_dataset", "open_dataset", "read_card"]


def _datasets_folder() -> Path:
    """``neuroml/_datasets`` in an installed wheel, ``datasets`` in a source checkout."""
    package = Path(neuroml.__file__).parent
    installed = package / "_datasets"
    return installed if installed.is_dir() else package.parent / "datasets"


@dataclass(frozen=True)
class Card:
    """What is known about a data set.

    Attributes
    ----------
    name, title, description : str
    source : str
        Where the files come from.
    licence, citation : str
        On what terms, and whom to cite.
    modality, value_units : str
    rate_hz : float or None
    subjects : int
    defects : list of str
        Known faults of the files and what is done about each.
    files : dict
        ``{relative path: {"sha256": ..., "url": ... (optional)}}``.
    folder : str
        Name of the folder that holds the files below a data directory.
    where : Path
        The card's own folder.
    """

    name: str
    title: str
    description: str
    source: str
    licence: str
    citation: str
    modality: str
    value_units: str
    rate_hz: float | None
    subjects: int
    files: dict[str, dict[str, str]]
    folder: str
    where: Path
    defects: list[str] = field(default_factory=list)


def list_datasets() -> list[str]:
    """Names of the data sets that have a card."""
    return sorted(path.parent.name for path in _datasets_folder().glob("*/card.toml"))


def read_card(name: str) -> Card:
    """Read the card of a data set.

    Raises
    ------
    DataError
        If there is no data set of that name; the message names the nearest ones.
    """
    where = _datasets_folder() / name
    if not (where / "card.toml").is_file():
        known = list_datasets()
        near = difflib.get_close_matches(name, known, n=1)
        raise DataError(
            f"there is no data set named {name!r}",
            expected=f"one of {', '.join(known)}",
            fix=f"Did you mean {near[0]!r}?" if near else None,
        )
    content = tomllib.loads((where / "card.toml").read_text(encoding="utf-8"))
    return Card(
        name=name,
        where=where,
        folder=content.pop("folder", name),
        rate_hz=content.pop("rate_hz", None),
        **content,
    )


@dataclass(frozen=True)
class DataSource:
    """An opened data set: its files are found and checked, its recordings read one at a time."""

    card: Card
    folder: Path

    @functools.cached_property
    def _prepare(self) -> ModuleType:
        name = f"neuroml_dataset_{self.card.name}"
        spec = importlib.util.spec_from_file_location(name, self.card.where / "prepare.py")
        if spec is None or spec.loader is None:
            raise DataError("the data set has no prepare.py", file=self.card.where)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def keys(self) -> list[RecordingKey]:
        """(subject, session, run) of every recording, in order."""
        return list(self._prepare.keys(self.folder))

    def read(self, key: RecordingKey) -> tuple[xr.Dataset, pd.DataFrame | None]:
        """One recording and its events (BIDS columns, or None)."""
        try:
            recording, events = self._prepare.read(self.folder, key)
        except DataError as error:
            raise error.at(subject="/".join(part for part in key if part)) from error
        recording.attrs["source"] = recording.attrs["source"] or self.card.source
        return recording, events

    def participants(self) -> pd.DataFrame:
        """One row per subject, with whatever is known about them."""
        if hasattr(self._prepare, "participants"):
            return self._prepare.participants(self.folder)
        subjects = list(dict.fromkeys(key[0] for key in self.keys()))
        return pd.DataFrame({"participant_id": subjects})


def open_dataset(name: str, *, data_dir: Path | str | None = None) -> DataSource:
    """Find a data set's files and check them, without reading recordings.

    The files are looked for in ``data_dir``, in the folders named by the environment variable
    ``NEUROML_DATA``, in the sample that ships with neuroml, and in the user's cache; if they are
    nowhere, and the card has an address for each, they are fetched into the cache. Set
    ``NEUROML_OFFLINE=1`` to forbid that.

    Raises
    ------
    DataError
        If the files are not found, or one differs from its card.
    """
    card = read_card(name)
    cache = Path(pooch.os_cache("neuroml"))
    places = [Path(data_dir) / card.folder] if data_dir is not None else []
    for entry in filter(None, os.environ.get("NEUROML_DATA", "").split(os.pathsep)):
        places.append(Path(entry) / card.folder)
    places += [card.where / "sample", cache / card.folder]
    for place in places:
        if all((place / file).is_file() for file in card.files):
            for file, facts in card.files.items():
                _check_file(place / file, facts["sha256"])
            return DataSource(card, place)
    return DataSource(card, _fetch(card, cache / card.folder, places))


def _check_file(path: Path, expected: str) -> None:
    stat = path.stat()
    found = _cached_sha256(path, stat.st_size, stat.st_mtime_ns)
    if found != expected:
        raise DataError(
            "the file differs from the one its card describes",
            expected=f"sha256 {expected}",
            found=found,
            fix="Delete it and fetch it again, or put the original in its place.",
            file=path,
        )


@functools.lru_cache(maxsize=4096)
def _cached_sha256(path: Path, size: int, mtime_ns: int) -> str:  # noqa: ARG001 - key of the cache
    return sha256_of_file(path)


def _fetch(card: Card, folder: Path, places: Sequence[Path]) -> Path:
    offline = os.environ.get("NEUROML_OFFLINE") == "1"
    if offline or not all("url" in facts for facts in card.files.values()):
        raise DataError(
            f"the files of {card.name!r} are not here"
            + (" and NEUROML_OFFLINE=1 forbids fetching them" if offline else ""),
            expected=f"{len(card.files)} files, such as {next(iter(card.files))}",
            found="none of " + ", ".join(str(place) for place in places) + " has them all",
            fix=f"Get them from {card.source} and set NEUROML_DATA to the folder that holds "
            f"'{card.folder}'.",
        )
    for file, facts in card.files.items():
        target = folder / file
        target.parent.mkdir(parents=True, exist_ok=True)
        pooch.retrieve(
            facts["url"],
            known_hash=f"sha256:{facts['sha256']}",
            fname=target.name,
            path=target.parent,
            progressbar=False,
        )
    return folder


def load_dataset(name: str, *, data_dir: Path | str | None = None) -> Bunch:
    """Read all recordings of a named data set.

    Parameters
    ----------
    name : str
        One of `list_datasets`.
    data_dir : path-like, optional
        A folder that holds the data set's folder; see `open_dataset` for the other places.

    Returns
    -------
    sklearn.utils.Bunch
        ``recordings``, list of Dataset; ``events``, list of DataFrame or None, one per recording;
        ``participants``, DataFrame; ``description``, ``licence``, ``citation``, str.

    Raises
    ------
    DataError
        If the name is unknown, files are missing or differ from the card.

    Examples
    --------
    >>> from neuroml.data import load_dataset
    >>> data = load_dataset("nitime_fmri")
    >>> data.recordings[0].signal.shape
    (250, 28)
    """
    source = open_dataset(name, data_dir=data_dir)
    pairs = [source.read(key) for key in source.keys()]
    return Bunch(
        recordings=[recording for recording, _ in pairs],
        events=[events for _, events in pairs],
        participants=source.participants(),
        description=source.card.description,
        licence=source.card.licence,
        citation=source.card.citation,
    )
