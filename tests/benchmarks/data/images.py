"""What reading a run through an atlas costs, beside nilearn's masker and a bare pass over the file.

``python tests/benchmarks/data/images.py [--gib 0.1 0.5] [--kind labels mask]`` writes a run of
int16 volumes on the 2 mm MNI grid, 70% of it background, as ``.nii.gz``, and measures in a process
for each reader the CPU seconds of the reading alone and the peak memory beyond that before it:
`read_fmri`, which also fingerprints the file; nilearn's masker; and gunzip with one NumPy pass.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import nibabel as nib
import numpy as np

SHAPE = (91, 109, 91)
N_REGIONS = 400
AFFINE = np.diag([-2.0, 2.0, 2.0, 1.0])
BLOCK = 2**22


def write(folder: Path, gib: float) -> None:
    """A run of about so many GiB of stored voxels, an atlas and a mask."""
    rng = np.random.default_rng(0)
    middle = (np.array(SHAPE) - 1) / 2
    where = np.indices(SHAPE).reshape(3, -1).T
    inside = (((where - middle) / (0.42 * np.array(SHAPE))) ** 2).sum(axis=1) < 1
    seeds = where[inside][rng.choice(inside.sum(), N_REGIONS, replace=False)]
    from scipy.spatial import cKDTree

    labels = np.zeros(len(where), np.int16)
    labels[inside] = cKDTree(seeds).query(where[inside])[1] + 1
    labels = labels.reshape(SHAPE)
    nib.save(nib.Nifti1Image(labels, AFFINE), folder / "labels.nii.gz")
    nib.save(nib.Nifti1Image((labels > 0).astype(np.uint8), AFFINE), folder / "mask.nii.gz")
    n = round(gib * 2**30 / (2 * labels.size))
    head = nib.Nifti1Header()
    head.set_data_dtype(np.int16)
    head.set_data_shape((*SHAPE, n))
    head.set_sform(AFFINE, 4)
    head.set_zooms((2, 2, 2, 0.8))
    head.set_xyzt_units("mm", "sec")
    head["vox_offset"], head["magic"] = 352, b"n+1"
    level = rng.normal(8000, 1500, SHAPE)
    with gzip.open(folder / "bold.nii.gz", "wb", compresslevel=4) as file:
        file.write(head.binaryblock + bytes(4))
        for _ in range(n):
            volume = np.where(labels > 0, level + rng.normal(0, 100, SHAPE), 0)
            file.write(volume.astype("<i2").tobytes(order="F"))


def by_neuroml(folder: Path, kind: str) -> np.ndarray:
    """The library."""
    from neuroml.data import read_fmri

    file = folder / f"{kind}.nii.gz"
    return read_fmri(folder / "bold.nii.gz", **{kind: file}).signal.values


def by_nilearn(folder: Path, kind: str) -> np.ndarray:
    """Its peer."""
    from nilearn.maskers import NiftiLabelsMasker, NiftiMasker

    masker = NiftiLabelsMasker if kind == "labels" else NiftiMasker
    fitted = masker(str(folder / f"{kind}.nii.gz"), standardize=None, reports=False)
    return fitted.fit_transform(str(folder / "bold.nii.gz"))


def by_pass(folder: Path, kind: str) -> np.ndarray:
    """The least work: decompress, and add up every volume."""
    del kind
    sums = []
    n_bytes = 2 * int(np.prod(SHAPE))
    with gzip.open(folder / "bold.nii.gz") as file:
        file.read(352)
        while content := file.read(n_bytes):
            sums.append(np.frombuffer(content, "<i2").sum(dtype=np.float64))
    return np.array(sums)


READERS = {"neuroml": by_neuroml, "nilearn": by_nilearn, "pass": by_pass}


def warm_up(reader: str, folder: Path) -> None:
    """Read a run of two volumes first, since what is imported at first use is no reading."""
    small = folder / "small"
    small.mkdir(exist_ok=True)
    where = np.diag([10.0, 10.0, 10.0, 1.0])
    bold = np.random.default_rng(0).normal(size=(5, 5, 5, 2)).astype(np.float32)
    nib.save(nib.Nifti1Image(bold, where), small / "bold.nii.gz")
    nib.save(nib.Nifti1Image(np.ones((5, 5, 5), np.int16), where), small / "labels.nii.gz")
    READERS[reader](small, "labels")


def measure(reader: str, folder: Path, kind: str) -> None:
    """Print CPU seconds, seconds and the peak (MiB) beyond what was there, and some values."""
    import nilearn.maskers

    import neuroml.data

    assert nilearn and neuroml
    warm_up(reader, folder)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cpu, wall = time.process_time(), time.perf_counter()
    values = READERS[reader](folder, kind)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    facts = {
        "cpu_s": round(cpu, 2),
        "wall_s": round(wall, 2),
        "peak_mib": round((peak - before) / 1024),
        "result_mib": round(values.nbytes / 2**20),
        "mean": float(values.mean(dtype=np.float64)),
    }
    print(json.dumps(facts))


def main() -> None:
    """Measure all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gib", type=float, nargs="+", default=[0.1, 0.5])
    parser.add_argument("--kind", nargs="+", default=["labels", "mask"])
    parser.add_argument("--one", nargs=3, metavar=("READER", "FOLDER", "KIND"))
    options = parser.parse_args()
    if options.one:
        return measure(options.one[0], Path(options.one[1]), options.one[2])
    for gib in options.gib:
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), gib)
            for kind in options.kind:
                facts = {}
                for reader in READERS:
                    command = [sys.executable, __file__, "--one", reader, folder, kind]
                    done = subprocess.run(command, capture_output=True, text=True, check=True)
                    facts[reader] = json.loads(done.stdout.splitlines()[-1])
                    print(f"{gib} GiB {kind} {reader}: {facts[reader]}", flush=True)
                cpu = {reader: fact["cpu_s"] for reader, fact in facts.items()}
                print(
                    f"  CPU / nilearn {cpu['neuroml'] / cpu['nilearn']:.2f} (at most 0.6), "
                    f"/ gunzip and a pass {cpu['neuroml'] / cpu['pass']:.2f} (at most 1.5); peak "
                    f"{facts['neuroml']['peak_mib'] - facts['neuroml']['result_mib']} MiB beyond "
                    "the result (at most 200)"
                )


if __name__ == "__main__":
    main()
