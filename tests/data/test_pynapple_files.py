"""The npz files of pynapple, written with its layout, and by itself where it is installed."""

import numpy as np
import pytest

from neuroml.data import describe_file, read_spikes, read_traces
from neuroml.exceptions import DataError

SUPPORT = {"start": np.array([0.0, 2.0]), "end": np.array([1.0, 3.0])}


def saved(path, kind, **arrays):
    np.savez(path, type=np.array([kind]), **SUPPORT, **arrays)
    return path


def test_a_group_keeps_its_units_also_silent_ones_and_its_time_support(tmp_path):
    path = saved(
        tmp_path / "g.npz",
        "TsGroup",
        t=np.array([0.2, 0.4, 2.1]),
        index=np.array([3, 0, 3]),
        keys=np.array([0, 3, 5]),
    )
    found = read_spikes(path, bin_s=0.5)
    assert found.unit.values.tolist() == ["0", "3", "5"]
    assert found.segment.values.tolist() == [0, 0, 1, 1]
    assert found.signal.values.tolist() == [[1, 1, 0], [0, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert describe_file(path).kind == "a file of pynapple"
    with pytest.raises(DataError, match="a TsGroup of pynapple.*read_spikes"):
        read_traces(path)


def test_one_unit(tmp_path):
    path = saved(tmp_path / "t.npz", "Ts", t=np.array([0.2, 0.4, 2.1]))
    assert read_spikes(path, bin_s=1.0).signal.values.tolist() == [[2], [1]]


VALUES = np.arange(8.0).reshape(4, 2) ** 2
TIME = np.array([0.0, 0.5, 2.0, 2.5])


@pytest.mark.parametrize("columns", [["a", "b"], np.array(["a", "b"], dtype=object), [4, 7]])
def test_a_frame_keeps_the_names_of_its_columns(tmp_path, columns):
    path = saved(tmp_path / "f.npz", "TsdFrame", t=TIME, d=VALUES, columns=np.asarray(columns))
    for found in (read_traces(path), read_traces(path, time="t")):
        assert found.unit.values.tolist() == [str(name) for name in columns]
        assert found.segment.values.tolist() == [0, 0, 1, 1]
        np.testing.assert_array_equal(found.signal.values, VALUES)
    (first, _) = (str(name) for name in columns)
    np.testing.assert_array_equal(read_traces(path, units=[first]).signal.values, VALUES[:, :1])


def test_a_support_without_a_gap_in_time_ends_a_segment(tmp_path):
    np.savez(
        tmp_path / "a.npz",
        type=np.array(["Tsd"]),
        start=np.array([0.0, 1.0]),
        end=np.array([0.9, 2.0]),
        t=np.arange(4) / 2,
        d=VALUES[:, 0],
    )
    found = read_traces(tmp_path / "a.npz")
    assert found.segment.values.tolist() == [0, 0, 1, 1] and found.sizes["unit"] == 1


def test_names_that_are_not_texts_are_asked_for(tmp_path):
    columns = np.array([("a", 1), None], dtype=object)
    path = saved(tmp_path / "f.npz", "TsdFrame", t=TIME, d=VALUES, columns=columns)
    with pytest.raises(DataError, match="names of the columns.*units= with 2 names"):
        read_traces(path)
    assert read_traces(path, units=["x", "y"]).unit.values.tolist() == ["x", "y"]


def test_other_types_are_refused(tmp_path):
    path = saved(tmp_path / "t.npz", "TsdTensor", t=TIME, d=np.zeros((4, 2, 2)))
    with pytest.raises(DataError, match="a TsdTensor of pynapple"):
        read_traces(path)


def test_what_pynapple_writes(tmp_path):
    nap = pytest.importorskip("pynapple")
    support = nap.IntervalSet([0, 6], [4, 10])
    spikes = {0: nap.Ts(np.arange(1, 9) + 0.25), 3: nap.Ts(np.array([0.5, 7.5]))}
    group = nap.TsGroup(spikes, time_support=support)
    group.save(str(tmp_path / "g.npz"))
    expected, found = (read_spikes(s, bin_s=1.0) for s in (group, tmp_path / "g.npz"))
    np.testing.assert_array_equal(found.signal.values, expected.signal.values)
    frame = nap.TsdFrame(t=TIME, d=VALUES, columns=["a", "b"], time_support=support)
    frame.save(str(tmp_path / "f.npz"))
    assert read_traces(tmp_path / "f.npz").unit.values.tolist() == ["a", "b"]
