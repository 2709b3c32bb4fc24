"""Flip bytes of small good files of every format, and watch what the readers make of them.

``python tests/fuzzer.py 100`` tries seeds 0 to 99 on each format and prints a table. A case may end
in a `DataError`, or in the same array as before, or, in formats without checksums, in another one
of the file's own numbers; it may not crash, raise anything else, take over five seconds or ask for
more than the stated memory.
"""

from __future__ import annotations

import random
import resource
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pynwb
import scipy.io
from damaged import (
    TRACES,
    VOXELS,
    as_labels,
    grayordinates,
    image,
    npy,
    npz,
    surface,
    timed,
    traces,
    vertices,
    voxels,
)

from neuroml.data import describe_file, read_events, read_fmri, read_spikes, read_traces
from neuroml.exceptions import DataError

MEMORY_BYTES = 4 * 2**30
SECONDS = 5
CHECKSUMS = ("compressed NIfTI", "npz", "compressed table", "MATLAB v5")
"""Formats in which a changed value cannot go unnoticed."""

Values = Callable[[Path], np.ndarray]


def _signal(read: Callable[[Path], Any]) -> Values:
    return lambda path: read(path).signal.values


def _table(path: Path) -> Path:
    np.savetxt(path, TRACES, delimiter=",", header="a,b,c", comments="")
    return path


def _matlab(path: Path) -> Path:
    scipy.io.savemat(path, {"signal": TRACES}, do_compression=True)
    return path


def _hdf5(path: Path, **arrays: Any) -> Path:
    with h5py.File(path, "w") as file:
        for name, values in (arrays or {"signal": TRACES}).items():
            file[name.replace("__", "/")] = values
    return path


def _caiman(path: Path) -> Path:
    return _hdf5(path, estimates__C=TRACES.T, estimates__F_dff=TRACES.T, params__data__fr=30.0)


def _clocked(path: Path) -> Path:
    rows = np.column_stack([np.arange(len(TRACES)), TRACES])
    np.savetxt(path, rows, delimiter=",", header="time,a,b,c", comments="")
    return path


def _events(path: Path) -> Path:
    path.write_text("onset\tduration\ttrial_type\n1.5\t2\ta\n4\t2.5\tb\n9\t1\ta\n")
    return path


def _nwb(path: Path) -> Path:
    file = pynwb.NWBFile("test", "id", datetime(2020, 1, 1, tzinfo=UTC))
    for train in ([0.1, 0.25, 0.9], [0.3, 0.5]):
        file.add_unit(spike_times=np.array(train))
    with pynwb.NWBHDF5IO(str(path), "w") as io:
        io.write(file)
    return path


FORMATS: dict[str, tuple[Callable[[Path], Path], Values]] = {
    "NIfTI": (lambda d: image(d / "a.nii"), _signal(voxels)),
    "compressed NIfTI": (lambda d: image(d / "a.nii.gz"), _signal(voxels)),
    "atlas": (
        lambda d: image(d / "a.nii", (VOXELS[..., 0] > 100).astype(np.int16)),
        _signal(as_labels),
    ),
    "GIFTI": (lambda d: surface(d / "a.func.gii"), _signal(vertices)),
    "CIFTI": (grayordinates, _signal(read_fmri)),
    "csv": (lambda d: _table(d / "a.csv"), _signal(traces)),
    "csv with time": (lambda d: _clocked(d / "a.csv"), _signal(timed)),
    "compressed table": (lambda d: _table(d / "a.csv.gz"), _signal(traces)),
    "events": (lambda d: _events(d / "a_events.tsv"), lambda p: read_events(p).onset.to_numpy()),
    "npy": (lambda d: npy(d / "a.npy"), _signal(traces)),
    "npz": (lambda d: npz(d / "a.npz"), _signal(traces)),
    "MATLAB v5": (lambda d: _matlab(d / "a.mat"), _signal(traces)),
    "HDF5": (lambda d: _hdf5(d / "a.h5"), _signal(traces)),
    "NWB": (lambda d: _nwb(d / "a.nwb"), _signal(lambda path: read_spikes(path, bin_s=0.1))),
    "CaImAn": (lambda d: _caiman(d / "a.hdf5"), _signal(read_traces)),
}


def damage(whole: bytes, rng: random.Random) -> bytes:
    """Cut the file, or change up to three bytes, mostly of its first 400, or a field of four."""
    kind = rng.random()
    if kind < 0.15:
        return whole[: rng.randrange(len(whole))]
    content = bytearray(whole)
    reach = min(len(whole), 400) if rng.random() < 0.5 else len(whole)
    if kind < 0.4:
        at = rng.randrange(reach)
        field = rng.choice([b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\0\0\x80\x7f", b"\xff\xff\xff\xff"])
        content[at : at + 4] = field
        return bytes(content[: len(whole)])
    for _ in range(rng.randint(1, 3)):
        content[rng.randrange(reach)] = rng.randrange(256)
    return bytes(content)


def _too_long(_signum: int, _frame: Any) -> None:
    raise TimeoutError(f"more than {SECONDS} s")


def fuzz(name: str, seeds: range) -> dict[str, int]:
    """Count how the damaged versions of one format end; raise on an end that may not be."""
    make, read = FORMATS[name]
    counts = {"refused": 0, "the same array": 0, "another array": 0}
    with tempfile.TemporaryDirectory() as folder:
        path = make(Path(folder))
        whole, good = path.read_bytes(), read(path)
        for seed in seeds:
            path.write_bytes(damage(whole, random.Random(f"{name} {seed}")))
            signal.alarm(SECONDS)
            try:
                outcome = _outcome(read, path, good)
                describe_file(path)
            except Exception as error:
                raise AssertionError(f"{name}, seed {seed}: {type(error).__name__}") from error
            finally:
                signal.alarm(0)
            counts[outcome] += 1
    if name in CHECKSUMS and counts["another array"]:
        raise AssertionError(f"{name}: {counts['another array']} changes went unnoticed")
    return counts


def _outcome(read: Values, path: Path, good: np.ndarray) -> str:
    try:
        values = read(path)
    except DataError as error:
        if str(path.parent) not in str(error):
            raise AssertionError(f"the error does not name the file: {error}") from error
        return "refused"
    return "the same array" if np.array_equal(values, good) else "another array"


def main(n_cases: int) -> None:
    """Fuzz every format and print the table."""
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, _too_long)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    sys.stdout.write(f"{'format':<18}{'refused':>9}{'the same':>10}{'another':>9}\n")
    for name in FORMATS:
        counts = fuzz(name, range(n_cases))
        refused, same, another = counts.values()
        sys.stdout.write(f"{name:<18}{refused:>9}{same:>10}{another:>9}\n")
    sys.stdout.write(f"{n_cases * len(FORMATS)} cases\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
