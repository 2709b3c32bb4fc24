"""The decoder with a cohort prior: exact pieces, and what the prior must and must not do."""

import numpy as np
from scipy.stats import multivariate_normal

from neuroml.decoding import RidgeDecoder
from neuroml.decoding._candidate_scores import gains
from neuroml.decoding._component_decoder import ComponentDecoder, fit_component_decoder
from neuroml.decoding._components import explained, shared_components
from neuroml.decoding._ridge_path import Voxels


def problem(seed=0, n=80, n_voxels=40, n_targets=6):
    rng = np.random.default_rng(seed)
    y = rng.standard_normal((n, n_targets))
    X = y[:, :3] @ rng.standard_normal((3, n_voxels)) + 2 * rng.standard_normal((n, n_voxels))
    return X, y, shared_components([y], [explained(y, 0.5 * y)], n_targets, 0.01)


def test_without_the_cohort_it_is_ridge():
    X, y, components = problem()
    decoder = fit_component_decoder(Voxels.of(X), y, components, use_cohort=False)
    np.testing.assert_allclose(decoder.predict(X), RidgeDecoder().fit(X, y).predict(X), atol=1e-8)
    np.testing.assert_array_equal(decoder.weights, [1.0, 0.0])


def test_where_nothing_can_be_predicted_it_is_ridge_and_not_a_constant():
    X, y, components = problem(n=40)
    y = np.random.default_rng(1).permutation(y)
    rng = np.random.default_rng(2)
    for _ in range(20):
        shuffled = rng.permutation(y)
        found = fit_component_decoder(Voxels.of(X), shuffled, components).predict(X)
        assert found.std(axis=0).max() > 0


def random_decoder(rng, k=4, v=5, d=3):
    root = rng.standard_normal((k, k))
    return ComponentDecoder(
        coef=rng.standard_normal((v, d)),
        intercept=rng.standard_normal(d),
        latent_coef=rng.standard_normal((v, k)),
        latent_intercept=rng.standard_normal(k),
        latent_mean=rng.standard_normal(k),
        gain=rng.uniform(0.2, 1, k),
        target_mean=rng.standard_normal(d),
        axes=rng.standard_normal((d, k)),
        whitener=np.linalg.cholesky(np.linalg.inv(root @ root.T + np.eye(k))),
        weights=np.array([0.0, 1.0]),
        builder=rng.standard_normal((k, v)),
        builder_mean=rng.standard_normal(v),
    )


def test_scores_are_gaussian_log_likelihoods_up_to_a_constant_per_row():
    rng = np.random.default_rng(0)
    decoder = random_decoder(rng)
    X, gallery = (rng.standard_normal((7, size)) for size in (5, 3))
    components = (gallery - decoder.target_mean) @ decoder.axes
    noise = np.linalg.inv(decoder.whitener @ decoder.whitener.T)
    decoded = X @ decoder.latent_coef + decoder.latent_intercept
    expected = np.array(
        [
            [
                multivariate_normal.logpdf(row, (c - decoder.latent_mean) * decoder.gain, noise)
                for c in components
            ]
            for row in decoded
        ]
    )
    found = decoder.score_candidates(X, gallery)
    np.testing.assert_allclose(
        found - found.mean(axis=1, keepdims=True),
        expected - expected.mean(axis=1, keepdims=True),
        atol=1e-9,
    )


def test_latents_are_posterior_means():
    rng = np.random.default_rng(1)
    decoder = random_decoder(rng)
    X = rng.standard_normal((6, 5))
    noise = np.linalg.inv(decoder.whitener @ decoder.whitener.T)
    gain = np.diag(decoder.gain)
    kalman = gain @ np.linalg.inv(gain @ gain + noise)
    decoded = X @ decoder.latent_coef + decoder.latent_intercept
    np.testing.assert_allclose(
        decoder.transform(X), decoder.latent_mean + decoded @ kalman.T, atol=1e-10
    )


def test_scaling_voxels_changes_nothing():
    X, y, components = problem(n=60)
    scale = np.geomspace(0.1, 100, X.shape[1])
    first = fit_component_decoder(Voxels.of(X), y, components)
    second = fit_component_decoder(Voxels.of(X * scale + 3), y, components)
    rows = X[:10]
    parts = components.encode(y)
    np.testing.assert_allclose(
        first.score_candidates(rows, y),
        second.score_candidates(rows * scale + 3, y),
        rtol=1e-6,
        atol=1e-6,
    )
    np.testing.assert_allclose(
        second.build(parts), first.build(parts) * scale + 3, rtol=1e-6, atol=1e-6
    )


def test_gains_of_a_known_measurement():
    rng = np.random.default_rng(0)
    truth = rng.standard_normal((20_000, 3))
    decoded = truth * [0.8, 0.3, 0.0] + rng.standard_normal(truth.shape) * [0.1, 0.5, 1.0]
    np.testing.assert_allclose(gains(decoded, truth), [0.8, 0.3, 0.0], atol=0.03)
