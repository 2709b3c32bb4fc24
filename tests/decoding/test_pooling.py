"""Adaptive pooling against torch's, and back."""

import numpy as np
import pytest
import torch

from neuroml.decoding._pooling import pool, unpool, windows
from neuroml.exceptions import DataError

TORCH = {"max": torch.nn.AdaptiveMaxPool1d, "average": torch.nn.AdaptiveAvgPool1d}


@pytest.mark.parametrize("kind", ["max", "average"])
@pytest.mark.parametrize(("n_voxels", "n_windows"), [(10, 10), (11, 4), (15, 8), (97, 31), (5, 1)])
def test_pooling_is_that_of_torch(kind, n_voxels, n_windows):
    X = np.random.default_rng(0).standard_normal((3, n_voxels))
    expected = TORCH[kind](n_windows)(torch.tensor(X)).numpy()
    np.testing.assert_allclose(pool(X, n_windows, kind), expected, atol=1e-12)


def test_unpooling_gives_each_voxel_the_mean_of_its_windows():
    rng = np.random.default_rng(1)
    pooled, n_voxels = rng.standard_normal((2, 6)), 10
    starts, ends = windows(n_voxels, 6)
    inside = (starts[:, None] <= np.arange(n_voxels)) & (np.arange(n_voxels) < ends[:, None])
    expected = pooled @ inside / inside.sum(axis=0)
    np.testing.assert_allclose(unpool(pooled, n_voxels), expected, atol=1e-12)


def test_fewer_voxels_than_windows_are_refused():
    with pytest.raises(DataError, match="at least n_pool = 8 voxels"):
        pool(np.zeros((2, 7)), 8, "max")
