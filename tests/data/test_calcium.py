import h5py
import numpy as np
import pytest
import xarray as xr

from neuroml.data import (
    bin_time,
    clean,
    delta_f_over_f,
    detect_events,
    make_recording,
    read_traces,
    subtract_neuropil,
)
from neuroml.exceptions import DataError


def test_every_format(written, signal):
    recording = read_traces(written, rate_hz=30.0, value_units="dF/F", key=("m1", "s", ""))
    np.testing.assert_array_equal(recording.signal, signal)
    assert recording.attrs["rate_hz"] == 30.0
    assert recording.attrs["value_units"] == "dF/F"
    assert recording.attrs["subject"] == "m1"
    np.testing.assert_allclose(recording.time, np.arange(12) / 30)


def test_without_rate_samples_are_counted(written):
    assert read_traces(written).attrs["time_axis"] == "samples"


def test_matlab_73_axes_are_put_back(tmp_path, matlab_73, signal):
    matlab_73(tmp_path / "a.mat", traces=signal)
    with h5py.File(tmp_path / "a.mat") as file:
        assert file["traces"].shape == (3, 12)  # what h5py shows
    np.testing.assert_array_equal(read_traces(tmp_path / "a.mat").signal, signal)


def test_units_first_like_most_files(tmp_path, signal):
    np.save(tmp_path / "a.npy", signal.T)
    recording = read_traces(tmp_path / "a.npy", units_first=True)
    np.testing.assert_array_equal(recording.signal, signal)
    with pytest.raises(DataError, match="more columns than rows"):
        read_traces(tmp_path / "a.npy")


def test_timestamps_from_the_file(tmp_path, signal):
    time = np.r_[np.arange(6), 20 + np.arange(6)] * 0.5
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["gcamp/traces"] = signal.T
        file["timing/clock"] = time
    recording = read_traces(tmp_path / "a.h5", variable="gcamp/traces", time="timing/clock")
    np.testing.assert_array_equal(recording.signal, signal)
    np.testing.assert_array_equal(recording.time, time)
    assert recording.segment.values.tolist() == [0] * 6 + [1] * 6
    assert recording.attrs["rate_hz"] == 2.0


def test_timestamps_from_a_column(tmp_path, signal):
    table = np.column_stack([np.arange(12) * 0.1, signal])
    header = "time,a,b,c"
    np.savetxt(tmp_path / "a.csv", table, delimiter=",", header=header, comments="")
    recording = read_traces(tmp_path / "a.csv", time="time")
    assert recording.unit.values.tolist() == ["a", "b", "c"]
    assert recording.attrs["rate_hz"] == pytest.approx(10.0)
    with pytest.raises(DataError, match="looks like a time axis"):
        read_traces(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("time", "message"),
    [
        (np.zeros(12), "time does not increase"),
        (np.r_[0:6, 5:11], "time does not increase"),
        (np.arange(11.0), "times do not fit the array"),
    ],
)
def test_bad_timestamps(written, time, message):
    with pytest.raises(DataError, match=message):
        read_traces(written, time=time)


@pytest.mark.parametrize("rate", [0, -1.0, np.nan])
def test_bad_rate(written, rate):
    with pytest.raises(DataError, match="rate_hz is not a frequency"):
        read_traces(written, rate_hz=rate)


def test_missing_values_and_constant_units(tmp_path, signal):
    signal[4, 0] = np.nan
    signal[:, 2] = 1
    np.save(tmp_path / "a.npy", signal)
    with pytest.raises(DataError, match="missing values"):
        read_traces(tmp_path / "a.npy")
    recording = read_traces(tmp_path / "a.npy", on_nan="drop_units")
    assert recording.unit.values.tolist() == ["unit1"]
    assert "unit0, unit2" in recording.attrs["dropped"][0]


@pytest.fixture
def suite2p(tmp_path):
    """Five regions by 60 frames, of which 0, 2 and 3 are cells."""
    rng = np.random.default_rng(0)
    arrays = {"F": rng.normal(100, 5, (5, 60)), "Fneu": rng.normal(50, 5, (5, 60))}
    arrays = {name: values.astype(np.float32) for name, values in arrays.items()}
    arrays["spks"] = rng.random((5, 60)).astype(np.float32)
    arrays["iscell"] = np.array([[1, 0.9], [0, 0.2], [1, 0.8], [1, 0.6], [0, 0.1]])
    for name, values in arrays.items():
        np.save(tmp_path / f"{name}.npy", values)
    np.save(tmp_path / "ops.npy", np.array({"fs": 30.0}, dtype=object), allow_pickle=True)
    return tmp_path, arrays


def test_suite2p(suite2p):
    folder, arrays = suite2p
    recording = read_traces(folder, rate_hz=30.0)
    assert recording.unit.values.tolist() == ["roi0", "roi2", "roi3"]
    np.testing.assert_array_equal(recording.signal, arrays["F"][[0, 2, 3]].T)
    np.testing.assert_array_equal(recording.neuropil, arrays["Fneu"][[0, 2, 3]].T)
    assert recording.attrs["dropped"] == ["2 of 5 regions that Suite2p marks as no cell"]
    assert recording.signal.dtype == np.float32


def test_suite2p_named_regions_and_deconvolved_spikes(suite2p):
    folder, arrays = suite2p
    recording = read_traces(folder, rate_hz=30.0, units=["roi4", "roi0"])
    np.testing.assert_array_equal(recording.signal, arrays["F"][[4, 0]].T)
    np.testing.assert_array_equal(recording.neuropil, arrays["Fneu"][[4, 0]].T)
    recording = read_traces(folder, rate_hz=30.0, variable="spks")
    np.testing.assert_array_equal(recording.signal, arrays["spks"][[0, 2, 3]].T)
    assert "neuropil" not in recording
    with pytest.raises(DataError, match="no such unit.*found roi9"):
        read_traces(folder, rate_hz=30.0, units=["roi9"])


def test_suite2p_needs_the_rate(suite2p):
    with pytest.raises(DataError, match="frame rate of a Suite2p folder must be given"):
        read_traces(suite2p[0])


def test_suite2p_folder_above_the_planes(suite2p, tmp_path_factory):
    above = tmp_path_factory.mktemp("suite2p")
    (above / "plane0").symlink_to(suite2p[0])
    with pytest.raises(DataError, match="found the planes plane0. Read each plane folder alone"):
        read_traces(above, rate_hz=30.0)


@pytest.mark.parametrize("name", ["Fneu", "iscell"])
def test_suite2p_files_that_do_not_fit(suite2p, name):
    folder, arrays = suite2p
    np.save(folder / f"{name}.npy", arrays[name][:4])
    with pytest.raises(DataError, match=f"{name}.npy: the file does not fit F.npy"):
        read_traces(folder, rate_hz=30.0)


def test_subtract_neuropil(suite2p):
    folder, arrays = suite2p
    recording = read_traces(folder, rate_hz=30.0)
    corrected = subtract_neuropil(recording, 0.7)
    expected = (arrays["F"] - 0.7 * arrays["Fneu"])[[0, 2, 3]].T
    np.testing.assert_allclose(corrected.signal, expected, rtol=1e-5)
    assert "neuropil" in recording and "neuropil" not in corrected
    with pytest.raises(DataError, match="no neuropil"):
        subtract_neuropil(corrected)
    with pytest.raises(DataError, match="weight is not a fraction"):
        subtract_neuropil(recording, 1.5)


def raw(values, segment=None, **attrs):
    return make_recording(values, rate_hz=10.0, modality="calcium", segment=segment, **attrs)


def test_delta_f_over_f_of_a_whole_segment():
    values = np.random.default_rng(0).uniform(50, 100, size=(40, 3))
    result = delta_f_over_f(raw(values), percentile=10)
    baseline = np.percentile(values, 10, axis=0)
    np.testing.assert_allclose(result.signal, values / baseline - 1)
    assert result.attrs["value_units"] == "dF/F"


def test_delta_f_over_f_in_a_window_is_a_running_percentile():
    values = np.random.default_rng(0).uniform(50, 100, size=(60, 2))
    result = delta_f_over_f(raw(values), percentile=50, window_s=1.1)
    for at in range(5, 55):
        baseline = np.median(values[at - 5 : at + 6], axis=0)
        np.testing.assert_allclose(result.signal[at], values[at] / baseline - 1)


@pytest.mark.parametrize("window", [None, 1.0])
def test_delta_f_over_f_does_not_see_over_a_gap(window):
    rng = np.random.default_rng(0)
    values, segment = rng.uniform(50, 100, size=(50, 2)), np.repeat([3, 8], [20, 30])
    changed = values.copy()
    changed[20:] *= 7
    one, other = (delta_f_over_f(raw(v, segment), window_s=window) for v in (values, changed))
    np.testing.assert_array_equal(one.signal[:20], other.signal[:20])
    np.testing.assert_allclose(one.signal[20:], other.signal[20:])  # relative: the factor cancels


def test_delta_f_over_f_refuses():
    good = raw(np.random.default_rng(0).uniform(1, 2, size=(10, 2)), units=["a", "b"])
    with pytest.raises(DataError, match="dF/F already"):
        delta_f_over_f(delta_f_over_f(good))
    with pytest.raises(DataError, match="not above zero.*1 units, such as b"):
        delta_f_over_f(good.assign(signal=good.signal - xr.DataArray([0, 5.0], dims="unit")))
    with pytest.raises(DataError, match="not a percentile"):
        delta_f_over_f(good, percentile=120)
    with pytest.raises(DataError, match="window is shorter than a sample"):
        delta_f_over_f(good, window_s=0.01)


def test_real_suite2p(shared_data):
    folder = shared_data / "nwb_small" / "suite2p" / "plane0"
    recording = read_traces(folder, rate_hz=30.0)
    is_cell = np.load(folder / "iscell.npy")[:, 0] > 0
    np.testing.assert_array_equal(recording.signal, np.load(folder / "F.npy")[is_cell].T)
    everyone = [f"roi{i}" for i in range(219)]
    with pytest.raises(DataError, match="47 of 219 units"):
        read_traces(folder, rate_hz=30.0, units=everyone)


def test_real_matlab_73(shared_data):
    path = shared_data / "patmap_ensembles" / "drifting_gratings" / "visual_cortex_data.mat"
    assert read_traces(path, on_nan="keep").signal.shape == (1291, 218)


def test_real_worm_with_its_clock(shared_data):
    path = min(shared_data.glob("celegans_neuropal/**/*-data.h5"))
    clock = "timing/timestamp_confocal"
    recording = read_traces(path, variable="gcamp/trace_array", time=clock, value_units="z")
    assert recording.sizes["time"] == 800
    assert recording.attrs["rate_hz"] == pytest.approx(1 / 0.6, rel=0.01)
    assert not recording.segment.any()


@pytest.mark.parametrize("name", ["Time Stamp (ms)", "time_ms", "frame", "Timestamps [us]"])
def test_clock_that_is_not_in_seconds(tmp_path, signal, name):
    table = np.column_stack([np.arange(12) * 50.0, signal])
    header = f"{name},a,b,c"
    np.savetxt(tmp_path / "a.csv", table, delimiter=",", header=header, comments="")
    with pytest.raises(DataError, match="not in seconds, by their name.*values / 1000"):
        read_traces(tmp_path / "a.csv", time=name)


def test_clock_that_is_too_slow_for_seconds(tmp_path, signal):
    time = np.arange(12) * 50.0
    np.savez(tmp_path / "a.npz", traces=signal, time=time)
    with pytest.raises(DataError, match="may be milliseconds or frames.*rate_hz="):
        read_traces(tmp_path / "a.npz", time="time")
    recording = read_traces(tmp_path / "a.npz", time="time", rate_hz=0.02)
    np.testing.assert_array_equal(recording.time, time)


def test_units_first_of_a_folder_of_suite2p(suite2p):
    with pytest.raises(DataError, match="says itself which axis is time"):
        read_traces(suite2p[0], rate_hz=30.0, units_first=True)


def test_a_suite2p_folder_without_a_rate_counts_samples_or_takes_timestamps(tmp_path):
    np.save(tmp_path / "F.npy", np.random.default_rng(0).normal(100, 5, (3, 50)))
    recording = read_traces(tmp_path, time_axis="samples")
    assert recording.attrs["time_axis"] == "samples" and recording.attrs["rate_hz"] is None
    recording = read_traces(tmp_path, time=np.r_[0:25, 100:125] / 30)
    assert recording.attrs["rate_hz"] == pytest.approx(30)
    assert len(np.unique(recording["segment"])) == 2
    with pytest.raises(DataError, match="time_axis is for recordings whose rate is not known"):
        read_traces(tmp_path, time_axis="samples", rate_hz=30.0)
    with pytest.raises(DataError, match="time_axis is for recordings.*'samples'.*'frames'"):
        read_traces(tmp_path, time_axis="frames")


@pytest.mark.parametrize(
    ("step", "options"),
    [
        (delta_f_over_f, {}),
        (clean, {"detrend": True}),
        (clean, {"standardize": True}),
        (detect_events, {}),
    ],
)
def test_neuropil_is_not_subtracted_from_a_signal_on_another_scale(step, options):
    rng = np.random.default_rng(0)
    halo = xr.DataArray(rng.random((200, 2)), dims=("time", "unit"))
    units = {"value_units": "dF/F"} if step is detect_events else {}
    recording = make_recording(
        10 + rng.random((200, 2)),
        modality="calcium",
        rate_hz=10.0,
        variables={"neuropil": halo},
        **units,
    )
    with pytest.raises(DataError, match="no neuropil.*Subtract it before any other step"):
        subtract_neuropil(step(recording.assign_attrs(decay_s=0.5), **options))


@pytest.mark.parametrize("how", ["mean", "sum"])
def test_bins_and_neuropil_in_either_order(how):
    rng = np.random.default_rng(0)
    halo = xr.DataArray(rng.random((20, 2)), dims=("time", "unit"))
    recording = make_recording(
        10 + rng.random((20, 2)), modality="calcium", rate_hz=10.0, variables={"neuropil": halo}
    )
    first = bin_time(subtract_neuropil(recording), bin_s=0.5, how=how)
    np.testing.assert_allclose(
        subtract_neuropil(bin_time(recording, bin_s=0.5, how=how)).signal, first.signal
    )
