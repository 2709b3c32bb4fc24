"""The shared response model against its definition, a plain implementation, and simulated truth."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from neuroml.decoding import SharedResponseModel
from neuroml.decoding import _shared_response as maths
from neuroml.decoding.metrics import (
    feature_correlation,
    intersubject_correlation,
    time_segment_matching,
)
from neuroml.exceptions import NotConvergedWarning

METHODS = ["probabilistic", "deterministic", "robust"]


def cohort(seed, n=120, k=3, voxels=(30, 40, 200), noise=0.5):
    rng = np.random.default_rng(seed)
    S = rng.standard_normal((n, k)) * np.linspace(2, 1, k)
    bases = [np.linalg.qr(rng.standard_normal((v, k)))[0] * np.sqrt(v) / 3 for v in voxels]
    offsets = [rng.uniform(-5, 5, v) for v in voxels]
    X = {
        f"s{i}": S @ W.T + noise * rng.standard_normal((n, len(W))) + b
        for i, (W, b) in enumerate(zip(bases, offsets, strict=True))
    }
    return S, X


def tiny(seed):
    rng = np.random.default_rng(seed)
    data = [rng.standard_normal((5, v)) for v in (3, 7)]
    views = [maths.view(X, np.ones(5, dtype=bool)) for X in data]
    return data, views, maths.first_response(views, 2, rng)


def plain_em_step(data, mean, second):
    """Expectation maximization as in the paper, with dense matrices; rows are time."""
    n = len(mean)
    bases = [maths.polar_factor(X.T @ mean) for X in data]
    noise = [
        (np.sum(X**2) - 2 * np.sum(X * (mean @ W.T)) + np.trace(second)) / X.size
        for X, W in zip(data, bases, strict=True)
    ]
    prior = second / n
    big = np.vstack(bases)
    psi = np.repeat(noise, [len(W) for W in bases])
    joint = big @ prior @ big.T + np.diag(psi)
    stacked = np.hstack(data)
    gain = prior @ big.T @ np.linalg.inv(joint)
    mean = stacked @ gain.T
    second = mean.T @ mean + n * (prior - gain @ big @ prior)
    loglik = multivariate_normal(cov=joint).logpdf(stacked).sum()
    return mean, second, loglik / stacked.size


@pytest.mark.parametrize("seed", range(5))
def test_em_and_likelihood_equal_a_dense_implementation(seed):
    data, views, mean = tiny(seed)
    second = mean.T @ mean
    state = maths.Posterior(mean, np.zeros_like(mean), mean[0], mean[0])
    for _ in range(4):
        state, value = maths.probabilistic_step(views, state)
        mean, second, expected = plain_em_step(data, mean, second)
        assert value == pytest.approx(expected, abs=1e-9)
        rotation = maths.polar_factor(state.mean.T @ mean)  # ours are rotated to the prior's axes
        np.testing.assert_allclose(state.mean @ rotation, mean, atol=1e-7)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(3))
def test_recovers_the_response_and_never_falls(method, seed):
    S, X = cohort(seed)
    model = SharedResponseModel(3, method, random_state=seed, max_iter=500).fit(X)
    assert model.converged_ and np.diff(model.objective_trace_).min() > -1e-12
    found = model.shared_response_
    explained = found @ np.linalg.lstsq(found, S, rcond=None)[0]
    assert feature_correlation(explained, S).min() > 0.98
    for basis in model.basis_.values():
        np.testing.assert_allclose(basis.T @ basis, np.eye(3), atol=1e-10)
    assert intersubject_correlation(model.transform(X)).min() > 0.9


@pytest.mark.parametrize("shape", [(10, 30), (30, 10)])
def test_alignment_through_products_equals_the_polar_factor(shape):
    rng = np.random.default_rng(0)
    X, S = rng.standard_normal(shape), rng.standard_normal((shape[0], 3))
    one = maths.view(X, np.ones(shape[0], dtype=bool))
    np.testing.assert_allclose(maths.aligned(one, S), X @ maths.polar_factor(X.T @ S), atol=1e-9)


def test_deterministic_solution_is_stationary():
    _, X = cohort(0)
    model = SharedResponseModel(3, "deterministic", tol=1e-12, max_iter=3000, random_state=0).fit(X)
    mean = np.mean(list(model.transform(X).values()), axis=0)
    np.testing.assert_allclose(mean, model.shared_response_, atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_order_offset_and_rotation_of_voxels_do_not_matter(method):
    _, X = cohort(1)
    rng = np.random.default_rng(0)
    settings = {"method": method, "random_state": 0, "max_iter": 500}
    one = SharedResponseModel(3, **settings).fit(X).transform(X)
    order = rng.permutation(30)
    changed = X | {"s0": X["s0"][:, order] + 100.0}
    other = SharedResponseModel(3, **settings).fit(changed).transform(changed)
    for s in X:
        np.testing.assert_allclose(np.abs(one[s]), np.abs(other[s]), atol=1e-5)


def test_transform_subtracts_the_mean_of_the_voxels():
    _, X = cohort(2)
    model = SharedResponseModel(3, random_state=0).fit(X)
    for Z in model.transform(X).values():
        np.testing.assert_allclose(Z.mean(axis=0), 0, atol=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_missing_rows(method):
    S, X = cohort(3)
    gaps = {s: part.copy() for s, part in X.items()}
    gaps["s0"][:30] = np.nan
    gaps["s1"][60:100] = np.nan
    model = SharedResponseModel(3, method, random_state=0, max_iter=500).fit(gaps)
    found = model.shared_response_
    explained = found @ np.linalg.lstsq(found, S, rcond=None)[0]
    assert feature_correlation(explained, S).min() > 0.97
    model.add_subject(gaps["s1"], subject="again")
    np.testing.assert_allclose(model.basis_["again"], model.basis_["s1"], atol=1e-2)


@pytest.mark.parametrize("seed", range(3))
def test_robust_withstands_what_one_subject_has_alone(seed):
    S, X = cohort(seed)
    rng = np.random.default_rng(seed)
    hit = rng.uniform(size=X["s1"].shape) < 0.05
    X["s1"] = X["s1"] + 25 * hit * rng.standard_normal(hit.shape)
    errors = {}
    for method in ("deterministic", "robust"):
        model = SharedResponseModel(3, method, random_state=0, max_iter=500).fit(X)
        found = model.transform(X["s1"], subject="s1")
        explained = found @ np.linalg.lstsq(found, S, rcond=None)[0]
        errors[method] = np.mean((explained - S) ** 2)
    assert errors["robust"] < errors["deterministic"]


def test_inverse_transform_is_the_projection_on_the_basis():
    _, X = cohort(4, noise=0.01)
    model = SharedResponseModel(3, random_state=0).fit(X)
    back = model.inverse_transform(model.transform(X["s2"], subject="s2"), subject="s2")
    assert feature_correlation(back, X["s2"]).min() > 0.95


def test_says_when_it_has_not_converged():
    _, X = cohort(0)
    with pytest.warns(NotConvergedWarning):
        model = SharedResponseModel(3, max_iter=1, tol=0.0).fit(X)
    assert not model.converged_


def lacking(kind):
    """Subjects of which one has fewer directions than the model has components."""
    _, X = cohort(0)
    first = X["s0"]
    if kind == "constant subject":
        X["s0"] = np.full_like(first, 7.0)
    elif kind == "constant voxels":
        X["s0"] = np.where(np.arange(30) < 5, 3.0, first)
    elif kind == "copies of one voxel":
        X["s0"] = np.repeat(first[:, :1], 30, axis=1)
    elif kind == "copies of two voxels":
        X["s0"] = first[:, np.arange(30) % 2]
    return X


@pytest.mark.filterwarnings("ignore:Constant voxels")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "kind", ["constant subject", "constant voxels", "copies of one voxel", "copies of two voxels"]
)
def test_subjects_that_lack_directions_raise_no_alarm(kind, method):
    """A fall of the objective would be an error here, as every warning is."""
    model = SharedResponseModel(4, method, max_iter=3000, tol=1e-5, random_state=0).fit(
        lacking(kind)
    )
    assert np.isfinite(model.shared_response_).all()
    assert np.diff(model.objective_trace_).min() > -1e-9


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("noise", [0.0, 0.05, 0.5])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("rank", [1, 3, 6])
def test_data_with_little_noise_raise_no_alarm(rank, dtype, noise, method):
    _, X = cohort(1, k=rank, noise=noise)
    X = {s: part.astype(dtype) for s, part in X.items()}
    SharedResponseModel(rank, method, max_iter=3000, random_state=0).fit(X)


@pytest.mark.parametrize("powers", [[1.0], [3.0, 3.0, 3.0], [9.0, 4.0, 1.0, 0.1, 1e-9], [2.0, 0.0]])
def test_balanced_axes_are_a_rotation_to_equal_variances(powers):
    rng = np.random.default_rng(0)
    S = np.linalg.qr(rng.standard_normal((40, len(powers))))[0] * np.sqrt(powers)
    found = maths.balanced(S)
    np.testing.assert_allclose((found**2).sum(axis=0), np.mean(powers), rtol=1e-9)
    np.testing.assert_allclose(found @ found.T, S @ S.T, atol=1e-12)


def test_components_may_be_standardized():
    """Matching, which standardizes, does not suffer from components that are mostly noise."""
    gains = []
    for seed in range(6):
        # many more components (20) than the data have (3)
        _, X = cohort(seed, n=240, k=3, voxels=(60,) * 5, noise=4.0)
        model = SharedResponseModel(20, random_state=0).fit({s: x[:120] for s, x in X.items()})
        Z = model.transform({s: x[120:] for s, x in X.items()})
        principal = np.linalg.svd(model.shared_response_)[2].T
        matched = [
            time_segment_matching(parts, window=5).accuracy.mean()
            for parts in (Z, {s: part @ principal for s, part in Z.items()})
        ]
        gains.append(matched[0] - matched[1])
    # on average .046 with a standard deviation of .013 over twelve seeds
    assert np.mean(gains) > 3 * np.std(gains, ddof=1) / np.sqrt(len(gains))
