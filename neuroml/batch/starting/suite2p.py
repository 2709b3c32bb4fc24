"""A recipe for folders of Suite2p: assemblies of cells from their fluorescence."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from neuroml.batch.preparing import apply_preparation
from neuroml.batch.starting.models import assemblies
from neuroml.batch.starting.writing import Section, counted, names_from, write_recipe
from neuroml.data import read_traces
from neuroml.data._units import may_be_raw
from neuroml.exceptions import DataError

__all__ = ["calcium_sections", "recipe_for"]

_BASELINE_S = 60.0


def recipe_for(
    path: Path, where: Path, *, rate_hz: float | None = None, bin_s: float | None = None
) -> str:
    """Write the recipe for all plane folders at or below a path.

    Parameters
    ----------
    path : Path
    where : Path
        The recipe's folder.
    rate_hz : float, optional
        Frames per second and plane; without it the recipe counts in samples.
    bin_s : float, optional
        Width of the bins that frames are averaged in, in seconds.
    """
    planes, combined = _planes(path)
    options: dict[str, Any] = {"time_axis": "samples"} if rate_hz is None else {"rate_hz": rate_hz}
    noted = {
        "options": "The frame rate is not known (Suite2p keeps it in ops.npy, a pickle, which is "
        "not safe to load): time counts samples. For seconds, put rate_hz = ... in place of "
        "time_axis, or start the recipe anew with --rate-hz."
        if rate_hz is None
        else "frames per second and plane"
    }
    unsorted = [plane for plane in planes if not (plane / "iscell.npy").is_file()]
    comment = "Cells are what iscell.npy accepts."
    if unsorted:
        comment = "There is no iscell.npy, so that every region is taken for a cell."
        if len(unsorted) < len(planes):
            raise DataError(
                "some plane folders say which regions are cells, and others do not",
                expected="iscell.npy in all of them, or in none",
                found=f"none in {len(unsorted)} of {len(planes)}",
                fix="Put it there, or start a recipe for each kind of folder alone.",
                file=unsorted[0],
            )
    if combined:
        comment += " Folders named 'combined' hold the planes beside them again, and are left out."
    recordings, options = _readable(planes, options)
    if "on_nan" in options:
        comment += " Cells that never vary, or have values missing, are left out."
    data = {"files": names_from(planes, where), "reader": "traces", "options": options}
    return write_recipe(
        f"Assemblies of cells in {path.resolve().name}",
        f"{counted(len(planes), 'plane folder')} of Suite2p: cells whose "
        "activity rises and falls together, and when.",
        [
            Section("[data]", data, notes=noted, comment=comment),
            *calcium_sections(recordings, bin_s),
        ],
    )


def _planes(path: Path) -> tuple[list[Path], list[Path]]:
    """Plane folders, and combined ones that repeat them."""
    if (path / "F.npy").is_file():
        return [path], []
    found = sorted(file.parent for file in path.rglob("F.npy")) if path.is_dir() else []
    in_folder = [one.parent for one in found]
    combined = [one for one in found if one.name == "combined" and in_folder.count(one.parent) > 1]
    if not found:
        raise DataError(
            "there is no plane folder of Suite2p",
            expected="F.npy in the folder, or in folders below it",
            found="a file" if path.is_file() else "none",
            file=path,
        )
    return [one for one in found if one not in combined], combined


def _readable(
    planes: list[Path], options: dict[str, Any]
) -> tuple[list[xr.Dataset], dict[str, Any]]:
    """The recordings, and the options with which all can be read."""
    try:
        return [read_traces(plane, **options) for plane in planes], options
    except DataError as error:
        if error.field != "signal":  # only cells that never vary have another way
            raise
    options = {**options, "on_nan": "drop_units"}
    return [read_traces(plane, **options) for plane in planes], options


def calcium_sections(recordings: list[xr.Dataset], bin_s: float | None) -> list[Section]:
    """What turns fluorescence into dF/F, where it is not that yet, and the model of assemblies."""
    rate_hz = recordings[0].attrs["rate_hz"]
    if bin_s is not None and rate_hz is None:
        raise DataError("bins of seconds need a rate", fix="Pass --rate-hz too.", field="--bin-s")
    steps = _steps(recordings, rate_hz)
    if bin_s is not None:
        step = Section("[[prepare]]", {"use": "bin_time", "bin_s": bin_s}, {"bin_s": "seconds"})
        steps.append(step)
    prepared = [_prepared(one, [step.values for step in steps]) for one in recordings]
    model = assemblies(prepared[0].attrs["rate_hz"], min(one.sizes["time"] for one in prepared))
    return [*steps, *model]


def _steps(recordings: list[xr.Dataset], rate_hz: float | None) -> list[Section]:
    """Steps from raw fluorescence to dF/F, as far as the values allow."""
    if not any(may_be_raw(recording) for recording in recordings):
        return []
    window = {} if rate_hz is None else {"window_s": _BASELINE_S}
    relative = Section(
        "[[prepare]]",
        {"use": "delta_f_over_f", "percentile": 20, **window},
        notes={"window_s": "seconds around each sample: the baseline may drift"},
        comment="For counts of events, as models of spikes take them, let detect_events follow.",
    )
    subtracted = Section(
        "[[prepare]]",
        {"use": "subtract_neuropil", "weight": 0.7},
        notes={"weight": "of Chen et al. 2013, and Suite2p's own"},
    )
    has_neuropil = all("neuropil" in recording for recording in recordings)
    if has_neuropil and _positive(recordings, [subtracted.values, relative.values]):
        return [subtracted, relative]
    if not _positive(recordings, [relative.values]):
        return []
    return [relative]


def _positive(recordings: list[xr.Dataset], steps: list[Mapping[str, Any]]) -> bool:
    """Whether every baseline is above zero, without which there is no dF/F."""
    try:
        for recording in recordings:
            _prepared(recording, steps)
    except DataError as error:
        if error.field != "signal":
            raise
        return False
    return True


def _prepared(recording: xr.Dataset, steps: list[Mapping[str, Any]]) -> xr.Dataset:
    return apply_preparation(steps, recording, ("", "", ""), Path())
