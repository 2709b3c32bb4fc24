"""Files that pynapple saves (npz): spike times by unit, or traces, with their time support."""

from __future__ import annotations

import pickletools
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neuroml.data._arrays import StoredArray, list_arrays
from neuroml.exceptions import DataError

__all__ = ["SPIKE_TYPES", "PynappleFile", "is_pynapple", "read_pynapple", "saved_type"]

SPIKE_TYPES, _TRACES = ("Ts", "TsGroup"), ("Tsd", "TsdFrame")
_ALL = {"t", "start", "end", "type"}
_LIST_OPCODES = ("MARK", "MEMOIZE", "BINPUT", "LONG_BINPUT")


@dataclass(frozen=True)
class PynappleFile:
    """What a file holds.

    Attributes
    ----------
    intervals : ndarray of shape (n_intervals, 2)
        The time support in seconds.
    trains : dict of str to ndarray
        Spike times in seconds by unit; empty for traces.
    time : ndarray of shape (n_times,)
        Seconds of the samples of traces.
    values : ndarray of shape (n_times, n_units), or None
    names : list of str, or None
        None where the file's names are not of text or numbers.
    """

    intervals: np.ndarray
    trains: dict[str, np.ndarray]
    time: np.ndarray
    values: np.ndarray | None = None
    names: list[str] | None = None


def is_pynapple(path: Path) -> bool:
    """Whether a file is one that pynapple saved."""
    return (
        path.suffix.lower() == ".npz"
        and path.is_file()
        and _ALL <= {array.name for array in list_arrays(path)}
    )


def saved_type(path: Path) -> str:
    """The class that was saved."""
    arrays = {array.name: array for array in list_arrays(path)}
    return str(np.ravel(arrays["type"].read())[0])


def read_pynapple(path: Path, *, spikes: bool) -> PynappleFile:
    """Read spikes (Ts, TsGroup) or traces (Tsd, TsdFrame).

    Raises
    ------
    DataError
        If the file holds the other, or something else.
    """
    arrays = {array.name: array for array in list_arrays(path)}
    kind = saved_type(path)
    wanted = SPIKE_TYPES if spikes else _TRACES
    if kind not in wanted:
        raise DataError(
            f"this is a {kind} of pynapple",
            expected=" or ".join(wanted),
            found=kind,
            fix=f"Read it with {'read_traces' if spikes else 'read_spikes'}."
            if kind in SPIKE_TYPES + _TRACES
            else "Save it as one of these.",
            file=path,
        )
    time = np.asarray(arrays["t"].read(), dtype=np.float64)
    intervals = np.column_stack([arrays["start"].read(), arrays["end"].read()])
    if kind == "Ts":
        return PynappleFile(intervals, {"unit0": time}, time)
    if kind == "TsGroup":
        index = arrays["index"].read()
        # "keys" names units without a spike too; files of earlier versions have no such array
        keys = np.unique(index if "keys" not in arrays else arrays["keys"].read())
        return PynappleFile(intervals, {str(key): time[index == key] for key in keys}, time)
    values = np.asarray(arrays["d"].read())
    names = _names(path, arrays) if kind == "TsdFrame" else ["unit0"]
    return PynappleFile(intervals, {}, time, values.reshape(len(time), -1), names)


def _names(path: Path, arrays: dict[str, StoredArray]) -> list[str] | None:
    columns = arrays.get("columns")
    if columns is None:
        return None
    if columns.kind in ("numbers", "text"):
        return [str(name) for name in np.ravel(columns.read())]
    n_columns = arrays["d"].shape[1]
    found = _texts_of_objects(path, "columns.npy")
    return found if len(found) == n_columns else None


def _texts_of_objects(path: Path, member: str) -> list[str]:
    """The texts of a stored array of Python objects, if it holds nothing else.

    Loading such an array can run foreign code. Here its opcodes are only looked at: between the
    last empty list and its end stand the elements.
    """
    with zipfile.ZipFile(path) as archive:
        content = archive.read(member)
    header = 12 if content[6] > 1 else 10
    size = int.from_bytes(content[8:header], "little")
    texts: list[str] = []
    is_plain = False
    for opcode, value, _ in pickletools.genops(content[header + size :]):
        if opcode.name == "EMPTY_LIST":
            texts, is_plain = [], True
        elif opcode.name in ("APPENDS", "APPEND"):
            return texts if is_plain else []
        elif opcode.name.endswith("UNICODE"):
            texts.append(str(value))
        elif opcode.name not in _LIST_OPCODES:
            is_plain = False
    return []
