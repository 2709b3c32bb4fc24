import numpy as np
import pandas as pd
import pytest
from registry import TWO_DIMENSIONAL
from sklearn.base import BaseEstimator, clone

from neuroml._core.samples import as_samples, check_samples
from neuroml._core.validation import as_numbers, check_labels, check_sessions, session_slices
from neuroml.connectome import NonnegativeCP, WeightedSBM
from neuroml.data import make_recording
from neuroml.decoding import PrototypeClassifier, RidgeDecoder
from neuroml.dendrites import ActiveDendriteClassifier, KWinnersEncoder, SegmentBank
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


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([1, "1", 2], "mixed kinds.*found number and str"),
        (["a", np.nan, "b"], "missing.*1 of 3"),
        (("a", None, "b"), "missing.*1 of 3"),
        (np.ma.array([1, 1, 2], mask=[False, True, False]), "missing.*1 of 3"),
        (np.ma.array(["a", "b", "c"], mask=[True, True, False]), "missing.*2 of 3"),
        (np.array(["2020-01-01", "NaT", "2020-01-02"], dtype="M8[ns]"), "missing.*1 of 3"),
    ],
)
def test_labels_keep_their_kind_and_their_mask(labels, message):
    with pytest.raises(DataError, match=message):
        check_labels(labels, 3, "groups")


@pytest.mark.parametrize("unit", ["D", "s", "ns"])
def test_dates_name_subjects(unit):
    """NumPy makes numbers of dates in nanoseconds, which no date equals."""
    days = np.repeat(np.array(["2020-01-01", "2020-01-02"], dtype=f"M8[{unit}]"), 10)
    X = np.random.default_rng(0).standard_normal((20, 3))
    model = RidgeDecoder().fit(X, X[:, :2], groups=days)
    assert list(model.n_voxels_) == [pd.Timestamp("2020-01-01"), pd.Timestamp("2020-01-02")]
    alone = model.predict(X[10:], subject=pd.Timestamp("2020-01-02"))
    np.testing.assert_allclose(model.predict(X, groups=days)[10:], alone)


@pytest.mark.parametrize("entry", TWO_DIMENSIONAL, ids=lambda entry: type(entry.estimator).__name__)
@pytest.mark.parametrize(
    "column",
    [
        pd.Series(pd.Timestamp("2020-01-01"), index=range(40)),
        pd.Series(["1.5", "2.5"] * 20, dtype=object),
        pd.Series(["1.5", "2.5"] * 20, dtype="string"),
        pd.Series(["low", "high"] * 20, dtype="category"),
    ],
    ids=["date", "text", "string", "category"],
)
def test_columns_that_are_no_numbers_are_named(entry, column):
    table = pd.DataFrame(np.random.default_rng(0).uniform(size=(40, 40)))
    table = table.rename(columns=str).assign(odd=column).iloc[:, 1:]
    with pytest.raises(DataError, match=r"no numbers.*'odd' \("):
        clone(entry.estimator).fit(table, np.arange(40) % 2)


@pytest.mark.parametrize("entry", TWO_DIMENSIONAL, ids=lambda entry: type(entry.estimator).__name__)
def test_rows_in_another_order_of_names_are_refused(entry):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.uniform(size=(40, 4)), columns=list("abcd"))
    rows = [table.iloc[place] for place in range(40)]
    rows[7] = rows[7][::-1]
    with pytest.raises(DataError, match="the rows have other names"):
        clone(entry.estimator).fit(rows, np.arange(40) % 2)


@pytest.mark.parametrize(
    "estimator",
    [
        ActiveDendriteClassifier(20, n_cells=200, n_active=20),
        KWinnersEncoder(n_cells=50, n_active=5),
        NonnegativeCP(2),
        PrototypeClassifier(),
        SegmentBank(n_synapses=3, threshold=1),
        WeightedSBM(),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
@pytest.mark.parametrize("form", [dict, list], ids=["dict", "list"])
def test_a_model_of_one_array_refuses_several_recordings(estimator, form):
    signal = np.random.default_rng(0).uniform(size=(20, 4))
    recordings = [make_recording(signal, rate_hz=1.0, modality="calcium")] * 2
    X = dict(enumerate(recordings)) if form is dict else recordings
    with pytest.raises(DataError, match="X is not one array.*neuroml.data.stack"):
        estimator.fit(X, np.arange(20) % 2)


def test_a_list_is_read_as_its_rows():
    masked = [np.ma.array([1.0, 2.0], mask=[False, True]), np.array([3.0, 4.0])]
    np.testing.assert_array_equal(as_numbers(masked, "y"), [[1.0, np.nan], [3.0, 4.0]])
    first = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    planes = as_numbers([first, first[["b", "a"]]], "X")
    np.testing.assert_array_equal(planes[0], planes[1])
    with pytest.raises(DataError, match=r"field X\[1\]: the columns have other names"):
        as_numbers([first, first.rename(columns={"a": "z"})], "X")


@pytest.mark.parametrize("part", [np.ones(5), pd.Series(np.ones(5)), None, "file.csv", 3.0])
def test_a_session_that_is_no_table_is_refused_by_its_name(part):
    with pytest.raises(DataError, match=r"field X\['b'\]: a session is not a 2-D array"):
        as_samples({"a": np.ones((5, 2)), "b": part})
