"""Bytes flipped at random: a DataError or an array, never anything else."""

import random

import nibabel
import numpy as np
import pytest

from neuroml.data import describe_file, read_fmri, read_traces
from neuroml.exceptions import DataError


def damaged(whole, seed):
    """Cut the file, or overwrite up to three bytes, mostly of its first 400."""
    rng = random.Random(seed)
    if rng.random() < 0.15:
        return whole[: rng.randrange(len(whole))]
    content = bytearray(whole)
    reach = min(len(whole), 400) if rng.random() < 0.5 else len(whole)
    for _ in range(rng.randint(1, 3)):
        content[rng.randrange(reach)] = rng.randrange(256)
    return bytes(content)


def assert_told(path, read, seeds):
    """Read damaged versions of a file; return how many came out with other values."""
    whole, good = path.read_bytes(), read(path)
    changed = 0
    for seed in seeds:
        path.write_bytes(damaged(whole, seed))
        try:
            values = read(path)
        except DataError as error:
            assert str(path) in str(error), seed
        else:
            changed += not np.array_equal(values, good)
        assert describe_file(path).kind
    return changed


def test_arrays_and_tables(written):
    changed = assert_told(written, lambda path: read_traces(path).signal.values, range(60))
    if written.suffix in (".npz", ".gz"):
        assert changed == 0  # they carry checksums


@pytest.mark.parametrize("suffix", ["nii", "nii.gz"])
def test_images(save_image, volumes, suffix):
    path = save_image(volumes[0], name=f"a.{suffix}")
    mask = nibabel.Nifti1Image((volumes[2] > 0).astype(np.uint8), volumes[1])
    changed = assert_told(path, lambda p: read_fmri(p, mask=mask).signal.values, range(60))
    if suffix == "nii.gz":
        assert changed == 0
