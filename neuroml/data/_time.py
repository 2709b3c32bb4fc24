"""Time axes: their rate, the gaps in them, and whether they are a clock."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from neuroml._core.recording import name_of
from neuroml.exceptions import DataError

__all__ = ["GAP", "clock_of", "rate_and_segments"]

_TOLERANCE = 0.01
_JITTER = 0.05
GAP = 1.5
"""A step longer than this many medians is a gap."""


def rate_and_segments(
    time: ArrayLike, rate_hz: float | None, *, file: object = None
) -> tuple[float | None, np.ndarray]:
    """Return the sampling rate and an id per stretch without a gap.

    Parameters
    ----------
    time : array-like of shape (n_times,)
        Seconds.
    rate_hz : float or None
        What the caller believes.
    file : object, optional
        For messages.

    Returns
    -------
    rate_hz : float or None
        The one given, or one over the mean step outside gaps; None if the steps' standard
        deviation is more than 5 % of their median.
    segment : ndarray of int of shape (n_times,)
        A step longer than 1.5 times the median starts a new one.

    Raises
    ------
    DataError
        If time does not increase, or contradicts ``rate_hz`` by more than 1 %.
    """
    time = np.asarray(time, dtype=np.float64)
    steps = np.diff(time)
    if not np.isfinite(time).all() or (steps <= 0).any():
        at = int(np.argmax(~(steps > 0))) if len(steps) else 0
        raise DataError(
            "time does not increase",
            expected="finite timestamps, each later than the one before",
            found=f"{time[at : at + 2].tolist()} at sample {at}",
            fix="Sort the samples and drop repeated ones.",
            file=file,
            field="time",
        )
    if not len(steps):
        return rate_hz, np.zeros(len(time), dtype=int)
    median = float(np.median(steps))
    is_gap = steps > GAP * median
    within = steps[~is_gap]
    is_regular = bool(within.std() <= _JITTER * median)
    measured = 1 / float(within.mean())
    if rate_hz is not None and abs(measured - rate_hz) > _TOLERANCE * rate_hz:
        raise DataError(
            "the rate contradicts the timestamps",
            expected=f"{rate_hz:g} Hz",
            found=f"{measured:g} Hz if the timestamps are seconds",
            fix="Give timestamps in seconds, or leave one of the two out.",
            file=file,
            field="rate_hz",
        )
    segment = np.r_[0, np.cumsum(is_gap)]
    return (rate_hz or (round(measured, 9) if is_regular else None)), segment


def clock_of(recording: xr.Dataset) -> np.ndarray:
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
