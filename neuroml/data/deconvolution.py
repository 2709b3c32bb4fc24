"""Events behind calcium traces: thresholded deconvolution with a decaying kernel."""

from __future__ import annotations

import numba
import numpy as np
import xarray as xr

from neuroml._core.recording import name_of, validate_recording
from neuroml._core.validation import session_slices
from neuroml.data._units import are_counts, is_deconvolved, with_signal
from neuroml.exceptions import DataError

__all__ = ["check_signal", "checked_threshold", "detect_events"]

_THRESHOLD_SD = 3.0
_TO_SD = 1 / 0.6744897501960817
"""A Gaussian's standard deviation over its median absolute deviation."""
_ONE_SD = 0.8413447460685429
"""The share of a Gaussian below one standard deviation."""
_N_LAGS = 10
_MIN_SAMPLES = 20
_RISE_S = 0.2
"""As long as the slowest indicator of Chen et al. (2013) rises after one action potential."""
_BASELINE_STEPS = 10


def detect_events(recording: xr.Dataset, *, threshold: float | None = None) -> xr.Dataset:
    r"""Detect calcium events, as counts for models of spikes.

    Of a dF/F trace :math:`y`, calcium is modeled as a baseline and a sum of steps that decay,

    .. math:: y_t = b + c_t + \epsilon_t, \qquad c_t = \gamma c_{t-1} + s_t,

    where each step is zero or at least ``threshold`` standard deviations of the noise
    (OASIS with a smallest step: Friedrich et al. 2017, in time linear in the length). An event is a
    step; further steps up to 0.2 s later (or on the next frame), as of an indicator that rises over
    several frames, belong to the event, which stands on the first of them.

    What is assumed: one indicator whose transients all decay at one rate; a rise that is short to
    that; events of at least ``threshold`` noise levels; noise that is independent from frame to
    frame. The number of action potentials in an event is not known: a burst counts one every
    0.2 s, and single ones may be too small to be seen. So events say when a cell became active,
    and their rate is lower than that of its action potentials.

    Parameters
    ----------
    recording : Dataset
        Calcium in dF/F, or deconvolved (``value_units`` "dF/F", or with the word "deconvolved").
    threshold : float, optional
        The smallest event, in standard deviations of the unit's noise; 3 if not given.

        The noise of dF/F is measured from the differences of successive frames (the median of their
        absolute values). A deconvolved trace has no values below zero: its noise is the value below
        which 84 % of its samples are, as of a Gaussian cut off at zero; where that is zero, the
        trace is sparse already, and each sample above zero is an event.

    Returns
    -------
    xarray.Dataset
        A new recording of 0 and 1 per frame, with value_units "count" (`bin_time` with
        ``how="sum"`` makes counts of wider bins). Missing values (NaN) stay missing; what stands on
        either side of them, or of a gap, is treated as a trace of its own, whose first frame has no
        event, since nothing says what came before. The coordinate ``noise (unit,)`` is the noise
        level; for dF/F, ``attrs["decay_s"]`` is the time constant of the decay.

    Raises
    ------
    DataError
        If the signal is neither dF/F nor deconvolved, no decay can be measured from its
        autocorrelation (set ``attrs["decay_s"]`` to what is known of the indicator), a unit has
        fewer than 20 samples or no noise, or the recording has no rate.

    Notes
    -----
    The decay is that of the autocorrelation from one frame to ten, pooled over the units: noise
    that is independent from frame to frame adds to none of these. ``attrs["decay_s"]`` of the
    recording (s) takes its place where it is there. A baseline per unit and stretch is found in
    turns with the calcium, as the median of what the calcium leaves.

    References
    ----------
    Friedrich, J., Zhou, P. & Paninski, L. (2017). Fast online deconvolution of calcium imaging
    data. PLoS Computational Biology 13, e1005423.

    Chen, T.-W. et al. (2013). Ultrasensitive fluorescent proteins for imaging neuronal activity.
    Nature 499, 295-300 (the rise of GCaMP6: from 0.05 to 0.18 s).

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.data import detect_events, make_recording
    >>> steps = np.zeros(300)
    >>> steps[[50, 120, 200]] = 1.0
    >>> calcium = np.convolve(steps, np.exp(-np.arange(60) / 10))[:300]
    >>> noisy = calcium + np.random.default_rng(0).normal(0, 0.1, 300)
    >>> recording = make_recording(
    ...     noisy[:, None], rate_hz=10.0, modality="calcium", value_units="dF/F"
    ... )
    >>> np.flatnonzero(detect_events(recording).signal.values).tolist()
    [50, 120, 200]
    """
    n_sd = checked_threshold(threshold)
    sparse = check_signal(recording)
    values = recording["signal"].values.astype(np.float64)
    stretches = [_finite_runs(unit, recording["segment"].values) for unit in values.T]
    about = {}
    if sparse:
        noise = _noise_of_deconvolved(values)
    else:
        noise = _noise_of_traces(values, stretches, recording)
        decay_s = recording.attrs.get("decay_s") or _decay(values, noise, stretches, recording)
        about["decay_s"] = float(decay_s)
    events = np.where(np.isfinite(values), 0.0, np.nan)
    for unit, parts in enumerate(stretches):
        for part in parts:
            if sparse:
                is_step = values[part, unit] > n_sd * noise[unit]
            else:
                gamma = np.exp(-1 / (decay_s * recording.attrs["rate_hz"]))
                is_step = _steps(values[part, unit], gamma, n_sd * noise[unit]) > 0
            events[part, unit] = _onsets(is_step, recording.attrs["rate_hz"])
    found = with_signal(recording, events)
    found = found.assign_coords(noise=("unit", noise))
    return validate_recording(found.assign_attrs(value_units="count", **about))


def checked_threshold(threshold: float | None) -> float:
    """The smallest event in standard deviations of the noise."""
    n_sd = _THRESHOLD_SD if threshold is None else threshold
    if not (np.isfinite(n_sd) and n_sd > 0):
        raise DataError(
            "threshold is not a number of standard deviations",
            expected="> 0",
            found=threshold,
            field="threshold",
        )
    return n_sd


def _onsets(is_step: np.ndarray, rate_hz: float | None) -> np.ndarray:
    """The first of the steps that belong to one rise."""
    dead = max(1, round(_RISE_S * rate_hz)) if rate_hz else 1
    onsets = np.zeros(len(is_step))
    last = -dead - 1
    for at in np.flatnonzero(is_step):
        if at - last > dead:
            onsets[at], last = 1.0, int(at)
    return onsets


def check_signal(recording: xr.Dataset) -> bool:
    """Whether the signal is deconvolved; refused if it is neither that nor dF/F."""
    units, subject = recording.attrs["value_units"], name_of(recording)
    if are_counts(recording) or recording.attrs["modality"] != "calcium":
        raise DataError(
            "events are detected in calcium",
            expected="modality 'calcium', in dF/F or deconvolved",
            found=f"{recording.attrs['modality']} in {units or 'unknown units'}",
            subject=subject,
            field="value_units",
        )
    sparse = is_deconvolved(recording)
    if units != "dF/F" and not sparse:
        raise DataError(
            "the signal may be raw fluorescence, whose baseline and scale differ between cells",
            expected="value_units 'dF/F' or 'deconvolved'",
            found=repr(units),
            fix="Pass it through delta_f_over_f first; if it is dF/F or deconvolved, say so by "
            "value_units= when reading.",
            subject=subject,
            field="value_units",
        )
    if recording.attrs["rate_hz"] is None and not sparse:
        raise DataError(
            "a decay needs a sampling rate",
            expected="rate_hz",
            found=None,
            fix="Give the rate when reading.",
            subject=subject,
            field="rate_hz",
        )
    return sparse


def _finite_runs(values: np.ndarray, segment: np.ndarray) -> list[slice]:
    """The stretches of one unit without a gap or a missing value."""
    is_there = np.isfinite(values)
    breaks = np.r_[True, (np.diff(segment) != 0) | (np.diff(is_there) != 0)]
    parts = session_slices(np.cumsum(breaks))
    return [part for part in parts if is_there[part.start]]


def _noise_of_deconvolved(values: np.ndarray) -> np.ndarray:
    """Standard deviation per unit of noise that was cut off at zero; NaN where nothing is there."""
    return np.array(
        [
            np.quantile(unit[np.isfinite(unit)], _ONE_SD) if np.isfinite(unit).any() else np.nan
            for unit in values.T
        ]
    )


def _noise_of_traces(
    values: np.ndarray, stretches: list[list[slice]], recording: xr.Dataset
) -> np.ndarray:
    """Standard deviation per unit of what differs from frame to frame."""
    noise = np.full(values.shape[1], np.nan)
    for unit, parts in enumerate(stretches):
        steps = np.concatenate([np.diff(values[part, unit]) for part in parts] or [np.zeros(0)])
        if not parts:
            continue
        noise[unit] = np.median(np.abs(steps)) * _TO_SD / np.sqrt(2) if len(steps) else 0.0
        if len(steps) + len(parts) < _MIN_SAMPLES or noise[unit] == 0:
            raise DataError(
                "the noise of a unit cannot be measured",
                expected=f"{_MIN_SAMPLES} samples or more that differ from frame to frame",
                found=f"{len(steps) + len(parts)} samples, noise {noise[unit]:g}",
                fix="Leave the unit out; if the signal is deconvolved, say so by value_units=.",
                subject=name_of(recording),
                field=str(recording["unit"].values[unit]),
            )
    return noise


def _decay(
    values: np.ndarray, noise: np.ndarray, stretches: list[list[slice]], recording: xr.Dataset
) -> float:
    """Time constant (s) of the units' autocorrelation, from one frame on."""
    pooled, n_pairs = np.zeros(_N_LAGS), 0
    for unit, parts in enumerate(stretches):
        for part in parts:
            centered = (values[part, unit] - values[part, unit].mean()) / noise[unit]
            n_pairs += len(centered) - 1
            for lag in range(1, min(_N_LAGS, len(centered) - 1) + 1):
                pooled[lag - 1] += centered[:-lag] @ centered[lag:]
    # least squares of acov(k + 1) = gamma acov(k)
    gamma = pooled[:-1] @ pooled[1:] / (pooled[:-1] @ pooled[:-1]) if pooled.any() else 0.0
    # the sum of n products of independent noise has the standard deviation sqrt(n)
    is_noise = pooled[0] <= _THRESHOLD_SD * np.sqrt(n_pairs)
    if is_noise or not 0 < gamma < 1:
        raise DataError(
            "no decay can be measured from the autocorrelation",
            expected="transients that are longer than a frame and shorter than the recording",
            found="noise alone" if is_noise else f"{gamma:.3g} from one frame to the next",
            fix="Set attrs['decay_s'] to the indicator's decay in seconds.",
            subject=name_of(recording),
            field="decay_s",
        )
    return float(-1 / (np.log(gamma) * recording.attrs["rate_hz"]))


def _steps(values: np.ndarray, gamma: float, smallest: float) -> np.ndarray:
    """Steps of the calcium of one stretch, with the baseline that leaves a median of zero."""
    baseline = float(np.median(values))
    for _ in range(_BASELINE_STEPS):
        calcium = _oasis(values - baseline, gamma, smallest)
        moved = float(np.median(values - calcium)) - baseline
        baseline += moved
        if abs(moved) <= 0.01 * smallest:
            break
    calcium = _oasis(values - baseline, gamma, smallest)
    steps = np.r_[0.0, calcium[1:] - gamma * calcium[:-1]]
    return np.where(steps > (1 - 1e-9) * smallest, steps, 0.0)  # others come from a pool below zero


@numba.njit(cache=True, nogil=True)
def _oasis(values: np.ndarray, gamma: float, smallest: float) -> np.ndarray:
    """Calcium whose steps are 0 or at least ``smallest`` (Friedrich et al. 2017, algorithm 2)."""
    n = len(values)
    level, weight = np.empty(n), np.empty(n)  # of each pool: its first value, and its weight
    start, length = np.empty(n, np.int64), np.empty(n, np.int64)
    last = -1
    for t in range(n):
        last += 1
        level[last], weight[last], start[last], length[last] = values[t], 1.0, t, 1
        while last > 0:
            decayed = gamma ** length[last - 1]
            if level[last] >= decayed * level[last - 1] + smallest:
                break
            # join the pool to the one before: least squares of both under one decay
            joint = weight[last - 1] + decayed**2 * weight[last]
            level[last - 1] = (
                weight[last - 1] * level[last - 1] + decayed * weight[last] * level[last]
            ) / joint
            weight[last - 1] = joint
            length[last - 1] += length[last]
            last -= 1
    calcium = np.empty(n)
    for pool in range(last + 1):
        current = max(level[pool], 0.0)
        for t in range(start[pool], start[pool] + length[pool]):
            calcium[t] = current
            current *= gamma
    return calcium
