"""Stimuli and behavior beside the history of a population, and populations of 0 and 1."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression, PoissonRegressor

from neuroml import load, save
from neuroml.exceptions import DataError
from neuroml.simulate.switching_spikes import draw_counts, draw_states
from neuroml.switching import SwitchingPopulationGLM
from neuroml.switching._observations.population import filter_value_and_gradient

pytestmark = pytest.mark.filterwarnings("ignore::neuroml.exceptions.NotConvergedWarning")
N, SESSIONS = 3000, np.repeat([0, 1, 2], 1000)
FILTERS = np.tile([0.6, 0.3, 0.1], (3, 1))
WEIGHTS = np.array([[0.0, 0.4, 0.0], [0.4, 0.0, 0.0], [0.0, 0.0, -0.5]])
# the first covariate's effect turns with the state; the second's does not
BY_COVARIATES = np.array(
    [[[1.2, 0.3], [0.8, 0.0], [-1.0, 0.3]], [[-1.2, 0.3], [-0.8, 0], [1, 0.3]]]
)


def drawn(link, seed=0):
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(N, 2)) * [1.0, 50.0] + [0.0, 400.0]
    scaled = (table - table.mean(axis=0)) / table.std(axis=0)
    states = draw_states(np.array([[0.98, 0.02], [0.02, 0.98]]), N, rng)
    level = -0.5 + np.einsum("tic,tc->ti", BY_COVARIATES[states], scaled)
    both = np.stack([WEIGHTS, WEIGHTS])
    return draw_counts(states, level, both, FILTERS, link, rng), table, states


@pytest.fixture(scope="module")
def data():
    return drawn("sigmoid")


def fitted(spikes, covariates, n_states=2, **settings):
    defaults = {"link": "sigmoid", "n_init": 2, "max_iter": 60, "ridge": 1.0, "random_state": 0}
    model = SwitchingPopulationGLM(n_states, 3, **(defaults | settings))
    return model.fit(spikes, sessions=SESSIONS, covariates=covariates)


@pytest.fixture(scope="module")
def model(data):
    spikes, table, _ = data
    return fitted(spikes, pd.DataFrame(table, columns=["stimulus", "speed"]))


@pytest.mark.parametrize("family", ["poisson", "bernoulli"])
def test_one_state_is_the_regression_on_history_and_covariates(family):
    spikes, table, _ = drawn("sigmoid" if family == "poisson" else "bernoulli")
    spikes, table = spikes[:600], table[:600]
    ridge = 2.0
    model = SwitchingPopulationGLM(
        1, 3, family=family, link="exp", ridge=ridge, covariate_ridge=ridge, n_init=1,
        dtype="float64", tol=1e-13, max_iter=200,
    ).fit(spikes, covariates=table)  # fmt: skip
    history = np.zeros_like(spikes)
    for lag in range(3):
        history[lag + 1 :] += model.filters_[0, lag] * spikes[: -lag - 1]
    scaled = (table - table.mean(axis=0)) / table.std(axis=0)
    X = np.column_stack([history, scaled])
    for unit in range(3):
        peer = (
            PoissonRegressor(alpha=ridge / 600, tol=1e-11, max_iter=2000)
            if family == "poisson"
            else LogisticRegression(C=1 / ridge, tol=1e-11, max_iter=2000)
        ).fit(X, spikes[:, unit])
        coefficients = np.concatenate([model.weights_[0, unit], model.covariate_weights_[0, unit]])
        np.testing.assert_allclose(coefficients, np.ravel(peer.coef_), atol=1e-5)
        np.testing.assert_allclose(model.intercept_[0, unit], np.ravel(peer.intercept_), atol=1e-5)


def test_covariates_that_act_by_state_are_recovered(data, model):
    spikes, table, states = data
    named = pd.DataFrame(table, columns=["stimulus", "speed"])
    path = model.predict(spikes, sessions=SESSIONS, covariates=named)
    order = [0, 1] if (path == states).mean() > 0.5 else [1, 0]
    assert (np.array(order)[path] == states).mean() > 0.8
    found = model.covariate_weights_[order]
    assert np.corrcoef(found.ravel(), BY_COVARIATES.ravel())[0, 1] > 0.95
    ask = {"sessions": SESSIONS, "covariates": named}
    without = SwitchingPopulationGLM(2, 3, link="sigmoid", n_init=1, ridge=1.0, random_state=0)
    without.fit(spikes, sessions=SESSIONS)
    assert model.score(spikes, **ask) > without.score(spikes, sessions=SESSIONS)
    assert model.score_bits(spikes, **ask) > 0.01  # one state has the covariates too


def test_every_method_takes_them_and_a_saved_model_too(data, model, tmp_path):
    spikes, table, _ = data
    swapped = pd.DataFrame(table[:, ::-1], columns=["speed", "stimulus"])
    ask = {"sessions": SESSIONS, "covariates": swapped}
    kept = load(save(model, tmp_path / "model.safetensors"))
    posterior = kept.predict_proba(spikes, **ask)
    straight = pd.DataFrame(table, columns=["stimulus", "speed"])
    np.testing.assert_array_equal(
        posterior, model.predict_proba(spikes, sessions=SESSIONS, covariates=straight)
    )
    parts = [straight[SESSIONS == s] for s in range(3)]
    lists = model.predict_proba([spikes[SESSIONS == s] for s in range(3)], covariates=parts)
    np.testing.assert_allclose(lists, posterior, atol=1e-12)
    assert model.filter_proba(spikes, **ask).shape == (N, 2)
    weighted = model.score(spikes, **ask, sample_weight=np.ones(N))
    assert weighted == pytest.approx(model.score(spikes, **ask))
    frame = model.to_frame()
    rows = frame[frame["quantity"] == "covariate_weights"]
    assert rows["covariate"].unique().tolist() == ["stimulus", "speed"]
    assert len(rows) == 2 * 3 * 2
    drawn_spikes, path = model.sample(**ask, random_state=0)
    up = straight["stimulus"] > 0
    for state, row in enumerate(model.covariate_weights_[:, 0, 0]):
        here = path == state
        gain = drawn_spikes[here & up, 0].mean() - drawn_spikes[here & ~up, 0].mean()
        assert np.sign(gain) == np.sign(row)


def test_a_fit_without_them_forgets_them(data):
    spikes, table, _ = data
    model = fitted(spikes, table, n_init=1, max_iter=2)
    assert model.fit(spikes, sessions=SESSIONS).predict(spikes).shape == (N,)
    assert not [name for name in vars(model) if "covariate" in name and name.endswith("_")]


@pytest.mark.parametrize("prior", ["gaussian", "one-hot"])
@pytest.mark.parametrize("shared_intercept", [False, True])
def test_the_objective_never_falls_with_covariates(data, prior, shared_intercept):
    spikes, table, _ = data
    model = fitted(
        spikes[:, :2], table, prior=prior, shared_intercept=shared_intercept, n_basis=2,
        dtype="float64", max_iter=15, tol=0.0, n_init=1,
    )  # fmt: skip
    assert (np.diff(model.objective_trace_) >= -1e-9 * abs(model.objective_trace_[:-1])).all()


def test_the_gradient_of_filters_sees_covariates():
    rng = np.random.default_rng(0)
    histories, covariates = rng.gamma(1.0, size=(2, 30, 3)), rng.normal(size=(30, 2))
    counts, logits = rng.poisson(1.0, (3, 30)).astype(float), rng.normal(size=(3, 2))
    rest = 0, counts, histories, rng.normal(0, 0.2, (2, 3, 6)), rng.random((2, 30)), covariates
    gradient = filter_value_and_gradient(logits, *rest)[1]
    for at in [(0, 0), (2, 1)]:
        step = np.zeros_like(logits)
        step[at] = 1e-5
        ends = [filter_value_and_gradient(logits + sign * step, *rest)[0] for sign in (1, -1)]
        assert gradient[at] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-5, abs=1e-7)


def test_bernoulli_draws_and_scores_zeros_and_ones(data):
    spikes = np.minimum(data[0], 1.0)
    model = fitted(spikes, data[1], 1, family="bernoulli", n_init=1, max_iter=20)
    p = expit(model.intercept_[0])
    assert (abs(p - spikes.mean(axis=0)) < 0.2).all()
    again, _ = model.sample(SESSIONS, covariates=data[1], random_state=0)
    assert set(np.unique(again)) == {0.0, 1.0}
    np.testing.assert_allclose(again.mean(axis=0), spikes.mean(axis=0), atol=0.05)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, s, z: m.predict(s, sessions=SESSIONS), "and there are none"),
        (lambda m, s, z: m.score(s, covariates=z), "some columns have names and others have not"),
        (lambda m, s, z: m.predict(s, covariates=z[:5]), r"covariates do not fit.*\(5, 2\)"),
        (lambda m, s, z: m.sample(SESSIONS), "and there are none"),
        (lambda m, s, z: fitted(s, np.where(z > 0, z, np.nan)), "hold NaN or infinity"),
        (lambda m, s, z: fitted(s, [z, z]), "do not come in the same parts"),
        (lambda m, s, z: fitted(s + 1, z, family="bernoulli"), "several spikes in a bin"),
        (lambda m, s, z: SwitchingPopulationGLM.published().fit(s, covariates=z), "no covariates"),
    ],
)
def test_what_does_not_fit_is_refused(data, model, call, message):
    with pytest.raises(DataError, match=message):
        call(model, *data[:2])
