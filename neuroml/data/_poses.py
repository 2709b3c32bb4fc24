"""Body parts that DeepLabCut or SLEAP tracked: one row per video frame."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from neuroml.data._arrays import existing_file, list_arrays
from neuroml.data._tables import DEEPLABCUT
from neuroml.exceptions import DataError

__all__ = ["is_pose_file", "is_tracked", "read_poses"]

_SLEAP = {"tracks", "node_names"}
_LEVELS = ("scorer", "individuals", "bodyparts", "coords")
_SCORES = ("likelihood", "score")


def is_pose_file(path: Path) -> bool:
    """Whether a file is a table of DeepLabCut, or HDF5, as the analysis files of SLEAP are."""
    suffix = path.suffix.lower()
    if not path.is_file():
        return False
    if suffix == ".csv":
        with path.open("rb") as file:
            return file.read(len(DEEPLABCUT)) == DEEPLABCUT.encode()
    return suffix in (".h5", ".hdf5") and h5py.is_hdf5(path)


def is_tracked(path: Path) -> bool:
    """Whether a file holds tracked positions."""
    if not is_pose_file(path) or path.suffix.lower() == ".csv":
        return is_pose_file(path)
    return {array.name for array in list_arrays(path)} >= _SLEAP


def read_poses(path: Path, min_likelihood: float | None = None) -> pd.DataFrame:
    """Positions by frame.

    Parameters
    ----------
    path : Path
    min_likelihood : float, optional
        Positions that are less likely (DeepLabCut's likelihood, SLEAP's point score) are NaN, and
        the likelihoods are left out.

    Returns
    -------
    DataFrame of shape (n_frames, n_columns)
        Columns ``nose_x``, ``nose_y``, ``nose_likelihood``, with the animal before them where
        there are several; the index numbers the frames.

    Raises
    ------
    DataError
        If the file is another one, or damaged.
    """
    table = _deeplabcut(path) if path.suffix.lower() == ".csv" else _sleap(existing_file(path))
    if min_likelihood is None:
        return table
    if not 0 < min_likelihood <= 1:
        raise DataError(
            "min_likelihood is not a probability",
            expected="above 0, at most 1",
            found=min_likelihood,
            field="min_likelihood",
        )
    scores = [name for name in table if str(name).endswith(tuple(f"_{s}" for s in _SCORES))]
    for name in scores:
        part = str(name).rpartition("_")[0]
        # a missing score is no evidence for the position
        unlikely = ~(table[name] >= min_likelihood)
        for column in (f"{part}_x", f"{part}_y", f"{part}_z"):
            if column in table:
                table[column] = table[column].mask(unlikely)
    if not scores:
        raise DataError("the file has no likelihoods", file=path, field="min_likelihood")
    return table.drop(columns=scores)


def _deeplabcut(path: Path) -> pd.DataFrame:
    with existing_file(path).open(newline="", encoding="utf-8-sig") as file:
        head = [row for _, row in zip(range(4), csv.reader(file), strict=False)]
    levels = [row[0] for row in head if row and row[0] in _LEVELS]
    if levels not in ([_LEVELS[0], *_LEVELS[2:]], list(_LEVELS)):
        raise DataError(
            "this is not a table of DeepLabCut",
            expected="a first column of scorer, (individuals,) bodyparts, coords",
            found=", ".join(row[0] for row in head if row),
            file=path,
        )
    names = [
        "_".join(parts) for parts in zip(*(row[1:] for row in head[1 : len(levels)]), strict=True)
    ]
    try:
        table = pd.read_csv(path, header=None, skiprows=len(levels), index_col=0)
        table = table.astype(np.float64)
        frames = table.index.to_numpy(dtype=np.float64)
    except ValueError as error:
        raise DataError(
            "the rows are not frames of a video",
            expected="a number for each frame, then numbers",
            found=str(error).splitlines()[0],
            fix="Take the CSV that analyze_videos writes, not the one of labeled images.",
            file=path,
        ) from error
    if len(names) != table.shape[1]:
        raise DataError(
            "the header does not fit the rows",
            expected=f"{len(names)} columns",
            found=table.shape[1],
            file=path,
        )
    return table.set_axis(names, axis=1).set_axis(frames, axis=0)


def _sleap(path: Path) -> pd.DataFrame:
    arrays = {array.name: array for array in list_arrays(path)}
    if not set(arrays) >= _SLEAP:
        is_pandas = any(name.endswith("/table") or "block0_values" in name for name in arrays)
        raise DataError(
            "this is a table that pandas stored, whose names are in a form not safe to load"
            if is_pandas
            else "this is not an analysis file of SLEAP",
            expected="a CSV of DeepLabCut (analyze_videos with save_as_csv=True)"
            if is_pandas
            else "tracks and node_names in it",
            found=", ".join([*arrays][:8]) or "nothing",
            fix="Export the CSV; or read it with pandas.read_hdf, and pass a DataFrame with one "
            "name per column."
            if is_pandas
            else "In SLEAP, export the analysis as HDF5.",
            file=path,
        )
    nodes = _texts(arrays["node_names"].read())
    tracks = _time_first(arrays, len(nodes), path)
    names = _texts(arrays["track_names"].read()) if "track_names" in arrays else []
    if len(names) != tracks.shape[1]:
        names = [f"track{i}" for i in range(tracks.shape[1])]
    scores = arrays["point_scores"].read() if "point_scores" in arrays else None
    columns: dict[str, np.ndarray] = {}
    for a, animal in enumerate(names):
        prefix = "" if len(names) == 1 else f"{animal}_"
        for n, node in enumerate(nodes):
            columns[f"{prefix}{node}_x"] = tracks[:, a, n, 0]
            columns[f"{prefix}{node}_y"] = tracks[:, a, n, 1]
            if scores is not None:
                ordered = scores if scores.shape[:2] == (len(names), len(nodes)) else scores.T
                columns[f"{prefix}{node}_score"] = ordered[a, n]
    return pd.DataFrame(columns)


def _time_first(arrays: dict[str, Any], n_nodes: int, path: Path) -> np.ndarray:
    """Positions of shape (n_frames, n_tracks, n_nodes, 2): SLEAP stores them in two orders."""
    shape = arrays["tracks"].shape
    fits = [len(shape) == 4 and shape[1:3] == at for at in ((2, n_nodes), (n_nodes, 2))]
    if fits == [True, False] or (all(fits) and shape[0] < shape[3]):
        return np.transpose(arrays["tracks"].read(), (3, 0, 2, 1))
    if fits[1] and not (all(fits) and shape[0] == shape[3]):
        return np.transpose(arrays["tracks"].read(), (0, 3, 1, 2))
    raise DataError(
        "the tracks do not fit their nodes",
        expected=f"tracks x 2 x {n_nodes} x frames, or the reverse",
        found=" x ".join(map(str, shape)),
        file=path,
        field="tracks",
    )


def _texts(values: Any) -> list[str]:
    return [v.decode() if isinstance(v, bytes) else str(v) for v in np.ravel(values)]
