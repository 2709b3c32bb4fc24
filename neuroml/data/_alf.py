"""Folders in the naming of ALF, as the International Brain Laboratory shares them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from neuroml._core.validation import list_some
from neuroml.data._arrays import read_array
from neuroml.data._tables import read_text_table
from neuroml.exceptions import DataError

__all__ = ["is_alf", "is_alf_trials", "main_file", "read_alf_spikes", "read_alf_trials"]

_TIMES, _CLUSTERS = "spikes.times", "spikes.clusters"
_TRIALS = ("_ibl_trials", "trials")
_GOOD = 1.0
"""``label`` is the share of the quality metrics that a cluster passes; 1 is a good cluster."""


def _file(folder: Path, attribute: str, suffixes: Sequence[str]) -> Path | None:
    """The file of ``object.attribute``, with or without namespace and id in its name."""
    patterns = [f"{attribute}{middle}{end}" for middle in ("", ".*") for end in suffixes]
    patterns += [f"_*_{pattern}" for pattern in patterns]
    found = sorted({path for pattern in patterns for path in folder.glob(pattern)})
    if len(found) > 1:
        raise DataError(
            f"several files hold {attribute}",
            expected="one",
            found=list_some([path.name for path in found]),
            fix="Move the others away.",
            file=folder,
        )
    return found[0] if found else None


def is_alf(folder: Path) -> bool:
    """Whether a folder holds spikes in the naming of ALF."""
    return folder.is_dir() and _file(folder, _TIMES, [".npy"]) is not None


def main_file(folder: Path) -> Path:
    """The file of the spike times."""
    found = _file(folder, _TIMES, [".npy"])
    if found is None:
        raise DataError("there are no spikes", expected=f"{_TIMES}.npy", file=folder)
    return found


def read_alf_spikes(folder: Path, labels: Sequence[str]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Spike times in seconds of the clusters that have one of the labels, and a note on others.

    Parameters
    ----------
    folder : Path
    labels : sequence of str
        ``("good",)`` for clusters that pass every metric, ``("all",)`` for every cluster.
    """
    if isinstance(labels, str) or list(labels) not in (["good"], ["all"]):
        raise DataError(
            "ALF says of a cluster which share of its metrics it passes, and has no other labels",
            expected="['good'] (all metrics) or ['all']",
            found=labels,
            file=folder,
            field="labels",
        )
    times, clusters = (_column(folder, name) for name in (_TIMES, _CLUSTERS))
    if len(times) != len(clusters):
        raise DataError(
            f"{_CLUSTERS} does not fit {_TIMES}",
            expected=f"{len(times)} spikes",
            found=len(clusters),
            file=folder,
        )
    ids = np.unique(clusters).astype(np.int64)
    taken = ids if list(labels) == ["all"] else np.array([i for i in ids if i in _good(folder)])
    if not len(taken):
        raise DataError(
            "no cluster passes every metric",
            expected=f"label {_GOOD:g}",
            found=f"{len(ids)} clusters with lower ones",
            fix="Pass labels=['all'] to take every cluster.",
            file=folder,
            field="labels",
        )
    n_left = len(ids) - len(taken)
    note = f"{n_left} of {len(ids)} clusters, which do not pass every metric"
    trains = {str(i): np.sort(times[clusters == i]).astype(np.float64) for i in taken}
    return trains, [note] if n_left else []


def _column(folder: Path, attribute: str) -> np.ndarray:
    path = _file(folder, attribute, [".npy"])
    if path is None:
        raise DataError(
            "the folder does not say which cluster fired when",
            expected=f"{attribute}.npy",
            found="no such file",
            file=folder,
        )
    found = read_array(path, None, lambda array: array.kind == "numbers", "numbers")
    return np.ravel(found)


def _good(folder: Path) -> set[int]:
    """Ids of the clusters that pass every metric."""
    path = _file(folder, "clusters.metrics", [".pqt", ".csv"])
    table = pd.DataFrame() if path is None else read_text_table(path).columns
    if "label" not in table:
        raise DataError(
            "nothing says which clusters are good",
            expected="clusters.metrics.pqt or .csv, with a column label",
            found="no such file" if path is None else list_some(list(table)),
            fix="Pass labels=['all'] to take every cluster.",
            file=path or folder,
            field="labels",
        )
    ids = table["cluster_id"] if "cluster_id" in table else pd.Series(table.index)
    return {int(i) for i in ids[(table["label"] == _GOOD).to_numpy()]}


def is_alf_trials(folder: Path) -> bool:
    """Whether a folder holds trials in the naming of ALF."""
    return folder.is_dir() and _trial_files(folder) != []


def _trial_files(folder: Path) -> list[Path]:
    found = [path for name in _TRIALS for path in folder.glob(f"{name}.*")]
    return sorted(path for path in found if path.suffix in (".npy", ".pqt", ".csv"))


def read_alf_trials(folder: Path) -> pd.DataFrame:
    """The table of trials, and the files of one attribute each beside it.

    An attribute of several columns, such as ``intervals``, becomes ``intervals_0``, ...
    """
    columns: dict[str, np.ndarray] = {}
    for path in _trial_files(folder):
        attribute = path.name.split(".")[1]
        if attribute == "table":
            table = read_text_table(path).columns
            parts = {str(name): table[name].to_numpy() for name in table}
        else:
            values = read_array(path, None, lambda array: array.kind != "other", "an array")
            wide = np.reshape(values, (len(values), -1))
            parts = {f"{attribute}_{i}": column for i, column in enumerate(wide.T)}
            parts = {attribute: wide[:, 0]} if wide.shape[1] == 1 else parts
        twice = sorted(columns.keys() & parts.keys())
        if twice:
            raise DataError(
                "two files hold the same column of trials", found=list_some(twice), file=path
            )
        columns |= parts
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(
            "the attributes of trials differ in length",
            expected="one value per trial",
            found=", ".join(f"{name} {n}" for name, n in [*lengths.items()][:8]),
            file=folder,
        )
    return pd.DataFrame(columns)
