"""The switching population model as users meet it."""

import warnings
from itertools import product

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.special import expit, logsumexp
from scipy.stats import poisson
from sklearn.linear_model import PoissonRegressor

from neuroml import load, save
from neuroml.exceptions import DataError, MonotonicityWarning, NotConvergedWarning
from neuroml.simulate import make_switching_spikes
from neuroml.simulate.switching_spikes import draw_counts
from neuroml.switching import SwitchingPopulationGLM

LINKS = {"softplus": lambda x: np.logaddexp(0, x), "exp": np.exp, "sigmoid": expit}
pytestmark = pytest.mark.filterwarnings("ignore::neuroml.exceptions.NotConvergedWarning")


def _data(seed=0, n_units=4, n_states=2, n_sessions=3, n_bins=200, **settings):
    return make_switching_spikes(
        n_units, n_states, n_sessions=n_sessions, n_bins=n_bins, random_state=seed, **settings
    )


def _fitted(data, n_states=2, **settings):
    defaults = {"link": "sigmoid", "n_init": 1, "max_iter": 30, "random_state": 0}
    model = SwitchingPopulationGLM(n_states, **(defaults | settings))
    return model.fit(data.spikes, sessions=data.sessions)


def _log_emissions(model, spikes, sessions):
    """From the attributes alone, bin by bin."""
    rates = np.empty((len(spikes), *model.intercept_.shape))
    for t in range(len(spikes)):
        drive = np.zeros(spikes.shape[1])
        for lag in range(1, model.n_lags + 1):
            if t >= lag and sessions[t - lag] == sessions[t]:
                drive += model.filters_[:, lag - 1] * spikes[t - lag]
        rates[t] = LINKS[model.link](model.intercept_ + model.weights_ @ drive)
    return poisson.logpmf(spikes[:, None, :], rates).sum(axis=2)


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("n_basis", [1, 2])
def test_score_and_prediction_equal_enumeration(link, n_basis):
    model = _fitted(_data(), link=link, n_basis=n_basis, dtype="float64", max_iter=5)
    short = _data(seed=1, n_sessions=2, n_bins=6)
    emissions = _log_emissions(model, short.spikes, short.sessions)
    total, best, marginals = 0.0, [], []
    for rows in (slice(0, 6), slice(6, 12)):
        paths = np.array(list(product(range(2), repeat=6)))
        joint = np.log(model.initial_proba_)[paths[:, 0]] + emissions[rows][range(6), paths].sum(
            axis=1
        )
        joint += np.log(model.transition_matrix_)[paths[:, :-1], paths[:, 1:]].sum(axis=1)
        total += logsumexp(joint)
        best.append(paths[joint.argmax()])
        marginals.append(np.exp(joint - logsumexp(joint)) @ paths)
    arguments = {"spikes": short.spikes, "sessions": short.sessions}
    assert model.score(**arguments) == pytest.approx(total / 12, rel=1e-10)
    np.testing.assert_array_equal(model.predict(**arguments), np.concatenate(best))
    np.testing.assert_allclose(
        model.predict_proba(**arguments)[:, 1], np.concatenate(marginals), atol=1e-10
    )


def test_one_state_is_the_poisson_regression():
    data = _data(n_sessions=1, n_bins=800, link="exp", strength=0.5)
    ridge = 2.0
    model = _fitted(data, 1, link="exp", ridge=ridge, dtype="float64", tol=1e-12, max_iter=100)
    drive = np.zeros_like(data.spikes)
    for lag in range(1, 6):
        drive[lag:] += model.filters_[0, lag - 1] * data.spikes[:-lag]
    for unit in range(4):
        peer = PoissonRegressor(alpha=ridge / 800, tol=1e-10, max_iter=1000)
        peer.fit(drive, data.spikes[:, unit])
        np.testing.assert_allclose(model.weights_[0, unit], peer.coef_, atol=1e-6)
        assert model.intercept_[0, unit] == pytest.approx(peer.intercept_, abs=1e-6)
    assert model.converged_
    assert model.score_bits(data.spikes) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("prior", ["none", "gaussian", "one-hot"])
@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("shared_intercept", [False, True])
def test_the_objective_never_falls(prior, link, shared_intercept):
    with warnings.catch_warnings():
        warnings.simplefilter("error", MonotonicityWarning)
        for seed in range(4):
            data = _data(seed, link=link, strength=0.5)
            model = _fitted(
                data,
                prior=prior,
                link=link,
                shared_intercept=shared_intercept,
                n_basis=1 + seed % 2,
                dtype="float64",
                random_state=seed,
                tol=0.0,
            )
            trace = model.objective_trace_
            assert (np.diff(trace) >= -1e-9 * np.abs(trace[:-1])).all()
            if shared_intercept:
                np.testing.assert_allclose(model.intercept_[0], model.intercept_[1], rtol=1e-12)


def test_the_objective_is_the_likelihood_without_priors():
    data = _data()
    model = _fitted(data, ridge=0.0, dtype="float64")
    score = model.score(data.spikes, sessions=data.sessions)
    assert model.objective_trace_[-1] == pytest.approx(score, rel=1e-10)


def test_learned_parameters_are_a_stationary_point_of_the_likelihood():
    data = _data(n_sessions=2, n_bins=400)
    model = _fitted(data, ridge=0.0, dtype="float64", tol=1e-12, max_iter=2000)
    arguments = {"spikes": data.spikes, "sessions": data.sessions}
    for name, at in [("weights_", (0, 1, 2)), ("weights_", (1, 3, 0)), ("intercept_", (1, 2))]:
        values = getattr(model, name)
        scores = []
        for step in (1e-4, -1e-4):
            values[at] += step
            scores.append(model.score(**arguments))
            values[at] -= step
        assert (scores[0] - scores[1]) / 2e-4 == pytest.approx(0.0, abs=1e-5)


def _matched(data, model):
    states = model.predict(data.spikes, sessions=data.sessions)
    overlap = np.zeros((model.n_states, model.n_states))
    np.add.at(overlap, (data.states, states), 1)
    _, match = linear_sum_assignment(-overlap)
    return model.weights_[match], (match[data.states] == states).mean()


@pytest.mark.parametrize("prior", ["none", "gaussian", "one-hot"])
def test_recovers_couplings_and_states(prior):
    found = []
    for seed in range(3):
        data = _data(seed, n_units=10, n_states=2, n_sessions=8, n_bins=500, connected=0.4)
        model = _fitted(data, prior=prior, shared_intercept=True, n_init=3, random_state=seed)
        weights, accuracy = _matched(data, model)
        found.append((accuracy, np.corrcoef(weights.ravel(), data.weights.ravel())[0, 1]))
    accuracy, correlation = np.median(found, axis=0)
    assert accuracy > 0.8
    assert correlation > 0.85


def test_one_hot_tells_signs():
    data = _data(3, n_units=8, n_sessions=8, n_bins=500, sign_concentration=0.0, connected=0.4)
    model = _fitted(data, prior="one-hot", shared_intercept=True, n_init=3)
    probabilities = model.connection_probability_
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1.0)
    signs = np.sign(data.weights.sum(axis=0)).astype(int) + 1
    assert (probabilities.argmax(axis=-1) == signs).mean() > 0.85


def test_learns_filters():
    rng = np.random.default_rng(0)
    filters = np.zeros((4, 6))
    filters[:2, 0], filters[2:, 5] = 1.0, 1.0
    weights = np.full((1, 4, 4), 0.4)
    spikes = draw_counts(
        np.zeros(6000, int), np.full((6000, 4), -1.0), weights, filters, "sigmoid", rng
    )
    model = SwitchingPopulationGLM(
        1, 6, link="sigmoid", basis="lags", n_basis=6, n_init=1, max_iter=100, random_state=0
    ).fit(spikes)
    np.testing.assert_allclose(model.filters_.sum(axis=1), 1.0)
    assert (model.filters_[:2, 0] > 0.7).all()
    assert (model.filters_[2:, 5] > 0.7).all()


def test_order_of_units_changes_nothing_else():
    data = _data()
    order = np.array([2, 0, 3, 1])
    settings = {"dtype": "float64", "n_init": 1, "max_iter": 500, "tol": 1e-10, "ridge": 1.0}
    one = _fitted(data, 1, **settings)
    other = _fitted(type(data)(spikes=data.spikes[:, order], sessions=data.sessions), 1, **settings)
    np.testing.assert_allclose(other.weights_[0], one.weights_[0][np.ix_(order, order)], atol=1e-4)


def test_order_of_states_changes_nothing_else():
    data = _data()
    model = _fitted(data, 3)
    arguments = {"spikes": data.spikes, "sessions": data.sessions}
    score, states = model.score(**arguments), model.predict(**arguments)
    order = np.array([2, 0, 1])
    for name in ("weights_", "intercept_", "initial_proba_"):
        setattr(model, name, getattr(model, name)[order])
    model.transition_matrix_ = model.transition_matrix_[np.ix_(order, order)]
    assert model.score(**arguments) == pytest.approx(score, rel=1e-12)
    np.testing.assert_array_equal(order[model.predict(**arguments)], states)


def test_sessions_are_independent():
    data = _data(n_sessions=4)
    model = _fitted(data)
    whole = model.predict_proba(data.spikes, sessions=data.sessions)
    for session in range(4):
        rows = data.sessions == session
        np.testing.assert_allclose(model.predict_proba(data.spikes[rows]), whole[rows], atol=1e-6)
    parts = [data.spikes[data.sessions == s] for s in range(4)]
    np.testing.assert_allclose(model.predict_proba(parts), whole, rtol=0, atol=1e-12)
    joined = model.predict_proba(data.spikes)
    assert not np.allclose(joined, whole)


def test_filtered_probabilities_do_not_know_the_future():
    data = _data(n_sessions=1)
    model = _fitted(data)
    changed = data.spikes.copy()
    changed[100:] = 0
    before, after = model.filter_proba(data.spikes), model.filter_proba(changed)
    np.testing.assert_allclose(before[:100], after[:100], rtol=0, atol=1e-12)
    np.testing.assert_allclose(before[-1], model.predict_proba(data.spikes)[-1], atol=1e-10)


def test_same_seed_same_model_whatever_the_processes():
    data = _data()
    one, two = (_fitted(data, n_init=2, n_jobs=n_jobs) for n_jobs in (None, 2))
    np.testing.assert_array_equal(one.weights_, two.weights_)


def test_samples_look_like_the_data():
    data = _data(n_sessions=10, n_bins=500)
    model = _fitted(data)
    spikes, states = model.sample(np.repeat(np.arange(10), 500), random_state=0)
    assert spikes.shape == data.spikes.shape
    np.testing.assert_allclose(spikes.mean(axis=0), data.spikes.mean(axis=0), rtol=0.15)
    assert set(states) <= {0, 1}


def test_bits_per_spike_over_less_knowledge():
    data = _data(5, n_units=10, n_sessions=8, n_bins=500)
    train = data.sessions < 6
    model = SwitchingPopulationGLM(2, link="sigmoid", n_init=2, random_state=0)
    model.fit(data.spikes[train], sessions=data.sessions[train])
    held_out = {"spikes": data.spikes[~train], "sessions": data.sessions[~train]}
    assert model.score_bits(**held_out) > 0
    assert model.score_bits(**held_out, null="shuffled", random_state=0) > 0
    with pytest.raises(ValueError, match="null"):
        model.score_bits(**held_out, null="mean")


def test_saves_and_loads(tmp_path):
    data = _data()
    model = _fitted(data, prior="one-hot")
    path = tmp_path / "model.safetensors"
    save(model, path)
    again = load(path)
    np.testing.assert_array_equal(again.connection_probability_, model.connection_probability_)
    np.testing.assert_array_equal(again.predict(data.spikes), model.predict(data.spikes))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: np.where(x == 0, -1, x), "Negative values"),
        (lambda x: x + 0.5, "fractional values"),
        (lambda x: x * np.array([1, 0, 1, 1]), "never fire"),
    ],
)
def test_says_what_is_wrong_with_counts(change, message):
    with pytest.raises(DataError, match=message):
        SwitchingPopulationGLM(2).fit(change(_data().spikes))


def test_says_what_is_wrong_with_sessions():
    spikes = _data().spikes
    with pytest.raises(DataError, match="not longer than the history"):
        SwitchingPopulationGLM(2, 5).fit(spikes, sessions=np.arange(600) // 5)
    with pytest.raises(DataError, match="not contiguous"):
        SwitchingPopulationGLM(2).fit(spikes, sessions=np.arange(600) % 2)
    with pytest.raises(ValueError, match="n_basis=n_lags=5"):
        SwitchingPopulationGLM(2, basis="lags").fit(spikes)
    with pytest.raises(ValueError, match="NaN"):
        SwitchingPopulationGLM(2).fit(np.where(spikes > 1, np.nan, spikes))


def test_stopping_early_is_said():
    data = _data()
    with pytest.warns(NotConvergedWarning):
        model = _fitted(data, max_iter=1, tol=0.0)
    assert not model.converged_


@pytest.mark.parametrize("seed", range(12))
def test_odd_data_give_numbers(seed):
    rng = np.random.default_rng(seed)
    n_units, n_bins = rng.integers(1, 6), rng.integers(30, 120)
    spikes = rng.poisson(rng.choice([0.05, 1.0, 300.0], n_units), (n_bins, n_units)).astype(float)
    spikes[-1] += 1
    if seed % 3 == 0 and n_units > 1:
        spikes[:, 1] = spikes[:, 0]
    model = SwitchingPopulationGLM(
        4,
        3,
        link=["softplus", "exp", "sigmoid"][seed % 3],
        prior=["none", "gaussian", "one-hot"][seed // 3 % 3],
        n_init=1,
        max_iter=20,
        random_state=seed,
    ).fit(spikes)
    for name in ("weights_", "intercept_", "transition_matrix_", "objective_trace_"):
        assert np.isfinite(getattr(model, name)).all()
    np.testing.assert_allclose(model.predict_proba(spikes).sum(axis=1), 1.0, atol=1e-12)


@pytest.mark.parametrize("prior", ["none", "one-hot"])
def test_states_come_in_falling_order_of_occupancy(prior):
    rng = np.random.default_rng(0)
    states = np.repeat(np.tile([0, 1, 2], 20), np.tile([5, 25, 60], 20))
    rates = np.array([[3.0, 0.2, 0.2], [0.2, 3.0, 0.2], [0.2, 0.2, 3.0]])
    spikes = rng.poisson(rates[states])
    model = SwitchingPopulationGLM(3, prior=prior, n_init=3, random_state=0).fit(spikes)
    assert (np.diff(model.occupancy_) <= 0).all()
    np.testing.assert_allclose(model.occupancy_, model.predict_proba(spikes).mean(axis=0))
    np.testing.assert_allclose(model.occupancy_, [60 / 90, 25 / 90, 5 / 90], atol=0.03)
    assert model.intercept_.argmax(axis=1).tolist() == [2, 1, 0]


def test_published_settings_are_those_of_the_paper_and_may_be_replaced():
    model = SwitchingPopulationGLM.published(n_states=2, max_iter=2)
    assert (model.prior, model.ridge, model.n_states) == ("relaxed-one-hot", 0.0, 2)
    data = _data(n_sessions=1)
    assert model.fit(data.spikes).connection_probability_.shape == (4, 4, 3)
    with pytest.raises(TypeError, match="n_state"):
        SwitchingPopulationGLM.published(n_state=2)
