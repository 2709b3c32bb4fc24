"""A prior where voxels correspond: no data of a new subject is never better than some."""

import numpy as np
import pytest

from neuroml.decoding import CrossSubjectDecoder
from neuroml.decoding._ridge_path import stacking_weights
from neuroml.exceptions import DataError


def world(seed, own, n_subjects=6, n_rows=150, n_voxels=40, n_targets=4):
    """Voxels that respond alike in all subjects, but for a share of their own."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(n_targets, n_voxels))
    X, y = {}, {}
    for s in range(n_subjects):
        y[s] = rng.normal(size=(n_rows, n_targets))
        mixing = np.sqrt(1 - own) * shared + np.sqrt(own) * rng.normal(size=shared.shape)
        X[s] = y[s] @ mixing + 4 * rng.normal(size=(n_rows, n_voxels))
    return X, y


def correlation(predicted, truth):
    """Without means and scales, which no data cannot say."""
    return np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(predicted.T, truth.T, strict=True)])


def scores(own, n_adapt, seeds=range(8)):
    found = []
    for seed in seeds:
        X, y = world(seed, own)
        known = {s: X[s] for s in range(5)}, {s: y[s] for s in range(5)}
        test = slice(60, None)
        row = []
        for prior in ("none", "pooled"):
            model = CrossSubjectDecoder(prior=prior).fit(*known)
            adapted = model.adapt(X[5][:n_adapt], y[5][:n_adapt], subject=5)
            row.append(correlation(adapted.predict(X[5][test], subject=5), y[5][test]))
        standard = (X[5][test] - X[5][test].mean(0)) / X[5][test].std(0)
        row.append(correlation(standard @ model.pooled_weights_, y[5][test]))
        found.append(row)
    return np.array(found)


def standard_error(x):
    return x.std(ddof=1) / np.sqrt(len(x))


@pytest.mark.slow
@pytest.mark.parametrize(("own", "n_adapt"), [(0.0, 15), (0.0, 60), (0.3, 30), (1.0, 60)])
def test_the_prior_is_used_as_far_as_voxels_correspond(own, n_adapt):
    none, pooled, no_data = scores(own, n_adapt).T
    # within a standard error of each over worlds: weighing the prior costs a little where it is
    # exactly right (.004 of a correlation from 15 rows)
    for other in (none, no_data):
        assert pooled.mean() > other.mean() - standard_error(other)
    if own < 0.5:
        assert (pooled - none).mean() > 2 * standard_error(pooled - none)


def test_a_prior_on_weights_is_a_ridge_around_it():
    rng = np.random.default_rng(0)
    design, prior = rng.uniform(size=(2, 30, 3)), np.array([0.2, 0.7])
    truth = 0.5 * design[0] + 0.6 * design[1] + 0.1 * rng.normal(size=(30, 3))
    A = np.column_stack([part.ravel() for part in design])
    variance = np.mean((truth.ravel() - A @ prior) ** 2)
    exact = np.linalg.solve(A.T @ A + variance * np.eye(2), A.T @ truth.ravel() + variance * prior)
    np.testing.assert_allclose(stacking_weights(list(design), truth, prior), exact)


def test_voxels_that_do_not_correspond_are_refused():
    X, y = world(0, 0.0)
    with pytest.raises(DataError, match="voxels that correspond"):
        CrossSubjectDecoder(prior="pooled").fit(X | {0: X[0][:, :-1]}, y)
    model = CrossSubjectDecoder(prior="pooled").fit(X, y)
    with pytest.raises(DataError, match="voxels that correspond"):
        model.adapt(X[0][:, :-1], y[0], subject="new")
