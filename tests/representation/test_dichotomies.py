"""Parallelism, generalization and shattering of codes whose geometry is known."""

from itertools import permutations

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf_shrinkage

from neuroml.exceptions import DataError
from neuroml.representation import (
    ccgp,
    dichotomies,
    parallelism_score,
    shattering_dimensionality,
)
from neuroml.representation._checks import standardized
from neuroml.representation._readout import Discriminant, Noise, accuracy_of
from neuroml.representation.dichotomies import cross_condition_accuracy

RNG = np.random.default_rng
CUBE = np.array([[i >> 2 & 1, i >> 1 & 1, i & 1] for i in range(8)], dtype=float)
SIDE = [0, 0, 0, 0, 1, 1, 1, 1]


def trials(means, repeats=20, noise=0.3, seed=0):
    y = np.repeat(np.arange(len(means)), repeats)
    return means[y] + noise * RNG(seed).normal(size=(len(y), means.shape[1])), y


@pytest.mark.parametrize(("n", "count"), [(2, 1), (4, 3), (6, 10), (8, 35), (3, 3), (5, 10)])
def test_every_split_in_two_once(n, count):
    found = dichotomies(n)
    assert len(found) == count
    both = {row.tobytes() for row in found} | {(~row).tobytes() for row in found}
    assert len(both) == 2 * count
    assert np.isin(found.sum(1), [n // 2, (n + 1) // 2]).all()


@pytest.mark.parametrize("n", [8, 20])
def test_some_of_many_dichotomies(n):
    found = dichotomies(n, most=7, random_state=1)
    assert found.shape == (7, n) and len(np.unique(found, axis=0)) == 7


def brute_force(X, side):
    plus, minus = X[np.array(side) == 1], X[np.array(side) == 0]
    best = -2
    for order in permutations(range(len(plus))):
        steps = plus - minus[list(order)]
        steps /= np.linalg.norm(steps, axis=1, keepdims=True)
        cosines = (steps @ steps.T)[np.triu_indices(len(plus), 1)]
        best = max(best, cosines.mean())
    return best


def test_parallelism_is_the_best_pairing():
    X = RNG(0).normal(size=(8, 5))
    assert parallelism_score(X, SIDE) == pytest.approx(brute_force(X, SIDE))
    assert parallelism_score(X, ["b" if s else "a" for s in SIDE]) == parallelism_score(X, SIDE)


def test_search_over_many_pairings_finds_the_planted_one():
    rng = RNG(0)
    base = rng.normal(size=(10, 30))
    X = np.concatenate([base, (base + rng.normal(size=30))[rng.permutation(10)]])
    assert parallelism_score(X, np.repeat([0, 1], 10)) == pytest.approx(1)


@pytest.mark.parametrize("n_units", [10, 60])
def test_a_factored_code_is_parallel_and_generalizes(n_units):
    means = CUBE @ RNG(1).normal(size=(3, n_units))
    assert parallelism_score(means, SIDE) == pytest.approx(1)
    X, y = trials(means)
    assert ccgp(X, y, SIDE) > 0.98
    # axes at right angles: one condition a side cannot tell a line from what leans with it
    square = 4 * CUBE[::2, :2] @ np.linalg.qr(RNG(2).normal(size=(n_units, 2)))[0].T
    X, y = trials(square)
    assert ccgp(X, y, [0, 0, 1, 1]) == 1 and ccgp(X, y, [0, 1, 0, 1]) == 1
    assert ccgp(X, y, [0, 1, 1, 0]) < 0.5  # exclusive or


def test_random_places_neither_are_parallel_nor_generalize_but_can_be_decoded():
    found = []
    for seed in range(40):
        means = RNG(seed).normal(size=(8, 100))
        X, y = trials(means, repeats=5, seed=1000 + seed)
        found.append((ccgp(X, y, SIDE), parallelism_score(means, SIDE)))
    generalized, parallel = np.transpose(found)
    assert abs(generalized.mean() - 0.5) < 3 * generalized.std() / np.sqrt(40)
    assert 0 < parallel.mean() < 0.2  # the best of 24 pairings
    assert shattering_dimensionality(X, y) == 1


def test_a_line_shatters_little():
    X, y = trials(np.arange(4.0)[:, None] @ np.ones((1, 5)), noise=0.05)
    # of three dichotomies, thresholds on a line solve one; the others half or three quarters
    assert 0.6 < shattering_dimensionality(X, y) < 0.85
    noise = RNG(0).normal(size=(160, 6)), np.repeat(np.arange(4), 40)
    assert shattering_dimensionality(*noise) == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize("n_units", [4, 60])
def test_the_discriminant_is_that_of_the_whole_covariance(n_units):
    """Fisher's direction with the scatter within groups written out, by either decomposition."""
    rng = RNG(0)
    y = np.repeat(np.arange(6), 5)
    X = rng.normal(size=(6, n_units))[y] + rng.normal(size=(30, n_units))
    means = np.array([X[y == c].mean(0) for c in range(6)])
    side = np.array([True, True, False, True, False, False])
    kept = np.array([True, True, True, True, True, False])
    noise = Noise.of(X - means[y])
    residuals = X - means[y]
    scale = (residuals**2).mean()
    N = (1 - noise.share) * residuals.T @ residuals / 30 + noise.ridge * np.eye(n_units)
    assert noise.ridge == pytest.approx(noise.share * scale, rel=1e-6, abs=2e-9 * scale)
    groups = [means[side & kept], means[~side & kept]]
    scatter = sum((g - g.mean(0)).T @ (g - g.mean(0)) for g in groups) / 5
    expected = np.linalg.solve(N + scatter, groups[0].mean(0) - groups[1].mean(0))
    weights, cut = Discriminant(means, noise.divide(means)).project(side[None], kept)
    np.testing.assert_allclose(weights[:, 0], expected, rtol=1e-6, atol=1e-9)
    middle = (groups[0].mean(0) + groups[1].mean(0)) / 2
    np.testing.assert_allclose(cut[0], middle @ expected, rtol=1e-6)


@pytest.mark.parametrize(("n", "n_units"), [(30, 8), (12, 40), (2, 5)])
def test_noise_is_shrunk_as_scikit_learn_shrinks_it(n, n_units):
    residuals = RNG(n).normal(size=(n, n_units)) * np.linspace(0.1, 2, n_units)
    residuals -= residuals.mean(0)
    expected = ledoit_wolf_shrinkage(residuals, assume_centered=True)
    assert Noise.of(residuals).share == pytest.approx(expected, rel=1e-9)


def test_many_dichotomies_at_once_are_what_each_is_alone():
    """Batched numbers against one dichotomy after the other, and scores written out."""
    X, y = trials(RNG(3).normal(size=(8, 20)), repeats=6, noise=1.0)
    sides = dichotomies(8)
    together = cross_condition_accuracy(standardized(X), y, sides)
    np.testing.assert_allclose(together, [ccgp(X, y, side) for side in sides], atol=1e-10)
    weights, cut = RNG(0).normal(size=(20, 35)), RNG(1).normal(size=35)
    right = ((X @ weights > cut) == sides[:, y].T).astype(float)
    by_condition = np.array([right[y == c].mean(0) for c in range(8)])
    written_out = [
        (by_condition[side, d].mean() + by_condition[~side, d].mean()) / 2
        for d, side in enumerate(sides)
    ]
    np.testing.assert_allclose(accuracy_of(X, y, sides, weights, cut), written_out, atol=1e-10)


def test_what_has_no_answer_is_refused():
    X, y = trials(CUBE)
    with pytest.raises(DataError, match="equal sides"):
        parallelism_score(CUBE, [0, 0, 0, 1, 1, 1, 1, 1])
    with pytest.raises(DataError, match="two or more conditions on each side"):
        ccgp(X, y, [1, 0, 0, 0, 0, 0, 0, 0])
    with pytest.raises(DataError, match="two sides"):
        ccgp(X, y, [0, 1, 2, 0, 1, 2, 0, 1])
    with pytest.raises(DataError, match="the side of each of 8 conditions"):
        ccgp(X, y, [0, 1])
    assert np.isnan(parallelism_score(np.zeros((4, 2)), [0, 0, 1, 1]))
