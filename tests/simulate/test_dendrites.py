"""Random patterns, noise and unions keep the counts they promise, and are uniform."""

import numpy as np
import pytest
from scipy.stats import binom

from neuroml.exceptions import DataError
from neuroml.simulate import add_pattern_noise, make_patterns, unite_patterns


def test_patterns_have_the_asked_number_of_active_cells():
    patterns = make_patterns(50, n=30, a=7, random_state=0)
    dense = patterns.toarray()
    assert set(np.unique(dense)) == {0, 1} and np.all(dense.sum(axis=1) == 7)
    assert patterns.has_sorted_indices and patterns.indices.dtype == np.int32
    assert make_patterns(3, n=5, a=0, random_state=0).nnz == 0
    assert np.all(make_patterns(3, n=5, a=5, random_state=0).toarray() == 1)
    np.testing.assert_array_equal(dense, make_patterns(50, 30, 7, random_state=0).toarray())
    assert np.any(dense != make_patterns(50, 30, 7, random_state=1).toarray())


def test_patterns_are_uniform():
    n_patterns, n, a = 20_000, 12, 3
    dense = make_patterns(n_patterns, n, a, random_state=0).toarray()
    rate, pair = a / n, a * (a - 1) / (n * (n - 1))
    counts = dense.T.astype(int) @ dense
    expected = np.where(np.eye(n), rate, pair)
    low, high = binom.interval(1 - 1e-6, n_patterns, expected)
    assert np.all((low <= counts) & (counts <= high))


@pytest.mark.parametrize(("kind", "kept", "new"), [("swap", 6, 4), ("drop", 6, 0), ("add", 10, 4)])
def test_noise_changes_exactly_v_cells(kind, kept, new):
    patterns = make_patterns(40, n=30, a=10, random_state=0)
    noisy = add_pattern_noise(patterns, 4, kind=kind, random_state=1)
    shared = patterns.multiply(noisy).sum(axis=1)
    assert np.all(shared == kept)
    assert np.all(noisy.sum(axis=1) == kept + new)
    assert noisy.has_canonical_format


def test_a_cell_that_was_silenced_is_never_activated_again():
    patterns = make_patterns(200, n=12, a=6, random_state=0)
    noisy = add_pattern_noise(patterns, 6, random_state=1)
    assert patterns.multiply(noisy).nnz == 0


def test_unions():
    patterns = make_patterns(5, n=20, a=6, random_state=0)
    before = patterns.toarray()
    united = unite_patterns(patterns, 2).toarray()
    np.testing.assert_array_equal(united[0], before[0] | before[1])
    np.testing.assert_array_equal(united[2], before[4])
    np.testing.assert_array_equal(patterns.toarray(), before)


def test_bad_input():
    with pytest.raises(DataError, match="too many active cells; expected 0 <= a <= n = 5; found 6"):
        make_patterns(1, n=5, a=6)
    with pytest.raises(DataError, match="n must be a count; expected an int; found 50.0"):
        make_patterns(1, n=50.0, a=6)
    patterns = make_patterns(2, n=10, a=6, random_state=0)
    with pytest.raises(DataError, match="cannot swap 5 cells.*>= 5 silent"):
        add_pattern_noise(patterns, 5)
    with pytest.raises(ValueError, match="'swap' or 'drop' or 'add'"):
        add_pattern_noise(patterns, 1, kind="flip")
    with pytest.raises(DataError, match="size >= 1"):
        unite_patterns(patterns, 0)
