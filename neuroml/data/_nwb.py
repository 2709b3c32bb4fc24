"""Neurodata Without Borders files, through pynwb (the extra ``nwb``)."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from neuroml.data._arrays import existing_file
from neuroml.data._matrix import Matrix
from neuroml.data._units import check_unique
from neuroml.exceptions import DataError

__all__ = [
    "RoiSeries",
    "UnitSpikes",
    "has_units",
    "list_roi_series",
    "read_roi_series",
    "read_unit_spikes",
]


_ACCEPTED = ("iscell", "accepted")
"""Columns in which Suite2p and CaImAn mark the regions that they take for cells."""


@dataclass(frozen=True)
class _File:
    """An NWB file's content, its series by name, those that pynwb cannot build, and all paths.

    A series' name is as much of the end of its path as tells it from all others.
    """

    content: Any
    series: dict[str, Any]
    refused: dict[str, str]
    paths: dict[str, str]


@dataclass(frozen=True)
class UnitSpikes:
    """The units table of a file.

    Attributes
    ----------
    trains : dict of str to ndarray
        Spike times of each unit.
    observed : dict of str to ndarray of shape (n_intervals, 2), or None
        When each unit was observed, if the file says so.
    notes : list of str
        What had to be done with the names.
    """

    trains: dict[str, np.ndarray]
    observed: dict[str, np.ndarray] | None
    notes: list[str]


@contextmanager
def _opened(path: Path | str) -> Iterator[_File]:
    """The NWB file; whatever goes wrong comes out as a DataError."""
    try:
        from pynwb import NWBHDF5IO
    except ImportError as error:
        raise ImportError(
            "Reading NWB files needs pynwb: pip install 'neuroml-learn[nwb]'"
        ) from error
    path = existing_file(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old files use fields that pynwb has since renamed
        try:
            with NWBHDF5IO(str(path), "r", load_namespaces=True) as io:
                yield _content(io)
        except DataError as error:
            raise error.at(file=path) from error
        except Exception as error:  # pynwb, hdmf and h5py raise many kinds
            reason = (str(error) or repr(error)).splitlines()[0]
            raise DataError(
                f"this cannot be read as an NWB file ({reason})",
                fix="Check it with 'pynwb-validate', or export the data as CSV.",
                file=path,
            ) from error


def _content(io: Any) -> _File:
    """Build the content; a series that cannot be built is taken out, and the rest built again."""
    from hdmf.build import ConstructError
    from pynwb.ophys import RoiResponseSeries

    root, refused = io.read_builder(), dict[str, str]()
    while True:
        try:
            content = io.manager.construct(root)
            break
        except ConstructError as error:
            builder, reason = error.args
            if builder.attributes.get("neurodata_type") != "RoiResponseSeries":
                raise ValueError(f"{builder.path}: {reason}") from error
            del builder.parent.groups[builder.name]
            refused[builder.path] = reason
    series = {
        io.manager.get_builder(item).path: item
        for item in content.objects.values()
        if isinstance(item, RoiResponseSeries)
    }
    names = _shortest_ends([*series, *refused])
    return _File(
        content,
        {names[path]: item for path, item in sorted(series.items())},
        {names[path]: reason for path, reason in refused.items()},
        {name: path for path, name in names.items()},
    )


def _shortest_ends(paths: Sequence[str]) -> dict[str, str]:
    """For each path the fewest of its last parts that no other path ends in."""
    ends = {path: [path.split("/")[-n:] for n in range(1, path.count("/") + 2)] for path in paths}
    counts = Counter("/".join(end) for choices in ends.values() for end in choices)
    return {
        path: next("/".join(end) for end in choices if counts["/".join(end)] == 1)
        for path, choices in ends.items()
    }


def list_roi_series(path: Path | str) -> tuple[dict[str, tuple[int, ...]], dict[str, str]]:
    """Shapes of the series of regions of interest in a file, and why others cannot be read."""
    with _opened(path) as file:
        good, bad = _readable(file)
    return {name: one.matrix.values.shape for name, one in good.items()}, bad


@dataclass(frozen=True)
class RoiSeries:
    """A series of regions of interest.

    Attributes
    ----------
    matrix : Matrix
        Values and names of the regions.
    time : ndarray of shape (n_times,)
        Seconds.
    value_units : str
    is_cell : ndarray of bool of shape (n_units,), or None
        Which regions the file accepts as cells, if it says so.
    """

    matrix: Matrix
    time: np.ndarray
    value_units: str
    is_cell: np.ndarray | None


def read_roi_series(path: Path | str, name: str | None) -> RoiSeries:
    """Read the named series of regions of interest, or the only one.

    Parameters
    ----------
    path : path-like
    name : str or None
        Where several containers hold a series of one name, with the container before it:
        "Fluorescence/plane0".

    Raises
    ------
    DataError
        If there is no such series that can be read, or several and no name. A series that cannot
        be read is left out and counted in the notes.
    """
    with _opened(path) as file:
        good, bad = _readable(file)
        skipped = [f"series {key!r}, which cannot be read ({why})" for key, why in bad.items()]
        found = [*good]
        if name is not None:
            found = [key for key in [*good, *bad] if file.paths[key].endswith(f"/{name}")]
        if len(found) != 1 or found[0] in bad:
            reason = f" that can be read: {bad[found[0]]}" if len(found) == 1 else ""
            found = [key for key in found if key in good]
            raise DataError(
                f"{len(found) or 'no'} series of regions of interest to choose from{reason}",
                expected="exactly one",
                found=", ".join([*good, *skipped]) or "none in the file",
                fix="Pass variable= with the name of one of them." if len(good) > 1 else None,
                field=name,
            )
        series = good[found[0]]
        notes = series.matrix.notes + ([] if name else skipped) + _invalid(file.content)
        return replace(series, matrix=replace(series.matrix, notes=notes))


def _readable(file: _File) -> tuple[dict[str, RoiSeries], dict[str, str]]:
    """Every series that can be read, and for the others the reason why not.

    Files that pass NWB's own validation may still hold series without a clock, or with regions
    that their table does not have.
    """
    good, bad = {}, dict(file.refused)
    for name, item in file.series.items():
        try:
            good[name] = _series(item)
        except Exception as error:  # pynwb, hdmf and h5py raise many kinds
            bad[name] = (str(error) or repr(error)).splitlines()[0]
    return good, bad


def _series(series: Any) -> RoiSeries:
    values = np.asarray(series.data[()], dtype=np.float64) * series.conversion + series.offset
    rows = [int(row) for row in series.rois.data[()]]
    if values.ndim == 1 and len(rows) == 1:  # a single region
        values = values[:, None]
    if values.ndim != 2:
        raise DataError("the series is not a table", found=values.shape)
    table = series.rois.table
    n_rois = len(table)
    if len(rows) != values.shape[1] or min(rows) < 0 or max(rows) >= n_rois:
        raise DataError(
            "its regions do not fit its table",
            expected=f"{values.shape[1]} of {n_rois} regions",
            found=rows[:10],
        )
    labels, notes = _labels(table.id[:], "roi")
    names = [labels[row] for row in rows]
    check_unique(names)
    columns = {str(name).lower(): name for name in table.colnames}
    flags = next((columns[name] for name in _ACCEPTED if name in columns), None)
    is_cell = None
    if flags is not None:  # Suite2p's column holds the flag and a probability
        is_cell = np.array([np.ravel(table[flags][row])[0] > 0 for row in rows])
    matrix = Matrix(values, names, notes=notes)
    # a DfOverF container says what its series are, whose own unit is often "a.u." or "n.a."
    is_relative = type(series.parent).__name__ == "DfOverF"
    value_units = "dF/F" if is_relative else str(series.unit)
    return RoiSeries(matrix, _times(series, len(values)), value_units, is_cell)


def _labels(ids: Sequence[Any], prefix: str = "") -> tuple[list[str], list[str]]:
    """A name for each row of a table: its id, or its number where ids repeat, with a note."""
    if len(set(ids)) == len(ids):
        return [f"{prefix}{i}" for i in ids], []
    note = "nothing: the ids of the table repeat, so that its rows are numbered in place of them"
    return [f"row{i}" for i in range(len(ids))], [note]


def _times(series: Any, n_times: int) -> np.ndarray:
    if series.timestamps is not None:
        times = np.asarray(series.timestamps[()], dtype=np.float64)
        if len(times) != n_times:
            raise DataError(
                "its timestamps do not fit its values", expected=n_times, found=len(times)
            )
        return times
    if not series.rate:
        raise DataError("it has neither rate nor timestamps")
    return (series.starting_time or 0.0) + np.arange(n_times) / series.rate


def has_units(path: Path | str) -> bool:
    """Whether a file has a table of units."""
    with _opened(path) as file:
        return file.content.units is not None


def read_unit_spikes(path: Path | str) -> UnitSpikes:
    """Spike times of each unit of the units table.

    Raises
    ------
    DataError
        If the file has no units, or no spike times, or its observation intervals make no sense.
    """
    with _opened(path) as file:
        table = file.content.units
        if table is None or "spike_times" not in table.colnames:
            raise DataError(
                "the file has no spike times",
                expected="a units table with spike_times",
                found="no units" if table is None else ", ".join(table.colnames),
            )
        names, notes = _labels(table.id[:])
        trains = {
            name: np.asarray(table["spike_times"][row], dtype=np.float64)
            for row, name in enumerate(names)
        }
        return UnitSpikes(trains, _observed(table, names), notes + _invalid(file.content))


def _invalid(content: Any) -> list[str]:
    """A note on the stretches that the file calls invalid, which are kept."""
    table = content.invalid_times
    if table is None or not len(table):
        return []
    stretches = zip(table["start_time"][:3], table["stop_time"][:3], strict=True)
    shown = ", ".join(f"{start:g} to {stop:g} s" for start, stop in stretches)
    return [f"nothing: the file's invalid_times ({len(table)}: {shown}) are kept"]


def _observed(table: Any, names: list[str]) -> dict[str, np.ndarray] | None:
    """The intervals in which each unit was observed, None if the file does not say so."""
    if "obs_intervals" not in table.colnames:
        return None
    found = {
        name: np.asarray(table["obs_intervals"][row], dtype=np.float64).reshape(-1, 2)
        for row, name in enumerate(names)
    }
    silent = [name for name, intervals in found.items() if not len(intervals)]
    if len(silent) == len(names):
        return None
    if silent:
        raise DataError(
            "some units have no observation interval, others have",
            expected="intervals for every unit, or for none",
            found=", ".join(silent[:5]),
            field="obs_intervals",
        )
    return found
