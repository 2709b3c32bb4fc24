"""Samples to bins: what is summed, averaged, left out and refused."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from neuroml.data import bin_time, make_recording, read_spikes
from neuroml.exceptions import DataError


def traces(n_times=10, n_units=3, **options):
    values = np.random.default_rng(0).normal(size=(n_times, n_units))
    options = {"rate_hz": 10.0, "modality": "calcium", "value_units": "dF/F"} | options
    return make_recording(values, **options)


def test_counts_of_wide_bins_are_those_of_the_spikes():
    """Joining bins is binning anew."""
    rng = np.random.default_rng(1)
    trains = {name: np.sort(rng.uniform(0, 12, 200)) for name in "abc"}
    fine = read_spikes(trains, bin_s=0.05, start_s=0, stop_s=12)
    for bin_s in (0.05, 0.1, 0.35, 1.0, 5.0):
        wide = bin_time(fine, bin_s=bin_s, how="sum")
        expected = read_spikes(trains, bin_s=bin_s, start_s=0, stop_s=12)
        np.testing.assert_array_equal(wide.signal, expected.signal)
        np.testing.assert_allclose(wide.time, expected.time, atol=1e-9)
        assert wide.attrs["rate_hz"] == pytest.approx(1 / bin_s)


def test_traces_are_averaged_with_what_stands_beside_them():
    side = pd.DataFrame({"speed": np.arange(10.0)})
    recording = traces(covariates=side, confounds=side.rename(columns={"speed": "motion"}))
    recording = recording.assign(neuropil=recording.signal + 1, label=("time", list("aabbccddee")))
    binned = bin_time(recording, bin_s=0.3)
    np.testing.assert_allclose(
        binned.signal, recording.signal.values[:9].reshape(3, 3, 3).mean(axis=1)
    )
    np.testing.assert_allclose(binned.neuropil, binned.signal + 1)
    assert binned.covariates.values.ravel().tolist() == [1, 4, 7]
    assert binned.confounds.values.ravel().tolist() == [1, 4, 7]
    np.testing.assert_allclose(binned.time, [0.1, 0.4, 0.7])
    assert binned.attrs["dropped"] == [
        "1 samples at the ends of segments, which fill no bin",
        "the variables 'label', which have no mean over time",
    ]
    assert "label" not in binned
    assert recording.sizes["time"] == 10


def test_covariates_of_counts_are_averaged():
    counts = make_recording(
        np.ones((4, 1)),
        rate_hz=1.0,
        modality="spikes",
        value_units="count",
        covariates=pd.DataFrame({"speed": [1.0, 3.0, 5.0, 9.0]}),
    )
    binned = bin_time(counts, bin_s=2, how="sum")
    assert binned.signal.values.ravel().tolist() == [2, 2]
    assert binned.covariates.values.ravel().tolist() == [2, 7]


def test_bins_do_not_cross_segments():
    segment = [4, 4, 4, 4, 4, 7, 2, 2, 2, 2]
    time = np.r_[np.arange(5) / 10, 3.0, 5 + np.arange(4) / 10]
    recording = traces(segment=segment, time=time)
    binned = bin_time(recording, bin_s=0.2)
    assert binned.segment.values.tolist() == [4, 4, 2, 2]
    np.testing.assert_allclose(binned.time, [0.05, 0.25, 5.05, 5.25])
    assert "2 samples at the ends" in binned.attrs["dropped"][0]


@pytest.mark.parametrize("how", ["mean", "sum"])
def test_what_is_missing_stays_missing(how):
    recording = traces(value_units="")
    values = recording.signal.values.copy()
    values[3, 0] = np.nan
    values[:, 2] = np.nan
    binned = bin_time(recording.assign(signal=(("time", "unit"), values)), bin_s=0.2, how=how)
    np.testing.assert_array_equal(
        np.isnan(binned.signal), np.column_stack([np.arange(5) == 1, np.zeros(5), np.ones(5)])
    )


def test_units_and_the_clock_do_not_matter():
    recording = traces()
    binned = bin_time(recording, bin_s=0.5)
    order = [2, 0, 1]
    xr.testing.assert_identical(
        bin_time(recording.isel(unit=order), bin_s=0.5), binned.isel(unit=order)
    )
    later = bin_time(recording.assign_coords(time=recording.time + 64.0), bin_s=0.5)
    np.testing.assert_array_equal(later.signal, binned.signal)
    np.testing.assert_allclose(later.time, binned.time + 64.0)


def test_bins_of_bins_are_wide_bins():
    counts = traces(12).assign_attrs(value_units="count")
    twice = bin_time(bin_time(counts, bin_s=0.2, how="sum"), bin_s=0.6, how="sum")
    once = bin_time(counts, bin_s=0.6, how="sum")
    np.testing.assert_allclose(twice.signal, once.signal)
    np.testing.assert_allclose(twice.time, once.time)


def test_one_sample_and_one_unit():
    one = traces(1, 1)
    xr.testing.assert_identical(bin_time(one, bin_s=0.1), one)


@pytest.mark.parametrize(
    ("options", "bin_s", "how", "message"),
    [
        ({"value_units": "count"}, 0.2, "mean", "cannot be averaged.*Pass how='sum'"),
        ({"value_units": "", "modality": "spikes"}, 0.2, "mean", "expected how='sum'"),
        ({}, 0.2, "sum", "the sum of a trace.*for a signal in dF/F. Pass how='mean'"),
        ({}, 0.2, "median", "unknown way to join"),
        ({}, 0.25, "mean", "2.5 samples at 10 Hz.*0.2 s and 0.3 s"),
        ({}, 0.04, "mean", "0.4 samples at 10 Hz.*nearest widths are 0.1 s"),
        ({}, 0.0, "mean", "not a duration"),
        ({}, np.nan, "mean", "not a duration"),
        ({}, 2.0, "mean", "no segment is as long.*20 samples or more; found 10"),
        ({"rate_hz": None}, 1.0, "mean", "need a sampling rate.*time in samples"),
        ({"time_axis": "trials"}, 1.0, "mean", "time in trials"),
    ],
)
def test_what_is_refused(options, bin_s, how, message):
    with pytest.raises(DataError, match=message):
        bin_time(traces(key=("m1", "", ""), **options), bin_s=bin_s, how=how)


def test_a_rate_that_is_not_round_takes_a_rounded_width():
    recording = traces(rate_hz=30.03)
    assert bin_time(recording, bin_s=0.1).sizes["time"] == 3
    assert bin_time(recording, bin_s=3 / 30.03).attrs["rate_hz"] == pytest.approx(10.01)
