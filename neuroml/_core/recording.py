"""The schema of a recording, and the step from recordings to the arrays that estimators take."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike
from sklearn.utils import Bunch

from neuroml._core.validation import as_given, as_numbers, break_points, names_of
from neuroml.exceptions import DataError

__all__ = [
    "MODALITIES",
    "RecordingKey",
    "align_units",
    "break_points",
    "key_of",
    "make_recording",
    "name_of",
    "stack",
    "validate_recording",
]

MODALITIES = ("fmri", "calcium", "spikes", "behaviour", "responses")
TIME_AXES = ("seconds", "samples", "trials")
TimeAxis = Literal["seconds", "samples", "trials"]
RecordingKey = tuple[str, str, str]
"""(subject, session, run); empty where a data set does not have the level."""

_SIDE_TABLES = {"covariates": "feature", "confounds": "confound"}


def make_recording(  # noqa: PLR0913 - one keyword for each part of the schema
    signal: ArrayLike,
    *,
    units: Sequence[str] | None = None,
    rate_hz: float | None = None,
    time: ArrayLike | None = None,
    time_axis: TimeAxis | None = None,
    modality: str,
    value_units: str = "",
    key: RecordingKey = ("", "", ""),
    covariates: pd.DataFrame | None = None,
    confounds: pd.DataFrame | None = None,
    segment: ArrayLike | None = None,
    unit_coords: Mapping[str, ArrayLike] | None = None,
    variables: Mapping[str, xr.DataArray] | None = None,
    source: str = "",
    sha256: str = "",
    dropped: Sequence[str] = (),
) -> xr.Dataset:
    """Put a recording together and check it.

    Parameters
    ----------
    signal : array-like of shape (n_times, n_units)
        Time first, or a DataArray with the axis ``time``. Kept as float32 if it comes as such,
        otherwise float64; NaN or masked = missing.
    units : sequence of str, optional
        One unique label per unit; those of a table, else ``unit0, unit1, ...``, if not given.
    rate_hz : float, optional
        Samples per second; None where time has no unit of seconds.
    time : array-like of shape (n_times,), optional
        Seconds, or counts; from ``rate_hz``, or 0, 1, 2, ... if not given.
    time_axis : {"seconds", "samples", "trials"}, optional
        What ``time`` counts; "seconds" if a rate or times are given, otherwise "samples".
    modality : {"fmri", "calcium", "spikes", "behaviour", "responses"}
    value_units : str
        Units of the signal, e.g. "dF/F", "count", "z", "BOLD a.u.".
    key : tuple of str
        (subject, session, run).
    covariates, confounds : DataFrame of n_times rows, optional
        Named side tables on the same time axis.
    segment : array-like of int of shape (n_times,), optional
        Ids of stretches recorded without a gap; one stretch if not given.
    unit_coords : mapping of str to array-like of shape (n_units,), optional
        More about each unit: ``x``, ``y``, ``z``, ``hemisphere``, ...
    variables : mapping of str to DataArray, optional
        Variables on axes of their own, such as a stimulus movie on ``stimulus_time``.
    source, sha256 : str
        Where the bytes came from and their fingerprint.
    dropped : sequence of str
        What was removed on reading, and why.

    Returns
    -------
    xarray.Dataset
        With variable ``signal (time, unit)``; see `validate_recording` for the whole schema.

    Raises
    ------
    DataError
        If shapes or names disagree, or time does not increase within a segment.
    """
    given = as_given(signal, "signal")
    units = names_of(given) if units is None else units
    signal = as_numbers(given, "signal")
    if signal.dtype != np.float32:
        signal = signal.astype(np.float64)
    if signal.ndim != 2:
        raise DataError(
            "the signal is not a table of time by units",
            expected="an array of shape (n_times, n_units)",
            found=f"shape {signal.shape}",
            fix="Reshape it with time first.",
            field="signal",
        )
    n_times, n_units = signal.shape
    if time_axis is None:
        time_axis = "seconds" if (rate_hz is not None or time is not None) else "samples"
    if time is None:
        time = np.arange(n_times) / (rate_hz if time_axis == "seconds" and rate_hz else 1.0)
    if units is None:
        units = [f"unit{i}" for i in range(n_units)]
    is_text = isinstance(units, np.ndarray) and units.dtype.kind == "U"
    labels = units if is_text else [str(unit) for unit in units]
    _check_length("units", labels, n_units)
    recording = xr.Dataset(
        {"signal": (("time", "unit"), signal)},
        coords={
            "time": np.asarray(time, dtype=np.float64),
            "unit": np.asarray(labels, dtype=str),
            "segment": ("time", np.zeros(n_times, int) if segment is None else np.asarray(segment)),
        },
        attrs={
            "modality": modality,
            "value_units": value_units,
            "time_axis": time_axis,
            "rate_hz": rate_hz,
            "subject": key[0],
            "session": key[1],
            "run": key[2],
            "source": source,
            "sha256": sha256,
            "dropped": list(dropped),
        },
    )
    coords = {name: ("unit", np.asarray(values)) for name, values in (unit_coords or {}).items()}
    for name, (_, values) in coords.items():
        _check_length(name, values, n_units)
    recording = recording.assign_coords(coords)
    for name, table in (("covariates", covariates), ("confounds", confounds)):
        if table is not None:
            _check_length(name, table, n_times)
            axis = _SIDE_TABLES[name]
            recording = recording.assign_coords({axis: np.asarray(table.columns, dtype=str)})
            recording[name] = (("time", axis), table.to_numpy(dtype=np.float64, copy=True))
    recording = recording.assign(dict(variables or {}))
    return validate_recording(recording)


def _check_length(field: str, values: Any, expected: int) -> None:
    if len(values) != expected:
        raise DataError(
            "a list does not match the signal", expected=expected, found=len(values), field=field
        )


def name_of(recording: xr.Dataset) -> str:
    """A short name for messages and folders: the parts of the key that are there."""
    prefixes = {"subject": "sub", "session": "ses", "run": "run"}
    values = {prefix: str(recording.attrs.get(key, "")) for key, prefix in prefixes.items()}
    # a run of BIDS is named by its own entities, such as task-rest_run-1
    parts = [
        value if value.startswith("task-") else f"{prefix}-{value}"
        for prefix, value in values.items()
        if value
    ]
    return "_".join(parts) or "recording"


def key_of(recording: xr.Dataset) -> RecordingKey:
    """Subject, session and run, empty where there is none."""
    subject, session, run = (str(recording.attrs.get(k, "")) for k in ("subject", "session", "run"))
    return subject, session, run


def validate_recording(recording: xr.Dataset) -> xr.Dataset:
    """Check a recording against the schema and return it unchanged.

    The schema: ``signal (time, unit)`` float32 or float64 with at least one sample and one unit;
    coordinates ``time`` (increasing within each segment), ``unit`` (unique) and ``segment (time,)``
    (each id one contiguous stretch); optionally ``covariates (time, feature)`` and
    ``confounds (time, confound)``; attributes as `make_recording` sets them.

    Raises
    ------
    DataError
        On the first point that does not hold, naming subject and field.
    """
    subject = name_of(recording)

    def refuse(problem: str, field: str, **parts: Any) -> DataError:
        return DataError(problem, field=field, subject=subject, **parts)

    missing = [name for name in ("modality", "time_axis", "rate_hz") if name not in recording.attrs]
    if "signal" not in recording or missing:
        raise refuse(
            "this is not a recording",
            "signal" if "signal" not in recording else missing[0],
            fix="Build it with neuroml.data.make_recording.",
        )
    signal = recording["signal"]
    if signal.dims != ("time", "unit") or signal.dtype not in (np.float32, np.float64):
        raise refuse(
            "the signal has the wrong layout",
            "signal",
            expected="dims ('time', 'unit') of float32 or float64",
            found=f"{signal.dims} of {signal.dtype}",
        )
    if 0 in signal.shape:
        raise refuse(
            "the signal is empty", "signal", expected=">= 1 sample and unit", found=signal.shape
        )
    for attr, allowed in (("modality", MODALITIES), ("time_axis", TIME_AXES)):
        if recording.attrs[attr] not in allowed:
            raise refuse("unknown value", attr, expected=allowed, found=recording.attrs[attr])
    rate = recording.attrs["rate_hz"]
    if rate is not None and not (np.isfinite(rate) and rate > 0):
        raise refuse("the rate is not a frequency", "rate_hz", expected="> 0 or None", found=rate)
    labels = recording.get_index("unit")
    if not labels.is_unique:
        twice = sorted(set(labels[labels.duplicated()].astype(str)))
        raise refuse("unit labels repeat", "unit", found=twice[:5], fix="Make them unique.")
    _check_time(recording, refuse)
    return recording


def _check_time(recording: xr.Dataset, refuse: Any) -> None:
    segment = recording["segment"].values
    starts = break_points(segment)
    if len(set(segment[starts])) < len(starts):
        raise refuse(
            "a segment id returns after another one",
            "segment",
            fix="Give every contiguous stretch an id of its own.",
        )
    time = recording["time"].values
    step = np.diff(time)
    step[starts[1:] - 1] = 1.0
    if not np.isfinite(time).all() or (step <= 0).any():
        at = int(np.argmax(~(step > 0))) + 1 if len(step) else 0
        raise refuse(
            "time does not increase",
            "time",
            found=f"{time[max(at - 1, 0)]} then {time[at]} at sample {at}",
            fix="Sort the samples, drop repeated ones, or mark the gap with segment ids.",
        )


def stack(
    recordings: Sequence[xr.Dataset],
    *,
    target: str | Sequence[str] | None = None,
    inputs: Sequence[str] | None = None,
    signal: str = "signal",
) -> Bunch:
    """Concatenate recordings along time into the arrays that estimators take.

    Parameters
    ----------
    recordings : sequence of Dataset
        With the same units in the same order (see `align_units` for others).
    target : str or sequence of str, optional
        Names of the ``y``: a column of ``covariates``, a variable on ``time`` alone, or a unit; or
        the name of the signal for all of its units.
    inputs : sequence of str, optional
        Columns of ``covariates`` (or variables on ``time``, or units) that become ``X`` in place
        of the signal, for models that explain behaviour; an empty list for models of y alone.
    signal : str
        The variable that becomes ``X`` when no ``inputs`` are named.

    Returns
    -------
    sklearn.utils.Bunch
        ``X (n_samples, n_units)``; ``sessions (n_samples,)``, integers that change at every gap and
        recording; ``groups (n_samples,)``, the subject of each sample; ``y`` or None; ``units``,
        the names of X's columns.

    Raises
    ------
    DataError
        If there are no recordings, their units differ, or a name is not found.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.data import make_recording
    >>> a, b = (make_recording(np.ones((5, 2)), modality="fmri", key=(s, "", "")) for s in "ab")
    >>> arrays = stack([a, b])
    >>> arrays.X.shape, arrays.sessions.tolist()
    ((10, 2), [0, 0, 0, 0, 0, 1, 1, 1, 1, 1])
    """
    if not recordings:
        raise DataError("there is nothing to stack", expected="at least one recording", found=0)
    names = list(inputs) if inputs is not None else None
    units = _columns(recordings[0], names, signal)[0]
    tables: list[np.ndarray] = []
    targets, sessions, groups = [], [], []
    n_sessions = 0
    first_outputs: list[str] | None = None
    for recording in recordings:
        columns, values = _columns(recording, names, signal)
        _check_units(columns, units, recording, recordings[0])
        tables.append(values)
        starts = break_points(recording["segment"].values)
        ids = np.zeros(len(values), dtype=np.int64)
        ids[starts] = 1
        sessions.append(np.cumsum(ids) - 1 + n_sessions)
        n_sessions += len(starts)
        groups.append(np.full(len(values), recording.attrs.get("subject", ""), dtype=object))
        if target is not None:
            wanted = [target] if isinstance(target, str) else list(target)
            outputs, found = _columns(recording, None if target == signal else wanted, signal)
            first_outputs = outputs if first_outputs is None else first_outputs
            _check_units(outputs, first_outputs, recording, recordings[0])
            _check_classes(recording, recordings[0])
            alone = isinstance(target, str) and target != signal
            targets.append(found[:, 0] if alone else found)
    return Bunch(
        X=np.concatenate(tables),
        y=np.concatenate(targets) if target is not None else None,
        sessions=np.concatenate(sessions),
        groups=np.concatenate(groups).astype(str),
        units=units,
    )


def _check_classes(recording: xr.Dataset, first: xr.Dataset) -> None:
    """One code has to mean one label in all recordings."""
    own, wanted = (one.attrs.get("classes") for one in (recording, first))
    if own != wanted:
        raise DataError(
            "the recordings have different labels, so that their codes mean different things",
            expected=f"{wanted} as in {name_of(first)}",
            found=own,
            fix="Read them from one table, or write numbers in place of the labels.",
            subject=name_of(recording),
            field="classes",
        )


def _check_units(
    own: list[str], wanted: list[str], recording: xr.Dataset, first: xr.Dataset
) -> None:
    """Columns are joined by their place, so they have to be the same in the same order."""
    if own != wanted:
        reordered = sorted(own) == sorted(wanted)
        raise DataError(
            "the recordings have different units",
            expected=f"{len(wanted)} units as in {name_of(first)}",
            found="the same in another order" if reordered else f"{len(own)} units",
            fix="Put them on one axis with neuroml.data.align_units, or fit each alone.",
            subject=name_of(recording),
            field="unit",
        )


def _columns(
    recording: xr.Dataset, names: list[str] | None, signal: str
) -> tuple[list[str], np.ndarray]:
    """Names and values (n_times, n_columns) of the signal, or of named covariates."""
    if names is None:
        if signal not in recording or recording[signal].dims != ("time", "unit"):
            on_units = [
                str(n) for n, v in recording.data_vars.items() if v.dims == ("time", "unit")
            ]
            raise DataError(
                "no such signal",
                expected=f"one of {on_units}",
                found=repr(signal),
                subject=name_of(recording),
                field="signal",
            )
        return [str(u) for u in recording["unit"].values], recording[signal].values
    features = [str(f) for f in recording["feature"].values] if "feature" in recording else []
    values = []
    for name in names:
        if name in features:
            values.append(recording["covariates"].sel(feature=name).values)
        elif name in recording and recording[name].dims == ("time",):
            values.append(recording[name].values)
        elif name in recording["unit"].values:
            values.append(recording["signal"].sel(unit=name).values)
        else:
            on_time = [str(n) for n, v in recording.data_vars.items() if v.dims == ("time",)]
            raise DataError(
                "no such column",
                expected=f"one of {features + on_time}, or a unit",
                found=repr(name),
                subject=name_of(recording),
                field="covariates",
            )
    return names, np.column_stack(values) if values else np.empty((recording.sizes["time"], 0))


def align_units(recordings: Sequence[xr.Dataset], *, min_recordings: int = 1) -> list[xr.Dataset]:
    """Put recordings with different named units on one unit axis, absent units explicit as NaN.

    Parameters
    ----------
    recordings : sequence of Dataset
        Units are matched by their labels.
    min_recordings : int
        Keep the units that at least this many recordings have.

    Returns
    -------
    list of Dataset
        The same recordings, each with all kept units, sorted by label.

    Raises
    ------
    DataError
        If no unit is found in ``min_recordings`` recordings, or a recording's units have no names.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.data import make_recording
    >>> a = make_recording(np.ones((2, 2)), units=["AVA", "AVB"], modality="calcium")
    >>> b = make_recording(np.ones((2, 1)), units=["AVB"], modality="calcium")
    >>> [r.signal.values[0].tolist() for r in align_units([a, b])]
    [[1.0, 1.0], [nan, 1.0]]
    """
    for recording in recordings:
        if all(re.fullmatch(r"unit\d+", str(unit)) for unit in recording["unit"].values):
            raise DataError(
                "the units have no names, and their numbers do not say who is who",
                expected="unit labels that mean the same in every recording",
                found="unit0, unit1, ...",
                fix="Name them with units= when reading.",
                subject=name_of(recording),
                field="unit",
            )
    labels, counts = np.unique(
        np.concatenate([recording["unit"].values for recording in recordings]), return_counts=True
    )
    kept = labels[counts >= min_recordings]
    if not len(kept):
        raise DataError(
            "no unit is shared by enough recordings",
            expected=f"in {min_recordings} of {len(recordings)} recordings",
            found=f"at most {counts.max()}",
            fix="Lower min_recordings or check the unit labels.",
            field="unit",
        )
    return [recording.reindex(unit=kept) for recording in recordings]
