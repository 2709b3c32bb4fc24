"""Peak memory of the readers of recordings, against the size of what they return.

Run by hand: ``python tests/benchmarks/data/recordings.py``. Each reading is a process of its own;
its peak resident memory is compared with that of one which reads a tiny file. A reader whose peak
grows by k times the result's size holds k copies: the slope between the two sizes tells.
"""

import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np

N_UNITS, LENGTHS = 200, (2_000, 50_000, 100_000)
KINDS = ("npy", "npy units first", "h5", "suite2p", "nwb")


def write(kind, n_times, where):
    rng = np.random.default_rng(0)
    if kind == "suite2p":
        for name in ("F", "Fneu"):
            values = 100 + rng.random((N_UNITS, n_times), dtype=np.float32)
            np.save(where / f"{name}.npy", values)
        np.save(where / "iscell.npy", np.ones((N_UNITS, 2)))
        return where
    values = rng.random((n_times, N_UNITS), dtype=np.float32)
    if kind == "h5":
        with h5py.File(where / "a.h5", "w") as file:
            file["traces"] = values
        return where / "a.h5"
    if kind == "nwb":
        return write_nwb(values, where / "a.nwb")
    np.save(where / "a.npy", values.T if "first" in kind else values)
    return where / "a.npy"


def write_nwb(values, path):
    from datetime import UTC, datetime

    from pynwb import NWBHDF5IO, NWBFile
    from pynwb.ophys import Fluorescence, ImageSegmentation, OpticalChannel, RoiResponseSeries

    nwb = NWBFile("d", "i", datetime(2020, 1, 1, tzinfo=UTC))
    plane = nwb.create_imaging_plane(
        name="p",
        optical_channel=OpticalChannel(name="c", description="d", emission_lambda=500.0),
        description="d",
        device=nwb.create_device("m"),
        excitation_lambda=900.0,
        indicator="G",
        location="V1",
    )
    cells = ImageSegmentation()
    table = cells.create_plane_segmentation(name="s", description="d", imaging_plane=plane)
    for _ in range(values.shape[1]):
        table.add_roi(pixel_mask=[(0, 0, 1.0)])
    module = nwb.create_processing_module("ophys", "d")
    module.add(cells)
    traces = Fluorescence()
    module.add(traces)
    rows = table.create_roi_table_region(region=[*range(values.shape[1])], description="all")
    series = RoiResponseSeries(name="F", data=values, rois=rows, unit="n.a.", rate=30.0)
    traces.add_roi_response_series(series)
    with NWBHDF5IO(str(path), "w") as io:
        io.write(nwb)
    return path


def read(kind, path):
    from neuroml.data import read_traces

    options = {} if kind == "nwb" else {"rate_hz": 30.0}
    options |= {"units_first": "first" in kind} if kind in ("npy", "npy units first", "h5") else {}
    recording = read_traces(path, **options)
    size = sum(variable.nbytes for variable in recording.data_vars.values())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps([size, peak]))


def main():
    print("reader            result (MB)   peak above a tiny file's (MB)   copies (slope)")
    for kind in KINDS:
        points = []
        for n_times in LENGTHS:
            with tempfile.TemporaryDirectory() as folder:
                path = write(kind, n_times, Path(folder))
                command = [sys.executable, __file__, kind, str(path)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                points.append(json.loads(done.stdout))
        (_, base), *large = points
        slope = (large[1][1] - large[0][1]) / (large[1][0] - large[0][0])
        for size, peak in large:
            print(f"{kind:<17} {size / 1e6:11.0f} {(peak - base) / 1e6:31.0f} {slope:16.2f}")


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))
    from arguments import arguments

    given = arguments(__doc__, optional=["KIND", "FILE"])
    read(*given) if given else main()
