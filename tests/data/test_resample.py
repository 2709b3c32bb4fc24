import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.interpolate import CubicSpline
from scipy.signal import welch

from neuroml.data import make_recording, resample_to
from neuroml.exceptions import DataError


def recorded(n_times=20, rate_hz=0.5, **options):
    values = np.arange(2.0 * n_times).reshape(n_times, 2)
    options = {"modality": "fmri", **options}
    return make_recording(values, rate_hz=rate_hz, **options)


def waves(frequencies, rate_hz, n_times, start=0.0, **options):
    time = start + np.arange(n_times) / rate_hz
    values = np.column_stack([np.sin(2 * np.pi * f * time) for f in frequencies])
    return make_recording(values, rate_hz=rate_hz, time=time, modality="calcium", **options)


def test_resampling_up_keeps_slow_waves():
    slow = waves([0.05, 0.1], 1.0, 100)
    fast = waves([1.0], 7.0, 600, start=3.1)
    result = resample_to(slow, fast)
    expected = np.sin(2 * np.pi * np.array([0.05, 0.1]) * fast.time.values[:, None])
    np.testing.assert_allclose(result.signal, expected, atol=0.01)
    np.testing.assert_array_equal(result.time, fast.time)
    assert result.attrs["rate_hz"] == 7.0
    assert result.unit.values.tolist() == slow.unit.values.tolist()


def test_resampling_down_removes_what_would_alias():
    fast = waves([0.1, 0.9], 10.0, 2000)
    slow = waves([0.1], 1.0, 200)
    result = resample_to(fast, slow).signal.values[20:-20]
    np.testing.assert_allclose(result[:, 0], slow.signal.values[20:-20, 0], atol=0.01)
    assert np.abs(result[:, 1]).max() < 0.01
    naive = fast.signal.values[::10][20:-20, 1]
    assert np.abs(naive).max() > 0.5  # at 0.1 Hz, where there is nothing


def test_resampling_down_keeps_the_spectrum_below():
    rng = np.random.default_rng(0)
    fast = make_recording(rng.normal(size=(20000, 1)), rate_hz=20.0, modality="calcium")
    slow = make_recording(np.zeros((5000, 1)), rate_hz=5.0, modality="calcium")
    at, power = welch(resample_to(fast, slow).signal.values[:, 0], 5.0, nperseg=512)
    _, before = welch(fast.signal.values[:, 0], 20.0, nperseg=2048)
    ratio = power / before[: len(power)]
    assert ratio[(at > 0.1) & (at < 1.5)] == pytest.approx(1.0, abs=0.1)


def test_same_axis_changes_nothing():
    recording = waves([0.1, 0.3], 2.0, 60)
    np.testing.assert_allclose(resample_to(recording, recording).signal, recording.signal)


def test_resampling_never_crosses_a_gap():
    rng = np.random.default_rng(0)
    time, segment = np.r_[0:50, 70:120] * 1.0, np.repeat([0, 1], 50)
    options = {"time": time, "rate_hz": 1.0, "segment": segment, "modality": "calcium"}
    values = rng.normal(size=(100, 2))
    reference = make_recording(np.zeros((240, 1)), rate_hz=2.0, modality="calcium")
    result = resample_to(make_recording(values, **options), reference)
    alone = CubicSpline(time[:50], values[:50], axis=0)(reference.time.values[:99])
    np.testing.assert_allclose(result.signal[:99], alone)
    assert np.isnan(result.signal[99:140]).all()
    assert np.isfinite(result.signal[140:239]).all()
    assert result.attrs["dropped"] == ["42 of 240 samples of the reference are not covered"]
    assert np.flatnonzero(np.diff(result.segment)).tolist() == [98, 139, 238]
    values[50:] = 1e9
    changed = resample_to(make_recording(values, **options), reference)
    np.testing.assert_array_equal(changed.signal[:99], result.signal[:99])


def test_gap_between_two_neighbors_breaks_the_segment():
    time = np.r_[0:20, 20.5:40]
    recording = make_recording(
        np.random.default_rng(0).normal(size=(40, 1)),
        time=time,
        rate_hz=1.0,
        segment=np.repeat([0, 1], 20),
        modality="calcium",
    )
    reference = make_recording(np.zeros((39, 1)), rate_hz=1.0, modality="calcium")
    result = resample_to(recording, reference)
    assert np.isnan(result.signal[20]).all()
    assert result.segment.values.tolist() == [0] * 20 + [1] + [2] * 18


def test_side_tables_go_along():
    confounds = pd.DataFrame({"x": np.arange(50.0)})
    recording = recorded(50, rate_hz=1.0, confounds=confounds, covariates=confounds * 2)
    recording = recording.assign(outlier=xr.DataArray(np.zeros(50, dtype=bool), dims="time"))
    result = resample_to(recording, recorded(40, rate_hz=2.0))
    np.testing.assert_allclose(result.confounds[:, 0], np.arange(40) / 2, atol=1e-9)
    np.testing.assert_allclose(result.covariates[:, 0], np.arange(40.0), atol=1e-9)
    assert "outlier" not in result


def test_absent_units_stay_absent():
    recording = recorded(30)
    recording.signal[:, 1] = np.nan
    result = resample_to(recording, recorded(20, rate_hz=1.0)).signal
    assert np.isnan(result[:, 1]).all() and np.isfinite(result[:, 0]).all()


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        (recorded(modality="spikes"), recorded(), "counts cannot be resampled"),
        (recorded(), recorded(time=1000.0 + np.arange(20)), "do not overlap in time"),
        (recorded(10, rate_hz=10.0), recorded(20, rate_hz=1.0), "too short to filter"),
        (recorded(rate_hz=None, time=np.arange(20.0)), recorded(), "both recordings need a rate"),
    ],
)
def test_resampling_refuses(one, other, message):
    with pytest.raises(DataError, match=message):
        resample_to(one, other)


def test_missing_values_are_not_smeared():
    recording = recorded()
    recording.signal[3, 0] = np.nan
    with pytest.raises(DataError, match="values are missing"):
        resample_to(recording, recorded(rate_hz=1.0))
