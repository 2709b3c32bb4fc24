"""Events and samples: a label per sample, epochs around events."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from neuroml._core.recording import name_of
from neuroml.data._tables import read_text_table
from neuroml.data._time import clock_of
from neuroml.exceptions import DataError

__all__ = ["epochs", "labels_from_events", "read_events"]

_TOLERANCE_S = 1e-6


def read_events(path: Path | str) -> pd.DataFrame:
    """Read a BIDS table of events.

    Parameters
    ----------
    path : path-like
        A tsv (or csv) file with at least the columns ``onset`` and ``duration``, in seconds.

    Returns
    -------
    DataFrame
        Sorted by onset; without rows where the file has none, as of a run without events. A
        duration that is not known (``n/a``) is NaN.

    Raises
    ------
    DataError
        If a column is missing, an onset is not a number, or a duration is neither one nor ``n/a``.
    """
    columns = _columns_without_rows(Path(path))
    if columns is None:
        table = read_text_table(path, text=["trial_type"]).columns
    else:
        table = pd.DataFrame({name: pd.Series(dtype=object) for name in columns})
    return _checked_events(table, file=path)


def _columns_without_rows(path: Path) -> list[str] | None:
    """The names in a table of a header alone, or None if there is more or the file is another."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            lines = [line for _, line in zip(range(3), file, strict=False) if line.strip()]
    except (OSError, UnicodeDecodeError):  # the reader of tables says what is wrong
        return None
    names = [name.strip() for name in re.split(r"[\t,;]", lines[0])] if len(lines) == 1 else []
    return names if {"onset", "duration"} <= set(names) else None


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
        wrong = ~np.isfinite(values)
        if name == "duration":  # the standard allows n/a, which says that it is not known
            wrong = (wrong & events[name].notna().to_numpy()) | (values < 0)
        if wrong.any():
            raise DataError(
                f"an event's {name} cannot be used",
                expected="seconds" + (" or n/a" if name == "duration" else ""),
                found=f"{events[name].tolist()[int(np.argmax(wrong))]!r} in row {np.argmax(wrong)}",
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
    time = clock_of(recording)
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
    if table["duration"].isna().any():
        raise DataError(
            "events whose duration is not known cannot label samples",
            found=f"{int(table['duration'].isna().sum())} of {len(table)} with n/a",
            fix="Fill them in, or drop them: events.dropna(subset=['duration']).",
            subject=subject,
            field="duration",
        )
    first, last = _samples_of(table, time, lag_s, _step(recording))
    n_empty = int((last <= first).sum())
    if n_empty == len(table):
        earliest = f", the first at {table['onset'][0] + lag_s:g} s" if n_empty else ""
        raise DataError(
            "no event meets a sample",
            expected=f"onsets within {time[0]:g} to {time[-1]:g} s",
            found=f"{n_empty} events{earliest}",
            fix="Are onsets in seconds, on the recording's clock?",
            subject=subject,
            field="onset",
        )
    labels = _labeled(table[column].astype(str).to_numpy(), first, last, time, subject)
    note = f"{n_empty} of {len(table)} events, which meet no sample"
    return xr.DataArray(
        [rest if label is None else label for label in labels],
        dims="time",
        coords={"time": recording["time"]},
        name="label",
        attrs={"dropped": [note] if n_empty else []},
    )


def _samples_of(
    table: pd.DataFrame, time: np.ndarray, lag_s: float, step_s: float
) -> tuple[np.ndarray, np.ndarray]:
    """First sample of each event, and the first after it."""
    onset = table["onset"].to_numpy() + lag_s - _TOLERANCE_S
    duration = table["duration"].to_numpy()
    first = np.searchsorted(time, onset)
    last = np.searchsorted(time, onset + duration)
    is_near = np.append(time, np.inf)[first] - onset < step_s
    return first, np.where((duration == 0) & is_near, first + 1, last)


def _labeled(
    names: np.ndarray, first: np.ndarray, last: np.ndarray, time: np.ndarray, subject: str
) -> np.ndarray:
    """The name of the event at each sample, or None; shape (n_times,)."""
    labels = np.full(len(time), None, dtype=object)
    for name, start, stop in zip(names, first, last, strict=True):
        others = set(labels[start:stop]) - {None, name}
        if others:
            raise DataError(
                "events with different labels overlap",
                expected="at most one label per sample",
                found=f"{others.pop()!r} and {name!r} at {time[start]:g} s",
                fix="Shorten one, or label from a column in which they agree.",
                subject=subject,
                field="events",
            )
        labels[start:stop] = name
    return labels


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
    clock_of(recording)
    rate, subject = recording.attrs["rate_hz"], name_of(recording)
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
    rows, complete = _rows_of(recording, table["onset"].to_numpy(), np.arange(first, last + 1))
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
    axes: dict[str, Any] = {
        "time": np.arange(first, last + 1) / rate,
        "unit": recording["unit"].values,
        "event": np.flatnonzero(complete),
    }
    about = {str(name): ("event", table[name].to_numpy()[complete]) for name in table}
    return xr.DataArray(
        recording["signal"].values[rows[complete]],
        dims=("event", "time", "unit"),
        coords=about | axes,
        name="epochs",
        attrs={"dropped": [note] if n_lost else [], "value_units": recording.attrs["value_units"]},
    )


def _rows_of(
    recording: xr.Dataset, onset: np.ndarray, offsets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Samples of each epoch (n_events, n_times), and whether all are there without a gap."""
    time, segment = recording["time"].values, recording["segment"].values
    nearest = np.searchsorted((time[1:] + time[:-1]) / 2, onset)
    rows = nearest[:, None] + offsets
    inside = ((rows >= 0) & (rows < len(time))).all(axis=1)
    of_rows = segment[np.clip(rows, 0, len(time) - 1)]
    limit = 0.5 / recording.attrs["rate_hz"] + _TOLERANCE_S
    is_recorded = np.abs(time[nearest] - onset) <= limit
    return rows, inside & is_recorded & (of_rows == segment[nearest][:, None]).all(axis=1)
