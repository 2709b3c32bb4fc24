"""The four backends agree bit for bit, and the cost model ranks them sensibly."""

import numpy as np
import pytest
from scipy import sparse

from neuroml.dendrites._overlaps import BACKENDS, cheapest
from neuroml.simulate import make_patterns

SHAPES = [
    (1, 1, 1, 1),
    (63, 5, 9, 40),
    (64, 64, 64, 10),
    (65, 30, 20, 130),
    (3000, 24, 40, 500),
    (255, 255, 255, 3),  # the largest overlap that a counter of one byte holds, and one more
    (256, 256, 256, 3),
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("n", "s", "a", "M"), SHAPES)
def test_every_backend_counts_what_integers_count(backend, n, s, a, M):
    segments = make_patterns(M, n, s, random_state=n)
    queries = make_patterns(70, n, a, random_state=n + 1)
    expected = queries.toarray().astype(int) @ segments.toarray().astype(int).T
    found = BACKENDS[backend].overlaps(BACKENDS[backend].build(segments), queries)
    assert found.dtype == np.int32 and found.flags.c_contiguous
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_ragged_and_empty_rows(backend):
    rng = np.random.default_rng(0)
    dense = rng.random((30, 100)) < rng.random((30, 1))
    dense[3] = False
    rows = sparse.csr_array(dense, dtype=np.uint8)
    found = BACKENDS[backend].overlaps(BACKENDS[backend].build(rows), rows)
    np.testing.assert_array_equal(found, dense.astype(int) @ dense.T)
    assert BACKENDS[backend].overlaps(BACKENDS[backend].build(rows), rows[:0]).shape == (0, 30)


def test_sparse_activity_takes_the_inverted_index_and_dense_activity_bits():
    assert cheapest(2048, 24, 40, 10**6) == "inverted"
    assert cheapest(2048, 1000, 1000, 10**6) == "bits"
