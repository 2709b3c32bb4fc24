import numpy as np
import pytest
import sklearn
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neuroml.data import SessionKFold
from neuroml.exceptions import DataError


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    sessions = np.repeat(["a", "b", "c", "d", "e"], [10, 20, 15, 10, 5])
    X = rng.normal(size=(60, 3))
    return X, X @ [1.0, 2.0, 3.0] + rng.normal(size=60), sessions


def test_sessions_stay_whole_and_each_is_tested_once(data):
    X, y, sessions = data
    tested = []
    for train, test in SessionKFold(3).split(X, y, sessions=sessions):
        assert not set(sessions[train]) & set(sessions[test])
        assert len(train) + len(test) == 60
        tested.extend(test)
    assert sorted(tested) == list(range(60))


def test_folds_are_those_of_group_k_fold(data):
    X, _, sessions = data
    ours = SessionKFold(3, shuffle=True, random_state=5).split(X, sessions=sessions)
    theirs = GroupKFold(3, shuffle=True, random_state=5).split(X, groups=sessions)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one[1], other[1])


@pytest.fixture
def scores(data):
    X, y, sessions = data
    return cross_val_score(Ridge(), X, y, cv=GroupKFold(3), groups=sessions)


def test_without_metadata_routing(data, scores):
    X, y, sessions = data
    ours = cross_val_score(Ridge(), X, y, cv=SessionKFold(3), groups=sessions)
    np.testing.assert_array_equal(ours, scores)


def test_with_metadata_routing(data, scores):
    X, y, sessions = data
    with sklearn.config_context(enable_metadata_routing=True):
        options = {"cv": SessionKFold(3), "params": {"sessions": sessions}}
        np.testing.assert_array_equal(cross_val_score(Ridge(), X, y, **options), scores)
        pipeline = make_pipeline(StandardScaler(), Ridge())
        assert len(cross_val_score(pipeline, X, y, **options)) == 3
        search = GridSearchCV(pipeline, {"ridge__alpha": [0.1, 1]}, cv=SessionKFold(3))
        assert search.fit(X, y, sessions=sessions).best_score_ < 1


def test_routing_without_sessions_is_an_error_not_a_guess(data):
    X, y, _ = data
    with (
        sklearn.config_context(enable_metadata_routing=True),
        pytest.raises(DataError, match="sessions are not given"),
    ):
        cross_val_score(Ridge(), X, y, cv=SessionKFold(3))


@pytest.mark.parametrize(
    ("sessions", "message"),
    [
        (None, "sessions are not given"),
        (np.zeros(59), r"expected 60 labels; found shape \(59,\)"),
        (np.repeat([0, 1], 30), "fewer sessions than folds; expected at least 3 sessions; found 2"),
    ],
)
def test_refusals(data, sessions, message):
    with pytest.raises(DataError, match=message):
        next(SessionKFold(3).split(data[0], sessions=sessions))


def test_representation():
    assert SessionKFold(4).get_n_splits() == 4
    assert repr(SessionKFold(4)) == "SessionKFold(n_splits=4, random_state=None, shuffle=False)"
