"""Distances of conditions against loops; products of independent parts have no bias."""

import tracemalloc

import numpy as np
import pytest

from neuroml.exceptions import DataError
from neuroml.representation import representational_dissimilarity
from neuroml.representation._checks import condition_means

RNG = np.random.default_rng


def data(n_sessions=3, n_conditions=4, repeats=2, n_units=6, seed=0, signal=1.0):
    rng = RNG(seed)
    y = np.tile(np.repeat(np.arange(n_conditions), repeats), n_sessions)
    sessions = np.repeat(np.arange(n_sessions), n_conditions * repeats)
    means = signal * rng.normal(size=(n_conditions, n_units))
    return means[y] + rng.normal(size=(len(y), n_units)), y, sessions


@pytest.mark.parametrize("lost", [0, 3])
def test_crossnobis_against_loops(lost):
    X, y, sessions = (part[lost:] for part in data(repeats=4))  # 3 lost: numbers that differ
    P = np.linalg.inv(np.cov(RNG(1).normal(size=(6, 50))))
    expected = np.zeros((4, 4))
    for k in range(3):
        one = [X[(sessions == k) & (y == c)].mean(0) for c in range(4)]
        rest = [X[(sessions != k) & (y == c)].mean(0) for c in range(4)]
        for i in range(4):
            for j in range(4):
                expected[i, j] += (one[i] - one[j]) @ P @ (rest[i] - rest[j]) / 6 / 3
    symmetric = (expected + expected.T) / 2
    found = representational_dissimilarity(
        X, y, metric="crossnobis", sessions=sessions, precision=P
    )
    np.testing.assert_allclose(found, symmetric, atol=1e-12)


def test_means_of_many_conditions_need_no_table_of_conditions_and_samples():
    X, codes = RNG(0).normal(size=(4000, 5)), np.arange(4000) % 1000
    tracemalloc.start()
    means = condition_means(X, codes)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_allclose(means, X.reshape(4, 1000, 5).mean(0), atol=1e-12)
    assert peak < 10 * X.nbytes  # such a table has 200 times the size of X


def test_euclidean_and_correlation_against_numpy():
    X, y, _ = data()
    means = np.array([X[y == c].mean(0) for c in range(4)])
    squared = ((means[:, None] - means) ** 2).mean(-1)
    np.testing.assert_allclose(representational_dissimilarity(X, y), squared, atol=1e-12)
    found = representational_dissimilarity(X, y, metric="correlation")
    np.testing.assert_allclose(found, 1 - np.corrcoef(means), atol=1e-12)


@pytest.mark.parametrize("with_sessions", [True, False])
def test_without_differences_the_cross_validated_distance_is_zero_on_average(with_sessions):
    cross, plain = [], []
    for seed in range(200):
        X, y, sessions = data(seed=seed, signal=0.0)
        given = sessions if with_sessions else None
        cross.append(
            representational_dissimilarity(X, y, metric="crossnobis", sessions=given)[0, 1]
        )
        plain.append(representational_dissimilarity(X, y)[0, 1])
    assert abs(np.mean(cross)) < 3 * np.std(cross) / np.sqrt(200)
    assert np.mean(plain) > 0.2  # 2 / 6 samples


def test_what_has_no_distance_is_refused():
    X, y, sessions = data()
    with pytest.raises(DataError, match="none of condition 0 in 1"):
        kept = ~((sessions == 1) & (y == 0))
        representational_dissimilarity(
            X[kept], y[kept], metric="crossnobis", sessions=sessions[kept]
        )
    with pytest.raises(DataError, match="one condition"):
        representational_dissimilarity(X, np.zeros(len(X), dtype=int))
    with pytest.raises(DataError, match="one sample"):
        representational_dissimilarity(np.eye(3), [0, 0, 1], metric="crossnobis")
    with pytest.raises(DataError, match="correlates with nothing"):
        representational_dissimilarity(np.ones((4, 3)), [0, 0, 1, 1], metric="correlation")
    with pytest.raises(DataError, match="precision"):
        representational_dissimilarity(X, y, precision=np.eye(6))
    with pytest.raises(DataError, match="missing"):
        representational_dissimilarity(X, np.where(y == 0, np.nan, y.astype(float)))
