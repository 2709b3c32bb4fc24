"""Codes of a fixed size that keep neighborhoods."""

import numpy as np
import pytest
from scipy import sparse

from neuroml.dendrites import KWinnersEncoder
from neuroml.exceptions import DataError


@pytest.fixture
def X():
    return np.random.default_rng(0).normal(size=(60, 10)) + 3


def test_exactly_k_cells_win_even_when_all_are_tied(X):
    codes = KWinnersEncoder(200, 13, random_state=0).fit_transform(X)
    assert set(codes.sum(axis=1)) == {13} and codes.has_canonical_format
    tied = KWinnersEncoder(200, 13, random_state=0).fit(np.ones((5, 3)))
    assert set(tied.transform(np.ones((5, 3))).sum(axis=1)) == {13}


def test_winners_are_the_most_strongly_driven_cells(X):
    encoder = KWinnersEncoder(200, 13, random_state=0).fit(X)
    drive = X @ encoder.projection_ + encoder.offset_
    codes = encoder.transform(X).toarray().astype(bool)
    assert np.all(np.where(codes, drive, np.inf).min(1) > np.where(codes, -np.inf, drive).max(1))


def test_sparse_input_and_a_shift_of_all_samples_change_nothing(X):
    codes = KWinnersEncoder(200, 13, random_state=0).fit_transform(X).toarray()
    for other in (sparse.csr_array(X), X + 100):
        again = KWinnersEncoder(200, 13, random_state=0).fit_transform(other).toarray()
        np.testing.assert_array_equal(codes, again)


def test_nearer_samples_share_more_cells():
    rng = np.random.default_rng(1)
    base = rng.normal(size=(200, 20))
    step = rng.normal(size=(200, 20))
    encoder = KWinnersEncoder(2000, 50, random_state=0).fit(base)
    codes = [encoder.transform(base + size * step) for size in (0, 0.1, 0.3, 1.0, 3.0)]
    shared = [codes[0].multiply(code).sum() / 200 for code in codes]
    assert shared[0] == 50 and np.all(np.diff(shared) < 0)


def test_samples_in_one_direction_from_the_mean_are_told_apart():
    X = np.array([[-1.0], [-0.5], [0.5], [1.0]])
    codes = KWinnersEncoder(500, 20, random_state=0).fit_transform(X).toarray()
    assert np.any(codes[2] != codes[3])


def test_bad_input(X):
    with pytest.raises(
        DataError, match="more winners than cells; expected n_active <= n_cells = 5"
    ):
        KWinnersEncoder(5, 6).fit(X)
