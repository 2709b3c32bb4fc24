"""One array, table or series of labels: masks, names, numbers, labels, columns."""

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from registry import TWO_DIMENSIONAL
from sklearn.base import BaseEstimator, clone

from neuroml._core.recording import make_recording
from neuroml._core.samples import as_samples
from neuroml._core.validation import (
    align_columns,
    as_given,
    as_numbers,
    check_labels,
    check_sessions,
    check_table,
    column_indices,
    names_of,
    one_array,
    session_slices,
)
from neuroml.connectome import NonnegativeCP, WeightedSBM
from neuroml.decoding import PrototypeClassifier, RidgeDecoder
from neuroml.dendrites import ActiveDendriteClassifier, KWinnersEncoder, SegmentBank
from neuroml.exceptions import DataError

VALUES = np.arange(6.0).reshape(3, 2)
MASK = np.array([[True, False], [False, False], [False, True]])
GAPS = np.where(MASK, np.nan, VALUES)


class TestAsGiven:
    @pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.uint8, bool])
    def test_masked_entries_are_nan_whatever_the_type(self, dtype):
        values = VALUES.astype(dtype)
        found = as_given(np.ma.masked_array(values, mask=MASK))
        assert type(found) is np.ndarray
        assert found.dtype == (np.float32 if dtype == np.float32 else np.float64)
        np.testing.assert_array_equal(found, np.where(MASK, np.nan, values.astype(float)))
        whole = as_given(np.ma.masked_array(values))
        assert whole.dtype == dtype
        np.testing.assert_array_equal(whole, values)

    def test_the_fill_value_is_no_data(self):
        given = np.ma.masked_array(VALUES, mask=MASK, fill_value=-99.0)
        np.testing.assert_array_equal(as_given(given), GAPS)

    def test_masks_within_a_list(self):
        rows = [np.ma.masked_array(v, mask=m) for v, m in zip(VALUES, MASK, strict=True)]
        np.testing.assert_array_equal(np.asarray(as_given(rows)), GAPS)
        np.testing.assert_array_equal(as_numbers(as_given([1.0, np.ma.masked]), "y"), [1, np.nan])
        np.testing.assert_array_equal(
            as_numbers(as_given([[1.0, np.ma.masked], [2.0, 3.0]]), "y"), [[1, np.nan], [2, 3]]
        )

    def test_time_comes_first_by_its_name(self):
        given = xr.DataArray(
            VALUES.T, dims=("unit", "time"), coords={"unit": ["a", "b"]}, name="signal"
        )
        pd.testing.assert_frame_equal(as_given(given), pd.DataFrame(VALUES, columns=["a", "b"]))
        np.testing.assert_array_equal(as_given(xr.DataArray(VALUES.T, dims=("x", "time"))), VALUES)
        np.testing.assert_array_equal(as_given(xr.DataArray(VALUES, dims=("x", "y"))), VALUES)

    def test_a_recording_is_the_table_of_its_signal(self):
        recording = make_recording(VALUES, units=["a", "b"], modality="calcium")
        wanted = pd.DataFrame(VALUES, columns=["a", "b"])
        pd.testing.assert_frame_equal(as_given(recording), wanted)
        turned = recording.assign(signal=recording["signal"].transpose("unit", "time"))
        pd.testing.assert_frame_equal(as_given(turned), wanted)
        with pytest.raises(DataError, match=r"not a recording.*\['other'\]"):
            as_given(xr.Dataset({"other": ("x", [1.0])}))

    @pytest.mark.parametrize("kind", ["Int64", "Float64", "boolean", "UInt8"])
    def test_pandas_own_types_have_nan_for_na(self, kind):
        series = pd.Series([1, 0, None], dtype=kind)
        np.testing.assert_array_equal(as_given(series), [1, 0, np.nan])
        table = as_given(pd.DataFrame({"a": series, "b": series}))
        np.testing.assert_array_equal(table, [[1, 1], [0, 0], [np.nan, np.nan]])
        mixed = as_given(pd.DataFrame({"a": series, "b": [1.0, 2.0, 3.0]}))
        np.testing.assert_array_equal(mixed, [[1, 1], [0, 2], [np.nan, 3]])

    def test_tensors(self):
        given = torch.tensor(VALUES, requires_grad=True)
        np.testing.assert_array_equal(as_given(given), VALUES)
        np.testing.assert_array_equal(np.asarray(as_given([given[0], given[1]])), VALUES[:2])

    def test_column_labels(self):
        numbered = pd.DataFrame(VALUES)
        assert names_of(as_given(numbered)) is None
        assert names_of(as_given(pd.DataFrame(VALUES, columns=[7, 3]))) == ["7", "3"]
        assert names_of(as_given(pd.DataFrame(VALUES, columns=["a", 3]))) == ["a", "3"]
        with pytest.raises(DataError, match="same name.*'1'"):
            as_given(pd.DataFrame(VALUES, columns=[1, "1"]))
        with pytest.raises(DataError, match="same name.*'a'"):
            as_given(pd.DataFrame(VALUES, columns=["a", "a"]))


class TestNames:
    def test_columns_come_into_the_order_of_the_names(self):
        table = pd.DataFrame(VALUES, columns=["a", "b"])
        found = align_columns(table[["b", "a"]], ["a", "b"])
        pd.testing.assert_frame_equal(found, table)
        assert align_columns(VALUES, None) is VALUES

    def test_other_names_and_names_on_one_side_are_refused(self):
        table = pd.DataFrame(VALUES, columns=["a", "b"])
        with pytest.raises(DataError, match="unknown 'b', missing 'c'"):
            align_columns(table, ["a", "c"])
        with pytest.raises(DataError, match="unknown 'b'"):
            align_columns(table, ["a"])
        for given, names in ((VALUES, ["a", "b"]), (table, None)):
            with pytest.raises(DataError, match="some columns have names and others have not"):
                align_columns(given, names)

    def test_names_are_those_of_the_last_fit(self):
        model = BaseEstimator()
        check_table(model, pd.DataFrame(VALUES, columns=["a", "b"]))
        assert model.feature_names_in_.tolist() == ["a", "b"]
        check_table(model, pd.DataFrame(VALUES, columns=["c", "d"]))
        assert model.feature_names_in_.tolist() == ["c", "d"]
        check_table(model, VALUES)
        assert not hasattr(model, "feature_names_in_")


class TestNumbers:
    @pytest.mark.parametrize(
        "given",
        [
            ["left", "right"],
            np.array(["left", "right"]),
            np.array(["1", "2"]),
            np.array([1.0, "2"], dtype=object),
            pd.Series(["left", "right"], dtype="category"),
            np.array(["2020-01-01"], dtype="datetime64[D]"),
            [[1.0, 2.0], [3.0]],
            [{}, 1.0],
            "12",
        ],
    )
    def test_what_is_no_number_is_refused(self, given):
        with pytest.raises(DataError, match="y is not an array of numbers.*LabelEncoder"):
            as_numbers(given, "y")

    def test_complex_numbers(self):
        with pytest.raises(DataError, match="Complex data not supported.*the absolute value"):
            as_numbers([1j], "y")

    def test_none_is_missing(self):
        np.testing.assert_array_equal(as_numbers([1, None], "y"), [1, np.nan])

    @pytest.mark.parametrize(
        "given",
        [
            [VALUES, VALUES],
            {"a": VALUES},
            [VALUES, None],
            [make_recording(VALUES, modality="calcium")],
            np.array([VALUES, VALUES[:2]], dtype=object),
            np.array([VALUES[0], VALUES[0, :1]], dtype=object),
        ],
    )
    def test_several_arrays_are_not_one(self, given):
        with pytest.raises(DataError, match="X holds several arrays where one is due.*np.stack"):
            one_array(given)

    def test_text_and_dates_in_a_table(self):
        dates = pd.to_datetime(["2020-01-01"] * 3)
        for column in (["1", "2", "3"], dates):
            with pytest.raises(DataError, match="not an array of numbers"):
                one_array(pd.DataFrame(VALUES).assign(extra=column))


class TestLabels:
    def test_labels_become_integers_in_order_of_appearance(self):
        assert check_sessions(["b", "b", "a", "c", "c"], 5).tolist() == [0, 0, 1, 2, 2]
        assert check_sessions(None, 3).tolist() == [0, 0, 0]

    def test_slices_cover_every_sample_once(self):
        assert session_slices(np.array([0, 0, 1, 2, 2])) == [slice(0, 2), slice(2, 3), slice(3, 5)]

    def test_sessions_must_be_contiguous(self):
        with pytest.raises(DataError, match="not contiguous.*3 stretches for 2 labels"):
            check_sessions([0, 1, 0], 3)

    @pytest.mark.parametrize("labels", [[0, 1], [[0], [0], [0]], 0, [[0], [0, 1], [0]]])
    def test_there_is_one_label_for_each_sample(self, labels):
        with pytest.raises(DataError, match="one label for each of 3 samples|mixed kinds|not"):
            check_labels(labels, 3, "sessions")

    def test_lengths_are_no_labels(self):
        with pytest.raises(DataError, match=r"look like lengths: use np\.repeat"):
            check_labels([2, 3], 5, "sessions")

    @pytest.mark.parametrize(
        "labels",
        [
            [1.0, np.nan],
            ["a", None],
            ["a", np.nan],
            [1, None],
            np.array([1.0, np.nan]),
            np.array(["a", None], dtype=object),
            np.ma.masked_array([1, 2], mask=[False, True]),
            pd.Series([1, None], dtype="Int64"),
            pd.Series(["a", None], dtype="category"),
            pd.Series(["a", None], dtype="string"),
            np.array(["2020-01-01", "NaT"], dtype="datetime64[D]"),
        ],
    )
    def test_missing_labels_are_refused(self, labels):
        with pytest.raises(DataError, match="some groups are missing.*1 of 2.*Leave those"):
            check_labels(labels, 2, "groups")

    @pytest.mark.parametrize("labels", [["a", 1], [1, "1"], np.array(["a", 1.5], dtype=object)])
    def test_kinds_are_not_mixed(self, labels):
        with pytest.raises(DataError, match="mixed kinds.*number and str"):
            check_labels(labels, 2, "groups")

    @pytest.mark.parametrize(
        "labels",
        [
            ["b", "b", "a"],
            (2, 2, 1),
            pd.Series([2, 2, 1], index=[9, 8, 7]),
            pd.Series(["b", "b", "a"], dtype="category"),
            pd.Series([2, 2, 1], dtype="Int64"),
            np.array(["2020-01-02"] * 2 + ["2020-01-01"], dtype="datetime64[D]"),
            torch.tensor([2, 2, 1]),
            np.ma.masked_array([2, 2, 1]),
        ],
    )
    def test_labels_of_any_kind(self, labels):
        assert check_sessions(labels, 3).tolist() == [0, 0, 1]


class TestColumns:
    NAMES = ("a", "b", "c")

    @pytest.mark.parametrize(
        ("selected", "found"),
        [
            ([0, 2], [0, 2]),
            ([-1, 0], [2, 0]),
            ([True, False, True], [0, 2]),
            (np.array([False, False, False]), []),
            (["c", "a"], [2, 0]),
            ("b", [1]),
            (1, [1]),
            ([], []),
            (np.array(["b"], dtype=object), [1]),
        ],
    )
    def test_indices_names_and_masks(self, selected, found):
        assert column_indices(selected, 3, self.NAMES, field="columns").tolist() == found

    @pytest.mark.parametrize(
        "selected",
        [[0.9], [1.0], [3], [-4], [0, 0], [0, -3], [True, False], ["d"], ["a", "a"], [[0]], [None]],
    )
    def test_everything_else_is_refused(self, selected):
        with pytest.raises(DataError, match="field columns.*not columns of X.*mask of 3"):
            column_indices(selected, 3, self.NAMES, field="columns")

    def test_names_where_there_are_none(self):
        with pytest.raises(DataError, match="not columns of X"):
            column_indices(["a"], 3, None, field="columns")


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
    with pytest.raises(DataError, match=r"X\['odd'\] is not an array of numbers"):
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
    with pytest.raises(DataError, match="X holds several arrays where one is due"):
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
