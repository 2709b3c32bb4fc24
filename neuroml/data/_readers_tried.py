"""The report on a file, and what readers make of it: which of them take it, by which options."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from neuroml.data._tables import is_table
from neuroml.data.calcium import read_traces
from neuroml.data.spikes import read_spikes
from neuroml.exceptions import DataError

__all__ = ["FileReport", "Trial", "as_problem", "try_one", "try_readers"]

_NEEDED: dict[Any, dict[str, Any]] = {read_spikes: {"bin_s": 1.0}}
"""What a reader cannot do without."""
_ANSWERS: dict[str, dict[str, Any]] = {
    "units_first": {"units_first": True},
    "time_unit_s": {"time_unit_s": 1.0},
    "signal": {"on_nan": "keep"},
    "rate_hz": {"rate_hz": 1.0},
    "pixdim[4]": {"tr_s": 1.0},
    "RepetitionTime": {"tr_s": 1.0},
    "VolumeTiming": {"tr_s": 1.0},
    "SeriesStep": {"tr_s": 1.0},
}
"""By the field of an error, the option with which a reader goes on to what else may be wrong."""
_CLOCKS = {"rate_hz": "rate", "tr_s": "repetition time", "time_unit_s": "unit of time"}
"""Options without which there are no seconds. One that nobody has given stands in for the file's
own, and must not show as if it were known."""
_PLAIN = str | int | float


@dataclass
class FileReport:
    """What `describe_file` found.

    Attributes
    ----------
    path : Path
    kind : str
        What kind of file it is.
    facts : list of str
        What is in it, a sentence each.
    problems : list of str
        What is wrong with it and what to do, a sentence or two each.
    advice : str
        How to read it.
    """

    path: Path
    kind: str = "unknown"
    facts: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    advice: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing was found to be wrong."""
        return not self.problems

    def __str__(self) -> str:
        lines = [f"{self.path}: {self.kind}", *(f"  {fact}" for fact in self.facts)]
        lines += [f"  Problem: {problem}" for problem in self.problems]
        lines += [] if self.problems else ["  Nothing wrong was found."]
        return "\n".join(lines + ([f"  {self.advice}"] if self.advice else []))


def as_problem(error: Exception) -> str:
    """The message without the place, which the report names already."""
    if isinstance(error, DataError):
        text = str(DataError(**{**vars(error), "file": None}))
        return text[0].upper() + text[1:]
    return str(error)


@dataclass
class Trial:
    """How a reader fared: what it returned, the errors on the way, the options it took."""

    reader: Callable[..., xr.Dataset]
    recording: xr.Dataset | None
    errors: list[DataError]
    options: dict[str, Any]

    def __str__(self) -> str:
        call = f"{self.reader.__name__}(path{''.join(map(self._shown, self.options))})"
        if self.recording is None:
            return call
        missing = [name for name in self.options if name in _CLOCKS]
        times, units = self.recording.sizes["time"], self.recording.sizes["unit"]
        size = f"{times} times x {units} units"
        if self.recording.attrs["modality"] == "spikes":
            # how many bins the spikes fill depends on their unit of time
            size = f"{units} units" if missing else size
            size += f", {int(np.nansum(self.recording['signal']))} spikes"
        if missing:
            needed = " and ".join(f"{name}=, the {_CLOCKS[name]}" for name in missing)
            return f"{call} returns {size}; seconds need {needed}, which is not stated in it."
        rate = self.recording.attrs["rate_hz"]
        if rate is not None:
            return f"{call} returns {size}, at {rate:g} Hz, one every {1 / rate:g} s."
        option = next(name for name in _CLOCKS if name in _parameters(self.reader))
        return f"{call} returns {size}, without a rate: seconds need {option}=."

    def _shown(self, name: str) -> str:
        value = self.options[name]
        is_known = isinstance(value, _PLAIN) and name not in _CLOCKS
        return f", {name}={value!r}" if is_known else f", {name}=..."


def _parameters(reader: Callable[..., xr.Dataset]) -> set[str]:
    return set(inspect.signature(reader).parameters)


def try_one(reader: Callable[..., xr.Dataset], source: Any, **options: Any) -> Trial:
    """Read; after an error that an option answers, read again with the option to find more."""
    errors: list[DataError] = []
    while True:
        try:
            return Trial(reader, reader(source, **options), errors, options)
        except DataError as error:
            errors.append(error)
            answer = _ANSWERS.get(str(error.field), {})
            if reader is read_traces and not answer and is_table(source):
                answer = {"time": error.field}  # a clock among the columns, if it is one
            takes = _parameters(reader) - options.keys()
            if not answer or None in answer.values() or not answer.keys() <= takes:
                return Trial(reader, None, errors, options)
            options = options | answer


def try_readers(
    report: FileReport, readers: list[Callable[..., xr.Dataset]], **options: Any
) -> None:
    """Say what the readers return, or why none of them takes the file as it stands."""
    trials = [try_one(one, report.path, **options, **_NEEDED.get(one, {})) for one in readers]
    returned = [trial for trial in trials if trial.recording is not None]
    fewest = min((len(trial.errors) for trial in returned), default=0)
    best = [trial for trial in returned if len(trial.errors) == fewest]
    for trial in best:
        report.facts.append(str(trial))
    if best:  # the others share what they say, and differ in the names that they give to units
        notes = getattr(best[0].recording, "attrs", {}).get("dropped", [])
        report.facts += [f"Left out on reading: {note}." for note in notes]
        report.problems += [as_problem(error) for error in best[0].errors]
        return
    by_text: dict[str, list[str]] = {}
    for trial in trials:
        for error in trial.errors:
            by_text.setdefault(as_problem(error), []).append(trial.reader.__name__)
    for text, names in by_text.items():
        who = f"{', '.join(dict.fromkeys(names))}: " if len(by_text) > 1 < len(trials) else ""
        report.problems.append(f"{who}{text}")
