"""Whether each ``[[prepare]]`` can take what the data, or the step before it, hand on.

No recording is read: what the recipe says of it stands in the attributes of an empty one, on which
the functions' own checks are called. What the recipe does not say is absent there, and a check
that asks for it says nothing.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from neuroml.batch.keys import matches
from neuroml.batch.vocabulary import PREPARATIONS
from neuroml.data._arrays import ARRAY_SUFFIXES
from neuroml.data._tables import is_table
from neuroml.data._units import DECONVOLVED
from neuroml.data.bins import check_how, samples_per_bin
from neuroml.data.clean import checked_band
from neuroml.data.covariates import check_clock
from neuroml.data.deconvolution import check_signal, checked_threshold
from neuroml.data.fluorescence import check_baseline_options, check_fluorescence, check_neuropil
from neuroml.exceptions import DataError

__all__ = ["facts_of", "find_order_faults"]

_MODALITIES = {"traces": "calcium", "spikes": "spikes", "fmri": "fmri", "bids": "fmri"}
_RATES = {"traces": "rate_hz", "spikes": "bin_s", "fmri": "tr_s", "bids": "tr_s"}
"""The option that says how fast samples follow each other: a rate, or seconds."""
_OWN_UNITS = (".nwb", ".h5", ".hdf5")
"""Files that may say themselves what their values are, and when they were taken."""

Options = Mapping[str, Any]
_CHECKS: dict[str, tuple[Callable[[xr.Dataset, Options], object], ...]] = {
    "add_covariates": (lambda _, o: check_clock(o["time"], o["rate_hz"]),),
    "bin_time": (
        lambda recording, o: check_how(recording, o["how"]),
        lambda recording, o: samples_per_bin(recording, o["bin_s"]),
    ),
    "clean": (lambda recording, o: checked_band(recording, o["high_pass_hz"], o["low_pass_hz"]),),
    "delta_f_over_f": (
        lambda recording, _: check_fluorescence(recording),
        lambda recording, o: check_baseline_options(recording, o["percentile"], o["window_s"]),
    ),
    "detect_events": (
        lambda _, o: checked_threshold(o["threshold"]),
        lambda recording, _: check_signal(recording),
    ),
    "subtract_neuropil": (lambda recording, o: check_neuropil(recording, o["weight"]),),
}
"""The parts of each function that ask for nothing but attributes."""


def facts_of(data: Options, where: Path) -> xr.Dataset:
    """What a recipe's ``[data]`` says of its recordings, on an empty one.

    Parameters
    ----------
    data : dict
        As TOML gives it.
    where : Path
        The folder that relative file names start from.
    """
    reader, options = data.get("reader"), data.get("options")
    options = options if isinstance(options, dict) else {}
    facts = xr.Dataset(attrs={"subject": "", "session": "", "run": ""})
    if reader == "trials":
        return facts.assign_attrs(modality="behaviour", time_axis="trials", rate_hz=None)
    if reader in _MODALITIES:
        facts.attrs["modality"] = _MODALITIES[reader]
        facts.attrs |= _rate(options.get(_RATES[reader]), is_rate=reader == "traces")
    if reader == "spikes":
        facts.attrs["value_units"] = "count"
    if reader != "spikes" and options.get("variable") in (None, "F"):
        facts["neuropil"] = ((), 0.0)  # maybe: only the files tell
    if reader == "traces":
        facts.attrs |= _told_of_traces(options, _kinds(data.get("files"), where))
    return facts


def _rate(stated: Any, *, is_rate: bool) -> dict[str, Any]:
    is_number = isinstance(stated, int | float) and not isinstance(stated, bool)
    if not is_number or not (np.isfinite(stated) and stated > 0):
        return {}
    return {"rate_hz": stated if is_rate else 1 / stated, "time_axis": "seconds"}


def _kinds(patterns: Any, where: Path) -> set[str]:
    """Suffixes of the files, and "" for folders."""
    kinds = set()
    for pattern in patterns if isinstance(patterns, list) else []:
        with contextlib.suppress(DataError, TypeError):  # reported where the files are opened
            for path in matches(pattern, where):
                kinds.add("" if path.is_dir() else ".csv" if is_table(path) else path.suffix)
    return {kind.lower() for kind in kinds}


def _told_of_traces(options: Options, kinds: set[str]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if isinstance(options.get("value_units"), str):
        told["value_units"] = options["value_units"]
    elif kinds and not kinds & set(_OWN_UNITS):
        is_spks = kinds == {""} and options.get("variable") == "spks"
        told["value_units"] = DECONVOLVED if is_spks else "a.u."
    without_clock = options.get("rate_hz") is None and options.get("time") is None
    plain = kinds and kinds <= {".csv", *ARRAY_SUFFIXES} - set(_OWN_UNITS)
    if options.get("time_axis") == "samples" or (without_clock and plain):
        told |= {"rate_hz": None, "time_axis": "samples"}
    return told


def find_order_faults(
    steps: Sequence[tuple[str, str, Options]], facts: xr.Dataset
) -> Iterator[str]:
    """List the steps that cannot take what comes to them.

    Parameters
    ----------
    steps : sequence of (str, str, dict)
        The place in the recipe, the function, and its options, which fit its signature.
    facts : Dataset
        As `facts_of` gives them.
    """
    before: list[tuple[str, Options]] = []
    for place, use, options in steps:
        given = inspect.signature(PREPARATIONS[use]).bind(None, **options)
        given.apply_defaults()
        faults = [*_faults(use, given.arguments, facts), *_misplaced(use, before)]
        yield from (f"{place}: {use}: {fault}" for fault in faults)
        facts = _after(use, given.arguments, facts)
        if faults:  # what is meant is open, so that nothing more is said of the units
            facts.attrs.pop("value_units", None)
        before.append((use, given.arguments))


def _faults(use: str, options: Options, facts: xr.Dataset) -> Iterator[str]:
    for one in _CHECKS.get(use, ()):
        try:
            one(facts, options)
        except KeyError:  # an attribute that the recipe does not state
            continue
        except DataError as error:
            parts = {k: v for k, v in vars(error).items() if k not in ("subject", "field")}
            yield str(DataError(**parts)).rstrip(".")


def _misplaced(use: str, before: Sequence[tuple[str, Options]]) -> Iterator[str]:
    """What the functions cannot see in a recording: what was done to it earlier."""
    for earlier, options in before:
        if (earlier, use) == ("bin_time", "detect_events"):
            yield (
                "a bin's mean has lost when a transient began; put detect_events before bin_time, "
                "and bin its counts by how = 'sum'"
            )
        if (earlier, use) == ("clean", "delta_f_over_f") and options["detrend"]:
            yield (
                "clean has subtracted the mean, without which there is no baseline to divide by; "
                "put delta_f_over_f before clean, or clean with detrend = false"
            )


def _after(use: str, options: Options, facts: xr.Dataset) -> xr.Dataset:
    """What is known of a recording behind a step."""
    facts = facts.copy()
    if use in ("clean", "delta_f_over_f", "detect_events", "subtract_neuropil"):
        facts = facts.drop_vars("neuropil", errors="ignore")
    if use == "delta_f_over_f":
        facts.attrs["value_units"] = "dF/F"
    if use == "detect_events":
        facts.attrs["value_units"] = "count"
    if use == "clean" and options["standardize"]:
        facts.attrs["value_units"] = "z"
    if use == "bin_time" and facts.attrs.get("rate_hz"):
        with contextlib.suppress(DataError):  # reported already
            facts.attrs["rate_hz"] /= samples_per_bin(facts, options["bin_s"])
    return facts
