"""A tensor of 4 GiB on disk, factorized by a process that may address 1 GiB."""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap

SHAPE = (8000, 128, 1049)
LIMIT = 2**30


def write(path):
    """Three planted components, a hundred pairs at a time."""
    rng = np.random.default_rng(0)
    pairs, subjects, times = (rng.gamma(0.5, size=(n, 3)).astype(np.float32) for n in SHAPE)
    rows = open_memmap(path, "w+", np.float32, (SHAPE[0] * SHAPE[1], SHAPE[2]))
    for first in range(0, SHAPE[0], 100):
        places = (pairs[first : first + 100, None] * subjects).reshape(-1, 3)
        rows[first * SHAPE[1] : (first + 100) * SHAPE[1]] = places @ times.T
    rows.flush()


def fit(path):
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
    from neuroml.connectome import FiberTensor, NonnegativeCP, RowsOnDisk

    index = np.column_stack([part.ravel() for part in np.indices(SHAPE[:2])])
    tensor = FiberTensor(RowsOnDisk(path), index, SHAPE)
    began = time.process_time()
    model = NonnegativeCP(3, n_init=1, random_state=0, tol=1e-3, sample_mode=1).fit(tensor)
    status = Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0])
    print(
        f"{path.stat().st_size / 2**30:.2f} GiB under an address limit of 1 GiB: relative error "
        f"{model.reconstruction_err_:.4f} after {model.n_iter_} sweeps, "
        f"{time.process_time() - began:.0f} CPU s, peak "
        f"{peak / 1024:.0f} MiB"
    )


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))
    from arguments import arguments

    given = arguments(__doc__, optional=["FILE"])
    if given:
        fit(Path(given[0]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder) / "rows.npy")
            subprocess.run([sys.executable, __file__, f"{folder}/rows.npy"], check=True)
