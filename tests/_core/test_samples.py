"""Sessions that share their units, in all the forms in which they are given."""

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import dok_array, dok_matrix
from sklearn.base import BaseEstimator

from neuroml._core.recording import make_recording
from neuroml._core.samples import as_samples, check_samples, parts_of
from neuroml.celltypes import ResponseModel
from neuroml.exceptions import DataError
from neuroml.switching import SwitchingGLM

RNG = np.random.default_rng(0)
FIRST, SECOND = np.arange(6.0).reshape(3, 2), np.arange(4.0).reshape(2, 2) + 10
BOTH = np.concatenate([FIRST, SECOND])
Y = [np.arange(3.0), np.arange(2.0)]


def table(X):
    return pd.DataFrame(X, columns=["a", "b"])


def boxed(parts):
    box = np.empty(len(parts), dtype=object)
    box[:] = parts
    return box


def recording(X, subject="", segment=None):
    return make_recording(
        X, units=["a", "b"], modality="calcium", key=(subject, "", ""), segment=segment
    )


@pytest.mark.parametrize(
    "form",
    [
        lambda parts: parts,
        tuple,
        boxed,
        lambda parts: [part.tolist() for part in parts],
        lambda parts: [np.asfortranarray(part) for part in parts],
        lambda parts: dict(enumerate(parts)),
        lambda parts: dict(zip("ba", parts, strict=True)),
    ],
)
def test_parts_are_the_same_as_one_array_with_sessions(form):
    found = as_samples(form([FIRST, SECOND]), form(Y))
    np.testing.assert_array_equal(found.X, BOTH)
    np.testing.assert_array_equal(found.y, np.concatenate(Y))
    assert found.sessions.tolist() == [0, 0, 0, 1, 1]


def test_one_array_stays_one():
    found = as_samples(BOTH, np.arange(5))
    assert found.X is BOTH and found.sessions is None and found.groups is None
    rows = as_samples(BOTH.tolist(), [1, 0, 1, 0, 1])
    assert parts_of(BOTH.tolist()) is None and len(rows.X) == 5


def test_a_recording_and_a_sparse_matrix_are_no_dicts_of_parts():
    assert parts_of(recording(FIRST)) is None
    for container in (dok_array, dok_matrix):
        assert parts_of(container(FIRST)) is None


def test_three_axes_are_sessions_of_one_length():
    X, y = np.arange(12.0).reshape(2, 3, 2), np.arange(6.0).reshape(2, 3)
    found = as_samples(X, y)
    np.testing.assert_array_equal(found.X, X.reshape(6, 2))
    np.testing.assert_array_equal(found.y, np.arange(6))
    assert found.sessions.tolist() == [0, 0, 0, 1, 1, 1]


class TestSubjects:
    def test_keys_keep_their_kind(self):
        for keys in ([1, 2], ["1", "2"], [1, "1"], [(1, "a"), (1, "b")], [np.int64(1), np.str_(1)]):
            found = as_samples(dict(zip(keys, [FIRST, SECOND], strict=True)))
            plain = [key.item() if isinstance(key, np.generic) else key for key in keys]
            assert list(found.groups) == [plain[0]] * 3 + [plain[1]] * 2
            assert found.sessions.tolist() == [0, 0, 0, 1, 1]

    def test_subjects_with_sessions(self):
        found = as_samples({"a": [FIRST, SECOND], "b": FIRST}, {"a": Y, "b": Y[0]})
        assert found.sessions.tolist() == [0, 0, 0, 1, 1, 2, 2, 2]
        assert found.groups.tolist() == ["a"] * 5 + ["b"] * 3
        np.testing.assert_array_equal(found.y, [0, 1, 2, 0, 1, 0, 1, 2])

    def test_dicts_within_dicts_are_refused(self):
        with pytest.raises(DataError, match="dict of dicts"):
            as_samples({"a": {"day 1": FIRST}})

    def test_y_follows_the_keys_and_not_the_order(self):
        found = as_samples({"a": FIRST, "b": SECOND}, {"b": Y[1], "a": Y[0]})
        np.testing.assert_array_equal(found.y, [0, 1, 2, 0, 1])

    def test_groups_are_not_given_twice(self):
        with pytest.raises(DataError, match="groups were given twice"):
            as_samples({"a": FIRST}, groups=[0, 0, 0])
        found = as_samples([FIRST, SECOND], groups=["a"] * 5)
        assert found.groups.tolist() == ["a"] * 5


class TestRecordings:
    def test_segments_are_sessions(self):
        found = as_samples(recording(BOTH, segment=[0, 0, 1, 1, 1]))
        assert found.sessions.tolist() == [0, 0, 1, 1, 1] and found.groups is None
        two = as_samples([recording(FIRST, segment=[0, 1, 1]), recording(SECOND)])
        assert two.sessions.tolist() == [0, 1, 1, 2, 2]

    def test_subjects_are_groups(self):
        found = as_samples([recording(FIRST, "s1"), recording(SECOND, "s1")])
        assert found.groups.tolist() == ["s1"] * 5 and found.sessions.tolist() == [0, 0, 0, 1, 1]
        assert list(found.X.columns) == ["a", "b"]

    def test_with_and_without_a_subject(self):
        with pytest.raises(DataError, match="do not say whose they are.*1 of 2"):
            as_samples([recording(FIRST, "s1"), recording(SECOND)])

    def test_y_beside_one_recording(self):
        found = as_samples(recording(FIRST), Y[0])
        np.testing.assert_array_equal(found.y, Y[0])


class TestNames:
    def test_columns_of_all_parts_are_aligned_with_the_first(self):
        found = as_samples([table(FIRST), table(SECOND)[["b", "a"]]])
        pd.testing.assert_frame_equal(found.X, table(BOTH))

    def test_columns_of_y_are_aligned(self):
        y = [table(FIRST), table(SECOND)[["b", "a"]]]
        np.testing.assert_array_equal(as_samples([FIRST, SECOND], y).y, BOTH)
        with pytest.raises(DataError, match=r"y\[1\].*other names"):
            as_samples([FIRST, SECOND], [y[0], y[1].rename(columns={"a": "c"})])

    def test_names_of_one_part_only_are_refused(self):
        with pytest.raises(DataError, match=r"X\[1\].*some columns have names"):
            as_samples([table(FIRST), SECOND])
        with pytest.raises(DataError, match=r"X\[1\].*unknown 'c', missing 'b'"):
            as_samples([table(FIRST), table(SECOND).rename(columns={"b": "c"})])

    def test_names_of_the_last_fit(self):
        model = BaseEstimator()
        check_samples(model, [table(FIRST), table(SECOND)], reset=True)
        assert model.feature_names_in_.tolist() == ["a", "b"]
        check_samples(model, [FIRST, SECOND], reset=True)
        assert not hasattr(model, "feature_names_in_")


class TestMasks:
    def test_in_parts(self):
        masked = np.ma.masked_array(SECOND, mask=[[True, False], [False, False]])
        found = as_samples([FIRST, masked], [Y[0], np.ma.masked_array(Y[1], mask=[True, False])])
        assert np.isnan(found.X).sum() == 1 and np.isnan(found.X[3, 0])
        np.testing.assert_array_equal(found.y, [0, 1, 2, np.nan, 1])

    def test_of_whole_numbers(self):
        y = np.ma.masked_array([1, 0, 1], mask=[False, True, False])
        for found in (as_samples(FIRST, y), as_samples(None, y), as_samples([FIRST], [y])):
            np.testing.assert_array_equal(found.y, [1, np.nan, 1])


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        ([FIRST, SECOND], Y[::-1], r"y\[0\].*expected 3 rows"),
        ([FIRST, SECOND], np.concatenate(Y), "same parts.*found one array"),
        ([FIRST, SECOND], [*Y, Y[0]], "same parts"),
        ([FIRST, SECOND], dict(zip("ab", Y, strict=True)), "same parts"),
        (BOTH, Y, "found a list of 2 arrays"),
        (BOTH, {"a": Y[0]}, "a dict of 'a'"),
        ({"a": FIRST}, {"b": Y[0]}, "expected a part of y for each of 'a'"),
        ({"a": [FIRST, SECOND]}, {"a": np.concatenate(Y)}, "same sessions"),
        ([FIRST, SECOND], [FIRST, Y[1]], "differ in their outputs"),
        ([FIRST, SECOND], [["l", "r", "l"], [0, 1]], r"y\[0\] is not an array of numbers"),
        ([FIRST, SECOND[:, :1]], None, r"different units.*1 in X\[1\].*align_units"),
        ([FIRST, SECOND.astype("datetime64[D]")], None, r"X\[1\] is not an array of numbers"),
        ([table(FIRST), table(SECOND.astype(str))], None, r"X\[1\]\['a'\] is not an array of"),
        ({}, None, "nothing in X"),
        (None, [[0, 1], [1, 1]], "can be the sessions of y, or its rows"),
        (None, ["left", "right"], "y is not an array of numbers"),
    ],
)
def test_what_does_not_fit_is_refused(X, y, message):
    with pytest.raises(DataError, match=message):
        as_samples(X, y)


def test_targets_without_inputs():
    found = as_samples(None, Y)
    assert found.X is None and found.sessions.tolist() == [0, 0, 0, 1, 1]
    np.testing.assert_array_equal(found.y, [0, 1, 2, 0, 1])
    by_subject = as_samples(None, {1: Y[0], "1": Y[1]})
    assert list(by_subject.groups) == [1, 1, 1, "1", "1"]
    np.testing.assert_array_equal(as_samples(None, [1, 0, 1]).y, [1, 0, 1])
    np.testing.assert_array_equal(as_samples(None, [FIRST, SECOND]).y, BOTH)


@pytest.mark.parametrize(("X", "y"), [([FIRST, SECOND], None), (None, Y)])
def test_sessions_are_not_given_twice(X, y):
    with pytest.raises(DataError, match="sessions were given twice"):
        as_samples(X, y, sessions=[0, 0, 0, 1, 1])


def test_a_list_of_one_takes_sessions():
    given = check_samples(BaseEstimator(), [BOTH], sessions=list("aabbb"), reset=True)
    assert given.sessions.tolist() == [0, 0, 1, 1, 1]


def test_finite_policy():
    X = np.array([[1.0, np.nan]])
    with pytest.raises(ValueError, match="NaN"):
        check_samples(BaseEstimator(), X, reset=True)
    assert np.isnan(check_samples(BaseEstimator(), X, reset=True, on_nan="keep").X[0, 1])
    with pytest.raises(ValueError, match="infinity"):
        check_samples(BaseEstimator(), [[np.inf, 1.0]], reset=True, on_nan="keep")


def test_number_of_features_is_remembered():
    model = BaseEstimator()
    check_samples(model, [FIRST, SECOND], reset=True)
    with pytest.raises(ValueError, match="expecting 2 features"):
        check_samples(model, np.ones((3, 1)), reset=False)


class TestNamesOfOutputs:
    """The columns of y are those of fit, whatever their order later."""

    Y = pd.DataFrame(RNG.normal(size=(60, 2)) + np.array([0.0, 30.0]), columns=["p", "q"])
    X = RNG.normal(size=(60, 3))

    def check(self, model):
        model.fit(self.X, self.Y)
        assert model.target_names_ == ["p", "q"]
        whole = model.score(self.X, self.Y)
        assert model.score(self.X, self.Y[["q", "p"]]) == pytest.approx(whole, rel=1e-9)
        with pytest.raises(DataError, match="other names.*unknown 'r', missing 'q'"):
            model.score(self.X, self.Y.rename(columns={"q": "r"}))
        model.fit(self.X, self.Y.to_numpy())
        assert not hasattr(model, "target_names_")

    def test_switching(self):
        self.check(SwitchingGLM(1, "gaussian"))

    def test_lists_of_sessions(self):
        turned = [self.Y[:30], self.Y[30:][["q", "p"]]]
        parts = [self.X[:30], self.X[30:]]
        model = SwitchingGLM(1, "gaussian").fit(parts, turned)
        straight = SwitchingGLM(1, "gaussian").fit(parts, [self.Y[:30], self.Y[30:]])
        np.testing.assert_allclose(model.intercept_, straight.intercept_)

    @pytest.mark.filterwarnings("ignore::neuroml.exceptions.NotConvergedWarning")
    def test_responses(self):
        model = ResponseModel(
            "linear", n_lags=1, loss="gaussian", nonlinearity="identity", max_epochs=3
        )
        self.check(model.set_params(random_state=0, device="cpu"))


def test_groups_of_targets_alone_are_those_given_or_of_the_parts():
    parts = [np.zeros(2), np.ones(3)]
    groups = np.repeat(["a", "b"], [2, 3])
    for y in (parts, np.concatenate(parts)):
        assert as_samples(None, y, groups=groups).groups.tolist() == groups.tolist()
    by_subject = dict(zip("ab", parts, strict=True))
    assert as_samples(None, by_subject).groups.tolist() == groups.tolist()
    with pytest.raises(DataError, match="groups were given twice"):
        as_samples(None, by_subject, groups=groups)
