"""Who was recorded, and when, from the names of files and of the folders that they lie in."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from neuroml._core.recording import RecordingKey
from neuroml.exceptions import DataError

__all__ = ["keys_of", "matches"]

_ENTITIES = {"subject": "sub", "session": "ses", "run": "run"}


def keys_of(paths: Sequence[Path], where: Path) -> dict[RecordingKey, Path]:
    """Name every recording by its path.

    ``sub-<id>``, ``ses-<id>`` and ``run-<id>`` are taken from the file's name, else from the
    nearest folder that has them. Paths without a ``sub-`` go by the folders in which they differ,
    and their own name: the outermost of these is the subject, the next one the session, the rest
    the run. So ``mouse1/suite2p/plane0`` and ``mouse2/suite2p/plane0`` are the subjects mouse1 and
    mouse2.

    Parameters
    ----------
    paths : sequence of Path
        Files or folders, each one recording.
    where : Path
        The recipe's folder: folders above it name nobody.

    Returns
    -------
    dict of (str, str, str) to Path

    Raises
    ------
    DataError
        If two paths have the same key.
    """
    parts = {path: _parts(path, paths, where) for path in dict.fromkeys(paths)}
    unnamed = [path for path in parts if not _entity("sub", parts[path])]
    shared = _shared([parts[path] for path in unnamed])
    keys: dict[RecordingKey, Path] = {}
    for path, own in parts.items():
        if path in unnamed:
            key = _by_place([part for at, part in enumerate(own) if at not in shared], own)
        else:
            subject, session, run = (_entity(entity, own) for entity in _ENTITIES.values())
            key = (subject, session, run)
        if key in keys:
            raise DataError(
                "two files have the same subject, session and run",
                found=f"{keys[key]} and {path}",
                fix="Name them, or folders that they lie in, sub-<id>[_ses-<id>][_run-<id>]....",
                file=path,
            )
        keys[key] = path
    return keys


def matches(pattern: str, where: Path) -> list[Path]:
    """The files and folders of a pattern; "." is the recipe's own folder."""
    base = Path(Path(pattern).anchor or where)
    relative = Path(pattern).relative_to(base) if Path(pattern).is_absolute() else Path(pattern)
    if not relative.parts:
        return [base]
    try:
        return sorted(base.glob(str(relative)))
    except ValueError as error:
        raise DataError(
            f"the pattern cannot be used: {error}", found=repr(pattern), file=where, field="files"
        ) from error


def _parts(path: Path, paths: Sequence[Path], where: Path) -> list[str]:
    """The folders below the recipe's, or below what all paths share, and the name itself."""
    path = path.absolute()
    base = where.absolute()
    if not path.is_relative_to(base):
        base = Path(os.path.commonpath([one.absolute().parent for one in paths]))
    folders = list(path.relative_to(base).parts)
    name = folders.pop() if folders else path.name
    return [*folders, name if path.is_dir() else name.split(".")[0]]


def _entity(entity: str, parts: Sequence[str]) -> str:
    """The value of ``entity-value`` in the last part that has one."""
    for part in reversed(parts):
        if found := re.search(rf"(?:^|_){entity}-([A-Za-z0-9]+)", part):
            return found[1]
    return ""


def _shared(several: Sequence[Sequence[str]]) -> set[int]:
    """Places at which all have the same part, where they are of one length."""
    if len({len(parts) for parts in several}) != 1:
        return set()
    return {at for at, column in enumerate(zip(*several, strict=True)) if len(set(column)) == 1}


def _by_place(distinct: list[str], own: list[str]) -> RecordingKey:
    subject, *rest = distinct or own[-1:]
    return subject, "".join(rest[:1]), "-".join(rest[1:])
