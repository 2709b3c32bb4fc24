"""Choice of a model by sessions."""

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neuroml.exceptions import DataError
from neuroml.simulate import make_switching_choices
from neuroml.switching import (
    SwitchingGLM,
    select_by_sessions,
)


def test_number_of_states_is_found():
    data = make_switching_choices(10, 300, 2, random_state=0)
    search = select_by_sessions(
        SwitchingGLM(n_init=2, random_state=0),
        {"n_states": [1, 2, 3]},
        data.X,
        data.y,
        sessions=data.sessions,
        cv=5,
    )
    assert search.best_params_ == {"n_states": 2}
    assert search.best_estimator_.weights_.shape == (2, 1, 3)


def test_one_state_is_enough_for_data_of_one_state():
    chosen = []
    for seed in range(5):
        data = make_switching_choices(8, 150, 1, random_state=seed)
        search = select_by_sessions(
            SwitchingGLM(n_init=1, random_state=0, max_iter=1000),
            {"n_states": [1, 2]},
            data.X,
            data.y,
            sessions=data.sessions,
            cv=4,
        )
        chosen.append(search.best_params_["n_states"])
    assert chosen.count(1) >= 4


def test_a_class_that_one_session_alone_has_stops_the_selection():
    data = make_switching_choices(4, 50, 2, random_state=0)
    y = data.y.astype(float)
    y[:3] = 2.0
    model = SwitchingGLM(1, "categorical", n_init=1, random_state=0)
    with pytest.raises(DataError, match="y is not made of class labels"):
        select_by_sessions(model, {"n_states": [1]}, data.X, y, sessions=data.sessions, cv=4)


@pytest.fixture(scope="module")
def choices():
    return make_switching_choices(4, 60, 2, random_state=0)


def _quick(**settings):
    return SwitchingGLM(1, n_init=1, random_state=0, **settings)


def _scores(search):
    return [search.cv_results_[f"split{k}_test_score"][0] for k in range(search.n_splits_)]


def test_lists_and_dicts_are_chosen_by_as_their_array_is(choices):
    X, y = (np.split(one, 4) for one in (choices.X, choices.y))
    subjects = np.repeat(["a", "b"], 120)
    expected = select_by_sessions(
        _quick(), {"ridge": [0.01]}, choices.X, choices.y, sessions=choices.sessions,
        groups=subjects, cv=4,
    )  # fmt: skip
    as_dict = [{"a": one[:2], "b": one[2:]} for one in (X, y)]
    for given, settings in (((X, y), {"groups": subjects}), (as_dict, {})):
        found = select_by_sessions(_quick(), {"ridge": [0.01]}, *given, cv=4, **settings)
        np.testing.assert_allclose(_scores(found), _scores(expected), rtol=1e-12)
        np.testing.assert_array_equal(found.best_estimator_.subject_occupancy_.index, ["a", "b"])


def test_a_pipeline_hands_on_sessions_and_subjects(choices):
    steps = make_pipeline(StandardScaler(), _quick())
    subjects = np.repeat(["a", "b"], 120)
    found = select_by_sessions(
        steps, {"switchingglm__ridge": [0.01, 1.0]}, choices.X, choices.y,
        sessions=choices.sessions, groups=subjects, cv=4,
    )  # fmt: skip
    scores = []
    for session in (3, 2, 1, 0):  # the order in which sessions of one length are dealt to folds
        train, test = choices.sessions != session, choices.sessions == session
        scaler = StandardScaler().fit(choices.X[train])
        model = _quick(ridge=0.01).fit(
            scaler.transform(choices.X[train]), choices.y[train], sessions=choices.sessions[train]
        )
        scores.append(model.score(scaler.transform(choices.X[test]), choices.y[test]))
    np.testing.assert_allclose(sorted(_scores(found)), sorted(scores), rtol=1e-9)
    assert list(found.best_estimator_[-1].subject_occupancy_.index) == ["a", "b"]


def test_one_session_is_cut_into_blocks_and_fitted_whole(choices):
    model = SwitchingGLM(2, n_init=1, random_state=0, stickiness=5.0)
    found = select_by_sessions(model, {"ridge": [0.1]}, choices.X, choices.y, cv=4)
    blocks = select_by_sessions(
        model, {"ridge": [0.1]}, choices.X, choices.y, sessions=np.repeat(range(4), 60), cv=4
    )
    np.testing.assert_array_equal(_scores(found), _scores(blocks))
    whole = model.set_params(ridge=0.1).fit(choices.X, choices.y)
    np.testing.assert_array_equal(found.best_estimator_.weights_, whole.weights_)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sessions": None, "cv": 500}, "so many blocks.*from 2 to 240.*Pass sessions="),
        ({"cv": 5}, "fewer sessions than folds"),
        ({"X": None}, "column of zeros"),
        ({"groups": ["a"] * 3}, "groups do not match"),
    ],
)
def test_what_cannot_be_split_is_refused(choices, change, message):
    given = {"X": choices.X, "y": choices.y, "sessions": choices.sessions, "cv": 4} | change
    with pytest.raises(DataError, match=message):
        select_by_sessions(_quick(), {"ridge": [0.1]}, **given)
