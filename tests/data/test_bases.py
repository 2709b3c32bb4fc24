"""Basis functions of lags and values."""

import numpy as np
import pytest

from neuroml.data import bspline_basis, convolve_basis, raised_cosine_basis
from neuroml.exceptions import DataError


def test_raised_cosines_widen_with_the_lag():
    basis = raised_cosine_basis(4, 60)
    np.testing.assert_allclose(basis.sum(axis=1), 1.0)
    assert (np.diff(basis.argmax(axis=1)) > 0).all()
    assert (np.diff((basis > 0).sum(axis=1)[:3]) > 0).all()


@pytest.mark.parametrize("degree", [0, 1, 3])
def test_splines_sum_to_one_and_make_their_polynomials(degree):
    x = np.linspace(-2.0, 5.0, 200)
    basis = bspline_basis(x, 7, bounds=(-2, 5), degree=degree)
    np.testing.assert_allclose(basis.sum(axis=1), 1.0)
    weights = np.linalg.lstsq(basis, x**degree, rcond=None)[0]
    np.testing.assert_allclose(basis @ weights, x**degree, atol=1e-9)


@pytest.mark.parametrize("first_lag", [0, 1, 3])
def test_convolution_is_the_sum_over_the_past_of_a_session(first_lag):
    rng = np.random.default_rng(0)
    values, basis = rng.normal(size=(12, 2)), rng.normal(size=(3, 4))
    sessions = np.repeat([0, 1], [5, 7])
    found = convolve_basis(values, basis, sessions=sessions, first_lag=first_lag)
    expected = np.zeros((12, 2, 3))
    for t, lag in np.ndindex(12, 4):
        before = t - lag - first_lag
        if before >= 0 and sessions[before] == sessions[t]:
            expected[t] += values[before][:, None] * basis[:, lag]
    np.testing.assert_allclose(found, expected.reshape(12, -1), atol=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: raised_cosine_basis(5, 4), "as many functions as lags"),
        (lambda: bspline_basis([0.0, 2.0], 5, bounds=(0, 1)), "out of bounds.*1 others of 2"),
        (lambda: bspline_basis([0.0, np.nan], 5, bounds=(0, 1)), "missing or out of bounds"),
        (lambda: bspline_basis([0.0], 3, bounds=(0, 1)), "too few splines"),
        (lambda: bspline_basis([0.0], 5, bounds=(1, 1)), "no range"),
        (lambda: convolve_basis([0.0, np.nan], [[1.0]]), "values cannot be convolved"),
        (lambda: convolve_basis([0.0], [1.0]), "basis cannot be convolved"),
        (lambda: convolve_basis([0.0], [[1.0]], first_lag=-1), "no past"),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(DataError, match=message):
        call()
