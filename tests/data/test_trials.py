"""Tables of trials: codes of labels, sessions, what happened on the trials before, and what is refused."""

import importlib.util

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from neuroml.data import read_trials, stack
from neuroml.exceptions import DataError
from neuroml.simulate import make_switching_choices
from neuroml.switching import SwitchingGLM


@pytest.fixture
def table():
    """Two subjects with two sessions each; the third trial of the first session is missed."""
    return pd.DataFrame(
        {
            "mouse": ["b"] * 6 + ["a"] * 4,
            "day": ["d1", "d1", "d1", "d1", "d2", "d2", "d1", "d1", "d2", "d2"],
            "stimulus": [0.5, -1.0, 0.25, 1.0, -0.5, 0.5, 1.0, 1.0, -1.0, 0.0],
            "choice": [
                "right",
                "left",
                "",
                "right",
                "left",
                "left",
                "right",
                "left",
                "left",
                "right",
            ],
            "reward": [1, 1, 0, 0, 1, 0, 1, 0, 1, 1],
        }
    )


OPTIONS = {"y": "choice", "subject": "mouse", "session": "day"}


def column(recording, name):
    return recording.covariates.sel(feature=name).values.tolist()


def test_one_recording_per_subject_with_a_segment_per_session(table):
    b, a = read_trials(table, **OPTIONS)
    assert (b.attrs["subject"], a.attrs["subject"]) == ("b", "a")
    assert b.attrs["modality"] == "behaviour"
    assert b.attrs["time_axis"] == "trials"
    assert b.attrs["classes"] == a.attrs["classes"] == ["left", "right"]
    assert b.attrs["sessions"] == ["d1", "d2"]
    assert b.segment.values.tolist() == [0, 0, 0, 0, 1, 1]
    assert b.unit.values.tolist() == ["choice"]
    np.testing.assert_array_equal(b.signal.values.ravel(), [1, 0, np.nan, 1, 0, 0])
    assert b.feature.values.tolist() == ["stimulus", "reward"]
    arrays = stack([b, a], target="choice", inputs=["stimulus"])
    assert arrays.sessions.tolist() == [0, 0, 0, 0, 1, 1, 2, 2, 3, 3]
    assert arrays.groups.tolist() == ["b"] * 6 + ["a"] * 4
    np.testing.assert_array_equal(arrays.X.ravel(), table["stimulus"])


def test_history_stops_at_sessions_and_missed_trials(table):
    b, a = read_trials(table, **OPTIONS, reward="reward", lags={"choice": 2, "stimulus": 1})
    assert column(b, "previous_choice") == [0, 1, -1, 0, 0, -1]
    assert column(b, "previous_choice_2") == [0, 0, 1, -1, 0, 0]
    assert column(b, "previous_stimulus") == [0, 0.5, -1, 0.25, 0, -0.5]
    assert column(a, "previous_choice") == [0, 1, 0, -1]
    # Ashwood et al. 2022: previous choice times previous reward, both -1 or 1
    assert column(b, "win_stay_lose_switch") == [0, 1, -1, 0, 0, -1]
    assert column(a, "win_stay_lose_switch") == [0, 1, 0, -1]
    losing = read_trials(table.assign(reward=0), **OPTIONS, reward="reward")
    assert column(losing[0], "win_stay_lose_switch") == [0, -1, 1, 0, 0, 1]


def test_swapping_the_names_of_two_labels_flips_codes_and_history(table):
    swapped = table.assign(choice=table["choice"].map({"left": "right", "right": "left", "": ""}))
    for one, other in zip(
        read_trials(table, **OPTIONS, reward="reward", lags={"choice": 1}),
        read_trials(swapped, **OPTIONS, reward="reward", lags={"choice": 1}),
        strict=True,
    ):
        np.testing.assert_array_equal(one.signal, 1 - other.signal)
        for name in ("previous_choice", "win_stay_lose_switch"):
            np.testing.assert_array_equal(column(one, name), -np.array(column(other, name)))


def test_subjects_do_not_touch_each_other(table):
    together = read_trials(table, **OPTIONS, lags={"choice": 1})
    rows = [6, 0, 1, 7, 2, 8, 3, 4, 9, 5]  # the subjects' rows in turns
    mixed = read_trials(table.iloc[rows], **OPTIONS, lags={"choice": 1})
    assert [r.attrs["subject"] for r in mixed] == ["a", "b"]
    xr.testing.assert_identical(mixed[0], together[1])
    xr.testing.assert_identical(mixed[1], together[0])


@pytest.mark.parametrize("name", ["trials.csv", "trials.tsv", "trials.csv.gz"])
def test_files_are_read_like_tables(table, tmp_path, name):
    path = tmp_path / name
    table.to_csv(path, sep="\t" if "tsv" in name else ",", index=False)
    options = {**OPTIONS, "reward": "reward", "lags": {"choice": 1}}
    for file, memory in zip(
        read_trials(path, **options), read_trials(table, **options), strict=True
    ):
        assert file.attrs["source"] == str(path)
        assert len(file.attrs["sha256"]) == 64
        file.attrs.update(source="", sha256="")
        xr.testing.assert_identical(file, memory)


@pytest.mark.parametrize(
    ("cells", "missing", "expected", "classes"),
    [
        ([0, 1, -1, 1], (-1,), [0, 1, np.nan, 1], None),
        ([0.0, 1.0, np.nan, 1.0], (), [0, 1, np.nan, 1], None),
        (["0", "1", "miss", "1"], ("miss",), [0, 1, np.nan, 1], None),
        (["0", "1", "-1.0", "1"], ("-1",), [0, 1, np.nan, 1], None),
        (["no", "yes", "NA", "no"], ("NA", "none"), [0, 1, np.nan, 0], ["no", "yes"]),
        ([True, False, True, None], (), [1, 0, 1, np.nan], ["False", "True"]),
        (["01", "02", "", "02"], ("",), [0, 1, np.nan, 1], ["01", "02"]),
        ([1.5, 0.3, 0.7, np.nan], (), [1.5, 0.3, 0.7, np.nan], None),
        (["b", "c", "a", "b"], (), [1, 2, 0, 1], ["a", "b", "c"]),
    ],
)
def test_y_is_numbers_or_labels(tmp_path, cells, missing, expected, classes):
    table = pd.DataFrame({"y": cells, "x": [1.0, 2.0, 3.0, 4.0]})
    table.to_csv(tmp_path / "t.csv", index=False)
    for source in (table, tmp_path / "t.csv"):
        (recording,) = read_trials(source, y="y", missing=missing)
        np.testing.assert_array_equal(recording.signal.values.ravel(), expected)
        assert recording.attrs.get("classes") == classes


@pytest.mark.parametrize("kind", ["category", "string", object])
def test_kinds_of_columns_do_not_matter(table, kind):
    options = OPTIONS | {"lags": {"choice": 1}}
    for one, other in zip(
        read_trials(table.astype({"choice": kind, "mouse": kind}), **options),
        read_trials(table, **options),
        strict=True,
    ):
        xr.testing.assert_identical(one, other)


def test_numbers_of_pandas_may_be_missing():
    table = pd.DataFrame(
        {"y": pd.array([1, 0, None], dtype="Int64"), "x": pd.array([1, None, 3], dtype="Int64")}
    )
    (recording,) = read_trials(table, y="y")
    np.testing.assert_array_equal(recording.signal.values.ravel(), [1, 0, np.nan])
    np.testing.assert_array_equal(column(recording, "x"), [1, np.nan, 3])


def test_missing_concerns_y_alone():
    table = pd.DataFrame({"y": [1, 0, -1], "contrast": [-1.0, 1.0, -1.0]})
    (recording,) = read_trials(table, y="y", missing=(-1,))
    assert column(recording, "contrast") == [-1, 1, -1]


def test_a_gap_in_the_numbers_of_trials_cuts_the_history():
    table = pd.DataFrame({"trial": [1, 2, 5, 6], "choice": [0, 1, 1, 0]})
    (recording,) = read_trials(table, y="choice", lags={"choice": 2})
    assert column(recording, "previous_choice") == [0, -1, 0, 1]
    assert column(recording, "previous_choice_2") == [0, 0, 0, 0]


def test_columns_of_text_are_left_out_with_a_note_unless_they_are_asked_for():
    table = pd.DataFrame(
        {"choice": [0, 1], "context": ["a", "b"], "x": [1, 2], "ok": [True, False]}
    )
    (recording,) = read_trials(table, y="choice")
    assert recording.feature.values.tolist() == ["x", "ok"]
    assert "'context'" in recording.attrs["dropped"][0]
    (alone,) = read_trials(table[["choice"]], y="choice", inputs=[])
    assert "covariates" not in alone
    with pytest.raises(DataError, match="field context: a column is not of numbers.* 'a' in row 1"):
        read_trials(table, y="choice", inputs=["context"])


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({}, {"y": "choicee"}, "no column 'choicee', did you mean 'choice'"),
        ({}, {"inputs": ["stimulsu"]}, "did you mean 'stimulus'"),
        ({}, {"lags": {"stim": 1}}, "there is no column 'stim'"),
        ({}, {"inputs": "stimulus"}, r"inputs is not a list; expected \['stimulus'\]"),
        ({}, {"inputs": ["stimulus"] * 2}, "named twice; found 'stimulus'"),
        ({}, {"subject": "choice"}, "named twice; found 'choice'"),
        (
            {"choice": pd.date_range("2020", periods=10)},
            {},
            "neither labels nor numbers.*Timestamp",
        ),
        ({"when": 1j}, {"inputs": ["when"]}, "field when: a column is not of numbers"),
        ({}, {"inputs": ["choice"]}, "y is among its own inputs"),
        ({"choice": "left"}, {}, "fewer than two different values.*'left'"),
        ({"choice": ["left", 1] * 5}, {}, "mixes labels and numbers.*'left' and 1.*missing="),
        ({"choice": ["left", "NA"] * 5}, {}, "mixes labels and numbers"),
        ({"choice": [0, 1, 2, 0, 1] * 2}, {"reward": "reward"}, "two choices"),
        ({"choice": [np.inf, 1] * 5}, {}, "not of numbers"),
        (
            {"choice": ["left"] * 3 + ["right"] * 3 + [""] * 4},
            {},
            "subject a, field choice: a subject has no",
        ),
        ({"reward": [2.5, 0] * 5}, {"reward": "reward"}, "not yes or no.*0.0, 2.5"),
        ({"reward": [-1, 0] * 5}, {"reward": "reward"}, "not yes or no"),
        ({"day": ["d1", "d2"] * 5}, {}, "subject b, field session: a session returns.*'d1' twice"),
        ({"day": ["d1"] * 9 + [None]}, {}, "a trial has no session.*row 10"),
        ({"mouse": [None] + ["a"] * 9}, {}, "a trial has no subject.*row 1"),
        ({"trial": 1}, {}, "trial numbers repeat or fall.*1 then 1 in row 2"),
        ({"trial": range(10, 0, -1)}, {}, "10 then 9 in row 2"),
        ({"previous_choice": 1}, {"lags": {"choice": 1}}, "the name of a column.*previous_choice"),
        ({}, {"lags": {"choice": 0}}, "not a number of trials"),
        ({}, {"lags": {"choice": True}}, "not a number of trials"),
        ({}, {"missing": "NA"}, "missing is not a list"),
        ({"subject_id": [1, 2] * 5}, {"subject": None}, "'subject_id', and nothing says"),
        ({"Session": [1, 2] * 5}, {"session": None}, "'Session', and nothing says"),
    ],
)
def test_what_is_refused(table, change, options, message):
    options = OPTIONS | options
    changed = table.assign(**change)
    with pytest.raises(DataError, match=message):
        read_trials(changed, **options)


def test_labels_without_order_have_no_lag():
    table = pd.DataFrame({"y": [0, 1, 0], "cue": ["a", "b", "c"]})
    with pytest.raises(DataError, match="more than two labels have no lag.*'a', 'b', 'c'"):
        read_trials(table, y="y", lags={"cue": 1})


def test_files_that_are_no_tables(tmp_path):
    (tmp_path / "a.csv").write_text("1,2,3\n3,4,5\n", encoding="utf-8")
    with pytest.raises(DataError, match="the columns have no names"):
        read_trials(tmp_path / "a.csv", y="0")
    (tmp_path / "a.xlsx").write_bytes(b"x")
    with pytest.raises(DataError, match=r"found \.xlsx\. Read it with pandas"):
        read_trials(tmp_path / "a.xlsx", y="y")
    with pytest.raises(DataError, match="no trials"):
        read_trials(pd.DataFrame({"y": []}), y="y")
    with pytest.raises(DataError, match="column names repeat.*'y'"):
        read_trials(pd.DataFrame([[1, 2], [0, 1]], columns=["y", "y"]), y="y")


def test_parquet_needs_pyarrow(table, tmp_path):
    path = tmp_path / "trials.parquet"
    if importlib.util.find_spec("pyarrow") is None:
        path.write_bytes(b"PAR1")
        with pytest.raises(ImportError, match="pip install pyarrow"):
            read_trials(path, **OPTIONS)
        return
    table.to_parquet(path)
    np.testing.assert_array_equal(
        read_trials(path, **OPTIONS)[0].signal, read_trials(table, **OPTIONS)[0].signal
    )


def test_history_of_the_rat(shared_data):
    """psytrack computed it from all trials, of which only the completed ones are in its file."""
    with np.load(shared_data / "psytrack_rat" / "psytrack_rat.npz") as file:
        days = np.repeat(np.arange(len(file["dayLength"])), file["dayLength"])
        table = pd.DataFrame({"day": days, "choice": file["y"], "answer": file["answer"]})
        theirs = {
            "previous_choice": file["inputs_c"][:, 0],
            "previous_answer": file["inputs_h"][:, 0],
        }
    (recording,) = read_trials(table, y="choice", session="day", lags={"choice": 1, "answer": 1})
    for name, expected in theirs.items():
        ours, known = np.array(column(recording, name)), expected != 0
        known[0] = False  # of a day before those in the file
        assert known.mean() > 0.85
        np.testing.assert_array_equal(ours[known], expected[known])
        first = np.flatnonzero(np.diff(days, prepend=-1))
        assert (ours[first] == 0).all()


def test_strategies_are_found_in_a_table(tmp_path):
    """From a text table of simulated choices to the states that made them."""
    truth = make_switching_choices(4, 500, 2, random_state=0)
    pd.DataFrame(
        {
            "day": truth.sessions + 1,
            "stimulus": truth.X[:, 0],
            "choice": np.where(truth.y == 1, "right", "left"),
        }
    ).to_csv(tmp_path / "trials.csv", index=False)
    recordings = read_trials(
        tmp_path / "trials.csv", y="choice", session="day", lags={"choice": 1, "stimulus": 1}
    )
    arrays = stack(
        recordings, target="choice", inputs=["stimulus", "previous_choice", "previous_stimulus"]
    )
    np.testing.assert_allclose(arrays.X[:, 1], truth.X[:, 1])
    np.testing.assert_array_equal(arrays.y, truth.y)
    model = SwitchingGLM(2, family="bernoulli", ridge=0.1, n_init=4, random_state=0)
    states = model.fit(arrays.X, arrays.y, sessions=arrays.sessions).predict(
        arrays.X, arrays.y, sessions=arrays.sessions
    )
    agreement = (states == truth.states).mean()
    assert max(agreement, 1 - agreement) > 0.8


def test_codes_of_many_labels_have_no_lag():
    """Their order is that of the alphabet, so that none is twice another."""
    table = pd.DataFrame({"port": list("abcabc"), "x": range(6)})
    with pytest.raises(DataError, match="more than two labels have no lag"):
        read_trials(table, y="port", lags={"port": 1})


@pytest.mark.parametrize(
    "options",
    [
        {"y": "rt"},
        {"y": "choice"},
        {"y": "choice", "inputs": ["rt"]},
        {"y": "choice", "inputs": [], "lags": {"rt": 1}},
    ],
)
def test_decimal_commas_are_no_labels(options):
    """They would become codes, or be left out, without a word to be seen before the fit."""
    rows = pd.DataFrame({"choice": [0, 1, 1], "rt": ["0,5", "1", ""]}).replace("", None)
    with pytest.raises(DataError, match="field rt: .*decimal commas.*a point.*found '0,5'"):
        read_trials(rows, **options)
    words = rows.assign(rt=["0,5", "a", "b"])  # other words: text
    assert read_trials(words, y="rt")[0].attrs["classes"] == ["0,5", "a", "b"]
