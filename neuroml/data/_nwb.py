"""Neurodata Without Borders files, through pynwb (the extra ``nwb``)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from neuroml.data._arrays import existing_file
from neuroml.data._matrix import Matrix
from neuroml.exceptions import DataError

__all__ = ["list_roi_series", "read_roi_series", "read_unit_spikes"]


@contextmanager
def _opened(path: Path | str) -> Iterator[tuple[Any, dict[str, str]]]:
    """The NWB file's content, and the series that pynwb cannot build with the reason.

    Whatever else goes wrong comes out as a DataError.
    """
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


def _content(io: Any) -> tuple[Any, dict[str, str]]:
    """Build the content; a series that cannot be built is taken out, and the rest built again."""
    from hdmf.build import ConstructError

    root, refused = io.read_builder(), dict[str, str]()
    while True:
        try:
            return io.manager.construct(root), refused
        except ConstructError as error:
            builder, reason = error.args
            if builder.attributes.get("neurodata_type") != "RoiResponseSeries":
                raise ValueError(f"{builder.path}: {reason}") from error
            del builder.parent.groups[builder.name]
            refused[builder.name] = reason


def list_roi_series(path: Path | str) -> tuple[dict[str, tuple[int, ...]], dict[str, str]]:
    """Shapes of the series of regions of interest in a file, and why others cannot be read."""
    with _opened(path) as (content, refused):
        good, bad = _readable(content, refused)
    return {name: matrix.values.shape for name, (matrix, _, _) in good.items()}, bad


def read_roi_series(path: Path | str, name: str | None) -> tuple[Matrix, np.ndarray, str]:
    """Read the named series of regions of interest, or the only one.

    Returns
    -------
    matrix : Matrix
        Values and names of the regions.
    time : ndarray of shape (n_times,)
        Seconds.
    value_units : str

    Raises
    ------
    DataError
        If there is no such series that can be read, or several and no name. A series that cannot
        be read is left out and counted in the notes.
    """
    with _opened(path) as (content, refused):
        good, bad = _readable(content, refused)
        skipped = [f"series {key!r}, which cannot be read ({why})" for key, why in bad.items()]
        found = [key for key in good if name in (None, key)]
        if len(found) != 1:
            reason = f" that can be read: {bad[name]}" if name in bad else ""
            raise DataError(
                f"{len(found) or 'no'} series of regions of interest to choose from{reason}",
                expected="exactly one",
                found=", ".join([*good, *skipped]) or "none in the file",
                fix="Pass variable= with the name of one of them." if len(good) > 1 else None,
                field=name,
            )
        matrix, time, unit = good[found[0]]
        notes = [] if name else skipped
        return Matrix(matrix.values, matrix.names, notes=notes), time, unit


def _readable(
    content: Any, refused: dict[str, str]
) -> tuple[dict[str, tuple[Matrix, np.ndarray, str]], dict[str, str]]:
    """Every series that can be read, and for the others the reason why not.

    Files that pass NWB's own validation may still hold series without a clock, or with regions
    that their table does not have.
    """
    from pynwb.ophys import RoiResponseSeries

    good, bad = {}, dict(refused)
    for item in content.objects.values():
        if isinstance(item, RoiResponseSeries):
            try:
                good[item.name] = _series(item)
            except Exception as error:  # pynwb, hdmf and h5py raise many kinds
                bad[item.name] = (str(error) or repr(error)).splitlines()[0]
    return good, bad


def _series(series: Any) -> tuple[Matrix, np.ndarray, str]:
    """Values, times in seconds and units of one series."""
    values = np.asarray(series.data[()], dtype=np.float64) * series.conversion + series.offset
    if values.ndim != 2:
        raise DataError("the series is not a table", found=values.shape)
    rows = [int(row) for row in series.rois.data[()]]
    n_rois = len(series.rois.table)
    if len(rows) != values.shape[1] or min(rows) < 0 or max(rows) >= n_rois:
        raise DataError(
            "its regions do not fit its table",
            expected=f"{values.shape[1]} of {n_rois} regions",
            found=rows[:10],
        )
    names = [f"roi{series.rois.table.id[row]}" for row in rows]
    return Matrix(values, names), _times(series, len(values)), str(series.unit)


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


def read_unit_spikes(path: Path | str) -> dict[str, np.ndarray]:
    """Spike times in seconds of each unit of the units table.

    Raises
    ------
    DataError
        If the file has no units, or no spike times.
    """
    with _opened(path) as (content, _):
        table = content.units
        if table is None or "spike_times" not in table.colnames:
            raise DataError(
                "the file has no spike times",
                expected="a units table with spike_times",
                found="no units" if table is None else ", ".join(table.colnames),
            )
        return {
            str(unit): np.asarray(table["spike_times"][row], dtype=np.float64)
            for row, unit in enumerate(table.id[:])
        }
