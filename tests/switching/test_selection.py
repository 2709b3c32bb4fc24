"""Choice of a model by sessions."""

import numpy as np
import pytest

from neuroml.exceptions import DataError
from neuroml.simulate import make_switching_choices
from neuroml.switching import (
    SwitchingGLM,
    one_standard_error,
    select_by_sessions,
)


def test_one_standard_error_takes_the_first_within_reach():
    scores = np.array([[0.0, 0.0, 0.0], [0.9, 1.1, 1.0], [0.85, 1.25, 1.02]])
    results = {f"split{i}_test_score": scores[:, i] for i in range(3)}
    results["mean_test_score"], results["std_test_score"] = scores.mean(1), scores.std(1)
    assert one_standard_error(results) == 1
    results["std_test_score"] = np.zeros(3)
    assert one_standard_error(results) == 2


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


def results_of(folds):
    """As GridSearchCV keeps them, of scores (n_candidates, n_folds)."""
    kept = {f"split{i}_test_score": scores for i, scores in enumerate(folds.T)}
    with np.errstate(invalid="ignore"):
        mean, deviation = folds.mean(axis=1), folds.std(axis=1)
    return kept | {"mean_test_score": mean, "std_test_score": deviation}


@pytest.mark.parametrize("bad", [np.nan, -np.inf, np.inf])
@pytest.mark.parametrize("where", [(0, 0), (1, 2), (3, 1)])
def test_a_candidate_without_a_score_is_named_and_not_compared(where, bad):
    folds = np.array([[-5.0, -5.1, -5.0], [-1.0, -1.1, -1.2], [-1.0, -1.2, -1.1], [-3, -3, -2.9]])
    results = results_of(folds)
    assert one_standard_error(results) == 1
    folds[where] = bad
    results = results_of(folds) | {"params": [{"n_states": k + 1} for k in range(4)]}
    named = rf"1 without: \{{'n_states': {where[0] + 1}\}} in folds \[{where[1]}\]"
    with pytest.raises(DataError, match=named):
        one_standard_error(results)


def test_one_fold_has_no_standard_error():
    with pytest.raises(DataError, match="needs folds"):
        one_standard_error(results_of(np.array([[1.0], [2.0]])))


def test_a_class_that_one_session_alone_has_stops_the_selection():
    data = make_switching_choices(4, 50, 2, random_state=0)
    y = data.y.astype(float)
    y[:3] = 2.0
    model = SwitchingGLM(1, "categorical", n_init=1, random_state=0)
    with pytest.raises(DataError, match="y is not made of class labels"):
        select_by_sessions(model, {"n_states": [1]}, data.X, y, sessions=data.sessions, cv=4)
