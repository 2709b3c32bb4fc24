"""The manifest: one JSON line per finished or failed unit, appended as it ends."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from neuroml._core.files import sha256_of_file

__all__ = ["append_record", "is_done", "read_manifest"]


def append_record(path: Path, record: dict[str, Any]) -> None:
    """Append one record in a single write, under a lock where the system has one."""
    line = json.dumps(record, sort_keys=True) + "\n"
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        with _locked(descriptor):
            end = os.lseek(descriptor, 0, os.SEEK_END)
            cut_short = end > 0 and os.pread(descriptor, 1, end - 1) != b"\n"
            os.write(descriptor, (b"\n" if cut_short else b"") + line.encode())
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _locked(descriptor: int) -> Iterator[None]:
    try:
        import fcntl
    except ImportError:  # Windows: appending is atomic enough on a local disk
        yield
        return
    fcntl.lockf(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.lockf(descriptor, fcntl.LOCK_UN)


def read_manifest(path: Path) -> dict[str, dict[str, Any]]:
    """The last record of every unit, by the unit's name.

    A line cut short by a kill is passed over: its unit counts as not done.
    """
    records: dict[str, dict[str, Any]] = {}
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                record = json.loads(line)
                records[record["unit"]] = record
    return records


def is_done(record: dict[str, Any] | None, identity: str, folder: Path) -> bool:
    """Whether a unit of this identity is done and its files are still as they were written."""
    if record is None or record["status"] != "done" or record["id"] != identity:
        return False
    return all(
        (folder / name).is_file() and sha256_of_file(folder / name) == digest
        for name, digest in record["files"].items()
    )
