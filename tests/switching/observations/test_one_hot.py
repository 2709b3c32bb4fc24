"""Priors of weights and the quadratics that touch them."""

from itertools import product

import numpy as np
import pytest
from scipy.special import gammaln
from scipy.stats import norm

from neuroml.switching._observations.one_hot import gaussian_prior, one_hot_prior, update_sign_mix

MIX = np.array([0.1, 0.7, 0.2])


def _by_enumeration(weights, mix, strength):
    total = np.log(mix).sum()
    for i, j in product(range(weights.shape[1]), range(weights.shape[2])):
        total += np.log(
            sum(
                share * np.prod(norm.pdf(weights[:, i, j], center * strength, width * strength))
                for share, center, width in zip(mix, (-1, 0, 1), (0.5, 0.1, 0.5), strict=True)
            )
        )
    return total


def _by_enumeration_of_states(weights, mix, strength, concentration):
    """Every sequence of signs over the states, with its probability under a Dirichlet-multinomial."""
    total, alpha = np.log(mix).sum(), concentration * mix
    for i, j in product(range(weights.shape[1]), range(weights.shape[2])):
        terms = []
        for signs in product(range(3), repeat=len(weights)):
            counts = np.bincount(signs, minlength=3)
            chance = gammaln(alpha + counts).sum() - gammaln(alpha).sum()
            chance += gammaln(alpha.sum()) - gammaln(alpha.sum() + len(signs))
            densities = [
                norm.pdf(w, (-1, 0, 1)[s] * strength, (0.5, 0.1, 0.5)[s] * strength)
                for w, s in zip(weights[:, i, j], signs, strict=True)
            ]
            terms.append(np.exp(chance) * np.prod(densities))
        total += np.log(sum(terms))
    return total


@pytest.mark.parametrize("concentration", [0.01, 2.0, 50.0])
@pytest.mark.parametrize("n_states", [1, 2, 4])
def test_signs_of_every_state_are_summed_out_exactly(n_states, concentration):
    weights = np.random.default_rng(0).normal(0, 0.7, (n_states, 2, 2))
    shift = weights.size * 0.5 * np.log(2 * np.pi)
    prior = one_hot_prior(weights, MIX, 0.8, concentration=concentration)
    expected = _by_enumeration_of_states(weights, MIX, 0.8, concentration)
    assert prior.log_density - shift == pytest.approx(expected, rel=1e-12)


def test_without_concentration_all_states_share_a_sign():
    weights = np.random.default_rng(0).normal(0, 0.7, (3, 4, 4))
    one = one_hot_prior(weights, MIX, 0.8)
    near = one_hot_prior(weights, MIX, 0.8, concentration=1e-30)
    assert near.log_density == pytest.approx(one.log_density, rel=1e-9)
    for found, expected in zip(near[1:], one[1:], strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_states_have_signs_of_their_own():
    weights = np.array([0.9, 0.85, 0.02, -0.9])[:, None, None]
    prior = one_hot_prior(weights, MIX, 0.8, concentration=2.0)
    # the quadratic pulls each weight to the center of its own sign: +m, +m, 0, -m
    assert (np.sign(np.round(prior.center[:, 0, 0], 1)) == [1, 1, 0, -1]).all()
    np.testing.assert_allclose(prior.sign_probabilities[0, 0], [0.25, 0.25, 0.5], atol=0.05)


def test_weights_far_from_every_sign_are_no_nan():
    weights = np.random.default_rng(0).normal(0, 300.0, (6, 3, 3))
    prior = one_hot_prior(weights, MIX, 0.8, concentration=2.0)
    assert all(np.isfinite(part).all() for part in prior)


def test_signs_are_summed_out_exactly():
    weights = np.random.default_rng(0).normal(0, 0.7, (3, 2, 2))
    shift = 12 * 0.5 * np.log(2 * np.pi)  # the constant left out of every density
    found = one_hot_prior(weights, MIX, 0.8).log_density - shift
    assert found == pytest.approx(_by_enumeration(weights, MIX, 0.8), rel=1e-12)


@pytest.mark.parametrize("kind", [0.0, 0.5, 2.0, "gaussian"])
@pytest.mark.parametrize("seed", range(5))
def test_the_quadratic_touches_the_density_from_below(kind, seed):
    rng = np.random.default_rng(seed)
    weights = rng.normal(0, 0.7, (3, 4, 4))

    def prior(at):
        if kind == "gaussian":
            return gaussian_prior(at, 0.3)
        return one_hot_prior(at, MIX, 0.8, concentration=kind)

    def bound(at):
        gain = -0.5 * here.precision * ((at - here.center) ** 2 - (weights - here.center) ** 2)
        return here.log_density + gain.sum()

    here = prior(weights)
    for size in (1e-4, 0.1, 1.0, 3.0):
        moved = weights + size * rng.normal(size=weights.shape)
        assert prior(moved).log_density >= bound(moved) - 1e-9
    step = 1e-6 * rng.normal(size=weights.shape)
    slope = (prior(weights + step).log_density - prior(weights - step).log_density) / 2
    assert slope == pytest.approx(
        -(here.precision * (weights - here.center) * step).sum(), rel=1e-5
    )


def test_one_sign_is_shared_by_all_states():
    weights = np.array([[[0.9, 0.0, -0.9]], [[0.7, 0.02, -0.4]], [[0.4, -0.03, -1.2]]])
    signs = one_hot_prior(np.tile(weights, (1, 3, 1)), MIX, 0.8).sign_probabilities
    np.testing.assert_array_equal(signs[0].argmax(axis=1), [2, 1, 0])
    np.testing.assert_allclose(signs.sum(axis=-1), 1.0)


@pytest.mark.parametrize("concentration", [0.0, 2.0])
def test_mix_is_the_best_one(concentration):
    weights = np.random.default_rng(1).normal(0, 0.7, (2, 5, 5))

    def prior(mix):
        return one_hot_prior(weights, mix, 0.8, concentration=concentration)

    mix, values = np.full(3, 1 / 3), []
    for _ in range(500):
        values.append(prior(mix).log_density)
        mix = update_sign_mix(prior(mix).sign_draws)
    assert (np.diff(values) >= -1e-10).all()
    rng = np.random.default_rng(2)
    others = [prior(rng.dirichlet(50 * mix)).log_density for _ in range(50)]
    assert max(others) <= values[-1] + 1e-9
