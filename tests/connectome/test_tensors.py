import numpy as np
import pytest

from neuroml.connectome import FiberTensor, NonnegativeCP, RowsOnDisk
from neuroml.exceptions import DataError


def test_dense_and_back():
    dense = np.random.default_rng(0).uniform(size=(3, 4, 5))
    dense[1, 2] = np.nan
    dense[0, 0, 3] = np.nan
    np.testing.assert_array_equal(FiberTensor.from_dense(dense).to_dense(), dense)


def test_rows_on_disk_give_the_same_factors(tmp_path):
    tensor = FiberTensor.from_dense(np.random.default_rng(0).uniform(size=(20, 6, 15)))
    np.save(tmp_path / "rows.npy", tensor.values)
    rows = RowsOnDisk(tmp_path / "rows.npy", block_bytes=1000)
    streamed = FiberTensor(rows, tensor.index, tensor.shape)
    one, two = (
        NonnegativeCP(2, random_state=0, dtype="float64").fit(given).cp_
        for given in (tensor, streamed)
    )
    for a, b in zip(one.factors, two.factors, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    np.testing.assert_array_equal(streamed.to_dense(), tensor.to_dense())


@pytest.mark.parametrize("values", [np.ones(4), np.ones((2, 2), dtype=int), np.ones((3, 2)).T])
def test_rows_that_cannot_be_read_in_blocks(values, tmp_path):
    np.save(tmp_path / "rows.npy", values)
    with pytest.raises(DataError, match="two-dimensional array of float32 or float64"):
        RowsOnDisk(tmp_path / "rows.npy")


@pytest.mark.parametrize(
    ("index", "shape", "message"),
    [
        ([[0, 0]], (2, 2, 3), "disagree"),
        ([[0, 0], [0, 2]], (2, 2, 3), "outside the tensor"),
        ([[0, 1], [0, 1]], (2, 2, 3), "same place"),
    ],
)
def test_bad_fibers(index, shape, message):
    with pytest.raises(DataError, match=message):
        FiberTensor(np.ones((2, 3)), np.array(index), shape)


@pytest.mark.parametrize("bad", [np.nan, -1.0, np.inf])
def test_rows_on_disk_are_checked_as_they_are_read(bad, tmp_path):
    values = np.ones((6, 5))
    values[4, 2] = bad
    np.save(tmp_path / "rows.npy", values)
    index = np.column_stack([part.ravel() for part in np.indices((3, 2))])
    tensor = FiberTensor(RowsOnDisk(tmp_path / "rows.npy", block_bytes=80), index, (3, 2, 5))
    with pytest.raises(DataError, match="finite values >= 0.*rows from 4 on"):
        NonnegativeCP(1, random_state=0).fit(tensor)
