"""The manifest: one JSON line per finished or failed job, appended as it ends."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from neuroml._core.files import exclusive, sha256_of_file

__all__ = ["append_alone", "append_record", "is_done", "read_manifest", "read_records"]


def append_record(path: Path, record: dict[str, Any]) -> None:
    """Append one record; several processes may do so at once."""
    path.touch()
    with exclusive(path):
        append_alone(path, record)


def append_alone(path: Path, record: dict[str, Any]) -> None:
    """Append one record to a file that no other process writes.

    It gets a line of its own even if a kill cut the last one short.
    """
    line = json.dumps(record, sort_keys=True) + "\n"
    path.touch()
    with path.open("rb+") as handle:
        end = handle.seek(0, os.SEEK_END)
        handle.seek(max(end - 1, 0))
        cut_short = handle.read(1) not in (b"", b"\n")
        handle.write((b"\n" if cut_short else b"") + line.encode())
        handle.flush()
        os.fsync(handle.fileno())


def read_manifest(path: Path) -> dict[str, dict[str, Any]]:
    """The last record of every job, by the job's name.

    A line cut short by a kill is passed over: its job counts as not done.
    """
    return {record["job"]: record for record in read_records(path) if "job" in record}


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """The records in a file that `append_record` wrote, but for a line that a kill cut short."""
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                yield json.loads(line)


def is_done(record: dict[str, Any] | None, identity: str, folder: Path) -> bool:
    """Whether a job of this identity is done and its files are still as they were written."""
    if record is None or record["status"] != "done" or record["id"] != identity:
        return False
    return all(
        (folder / name).is_file() and sha256_of_file(folder / name) == digest
        for name, digest in record["files"].items()
    )
