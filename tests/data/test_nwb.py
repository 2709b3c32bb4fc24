import sys
from datetime import UTC, datetime

import h5py
import numpy as np
import pytest

from neuroml.data import describe_file, read_spikes, read_traces
from neuroml.exceptions import DataError


def empty_file():
    pynwb = pytest.importorskip("pynwb")
    return pynwb.NWBFile("test", "id", datetime(2020, 1, 1, tzinfo=UTC))


def saved(file, path):
    from pynwb import NWBHDF5IO

    with NWBHDF5IO(str(path), "w") as io:
        io.write(file)
    return path


def add_regions(file, ids=(10, 11, 12, 13)):
    """A module with a table of regions."""
    from pynwb.ophys import ImageSegmentation, OpticalChannel

    device = file.create_device("scope")
    channel = OpticalChannel(name="green", description="green light", emission_lambda=500.0)
    plane = file.create_imaging_plane(
        name="plane",
        optical_channel=channel,
        description="plane",
        device=device,
        excitation_lambda=600.0,
        indicator="GCaMP6f",
        location="V1",
    )
    module = file.create_processing_module("ophys", "calcium")
    segmentation = ImageSegmentation()
    module.add(segmentation)
    regions = segmentation.create_plane_segmentation("regions", plane, name="regions")
    for at, name in enumerate(ids):
        regions.add_roi(pixel_mask=[(at, at, 1.0)], id=name)
    return module, regions


@pytest.fixture
def nwb(tmp_path):
    """Three spiking units, and two fluorescence series of four regions."""
    file = empty_file()
    from pynwb.ophys import Fluorescence, RoiResponseSeries

    trains = [np.array([0.1, 0.25, 0.9]), np.array([]), np.array([0.5])]
    for train in trains:
        file.add_unit(spike_times=train)
    module, regions = add_regions(file)
    values = np.random.default_rng(0).normal(size=(20, 3))
    time = np.r_[0:10, 30:40] * 0.1
    clocks = {
        "steady": {"unit": "lumens", "rate": 30.0, "starting_time": 5.0, "conversion": 2.0},
        "gappy": {"unit": "dF/F", "timestamps": time},
    }
    fluorescence = Fluorescence()
    module.add(fluorescence)
    for name, clock in clocks.items():
        rois = regions.create_roi_table_region(description="some", region=[3, 0, 1])
        fluorescence.add_roi_response_series(
            RoiResponseSeries(name=name, data=values, rois=rois, **clock)
        )
    path = saved(file, tmp_path / "session.nwb")
    return path, trains, values, time


def test_series_with_a_rate(nwb):
    path, _, values, _ = nwb
    recording = read_traces(path, variable="steady")
    np.testing.assert_allclose(recording.signal, 2 * values)
    assert recording.unit.values.tolist() == ["roi13", "roi10", "roi11"]
    assert recording.attrs["value_units"] == "lumens"
    assert recording.attrs["rate_hz"] == pytest.approx(30.0)
    assert recording.time[0] == 5.0


def test_series_with_timestamps_and_a_gap(nwb):
    path, _, values, time = nwb
    recording = read_traces(path, variable="gappy", units=["roi11"])
    np.testing.assert_array_equal(recording.signal[:, 0], values[:, 2])
    np.testing.assert_array_equal(recording.time, time)
    assert recording.segment.values.tolist() == [0] * 10 + [1] * 10
    with pytest.raises(DataError, match="rate contradicts"):
        read_traces(path, variable="gappy", rate_hz=30.0)


def test_several_series_must_be_named(nwb):
    with pytest.raises(DataError, match="2 series.*steady, gappy|2 series.*gappy, steady"):
        read_traces(nwb[0])
    with pytest.raises(DataError, match="field other: no series"):
        read_traces(nwb[0], variable="other")


def test_units_table(nwb):
    path, _, _, _ = nwb
    recording = read_spikes(path, bin_s=0.5, start_s=0.0, stop_s=1.0)
    assert recording.unit.values.tolist() == ["0", "1", "2"]
    assert recording.signal.values.tolist() == [[2, 0, 0], [1, 0, 1]]


def test_damage(nwb):
    path = nwb[0]
    with h5py.File(path, "r+") as file:
        del file["units/spike_times_index"]
    with pytest.raises(DataError, match="session.nwb: this cannot be read as an NWB file"):
        read_spikes(path, bin_s=0.5)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DataError, match="cannot be read as an NWB file"):
        read_traces(path)


def test_missing_package_names_the_command(tmp_path, monkeypatch):
    (tmp_path / "a.nwb").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "pynwb", None)
    with pytest.raises(ImportError, match=r"pip install 'neuroml-learn\[nwb\]'"):
        read_traces(tmp_path / "a.nwb")


def test_real_units(shared_data):
    folder = shared_data / "nwb_small"
    recording = read_spikes(folder / "A8604-211122.nwb", bin_s=1.0)
    assert recording.sizes["unit"] == 3
    assert recording.signal.sum() == 21354
    with pytest.raises(DataError, match="none in the file"):
        read_traces(folder / "A8604-211122.nwb")
    recording = read_spikes(folder / "derived" / "linear_track.nwb", bin_s=1.0)
    assert recording.sizes["unit"] == 31
    assert recording.signal.sum() == 28829


@pytest.mark.parametrize("fault", ["no clock", "no such region", "short clock"])
def test_a_series_that_cannot_be_read_is_left_out_with_a_reason(nwb, fault):
    path, _, values, _ = nwb
    with h5py.File(path, "r+") as file:
        series = file["processing/ophys/Fluorescence/gappy"]
        if fault == "no clock":
            del series["timestamps"]
        elif fault == "short clock":
            del series["timestamps"]
            series["timestamps"] = np.arange(4.0)
        else:
            series["rois"][...] = [3, 0, 7]
    recording = read_traces(path)
    np.testing.assert_allclose(recording.signal, 2 * values)
    assert "series 'gappy', which cannot be read" in recording.attrs["dropped"][0]
    with pytest.raises(DataError, match="gappy"):
        read_traces(path, variable="gappy")
    assert "'gappy' cannot be read and is left out" in describe_file(path).problems[0]


def add_series(file, module, regions, values, names, region=(3, 0, 1)):
    """One series of some regions per (container, name)."""
    from pynwb.ophys import Fluorescence, RoiResponseSeries

    for (container, name), data in zip(names, values, strict=True):
        held = module.data_interfaces.get(container) or module.add(Fluorescence(name=container))
        rois = regions.create_roi_table_region(description="some", region=[*region])
        held.add_roi_response_series(
            RoiResponseSeries(name=name, data=data, rois=rois, unit="a.u.", rate=10.0)
        )


def test_series_of_one_name_in_several_containers(tmp_path):
    file = empty_file()
    module, regions = add_regions(file)
    values = np.random.default_rng(0).normal(size=(3, 20, 3))
    names = [("Fluorescence", "plane0"), ("Deconvolved", "plane0"), ("Deconvolved", "other")]
    add_series(file, module, regions, values, names)
    path = saved(file, tmp_path / "a.nwb")
    for given in (None, "plane0"):
        with pytest.raises(DataError, match="Fluorescence/plane0.*Pass variable="):
            read_traces(path, variable=given)
    for at, name in enumerate(("Fluorescence/plane0", "Deconvolved/plane0", "other")):
        np.testing.assert_array_equal(read_traces(path, variable=name).signal, values[at])
    np.testing.assert_array_equal(read_traces(path, variable="Deconvolved/other").signal, values[2])
    report = describe_file(path)
    assert report.ok and sum("returns 20 times x 3 units" in fact for fact in report.facts) == 3


@pytest.mark.parametrize("damaged", ["Fluorescence", "Deconvolved"])
def test_a_damaged_series_does_not_stand_for_its_namesake(tmp_path, damaged):
    file = empty_file()
    module, regions = add_regions(file)
    values = np.random.default_rng(0).normal(size=(2, 20, 3))
    add_series(file, module, regions, values, [("Fluorescence", "s"), ("Deconvolved", "s")])
    path = saved(file, tmp_path / "a.nwb")
    with h5py.File(path, "r+") as stored:
        del stored[f"processing/ophys/{damaged}/s/starting_time"]
    with pytest.raises(DataError, match=f"no series.*{damaged}/s"):
        read_traces(path, variable=f"{damaged}/s")
    with pytest.raises(DataError, match="series of regions of interest to choose from"):
        read_traces(path, variable="s")
    kept = read_traces(path)
    np.testing.assert_array_equal(kept.signal, values[int(damaged == "Fluorescence")])
    assert f"series '{damaged}/s', which cannot be read" in kept.attrs["dropped"][0]


def test_ids_that_repeat_lose_no_unit(tmp_path):
    file = empty_file()
    trains = [np.arange(n) / 10 + 0.05 for n in (3, 4, 5, 6)]
    for train, unit in zip(trains, (0, 1, 0, 1), strict=True):
        file.add_unit(spike_times=train, id=unit)
    module, regions = add_regions(file, ids=(7, 8, 7, 7))
    values = np.random.default_rng(0).normal(size=(1, 20, 3))
    add_series(file, module, regions, values, [("Fluorescence", "s")])
    path = saved(file, tmp_path / "a.nwb")
    spikes = read_spikes(path, bin_s=1.0, start_s=0.0, stop_s=1.0)
    assert spikes.signal.values.tolist() == [[3, 4, 5, 6]]
    assert spikes.unit.values.tolist() == ["row0", "row1", "row2", "row3"]
    traces = read_traces(path)
    assert traces.unit.values.tolist() == ["row3", "row0", "row1"]
    for recording in (spikes, traces):
        assert "the ids of the table repeat" in recording.attrs["dropped"][0]


@pytest.mark.parametrize(
    ("column", "flags"),
    [
        ("iscell", [[1.0, 0.9], [0.0, 0.2], [1.0, 0.9], [1.0, 0.7]]),
        ("Accepted", [1, 0, 1, 1]),
        ("accepted", [True, False, True, True]),
    ],
)
def test_regions_that_are_no_cells_are_left_out_and_told(tmp_path, column, flags):
    file = empty_file()
    module, regions = add_regions(file)
    regions.add_column(name=column, description="cells", data=flags)
    values = np.random.default_rng(0).normal(size=(1, 20, 3))
    add_series(file, module, regions, values, [("Fluorescence", "s")])
    path = saved(file, tmp_path / "a.nwb")
    cells = read_traces(path)
    assert cells.unit.values.tolist() == ["roi13", "roi10"]
    np.testing.assert_array_equal(cells.signal, values[0, :, :2])
    assert cells.attrs["dropped"] == ["1 of 3 regions that the file marks as no cell"]
    assert read_traces(path, units=["roi11"]).unit.values.tolist() == ["roi11"]


def observed_file(path, intervals, spikes=(0.5, 1.5, 8.5)):
    file = empty_file()
    for unit in intervals:
        file.add_unit(spike_times=np.array(spikes), obs_intervals=np.array(unit, dtype=float))
    return saved(file, path)


def test_time_in_which_nothing_was_observed_is_no_silence(tmp_path):
    path = observed_file(tmp_path / "a.nwb", [[[0, 2], [8, 9.5]]] * 2)
    for options in ({}, {"start_s": 0.0, "stop_s": 20.0}, {"epochs": [(0.0, 4.0), (5.0, 9.5)]}):
        recording = read_spikes(path, bin_s=1.0, **options)
        assert recording.time.values.tolist() == [0.5, 1.5, 8.5]
        assert recording.segment.values.tolist() == [0, 0, 1]
        assert recording.signal.values.tolist() == [[1, 1]] * 3
    with pytest.raises(DataError, match="nothing was observed in the stretches"):
        read_spikes(path, bin_s=1.0, start_s=3.0, stop_s=7.0)


def test_bins_that_one_unit_missed_are_missing(tmp_path):
    path = observed_file(tmp_path / "a.nwb", [[[0, 10]], [[0, 2], [8.5, 10]]])
    recording = read_spikes(path, bin_s=1.0)
    assert np.flatnonzero(np.isnan(recording.signal.values[:, 1])).tolist() == [2, 3, 4, 5, 6, 7, 8]
    assert recording.signal.values[:, 0].tolist() == [1, 1, 0, 0, 0, 0, 0, 0, 1, 0]
    assert "7 of 20 counts are missing (NaN)" in recording.attrs["dropped"][-1]
    assert "1 of 6 spikes outside the bins" in recording.attrs["dropped"][0]


def test_stretches_shorter_than_a_bin_are_told(tmp_path):
    path = observed_file(tmp_path / "a.nwb", [[[0, 2], [4, 4.5], [8, 9]]])
    recording = read_spikes(path, bin_s=1.0)
    assert recording.sizes["time"] == 3
    assert recording.attrs["dropped"] == ["1 observed stretches shorter than a bin"]


def test_intervals_in_the_time_unit_of_the_spikes(tmp_path):
    path = observed_file(tmp_path / "a.nwb", [[[0, 2000], [8000, 9000]]], (500.0, 1500.0, 8500.0))
    recording = read_spikes(path, bin_s=1.0, time_unit_s=1e-3)
    assert recording.time.values.tolist() == [0.5, 1.5, 8.5]


def test_intervals_that_make_no_sense(tmp_path):
    path = observed_file(tmp_path / "a.nwb", [[[2, 1]]])
    with pytest.raises(DataError, match="obs_intervals: an interval does not end after it starts"):
        read_spikes(path, bin_s=1.0)


def test_units_that_the_reader_refuses_are_a_problem_beside_good_traces(nwb, tmp_path):
    file = empty_file()
    file.add_unit(spike_times=np.arange(1.0, 40.0) * 100)
    module, regions = add_regions(file)
    values = np.random.default_rng(0).normal(size=(1, 20, 3))
    add_series(file, module, regions, values, [("Fluorescence", "s")])
    report = describe_file(saved(file, tmp_path / "b.nwb"))
    assert "whole numbers" in report.problems[0]
    assert describe_file(nwb[0]).ok


def test_times_that_the_file_calls_invalid_are_told(tmp_path):
    file = empty_file()
    file.add_unit(spike_times=np.array([0.5, 2.5, 9.25]))
    module, regions = add_regions(file)
    values = np.random.default_rng(0).normal(size=(1, 20, 3))
    add_series(file, module, regions, values, [("Fluorescence", "s")])
    file.add_invalid_time_interval(start_time=2.0, stop_time=3.0)
    path = saved(file, tmp_path / "a.nwb")
    for recording in (read_spikes(path, bin_s=1.0), read_traces(path)):
        assert recording.attrs["dropped"] == [
            "nothing: the file's invalid_times (1: 2 to 3 s) are kept"
        ]


@pytest.mark.parametrize("shape", [(50,), (50, 1)], ids=str)
def test_a_single_region(tmp_path, shape):
    file = empty_file()
    module, regions = add_regions(file, ids=(10,))
    values = np.random.default_rng(0).normal(size=shape)
    add_series(file, module, regions, [values], [("Fluorescence", "F")], region=[0])
    found = read_traces(saved(file, tmp_path / "a.nwb"))
    np.testing.assert_array_equal(found.signal.values, values.reshape(-1, 1))
