"""A prior where voxels correspond: no data of a new subject is never better than some."""

from functools import partial

import numpy as np
import pytest
from scipy.signal import lfilter

from neuroml.decoding import CrossSubjectDecoder, ProcrustesAligner, SharedResponseModel
from neuroml.decoding._pooled_map import map_near, memory_of_seen, scale_near
from neuroml.decoding._ridge_path import stacking_weights
from neuroml.decoding._shared_response import polar_factor
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


ALIGNERS = {
    "probabilistic": lambda prior: SharedResponseModel(4, prior=prior, random_state=0),
    "robust": lambda prior: SharedResponseModel(
        4, "robust", prior=prior, max_iter=20, tol=1e-2, random_state=0
    ),
    "procrustes": lambda prior: ProcrustesAligner(prior=prior),
    "parcels": lambda prior: ProcrustesAligner(prior=prior, parcels=np.arange(24) // 12),
}


def shared_stimuli(seed, own, n_subjects=6, n_rows=120, n_voxels=24, n_components=4):
    """Responses to the same samples, by maps of which a share is each subject's own."""
    rng = np.random.default_rng(seed)
    S = rng.normal(size=(n_rows, n_components))
    shared = rng.normal(size=(n_components, n_voxels))
    X = {}
    for s in range(n_subjects):
        weights = np.sqrt(1 - own) * shared + np.sqrt(own) * rng.normal(size=shared.shape)
        X[s] = 0.5 * S @ weights + rng.normal(size=(n_rows, n_voxels))
    return X


def first_rows(X, n_seen):
    seen = X.copy()
    seen[n_seen:] = np.nan
    return seen


@pytest.mark.filterwarnings("ignore:subject", "ignore:.*max_iter")
@pytest.mark.parametrize("kind", ALIGNERS)
@pytest.mark.parametrize(("own", "n_seen"), [(0.0, 15), (0.5, 16), (1.0, 60)])
def test_few_samples_of_a_new_subject_are_no_worse_than_none(kind, own, n_seen):
    rows = []
    for seed in range(5):
        X, half = shared_stimuli(seed, own), slice(60, None)
        known = {s: X[s][:60] for s in range(5)}
        row = []
        for prior in ("none", "pooled"):
            model = ALIGNERS[kind](prior).fit(known)
            model.add_subject(first_rows(X[5][:60], n_seen), subject=5)
            mean = np.mean([model.transform(X[s][half], subject=s) for s in known], axis=0)
            row.append(correlation(model.transform(X[5][half], subject=5), mean))
        standard = (X[5][half] - X[5][half].mean(0)) / X[5][half].std(0)
        rows.append([*row, correlation(standard @ model.pooled_basis_, mean)])
    none, pooled, no_data = np.array(rows).T
    for other in (none, no_data):
        assert pooled.mean() > other.mean() - standard_error(other)
    if own == 0:
        assert (pooled - none).mean() > 2 * standard_error(pooled - none)


@pytest.mark.parametrize("kind", ALIGNERS)
@pytest.mark.filterwarnings("ignore:subject", "ignore:.*max_iter")
def test_other_samples_than_the_shared_ones_are_told_by_the_correlation(kind):
    X = shared_stimuli(0, 0.0)
    model = ALIGNERS[kind]("pooled").fit({s: X[s] for s in range(5)})
    model.add_subject(np.random.default_rng(1).normal(size=X[5].shape), subject="noise")
    model.add_subject(X[5], subject="as the others")
    assert model.prior_weight_["as the others"] > 0
    assert model.held_out_r_["as the others"] > model.held_out_r_["noise"] + 0.1


def test_the_ends_of_the_weights_are_the_map_of_the_others_and_the_own_one():
    rng = np.random.default_rng(0)
    X, pooled = rng.normal(size=(60, 8)), np.linalg.qr(rng.normal(size=(8, 3)))[0]
    own = np.linalg.qr(rng.normal(size=(8, 3)))[0]
    near = partial(
        map_near,
        lambda X, T: polar_factor(X.T @ T),
        lambda own, pooled, weight: (1 - weight) * own + weight * pooled,
        tau=1.0,
    )
    exact, noisy = X @ own, X @ pooled + 3 * rng.normal(size=(60, 3))
    found, weight = near(X, exact, pooled)
    assert weight <= 0.3
    alone = polar_factor(X.T @ (exact - exact.mean(axis=0)))
    np.testing.assert_allclose(found, (1 - weight) * alone + weight * pooled, atol=1e-9)
    # few samples say nothing, and noise says nothing else than the others
    assert near(X[:8], exact[:8], pooled)[1] == 1
    assert near(X, noisy, pooled)[1] >= 0.7


def test_what_the_others_say_of_scales_is_taken_as_far_as_samples_are_few():
    rng = np.random.default_rng(0)
    truth = np.exp(0.5 * rng.normal(size=1000))
    for n_samples in (10, 1000):
        raw = rng.normal(size=(n_samples, 1000))
        for unlike, expected in ((1.0, 1.0), (truth, 2 * 0.5**2 * n_samples)):
            scale = (raw * unlike).std(axis=0)
            # a unit of measure of its own changes nothing
            found = np.log(scale / scale_near(scale, np.ones(1000) / 7, n_samples))
            ratio = np.log(scale) - np.log(scale).mean()
            share = found @ ratio / (ratio @ ratio)
            # the sampling variance 1 / 2n, over itself or over that and the voxels' own variance
            share_expected = 1.0 if unlike is not truth else 1 / (1 + expected)
            assert abs(share - share_expected) < 0.3 * share_expected


def test_memory_is_that_of_all_samples_as_far_as_those_seen_follow_each_other():
    seen = np.zeros(100, dtype=bool)
    seen[:15] = True
    assert memory_of_seen(5.0, seen) == 5.0
    seen[:] = np.arange(100) % 4 == 0
    assert memory_of_seen(5.0, seen) == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize("kind", ["probabilistic", "procrustes"])
@pytest.mark.filterwarnings("ignore:subject", "ignore:.*max_iter")
@pytest.mark.parametrize("n_seen", [12, 24, 40])
def test_few_samples_that_follow_each_other_leave_the_map_of_the_others(kind, n_seen):
    """With a memory of some nine samples, none of these amounts holds sixteen independent ones."""
    rng = np.random.default_rng(0)
    X = shared_stimuli(0, 0.3, n_rows=160)
    X = {s: lfilter([0.6], [1, -0.8], part, axis=0) for s, part in X.items()}
    model = ALIGNERS[kind]("pooled").fit({s: X[s] for s in range(5)})
    for first in rng.integers(0, 100, size=5):
        part = np.full_like(X[5], np.nan)
        part[first : first + n_seen] = X[5][first : first + n_seen]
        model.add_subject(part, subject=int(first) + 10)
    assert set(model.prior_weight_.values()) == {1.0}


@pytest.mark.filterwarnings("ignore:.*max_iter")
@pytest.mark.parametrize("kind", ALIGNERS)
def test_aligners_refuse_voxels_that_do_not_correspond(kind):
    X = shared_stimuli(0, 0.0)
    with pytest.raises(DataError, match="voxels that correspond"):
        ALIGNERS[kind]("pooled").fit(X | {0: X[0][:, :-1]})
    model = ALIGNERS[kind]("pooled").fit(X)
    before = set(model.basis_)
    with pytest.raises(DataError, match="voxels that correspond"):
        model.add_subject(X[0][:, :-1], subject="new")
    assert set(model.basis_) == before


def test_a_weight_of_the_identity_refuses_a_new_subject_with_other_voxels():
    X = shared_stimuli(0, 0.0)
    model = ProcrustesAligner(prior=10.0, max_iter=200).fit(X)
    with pytest.raises(DataError, match="voxels that correspond"):
        model.add_subject(X[0][:, :-1], subject="new")
