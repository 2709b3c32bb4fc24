"""Uncertainty of subjects' weights where the variance between subjects is uncertain."""

import numpy as np
import pytest

from neuroml.switching._observations.variance_posterior import _SCALE, mean_squared_error


def conjugate(estimates, of_mean, variance):
    """Deviations and posterior variances under a given variance, of balanced normal data."""
    kept = variance / (variance + of_mean)
    deviation = kept * (estimates - estimates.mean())
    return deviation[:, None], np.full((len(estimates), 1), kept * of_mean)


def test_it_is_what_integration_over_both_hyperparameters_gives():
    estimates, of_mean, variance = np.array([-0.4, 0.1, 0.2, 1.3, 0.5]), 0.3, 0.2
    deviation, covariance = conjugate(estimates, of_mean, variance)
    found = mean_squared_error(deviation, covariance, np.array([variance]), np.ones(1))
    # by brute force over log v and the cohort's weight
    log_v = np.log(10.0) * np.linspace(-6, 4, 2001)
    mu = np.linspace(-30, 30, 3001)
    v = np.exp(log_v)[:, None]
    total = v + of_mean
    log_p = -0.5 * ((estimates[:, None, None] - mu) ** 2 / total).sum(axis=0)
    log_p = log_p - 0.5 * 5 * np.log(total) + 0.5 * log_v[:, None] - np.log1p(v / _SCALE**2)
    p = np.exp(log_p - log_p.max())
    p /= p.sum()
    kept = v / total
    reported = estimates.mean() + deviation[:, 0]
    for s, estimate in enumerate(estimates):
        mean = mu + kept * (estimate - mu)
        expected = (p * (kept * of_mean + (mean - reported[s]) ** 2)).sum()
        assert found[s, 0] == pytest.approx(expected, rel=0.01)


def test_many_subjects_leave_only_what_is_known_of_each():
    estimates = np.random.default_rng(0).normal(0, np.sqrt(1.3), 400)
    variance = estimates.var(ddof=1) - 0.3
    deviation, covariance = conjugate(estimates, 0.3, variance)
    found = mean_squared_error(deviation, covariance, np.full(1, variance), np.ones(1))
    np.testing.assert_allclose(found, covariance, rtol=0.05)


def test_where_nothing_is_seen_the_spread_is_wide_and_finite():
    found = mean_squared_error(np.zeros((3, 1)), np.full((3, 1), 0.5), np.full(1, 0.5), np.ones(1))
    assert np.isfinite(found).all() and (found > 0.5).all()


def test_intervals_of_few_subjects_hold_what_they_say():
    # 400 cohorts of five; the share's standard error is below .01, subjects of a cohort being alike
    rng, inside, taken_for_known = np.random.default_rng(1), [], []
    for _ in range(400):
        truth = rng.normal(0, 0.3, 5)
        estimates = truth + rng.normal(0, 0.3, 5)
        variance = max(estimates.var(ddof=1) - 0.09, 1e-3)
        deviation, covariance = conjugate(estimates, 0.09, variance)
        error = abs(estimates.mean() + deviation - truth[:, None])
        squared = mean_squared_error(deviation, covariance, np.full(1, variance), np.ones(1))
        inside.append((error < 1.96 * np.sqrt(squared)).mean())
        of_mean = (1 - covariance / 0.09) ** 2 * (variance + 0.09) / 5
        taken_for_known.append((error < 1.96 * np.sqrt(covariance + of_mean)).mean())
    assert 0.93 < np.mean(inside) < 0.98
    assert np.mean(taken_for_known) < 0.9
