"""Choice of a model by sessions."""

import pytest

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
