"""Folders of Kilosort and phy: spikes by cluster, in samples, with a label for each cluster."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neuroml._core.validation import list_some
from neuroml.data._arrays import read_array
from neuroml.data._tables import read_text_table
from neuroml.exceptions import DataError

__all__ = ["PhyFolder", "is_phy", "read_phy", "sampling_rate"]

_TIMES = "spike_times.npy"
_CLUSTERS = ("spike_clusters.npy", "spike_templates.npy")
"""phy's file changes where clusters are merged by hand; Kilosort's templates are what it was."""
_LABELS = (("cluster_group.tsv", "group"), ("cluster_KSLabel.tsv", "KSLabel"))
"""What a person said, then what Kilosort did."""
_RATE = re.compile(r"^\s*sample_rate\s*=\s*([0-9][0-9_]*\.?[0-9]*(?:[eE][+-]?\d+)?)\s*(?:#.*)?$")


@dataclass(frozen=True)
class PhyFolder:
    """Spikes of the clusters that were taken.

    Attributes
    ----------
    trains : dict of str to ndarray
        Sample numbers of each cluster's spikes, by the cluster's id.
    rate_hz : float or None
        Samples per second, if params.py says so.
    notes : list of str
        Which clusters were left out.
    """

    trains: dict[str, np.ndarray]
    rate_hz: float | None
    notes: list[str]


def is_phy(folder: Path) -> bool:
    """Whether a folder is one that Kilosort or phy writes."""
    return (folder / _TIMES).is_file()


def sampling_rate(folder: Path) -> float | None:
    """Samples per second by ``params.py``, which is read as text and never executed."""
    path = folder / "params.py"
    if not path.is_file():
        return None
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    stated = {
        line.split("=", 1)[1].strip() for line in lines if re.match(r"\s*sample_rate\b", line)
    }
    found = {float(match[1].replace("_", "")) for line in lines if (match := _RATE.match(line))}
    if not stated:
        return None
    if len(found) != 1 or not min(found) > 0 or len(stated) != 1:
        raise DataError(
            "params.py does not state the sample rate as one number",
            expected="sample_rate = 30000.",
            found=list_some(sorted(stated)),
            fix="Write it so; the file is read as text, and nothing in it is executed.",
            file=path,
            field="sample_rate",
        )
    return found.pop()


def read_phy(folder: Path, labels: Sequence[str]) -> PhyFolder:
    """Read the spikes of the clusters that have one of the labels.

    Parameters
    ----------
    folder : Path
    labels : sequence of str
        ``"good"``, ``"mua"``, ``"noise"``, ``"unsorted"``; ``("all",)`` takes every cluster.

    Raises
    ------
    DataError
        If files are missing or do not fit together, nothing says which clusters are good, or none
        has one of the labels.
    """
    if isinstance(labels, str):
        raise DataError("labels is not a list", expected=f"[{labels!r}]", field="labels")
    times = _vector(folder / _TIMES)
    name = next((name for name in _CLUSTERS if (folder / name).is_file()), None)
    if name is None:
        raise DataError(
            "the folder does not say which cluster fired when",
            expected=" or ".join(_CLUSTERS),
            found="neither",
            file=folder,
        )
    clusters = _vector(folder / name)
    if len(clusters) != len(times):
        raise DataError(
            f"{name} does not fit {_TIMES}",
            expected=f"{len(times)} spikes",
            found=len(clusters),
            file=folder / name,
        )
    ids = np.unique(clusters).astype(np.int64)
    taken, notes = _taken(folder, ids, list(labels))
    trains = {str(i): np.sort(times[clusters == i]).astype(np.float64) for i in taken}
    return PhyFolder(trains, sampling_rate(folder), notes)


def _taken(folder: Path, ids: np.ndarray, labels: list[str]) -> tuple[list[int], list[str]]:
    """The clusters to take, and a note on the others."""
    if labels == ["all"]:
        return ids.tolist(), []
    said = _labels(folder)
    if not said:
        raise DataError(
            "nothing says which clusters are good",
            expected=" or ".join(file for file, _ in _LABELS),
            found="neither in the folder",
            fix="Pass labels=['all'] to take every cluster.",
            file=folder,
            field="labels",
        )
    by_id = {int(i): said.get(int(i), "unsorted") for i in ids}
    taken = [i for i, label in by_id.items() if label in labels]
    there = {label: list(by_id.values()).count(label) for label in sorted(set(by_id.values()))}
    counts = ", ".join(f"{n} {label}" for label, n in there.items())
    if not taken:
        raise DataError(
            "no cluster has one of the labels",
            expected=list_some(labels),
            found=counts,
            fix="Pass labels=[...] with some of these, or ['all'].",
            file=folder,
            field="labels",
        )
    n_left = len(by_id) - len(taken)
    asked = " or ".join(labels)
    note = f"{n_left} of {len(by_id)} clusters, which are not labeled {asked} ({counts})"
    return taken, [note] if n_left else []


def _labels(folder: Path) -> dict[int, str]:
    """The label of each cluster: a person's where there is one, else Kilosort's."""
    said: dict[int, str] = {}
    for file, column in reversed(_LABELS):
        path = folder / file
        if not path.is_file():
            continue
        table = read_text_table(path, text=[column.lower()]).columns
        if {"cluster_id", column} - set(table.columns):
            raise DataError(
                "the table does not label clusters",
                expected=f"the columns cluster_id and {column}",
                found=list_some(list(table.columns)),
                file=path,
            )
        # an empty group is one that nobody has decided on
        given = table[table[column].notna()]
        said |= {
            int(i): str(label).strip().lower()
            for i, label in zip(given["cluster_id"], given[column], strict=True)
        }
    return said


def _vector(path: Path) -> np.ndarray:
    """Whole numbers of shape (n_spikes,), stored so or as one column."""
    values = read_array(path, None, lambda array: array.kind == "numbers", "numbers")
    flat = np.ravel(values)
    if flat.size != max(np.shape(values), default=0) or (flat != np.round(flat)).any():
        raise DataError(
            "these are not whole numbers, one for each spike",
            expected="shape (n_spikes,) or (n_spikes, 1)",
            found=f"shape {np.shape(values)} of {values.dtype}",
            file=path,
        )
    return flat
