import sys
from datetime import UTC, datetime

import h5py
import numpy as np
import pytest

from neuroml.data import describe_file, read_spikes, read_traces
from neuroml.exceptions import DataError


@pytest.fixture
def nwb(tmp_path):
    """Three spiking units, and two fluorescence series of four regions."""
    pynwb = pytest.importorskip("pynwb")
    from pynwb.ophys import Fluorescence, ImageSegmentation, OpticalChannel, RoiResponseSeries

    file = pynwb.NWBFile("test", "id", datetime(2020, 1, 1, tzinfo=UTC))
    trains = [np.array([0.1, 0.25, 0.9]), np.array([]), np.array([0.5])]
    for train in trains:
        file.add_unit(spike_times=train)
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
    for at in range(4):
        regions.add_roi(pixel_mask=[(at, at, 1.0)], id=10 + at)
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
    path = tmp_path / "session.nwb"
    with pynwb.NWBHDF5IO(str(path), "w") as io:
        io.write(file)
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
