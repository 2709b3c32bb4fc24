import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from neuroml.data import load_dataset, stack


@pytest.fixture(scope="module")
def rat():
    return load_dataset("psytrack_rat").recordings[0]


def test_days_are_segments_and_trials_the_time(rat):
    assert rat.attrs["time_axis"] == "trials"
    assert rat.signal.shape == (20_000, 1)
    days = np.bincount(rat.segment.values)
    assert len(days) == 80
    assert days[:5].tolist() == [199, 228, 377, 344, 400]


def test_codes(rat):
    columns = rat.covariates.to_dataset("feature")
    choice = rat.signal.values[:, 0]
    assert set(choice) == set(columns["answer"].values) == {0.0, 1.0}
    assert np.array_equal(columns["answer"], columns["s1"] > columns["s2"])
    assert np.array_equal(columns["correct"], columns["answer"].values == choice)
    assert columns["correct"].mean() == pytest.approx(0.6445)


def test_history_is_that_of_the_trial_before(rat):
    columns = rat.covariates.to_dataset("feature")
    now = {
        "previous_choice": 2 * rat.signal.values[:, 0] - 1,
        "previous_answer": 2 * columns["answer"].values - 1,
        "previous_correct": 2 * columns["correct"].values - 1,
        "previous_stimulus": (columns["s1"].values + columns["s2"].values) / 2,
    }
    known = columns["previous_choice"].values[1:] != 0
    assert known.mean() == pytest.approx(0.895, abs=0.001)
    for name, value in now.items():
        assert np.array_equal(columns[name].values[1:][known], value[:-1][known]), name
        assert (columns[name].values[1:][~known] == 0).all()
    starts = np.flatnonzero(np.diff(rat.segment.values)) + 1
    assert not known[starts - 1].any()


def test_choices_depend_on_both_stimuli(rat):
    arrays = stack([rat], target="choice", inputs=["s1", "s2"])
    assert arrays.units == ["s1", "s2"]
    assert len(set(arrays.sessions)) == 80
    early, late = arrays.sessions < 40, arrays.sessions >= 40
    model = LogisticRegression().fit(arrays.X[early], arrays.y[early])
    assert model.coef_[0, 0] > 0.3
    assert model.coef_[0, 1] < -0.3
    assert model.score(arrays.X[late], arrays.y[late]) > 0.65
