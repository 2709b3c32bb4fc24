"""A recipe's ``[[prepare]]``: functions of ``neuroml.data`` on each recording, in order."""

from __future__ import annotations

import inspect
import typing
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import xarray as xr
from pydantic import ConfigDict, PydanticSchemaGenerationError, TypeAdapter, ValidationError

from neuroml._core.recording import RecordingKey, name_of
from neuroml._core.validation import did_you_mean
from neuroml.batch.order import facts_of, find_order_faults
from neuroml.batch.vocabulary import PREPARATIONS
from neuroml.data._units import may_be_raw

__all__ = [
    "apply_preparation",
    "find_preparation_faults",
    "find_table_faults",
    "misfit",
    "table_files",
    "warn_of_raw_fluorescence",
]

Steps = Sequence[Mapping[str, Any]]
"""The ``[[prepare]]`` of a recipe, as TOML gives it."""
_LEVELS = ("subject", "session", "run")
_TABLE = "table"
"""The option, of add_covariates, that names a file for each recording."""


def apply_preparation(
    steps: Steps, recording: xr.Dataset, key: RecordingKey, where: Path
) -> xr.Dataset:
    """Apply the steps to one recording, in their order.

    Parameters
    ----------
    steps : sequence of dict
        ``use`` names a function, every other key is an option of it.
    recording : Dataset
    key : tuple of str
        Subject, session and run, which names of tables may contain.
    where : Path
        The folder that names of tables start from.
    """
    for step in steps:
        options = {name: value for name, value in step.items() if name != "use"}
        if _TABLE in options:
            options[_TABLE] = _file_of(options[_TABLE], key, where)
        recording = PREPARATIONS[step["use"]](recording, **options)
    return recording


def table_files(steps: Steps, key: RecordingKey, where: Path) -> list[Path]:
    """The tables that the steps join to a recording."""
    return [_file_of(step[_TABLE], key, where) for step in steps if _TABLE in step]


def _file_of(name: str, key: RecordingKey, where: Path) -> Path:
    for level, part in zip(_LEVELS, key, strict=True):
        name = name.replace(f"{{{level}}}", part)
    return where / name


def warn_of_raw_fluorescence(recordings: Sequence[xr.Dataset]) -> None:
    """Warn of calcium that may be raw, whose baseline and scale say nothing about activity."""
    raw = [recording for recording in recordings if may_be_raw(recording)]
    if raw:
        units = raw[0].attrs["value_units"] or "unknown units"
        warnings.warn(
            f"The model is fitted to calcium in {units!r}, which may be raw fluorescence: its "
            "baseline and scale differ between cells, and it drifts. Put [[prepare]] with "
            "use = 'delta_f_over_f' into the recipe; if it is dF/F already, say so by the option "
            f"value_units. (The first of {len(raw)} recordings: {name_of(raw[0])}.)",
            stacklevel=2,
        )


def find_preparation_faults(content: Mapping[str, Any], where: Path) -> Iterator[str]:
    """List what is wrong with ``[[prepare]]`` and ``[clean]``, each fault with its place.

    Parameters
    ----------
    content : dict
        The recipe as TOML gives it.
    where : Path
        The folder that relative file names start from.
    """
    steps, cleaning = content.get("prepare"), content.get("clean")
    numbered = enumerate(steps if isinstance(steps, list) else [])
    named = [(f"prepare.{n}", s) for n, s in numbered if isinstance(s, dict) and _names_one(s)]
    if isinstance(cleaning, dict):
        named.append(("clean", {**cleaning, "use": "clean"}))
    sound = []
    for place, step in named:
        faults = [*_step_faults(step)]
        yield from (f"{place}: {fault}" for fault in faults)
        if not faults:
            options = {name: value for name, value in step.items() if name != "use"}
            sound.append((place, step["use"], options))
    data = content.get("data")
    yield from find_order_faults(sound, facts_of(data if isinstance(data, dict) else {}, where))


def _names_one(step: Mapping[str, Any]) -> bool:
    return isinstance(step.get("use"), str)


def _step_faults(step: dict[str, Any]) -> Iterator[str]:
    use = step["use"]
    if use not in PREPARATIONS:
        yield (
            f"there is no preparation {use!r}{did_you_mean(use, PREPARATIONS)} "
            f"(known: {', '.join(PREPARATIONS)})"
        )
        return
    _, *parameters = inspect.signature(PREPARATIONS[use]).parameters.values()
    known = [parameter.name for parameter in parameters]
    kinds = typing.get_type_hints(PREPARATIONS[use])
    for name, value in step.items():
        if name == "use":
            continue
        if name not in known:
            yield (
                f"{use} has no option {name!r}{did_you_mean(name, known)} "
                f"(it has {', '.join(known)})"
            )
        elif (reason := misfit(value, kinds[name])) is not None:
            yield f"{use}: {name} = {value!r} does not fit ({reason})"
    for parameter in parameters:
        if parameter.default is parameter.empty and parameter.name not in step:
            yield f"{use} needs {parameter.name}"


def misfit(value: Any, kind: Any) -> str | None:
    """Why a value is not of the kind that a signature states, if so."""
    try:
        adapter = TypeAdapter(kind, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticSchemaGenerationError:  # arrays and other protocols, which TOML cannot hold
        return None
    try:
        adapter.validate_python(value, strict=True)
    except ValidationError as error:
        told = [fault["msg"].removeprefix("Input should be ") for fault in error.errors()]
        return "it should be " + " or ".join(dict.fromkeys(told))
    return None


def find_table_faults(steps: Any, keys: Sequence[RecordingKey], where: Path) -> Iterator[str]:
    """List tables that are not there, and those that would be joined to recordings not theirs."""
    for number, step in enumerate(steps if isinstance(steps, list) else []):
        name = step.get(_TABLE) if isinstance(step, dict) else None
        if not isinstance(name, str):
            continue
        place = f"prepare.{number}.{_TABLE}"
        if len(keys) > 1 and not any(f"{{{level}}}" in name for level in _LEVELS):
            yield (
                f"{place}: {name!r} would be joined to all {len(keys)} recordings, each of which "
                "has a clock of its own; put {subject}, {session} or {run} into the name"
            )
            continue
        files = dict.fromkeys(_file_of(name, key, where) for key in keys)
        absent = [file for file in files if not file.is_file()]
        if absent:
            more = f" (and {len(absent) - 1} more)" if len(absent) > 1 else ""
            yield f"{place}: there is no file {str(absent[0])!r}{more}"
