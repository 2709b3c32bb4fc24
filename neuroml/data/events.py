"""Events and samples: labels per sample, epochs around events, one time axis for two recordings."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy.interpolate import CubicSpline
from scipy.signal import butter, sosfiltfilt

from neuroml._core.recording import break_points, name_of, validate_recording
from neuroml._core.validation import session_slices
from neuroml.data._tables import read_text_table
from neuroml.exceptions import DataError

__all__ = ["epochs", "labels_from_events", "read_events", "resample_to"]

_TOLERANCE_S = 1e-6
_FILTER_ORDER = 8
_PASSED = 0.8


def read_events(path: Path | str) -> pd.DataFrame:
    """Read a BIDS table of events.

    Parameters
    ----------
    path : path-like
        A tsv (or csv) file with at least the columns ``onset`` and ``duration``, in seconds.

    Returns
    -------
    DataFrame
        Sorted by onset.

    Raises
    ------
    DataError
        If a column is missing, or an onset or duration is not a number.
    """
    return _checked_events(read_text_table(path).columns, file=path)


def _checked_events(events: pd.DataFrame, *, file: object = None) -> pd.DataFrame:
    for name in ("onset", "duration"):
        if name not in events:
            raise DataError(
                f"the events lack the column {name!r}",
                expected="the BIDS columns onset and duration, in seconds",
                found=", ".join(map(str, events.columns)),
                file=file,
                field="events",
            )
        values = pd.to_numeric(events[name], errors="coerce").to_numpy(dtype=np.float64)
        wrong = ~np.isfinite(values) | ((values < 0) if name == "duration" else False)
        if wrong.any():
            raise DataError(
                f"an event's {name} cannot be used",
                expected="seconds",
                found=f"{events[name].iloc[int(np.argmax(wrong))]!r} in row {np.argmax(wrong)}",
                fix="Correct or drop the event.",
                file=file,
                field=name,
            )
        events = events.assign(**{name: values})
    return events.sort_values("onset", kind="stable").reset_index(drop=True)


def labels_from_events(
    recording: xr.Dataset,
    events: pd.DataFrame,
    *,
    lag_s: float = 0.0,
    column: str = "trial_type",
    rest: str = "rest",
) -> xr.DataArray:
    """Label each sample with the event that it falls into.

    A sample at time t gets the label of an event if
    ``onset + lag_s <= t < onset + lag_s + duration``; an event of duration 0 labels the first
    sample at or after ``onset + lag_s``.

    Parameters
    ----------
    recording : Dataset
        With time in seconds on the events' clock.
    events : DataFrame
        BIDS columns ``onset`` and ``duration`` (s), and ``column``.
    lag_s : float
        Delay of the response behind the event: about 5 s for the haemodynamic response.
    column : str
        Where the labels are.
    rest : str
        The label of samples outside all events.

    Returns
    -------
    DataArray of str of shape (n_times,)
        To be put beside the signal, ``recording.assign(label=...)``, where
        ``stack(recordings, target="label")`` finds it. ``attrs["dropped"]`` tells how many events
        label no sample.

    Raises
    ------
    DataError
        If time is not in seconds of one clock, a column is missing, events with different labels
        overlap, or no event meets a sample.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from neuroml.data import labels_from_events, make_recording
    >>> recording = make_recording(np.zeros((5, 1)), rate_hz=0.5, modality="fmri")
    >>> events = pd.DataFrame({"onset": [2.0], "duration": [4.0], "trial_type": ["face"]})
    >>> labels_from_events(recording, events, lag_s=2.0).values.tolist()
    ['rest', 'rest', 'face', 'face', 'rest']
    """
    time = _clock(recording)
    subject = name_of(recording)
    table = _checked_events(events)
    if column not in table or table[column].isna().any():
        raise DataError(
            "events without a label",
            expected=f"a column {column!r} without empty cells",
            found=", ".join(map(str, table.columns)),
            subject=subject,
            field=column,
        )
    names = table[column].astype(str).to_numpy()
    onset = table["onset"].to_numpy() + lag_s - _TOLERANCE_S
    first = np.searchsorted(time, onset)
    last = np.searchsorted(time, onset + table["duration"].to_numpy())
    is_point = table["duration"].to_numpy() == 0
    near = np.append(time, np.inf)[first] - onset < _step(recording)
    last = np.where(is_point & near, first + 1, last)
    labels = np.full(len(time), -1)
    for number, (start, stop) in enumerate(zip(first, last, strict=True)):
        taken = labels[start:stop]
        other = taken[(taken >= 0) & (names[taken] != names[number])]
        if len(other):
            raise DataError(
                "events with different labels overlap",
                expected="at most one label per sample",
                found=f"{names[other[0]]!r} and {names[number]!r} at {time[start]:g} s",
                fix="Shorten one, or label from a column in which they agree.",
                subject=subject,
                field=column,
            )
        labels[start:stop] = number
    empty = int((last <= first).sum())
    if empty == len(names):
        raise DataError(
            "no event meets a sample",
            expected=f"onsets within {time[0]:g} to {time[-1]:g} s",
            found=f"{len(names)} events" + (f", the first at {onset[0]:g} s" if len(names) else ""),
            fix="Are onsets in seconds, on the recording's clock?",
            subject=subject,
            field="onset",
        )
    values = np.where(labels < 0, rest, names[labels]).astype(str)
    dropped = [f"{empty} of {len(names)} events, which meet no sample"] if empty else []
    return xr.DataArray(
        values,
        dims="time",
        coords={"time": recording["time"]},
        name="label",
        attrs={"dropped": dropped},
    )


def _clock(recording: xr.Dataset) -> np.ndarray:
    """The time of each sample, if it is seconds that increase throughout."""
    time = recording["time"].values
    if recording.attrs["time_axis"] != "seconds" or (np.diff(time) <= 0).any():
        raise DataError(
            "the recording has no clock that events can be placed on",
            expected="time in seconds that increases from the first sample to the last",
            found=f"time_axis {recording.attrs['time_axis']!r}",
            fix="Give the rate when reading, and treat runs with a clock of their own one by one.",
            subject=name_of(recording),
            field="time",
        )
    return time


def _step(recording: xr.Dataset) -> float:
    rate = recording.attrs["rate_hz"]
    if rate is not None:
        return 1 / rate
    return float(np.median(np.diff(recording["time"].values))) if recording.sizes["time"] > 1 else 0


def epochs(
    recording: xr.Dataset, events: pd.DataFrame, t_min_s: float, t_max_s: float
) -> xr.DataArray:
    """Cut out the signal around each event.

    Parameters
    ----------
    recording : Dataset
        With a rate, and time in seconds on the events' clock.
    events : DataFrame
        BIDS columns ``onset`` and ``duration`` (s); all its columns are kept as coordinates.
    t_min_s, t_max_s : float
        From when to when, relative to the onset, both included.

    Returns
    -------
    DataArray of shape (n_events, n_times, n_units)
        Dimensions ``event``, ``time`` (relative to the sample nearest to the onset, in s) and
        ``unit``. An epoch that would leave the recording or cross a gap is left out and counted in
        ``attrs["dropped"]``.

    Raises
    ------
    DataError
        If the recording has no rate, the limits hold no sample, or no epoch is complete.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from neuroml.data import epochs, make_recording
    >>> recording = make_recording(np.arange(10.0)[:, None], rate_hz=1.0, modality="calcium")
    >>> events = pd.DataFrame({"onset": [2.0, 9.0], "duration": [0.0, 0.0]})
    >>> cut = epochs(recording, events, -1.0, 2.0)
    >>> cut.shape, cut.values[0, :, 0].tolist(), cut.attrs["dropped"]
    ((1, 4, 1), [1.0, 2.0, 3.0, 4.0], ['1 of 2 epochs, which leave the recording or cross a gap'])
    """
    time, rate, subject = _clock(recording), recording.attrs["rate_hz"], name_of(recording)
    if rate is None:
        raise DataError("epochs need a sampling rate", subject=subject, field="rate_hz")
    table = _checked_events(events)
    first = math.ceil(t_min_s * rate - _TOLERANCE_S)
    last = math.floor(t_max_s * rate + _TOLERANCE_S)
    if last < first:
        raise DataError(
            "the limits hold no sample",
            expected=f"t_min_s <= t_max_s, at {rate:g} Hz",
            found=(t_min_s, t_max_s),
        )
    offsets = np.arange(first, last + 1)
    onset = table["onset"].to_numpy()
    middle = (time[1:] + time[:-1]) / 2
    nearest = np.searchsorted(middle, onset)
    rows = nearest[:, None] + offsets
    inside = ((rows >= 0) & (rows < len(time))).all(axis=1)
    segment = recording["segment"].values
    of_rows = segment[np.clip(rows, 0, len(time) - 1)]
    on_sample = np.abs(time[nearest] - onset) <= 0.5 / rate + _TOLERANCE_S
    complete = inside & on_sample & (of_rows == segment[nearest][:, None]).all(axis=1)
    if not complete.any():
        raise DataError(
            "no epoch is complete",
            expected=f"onsets with {t_min_s:g} to {t_max_s:g} s around them within a segment",
            found=f"{len(table)} events",
            fix="Are onsets in seconds, on the recording's clock?",
            subject=subject,
            field="onset",
        )
    n_lost = int((~complete).sum())
    note = f"{n_lost} of {len(table)} epochs, which leave the recording or cross a gap"
    kept = table[complete]
    coords: dict[str, Any] = {
        "time": offsets / rate,
        "unit": recording["unit"].values,
        "event": np.flatnonzero(complete),
        **{str(name): ("event", kept[name].to_numpy()) for name in kept},
    }
    return xr.DataArray(
        recording["signal"].values[rows[complete]],
        dims=("event", "time", "unit"),
        coords=coords,
        name="epochs",
        attrs={"dropped": [note] if n_lost else [], "value_units": recording.attrs["value_units"]},
    )


def resample_to(recording: xr.Dataset, reference: xr.Dataset) -> xr.Dataset:
    """Bring a recording onto the time axis of another one.

    Each segment is treated for itself. If the reference is slower, frequencies that it cannot
    carry are removed first (Butterworth low-pass at 0.8 times the reference's Nyquist frequency,
    eighth order, forward and backward); then values at its times are read off a cubic spline.

    Parameters
    ----------
    recording : Dataset
        With a rate; its ``signal``, ``covariates`` and ``confounds`` are resampled, other
        variables on its time axis are left out.
    reference : Dataset
        On the same clock.

    Returns
    -------
    xarray.Dataset
        The recording at the reference's times. Where the reference has no counterpart (before,
        after, or within a gap) the values are NaN, counted in ``attrs["dropped"]``. Segments break
        where either recording's do.

    Raises
    ------
    DataError
        If values are missing, one has no rate, the two do not overlap, or the signal is counts,
        which must be binned anew instead.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.data import make_recording, resample_to
    >>> slow = make_recording(np.arange(5.0)[:, None], rate_hz=1.0, modality="fmri")
    >>> fast = make_recording(np.zeros((8, 1)), rate_hz=2.0, modality="calcium")
    >>> resample_to(slow, fast).signal.values.ravel().round(9).tolist()
    [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5]
    """
    subject = name_of(recording)
    if recording.attrs["modality"] == "spikes":
        raise DataError(
            "counts cannot be resampled",
            fix="Bin the spikes again with read_spikes(..., bin_s=), on the reference's clock.",
            subject=subject,
        )
    old, new = _clock(recording), _clock(reference)
    rates = [item.attrs["rate_hz"] for item in (recording, reference)]
    if None in rates:
        raise DataError("both recordings need a rate", found=rates, subject=subject)
    tables = [name for name in ("signal", "covariates", "confounds") if name in recording]
    source = np.full(len(new), -1)
    values = {name: np.full((len(new), recording[name].shape[1]), np.nan) for name in tables}
    for number, part in enumerate(session_slices(recording["segment"].values)):
        covered = (new >= old[part][0] - _TOLERANCE_S) & (new <= old[part][-1] + _TOLERANCE_S)
        source[covered] = number
        for name in tables:
            values[name][covered] = _at_times(
                recording[name].values[part], old[part], new[covered], rates, subject
            )
    covered = source >= 0
    if not covered.any():
        raise DataError(
            "the recordings do not overlap in time",
            expected=f"{new[0]:g} to {new[-1]:g} s",
            found=f"{old[0]:g} to {old[-1]:g} s",
            subject=subject,
            field="time",
        )
    result = recording.drop_dims("time").assign_attrs(rate_hz=rates[1])
    result = result.assign_coords(time=new, segment=("time", _joint_segments(reference, source)))
    for name in tables:
        result[name] = (recording[name].dims, values[name])
    if not covered.all():
        note = f"{int((~covered).sum())} of {len(new)} samples of the reference are not covered"
        result = result.assign_attrs(dropped=[*recording.attrs["dropped"], note])
    return validate_recording(result)


def _joint_segments(reference: xr.Dataset, source: np.ndarray) -> np.ndarray:
    """Ids that change where the reference's segments, or the source of the values, change."""
    breaks = np.zeros(len(source), dtype=bool)
    breaks[break_points(reference["segment"].values)] = True
    breaks[break_points(source)] = True
    return np.cumsum(breaks) - 1


def _at_times(
    values: np.ndarray, old: np.ndarray, new: np.ndarray, rates: list[float], subject: str
) -> np.ndarray:
    """Values (n_old, n_columns) of one segment at new times within it."""
    present = ~np.isnan(values).all(axis=0)
    if not np.isfinite(values[:, present]).all():
        raise DataError(
            "values are missing", expected="finite numbers", subject=subject, field="signal"
        )
    result = np.full((len(new), values.shape[1]), np.nan)
    if not len(new) or not present.any():
        return result
    given = values[:, present].astype(np.float64)
    if rates[1] < rates[0]:
        given = _without_fast(given, rates, subject)
    if len(old) == 1:
        result[:, present] = given
    else:
        result[:, present] = CubicSpline(old, given, axis=0)(new)
    return result


def _without_fast(values: np.ndarray, rates: list[float], subject: str) -> np.ndarray:
    sos = butter(_FILTER_ORDER, _PASSED * rates[1] / 2, fs=rates[0], output="sos")
    padding = 3 * (2 * len(sos) + 1)
    if len(values) <= padding:
        raise DataError(
            "a segment is too short to filter",
            expected=f"more than {padding} samples",
            found=len(values),
            fix="Drop it first.",
            subject=subject,
            field="segment",
        )
    return sosfiltfilt(sos, values, axis=0)
