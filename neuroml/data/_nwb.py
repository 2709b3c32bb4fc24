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
def _opened(path: Path | str) -> Iterator[Any]:
    """The NWB file's content; whatever goes wrong with it comes out as a DataError."""
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
                yield io.read()
        except DataError as error:
            raise error.at(file=path) from error
        except Exception as error:  # pynwb, hdmf and h5py raise many kinds
            reason = (str(error) or repr(error)).splitlines()[0]
            raise DataError(
                f"this cannot be read as an NWB file ({reason})",
                fix="Check it with 'pynwb-validate', or export the data as CSV.",
                file=path,
            ) from error


def list_roi_series(path: Path | str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the series of regions of interest in a file."""
    with _opened(path) as content:
        return {series.name: tuple(series.data.shape) for series in _roi_series(content)}


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
        If there is no such series, or several and no name, or it has no time axis.
    """
    with _opened(path) as content:
        every = _roi_series(content)
        found = [series for series in every if name in (None, series.name)]
        if len(found) != 1:
            raise DataError(
                f"{len(found) or 'no'} series of regions of interest to choose from",
                expected="exactly one",
                found=", ".join(series.name for series in every) or "none in the file",
                fix="Pass variable= with the name of one of them." if every else None,
                field=name,
            )
        series = found[0]
        values = np.asarray(series.data[()], dtype=np.float64) * series.conversion + series.offset
        if values.ndim != 2:
            raise DataError("the series is not a table", found=values.shape, field=series.name)
        ids = [series.rois.table.id[int(row)] for row in series.rois.data[()]]
        names = [f"roi{i}" for i in ids]
        return Matrix(values, names), _times(series, len(values)), str(series.unit)


def _roi_series(content: Any) -> list[Any]:
    from pynwb.ophys import RoiResponseSeries

    return [item for item in content.objects.values() if isinstance(item, RoiResponseSeries)]


def _times(series: Any, n_times: int) -> np.ndarray:
    if series.timestamps is not None:
        return np.asarray(series.timestamps[()], dtype=np.float64)
    if not series.rate:
        raise DataError("the series has neither rate nor timestamps", field=series.name)
    return (series.starting_time or 0.0) + np.arange(n_times) / series.rate


def read_unit_spikes(path: Path | str) -> dict[str, np.ndarray]:
    """Spike times in seconds of each unit of the units table.

    Raises
    ------
    DataError
        If the file has no units, or no spike times.
    """
    with _opened(path) as content:
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
