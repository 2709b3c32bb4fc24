"""Behavior and stimuli beside a recording, joined by time."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import xarray as xr

from neuroml._core.recording import name_of, validate_recording
from neuroml._core.validation import did_you_mean, list_some, session_slices
from neuroml.data._columns import as_numbers, is_of_numbers, refuse_decimal_commas
from neuroml.data._matrix import may_be_seconds
from neuroml.data._poses import is_pose_file, read_poses
from neuroml.data._tables import read_text_table
from neuroml.data._time import GAP, clock_of
from neuroml.exceptions import DataError

__all__ = ["add_covariates", "check_clock"]

_TOLERANCE_S = 1e-6
_ROW_TIME = "seconds of the row"
_NO_WORD = "n/a"
"""A missing word, as BIDS writes it: a text variable has no NaN that every format can store."""


def add_covariates(
    recording: xr.Dataset,
    table: pd.DataFrame | Path | str,
    *,
    time: str | None = None,
    columns: Sequence[str] | None = None,
    how: Literal["previous", "linear"] = "previous",
    rate_hz: float | None = None,
    min_likelihood: float | None = None,
) -> xr.Dataset:
    """Join behavior or stimuli to a recording by time.

    Parameters
    ----------
    recording : Dataset
        With time in seconds on the table's clock.
    table : DataFrame or path-like
        One row per moment, in order of time; tables (csv, tsv, txt, or parquet, which needs
        pyarrow) are read, and so are the CSV files of DeepLabCut and the analysis files (HDF5) of
        SLEAP, with a row per video frame: their columns are ``nose_x``, ``nose_y`` and
        ``nose_likelihood`` (SLEAP: ``nose_score``), with the animal before them if there are
        several.
    time : str, optional
        The column of the moments, in seconds.
    columns : sequence of str, optional
        The columns to join; all but ``time`` if not given.
    how : {"previous", "linear"}
        What a sample gets from the rows around it. "previous": the values of the last row at or
        before it, such as the stimulus that is on, across gaps too. "linear": a straight line from
        that row to the next one, for what is measured all along, such as running speed. No line is
        drawn across a gap: if the two rows are more than 1.5 times the table's median step apart,
        or if one of them lies in the time of another segment of the recording. A missing value in
        a row (NaN) is missing on its samples, and on the line to either side.
    rate_hz : float, optional
        In place of ``time``: rows per second, such as the frames of a video whose first one was
        taken at 0 s on the recording's clock.
    min_likelihood : float, optional
        Tracked positions with a lower likelihood (SLEAP: score) are missing, and the likelihoods
        are not joined.

    Returns
    -------
    xarray.Dataset
        A new recording with the columns among its covariates. Columns of text become variables on
        time, for ``stack(recordings, target=)``. Samples before the first row, after the last one
        (within a microsecond), or in a gap get NaN (text: "n/a"), never a value further off;
        how many there are stands in ``attrs["dropped"]``.

    Raises
    ------
    DataError
        If the recording has no clock, a column is unknown or there already, the table's time does
        not increase or may not be in seconds, text were to be interpolated, or no sample lies
        within the table.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from neuroml.data import add_covariates, make_recording
    >>> recording = make_recording(np.zeros((5, 1)), rate_hz=1.0, modality="calcium")
    >>> speed = pd.DataFrame({"t": [1.0, 2.0, 3.5], "speed": [2.0, 4.0, 7.0]})
    >>> add_covariates(recording, speed, time="t").covariates.values.ravel().tolist()
    [nan, 2.0, 4.0, 4.0, nan]
    >>> joined = add_covariates(recording, speed, time="t", how="linear")
    >>> joined.covariates.values.ravel().tolist()
    [nan, 2.0, 4.0, 6.0, nan]
    """
    if how not in ("previous", "linear"):
        raise DataError("unknown way to join", expected=("previous", "linear"), found=repr(how))
    check_clock(time, rate_hz)
    rows, file = _rows(table, min_likelihood)
    if rate_hz is not None:
        rows = rows.assign(**{_ROW_TIME: np.asarray(rows.index, dtype=np.float64) / rate_hz})
    time, rows = time or _ROW_TIME, rows.reset_index(drop=True)
    names = _chosen(recording, rows, time, columns, file)
    moments = _moments(rows[time], file)
    at = clock_of(recording)
    before, outside = _rows_before(moments, at, recording, file)
    words = [name for name in names if not is_of_numbers(rows[name])]
    refuse_decimal_commas(rows[words], file)
    numbers = [name for name in names if name not in words]
    if how == "linear":
        _check_no_text(words, file)
    values = np.column_stack(
        [as_numbers(rows[n], file) for n in numbers] or [np.empty((len(rows), 0))]
    )
    if how == "linear":
        joined, in_gap = _on_lines(values, moments, at, before, recording["segment"].values)
        in_gap &= ~outside
    else:
        joined, in_gap = values[before], np.zeros(len(at), dtype=bool)
    joined[outside] = np.nan
    result = _with_covariates(recording, numbers, joined)
    for name in words:
        text = rows[name].astype(object).where(rows[name].notna(), _NO_WORD).astype(str)
        result[name] = ("time", np.where(outside, _NO_WORD, text.to_numpy(dtype=str)[before]))
    return validate_recording(
        result.assign_attrs(
            dropped=[*recording.attrs["dropped"], *_notes(outside, in_gap, moments, names)]
        )
    )


def check_clock(time: str | None, rate_hz: float | None) -> None:
    """Refuse rows whose moments are not given, or given twice."""
    if (time is None) == (rate_hz is None):
        raise DataError(
            "it is not known when the rows were taken",
            expected="time=, a column of seconds, or rate_hz=, rows per second from 0 s on",
            found="neither" if time is None else "both",
            field="time",
        )
    if rate_hz is not None and not (np.isfinite(rate_hz) and rate_hz > 0):
        raise DataError("rate_hz is not a frequency", expected="> 0", found=rate_hz)


def _rows(
    table: pd.DataFrame | Path | str, min_likelihood: float | None
) -> tuple[pd.DataFrame, Path | None]:
    """The rows, by frame where they are those of a video."""
    if not isinstance(table, pd.DataFrame) and is_pose_file(Path(table)):
        return read_poses(Path(table), min_likelihood), Path(table)
    if min_likelihood is not None:
        raise DataError(
            "min_likelihood is for tracked positions",
            expected="a CSV file of DeepLabCut, or an analysis file of SLEAP",
            found="another table",
            field="min_likelihood",
        )
    if isinstance(table, pd.DataFrame):
        return table.reset_index(drop=True), None
    return read_text_table(table).columns, Path(table)


def _chosen(
    recording: xr.Dataset,
    rows: pd.DataFrame,
    time: str,
    columns: Sequence[str] | None,
    file: Path | None,
) -> list[str]:
    """The columns to join, if they are there and their names are free."""
    if isinstance(columns, str):
        raise DataError("columns is not a list", expected=f"[{columns!r}]", field="columns")
    for name in [time, *(columns or ())]:
        if name not in rows:
            raise DataError(
                f"there is no column {name!r}{did_you_mean(name, map(str, rows))}".rstrip("?"),
                expected=f"one of {list_some(list(rows))}",
                file=file,
                field="time" if name == time else "columns",
            )
    names = [str(name) for name in rows if name != time] if columns is None else list(columns)
    taken = {str(name) for name in (*recording.variables, *recording["unit"].values)}
    taken |= (
        {str(name) for name in recording["feature"].values} if "feature" in recording else set()
    )
    known = sorted(taken & set(names)) or sorted({n for n in names if names.count(n) > 1})
    if known or not names:
        raise DataError(
            "the recording has something of that name already" if known else "nothing to join",
            expected="columns with names of their own",
            found=list_some(known) if known else "no column beside the time",
            fix="Rename them in the table, or leave them out with columns=." if known else None,
            subject=name_of(recording),
            field="columns",
        )
    return names


def _rows_before(
    moments: np.ndarray, at: np.ndarray, recording: xr.Dataset, file: Path | None
) -> tuple[np.ndarray, np.ndarray]:
    """The last row at or before each sample, and which samples lie outside of the table."""
    before = np.searchsorted(moments, at + _TOLERANCE_S, side="right") - 1
    outside = (before < 0) | (at > moments[-1] + _TOLERANCE_S)
    if outside.all():
        raise DataError(
            "no sample of the recording lies within the table's time",
            expected=f"rows within {at[0]:g} to {at[-1]:g} s",
            found=f"rows from {moments[0]:g} to {moments[-1]:g} s",
            fix="Are both in seconds on one clock? Add the offset to the table's column.",
            file=file,
            subject=name_of(recording),
            field="time",
        )
    return np.where(outside, 0, before), outside


def _check_no_text(words: list[str], file: Path | None) -> None:
    if words:
        raise DataError(
            "text cannot be interpolated",
            expected="columns of numbers",
            found=list_some(words),
            fix="Pass columns= without them, and join them with how='previous'.",
            file=file,
            field="columns",
        )


def _moments(column: pd.Series, file: Path | None) -> np.ndarray:
    """Seconds that increase from row to row."""
    name = str(column.name)
    if not may_be_seconds(name):
        raise DataError(
            "the moments are not in seconds, by their name",
            expected="seconds",
            found=name,
            fix="Convert them, and name the column accordingly.",
            file=file,
            field="time",
        )
    moments = as_numbers(column, file)
    steps = np.diff(moments)
    if not len(moments) or np.isnan(moments).any() or (steps <= 0).any():
        at = int(np.argmax(~(steps > 0))) if len(steps) else 0
        raise DataError(
            "the table's time does not increase",
            expected="a time in each row, later than that of the row before",
            found=f"{moments[at : at + 2].tolist()} in rows {at + 1} and {at + 2}",
            fix="Sort the rows by time, and keep one of those at the same time.",
            file=file,
            field=name,
        )
    return moments


def _on_lines(
    values: np.ndarray, moments: np.ndarray, at: np.ndarray, before: np.ndarray, segment: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Values (n_times, n_columns) on straight lines between rows, and which samples lie in gaps."""
    on_row = np.abs(at - moments[before]) <= _TOLERANCE_S
    after = np.minimum(before + 1, len(moments) - 1)
    step = moments[after] - moments[before]
    longest = GAP * np.median(np.diff(moments)) if len(moments) > 1 else 0.0
    # neither row may belong to the time of another segment
    low, high = np.full(len(at), -np.inf), np.full(len(at), np.inf)
    parts = session_slices(segment)
    for earlier, later in itertools.pairwise(parts):
        low[later], high[earlier] = at[earlier][-1], at[later][0]
    crosses = (moments[before] <= low) | (moments[after] >= high)
    in_gap = ~on_row & ((step > longest * (1 + _TOLERANCE_S)) | crosses)
    weight = np.where(on_row, 0.0, (at - moments[before]) / np.where(step > 0, step, 1.0))[:, None]
    line = values[before] + weight * (values[after] - values[before])
    joined = np.where(on_row[:, None], values[before], line)
    joined[in_gap] = np.nan
    return joined, in_gap


def _with_covariates(recording: xr.Dataset, names: list[str], values: np.ndarray) -> xr.Dataset:
    """The recording with further columns of its covariates."""
    if not names:
        return recording.copy()
    if "covariates" in recording:
        names = [*map(str, recording["feature"].values), *names]
        values = np.column_stack([recording["covariates"].values, values])
        recording = recording.drop_dims("feature")
    result = recording.assign_coords(feature=np.asarray(names, dtype=str))
    return result.assign(covariates=(("time", "feature"), values))


def _notes(
    outside: np.ndarray, in_gap: np.ndarray, moments: np.ndarray, names: list[str]
) -> list[str]:
    where = {
        f"outside of their table ({moments[0]:g} to {moments[-1]:g} s)": outside,
        "in a gap of their table or the recording": in_gap,
    }
    missing = f"nothing: {list_some(names)} are missing in"
    return [
        f"{missing} {int(which.sum())} of {len(which)} samples {what}"
        for what, which in where.items()
        if which.any()
    ]
