"""Emissions of the population model and their derivatives."""

import numpy as np
import pytest
from scipy.special import expit, gammaln
from scipy.stats import poisson

from neuroml.switching._kernels.links import LIKELIHOODS
from neuroml.switching._observations.population import (
    CountDesign,
    gradient_by_history,
    log_likelihoods,
    newton_direction,
    weighted_derivatives,
)

LINKS = {"softplus": lambda x: np.logaddexp(0, x), "exp": np.exp, "sigmoid": expit}


def _design(link, n_bins=200, n_units=3, seed=0):
    rng = np.random.default_rng(seed)
    features = np.column_stack([np.ones(n_bins), rng.gamma(1.0, 0.5, (n_bins, n_units))])
    counts = rng.poisson(0.8, (n_units, n_bins)).astype(float)
    coefficients = rng.normal(0, 0.4, (2, n_units, 1 + n_units))
    resp = rng.dirichlet([1, 1], n_bins).T
    resp[0, ::7] = 0.0
    return CountDesign(LIKELIHOODS[f"poisson {link}"], counts, features), coefficients, resp


@pytest.mark.parametrize("link", LINKS)
def test_emissions_are_poisson(link):
    design, coefficients, resp = _design(link)
    rates = LINKS[link](np.einsum("knf,tf->ktn", coefficients, design.features))
    each = poisson.logpmf(design.counts.T, rates) + gammaln(design.counts.T + 1)
    log_prob, sums = log_likelihoods(design, coefficients, resp)
    np.testing.assert_allclose(log_prob, each.sum(axis=2), rtol=1e-11)
    np.testing.assert_allclose(sums, np.einsum("ktn,kt->kn", each, resp), rtol=1e-11)


@pytest.mark.parametrize("link", LINKS)
def test_float32_products_agree_with_float64(link):
    design, coefficients, resp = _design(link, n_bins=5000)
    single = design._replace(
        counts=design.counts.astype(np.float32), features=design.features.astype(np.float32)
    )
    double, sums = log_likelihoods(design, coefficients, resp)
    found, found_sums = log_likelihoods(single, coefficients, resp)
    np.testing.assert_allclose(found, double, atol=2e-5)
    np.testing.assert_allclose(found_sums, sums, rtol=1e-6)


@pytest.mark.parametrize("link", LINKS)
def test_gradient_equals_differences_and_hessian_where_it_is_exact(link):
    design, coefficients, resp = _design(link)
    share, own, step = resp[0].copy(), coefficients[0], 1e-5
    found = weighted_derivatives(design, own, share)
    one_state = share[None]

    def value(table):
        return log_likelihoods(design, table[None], one_state)[1][0]

    np.testing.assert_allclose(found.value, value(own), rtol=1e-12)
    for f in range(own.shape[1]):
        moved = np.zeros_like(own)
        moved[:, f] = step
        numeric = (value(own + moved) - value(own - moved)) / (2 * step)
        np.testing.assert_allclose(found.gradient[:, f], numeric, rtol=1e-6, atol=1e-6)
        if link != "sigmoid":  # its hessian is an expectation
            after = weighted_derivatives(design, own + moved, share).gradient
            before = weighted_derivatives(design, own - moved, share).gradient
            np.testing.assert_allclose(
                -(after - before) / (2 * step), found.hessian[:, :, f], rtol=1e-5, atol=1e-5
            )


def test_sampled_hessian_has_the_exact_diagonal_and_is_close():
    design, coefficients, _ = _design("softplus", n_bins=20_000)
    share = np.ones(20_000)
    found = weighted_derivatives(design, coefficients[0], share)
    parts = [
        weighted_derivatives(
            CountDesign(
                design.likelihood, design.counts[:, a : a + 100], design.features[a : a + 100]
            ),
            coefficients[0],
            np.ones(100),
        ).hessian
        for a in range(0, 20_000, 100)  # too few bins to be sampled
    ]
    exact = np.sum(parts, axis=0)
    np.testing.assert_allclose(
        np.einsum("nii->ni", found.hessian), np.einsum("nii->ni", exact), rtol=1e-10
    )
    whitened = np.linalg.eigvals(np.linalg.solve(exact, found.hessian))
    assert 0.6 < whitened.real.min() <= whitened.real.max() < 1.6
    assert not np.allclose(found.hessian, exact, rtol=1e-6)


def test_a_feature_that_is_silent_in_the_sample_keeps_its_hessian():
    design, coefficients, _ = _design("softplus", n_bins=20_000)
    features = design.features.copy()
    features[:, 2] = 0.0
    features[1, 2] = 3.0
    hessian = weighted_derivatives(
        design._replace(features=features), coefficients[0], np.ones(20_000)
    ).hessian
    assert (hessian[:, 2, 2] > 0).all()
    assert (np.linalg.eigvalsh(hessian) > -1e-9).all()


@pytest.mark.parametrize("link", LINKS)
def test_slopes_by_the_features_equal_differences(link):
    design, coefficients, resp = _design(link, n_bins=40)
    value, by_feature = gradient_by_history(design, coefficients, resp)
    assert value == pytest.approx(log_likelihoods(design, coefficients, resp)[1].sum())
    for t, f in [(3, 0), (7, 2), (39, 1)]:
        numeric = []
        for step in (1e-5, -1e-5):
            features = design.features.copy()
            features[t, f + 1] += step
            moved = design._replace(features=features)
            numeric.append(log_likelihoods(moved, coefficients, resp)[1].sum())
        assert by_feature[t, f] == pytest.approx((numeric[0] - numeric[1]) / 2e-5, abs=1e-6)


def test_shared_intercept_direction_solves_the_joint_system():
    rng = np.random.default_rng(0)
    roots = rng.normal(size=(2, 3, 4, 9))
    hessian = roots @ roots.swapaxes(-1, -2)
    gradient = rng.normal(size=(2, 3, 4))
    direction = newton_direction(gradient, hessian, shared_intercept=True)
    assert (direction[0, :, 0] == direction[1, :, 0]).all()
    for unit in range(3):
        joint = np.zeros((7, 7))
        slope = np.zeros(7)
        for k, at in enumerate((np.r_[0, 1:4], np.r_[0, 4:7])):
            joint[np.ix_(at, at)] += hessian[k, unit]
            slope[at] += gradient[k, unit]
        expected = np.linalg.solve(joint, slope)
        np.testing.assert_allclose(direction[0, unit], expected[:4], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(direction[1, unit, 1:], expected[4:], rtol=1e-4, atol=1e-5)
