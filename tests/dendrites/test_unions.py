"""Unions against enumeration, identities and simulation."""

from itertools import combinations, product

import numpy as np
import pytest

from neuroml.dendrites import (
    false_match,
    union_false_match,
    union_size_mean,
    union_size_pmf,
)
from neuroml.exceptions import DataError


@pytest.mark.parametrize(("n", "s", "M"), [(5, 2, 3), (6, 3, 2), (4, 1, 4), (5, 5, 2), (6, 2, 0)])
def test_size_against_enumeration_of_every_union(n, s, M):
    sets = list(combinations(range(n), s))
    sizes = [len(set().union(*chosen)) for chosen in product(sets, repeat=M)]
    expected = np.bincount(sizes, minlength=min(n, s * M) + 1) / len(sizes)
    np.testing.assert_allclose(union_size_pmf(n, s, M), expected, atol=1e-14)


def test_false_match_against_enumeration():
    n, s, a, M, theta = 6, 2, 3, 2, 2
    sets, patterns = list(combinations(range(n), s)), list(combinations(range(n), a))
    hits = [
        len(set().union(*chosen) & set(pattern)) >= theta
        for chosen in product(sets, repeat=M)
        for pattern in patterns
    ]
    np.testing.assert_allclose(union_false_match(theta, n, s, a, M), np.mean(hits), rtol=1e-12)


@pytest.mark.parametrize(("n", "s", "M"), [(1000, 25, 10), (2048, 40, 50), (300, 100, 20)])
def test_law_has_the_mean_of_equation_13(n, s, M):
    pmf = union_size_pmf(n, s, M)
    assert abs(pmf.sum() - 1) < 1e-12
    np.testing.assert_allclose(pmf @ np.arange(len(pmf)), union_size_mean(n, s, M), rtol=1e-12)


def test_one_pattern_is_no_union():
    for method in ("exact", "plugin"):
        one = union_false_match([3, 8, 12], 1000, 25, 100, 1, method=method, log=True)
        np.testing.assert_allclose(
            one, false_match([3, 8, 12], 1000, 25, 100, log=True), rtol=1e-12
        )
    assert union_false_match(1, 1000, 25, 100, 0) == 0
    assert union_false_match(0, 1000, 25, 100, 5) == 1


def test_union_of_the_activity_is_the_same_with_s_and_a_exchanged():
    # Three patterns of 20 active at once on a segment of 30: mix eq. 4 over the size of the union.
    sizes = union_size_pmf(500, 20, 3)
    p = [false_match(8, 500, 30, int(k)) for k in range(len(sizes))]
    swapped = union_false_match(8, 500, 20, 30, 3)
    np.testing.assert_allclose(np.dot(sizes, p), swapped, rtol=1e-12)


def test_plug_in_is_a_few_per_cent_off_and_bloom_is_equation_12():
    for M in (2, 3, 10):
        exact = union_false_match(15, 20_000, 25, 100, M, log=True)
        plugin = union_false_match(15, 20_000, 25, 100, M, method="plugin", log=True)
        assert 1e-4 < abs(plugin - exact) < 0.1
    q = 1 - (1 - 20 / 1024) ** 20
    bloom = union_false_match(20, 1024, 20, 20, 20, method="bloom")
    np.testing.assert_allclose(bloom, q**20, rtol=1e-10)
    assert bloom > union_false_match(20, 1024, 20, 20, 20)


def test_log_and_broadcasting():
    table = union_false_match([10, 15], 1000, 25, 200, [[1], [2], [3]])
    assert table.shape == (3, 2)
    assert table[2, 0] == union_false_match(10, 1000, 25, 200, 3)
    np.testing.assert_allclose(np.exp(union_size_pmf(50, 5, 3, log=True)), union_size_pmf(50, 5, 3))


def test_bad_input():
    with pytest.raises(DataError, match="theta <= s"):
        union_false_match(26, 1000, 25, 200, 3)
    with pytest.raises(DataError, match="M must be a count"):
        union_false_match(5, 1000, 25, 200, 2.0)
    with pytest.raises(DataError, match="one law"):
        union_size_pmf([10, 20], 3, 2)
    with pytest.raises(DataError, match="too large a table.*plugin"):
        union_size_pmf(10**7, 1000, 10**4)
    with pytest.raises(ValueError, match="'exact' or 'plugin' or 'bloom'"):
        union_false_match(5, 1000, 25, 200, 2, method="mean")
