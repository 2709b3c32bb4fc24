"""nelpy's example sessions: MatClust spike times and the camera's position records."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from scipy.io import loadmat
from scipy.ndimage import gaussian_filter1d

from neuroml.data import make_recording
from neuroml.exceptions import DataError

BIN_S = 0.025
CLOCK_HZ = 30_000
SMOOTHING_S = 0.2  # of the position, for its speed
JUMP_PX = 30  # between two frames; the rat makes at most 15
GLITCH_S = 2.0  # between jumps this close the tracker follows something else
LOST_S = 20.0  # the longest true pause on the maze is 12 s
NOISE_SPIKES = 100_000  # the largest sorted unit has 13,474
HEADER_END = b"<End settings>\n"
RECORD = np.dtype([("t", "<u4"), ("x", "<u2"), ("y", "<u2"), ("x2", "<u2"), ("y2", "<u2")])


def keys(folder: Path) -> list[tuple[str, str, str]]:
    return [("rat", "linear-track", ""), ("rat", "w-maze", "")]


def read(folder: Path, key: tuple[str, str, str]) -> tuple[xr.Dataset, pd.DataFrame]:
    session = folder / key[1]
    units, noise = _sorted_units(session / "spikes.mat")
    track = _track(session / "trajectory.videoPositionTracking")
    start = track["t"].iloc[_arrival(track["run"].to_numpy())]
    stop = min(track["t"].iloc[-1], max(times.max() for times in units.values()))
    edges = start + BIN_S * np.arange(int((stop - start) / BIN_S) + 1)
    counts = np.column_stack([np.histogram(times, edges)[0] for times in units.values()])
    centers = (edges[:-1] + edges[1:]) / 2
    covariates = _at(centers, track)
    run = covariates["run"].to_numpy()
    segment = np.cumsum(np.r_[0, run[1:] != run[:-1]])
    recording = make_recording(
        counts.astype(np.float32),
        units=[f"{key[1]}#{tetrode}.{unit}" for tetrode, unit in units],
        rate_hz=1 / BIN_S,
        time=centers - start,
        modality="spikes",
        value_units="count",
        key=key,
        covariates=covariates,
        segment=segment,
        unit_coords={"tetrode": [tetrode for tetrode, _ in units]},
        dropped=[
            f"the {start - track['t'].iloc[0]:.1f} s of tracking before the rat was on the maze",
            *(f"unit {unit} of tetrode {tetrode}: noise cluster" for tetrode, unit in noise),
        ],
    )
    return recording, _epochs(centers - start, run)


def _sorted_units(
    path: Path,
) -> tuple[dict[tuple[int, int], np.ndarray], list[tuple[int, int]]]:
    """Spike times (s) by (tetrode, unit), both from 1; and the noise clusters among them."""
    times = dict(_leaves(loadmat(path, variable_names=["spikes"])["spikes"]))
    noise = [unit for unit, spikes in times.items() if len(spikes) > NOISE_SPIKES]
    kept = {unit: spikes for unit, spikes in times.items() if len(spikes) and unit not in noise}
    return kept, noise


def _leaves(cell: np.ndarray, path: tuple[int, ...] = ()) -> Iterator[tuple[tuple, np.ndarray]]:
    """Walk MATLAB's nested cells down to the structures with a field ``time``."""
    if cell.dtype.names and cell.size:
        yield path[-2:], cell["time"].flat[0].ravel()
    elif cell.dtype == object:
        for i, inner in enumerate(cell.ravel(), start=1):
            yield from _leaves(inner, (*path, i))


def _track(path: Path) -> pd.DataFrame:
    """Camera frames: t (s), x, y (px), and whether the rat runs on the maze."""
    content = path.read_bytes()
    at = content.find(HEADER_END)
    body = content[at + len(HEADER_END) :]
    if at < 0 or len(body) % RECORD.itemsize:
        raise DataError(
            "this is not a position record",
            expected=f"a text header up to <End settings>, then records of {RECORD.itemsize} bytes",
            found=f"{len(body)} bytes after the header" if at >= 0 else "no header",
            file=path,
        )
    frames = np.frombuffer(body, dtype=RECORD)
    frames = frames[np.r_[True, np.diff(frames["t"].astype(np.int64)) > 0]]
    t = frames["t"] / CLOCK_HZ
    x, y = frames["x"].astype(float), frames["y"].astype(float)
    run = ~_lost(t, x, y)
    fine = run & ~_glitches(t, x, y)
    x, y = (np.interp(t, t[fine], axis[fine]) for axis in (x, y))
    return pd.DataFrame({"t": t, "x": x, "y": y, "run": run})


def _lost(t: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Frames in which the position repeats for longer than a rat can keep still."""
    still = np.r_[False, (np.diff(x) == 0) & (np.diff(y) == 0), False]
    first, last = np.flatnonzero(still[1:] & ~still[:-1]), np.flatnonzero(~still[1:] & still[:-1])
    lost = np.zeros(len(t), dtype=bool)
    for a, b in zip(first, last, strict=True):
        if t[b] - t[a] > LOST_S:
            lost[a : b + 1] = True
    return lost


def _glitches(t: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Frames on either side of a jump, and all frames between two jumps in short succession."""
    jumps = np.flatnonzero(np.hypot(np.diff(x), np.diff(y)) > JUMP_PX)
    glitch = np.zeros(len(t), dtype=bool)
    glitch[jumps] = glitch[jumps + 1] = True
    for before, after in pairwise(jumps):
        if t[after] - t[before] < GLITCH_S:
            glitch[before:after] = True
    return glitch


def _arrival(run: np.ndarray) -> int:
    """The frame on which the rat is put on the maze: both sessions begin with the tracker idle."""
    idle = int(np.argmin(run))
    return idle + int(np.argmax(run[idle:]))


def _at(times: np.ndarray, track: pd.DataFrame) -> pd.DataFrame:
    """Track and speed at evenly spaced times; NaN where the rat is not tracked."""
    run = np.interp(times, track["t"], track["run"]) >= 0.5
    place = np.stack([np.interp(times, track["t"], track[axis]) for axis in "xy"])
    smooth = gaussian_filter1d(place, sigma=SMOOTHING_S / BIN_S, axis=1)
    speed = np.hypot(*np.gradient(smooth, BIN_S, axis=1))
    columns = np.where(run, np.vstack([place, speed]), np.nan)
    return pd.DataFrame(columns.T, columns=["x", "y", "speed"]).assign(run=run.astype(float))


def _epochs(time: np.ndarray, run: np.ndarray) -> pd.DataFrame:
    """Stretches of run and rest as BIDS events."""
    first = np.flatnonzero(np.r_[True, run[1:] != run[:-1]])
    onset = time[first] - BIN_S / 2
    end = np.r_[onset[1:], time[-1] + BIN_S / 2]
    kind = np.where(run[first] > 0, "run", "rest")
    return pd.DataFrame({"onset": onset, "duration": end - onset, "trial_type": kind})
