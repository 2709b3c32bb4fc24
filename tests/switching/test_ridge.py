"""The ridge that a population model chooses by held-out spikes, inside its fit."""

from itertools import pairwise

import numpy as np
import pytest

from neuroml.simulate import make_switching_spikes
from neuroml.switching import SwitchingPopulationGLM
from neuroml.switching._ridge import RIDGES, _held_out, take_bins

pytestmark = pytest.mark.filterwarnings("ignore::neuroml.exceptions.NotConvergedWarning")


def fitted(spikes, sessions=None, **settings):
    settings = {"n_states": 2, "n_init": 1, "max_iter": 30, "random_state": 0, **settings}
    return SwitchingPopulationGLM(**settings).fit(spikes, sessions=sessions)


@pytest.mark.parametrize("n_sessions", [5, 12])
def test_every_fifth_session_is_held_out(n_sessions):
    sessions = np.repeat(np.arange(n_sessions), 7)
    held_out = _held_out(np.arange(n_sessions + 1) * 7)
    np.testing.assert_array_equal(np.unique(sessions[held_out]), np.arange(2, n_sessions, 5))
    np.testing.assert_array_equal(held_out, np.isin(sessions, sessions[held_out]))


@pytest.mark.parametrize("lengths", [[1000], [300, 600], [2], [3], [7, 2, 2]])
def test_blocks_are_held_out_of_few_sessions(lengths):
    """A fifth of each, wherever a session has bins enough, and never nothing or everything."""
    starts = np.append(0, np.cumsum(lengths))
    held_out = _held_out(starts)
    assert 0 < held_out.sum() < len(held_out)
    for first, last in pairwise(starts):
        if last - first >= 10:
            assert held_out[first:last].mean() == pytest.approx(0.2)


def test_parts_keep_histories_and_do_not_join_what_is_apart():
    spikes = np.random.default_rng(0).poisson(0.5, (60, 3)).astype(float)
    sessions = np.repeat([0, 1], 30)
    model = SwitchingPopulationGLM(2)
    problem = model._problem(spikes, sessions)
    held_out = _held_out(problem.starts)
    train, test = take_bins(problem, ~held_out), take_bins(problem, held_out)
    for part, kept in ((train, ~held_out), (test, held_out)):
        np.testing.assert_array_equal(part.design.counts, problem.design.counts[:, kept])
        np.testing.assert_array_equal(part.design.histories, problem.design.histories[:, kept])
        rows = np.flatnonzero(kept)
        steps = np.flatnonzero((np.diff(rows) > 1) | (np.diff(sessions[rows]) != 0)) + 1
        np.testing.assert_array_equal(part.starts, [0, *steps, len(rows)])


def test_noise_gets_a_stronger_ridge_than_couplings():
    """The best precision is 1 / variance of the weights: infinite without couplings, near 1 here."""
    noise = np.random.default_rng(0).poisson(0.3, (300, 20)).astype(float)
    coupled = make_switching_spikes(
        6, 1, n_sessions=5, n_bins=600, excitatory=0.3, strength=2.0, random_state=0
    )
    of_noise = fitted(noise, n_states=1).ridge_
    of_couplings = fitted(coupled.spikes, coupled.sessions, n_states=1, link="sigmoid").ridge_
    assert of_noise in RIDGES and of_couplings in RIDGES
    assert of_noise >= 100 > 10 >= of_couplings


@pytest.mark.parametrize("n_states", [2, 6])
def test_many_units_and_few_bins_are_no_worse_than_a_constant_rate(n_states):
    """Of 30 independent units in 300 bins: below it by a tenth of a bit at most, and without it far."""
    spikes = np.random.default_rng(1).poisson(0.2, (600, 30)).astype(float)
    train, test = spikes[:300], spikes[300:]
    rates = (train.sum(axis=0) + 0.5) / len(train)
    bits = []
    for ridge in (0.01, "auto"):
        model = fitted(train, n_states=n_states, ridge=ridge)
        plain = np.zeros((n_states, 30))
        score = model.score(test)
        model.weights_, model.intercept_ = np.zeros_like(model.weights_), plain
        model.intercept_ += np.log(np.expm1(rates))
        bits.append((score - model.score(test)) / test.sum(axis=1).mean() / np.log(2))
    assert bits[0] < -0.5 < -0.1 < bits[1], bits


def test_a_given_ridge_is_kept():
    spikes = np.random.default_rng(0).poisson(0.5, (100, 3)).astype(float)
    assert fitted(spikes, ridge=3).ridge_ == 3.0
    assert SwitchingPopulationGLM.published().ridge == 0.0
    with pytest.raises(ValueError, match="ridge"):
        fitted(spikes, ridge="evidence")


@pytest.mark.parametrize("prior", ["gaussian", "one-hot"])
def test_the_choice_does_not_depend_on_processes(prior):
    data = make_switching_spikes(4, 2, n_sessions=3, n_bins=200, random_state=0)
    one, two = (
        fitted(data.spikes, data.sessions, prior=prior, link="sigmoid", n_jobs=n) for n in (1, 2)
    )
    assert one.ridge_ == two.ridge_
    np.testing.assert_allclose(one.weights_, two.weights_, rtol=1e-4, atol=1e-6)
