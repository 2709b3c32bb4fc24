"""Cleaning: trends, bands, nuisance signals and bad frames, each stretch for itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from neuroml._core.recording import break_points, name_of, validate_recording
from neuroml._core.validation import session_slices
from neuroml.data._units import with_signal
from neuroml.exceptions import DataError

__all__ = ["checked_band", "clean"]

_DISPLACEMENT = "framewise_displacement"
_PADDING = {0: 0, 1: 18, 2: 33}
"""By how much nilearn's fifth-order filter pads, by the number of its cut-off frequencies."""


def clean(
    recording: xr.Dataset,
    *,
    detrend: bool = True,
    high_pass_hz: float | None = None,
    low_pass_hz: float | None = None,
    confounds: bool | Sequence[str] = True,
    scrub: float | str | ArrayLike | None = None,
    standardize: bool = False,
) -> xr.Dataset:
    """Remove trends, frequencies, nuisance signals and bad frames.

    The work is `nilearn.signal.clean`'s, applied to each segment for itself: nothing is filtered
    or fitted across a gap, and no segment's values depend on another's. That holds for
    ``standardize`` too. What a model is to learn from training data only, such as a common scale,
    belongs into a scikit-learn pipeline instead
    (``make_pipeline(StandardScaler(), model)``).

    Parameters
    ----------
    recording : Dataset
    detrend : bool
        Subtract a straight line, and with it the mean.
    high_pass_hz, low_pass_hz : float, optional
        Keep the frequencies above, or below (Butterworth, fifth order, forward and backward; the
        confounds are filtered alike).
    confounds : bool or sequence of str
        Which of the recording's confounds to regress out: all there are (but the
        ``framewise_displacement`` that serves to scrub), none, or the named ones.
    scrub : float, str or array-like of bool of shape (n_times,), optional
        Frames to remove: True in an array; True in a variable of that name, such as the
        ``outlier`` of `read_fmri`; or where the confound ``framewise_displacement`` exceeds a
        number, in mm. A removed frame breaks its segment in two. Before filtering, its values are
        interpolated, so that they do not leak into the frames beside it.
    standardize : bool
        Scale each unit of each segment to mean 0 and standard deviation 1, over the segment's own
        samples.

    Returns
    -------
    xarray.Dataset
        A new recording without the confounds that were regressed out; what was removed stands in
        ``attrs["dropped"]``. A unit that is missing throughout (NaN) stays so.

    Raises
    ------
    DataError
        If values are missing within a unit or confound, a name is unknown, a frequency cannot be
        had at this rate, or a segment is too short to filter.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.data import clean, make_recording
    >>> drift = np.linspace(0, 5, 100)[:, None] + np.sin(np.arange(100))[:, None]
    >>> recording = make_recording(drift, rate_hz=1.0, modality="fmri")
    >>> float(abs(clean(recording).signal.mean()).round(6))
    0.0
    """
    subject = name_of(recording)
    values = recording["signal"].values
    present = ~np.isnan(values).all(axis=0)
    _check_finite(values[:, present], "signal", subject)
    band = checked_band(recording, high_pass_hz, low_pass_hz)
    bad = _bad_frames(recording, scrub)
    names = _confound_names(recording, confounds, scrub)
    nuisance = recording["confounds"].sel(confound=names).values if names else None
    if nuisance is not None:
        _check_finite(nuisance, "confounds", subject)
    cleaned = np.full_like(values, np.nan)
    for part in session_slices(recording["segment"].values):
        good = np.flatnonzero(~bad[part])
        if len(good):
            try:
                cleaned[part.start + good[:, None], np.flatnonzero(present)] = _clean_segment(
                    values[part][:, present].astype(np.float64),
                    None if nuisance is None else nuisance[part],
                    good,
                    detrend=detrend,
                    standardize=standardize,
                    band=band,
                )
            except DataError as error:
                number = recording["segment"].values[part.start]
                raise error.at(subject=subject, field=f"segment {number}") from error
    result = with_signal(recording, cleaned)
    if names:
        result = result.drop_sel(confound=names)
        if not result.sizes["confound"]:
            result = result.drop_vars(["confounds", "confound"])
    if standardize:
        result = result.assign_attrs(value_units="z")
    return validate_recording(_without(result, bad))


def _clean_segment(
    values: np.ndarray,
    nuisance: np.ndarray | None,
    good: np.ndarray,
    *,
    detrend: bool,
    standardize: bool,
    band: Mapping[str, float],
) -> np.ndarray:
    """Clean one stretch: values (n_times, n_units) in, (n_good, n_units) out."""
    from nilearn.signal import clean as nilearn_clean

    n_confounds = 0 if nuisance is None else nuisance.shape[1]
    _check_length(good, n_confounds + max(2 * detrend, int(standardize)), band)
    if detrend:
        values = _without_line(values, good)
        nuisance = None if nuisance is None else _without_line(nuisance, good)
    cleaned = nilearn_clean(
        values,
        confounds=nuisance,
        sample_mask=None if len(good) == len(values) else good.copy(),
        detrend=False,
        standardize=None,
        **({"t_r": None} | dict(band)),
    )
    return _scaled(cleaned, values[good]) if standardize else cleaned


def _without_line(values: np.ndarray, good: np.ndarray) -> np.ndarray:
    """Subtract the straight line that fits the good frames best, at their true times."""
    at = np.arange(len(values), dtype=np.float64)
    design = np.column_stack([np.ones_like(at), at - at[good].mean()])
    line = np.linalg.lstsq(design[good], values[good], rcond=None)[0]
    return values - design @ line


def _scaled(cleaned: np.ndarray, before: np.ndarray) -> np.ndarray:
    centered = cleaned - cleaned.mean(axis=0)
    spread = centered.std(axis=0, ddof=1)
    flat = spread <= 1e-10 * np.abs(before).max(axis=0)
    if flat.any():
        raise DataError(
            "nothing varies that could be scaled",
            expected="units that still vary after cleaning",
            found=f"{int(flat.sum())} that do not, such as number {int(np.argmax(flat))}",
            fix="Drop these units, or clean without standardize=True.",
        )
    return centered / spread


def _check_length(good: np.ndarray, n_fitted: int, band: Mapping[str, float]) -> None:
    if len(good) <= n_fitted:
        raise DataError(
            "a segment is too short to clean",
            expected=f"more than {n_fitted} frames, one for each trend and confound that is fitted",
            found=f"{len(good)} frames",
            fix="Drop it, or name fewer confounds.",
        )
    span, padding = int(good[-1] - good[0]) + 1, _PADDING[len(band.keys() - {"t_r"})]
    if span <= padding:
        raise DataError(
            "a segment is too short to filter",
            expected=f"more than {padding} frames",
            found=f"{span} frames",
            fix="Drop it, or clean without a filter.",
        )


def _check_finite(values: np.ndarray, field: str, subject: str) -> None:
    n_missing = int((~np.isfinite(values)).sum())
    if n_missing:
        hint = (
            "fMRIPrep leaves the first row of derivatives empty: fill it, or name other confounds."
            if field == "confounds"
            else "Read it with on_nan='interpolate' or 'drop_units'."
        )
        raise DataError(
            "values are missing",
            expected="finite numbers",
            found=f"{n_missing} missing",
            fix=hint,
            subject=subject,
            field=field,
        )


def checked_band(
    recording: xr.Dataset, high_pass_hz: float | None, low_pass_hz: float | None
) -> dict[str, float]:
    """Keywords of nilearn's filter, empty if there is nothing to filter."""
    if high_pass_hz is None and low_pass_hz is None:
        return {}
    rate = recording.attrs["rate_hz"]
    if rate is None:
        raise DataError(
            "a filter needs a sampling rate",
            expected="rate_hz",
            found=None,
            fix="Give the rate, or the TR, when reading.",
            subject=name_of(recording),
            field="rate_hz",
        )
    low, high = high_pass_hz or 0.0, low_pass_hz or rate / 2
    if not (0 <= low < high <= rate / 2) or high_pass_hz == 0 or low_pass_hz == rate / 2:
        raise DataError(
            "the band cannot be had",
            expected=f"0 < high_pass_hz < low_pass_hz < {rate / 2:g} Hz (half the sampling rate)",
            found=f"high_pass_hz={high_pass_hz}, low_pass_hz={low_pass_hz}",
            subject=name_of(recording),
        )
    band = {"t_r": 1 / rate}
    band |= {} if high_pass_hz is None else {"high_pass": float(high_pass_hz)}
    return band | ({} if low_pass_hz is None else {"low_pass": float(low_pass_hz)})


def _known_confounds(recording: xr.Dataset) -> list[str]:
    return [str(name) for name in recording["confound"].values] if "confounds" in recording else []


def _confound_names(
    recording: xr.Dataset, confounds: bool | Sequence[str], scrub: object
) -> list[str]:
    known = _known_confounds(recording)
    if isinstance(confounds, bool):
        for_scrubbing = {_DISPLACEMENT} if isinstance(scrub, int | float) else set()
        return [name for name in known if name not in for_scrubbing] if confounds else []
    absent = [name for name in confounds if name not in known]
    if absent:
        raise DataError(
            "no such confound",
            expected=f"one of {', '.join(known)}"
            if known
            else "none: the recording has no confounds",
            found=", ".join(absent),
            subject=name_of(recording),
            field="confounds",
        )
    return list(confounds)


def _bad_frames(recording: xr.Dataset, scrub: float | str | ArrayLike | None) -> np.ndarray:
    """Which frames to remove, bool (n_times,)."""
    n_times = recording.sizes["time"]
    if scrub is None:
        return np.zeros(n_times, dtype=bool)
    if isinstance(scrub, int | float) and not isinstance(scrub, bool):
        bad = _displaced(recording, scrub)
    elif isinstance(scrub, str):
        if scrub not in recording:
            raise DataError("no such variable", found=scrub, field="scrub")
        bad = recording[scrub].values
    else:
        bad = np.asarray(scrub)
    if bad.shape != (n_times,) or bad.dtype != bool:
        raise DataError(
            "scrub does not mark frames",
            expected=f"{n_times} times True (remove) or False",
            found=f"shape {bad.shape} of {bad.dtype}",
            subject=name_of(recording),
            field="scrub",
        )
    if bad.all():
        raise DataError("no frame is left", subject=name_of(recording), field="scrub")
    return bad


def _displaced(recording: xr.Dataset, threshold_mm: float) -> np.ndarray:
    if _DISPLACEMENT not in _known_confounds(recording):
        raise DataError(
            "scrubbing by a threshold needs the framewise displacement",
            expected=f"a confound {_DISPLACEMENT!r}",
            found=", ".join(_known_confounds(recording)) or "no confounds",
            subject=name_of(recording),
            field="scrub",
        )
    moved = recording["confounds"].sel(confound=_DISPLACEMENT).values.copy()
    starts = break_points(recording["segment"].values)
    moved[starts] = np.nan_to_num(moved[starts])  # nothing comes before the first frame
    _check_finite(moved, _DISPLACEMENT, name_of(recording))
    return moved > threshold_mm


def _without(recording: xr.Dataset, bad: np.ndarray) -> xr.Dataset:
    """Take frames out; what is left on either side becomes segments of their own."""
    if not bad.any():
        return recording
    breaks = np.r_[False, bad[:-1]]
    breaks[break_points(recording["segment"].values)] = True
    _, segment = np.unique(np.cumsum(breaks)[~bad], return_inverse=True)
    kept = recording.isel(time=~bad).assign_coords(segment=("time", segment))
    note = f"{int(bad.sum())} of {len(bad)} frames scrubbed"
    return kept.assign_attrs(dropped=[*recording.attrs["dropped"], note])
