"""Array and table files: what is in them is listed and checked before it is read.

Every opener returns `StoredArray` entries, which know their shape without having been read. A size
that the file cannot hold, and arrays of Python objects (unsafe to load), are refused there.
"""

from __future__ import annotations

import gzip
import io
import math
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np

from neuroml.data._mat5 import read_mat5
from neuroml.exceptions import DataError

__all__ = [
    "ARRAY_SUFFIXES",
    "StoredArray",
    "existing_file",
    "gzip_size",
    "list_arrays",
    "read_array",
    "whole_gzip",
]

ARRAY_SUFFIXES = (".npy", ".npz", ".mat", ".h5", ".hdf5")
MAX_EXPANSION = 1032
"""Deflate, the compression behind zip, gzip and mostly HDF5, expands a byte to no more."""
_FREE_BYTES = 2**20
_ANNEX, _LFS = b"/annex/objects/", b"version https://git-lfs"
"""What files begin with that stand for content elsewhere."""
_NESTED = "a cell or structure array of more than vectors of numbers: take those out in MATLAB"

Kind = Literal["numbers", "text", "list", "other"]


@dataclass(frozen=True)
class StoredArray:
    """One array of a file, not read yet.

    Attributes
    ----------
    name : str
        Empty where the file holds a single unnamed array.
    kind : {"numbers", "text", "list", "other"}
        "list" is a list of arrays (MATLAB's cell array).
    shape : tuple of int
    read : callable
        Returns the array, or the list of arrays.
    note : str
        What was done on reading, or why it cannot be read.
    """

    name: str
    kind: Kind
    shape: tuple[int, ...]
    read: Callable[[], Any]
    note: str = ""

    def __str__(self) -> str:
        size = " x ".join(map(str, self.shape)) or "a single value"
        return (
            f"{self.name or 'array'} ({size}{'' if self.kind == 'numbers' else ', ' + self.kind})"
        )


def existing_file(path: Path | str) -> Path:
    """Return the path if it is a file with content; raise DataError if not."""
    path = Path(path)
    _check_downloaded(path)
    if not path.is_file():
        problem = "this is a folder, not a file" if path.is_dir() else "there is no such file"
        raise DataError(problem, fix="Check the path.", file=path)
    if path.stat().st_size == 0:
        raise DataError("the file is empty (0 bytes)", fix="Copy or save it again.", file=path)
    return path


def _check_downloaded(path: Path) -> None:
    """Refuse what stands for content that git-annex (DataLad) or Git LFS did not fetch."""
    start = b""
    if path.is_symlink() and not path.exists():
        start = _ANNEX if _ANNEX.decode() in path.readlink().as_posix() else b""
    elif path.is_file():
        with path.open("rb") as file:
            start = file.read(len(_LFS))
    for mark, tool, command in (
        (_ANNEX, "git-annex (DataLad)", "datalad get"),
        (_LFS, "Git LFS", "git lfs pull --include"),
    ):
        if start.startswith(mark):
            raise DataError(
                f"this is a pointer of {tool}, whose content was not fetched",
                expected="the file itself",
                fix=f"Fetch it by '{command} {path.name}' in its folder.",
                file=path,
            )


def list_arrays(path: Path | str) -> list[StoredArray]:
    """List what an array file holds, checked against the size of the file.

    Raises
    ------
    DataError
        If the format is not known, or the file is damaged, or claims more than it can hold.
    """
    path = existing_file(path)
    opener = _OPENERS.get(path.suffix.lower())
    if opener is None:
        raise DataError(
            f"unknown kind of file {path.suffix!r}",
            expected=f"one of {', '.join(ARRAY_SUFFIXES)}",
            file=path,
        )
    with _damage_named(path):
        return opener(path)


@contextmanager
def _damage_named(path: Path, field: str | None = None) -> Iterator[None]:
    """Turn what a library says about broken bytes into a DataError that names the place."""
    try:
        yield
    except DataError as error:
        raise error.at(file=path, field=field) from error
    except Exception as error:  # NumPy, h5py, zipfile and zlib raise many kinds
        raise DataError(
            f"the file is truncated or damaged ({(str(error) or repr(error)).splitlines()[0]})",
            fix="Copy or save it again.",
            file=path,
            field=field,
        ) from error


def read_array(
    path: Path | str,
    variable: str | None,
    suits: Callable[[StoredArray], bool],
    wanted: str,
) -> Any:
    """Read the named array, or the only one that suits.

    Parameters
    ----------
    path : path-like
    variable : str or None
        The array's name.
    suits : callable
        Whether an array is of the wanted kind.
    wanted : str
        The wanted kind in words.

    Raises
    ------
    DataError
        If there is no array of that name, or not exactly one that suits, or it is damaged.
    """
    arrays = list_arrays(path)
    listing = ", ".join(map(str, arrays[:12])) + (", ..." if len(arrays) > 12 else "")
    if variable is None:
        suitable = [array for array in arrays if suits(array)]
    else:
        suitable = [array for array in arrays if array.name.strip("/") == variable.strip("/")]
        if suitable and not suits(suitable[0]):
            raise DataError(
                "the array is not of the kind asked for",
                expected=wanted,
                found=f"{suitable[0]}. {suitable[0].note}".strip(". "),
                file=path,
                field=variable,
            )
    if len(suitable) != 1:
        refused = "; ".join(f"{a.name}: {a.note}" for a in arrays if a.kind == "other" and a.note)
        raise DataError(
            "no array of that name" if variable else f"{len(suitable) or 'no'} arrays are {wanted}",
            expected="one",
            found=refused or listing or "no arrays",
            fix=f"Pass variable={suitable[0].name!r} or another of them." if suitable else None,
            file=path,
            field=variable,
        )
    with _damage_named(Path(path), suitable[0].name or None):
        return suitable[0].read()


def _npy(path: Path) -> list[StoredArray]:
    with path.open("rb") as handle:
        shape, dtype = _npy_header(handle, path.stat().st_size)

    def read() -> np.ndarray:
        return np.load(path)

    return [StoredArray("", _kind_of(dtype), shape, read)]


def _npy_header(handle: Any, size: int) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype of a .npy stream of ``size`` bytes."""
    try:
        version = np.lib.format.read_magic(handle)
        if version == (1, 0):
            shape, _, dtype = np.lib.format.read_array_header_1_0(handle)
        else:
            shape, _, dtype = np.lib.format.read_array_header_2_0(handle)
    except (zipfile.BadZipFile, zlib.error, OSError):
        raise
    except Exception as error:  # the header is Python text, and its parser raises many kinds
        raise DataError(
            f"the .npy header cannot be read ({str(error).splitlines()[0]})",
            fix="Save the array again with numpy.save.",
        ) from error
    if dtype.hasobject:
        raise DataError(
            "the array holds Python objects, and loading those can run foreign code",
            expected="numbers",
            found=f"dtype {dtype}",
            fix="Save each array of numbers under a name of its own with numpy.savez.",
        )
    claimed, there = math.prod(shape) * dtype.itemsize, size - handle.tell()
    if min(shape, default=0) < 0 or claimed != there:
        raise DataError(
            "the header does not fit the file: it is truncated or damaged",
            expected=f"{claimed} bytes for {shape} of {dtype}",
            found=f"{there} bytes",
            fix="Copy or save the file again.",
        )
    return shape, dtype


def _kind_of(dtype: np.dtype) -> Kind:
    return "numbers" if dtype.kind in "biuf" else "text" if dtype.kind in "US" else "other"


def _npz(path: Path) -> list[StoredArray]:
    with zipfile.ZipFile(path) as archive:
        return [_npz_member(path, archive, member) for member in archive.infolist()]


def _npz_member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> StoredArray:
    name = member.filename.removesuffix(".npy")
    if member.file_size > MAX_EXPANSION * max(member.compress_size, 1):
        raise DataError(
            "an array claims more bytes than the file can hold",
            expected=f"at most {MAX_EXPANSION} x {member.compress_size}",
            found=member.file_size,
            field=name,
        )

    def read() -> np.ndarray:
        with zipfile.ZipFile(path) as opened:
            content = opened.read(member)  # whole, so that its checksum is compared
        return np.lib.format.read_array(io.BytesIO(content))

    with archive.open(member) as handle:
        try:
            shape, dtype = _npy_header(handle, member.file_size)
        except DataError as error:
            return StoredArray(name, "other", (), read, note=str(error))
    return StoredArray(name, _kind_of(dtype), shape, read)


def _mat(path: Path) -> list[StoredArray]:
    if h5py.is_hdf5(path):
        return _hdf5(path)
    return [_mat5_entry(name, value) for name, value in _flat(read_mat5(path)).items()]


def _flat(variables: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Fields of structures under dotted names."""
    flat: dict[str, Any] = {}
    for name, value in variables.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _mat5_entry(name: str, value: Any) -> StoredArray:
    def read() -> Any:
        return value

    if isinstance(value, np.ndarray):
        return StoredArray(name, _kind_of(value.dtype), value.shape, read)
    if isinstance(value, list):
        if all(isinstance(cell, np.ndarray) for cell in value):
            return StoredArray(name, "list", (len(value),), read)
        return StoredArray(name, "other", (len(value),), read, note=_NESTED)
    if isinstance(value, str):
        return StoredArray(name, "text", (len(value),), read)
    return StoredArray(name, "other", (), read, note="an object that only MATLAB can read")


def _hdf5(path: Path) -> list[StoredArray]:
    found: list[StoredArray] = []
    with h5py.File(path, "r") as file:
        from_matlab = path.suffix.lower() == ".mat" or file.userblock_size == 512

        def visit(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset) and not name.startswith("#"):
                found.append(_hdf5_entry(path, name, item, from_matlab))

        file.visititems(visit)
    return found


def _hdf5_entry(path: Path, name: str, item: h5py.Dataset, from_matlab: bool) -> StoredArray:
    shape, stored = item.shape or (), item.id.get_storage_size()
    claimed = math.prod(shape) * item.dtype.itemsize
    if claimed > _FREE_BYTES + MAX_EXPANSION * stored or stored > path.stat().st_size:
        raise DataError(
            "the array claims more bytes than the file can hold",
            expected=f"at most {MAX_EXPANSION} x {min(stored, path.stat().st_size)}",
            found=f"{shape} of {item.dtype}",
            fix="The file is damaged, or the array was never written.",
            field=name,
        )
    kind = _hdf5_kind(item)

    def read() -> Any:
        with h5py.File(path, "r") as file:
            if kind == "list":
                return [_hdf5_cell(file[cell]) for cell in file[name][()].ravel()]
            is_string = h5py.check_string_dtype(file[name].dtype) is not None
            values = np.asarray((file[name].asstr() if is_string else file[name])[()])
        return values.T if from_matlab else values

    if not from_matlab:
        fields = ", ".join(item.dtype.names or ())
        note = f"a table with the columns {fields}, not an array of numbers" if fields else ""
        return StoredArray(name, kind, shape, read, note=note)
    note = "MATLAB v7.3 stores axes in reverse; they are put back in MATLAB's order"
    return StoredArray(name, kind, shape[::-1], read, note=note)


def _hdf5_cell(item: Any) -> np.ndarray:
    """One cell of a MATLAB cell array, where the numbers of an empty one are its shape."""
    if "MATLAB_empty" in item.attrs:
        return np.zeros((0, 0))
    if not isinstance(item, h5py.Dataset) or _hdf5_kind(item) != "numbers":
        raise DataError(_NESTED, field=item.name)
    return np.asarray(item[()]).T


def _hdf5_kind(item: h5py.Dataset) -> Kind:
    if "MATLAB_empty" in item.attrs:
        return "other"
    if h5py.check_ref_dtype(item.dtype) is not None:
        return "list"
    if h5py.check_string_dtype(item.dtype) or item.attrs.get("MATLAB_class") == b"char":
        return "text"
    return _kind_of(item.dtype)


_OPENERS: dict[str, Callable[[Path], list[StoredArray]]] = {
    ".npy": _npy,
    ".npz": _npz,
    ".mat": _mat,
    ".h5": _hdf5,
    ".hdf5": _hdf5,
}


@contextmanager
def whole_gzip(path: Path) -> Iterator[None]:
    """Turn what a damaged gzip file raises, while it is read, into a DataError."""
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"the compressed file is truncated or damaged ({error})",
            fix="Copy or download it again.",
            file=path,
        ) from error


def gzip_size(path: Path) -> int:
    """Number of bytes in a gzip file, which is read through so that its checksum is compared."""
    size = 0
    with whole_gzip(path), gzip.open(path) as handle:
        while block := handle.read(2**22):
            size += len(block)
    return size
