"""Priors of weights and the quadratics that touch them."""

from itertools import product

import numpy as np
import pytest
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


def test_signs_are_summed_out_exactly():
    weights = np.random.default_rng(0).normal(0, 0.7, (3, 2, 2))
    shift = 12 * 0.5 * np.log(2 * np.pi)  # the constant left out of every density
    found = one_hot_prior(weights, MIX, 0.8).log_density - shift
    assert found == pytest.approx(_by_enumeration(weights, MIX, 0.8), rel=1e-12)


@pytest.mark.parametrize("kind", ["one-hot", "gaussian"])
@pytest.mark.parametrize("seed", range(5))
def test_the_quadratic_touches_the_density_from_below(kind, seed):
    rng = np.random.default_rng(seed)
    weights = rng.normal(0, 0.7, (3, 4, 4))

    def prior(at):
        return one_hot_prior(at, MIX, 0.8) if kind == "one-hot" else gaussian_prior(at, 0.3)

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


def test_mix_is_the_best_one():
    weights = np.random.default_rng(1).normal(0, 0.7, (2, 5, 5))
    mix = np.full(3, 1 / 3)
    values = []
    for _ in range(200):
        prior = one_hot_prior(weights, mix, 0.8)
        values.append(prior.log_density)
        mix = update_sign_mix(prior.sign_probabilities)
    assert (np.diff(values) >= -1e-10).all()
    rng = np.random.default_rng(2)
    others = [one_hot_prior(weights, rng.dirichlet(50 * mix), 0.8).log_density for _ in range(50)]
    assert max(others) <= values[-1] + 1e-9
