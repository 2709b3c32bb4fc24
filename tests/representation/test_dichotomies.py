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
from neuroml.representation._readout import Noise, discriminants
from neuroml.representation.dichotomies import cross_condition_accuracy, decoding_accuracy
from neuroml.representation.population_geometry import _rotations

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


def fisher(X, y, side, kept):
    """Direction and threshold with the covariance within groups written out."""
    X, y = X[np.isin(y, np.flatnonzero(kept))], y[np.isin(y, np.flatnonzero(kept))]
    means = np.array([X[y == c].mean(0) if kept[c] else np.zeros(X.shape[1]) for c in range(6)])
    residuals = X - means[y]
    share = ledoit_wolf_shrinkage(residuals, assume_centered=True)
    ridge = (share + 1e-9) * (residuals**2).mean() * np.eye(X.shape[1])
    groups = [means[side & kept], means[~side & kept]]
    scatter = sum((g - g.mean(0)).T @ (g - g.mean(0)) for g in groups) / kept.sum()
    S = (1 - share) * residuals.T @ residuals / len(X) + ridge + scatter
    direction = np.linalg.solve(S, groups[0].mean(0) - groups[1].mean(0))
    return direction, (groups[0].mean(0) + groups[1].mean(0)) / 2 @ direction


def right(X, y, side, direction, cut):
    """Share of trials on their side, of each condition that is there, of both sides."""
    scores = [
        ((X[y == c] @ direction > cut) == side[c]).mean() if (y == c).any() else np.nan
        for c in range(6)
    ]
    return (np.nanmean(np.array(scores)[side]) + np.nanmean(np.array(scores)[~side])) / 2


def six_places(n_units):
    y = np.tile(np.arange(6), 5)
    rng = RNG(n_units)
    X = rng.normal(size=(6, n_units))[y] + rng.normal(size=(30, n_units))
    sides = np.array([[1, 1, 0, 1, 0, 0], [1, 0, 0, 0, 1, 0], [1, 0, 1, 1, 1, 0]], dtype=bool)
    return X[:-3], y[:-3], sides  # conditions differ in their number of trials


@pytest.mark.parametrize("n_units", [4, 60])
def test_the_discriminant_is_that_of_the_whole_covariance(n_units):
    X, y, sides = six_places(n_units)
    kept = np.array([True, True, True, True, True, False])
    means = np.array([X[y == c].mean(0) for c in range(6)])
    own = kept[y]
    divided = Noise.of(X[own] - means[y[own]]).divide(means)
    weights, cuts = discriminants(means @ divided.T, sides, kept)
    for d, side in enumerate(sides):
        direction, cut = fisher(X, y, side, kept)
        np.testing.assert_allclose(divided.T @ weights[:, d], direction, rtol=1e-7, atol=1e-10)
        np.testing.assert_allclose(cuts[0, d], cut, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("n_units", [4, 60])
def test_generalization_and_its_rotations_against_loops(n_units):
    """Every pair held out, every dichotomy fitted alone, the trials of every rotation built."""
    X, y, sides = six_places(n_units)
    means = np.array([X[y == c].mean(0) for c in range(6)])
    turns = _rotations(6, 3, RNG(0))
    moved = turns @ (means - means.mean(0))
    # rotations within the covariance that the means have over units
    expected = np.cov(means.T, bias=True) * 6
    for turned in moved:
        np.testing.assert_allclose(turned.T @ turned, expected, atol=1e-12)

    def generalized(table, side):
        found = []
        for i in np.flatnonzero(side):
            for j in np.flatnonzero(~side):
                kept = ~np.isin(np.arange(6), [i, j])
                test = ~kept[y]
                found.append(right(table[test], y[test], side, *fisher(table, y, side, kept)))
        return np.mean(found)

    observed = cross_condition_accuracy(X, y, sides)
    np.testing.assert_allclose(observed, [generalized(X, side) for side in sides], atol=1e-9)
    null = cross_condition_accuracy(X, y, sides, turns)
    written_out = [[generalized(X - means[y] + m[y], side) for side in sides] for m in moved]
    np.testing.assert_allclose(null, written_out, atol=1e-9)
    # many rotations are computed in batches
    many = cross_condition_accuracy(X, y, sides, np.tile(turns, (15, 1, 1)))
    np.testing.assert_allclose(many, np.tile(null, (15, 1)), atol=1e-9)


@pytest.mark.parametrize("n_units", [4, 60])
def test_decoding_against_loops(n_units):
    X, y, sides = six_places(n_units)
    parts = np.minimum(np.arange(len(y)) // 6, 3)
    everything = np.ones(6, dtype=bool)
    written_out = [
        np.mean([
            right(X[parts == k], y[parts == k], side,
                  *fisher(X[parts != k], y[parts != k], side, everything))
            for k in range(4)
        ])
        for side in sides
    ]  # fmt: skip
    np.testing.assert_allclose(decoding_accuracy(X, y, sides, parts), written_out, atol=1e-9)


@pytest.mark.parametrize(("n", "n_units"), [(30, 8), (12, 40), (2, 5)])
def test_noise_is_shrunk_as_scikit_learn_shrinks_it(n, n_units):
    residuals = RNG(n).normal(size=(n, n_units)) * np.linspace(0.1, 2, n_units)
    residuals -= residuals.mean(0)
    expected = ledoit_wolf_shrinkage(residuals, assume_centered=True)
    assert Noise.of(residuals).share == pytest.approx(expected, rel=1e-9)


def test_many_dichotomies_at_once_are_what_each_is_alone():
    """Batched numbers against one dichotomy after the other."""
    X, y = trials(RNG(3).normal(size=(8, 20)), repeats=6, noise=1.0)
    sides = dichotomies(8)
    together = cross_condition_accuracy(standardized(X), y, sides)
    np.testing.assert_allclose(together, [ccgp(X, y, side) for side in sides], atol=1e-10)


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
