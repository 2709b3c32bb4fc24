"""Monte Carlo and theory, each checking the other; intervals that cover."""

import numpy as np
import pytest
from scipy.stats import binom

from neuroml.dendrites import (
    SimulatedRate,
    bank_false_match,
    false_match,
    false_negative,
    simulate_bank_false_match,
    simulate_false_match,
    simulate_false_negative,
    simulate_union_false_match,
    union_false_match,
)
from neuroml.exceptions import DataError


def inside(simulated, exact):
    """Whether the exact values lie in the 99.99 % interval, for p in 1e-4 .. 0.9 only."""
    low, high = simulated.interval(0.9999)
    tested = (exact > 1e-4) & (exact < 0.9)
    assert tested.any()
    return np.all((low <= exact) & (exact <= high), where=tested)


@pytest.mark.parametrize(("n", "a"), [(300, 64), (500, 128), (700, 256), (200, 8)])
@pytest.mark.parametrize("s", [6, 24, 40])
def test_false_match(n, a, s):
    theta = np.arange(1, s + 1)
    simulated = simulate_false_match(theta, n, s, a, n_trials=300_000, random_state=n + s)
    assert simulated.counts.dtype == np.int64
    assert inside(simulated, false_match(theta, n, s, a))


@pytest.mark.parametrize(("s", "a", "v"), [(30, 128, 64), (30, 128, 100), (10, 20, 6), (5, 5, 2)])
def test_false_negative(s, a, v):
    theta = np.arange(1, s + 1)
    simulated = simulate_false_negative(theta, s, a, v, n_trials=300_000, random_state=s + v)
    exact = false_negative(theta, s, a, v)
    if np.any((exact > 1e-4) & (exact < 0.9)):
        assert inside(simulated, exact)
    assert np.all(simulated.counts[exact == 0] == 0)


def test_bank():
    theta = np.arange(2, 7)
    simulated = simulate_bank_false_match(theta, 100, 7, 7, 500, n_trials=20_000, random_state=0)
    assert inside(simulated, bank_false_match(false_match(theta, 100, 7, 7), 500))


@pytest.mark.parametrize("M", [1, 2, 5, 12])
def test_union(M):
    theta = np.arange(1, 26)
    simulated = simulate_union_false_match(theta, 2000, 25, 200, M, n_trials=60_000, random_state=M)
    assert inside(simulated, union_false_match(theta, 2000, 25, 200, M))


def test_same_seed_same_counts():
    runs = [simulate_false_match(8, 300, 24, 64, n_trials=5000, random_state=r) for r in (1, 1, 2)]
    assert runs[0].counts == runs[1].counts != runs[2].counts


def test_interval_covers_at_least_as_often_as_it_says():
    trials, hits = 40, np.arange(41)
    low, high = SimulatedRate(hits, trials).interval(0.9)
    assert low[0] == 0 and high[-1] == 1 and np.all(np.isfinite([low, high]))
    for p in np.linspace(0.01, 0.99, 50):
        covered = binom.pmf(hits, trials, p)[(low <= p) & (p <= high)].sum()
        assert covered >= 0.9


def test_bad_input():
    with pytest.raises(DataError, match="theta <= s"):
        simulate_false_match(30, 300, 24, 64)
    with pytest.raises(DataError, match="only theta can be an array"):
        simulate_false_match([3, 4], 300, [24, 25], 64)
    with pytest.raises(DataError, match="n_trials must be a count"):
        simulate_false_match(3, 300, 24, 64, n_trials=1e6)
    with pytest.raises(DataError, match="n_trials >= 1"):
        simulate_false_match(3, 300, 24, 64, n_trials=0)
    with pytest.raises(DataError, match="s <= a"):
        simulate_false_negative(3, 24, 20, 5)
