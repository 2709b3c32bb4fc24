"""From samples to wider bins of time."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import xarray as xr

from neuroml._core.recording import name_of, validate_recording
from neuroml._core.validation import list_some, session_slices
from neuroml.data._units import are_counts
from neuroml.exceptions import DataError

__all__ = ["bin_time", "check_how", "samples_per_bin"]

_TOLERANCE = 1e-3
"""By how much of itself a width may miss a whole number of samples: rates are rounded."""


def bin_time(
    recording: xr.Dataset, *, bin_s: float, how: Literal["mean", "sum"] = "mean"
) -> xr.Dataset:
    """Join neighboring samples to bins of time.

    Bins follow each other from the first sample of each segment. What is left at a segment's end
    and fills no bin is left out and counted in ``attrs["dropped"]``.

    Parameters
    ----------
    recording : Dataset
        With a rate.
    bin_s : float
        Width of a bin in seconds: a whole number of samples, within one part in a thousand.
    how : {"mean", "sum"}
        Traces are averaged. Counts are summed, and then still are counts. Where the recording does
        not say what its values are (``value_units`` is empty), both are possible.

    Returns
    -------
    xarray.Dataset
        A new recording at the lower rate, with the ids of its segments. The time of a bin is the
        mean of its samples' times. The signal is joined as ``how`` says; covariates, confounds and
        other numbers on the time axis are averaged, and other variables on it are left out with a
        note. A bin that misses a sample (NaN) is missing itself, for that unit or covariate: the
        sum is not known, and the mean of the rest is that of another time.

    Raises
    ------
    DataError
        If the recording has no rate, the width is no whole number of samples, no segment holds a
        bin, or counts were to be averaged, or traces summed.

    Examples
    --------
    >>> from neuroml.data import bin_time, read_spikes
    >>> counts = read_spikes({"a": [0.1, 0.3, 0.31]}, bin_s=0.1, start_s=0, stop_s=0.5)
    >>> wide = bin_time(counts, bin_s=0.2, how="sum")
    >>> wide.signal.values.ravel().tolist(), wide.time.values.round(3).tolist()
    ([1.0, 2.0], [0.1, 0.3])
    """
    subject = name_of(recording)
    check_how(recording, how)
    size = samples_per_bin(recording, bin_s)
    parts = session_slices(recording["segment"].values)
    first = [
        np.arange(part.start, part.start + (part.stop - part.start) // size * size, size)
        for part in parts
    ]
    rows = np.concatenate(first)[:, None] + np.arange(size)  # (n_bins, size)
    if not len(rows):
        longest = max(part.stop - part.start for part in parts)
        raise DataError(
            "no segment is as long as a bin",
            expected=f"{size} samples or more",
            found=f"{longest} samples in the longest segment",
            fix="Choose narrower bins.",
            subject=subject,
            field="bin_s",
        )
    time, segment = recording["time"].values, recording["segment"].values
    binned = recording.drop_dims("time").assign_attrs(rate_hz=recording.attrs["rate_hz"] / size)
    binned = binned.assign_coords(
        time=time[rows].mean(axis=1), segment=("time", segment[rows[:, 0]])
    )
    lost, summed = [], ("signal", "neuropil") if how == "sum" else ()  # both are on one scale
    for name, variable in recording.data_vars.items():
        if "time" not in variable.dims:
            continue
        if variable.dims[0] != "time" or variable.dtype.kind not in "iuf":
            lost.append(name)
            continue
        values = variable.values[rows]  # (n_bins, size, ...)
        joined = values.sum(axis=1) if name in summed else values.mean(axis=1)
        binned[name] = (variable.dims, joined, variable.attrs)
    n_rest = len(time) - rows.size
    notes = [f"{n_rest} samples at the ends of segments, which fill no bin"] if n_rest else []
    notes += [f"the variables {list_some(lost)}, which have no mean over time"] if lost else []
    return validate_recording(binned.assign_attrs(dropped=[*recording.attrs["dropped"], *notes]))


def check_how(recording: xr.Dataset, how: str) -> None:
    """Refuse the mean of counts, which is no count, and the sum of a level, which is no level."""
    if how not in ("mean", "sum"):
        raise DataError("unknown way to join samples", expected=("mean", "sum"), found=repr(how))
    values = recording.attrs["value_units"]
    counts = are_counts(recording)
    if (counts and how == "mean") or (values and not counts and how == "sum"):
        raise DataError(
            "counts cannot be averaged and stay counts"
            if counts
            else "the sum of a trace depends on how many samples a bin has",
            expected="how='sum'" if counts else "how='mean'",
            found=f"how={how!r} for a signal in {values or 'counts'}",
            fix=f"Pass how={'sum' if counts else 'mean'!r}"
            + (", and divide by the width for rates." if counts else "."),
            subject=name_of(recording),
            field="how",
        )


def samples_per_bin(recording: xr.Dataset, bin_s: float) -> int:
    """How many samples a bin has, if they are a whole number."""
    rate, subject = recording.attrs["rate_hz"], name_of(recording)
    if rate is None or recording.attrs["time_axis"] != "seconds":
        raise DataError(
            "bins of time need a sampling rate",
            expected="time in seconds, at a rate",
            found=f"time in {recording.attrs['time_axis']}, rate_hz {rate}",
            fix="Give the rate when reading.",
            subject=subject,
            field="rate_hz",
        )
    if not (math.isfinite(bin_s) and bin_s > 0):
        raise DataError("bin_s is not a duration", expected="seconds > 0", found=bin_s)
    exact = bin_s * rate
    size = round(exact)
    if size < 1 or abs(exact - size) > _TOLERANCE * exact:
        near = sorted({max(math.floor(exact), 1), math.ceil(exact)})
        raise DataError(
            "a bin is not a whole number of samples",
            expected=f"a multiple of {1 / rate:.6g} s",
            found=f"{bin_s:g} s, which is {exact:.6g} samples at {rate:g} Hz",
            fix="The nearest widths are " + " and ".join(f"{n / rate:.9g} s" for n in near) + ".",
            subject=subject,
            field="bin_s",
        )
    return size
