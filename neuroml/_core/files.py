"""Files that are either whole or absent, and fingerprints of what is in them."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import xarray as xr
from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

__all__ = [
    "atomic_path",
    "atomic_write",
    "exclusive",
    "remove_partial",
    "sha256_of_dataset",
    "sha256_of_file",
]

_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP)  # what NFS and SMB without a lock service answer


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it takes the place of ``path`` at once.

    The suffix is kept, since some writers choose their format by it. If the body raises, or the
    process dies, ``path`` is as it was before.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}.part{path.suffix}")
    try:
        yield temporary
        with temporary.open("r+b") as handle:  # Windows flushes only what is open for writing
            os.fsync(handle.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def atomic_write(path: Path | str, content: str | bytes) -> None:
    """Write text (UTF-8) or bytes to ``path``, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def remove_partial(folder: Path) -> None:
    """Remove what `atomic_path` left in a folder when its process was killed."""
    for path in folder.iterdir():
        if re.fullmatch(r"\..+\.[0-9a-f]{8}\.part(\.\w+)?", path.name) and path.is_file():
            path.unlink(missing_ok=True)


@contextmanager
def exclusive(path: Path | str) -> Iterator[bool]:
    """Hold the lock of a file or folder; yield whether another process had it before.

    The lock is a hidden file beside ``path``, which stays. The system frees it when a process ends,
    however it ends; on drives without such locks (some network drives), the file's presence is the
    lock, and one that a process of this machine left behind when it was killed is taken over.
    """
    path = Path(path)
    name = path.with_name(f".{path.name}.lock")
    lock: BaseFileLock = FileLock(name)
    try:
        lock.acquire(blocking=False)
        waited = False
    except Timeout:
        lock.acquire()
        waited = True
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        held = name.with_suffix(".held")
        waited, lock = held.exists(), SoftFileLock(held)
        lock.acquire()
    try:
        yield waited
    finally:
        lock.release()


def sha256_of_file(path: Path | str) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def sha256_of_dataset(dataset: xr.Dataset) -> str:
    """SHA-256 over names, dimensions, dtypes and values of all variables and coordinates."""
    digest = hashlib.sha256()
    for name in sorted(map(str, dataset.variables)):
        variable = dataset.variables[name]
        values = np.asarray(variable.values)
        if values.dtype.kind not in "biufcM":
            values = values.astype(str)
        digest.update(repr((name, variable.dims, values.dtype.str, values.shape)).encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()
