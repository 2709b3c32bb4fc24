import numpy as np
import pytest
import sklearn
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neuroml.data import BlockedKFold, LeaveOneSubjectOut, SessionKFold
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


@pytest.mark.parametrize("gap", [0, 3])
@pytest.mark.parametrize("lengths", [[50], [23, 40, 31]])
def test_blocks_partition_time_and_keep_the_gap(lengths, gap):
    sessions = np.repeat(np.arange(len(lengths)), lengths)
    tested = []
    for train, test in BlockedKFold(4, gap=gap).split(sessions, sessions=sessions):
        tested.append(test)
        apart = np.abs(train[:, None] - test)
        same = sessions[train][:, None] == sessions[test]
        assert apart[same].min() == gap + 1  # neither closer nor wasteful
        for session in range(len(lengths)):
            own = test[sessions[test] == session]
            assert np.array_equal(own, np.arange(own[0], own[-1] + 1))
    assert np.array_equal(np.sort(np.concatenate(tested)), np.arange(sum(lengths)))


def test_blocks_in_scikit_learn():
    X = np.random.default_rng(0).normal(size=(40, 2))
    sessions = np.repeat(["b", "a"], 20)
    with sklearn.config_context(enable_metadata_routing=True):
        found = cross_val_score(
            LinearRegression(), X, X[:, 0], cv=BlockedKFold(4), params={"sessions": sessions}
        )
    assert found.tolist() == pytest.approx([1.0] * 4)
    assert cross_val_score(LinearRegression(), X, X[:, 0], cv=BlockedKFold(2)).shape == (2,)


def test_blocks_that_cannot_be():
    with pytest.raises(DataError, match="fewer samples than there are folds"):
        next(BlockedKFold(5).split(np.zeros(8), sessions=[0] * 5 + [1] * 3))
    with pytest.raises(DataError, match="leaves nothing to train on"):
        next(BlockedKFold(2, gap=5).split(np.zeros(10)))
    with pytest.raises(DataError, match="these are no folds"):
        next(BlockedKFold(1).split(np.zeros(10)))


def test_subjects_are_left_out_whole():
    subjects = np.array(["b", "a", "b", "c", "a"])
    folds = list(LeaveOneSubjectOut().split(np.zeros(5), groups=subjects))
    assert [test.tolist() for _, test in folds] == [[1, 4], [0, 2], [3]]
    assert all(len(train) + len(test) == 5 for train, test in folds)
    assert LeaveOneSubjectOut().get_n_splits(groups=subjects) == 3
    with sklearn.config_context(enable_metadata_routing=True):
        X = np.random.default_rng(0).normal(size=(60, 2))
        found = cross_val_score(
            LinearRegression(),
            X,
            X[:, 0],
            cv=LeaveOneSubjectOut(),
            params={"groups": np.repeat([3, 1, 2], 20)},
        )
    assert len(found) == 3
    with pytest.raises(DataError, match="only one subject"):
        next(LeaveOneSubjectOut().split(np.zeros(5), groups=[1] * 5))
    with pytest.raises(DataError, match="subjects are not given"):
        next(LeaveOneSubjectOut().split(np.zeros(5)))
