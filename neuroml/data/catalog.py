"""Named data sets: a card says what they are and where the bytes come from.

A data set is a folder below ``datasets/`` with a ``card.toml`` (see `Card`), a ``prepare.py`` that
turns its files into recordings, and, where the licence allows, the files themselves in ``sample/``.

``prepare.py`` has ``keys(folder)``, the (subject, session, run) of every recording; ``read(folder,
key)``, which gives a recording and its events, or None, and opens no more files than it needs;
and, where something is known about the subjects, ``participants(folder)``.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import importlib.util
import logging
import os
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO
from urllib.parse import quote

import pandas as pd
import pooch
import xarray as xr
from sklearn.utils import Bunch

import neuroml
from neuroml._core.files import sha256_of_file
from neuroml._core.recording import RecordingKey
from neuroml.exceptions import DataError

__all__ = [
    "Card",
    "CardFile",
    "DataSource",
    "list_datasets",
    "load_dataset",
    "open_dataset",
    "read_card",
]

logger = logging.getLogger(__name__)


def _datasets_folder() -> Path:
    """``neuroml/_datasets`` in an installed wheel, ``datasets`` in a source checkout."""
    package = Path(neuroml.__file__).parent
    installed = package / "_datasets"
    return installed if installed.is_dir() else package.parent / "datasets"


@dataclass(frozen=True)
class CardFile:
    """One file of a data set: its fingerprint, size in bytes, and public address if it has one."""

    sha256: str
    size: int
    url: str | None = None


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
        As in a recording; comma-separated where the recordings of a set differ, "" where the set
        has files but no recordings.
    rate_hz : float or None
        None where it is unknown, has no meaning, or differs between recordings.
    subjects : int
        Number of distinct subjects among the recordings.
    files : dict
        ``{relative path: CardFile}``; all the reader needs.
    folder : str
        Name of the folder that holds the files below a data directory.
    where : Path
        The card's own folder.
    defects : list of str
        Known faults of the files and what is done about each.
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
    files: dict[str, CardFile]
    folder: str
    where: Path
    defects: list[str] = field(default_factory=list)

    @property
    def sha256(self) -> str:
        """One fingerprint for all files together."""
        lines = [f"{self.files[name].sha256}  {name}\n" for name in sorted(self.files)]
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def list_datasets() -> list[str]:
    """Names of the data sets that have a card.

    Examples
    --------
    >>> from neuroml.data import list_datasets
    >>> "nitime_fmri" in list_datasets()
    True
    """
    return sorted(path.parent.name for path in _datasets_folder().glob("*/card.toml"))


def read_card(name: str) -> Card:
    """Read the card of a data set.

    In the TOML file ``folder`` may be left out (it is the name), as may ``rate_hz``. ``base_url``,
    if given, is the public address below which every file stands under its own path.

    Raises
    ------
    DataError
        If there is no data set of that name; the message names the nearest ones. If a file of the
        card would lie outside the folder of the data set.
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
    base_url = content.pop("base_url", None)
    files = content.pop("files")
    for path, facts in files.items():
        if Path(path).is_absolute() or ".." in Path(path).parts:
            raise DataError(
                "a file of the card lies outside the data set's folder",
                expected="a path below the folder, without '..'",
                found=path,
                file=where / "card.toml",
            )
        if base_url is not None:
            facts.setdefault("url", base_url + quote(path))
    return Card(
        name=name,
        where=where,
        folder=content.pop("folder", name),
        rate_hz=content.pop("rate_hz", None),
        files={path: CardFile(**facts) for path, facts in files.items()},
        **content,
    )


@functools.lru_cache(maxsize=64)
def _module_of(path: Path) -> ModuleType:
    """The code that reads a data set, loaded once a process."""
    spec = importlib.util.spec_from_file_location(f"neuroml_dataset_{path.parent.name}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise DataError("the data set has no prepare.py", file=path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class DataSource:
    """An opened data set: its files are found and checked, its recordings read one at a time."""

    card: Card
    folder: Path

    @property
    def files(self) -> dict[str, Path]:
        """Where each file of the card is."""
        return {name: self.folder / name for name in self.card.files}

    @property
    def _prepare(self) -> ModuleType:
        return _module_of(self.card.where / "prepare.py")

    def keys(self) -> list[RecordingKey]:
        """(subject, session, run) of every recording, in order."""
        return list(self._prepare.keys(self.folder))

    def read(self, key: RecordingKey) -> tuple[xr.Dataset, pd.DataFrame | None]:
        """One recording and its events (BIDS columns, or None).

        Raises
        ------
        DataError
            If the data set has no recording of that key, or the recording is not as it should be.
        """
        if key not in self.keys():
            raise DataError(
                f"{self.card.name!r} has no such recording",
                expected=f"one of {self.keys()[:3]} ... ({len(self.keys())} in all)",
                found=key,
            )
        try:
            recording, events = self._prepare.read(self.folder, key)
        except DataError as error:
            raise error.at(subject="/".join(part for part in key if part)) from error
        recording.attrs["source"] = self.card.source
        recording.attrs["sha256"] = self.card.sha256
        return recording, events

    def only(self, keys: Iterable[RecordingKey]) -> DataSource:  # noqa: ARG002 - of every source
        """The part of the source that these recordings need."""
        return self

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

    Parameters
    ----------
    name : str
        One of `list_datasets`.
    data_dir : path-like, optional
        A folder that holds the data set's folder.

    Raises
    ------
    DataError
        If the files are not found, or one differs from its card.
    """
    card = read_card(name)
    cache = Path(pooch.os_cache("neuroml"))
    roots = [] if data_dir is None else [str(data_dir)]
    roots += filter(None, os.environ.get("NEUROML_DATA", "").split(os.pathsep))
    places = [Path(root) / card.folder for root in roots]
    places += [card.where / "sample", cache / card.folder]
    for place in places:
        if all((place / file).is_file() for file in card.files):
            for file, facts in card.files.items():
                _check_file(place / file, facts)
            return DataSource(card, place)
    _refuse_to_fetch(card, places)
    _fetch(card, cache / card.folder)
    return DataSource(card, cache / card.folder)


def _check_file(path: Path, facts: CardFile) -> None:
    stat = path.stat()
    if stat.st_size != facts.size:
        found, expected = f"{stat.st_size} bytes", f"{facts.size} bytes"
    else:
        found = f"sha256 {_cached_sha256(path, stat.st_size, stat.st_mtime_ns)}"
        expected = f"sha256 {facts.sha256}"
    if found != expected:
        raise DataError(
            "the file differs from the one its card describes",
            expected=expected,
            found=found,
            fix="Delete it and fetch it again, or put the original in its place.",
            file=path,
        )


@functools.lru_cache(maxsize=4096)
def _cached_sha256(path: Path, size: int, mtime_ns: int) -> str:  # noqa: ARG001 - key of the cache
    return sha256_of_file(path)


def _refuse_to_fetch(card: Card, places: Iterable[Path]) -> None:
    """Raise if the files may not be fetched, or cannot be since some have no address."""
    offline = os.environ.get("NEUROML_OFFLINE") == "1"
    if not offline and all(facts.url for facts in card.files.values()):
        return
    lacking = {
        str(place): [file for file in card.files if not (place / file).is_file()]
        for place in places
    }
    raise DataError(
        f"the files of {card.name!r} are not here"
        + (" and NEUROML_OFFLINE=1 forbids fetching them" if offline else ""),
        expected=f"{len(card.files)} files in a folder named '{card.folder}'",
        found="; ".join(
            f"{len(files)} missing in {place}, such as {files[0]}"
            for place, files in lacking.items()
        ),
        fix=f"Get them from {card.source}; then pass data_dir or set NEUROML_DATA to the folder "
        f"that holds '{card.folder}'.",
    )


def _fetch(card: Card, folder: Path) -> None:
    """Download what is missing; each file appears under its name only when whole and checked."""
    size = sum(facts.size for facts in card.files.values())
    logger.info(
        "fetching %s: %d files, %.1f MB, licence: %s",
        *(card.name, len(card.files), size / 1e6, card.licence),
    )
    pooch.get_logger().setLevel("WARNING")
    for file, facts in card.files.items():
        target = folder / file
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            pooch.retrieve(
                facts.url,
                known_hash=f"sha256:{facts.sha256}",
                fname=target.name,
                path=target.parent,
                downloader=functools.partial(_download, limit=facts.size),
            )
        except (OSError, ValueError) as error:
            raise DataError(
                "the file could not be fetched",
                expected=f"{facts.size} bytes with sha256 {facts.sha256} at {facts.url}",
                found=f"{type(error).__name__}: {error}",
                fix="Try again: files that arrived whole are kept. Or download it by hand, and set "
                "NEUROML_DATA.",
                file=target,
            ) from error


def _download(url: str, target: str, registry: Any, *, limit: int) -> None:
    """Download, but stop a server that sends more than the file's size."""
    with Path(target).open("wb") as handle:
        pooch.HTTPDownloader(timeout=60)(url, _Bounded(handle, limit), registry)


class _Bounded:
    """A file that refuses to grow beyond a limit."""

    def __init__(self, handle: BinaryIO, limit: int) -> None:
        self._handle = handle
        self._left = limit

    def write(self, chunk: bytes) -> None:
        """Write the chunk, or raise OSError if it goes beyond the limit."""
        self._left -= len(chunk)
        if self._left < 0:
            raise OSError("the server sends more bytes than the file has")
        self._handle.write(chunk)

    def flush(self) -> None:
        """Write what is buffered."""
        self._handle.flush()


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
        ``participants``, DataFrame; ``files``, dict of paths, for what is not a recording (an
        atlas, say); ``description``, ``licence``, ``citation``, str; ``defects``, list of str.

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
        files=source.files,
        description=source.card.description,
        licence=source.card.licence,
        citation=source.card.citation,
        defects=source.card.defects,
    )
