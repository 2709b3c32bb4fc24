"""A recipe for NWB files: couplings of their units, or assemblies of their imaged cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from neuroml.batch.starting.models import couplings
from neuroml.batch.starting.suite2p import calcium_sections
from neuroml.batch.starting.writing import Section, counted, names_from, question, write_recipe
from neuroml.data import read_spikes, read_traces
from neuroml.data._nwb import has_units, list_roi_series
from neuroml.exceptions import DataError

__all__ = ["recipe_for"]

_BIN_S = 0.02
_UNITS = "units"
"""The answer to --series that takes the table of spiking units."""


def recipe_for(
    path: Path, where: Path, *, series: str | None = None, bin_s: float | None = None
) -> str:
    """Write the recipe for an NWB file, or for all in a folder.

    Parameters
    ----------
    path : Path
    where : Path
        The recipe's folder.
    series : str, optional
        The series of imaged cells, or "units" for the table of spiking units; asked for where a
        file has more than one of these.
    bin_s : float, optional
        Width of the bins in seconds: of spikes 0.02 if not given; frames are binned if given.
    """
    files = [path] if path.is_file() else sorted(path.rglob("*.nwb"))
    if not files:
        raise DataError("there is no NWB file", expected="*.nwb", found="none", file=path)
    chosen = series if series is not None else _only_choice(files)
    if chosen == _UNITS:
        options: dict[str, Any] = {"bin_s": _BIN_S if bin_s is None else bin_s}
        for file in files:
            read_spikes(file, **options)
        reader, title = "spikes", "Couplings between units"
        model = couplings(options["bin_s"])
    else:
        options = {"variable": chosen}
        recordings = [read_traces(file, **options) for file in files]
        reader, title = "traces", "Assemblies of cells"
        model = calcium_sections(recordings, bin_s)
    data = {"files": names_from(files, where), "reader": reader, "options": options}
    return write_recipe(
        f"{title} in {path.resolve().name}",
        f"{counted(len(files), 'NWB file')}, of which "
        f"{'the spiking units' if chosen == _UNITS else f'the series {chosen}'} are read.",
        [Section("[data]", data), *model],
    )


def _only_choice(files: list[Path]) -> str:
    """The units or the series that all files have, if that is one thing."""
    has = [_choices(file) for file in files]
    shared = [name for name in has[0] if all(name in names for names in has)]
    if len(shared) != 1 or any(len(names) != 1 for names in has):
        if not any(has):
            raise DataError(
                "there is nothing in it that a model of cells takes",
                expected="a table of units, or a series of regions of interest",
                found="neither",
                file=files[0],
            )
        raise question(
            "which data are to be modeled",
            shared or sorted({name for names in has for name in names}),
            "--series NAME" + (f" ({_UNITS}: the spiking units)" if _UNITS in shared else ""),
            files[0],
        )
    return shared[0]


def _choices(file: Path) -> list[str]:
    readable, _ = list_roi_series(file)
    return [*readable, *([_UNITS] if has_units(file) else [])]
