"""Fluorescence of cells: the neuropil's share taken out, and changes relative to a baseline."""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy.ndimage import percentile_filter

from neuroml._core.recording import name_of
from neuroml._core.validation import session_slices
from neuroml.data._units import are_counts, is_deconvolved, with_signal
from neuroml.exceptions import DataError

__all__ = [
    "check_baseline_options",
    "check_fluorescence",
    "check_neuropil",
    "delta_f_over_f",
    "subtract_neuropil",
]


def subtract_neuropil(recording: xr.Dataset, weight: float = 0.7) -> xr.Dataset:
    r"""Subtract the weighted neuropil signal, :math:`F - w\,F_{neu}`.

    Parameters
    ----------
    recording : Dataset
        With a variable ``neuropil (time, unit)``, as `read_traces` makes of a Suite2p folder.
    weight : float
        The :math:`w` of the equation, in [0, 1].

    Returns
    -------
    xarray.Dataset
        A new recording without the variable ``neuropil``.

    Raises
    ------
    DataError
        If there is no neuropil, or the weight is not in [0, 1].

    References
    ----------
    Chen, T.-W. et al. (2013). Ultrasensitive fluorescent proteins for imaging neuronal activity.
    Nature 499, 295-300. Suite2p uses the same weight by default.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from neuroml.data import make_recording, subtract_neuropil
    >>> halo = xr.DataArray([[1.0], [2.0]], dims=("time", "unit"))
    >>> recording = make_recording(
    ...     [[5.0], [7.0]], modality="calcium", variables={"neuropil": halo}
    ... )
    >>> subtract_neuropil(recording, 0.5).signal.values.ravel().tolist()
    [4.5, 6.0]
    """
    check_neuropil(recording, weight)
    corrected = recording["signal"] - weight * recording["neuropil"]
    return recording.drop_vars("neuropil").assign(signal=corrected)


def check_neuropil(recording: xr.Dataset, weight: float) -> None:
    """Refuse a recording without neuropil, and a weight that is no fraction."""
    if "neuropil" not in recording:
        raise DataError(
            "the recording has no neuropil signal",
            expected="a variable neuropil (time, unit)",
            found=", ".join(map(str, recording.data_vars)),
            fix="Subtract it before any other step: what rescales the signal leaves it out.",
            subject=name_of(recording),
        )
    if not 0 <= weight <= 1:
        raise DataError("weight is not a fraction", expected="0 to 1", found=weight, field="weight")


def delta_f_over_f(
    recording: xr.Dataset, *, percentile: float = 20.0, window_s: float | None = None
) -> xr.Dataset:
    r"""Relative change of fluorescence, :math:`(F - F_0) / F_0`.

    Parameters
    ----------
    recording : Dataset
        Raw fluorescence, above zero.
    percentile : float
        The baseline :math:`F_0` is this percentile of each unit's values...
    window_s : float, optional
        ...in a window of so many seconds centered on the sample, or if None in the whole segment.

    Returns
    -------
    xarray.Dataset
        A new recording with value_units "dF/F". Each segment has a baseline of its own, from its
        own samples.

    Raises
    ------
    DataError
        If a baseline is not above zero, the signal is dF/F already, or the recording has no rate
        to measure the window with.

    References
    ----------
    Jia, H., Rochefort, N. L., Chen, X. & Konnerth, A. (2011). In vivo two-photon imaging of
    sensory-evoked dendritic calcium signals in cortical neurons. Nature Protocols 6, 28-35.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.data import delta_f_over_f, make_recording
    >>> recording = make_recording([[2.0], [2.0], [3.0]], rate_hz=1.0, modality="calcium")
    >>> delta_f_over_f(recording).signal.values.ravel().tolist()
    [0.0, 0.0, 0.5]
    """
    subject = name_of(recording)
    check_fluorescence(recording)
    check_baseline_options(recording, percentile, window_s)
    rate = recording.attrs["rate_hz"]
    values = recording["signal"].values
    baseline = np.empty_like(values)
    for part in session_slices(recording["segment"].values):
        if window_s is None:
            baseline[part] = np.percentile(values[part], percentile, axis=0)
        else:
            size = min(round(window_s * rate), part.stop - part.start)
            baseline[part] = _running_percentile(values[part], percentile, size)
    low = (baseline <= 0).any(axis=0)
    if low.any():
        raise DataError(
            "the baseline is not above zero, so dF/F has no meaning",
            expected="raw fluorescence above 0",
            found=f"{int(low.sum())} units, such as {recording['unit'].values[low][0]}",
            fix="Use a smaller neuropil weight, add the camera's offset back, or drop the units.",
            subject=subject,
            field="signal",
        )
    changed = with_signal(recording, (values - baseline) / baseline)
    return changed.assign_attrs(value_units="dF/F")


def check_fluorescence(recording: xr.Dataset) -> None:
    """Refuse a signal that has no baseline fluorescence by its units."""
    units = recording.attrs["value_units"]
    if units in ("dF/F", "z") or is_deconvolved(recording) or are_counts(recording):
        raise DataError(
            f"the signal is {units or 'a count'} already, which has no baseline to divide by",
            expected="raw fluorescence",
            found=repr(units),
            fix="Leave delta_f_over_f out, or put it before what made this of the fluorescence.",
            subject=name_of(recording),
            field="value_units",
        )


def check_baseline_options(
    recording: xr.Dataset, percentile: float, window_s: float | None
) -> None:
    """Refuse what is no percentile, and a window that holds no sample."""
    if not 0 <= percentile <= 100:
        raise DataError("not a percentile", expected="0 to 100", found=percentile)
    if window_s is None:
        return
    rate = recording.attrs["rate_hz"]
    if rate is None or not window_s * rate >= 1:
        raise DataError(
            "the window is shorter than a sample, or the recording has no rate",
            expected="window_s of at least one sample",
            found=f"{window_s} s at {rate} Hz",
            subject=name_of(recording),
            field="window_s",
        )


def _running_percentile(values: np.ndarray, percentile: float, size: int) -> np.ndarray:
    """Percentile of each unit in a window of ``size`` samples around each sample."""
    columns = np.ascontiguousarray(values.T)  # SciPy's filter is a hundred times faster in 1-D
    filtered = [percentile_filter(unit, percentile, size=size, mode="nearest") for unit in columns]
    return np.column_stack(filtered)
