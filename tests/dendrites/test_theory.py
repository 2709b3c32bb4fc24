"""The theory against exact arithmetic, identities, and its own limits."""

import numpy as np
import pytest
from reference.exact_hypergeometric import (
    exact_binomial_tail,
    exact_tail,
    log_ratio,
    random_parameters,
)
from scipy.stats import hypergeom

from neuroml.dendrites import (
    bank_false_match,
    exact_match,
    false_alarms,
    false_match,
    false_negative,
    noise_tolerance,
    overlap_pmf,
)
from neuroml.exceptions import DataError


def test_error_of_the_logarithm_is_below_1e_11_of_exact_rational_arithmetic():
    (theta, n, s, a), exact = random_parameters(500, seed=0)
    assert n.max() > 9e5 and exact.min() < -600
    np.testing.assert_allclose(false_match(theta, n, s, a, log=True), exact, atol=1e-11, rtol=0)
    np.testing.assert_allclose(false_match(theta, n, s, a), np.exp(exact), rtol=1e-11)


@pytest.mark.parametrize("theta", [249_000, 250_000, 250_300, 252_000])
def test_dense_and_central_cases_against_scipy(theta):
    # A million cells, half of them active: exact integers are too slow, scipy's sf is good to 5e-11.
    ours = false_match(theta, 10**6, 500_000, 500_000)
    np.testing.assert_allclose(ours, hypergeom.sf(theta - 1, 10**6, 500_000, 500_000), rtol=1e-9)


def test_the_smallest_laws_exhaustively():
    for n in range(1, 9):
        for s in range(n + 1):
            for a in range(n + 1):
                for theta in range(s + 1):
                    expected = log_ratio(*exact_tail(theta, n, s, a))
                    np.testing.assert_allclose(
                        false_match(theta, n, s, a, log=True), expected, atol=1e-13
                    )


def test_pmf_sums_to_one_and_is_symmetric():
    b = np.arange(31)
    pmf = overlap_pmf(b, n=400, s=30, a=75)
    assert abs(pmf.sum() - 1) < 1e-13
    np.testing.assert_allclose(pmf, overlap_pmf(b, n=400, s=75, a=30), rtol=1e-12)
    np.testing.assert_allclose(pmf[12:].sum(), false_match(12, 400, 30, 75), rtol=1e-12)
    assert overlap_pmf(2, n=4, s=3, a=4, log=True) == -np.inf


def test_limits_and_monotony():
    theta = np.arange(25)
    p = false_match(theta, n=1000, s=24, a=200)
    assert p[0] == 1 and np.all(np.diff(p) < 0)
    assert np.all(np.diff(false_match(12, 1000, 24, np.arange(20, 900, 20))) > 0)
    assert np.all(np.diff(false_match(12, 1000, np.arange(12, 60), 200)) > 0)
    assert false_match(5, n=100, s=10, a=4) == 0
    assert false_match(3, n=10, s=8, a=6, log=True) == 0.0  # 6 + 8 - 10 synapses at least
    np.testing.assert_allclose(exact_match(1000, 24, 200), p[24])


def test_probabilities_below_the_smallest_float_keep_their_logarithm():
    numerator, denominator = exact_tail(300, 10**6, 300, 1000)
    log_p = false_match(300, 10**6, 300, 1000, log=True)
    assert false_match(300, 10**6, 300, 1000) == 0
    np.testing.assert_allclose(log_p, log_ratio(numerator, denominator), rtol=1e-14)


def test_binomial_and_bound():
    theta, n, s, a = 12, 2000, 24, 64
    exact = false_match(theta, n, s, a)
    binomial = false_match(theta, n, s, a, method="binomial")
    expected = log_ratio(*exact_binomial_tail(theta, s, a, n))
    np.testing.assert_allclose(np.log(binomial), expected, atol=1e-11)
    bound = false_match(theta, n, s, a, method="bound")
    union_bound = hypergeom.pmf(theta, n, theta, a) * 2704156  # C(24, 12)
    np.testing.assert_allclose(bound, union_bound, rtol=1e-10)
    assert exact < min(binomial, bound)
    assert false_match(0, 10, 5, 5, method="binomial") == 1
    assert false_match(5, 10, 5, 10, method="binomial") == 1
    assert false_match(1, 10, 5, 0, method="binomial") == 0
    assert false_match(1, 10, 5, 5, method="bound") == 1
    with pytest.raises(ValueError, match="'exact' or 'binomial' or 'bound'; found 'chernoff'"):
        false_match(1, 10, 5, 5, method="chernoff")


def test_false_negative_is_zero_exactly_within_the_noise_tolerance():
    theta, s, a = 12, 24, 128
    v = np.arange(a + 1)
    p = false_negative(theta, s, a, v)
    assert np.all((p == 0) == (v <= s - theta)) and np.all(np.diff(p) >= 0)
    assert p[-1] == 1
    np.testing.assert_allclose(p[40], hypergeom.sf(s - theta, a, s, 40), rtol=1e-10)
    assert noise_tolerance(theta, s, a) == s - theta
    tolerated = noise_tolerance([8, 12, 16], s, a, 0.01)
    assert np.all(false_negative([8, 12, 16], s, a, tolerated) <= 0.01)
    assert np.all(false_negative([8, 12, 16], s, a, tolerated + 1) > 0.01)


def test_bank_of_segments():
    p, M = 0.02, np.array([0, 1, 7, 100])
    np.testing.assert_allclose(bank_false_match(p, M), 1 - (1 - p) ** M, rtol=1e-13, atol=1e-16)
    assert np.all(bank_false_match(p, M) <= bank_false_match(p, M, method="bound") + 1e-16)
    np.testing.assert_allclose(bank_false_match(1e-18, 1000), 1e-15, rtol=1e-13)
    np.testing.assert_allclose(bank_false_match(-2000.0, 10, log=True), -2000 + np.log(10))
    assert bank_false_match(1.0, 3) == 1 and bank_false_match(0.0, 3) == 0
    small = np.logspace(-20, -1, 200)
    direct = -np.expm1(50 * np.log1p(-small))
    np.testing.assert_allclose(bank_false_match(small, 50), direct, rtol=1e-12)


def test_false_alarms_of_a_network():
    rates = false_alarms(1e-3, segments_per_cell=10, n_cells=100)
    np.testing.assert_allclose(rates.per_cell, 1 - 0.999**10)
    np.testing.assert_allclose(rates.per_network, 1 - 0.999**1000)
    np.testing.assert_allclose(rates.expected_cells, 100 * rates.per_cell)
    np.testing.assert_allclose(rates.patterns_between * rates.per_network, 1)
    assert false_alarms(0.0, 10, 100).patterns_between == np.inf


def test_arguments_broadcast_and_scalars_stay_scalars():
    assert np.ndim(false_match(3, 100, 10, 20)) == 0
    grid = false_match([[3], [4]], 100, 10, [20, 30, 40])
    assert grid.shape == (2, 3)
    assert grid[1, 2] == false_match(4, 100, 10, 40)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3.0, 100, 10, 20), "theta: theta must be a count; expected integers; found 3.0"),
        ((np.nan, 100, 10, 20), "theta must be a count"),
        ((True, 100, 10, 20), "theta must be a count"),
        ((-1, 100, 10, 20), "theta is out of range; expected 0 <= theta"),
        ((3, 100, 10, 4_000_000_000), "a is out of range"),
        ((3, 100, [], 20), r"s must be a count; expected integers; found nothing"),
        ((3, 5, 10, 4), "expected s <= n; found s=10, n=5"),
        ((3, 50, 10, 60), "expected a <= n; found a=60, n=50"),
        ((11, 50, 10, 20), "expected theta <= s; found theta=11, s=10"),
        (([1, 2], [50, 60, 70], 10, 20), "counts do not broadcast"),
        ((0, 0, 0, 0), "expected n >= 1"),
    ],
)
def test_bad_counts_are_named(arguments, message):
    with pytest.raises(DataError, match=message):
        false_match(*arguments)


def test_other_bad_input():
    with pytest.raises(DataError, match="s <= a"):
        false_negative(3, 30, 20, 5)
    with pytest.raises(DataError, match="v <= a; found v=21, a=20"):
        false_negative(3, 10, 20, 21)
    with pytest.raises(DataError, match="p is not a probability; expected 0 <= p <= 1; found 1.5"):
        bank_false_match(1.5, 3)
    with pytest.raises(DataError, match="found nan"):
        bank_false_match(np.nan, 3)
    with pytest.raises(DataError, match="natural logarithm"):
        bank_false_match(0.5, 3, log=True)
    with pytest.raises(ValueError, match="'exact' or 'bound'"):
        bank_false_match(0.5, 3, method="plugin")
