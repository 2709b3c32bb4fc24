import numpy as np
import pytest
from sklearn.base import BaseEstimator

from neuroml._core.samples import check_samples
from neuroml._core.validation import check_sessions, session_slices
from neuroml.exceptions import DataError


def check_sequences(estimator, X, sessions=None, **options):
    found = check_samples(estimator, X, sessions=sessions, **options)
    return found.X, found.sessions


def test_labels_become_integers_in_order_of_appearance():
    assert check_sessions(["b", "b", "a", "c", "c"], 5).tolist() == [0, 0, 1, 2, 2]
    assert check_sessions(None, 3).tolist() == [0, 0, 0]


def test_slices_cover_every_sample_once():
    assert session_slices(np.array([0, 0, 1, 2, 2])) == [slice(0, 2), slice(2, 3), slice(3, 5)]


def test_sessions_must_be_contiguous_and_of_the_right_length():
    with pytest.raises(DataError, match="not contiguous.*3 stretches for 2 labels"):
        check_sessions([0, 1, 0], 3)
    with pytest.raises(DataError, match=r"one label for each of 3 samples; found shape \(2,\)"):
        check_sessions([0, 1], 3)


def test_a_list_of_arrays_is_the_same_as_an_array_with_sessions():
    parts = [np.ones((3, 2)), np.zeros((2, 2))]
    X, sessions = check_sequences(BaseEstimator(), parts, reset=True)
    assert X.shape == (5, 2) and sessions.tolist() == [0, 0, 0, 1, 1]
    with pytest.raises(DataError, match="sessions were given twice"):
        check_sequences(BaseEstimator(), parts, [0, 0, 0, 1, 1], reset=True)
    with pytest.raises(DataError, match=r"different units.*2 columns in each.*found 1 in X\[1\]"):
        check_sequences(BaseEstimator(), [np.ones((3, 2)), np.ones((3, 1))], reset=True)


def test_finite_policy():
    X = np.array([[1.0, np.nan]])
    with pytest.raises(ValueError, match="NaN"):
        check_sequences(BaseEstimator(), X, reset=True)
    kept, _ = check_sequences(BaseEstimator(), X, reset=True, on_nan="keep")
    assert np.isnan(kept[0, 1])
    with pytest.raises(ValueError, match="infinity"):
        check_sequences(BaseEstimator(), [[np.inf, 1.0]], reset=True, on_nan="keep")


def test_number_of_features_is_remembered():
    estimator = BaseEstimator()
    check_sequences(estimator, np.ones((3, 2)), reset=True)
    with pytest.raises(ValueError, match="expecting 2 features"):
        check_sequences(estimator, np.ones((3, 1)), reset=False)


def test_a_plain_list_of_rows_is_one_array():
    X, sessions = check_sequences(BaseEstimator(), [[1.0, 2.0], [3.0, 4.0]], reset=True)
    assert X.shape == (2, 2) and sessions.tolist() == [0, 0]
