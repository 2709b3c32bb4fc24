"""Units that cannot be used as they stand: missing values and signals that never vary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

import numpy as np
import xarray as xr

from neuroml._core.validation import session_slices
from neuroml.exceptions import DataError

__all__ = [
    "DECONVOLVED",
    "OnNaN",
    "Settled",
    "are_counts",
    "check_unique",
    "is_deconvolved",
    "may_be_raw",
    "no_cell",
    "settle_units",
    "with_signal",
]

DECONVOLVED = "deconvolved a.u."
"""Units of what a program deconvolved from fluorescence: the scale differs between cells."""

OnNaN = Literal["raise", "drop_units", "interpolate", "keep"]
Names: TypeAlias = Sequence[str] | np.ndarray


@dataclass(frozen=True)
class Settled:
    """What `settle_units` decided.

    Attributes
    ----------
    values : ndarray of shape (n_times, n_kept)
    kept : ndarray of int of shape (n_kept,)
        Indices of the units that stay.
    notes : list of str
        What was dropped or filled in, for ``attrs["dropped"]``.
    """

    values: np.ndarray
    kept: np.ndarray
    notes: list[str] = field(default_factory=list)


def settle_units(
    values: np.ndarray,
    names: Names,
    on_nan: OnNaN,
    *,
    segment: np.ndarray | None = None,
    file: object = None,
) -> Settled:
    """Apply a policy to units with missing (NaN or infinite) values and to constant ones.

    Parameters
    ----------
    values : ndarray of shape (n_times, n_units)
    names : sequence of str
    on_nan : {"raise", "drop_units", "interpolate", "keep"}
        "raise" refuses both kinds; "drop_units" leaves both out; "interpolate" fills gaps on a
        straight line through time within each segment (with the nearest value at its ends) and
        leaves out units that are constant or have no value in a segment; "keep" keeps all,
        infinity as NaN.
    segment : ndarray of shape (n_times,), optional
        Ids of stretches without a gap; one stretch if not given.
    file : object, optional
        For the message.

    Raises
    ------
    DataError
        As the policy says, or if no unit is left.
    """
    if on_nan not in get_args(OnNaN):
        raise DataError(
            "unknown policy", expected=get_args(OnNaN), found=repr(on_nan), field="on_nan"
        )
    missing, gappy, constant = _faults(values)
    if on_nan == "raise":
        _refuse(missing, gappy, constant, names, file)
    if on_nan == "keep":
        notes = [f"nothing: {_count(gappy)} with missing values are kept"] if gappy.any() else []
        notes += [f"nothing: {_count(constant)} that never vary are kept"] if constant.any() else []
        filled = np.where(missing, np.nan, values) if gappy.any() else values
        return Settled(filled, np.arange(values.shape[1]), notes)
    parts = session_slices(np.zeros(len(values)) if segment is None else segment)
    if on_nan == "drop_units":
        unusable = constant | gappy
    else:
        unusable = constant | np.any([missing[part].all(axis=0) for part in parts], axis=0)
    kept = np.flatnonzero(~unusable)
    if not len(kept):
        raise DataError(
            "no unit is left",
            expected="at least one unit with finite values that vary",
            found=f"{gappy.sum()} with missing values and {constant.sum()} constant, "
            f"of {len(names)}",
            file=file,
            field="signal",
        )
    notes = [f"{_count(unusable)} with missing or constant values: {_some(names, unusable)}"]
    if unusable.any():
        values, missing = values[:, kept], missing[:, kept]
    if gappy[kept].any():
        values = np.concatenate([_interpolate(values[part], missing[part]) for part in parts])
        notes.append(
            f"nothing: {int(missing.sum())} missing values are interpolated, "
            f"in {_count(gappy[kept])}"
        )
    return Settled(values, kept, notes if unusable.any() else notes[1:])


def check_unique(names: Sequence[str], *, file: object = None) -> None:
    """Raise DataError if a unit's name repeats."""
    unique, counts = np.unique(np.asarray(names, dtype=str), return_counts=True)
    if (counts > 1).any():
        raise DataError(
            "unit names repeat",
            expected="one name per unit",
            found=[str(name) for name in unique[counts > 1][:5]],
            fix="Make them unique, for example by adding the hemisphere.",
            file=file,
            field="units",
        )


def are_counts(recording: xr.Dataset) -> bool:
    """Whether a signal counts spikes or events, by its units (without any: by its modality)."""
    units = recording.attrs["value_units"]
    return units == "count" or (not units and recording.attrs["modality"] == "spikes")


def is_deconvolved(recording: xr.Dataset) -> bool:
    """Whether a signal is said to be deconvolved, by its units."""
    return "deconvolved" in recording.attrs["value_units"].lower()


def may_be_raw(recording: xr.Dataset) -> bool:
    """Whether a signal is calcium and its units do not say that it is anything but fluorescence."""
    units = recording.attrs["value_units"]
    known = units in ("dF/F", "z", "event") or is_deconvolved(recording) or are_counts(recording)
    return recording.attrs["modality"] == "calcium" and not known


def no_cell(found: str, file: object, instead: str = "") -> DataError:
    """The error for a file that accepts none of its regions as a cell, and another way out."""
    return DataError(
        "no region is accepted as a cell",
        expected="at least one",
        found=found,
        fix=f"Choose cells in the program that found the regions{instead}.",
        file=file,
        field="units",
    )


def _faults(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is missing, units with missing values, and units whose two or more values are equal.

    NaN and infinity show in the extremes of a unit; without them no table of the signal's size is
    made, which may have gigabytes.
    """
    low, high = values.min(axis=0), values.max(axis=0)
    gappy = np.asarray(~(np.isfinite(low) & np.isfinite(high)))
    if not gappy.any():
        constant = np.asarray((low == high) & (len(values) > 1))
        return np.broadcast_to(False, values.shape), gappy, constant
    missing = ~np.isfinite(values)
    high = np.where(missing, -np.inf, values).max(axis=0)
    low = np.where(missing, np.inf, values).min(axis=0)
    return missing, gappy, (high == low) & ((~missing).sum(axis=0) > 1)


def _refuse(
    missing: np.ndarray, gappy: np.ndarray, constant: np.ndarray, names: Names, file: object
) -> None:
    if gappy.any():
        first = int(np.argmax(missing.any(axis=1)))
        raise DataError(
            "the signal has missing values (NaN or infinity)",
            expected="finite numbers",
            found=f"{int(missing.sum())} in {_count(gappy)}: {_some(names, gappy)}; "
            f"the first at sample {first}",
            fix="Pass on_nan='drop_units', 'interpolate' or 'keep'.",
            file=file,
            field="signal",
        )
    if constant.any():
        raise DataError(
            "some units never vary",
            expected="signals that change over time",
            found=f"{_count(constant)}: {_some(names, constant)}",
            fix="Pass on_nan='drop_units' to leave them out, or on_nan='keep'.",
            file=file,
            field="signal",
        )


def _count(which: np.ndarray) -> str:
    return f"{int(which.sum())} of {len(which)} units"


def _some(names: Names, which: np.ndarray) -> str:
    chosen = [str(names[int(i)]) for i in np.flatnonzero(which)]
    return ", ".join(chosen[:5]) + (", ..." if len(chosen) > 5 else "")


def _interpolate(values: np.ndarray, missing: np.ndarray) -> np.ndarray:
    filled = values.copy()
    at = np.arange(len(values))
    for unit in np.flatnonzero(missing.any(axis=0)):
        holes = missing[:, unit]
        filled[holes, unit] = np.interp(at[holes], at[~holes], values[~holes, unit])
    return filled


def with_signal(recording: xr.Dataset, values: np.ndarray) -> xr.Dataset:
    """A recording with another signal of shape (n_times, n_units).

    Its neuropil does not travel: on the scale of the old signal, it would be subtracted from the
    new one without an error.
    """
    found = recording.drop_vars("neuropil", errors="ignore")
    return found.assign(signal=(("time", "unit"), values))
