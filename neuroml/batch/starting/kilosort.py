"""A recipe for folders of Kilosort and phy: couplings between sorted units."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from neuroml.batch.starting.models import couplings
from neuroml.batch.starting.writing import Section, counted, names_from, question, write_recipe
from neuroml.data._phy import is_phy, sampling_rate
from neuroml.data.spikes import read_spikes
from neuroml.exceptions import DataError

__all__ = ["recipe_for"]

_BIN_S = 0.02


def recipe_for(
    path: Path,
    where: Path,
    *,
    rate_hz: float | None = None,
    bin_s: float | None = None,
    labels: Sequence[str] = (),
) -> str:
    """Write the recipe for all folders of Kilosort at or below a path.

    Parameters
    ----------
    path : Path
    where : Path
        The recipe's folder.
    rate_hz : float, optional
        Samples per second, where params.py does not say it.
    bin_s : float, optional
        Width of the bins in seconds; 0.02 if not given.
    labels : sequence of str
        Clusters with one of them are the units, ("all",) takes every cluster; "good" if none.
    """
    folders = _folders(path)
    bin_s = _BIN_S if bin_s is None else bin_s
    options: dict[str, Any] = {"bin_s": bin_s, "start_s": 0.0}
    if labels:
        options["labels"] = list(labels)
    rate_hz = _rate(folders, rate_hz)
    if rate_hz is not None:
        options["time_unit_s"] = 1 / rate_hz
    n_units = {folder: _n_units(folder, options) for folder in folders}
    alone = [folder for folder, n in n_units.items() if n == 1]
    if alone:
        raise DataError(
            "one unit has none that it could be coupled to",
            expected="at least two units in each folder",
            found=1,
            fix="Take more clusters by --label (as in --label good --label mua, or --label all).",
            file=alone[0],
        )
    data = {"files": names_from(folders, where), "reader": "spikes", "options": options}
    return write_recipe(
        f"Couplings between units in {path.resolve().name}",
        f"{counted(len(folders), 'folder')} of Kilosort: how the spikes of "
        "each unit depend on those of the others, in two hidden states.",
        [
            Section(
                "[data]",
                data,
                notes={"options": "seconds; the recording begins with sample 0"},
                comment=_who(labels),
            ),
            *couplings(bin_s),
        ],
    )


def _who(labels: Sequence[str]) -> str:
    if list(labels) == ["all"]:
        return "Units are all clusters, whatever their labels say."
    which = f"the clusters labeled {' or '.join(labels or ['good'])}"
    more = "" if labels else "; for others add labels = ['good', 'mua'] to the options"
    return f"Units are {which}, by hand in phy, or else by Kilosort{more}."


def _rate(folders: list[Path], rate_hz: float | None) -> float | None:
    """The rate to be given: the option's, if no params.py says it; then None is a question."""
    silent = [folder for folder in folders if sampling_rate(folder) is None]
    if silent and len(silent) < len(folders):
        raise DataError(
            "some folders say how many samples are a second, and others do not",
            expected="sample_rate in every params.py, or in none",
            found=f"none in {len(silent)} of {len(folders)} folders",
            fix="Write sample_rate = ... into its params.py, or start a recipe for it alone.",
            file=silent[0],
        )
    if silent and rate_hz is None:
        raise question(
            "how many samples are a second", ["no sample_rate in params.py"], "--rate-hz", silent[0]
        )
    if rate_hz is not None and not silent:
        raise DataError(
            "the sample rate is given twice",
            found=f"--rate-hz {rate_hz:g}, and sample_rate in params.py",
            fix="Leave --rate-hz out.",
            file=folders[0],
        )
    if rate_hz is not None and not (math.isfinite(rate_hz) and rate_hz > 0):
        raise DataError(
            "the rate is not a frequency", expected="> 0", found=rate_hz, field="--rate-hz"
        )
    return rate_hz


def _n_units(folder: Path, options: dict[str, Any]) -> int:
    """Number of units; what cannot be read is refused here, and not in the run."""
    try:
        return read_spikes(folder, **options).sizes["unit"]
    except DataError as error:
        if error.field != "labels":
            raise
        raise question(
            f"which clusters are the units ({error.problem})",
            [str(error.found)],
            "--label LABEL (repeatable; --label all takes every cluster)",
            folder,
        ) from error


def _folders(path: Path) -> list[Path]:
    if is_phy(path):
        return [path]
    found = sorted(file.parent for file in path.rglob("spike_times.npy")) if path.is_dir() else []
    if not found:
        raise DataError(
            "there is no folder of Kilosort or phy",
            expected="spike_times.npy in the folder, or in folders below it",
            found="a file" if path.is_file() else "none",
            file=path,
        )
    return found
