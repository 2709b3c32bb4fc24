"""A recipe for folders of Kilosort and phy: couplings between sorted units."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from neuroml.batch.starting.models import couplings
from neuroml.batch.starting.writing import Section, names_from, question, write_recipe
from neuroml.data._phy import is_phy, sampling_rate
from neuroml.data.spikes import read_spikes
from neuroml.exceptions import DataError

__all__ = ["recipe_for"]

_BIN_S = 0.02


def recipe_for(
    path: Path, where: Path, *, rate_hz: float | None = None, bin_s: float | None = None
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
    """
    folders = _folders(path)
    bin_s = _BIN_S if bin_s is None else bin_s
    options: dict[str, Any] = {"bin_s": bin_s, "start_s": 0.0}
    silent = [folder for folder in folders if sampling_rate(folder) is None]
    if silent and rate_hz is None:
        raise question(
            "how many samples are a second", ["no sample_rate in params.py"], "--rate-hz", silent[0]
        )
    if rate_hz is not None:
        spoken = [folder for folder in folders if folder not in silent]
        if spoken:
            raise DataError(
                "the sample rate is given twice",
                found=f"--rate-hz {rate_hz:g}, and sample_rate in params.py",
                fix="Leave --rate-hz out.",
                file=spoken[0],
            )
        options["time_unit_s"] = 1 / rate_hz
    for folder in folders:
        read_spikes(folder, **options)  # what cannot be read is refused here, and not in the run
    data = {"files": names_from(folders, where), "reader": "spikes", "options": options}
    return write_recipe(
        f"Couplings between units in {path.resolve().name}",
        f"{len(folders)} folder{'s' if len(folders) > 1 else ''} of Kilosort: how the spikes of "
        "each unit depend on those of the others, in two hidden states.",
        [
            Section(
                "[data]",
                data,
                notes={"options": "seconds; the recording begins with sample 0"},
                comment="Units are the clusters labeled good, by hand in phy, or else by Kilosort; "
                "for others add labels = ['good', 'mua'] to the options.",
            ),
            *couplings(bin_s),
        ],
    )


def _folders(path: Path) -> list[Path]:
    if is_phy(path):
        return [path]
    found = sorted(file.parent for file in path.rglob("spike_times.npy")) if path.is_dir() else []
    if not found:
        raise DataError(
            "there is no folder of Kilosort or phy",
            expected="spike_times.npy in the folder, or in folders below it",
            found="none",
            file=path,
        )
    return found
