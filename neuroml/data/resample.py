"""One recording on the time axis of another."""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy.interpolate import CubicSpline
from scipy.signal import butter, sosfiltfilt

from neuroml._core.recording import break_points, name_of, validate_recording
from neuroml._core.validation import session_slices
from neuroml.data._time import clock_of
from neuroml.data._units import are_counts
from neuroml.exceptions import DataError

__all__ = ["resample_to"]

_TOLERANCE_S = 1e-6
_FILTER_ORDER = 8
_PASSED = 0.8


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
    if are_counts(recording):
        raise DataError(
            "counts cannot be resampled",
            fix="Bin the spikes again with read_spikes(..., bin_s=), on the reference's clock; "
            "bin_time(..., how='sum') joins bins.",
            subject=subject,
        )
    old, new = clock_of(recording), clock_of(reference)
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
