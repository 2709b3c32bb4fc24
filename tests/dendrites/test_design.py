"""Design helpers against exhaustive search with the theory they turn round."""

import numpy as np
import pytest

from neuroml.dendrites import (
    bank_false_match,
    capacity,
    false_match,
    false_negative,
    min_synapses,
    optimal_threshold,
    sweep,
    union_capacity,
    union_false_match,
)
from neuroml.exceptions import DataError


@pytest.mark.parametrize("seed", range(5))
def test_threshold_is_the_lowest_that_meets_the_limits(seed):
    rng = np.random.default_rng(seed)
    for _ in range(20):
        n = int(rng.integers(50, 5000))
        a = int(rng.integers(5, n // 2))
        s = int(rng.integers(1, a + 1))
        v, M = int(rng.integers(0, a // 2)), int(rng.integers(1, 10_000))
        limit, miss = 10 ** rng.uniform(-12, -1), 10 ** rng.uniform(-4, -1)
        theta = np.arange(1, s + 1)
        fine = bank_false_match(false_match(theta, n, s, a, log=True), M, log=True) <= np.log(limit)
        fine &= false_negative(theta, s, a, v) <= miss
        expected = theta[fine][0] if fine.any() else -1
        found = optimal_threshold(n, s, a, max_false_match=limit, M=M, v=v, max_false_negative=miss)
        assert found == expected


def test_threshold_broadcasts_and_says_where_none_exists():
    found = optimal_threshold(1000, [5, 20, 40], 100, max_false_match=1e-8)
    assert found.tolist() == [-1, 13, 18]
    assert np.all(false_match(found[1:], 1000, [20, 40], 100) <= 1e-8)
    assert np.all(false_match(found[1:] - 1, 1000, [20, 40], 100) > 1e-8)
    # With 20 synapses and threshold 13 the worst case that is tolerated is 7 swapped cells.
    assert optimal_threshold(1000, 20, 100, max_false_match=1e-8, v=8) == -1
    assert optimal_threshold(1000, 20, 100, max_false_match=1e-8, v=7) == 13


def test_fewest_synapses():
    limits = {"max_false_match": 1e-8, "v": 20, "max_false_negative": 0.01}
    fewest = int(min_synapses(2000, 100, **limits))
    assert optimal_threshold(2000, fewest, 100, **limits) > 0
    below = optimal_threshold(2000, np.arange(1, fewest), 100, **limits)
    assert np.all(below == -1)
    assert min_synapses(100, 50, max_false_match=1e-40) == -1
    assert min_synapses([2000, 4000], 100, **limits).shape == (2,)
    assert min_synapses(100, 0, max_false_match=0.1) == -1


def test_capacity_is_the_last_bank_within_the_limit():
    M = int(capacity(10, 2000, 20, 100, max_false_match=1e-3))
    p = false_match(10, 2000, 20, 100)
    assert bank_false_match(p, M) <= 1e-3 < bank_false_match(p, M + 1)
    assert capacity(1, 100, 50, 50, max_false_match=1e-9) == 0
    assert capacity(10, 2000, 20, 9, max_false_match=1e-9) == 3_000_000_000


@pytest.mark.parametrize("method", ["exact", "plugin", "bloom"])
def test_union_capacity_is_the_last_union_within_the_limit(method):
    M = int(union_capacity(12, 2000, 20, 100, max_false_match=1e-6, method=method))
    assert M > 1
    inside, outside = (union_false_match(12, 2000, 20, 100, m, method=method) for m in (M, M + 1))
    assert inside <= 1e-6 < outside
    assert union_capacity(12, 2000, 20, 11, max_false_match=1e-6) == 3_000_000_000
    assert union_capacity(1, 100, 50, 50, max_false_match=1e-6) == 0


def test_sweep_holds_the_theory_for_every_sensible_combination():
    table = sweep(n=[500, 1000], s=[10, 60], a=50, theta=[5, 20], v=[0, 10, 60], M=[1, 100])
    assert (
        len(table) == 2 * 1 * 1 * 1 * 2 * 2
    )  # s = 60 > a, theta = 20 > s and v = 60 > a are left out
    row = table[(table.n == 1000) & (table.v == 10) & (table.M == 100)].iloc[0]
    assert row.false_match == false_match(5, 1000, 10, 50)
    assert row.log10_false_match == pytest.approx(np.log10(row.false_match))
    assert row.false_negative == false_negative(5, 10, 50, 10)
    assert row.bank_false_match == pytest.approx(bank_false_match(row.false_match, 100))
    assert row.union_false_match == union_false_match(5, 1000, 10, 50, 100, method="plugin")
    assert row.activity == 0.05
    assert "false_negative" not in sweep(n=100, s=5, a=10, theta=3)


def test_bad_input():
    with pytest.raises(DataError, match="max_false_match is not a probability"):
        optimal_threshold(100, 10, 20, max_false_match=-1)
    with pytest.raises(DataError, match="s must be a count"):
        optimal_threshold(100, 10.5, 20, max_false_match=0.1)
    with pytest.raises(DataError, match="theta <= s <= a <= n"):
        sweep(n=10, s=20, a=5, theta=3)
    with pytest.raises(DataError, match="theta <= s"):
        union_capacity(30, 2000, 20, 100, max_false_match=1e-6)
