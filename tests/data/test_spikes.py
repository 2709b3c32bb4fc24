import itertools

import h5py
import numpy as np
import pytest
import scipy.io

from neuroml.data import read_spikes
from neuroml.data.spikes import bin_edges
from neuroml.exceptions import DataError

TRAINS = {"a": np.array([0.05, 0.3, 0.31, 1.99]), "b": np.array([0.7]), "c": np.array([])}
OPTIONS = {"bin_s": 0.1, "start_s": 0.0, "stop_s": 2.0}


@pytest.fixture
def expected():
    return read_spikes(TRAINS, **OPTIONS).signal.values


def test_counts_in_bins(expected):
    assert expected.shape == (20, 3)
    assert np.flatnonzero(expected[:, 0]).tolist() == [0, 3, 19]
    assert expected[3, 0] == 2
    assert np.flatnonzero(expected[:, 1]).tolist() == [7]
    assert not expected[:, 2].any()


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_brute_force_and_loses_nothing(seed):
    rng = np.random.default_rng(seed)
    times, width = rng.uniform(-5, 20, 500), rng.uniform(0.05, 1.5)
    recording = read_spikes({"u": times}, bin_s=width, start_s=-2, stop_s=15)
    edges = bin_edges(-2, 15, width)
    counts = [((times >= low) & (times < high)).sum() for low, high in itertools.pairwise(edges)]
    assert recording.signal.values[:, 0].tolist() == counts
    lost = 500 - sum(counts)
    assert recording.attrs["dropped"] == [f"{lost} of 500 spikes outside the bins"]
    np.testing.assert_allclose(recording.time, (edges[1:] + edges[:-1]) / 2)


def test_spike_on_an_edge_belongs_to_the_bin_that_starts_there():
    for width, n in ((0.1, 50), (0.001, 2000), (0.02, 100)):
        times = np.round(np.arange(n) * width, 9)
        counts = read_spikes({"u": times}, bin_s=width, start_s=0, stop_s=n * width).signal.values
        assert counts.shape == (n, 1)
        assert (counts == 1).all()


def test_default_stretch_holds_every_spike():
    recording = read_spikes({"u": [4397.03, 4400.3]}, bin_s=0.1)
    assert recording.signal.sum() == 2
    assert recording.time[0] == pytest.approx(4397.05)
    assert recording.sizes["time"] == 34
    assert recording.attrs["dropped"] == []


@pytest.mark.parametrize("seed", range(20))
def test_default_stretch_holds_spikes_within_rounding_of_an_edge(seed):
    rng = np.random.default_rng(seed)
    for width in (0.1, 0.001, 1 / 30, rng.uniform(0.01, 1)):
        times = np.round(rng.integers(0, 3000, 5) * width, rng.integers(3, 13))
        times = np.r_[times, np.nextafter(times, -np.inf), np.nextafter(times, np.inf)]
        assert read_spikes({"u": times}, bin_s=width).signal.sum() == 15


def test_last_partial_bin_is_left_out():
    recording = read_spikes({"u": [0.1, 0.95]}, bin_s=0.3, start_s=0, stop_s=1.0)
    assert recording.sizes["time"] == 3
    assert recording.attrs["dropped"] == ["1 of 2 spikes outside the bins"]


def test_epochs_are_segments_with_bins_of_their_own():
    recording = read_spikes(TRAINS, bin_s=0.1, epochs=[(0.25, 0.5), (0.65, 1.0)])
    assert recording.segment.values.tolist() == [0, 0, 1, 1, 1]
    np.testing.assert_allclose(recording.time, [0.3, 0.4, 0.7, 0.8, 0.9])
    assert recording.signal.values[:, 0].tolist() == [2, 0, 0, 0, 0]
    assert recording.attrs["dropped"] == ["2 of 5 spikes outside the bins"]


def test_whole_stretch_equals_its_epochs():
    times = {"u": np.random.default_rng(0).uniform(0, 10, 300)}
    whole = read_spikes(times, bin_s=0.25, start_s=0, stop_s=10)
    parts = read_spikes(times, bin_s=0.25, epochs=[(0, 4), (4, 10)])
    np.testing.assert_array_equal(whole.signal, parts.signal)
    np.testing.assert_array_equal(whole.time, parts.time)


def test_order_of_spikes_does_not_matter(expected):
    mixed = {name: times[::-1] for name, times in TRAINS.items()}
    np.testing.assert_array_equal(read_spikes(mixed, **OPTIONS).signal, expected)


def test_npz_with_one_array_per_unit(tmp_path, expected):
    np.savez(tmp_path / "a.npz", **TRAINS)
    recording = read_spikes(tmp_path / "a.npz", **OPTIONS)
    np.testing.assert_array_equal(recording.signal, expected)
    assert recording.unit.values.tolist() == ["a", "b", "c"]
    chosen = read_spikes(tmp_path / "a.npz", units=["c", "a"], **OPTIONS)
    np.testing.assert_array_equal(chosen.signal, expected[:, [2, 0]])


def test_npz_with_something_else_is_a_doubt(tmp_path):
    np.savez(tmp_path / "a.npz", **TRAINS, waveforms=np.zeros((3, 40)))
    with pytest.raises(DataError, match=r"not plain which arrays.*waveforms \(3 x 40\)"):
        read_spikes(tmp_path / "a.npz", **OPTIONS)


def cells():
    cell = np.empty((1, 3), dtype=object)
    cell[0] = [times.reshape(1, -1) for times in TRAINS.values()]
    return cell


@pytest.mark.parametrize("variable", [None, "spikes"])
def test_matlab_cell_array(tmp_path, expected, variable):
    scipy.io.savemat(tmp_path / "a.mat", {"spikes": cells(), "fs": 30000.0})
    recording = read_spikes(tmp_path / "a.mat", variable=variable, **OPTIONS)
    np.testing.assert_array_equal(recording.signal, expected)
    assert recording.unit.values.tolist() == ["unit0", "unit1", "unit2"]


def test_matlab_73_cell_array(tmp_path, matlab_73, expected):
    matlab_73(tmp_path / "a.mat", spikes=list(TRAINS.values()))
    recording = read_spikes(tmp_path / "a.mat", **OPTIONS)
    np.testing.assert_array_equal(recording.signal, expected)


def test_matlab_vector_is_one_unit(tmp_path, expected):
    scipy.io.savemat(tmp_path / "a.mat", {"neuron7": TRAINS["a"]})
    recording = read_spikes(tmp_path / "a.mat", **OPTIONS)
    assert recording.unit.values.tolist() == ["neuron7"]
    np.testing.assert_array_equal(recording.signal, expected[:, :1])


def test_matlab_cell_of_matrices(tmp_path):
    cell = np.empty((1, 1), dtype=object)
    cell[0, 0] = np.ones((3, 2))
    scipy.io.savemat(tmp_path / "a.mat", {"spikes": cell})
    with pytest.raises(DataError, match=r"vector of numbers per cell; found ndarray .*\(3, 2\)"):
        read_spikes(tmp_path / "a.mat", **OPTIONS)


ROWS = [(name, time) for name, times in TRAINS.items() for time in times]


@pytest.mark.parametrize("header", ["unit,time", "time,unit", "Unit,time_s"])
def test_table_with_a_header(tmp_path, expected, header):
    swapped = header.startswith("time")
    rows = [f"{t},{u}" if swapped else f"{u},{t}" for u, t in ROWS[::-1]]
    (tmp_path / "a.csv").write_text("\n".join([header, *rows]))
    recording = read_spikes(tmp_path / "a.csv", **OPTIONS)
    assert recording.unit.values.tolist() == ["a", "b"]
    np.testing.assert_array_equal(recording.signal, expected[:, :2])


def test_table_of_numbers_without_a_header(tmp_path):
    (tmp_path / "a.txt").write_text("10 0.05\n2 0.31\n10 0.3\n")
    recording = read_spikes(tmp_path / "a.txt", **OPTIONS)
    assert recording.unit.values.tolist() == ["2", "10"]
    assert recording.signal.sum(axis=0).values.tolist() == [1, 2]


def test_table_of_one_column(tmp_path):
    np.savetxt(tmp_path / "a.txt", TRAINS["a"])
    assert read_spikes(tmp_path / "a.txt", **OPTIONS).signal.sum() == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.5 1\n0.7 2\n", "first column does not number units"),
        ("1 2 3\n4 5 6\n", "does not say which unit fired when"),
        ("spike_times,spike_clusters\n0.5,1\n", "does not say which unit fired when"),
        ("unit,time_ms\n1,500.5\n", "does not say which unit fired when.*time_s"),
        ("unit,cell,time\n1,2,0.5\n", "does not say .* one of each; found unit, cell, time"),
        ("position\n0.5\n0.7\n", "does not say which unit fired when"),
        ("0.5\n0.7\n0.3\n", "unit0 may not be spike times.*numbers that fall"),
        ("165 1\n410 1\n560 2\n", "first column has more different numbers than the second"),
        ("unit,time\n1,500\n1,700\n", "whole numbers: .*time_unit_s=: 1 if they are seconds"),
        ("unit,when\n1,2\n", "does not say which unit fired when; expected .* found unit, when"),
        ("unit,time\na,1\n,2\n", "a spike has no unit"),
        ("unit,time\na,early\n", "times are not numbers"),
        ("unit,time\na,1\nb,n/a\n", "field b: spike times .* 1 not finite"),
    ],
)
def test_bad_tables(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_spikes(tmp_path / "a.csv", bin_s=0.1)


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ({"a": [np.nan]}, {}, "field a: spike times are not a list of finite numbers"),
        ({"a": [[0.1, 0.2]]}, {}, r"found shape \(1, 2\)"),
        ({"a": ["x"]}, {}, "spike times are not numbers"),
        ({}, {}, "there are no units"),
        ({"a": []}, {}, "there are no spikes"),
        ({"a": [1.0]}, {"bin_s": 0}, "bin_s is not a duration"),
        ({"a": [1.0]}, {"bin_s": np.nan}, "bin_s is not a duration"),
        ({"a": [1.0]}, {"start_s": 3, "stop_s": 3}, "does not end after it starts"),
        ({"a": [1.0]}, {"start_s": 0, "stop_s": 0.05}, "shorter than a bin"),
        ({"a": [1.0]}, {"start_s": 5, "stop_s": 9}, "no spike falls into a bin"),
        ({"a": [1.0]}, {"epochs": [(0, 2), (1, 3)]}, "epochs overlap or are not in order"),
        ({"a": [1.0]}, {"epochs": []}, "there are no epochs"),
        ({"a": [1.0]}, {"epochs": [(0, 2)], "stop_s": 2}, "stretches were given twice"),
        ({"a": [1.0]}, {"units": ["b"]}, "no such unit; expected one of a; found b"),
        ({"a": [0.0, 1e12]}, {}, "bins are too many.*Are the times in seconds"),
        ([1.0, 2.0], {}, "unknown source of spikes.*found list"),
    ],
)
def test_refusals(source, options, message):
    with pytest.raises(DataError, match=message):
        read_spikes(source, **{"bin_s": 0.1, **options})


RNG = np.random.default_rng(0)
SAMPLES = np.sort(RNG.integers(0, 1_800_000, 500))
CLUSTERS = RNG.integers(0, 5, 500)
NOT_SECONDS = {
    "sample numbers": ({"times": SAMPLES}, "the spike times of times are whole numbers"),
    "ids of clusters": ({"clusters": CLUSTERS}, "clusters may not be spike times.*that fall"),
    "sorted ids": ({"clusters": np.sort(CLUSTERS)}, "may not be spike times.*mostly repeat"),
    "times and ids": ({"t": SAMPLES / 3e4, "clusters": CLUSTERS}, "clusters may not be spike"),
    "positions": ({"t": SAMPLES / 3e4, "x": RNG.uniform(0, 2, 500)}, "x may not be spike times"),
    "a parameter": ({"t": SAMPLES / 3e4, "fs": 3e4}, "fs|not plain which arrays"),
    "milliseconds": ({"a": SAMPLES / 3, "b": SAMPLES / 7}, "hardly a spike in hours"),
}


@pytest.mark.parametrize("kind", ["npz", "mat", "h5", "cells"])
@pytest.mark.parametrize(("arrays", "message"), NOT_SECONDS.values(), ids=NOT_SECONDS)
def test_numbers_that_are_no_seconds(tmp_path, arrays, message, kind):
    if kind == "npz":
        np.savez(tmp_path / "a.npz", **arrays)
    elif kind == "mat":
        scipy.io.savemat(tmp_path / "a.mat", arrays)
    elif kind == "h5":
        with h5py.File(tmp_path / "a.h5", "w") as file:
            for name, values in arrays.items():
                file[name] = values
    else:
        kind, cell = "mat", np.empty((1, len(arrays)), dtype=object)
        cell[0] = [np.atleast_2d(values) for values in arrays.values()]
        scipy.io.savemat(tmp_path / "a.mat", {"spikes": cell})
        message = "hardly|unit[01] may not|spike times of unit[01] are whole"
    with pytest.raises(DataError, match=message):
        read_spikes(tmp_path / f"a.{kind}", bin_s=0.1)


@pytest.mark.parametrize("factor", [1.0, 0.001, 1 / 30000])
def test_unit_of_time_is_the_answer(tmp_path, factor):
    times = np.unique(np.round(SAMPLES / (3e4 * factor)))
    np.save(tmp_path / "a.npy", times)
    with pytest.raises(DataError, match="whole numbers"):
        read_spikes(tmp_path / "a.npy", bin_s=1.0)
    recording = read_spikes(tmp_path / "a.npy", bin_s=1.0, time_unit_s=factor)
    assert recording.signal.sum() == len(times)
    assert 58 <= recording.sizes["time"] <= 61


@pytest.mark.parametrize("unit", [0, -1.0, np.nan])
def test_unit_of_time_is_a_duration(unit):
    with pytest.raises(DataError, match="time_unit_s is not a duration"):
        read_spikes({"a": [0.5]}, bin_s=0.1, time_unit_s=unit)


def test_column_time_s_is_in_seconds(tmp_path):
    (tmp_path / "a.csv").write_text("unit,time_s\na,1\nb,2\n")
    assert read_spikes(tmp_path / "a.csv", bin_s=1.0).signal.sum() == 2


@pytest.mark.parametrize(
    ("written", "names"),
    [
        (["2.1", "2.10", "2.2"], ["2.1", "2.10", "2.2"]),
        (["1.0", "2.0", "10.0"], ["1", "2", "10"]),
        (["01", "1", "2"], ["01", "1", "2"]),
        (["NA", "b", "c"], ["NA", "b", "c"]),
    ],
)
def test_labels_of_units_stay_as_written(tmp_path, written, names):
    rows = [f"{name},{0.15 + at}" for at, name in enumerate(written)]
    (tmp_path / "a.csv").write_text("\n".join(["unit,time", *rows]))
    found = read_spikes(tmp_path / "a.csv", bin_s=1.0).unit.values.tolist()
    assert sorted(found) == sorted(names)


def test_pynapple_group_and_its_time_support(expected):
    nap = pytest.importorskip("pynapple")
    support = nap.IntervalSet(start=[0.0, 1.0], end=[0.5, 2.0])
    whole = nap.IntervalSet(0, 2)
    trains = {n: nap.Ts(TRAINS[name], time_support=whole) for n, name in ((3, "a"), (8, "b"))}
    group = nap.TsGroup(trains, time_support=whole)
    recording = read_spikes(group, bin_s=0.1)
    assert recording.unit.values.tolist() == ["3", "8"]
    np.testing.assert_array_equal(recording.signal, expected[:, :2])
    recording = read_spikes(group.restrict(support), bin_s=0.1)
    assert recording.segment.values.tolist() == [0] * 5 + [1] * 10
    assert recording.signal.sum() == 4


def test_pynapple_counts_alike():
    nap = pytest.importorskip("pynapple")
    times = np.sort(np.random.default_rng(0).uniform(0, 20, 400))
    train = nap.Ts(times, time_support=nap.IntervalSet(0, 20))
    recording = read_spikes(train, bin_s=0.25)
    counted = train.count(0.25)
    np.testing.assert_array_equal(recording.signal[:, 0], counted.values)
    np.testing.assert_allclose(recording.time, counted.t)


def test_real_song_table(shared_data):
    (path,) = shared_data.glob("songbird_hvc/**/songbird_spikes.txt")
    table = np.loadtxt(path)
    recording = read_spikes(path, bin_s=1 / 30)
    assert recording.sizes["unit"] == len(np.unique(table[:, 0])) == 74
    assert recording.signal.sum() == len(table)
    assert recording.attrs["dropped"] == []


class Supported(dict):
    """What read_spikes takes of a pynapple TsGroup."""

    class time_support:  # noqa: N801 - pynapple's name
        start, end = np.array([0.0, 8.0]), np.array([2.0, 9.0])


@pytest.mark.parametrize(
    "options", [{}, {"start_s": 0.0, "stop_s": 12.0}, {"epochs": [(0.0, 12.0)]}]
)
def test_no_time_outside_the_support_is_binned(options):
    recording = read_spikes(Supported(a=[0.5, 8.5], b=[1.5]), bin_s=1.0, **options)
    assert recording.time.values.tolist() == [0.5, 1.5, 8.5]
    assert recording.signal.values.tolist() == [[1, 0], [0, 1], [1, 0]]


def test_names_that_are_one_as_text(tmp_path):
    with pytest.raises(DataError, match=r"unit names repeat.*\['1'\]"):
        read_spikes({1: [0.5], "1": [0.7]}, bin_s=0.1)
