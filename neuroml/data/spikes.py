"""Spike times, from files or objects in memory, to recordings of binned counts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from neuroml._core.files import sha256_of_file
from neuroml._core.recording import RecordingKey, make_recording
from neuroml.data._alf import is_alf, main_file, read_alf_spikes
from neuroml.data._arrays import StoredArray, existing_file, list_arrays, read_array
from neuroml.data._nwb import read_unit_spikes
from neuroml.data._observed import cut_to, is_observed, merged
from neuroml.data._phy import is_phy, read_phy
from neuroml.data._pynapple import is_pynapple, read_pynapple
from neuroml.data._tables import is_table, read_numbers, read_text_table
from neuroml.data._units import check_unique
from neuroml.exceptions import DataError

__all__ = ["bin_edges", "read_spikes"]

_MAX_COUNTS = 10**9
_DECIMALS = 9
_UNIT_COLUMNS = ("unit", "unit_id", "neuron", "cell")
_TIME_COLUMNS = ("time", "time_s", "times", "spike_time", "spike_times")
_SECONDS_COLUMN = "time_s"
_LONG_S, _SLOWEST_HZ = 3600.0, 0.01
"""Units that fire less than this on average over hours: milliseconds, more likely than silence."""
_SAY_UNIT = (
    "Pass time_unit_s=: 1 if they are seconds, 0.001 if milliseconds, 1 / rate if they number "
    "samples at a rate in Hz."
)


def read_spikes(  # noqa: PLR0913 - one keyword for each thing a file may leave open
    source: Any,
    *,
    bin_s: float,
    start_s: float | None = None,
    stop_s: float | None = None,
    epochs: Sequence[tuple[float, float]] | None = None,
    units: Sequence[str] | None = None,
    variable: str | None = None,
    time_unit_s: float | None = None,
    labels: Sequence[str] | None = None,
    key: RecordingKey = ("", "", ""),
) -> xr.Dataset:
    """Count spikes in bins.

    Bin k of a stretch that starts at ``start`` holds the spikes with
    ``start + k bin_s <= t < start + (k + 1) bin_s``; the edges are rounded to a nanosecond, so that
    a spike stamped 0.3 s belongs to the bin that starts at 0.3 s.

    Parameters
    ----------
    source : path-like, mapping, or pynapple object
        A table (csv, tsv, txt) with the columns ``unit`` and ``time``, or without a header two
        columns in this order, or one column for one unit; an npz file with one array per unit; a
        mat or h5 file with one array per unit or a cell array (see ``variable``); an NWB file
        (extra ``nwb``); a folder of Kilosort or phy, whose units are named by the ids of their
        clusters; a folder in the naming of ALF (``spikes.times.npy``, as IBL shares them); a
        mapping of unit names to arrays; a pynapple ``TsGroup`` or ``Ts``, or the npz file of one.
        Times are seconds, unless ``time_unit_s`` says otherwise. Those of Kilosort number samples,
        at the rate in ``params.py``, which is read as text.
    bin_s : float
        Width of a bin in seconds.
    start_s, stop_s : float, optional
        The stretch to bin; by default from the first spike, rounded down to a multiple of
        ``bin_s``, to the last one. Files do not say when the recording began and ended: give both
        where you know them. A bin that would end after ``stop_s`` is left out. Where a source
        says when it was observed (pynapple's time support, NWB's ``obs_intervals``), that is the
        default, and no other time is binned.
    epochs : sequence of (float, float), optional
        Instead: several stretches in order, each a segment of its own.
    units : sequence of str, optional
        Names of the units to take, also such as have no spike.
    variable : str, optional
        The cell array or vector of a mat, npz or h5 file.
    time_unit_s : float, optional
        How many seconds a time of 1 is: 0.001 for milliseconds, 1 / 30000 for sample numbers at
        30 kHz. If None they are seconds, and times of a file that hardly can be are refused: a
        unit with whole numbers only, or units that fire less than 0.01 times a second for over an
        hour. A column ``time_s`` is in seconds.
    labels : sequence of str, optional
        The clusters of a Kilosort or phy folder to take, by the label that ``cluster_group.tsv``
        gives them, or where it gives none ``cluster_KSLabel.tsv``: "good", "mua", "noise" or
        "unsorted" (no label); ``("all",)`` takes every cluster. ``("good",)`` if not given. In
        ALF, "good" are clusters whose ``label`` in ``clusters.metrics`` is 1.
    key : tuple of str
        (subject, session, run).

    Returns
    -------
    xarray.Dataset
        A recording of counts, float64, NaN where a unit was not observed and others were;
        ``time`` is the middle of each bin. The number of spikes outside all bins stands in
        ``attrs["dropped"]``.

    Raises
    ------
    DataError
        If times are not finite, stretches overlap or are shorter than a bin, no spike is left, or
        it is in doubt which numbers of a file are spike times, of which unit, and in which unit of
        time.

    Examples
    --------
    >>> from neuroml.data import read_spikes
    >>> trains = {"a": [0.1, 0.3, 0.31], "b": [0.25]}
    >>> recording = read_spikes(trains, bin_s=0.1, start_s=0, stop_s=0.4)
    >>> recording.signal.values.T.tolist()
    [[0.0, 1.0, 0.0, 2.0], [0.0, 0.0, 1.0, 0.0]]
    """
    path = Path(source) if isinstance(source, str | Path) else None
    found = _trains(source, variable, labels, time_unit_s)
    trains = _chosen(found.trains, units)
    for name, times in trains.items():
        _check_times(name, times, path)
    trains = _in_seconds(trains, time_unit_s, found.are_seconds, path)
    observed = {
        name: merged(np.multiply(found.observed[name], time_unit_s or 1.0))
        for name in (trains if found.observed else ())
    }
    if epochs is not None and not (start_s is None and stop_s is None):
        raise DataError("stretches were given twice", expected="epochs=, or start_s= and stop_s=")
    stretches, notes = _stretches(trains, observed, bin_s, start_s, stop_s, epochs)
    edges = [bin_edges(start, stop, bin_s) for start, stop in stretches]
    n_bins = [len(e) - 1 for e in edges]
    if sum(n_bins) * len(trains) > _MAX_COUNTS:
        raise DataError(
            "the bins are too many",
            expected=f"at most {_MAX_COUNTS:.0e} counts",
            found=f"{sum(n_bins)} bins x {len(trains)} units",
            fix="Are the times in seconds? Convert them, or choose wider bins.",
            file=path,
            field="bin_s",
        )
    counts = np.concatenate(
        [np.column_stack([_count(times, e) for times in trains.values()]) for e in edges]
    )
    for at, intervals in enumerate(observed.values()):
        inside = np.concatenate([is_observed(e, intervals) for e in edges])
        counts[~inside, at] = np.nan
    return make_recording(
        counts,
        units=list(trains),
        rate_hz=1 / bin_s,
        time=np.concatenate([(e[:-1] + e[1:]) / 2 for e in edges]),
        segment=np.repeat(np.arange(len(edges)), n_bins),
        modality="spikes",
        value_units="count",
        key=key,
        source=str(path or ""),
        sha256=_fingerprint(path),
        dropped=found.notes + notes + _dropped(trains, counts),
    )


def _fingerprint(path: Path | None) -> str:
    if path is None:
        return ""
    if path.is_dir():
        path = main_file(path) if is_alf(path) else path / "spike_times.npy"
    return sha256_of_file(path)


def bin_edges(start_s: float, stop_s: float, bin_s: float) -> np.ndarray:
    """Edges of the whole bins in a stretch, rounded to a nanosecond.

    Parameters
    ----------
    start_s, stop_s, bin_s : float
        Seconds.

    Returns
    -------
    ndarray of shape (n_bins + 1,)

    Raises
    ------
    DataError
        If the width is not above zero, or not a single bin fits.

    Examples
    --------
    >>> bin_edges(0.0, 0.35, 0.1).tolist()
    [0.0, 0.1, 0.2, 0.3]
    """
    if not (math.isfinite(bin_s) and bin_s > 0):
        raise DataError("bin_s is not a duration", expected="seconds > 0", found=bin_s)
    if not (math.isfinite(start_s) and math.isfinite(stop_s) and stop_s > start_s):
        raise DataError(
            "a stretch does not end after it starts",
            expected="start < stop",
            found=(start_s, stop_s),
        )
    n_bins = math.floor(round((stop_s - start_s) / bin_s, 6))
    if n_bins < 1:
        raise DataError(
            "a stretch is shorter than a bin",
            expected=f"at least {bin_s} s",
            found=f"{start_s} to {stop_s} s",
            fix="Leave it out, or choose narrower bins.",
            field="bin_s",
        )
    if n_bins > _MAX_COUNTS:
        raise DataError(
            "the bins are too many",
            expected=f"at most {_MAX_COUNTS:.0e}",
            found=f"{n_bins:.3g} bins from {start_s} to {stop_s} s",
            fix="Are the times in seconds? Convert them, or choose wider bins.",
            field="bin_s",
        )
    return np.round(start_s + bin_s * np.arange(n_bins + 1), _DECIMALS)


def _count(times: np.ndarray, edges: np.ndarray) -> np.ndarray:
    bins = np.searchsorted(edges, times, side="right") - 1
    inside = (bins >= 0) & (bins < len(edges) - 1)
    return np.bincount(bins[inside], minlength=len(edges) - 1).astype(np.float64)


def _dropped(trains: Mapping[str, np.ndarray], counts: np.ndarray) -> list[str]:
    total = sum(len(times) for times in trains.values())
    outside = total - int(np.nansum(counts))
    if total and outside == total:
        raise DataError(
            "no spike falls into a bin",
            expected="spike times, start_s, stop_s and epochs all in seconds of one clock",
            found=f"{total} spikes, all outside",
        )
    notes = [f"{outside} of {total} spikes outside the bins"] if outside else []
    n_missing = int(np.isnan(counts).sum())
    if n_missing:
        notes.append(
            f"nothing: {n_missing} of {counts.size} counts are missing (NaN), where a bin was not "
            "observed for the unit"
        )
    return notes


def _stretches(
    trains: Mapping[str, np.ndarray],
    observed: Mapping[str, Stretches],
    bin_s: float,
    start_s: float | None,
    stop_s: float | None,
    epochs: Sequence[tuple[float, float]] | None,
) -> tuple[Stretches, list[str]]:
    """What to bin, without the time in which no unit was observed, and what is left out."""
    anytime = merged([pair for intervals in observed.values() for pair in intervals])
    if epochs is None and start_s is None and stop_s is None and anytime:
        wanted = anytime
    elif epochs is None:
        wanted = [_whole(trains, bin_s, start_s, stop_s)]
    else:
        wanted = _in_order(epochs)
    if not anytime:
        return wanted, []
    kept, short = cut_to(wanted, anytime, bin_s)
    return kept, [f"{len(short)} observed stretches shorter than a bin"] if short else []


def _whole(
    trains: Mapping[str, np.ndarray], bin_s: float, start_s: float | None, stop_s: float | None
) -> tuple[float, float]:
    """The stretch from the first to the last spike, unless told otherwise."""
    spikes = np.concatenate(list(trains.values()))
    if not len(spikes) and (start_s is None or stop_s is None):
        raise DataError("there are no spikes", fix="Pass start_s= and stop_s= to bin the silence.")
    if not bin_s > 0:
        raise DataError("bin_s is not a duration", expected="seconds > 0", found=bin_s)
    if start_s is None:
        first = float(spikes.min())
        start_s = round(math.floor(first / bin_s) * bin_s, _DECIMALS)
        start_s -= bin_s * (start_s > first)  # the edge was rounded to the wrong side of the spike
    if stop_s is None:
        last = float(spikes.max())
        n_bins = math.floor((last - start_s) / bin_s) + 1
        n_bins += last >= round(start_s + n_bins * bin_s, _DECIMALS)
        stop_s = start_s + n_bins * bin_s
    return start_s, stop_s


def _in_order(epochs: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    pairs = [(float(start), float(stop)) for start, stop in epochs]
    if not pairs:
        raise DataError("there are no epochs", expected="at least one (start, stop)", found=0)
    for (_, stop), (start, _) in itertools.pairwise(pairs):
        if start < stop:
            raise DataError(
                "epochs overlap or are not in order",
                expected=f"a start at or after {stop} s",
                found=f"{start} s",
                field="epochs",
            )
    return pairs


def _check_times(name: str, times: np.ndarray, path: Path | None) -> None:
    if times.ndim != 1 or not np.isfinite(times).all():
        raise DataError(
            "spike times are not a list of finite numbers",
            expected="a 1-D array of seconds",
            found=f"shape {times.shape}, {int((~np.isfinite(times)).sum())} not finite",
            file=path,
            field=name,
        )


def _in_seconds(
    trains: dict[str, np.ndarray], time_unit_s: float | None, are_seconds: bool, path: Path | None
) -> dict[str, np.ndarray]:
    """The times in seconds, if it is sure what they are in."""
    if time_unit_s is not None:
        if not (math.isfinite(time_unit_s) and time_unit_s > 0):
            raise DataError(
                "time_unit_s is not a duration",
                expected="seconds > 0",
                found=time_unit_s,
                field="time_unit_s",
            )
        return {name: times * time_unit_s for name, times in trains.items()}
    if are_seconds:
        return trains
    for name, times in trains.items():
        if len(times) and (times == np.round(times)).all():
            raise DataError(
                f"the spike times of {name} are whole numbers: they may be milliseconds, sample "
                "numbers, or ids",
                expected="seconds",
                found=f"{', '.join(f'{time:.12g}' for time in times[:4])}, ...",
                fix=_SAY_UNIT,
                file=path,
                field="time_unit_s",
            )
    spikes = np.concatenate(list(trains.values()))
    span = float(np.ptp(spikes)) if len(spikes) else 0.0
    if span > _LONG_S and len(spikes) < _SLOWEST_HZ * span * len(trains):
        raise DataError(
            "hardly a spike in hours: the times may be milliseconds, or sample numbers",
            expected=f"seconds, and units that fire more often than {_SLOWEST_HZ:g} Hz",
            found=f"{len(spikes)} spikes of {len(trains)} units over {span:.6g}",
            fix=_SAY_UNIT,
            file=path,
            field="time_unit_s",
        )
    return trains


def _chosen(trains: dict[str, np.ndarray], units: Sequence[str] | None) -> dict[str, np.ndarray]:
    if units is not None:
        absent = [unit for unit in units if unit not in trains]
        if absent:
            raise DataError(
                "no such unit",
                expected=f"one of {', '.join([*trains][:20])}",
                found=", ".join(absent[:5]),
                field="units",
            )
        trains = {unit: trains[unit] for unit in units}
    if not trains:
        raise DataError("there are no units", expected="at least one", found=0)
    return trains


Trains = dict[str, np.ndarray]
Stretches = list[tuple[float, float]]


@dataclass(frozen=True)
class _Found:
    """Spike times by unit, whether they are seconds for sure, and when each unit was observed."""

    trains: Trains
    are_seconds: bool = False
    observed: Mapping[str, np.ndarray] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def _trains(
    source: Any, variable: str | None, labels: Sequence[str] | None, time_unit_s: float | None
) -> _Found:
    """What the source says."""
    is_folder = isinstance(source, str | Path) and Path(source).is_dir()
    if is_folder:
        return _from_folder(Path(source), ("good",) if labels is None else labels, time_unit_s)
    if labels is not None:
        raise DataError(
            "only folders of Kilosort, phy and ALF label their clusters",
            expected="labels=None",
            found=labels,
            fix="Choose units with units=.",
            field="labels",
        )
    if isinstance(source, str | Path):
        path = existing_file(source)
        if is_table(path):
            return _Found(*_from_table(path))
        return _from_file(path, variable)
    if hasattr(source, "time_support"):
        support = source.time_support
        intervals = np.column_stack([np.asarray(support.start), np.asarray(support.end)])
        members = {"unit0": source} if hasattr(source, "t") else _by_name(source)
        trains = {name: _times_of(train) for name, train in members.items()}
        return _Found(trains, True, dict.fromkeys(trains, intervals))
    if isinstance(source, Mapping):
        trains = {name: _times_of(train) for name, train in _by_name(source).items()}
        return _Found(trains, True)
    raise DataError(
        "unknown source of spikes",
        expected="a path, a mapping of units to times, or a pynapple TsGroup or Ts",
        found=type(source).__name__,
    )


def _from_folder(folder: Path, labels: Sequence[str], time_unit_s: float | None) -> _Found:
    """Kilosort's and phy's clusters, in seconds if the folder knows its rate."""
    if is_alf(folder):
        trains, notes = read_alf_spikes(folder, labels)
        return _Found(trains, True, notes=notes)
    if not is_phy(folder):
        raise DataError(
            "this is not a folder of Kilosort or phy",
            expected="spike_times.npy in it, or spikes.times.npy (ALF)",
            found="no such file",
            file=folder,
        )
    phy = read_phy(folder, labels)
    if phy.rate_hz is None:
        return _Found(phy.trains, notes=phy.notes)
    if time_unit_s is not None:
        raise DataError(
            "the sample rate is given twice",
            expected="time_unit_s= where params.py has no sample_rate",
            found=f"{phy.rate_hz:g} Hz there, time_unit_s={time_unit_s:g}",
            file=folder,
            field="time_unit_s",
        )
    seconds = {name: samples / phy.rate_hz for name, samples in phy.trains.items()}
    return _Found(seconds, True, notes=phy.notes)


def _by_name(units: Mapping[Any, Any]) -> dict[str, Any]:
    """The same units under their names as text, which must tell them apart as well."""
    check_unique([str(name) for name in units])
    return {str(name): train for name, train in units.items()}


def _times_of(train: Any) -> np.ndarray:
    values = train.t if hasattr(train, "t") else train
    array = np.asarray(values)
    if array.dtype.kind not in "iuf" and array.size:
        raise DataError(
            "spike times are not numbers", expected="seconds", found=f"dtype {array.dtype}"
        )
    return array.astype(np.float64)


def _from_file(path: Path, variable: str | None) -> _Found:
    if path.suffix.lower() == ".nwb":
        units = read_unit_spikes(path)
        return _Found(units.trains, observed=units.observed or {}, notes=units.notes)
    if variable is None and is_pynapple(path):
        saved = read_pynapple(path, spikes=True)
        return _Found(saved.trains, True, dict.fromkeys(saved.trains, saved.intervals))
    trains = _from_arrays(path, variable)
    for name, times in trains.items():
        _check_order(name, times, path)
    return _Found(trains)


def _check_order(name: str, times: np.ndarray, path: Path) -> None:
    """Refuse numbers in an order in which spike times do not come."""
    falls = (np.diff(times) < 0).any()
    if falls or len(np.unique(times)) <= len(times) / 2 < len(times):
        raise DataError(
            f"{name} may not be spike times",
            expected="times of one unit, from the first to the last",
            found=f"numbers that {'fall' if falls else 'mostly repeat'}: "
            f"{', '.join(f'{time:.12g}' for time in times[:4])}, ...",
            fix="If they are, pass a mapping of names to arrays; if they number the units, write "
            "a table with the columns unit and time.",
            file=path,
            field=name,
        )


def _from_arrays(path: Path, variable: str | None) -> Trains:
    if variable is not None:
        value = read_array(
            path,
            variable,
            lambda array: array.kind in ("numbers", "list"),
            "numbers or a cell array",
        )
        return _numbered(value, path, variable)
    arrays = list_arrays(path)
    lists = [array for array in arrays if array.kind == "list"]
    if len(lists) == 1:
        cells = read_array(path, lists[0].name, lambda array: array.kind == "list", "a cell array")
        return _numbered(cells, path, lists[0].name)
    trains = [array for array in arrays if _is_train(array)]
    if lists or not trains or len(trains) < len(arrays):
        raise DataError(
            "it is not plain which arrays hold spike times",
            expected="one 1-D array per unit and nothing else, or one cell array",
            found=", ".join(map(str, arrays[:12])),
            fix="Pass variable=, or a mapping of unit names to arrays.",
            file=path,
        )
    return {
        array.name or "unit0": np.ravel(read_array(path, array.name, _is_train, "1-D"))
        for array in trains
    }


def _is_train(array: StoredArray) -> bool:
    return array.kind == "numbers" and math.prod(array.shape) == max(array.shape, default=-1)


def _numbered(value: Any, path: Path, name: str) -> Trains:
    """One unit per cell; a 1-D array is a single unit."""
    cells = value if isinstance(value, list) else [value]
    trains = {}
    for at, cell in enumerate(cells):
        if not isinstance(cell, np.ndarray) or np.size(cell) != max(np.shape(cell), default=1):
            if isinstance(cell, np.ndarray) and not cell.size:
                cell = np.zeros(0)
            else:
                raise DataError(
                    "a cell does not hold a list of spike times",
                    expected="a vector of numbers per cell",
                    found=f"{type(cell).__name__} of shape {np.shape(cell)} in cell {at}",
                    fix="Take the times out into one vector per unit.",
                    file=path,
                    field=name,
                )
        trains[f"unit{at}"] = np.ravel(cell).astype(np.float64)
    return trains


def _from_table(path: Path) -> tuple[Trains, bool]:
    """Spike times by unit, and whether the header says that they are seconds."""
    table = read_text_table(path)
    columns = table.columns
    if columns.shape[1] == 1:
        name = str(columns.columns[0]).lower()
        if not table.has_names or name in _TIME_COLUMNS:
            times = read_numbers(path).columns.iloc[:, 0].to_numpy()
            _check_order("unit0", times, path)
            return {"unit0": times}, name == _SECONDS_COLUMN
    found = [
        [name for name in columns.columns if name.lower() in choices]
        for choices in (_UNIT_COLUMNS, _TIME_COLUMNS)
    ]
    if not table.has_names and columns.shape[1] == 2:
        found = [[name] for name in columns.columns]
    if [len(names) for names in found] != [1, 1]:
        raise DataError(
            "the table does not say which unit fired when",
            expected="the columns unit and time, one of each",
            found=", ".join(map(str, columns.columns[:10])),
            fix="Name them so in the header (time_s if the times are seconds for sure).",
            file=path,
        )
    (unit,), (time,) = found
    times = np.asarray(columns[time])
    if times.dtype.kind not in "iuf":
        raise DataError("times are not numbers", found=repr(times[0]), file=path, field=str(time))
    if columns[unit].isna().any():
        raise DataError("a spike has no unit", file=path, field=str(unit))
    if not table.has_names and len(set(columns[unit])) > len(set(times)):
        raise DataError(
            "the first column has more different numbers than the second: it may hold the times",
            expected="unit, then time",
            found=f"{columns[unit].iloc[0]:g}, {times[0]:g} in the first row",
            fix="Name the columns unit and time in the header.",
            file=path,
        )
    labels = _labels(columns[unit], path, table.has_names)
    trains = {
        str(label): times[labels == label].astype(np.float64)
        for label in sorted(labels.unique(), key=_by_number)
    }
    return trains, time.lower() == _SECONDS_COLUMN


def _labels(units: pd.Series, path: Path, has_names: bool) -> pd.Series:
    """Names of the units: whole numbers as such, anything else as it stands in the file."""
    is_number = units.dtype.kind in "iuf"
    if is_number and (units == np.round(units)).all():
        return units.astype(np.int64).astype(str)
    if not has_names:
        raise DataError(
            "the first column does not number units",
            expected="unit, then time",
            found=f"{units.iloc[0]} in the first row",
            fix="Name the columns unit and time in the header.",
            file=path,
        )
    name = str(units.name)
    return read_text_table(path, text=[name.lower()]).columns[name] if is_number else units


def _by_number(label: str) -> tuple[int, str]:
    return (int(label), "") if label.isdigit() else (10**9, label)
