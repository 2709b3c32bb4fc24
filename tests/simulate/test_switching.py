"""Simulated choices."""

import numpy as np
import pytest

from neuroml.simulate import make_switching_choices, make_switching_cohort


def test_same_seed_same_choices():
    one, two, other = (make_switching_choices(3, 50, random_state=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(one.y, two.y)
    assert (one.y != other.y).any()


def test_choices_follow_the_strategies():
    data = make_switching_choices(40, 500, 5, random_state=0)
    log_odds = (data.X[:, None] * data.weights[data.states]).sum(axis=2)
    log_odds = log_odds[:, 0] + data.intercept[data.states, 0]
    share = 1 / (1 + np.exp(-log_odds))
    z = (data.y - share).sum() / np.sqrt((share * (1 - share)).sum())
    assert abs(z) < 4


def test_history_starts_anew_in_every_session():
    data = make_switching_choices(4, 30, random_state=0)
    first = np.flatnonzero(np.diff(data.sessions, prepend=-1))
    later = np.setdiff1d(np.arange(120), first)
    assert not data.X[first, 1:].any()
    np.testing.assert_array_equal(data.X[later, 1], 2 * data.y[later - 1] - 1)
    np.testing.assert_array_equal(data.X[later, 2], data.X[later - 1, 0])


def test_states_stay_as_long_as_asked():
    data = make_switching_choices(40, 500, 3, stay=0.9, random_state=0)
    same = (np.diff(data.states) == 0)[np.diff(data.sessions) == 0].mean()
    assert same == pytest.approx(0.9, abs=4 * np.sqrt(0.09 / 20_000))


def test_says_how_many_strategies_there_are():
    with pytest.raises(ValueError, match="from 1 to 5, not 6"):
        make_switching_choices(n_states=6)


def test_a_cohort_without_deviations_is_subjects_that_are_alike():
    data = make_switching_cohort(3, 2, 40, 2, deviation=0.0, random_state=0)
    assert (data.subject_weights == data.weights).all()
    assert (data.subject_intercept == data.intercept).all()
    assert data.X.shape == (240, 3)
    assert np.unique(data.sessions).tolist() == list(range(6))
    assert data.groups[::80].tolist() == ["s00", "s01", "s02"]


def test_deviations_of_a_cohort_are_those_asked_for():
    data = make_switching_cohort(400, 1, 2, 2, deviation=(0.8, 0.0, 0.3), random_state=0)
    weights = (data.subject_weights - data.weights)[:, :, 0]
    # 800 normal numbers: the standard error of a standard deviation is 2.5 %
    assert weights[:, :, 0].std() == pytest.approx(0.8, rel=0.1)
    assert not weights[:, :, 1:].any()
    assert (data.subject_intercept - data.intercept).std() == pytest.approx(0.3, rel=0.1)


@pytest.mark.parametrize("deviation", [-1.0, (1.0, 2.0), np.nan, np.inf])
def test_deviations_that_are_none_are_refused(deviation):
    with pytest.raises(ValueError, match="deviation is one number or three"):
        make_switching_cohort(2, deviation=deviation)
