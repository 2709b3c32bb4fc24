"""A single trace, AFNI's and parquet's tables, -1 and 1 as choices."""

import numpy as np
import pandas as pd
import pytest
import scipy.io

from neuroml.data import add_covariates, make_recording, read_fmri, read_traces, read_trials
from neuroml.exceptions import DataError

TRACE = np.random.default_rng(0).normal(size=40)


@pytest.mark.parametrize("shape", [(-1,), (-1, 1), (1, -1)], ids=str)
@pytest.mark.parametrize("suffix", [".npy", ".npz", ".mat"])
def test_one_trace_has_one_reading(tmp_path, suffix, shape):
    path, values = tmp_path / f"a{suffix}", TRACE.reshape(shape)
    if suffix == ".npy":
        np.save(path, values)
    elif suffix == ".npz":
        np.savez(path, dff=values)
    else:
        scipy.io.savemat(path, {"dff": values})
    for found in (read_traces(path, rate_hz=20.0), read_fmri(path, tr_s=2.0)):
        np.testing.assert_array_equal(found.signal.values, TRACE[:, None])


def test_a_trace_beside_its_clock_is_named(tmp_path):
    np.savez(tmp_path / "a.npz", dff=TRACE, time=np.arange(40) / 20)
    found = read_traces(tmp_path / "a.npz", variable="dff", time="time")
    assert found.signal.shape == (40, 1) and found.attrs["rate_hz"] == 20
    with pytest.raises(DataError, match=r"dff \(40\), time \(40\).*variable="):
        read_traces(tmp_path / "a.npz", time="time")
    np.save(tmp_path / "t.npy", np.arange(40) / 20)
    with pytest.raises(DataError, match="looks like a time axis"):
        read_traces(tmp_path / "t.npy")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# 3dmaskave\n1 2\n3 4.5\n", [[1, 2], [3, 4.5]]),
        ("// a remark\n2@1\n0.5 3\n", [[1, 1], [0.5, 3]]),
        ("1 2@-3.5\n4 5 6\n", [[1, -3.5, -3.5], [4, 5, 6]]),
        ("1 2 \\\n3\n4 5 6\n", [[1, 2, 3], [4, 5, 6]]),
        ("#a\t#b\n1\t2\n4\t5\n", [[1, 2], [4, 5]]),
    ],
)
def test_afni(tmp_path, text, expected):
    (tmp_path / "a.1D").write_text(text)
    found = read_fmri(tmp_path / "a.1D", tr_s=2.0, on_nan="keep", units_first=False)
    np.testing.assert_array_equal(found.signal.values, expected)


def test_afni_cannot_ask_for_more_values_than_a_file_has(tmp_path):
    (tmp_path / "a.1D").write_text("9999999999@1\n")
    with pytest.raises(DataError, match="too many values.*9999999999"):
        read_fmri(tmp_path / "a.1D", tr_s=2.0)
    # in other tables this is no shorthand
    (tmp_path / "a.txt").write_text("3@1\n3@2\n")
    with pytest.raises(DataError):
        read_fmri(tmp_path / "a.txt", tr_s=2.0)


def test_parquet(tmp_path, monkeypatch):
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1")
    table = pd.DataFrame({"time": np.arange(5) / 10, "a": TRACE[:5], "b": TRACE[5:10]})
    monkeypatch.setattr(pd, "read_parquet", lambda *_, **__: table)
    found = read_traces(path, time="time")
    np.testing.assert_array_equal(found.signal.values, table[["a", "b"]])
    recording = make_recording(np.zeros((5, 1)), rate_hz=10.0, modality="calcium")
    joined = add_covariates(recording, path, time="time")
    np.testing.assert_array_equal(joined.covariates.values, table[["a", "b"]])
    table["c"] = ["x"] * 5
    with pytest.raises(DataError, match="column 'c' is not of numbers"):
        read_traces(path, time="time")

    def missing(*_, **__):
        raise ImportError("no engine")

    monkeypatch.setattr(pd, "read_parquet", missing)
    for read in (read_traces, lambda p: add_covariates(recording, p, time="time")):
        with pytest.raises(ImportError, match="pip install pyarrow"):
            read(path)


@pytest.mark.parametrize(
    ("choices", "signal", "classes"),
    [
        ([-1, 1, 1], [0, 1, 1], ["-1", "1"]),
        ([-1.0, 1.0, np.nan], [0, 1, np.nan], ["-1", "1"]),
        ([0, 1, 1], [0, 1, 1], None),
        ([-1, 0, 1], [-1, 0, 1], None),
        ([1, 2, 2], [1, 2, 2], None),
    ],
)
def test_choices_of_minus_one_and_one_are_two_sides(choices, signal, classes):
    (found,) = read_trials(pd.DataFrame({"choice": choices}), y="choice", lags={"choice": 1})
    np.testing.assert_array_equal(found.signal.values.ravel(), signal)
    assert found.attrs.get("classes") == classes
    if classes:
        assert found.covariates.sel(feature="previous_choice").values.tolist()[:2] == [0, -1]
