"""Simulated populations."""

import numpy as np
import pytest

from neuroml.exceptions import DataError
from neuroml.simulate import make_switching_spikes
from neuroml.simulate.switching_spikes import draw_states


def test_same_seed_same_spikes():
    one, two, other = (
        make_switching_spikes(5, 2, n_sessions=2, n_bins=50, random_state=s) for s in (0, 0, 1)
    )
    np.testing.assert_array_equal(one.spikes, two.spikes)
    assert (one.spikes != other.spikes).any()


def test_counts_have_the_stated_rate():
    data = make_switching_spikes(3, 2, connected=1e-12, n_bins=2000, n_sessions=4, random_state=0)
    rates = 1 / (1 + np.exp(-data.intercept))
    error = np.sqrt(rates / len(data.spikes))
    assert (np.abs(data.spikes.mean(axis=0) - rates) < 5 * error).all()


def test_connections_are_as_dense_and_strong_as_asked():
    data = make_switching_spikes(60, 5, n_sessions=1, n_bins=2, random_state=0)
    signs = np.sign(data.weights)
    assert (signs != 0).mean() == pytest.approx(0.2, abs=0.02)
    assert (signs > 0).mean() == pytest.approx(0.1, abs=0.02)
    assert np.abs(data.weights).max() <= np.log(4.0)


def test_no_concentration_means_one_sign_for_all_states():
    data = make_switching_spikes(
        20, 4, sign_concentration=0.0, n_sessions=1, n_bins=2, random_state=0
    )
    signs = np.sign(data.weights)
    assert (signs == signs[0]).all()
    assert {-1, 0, 1} == set(signs.ravel())
    loose = make_switching_spikes(20, 4, n_sessions=1, n_bins=2, random_state=0)
    assert (np.sign(loose.weights) != np.sign(loose.weights[0])).any()


def test_first_states_and_dwell_times_follow_the_chain():
    transition = np.array([[0.9, 0.1], [0.3, 0.7]])
    rng = np.random.default_rng(0)
    first = [draw_states(transition, 1, rng)[0] for _ in range(4000)]
    assert np.mean(first) == pytest.approx(0.5, abs=0.04)
    path = draw_states(transition, 40_000, rng)
    assert np.mean(path) == pytest.approx(0.25, abs=0.02)
    assert np.mean(path[1:][path[:-1] == 0]) == pytest.approx(0.1, abs=0.01)


def test_exploding_rates_are_refused():
    with pytest.raises(DataError, match="explode"):
        make_switching_spikes(20, 2, link="exp", strength=30.0, connected=0.9, random_state=0)
