"""Information in bits: exact where it is known, the same at any scale, its bias corrected."""

import warnings

import numpy as np
import pytest

from neuroml.exceptions import DataError
from neuroml.representation import mutual_information

RNG = np.random.default_rng


@pytest.mark.parametrize("method", ["adaptive-bins", "adaptive-kde"])
def test_a_code_of_labels_knows_them(method):
    for n_classes in (2, 4):
        y = np.arange(400) % n_classes
        X = np.eye(n_classes)[y] * 3.0
        assert mutual_information(X, y, method=method) == pytest.approx(np.log2(n_classes))
    names = np.array(["a", "b"])[y % 2]
    assert mutual_information((y % 2)[:, None] * 1.0, names) == pytest.approx(1)


def test_bins_do_not_depend_on_scale():
    X, y = RNG(0).normal(size=(500, 2)), RNG(1).integers(0, 3, 500)
    first = mutual_information(X, y, n_bins=5)
    for scale in (1e-3, 7.0, 1e6):
        assert mutual_information(scale * X + 3, y, n_bins=5) == first
    assert mutual_information(np.exp(X), y, n_bins=5) == first  # nor on what keeps the order


def test_which_sample_it_was_is_bounded_by_their_number():
    X = RNG(0).normal(size=(256, 6))
    with pytest.warns(UserWarning, match=r"bounded by log2\(n\) = 8.0 bits"):
        assert mutual_information(X, np.arange(256)) == pytest.approx(8, abs=0.05)


def gaussian(rho, n, seed):
    x = RNG(seed).normal(size=(n, 2))
    return x[:, :1], rho * x[:, 0] + np.sqrt(1 - rho**2) * x[:, 1]


def test_neighbors_of_a_gaussian():
    exact = -0.5 * np.log2(1 - 0.8**2)
    found = [mutual_information(*gaussian(0.8, 1000, seed), method="ksg") for seed in range(10)]
    assert np.mean(found) == pytest.approx(exact, abs=3 * np.std(found) / np.sqrt(10) + 0.01)
    none = [mutual_information(*gaussian(0.0, 500, seed), method="ksg") for seed in range(20)]
    assert abs(np.mean(none)) < 3 * np.std(none) / np.sqrt(20) + 0.01


def test_neighbors_of_labels():
    """Two uniform densities that overlap by half: the label is known outside of the overlap."""
    found = []
    for seed in range(10):
        y = np.arange(1000) % 2
        x = RNG(seed).uniform(size=1000) + 0.5 * y
        found.append(mutual_information(x, y, method="ksg"))
    assert np.mean(found) == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize("correction", ["shuffle", "quadratic"])
def test_corrections_take_the_bias_out(correction):
    plain, corrected = [], []
    for seed in range(30):
        X, y = RNG(seed).normal(size=(200, 2)), RNG(100 + seed).integers(0, 2, 200)
        plain.append(mutual_information(X, y, n_bins=5))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            corrected.append(mutual_information(X, y, n_bins=5, correction=correction))
    assert np.mean(plain) > 0.05
    assert abs(np.mean(corrected)) < 0.2 * np.mean(plain) + 3 * np.std(corrected) / np.sqrt(30)


def test_what_cannot_be_estimated_is_refused():
    with pytest.raises(DataError, match="do not match the samples"):
        mutual_information(np.ones((5, 1)), [0, 1])
    with pytest.raises(DataError, match="bins"):
        mutual_information(np.ones((5, 1)), [0, 1, 0, 1, 0], n_bins=1)
    with pytest.raises(DataError, match="no label occurs twice"):
        mutual_information(RNG(0).normal(size=(5, 1)), np.arange(5), method="ksg")
    with pytest.raises(DataError, match="divide by four"):
        mutual_information(np.arange(8.0) % 2, np.arange(8) % 2, correction="quadratic")
    with pytest.raises(DataError, match="correction"):
        mutual_information(np.arange(8.0), np.arange(8) % 2, correction="none")
