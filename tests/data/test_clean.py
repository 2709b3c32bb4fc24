import nilearn.signal
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.signal import detrend as scipy_detrend
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neuroml.data import SessionKFold, clean, make_recording, stack
from neuroml.exceptions import DataError

TR = 2.0
SEGMENT = np.repeat([4, 1, 9], [100, 80, 120])


@pytest.fixture
def confounds():
    return pd.DataFrame(np.random.default_rng(7).normal(size=(300, 3)), columns=["x", "y", "wm"])


@pytest.fixture
def recording(confounds):
    """Three segments of random walks with confounds, as they come from a scanner."""
    values = 500 + np.cumsum(np.random.default_rng(3).normal(size=(300, 4)), axis=0)
    values += confounds.to_numpy() @ np.random.default_rng(4).normal(size=(3, 4))
    return make_recording(
        values, rate_hz=1 / TR, modality="fmri", confounds=confounds, segment=SEGMENT
    )


def parts(recording):
    return [recording.isel(time=SEGMENT == number) for number in (4, 1, 9)]


OPTIONS = [
    {},
    {"detrend": False},
    {"high_pass_hz": 0.01, "low_pass_hz": 0.1},
    {"low_pass_hz": 0.1, "confounds": False},
    {"high_pass_hz": 0.008, "confounds": ["wm"]},
    {"standardize": True, "high_pass_hz": 0.01},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_each_segment_as_nilearn_cleans_it(recording, confounds, options):
    cleaned = clean(recording, **options)
    chosen = options.get("confounds", True)
    names = list(confounds) if chosen is True else chosen or []
    for number in (4, 1, 9):
        rows = number == SEGMENT
        expected = nilearn.signal.clean(
            recording.signal.values[rows],
            confounds=confounds.loc[rows, names].to_numpy() if names else None,
            detrend=options.get("detrend", True),
            high_pass=options.get("high_pass_hz"),
            low_pass=options.get("low_pass_hz"),
            t_r=TR,
            standardize="zscore_sample" if options.get("standardize") else None,
        )
        np.testing.assert_allclose(cleaned.signal.values[rows], expected, atol=1e-8)


@pytest.mark.parametrize("options", OPTIONS)
def test_segments_together_or_alone_are_the_same(recording, options):
    together = clean(recording, **options).signal.values
    alone = np.concatenate([clean(part, **options).signal.values for part in parts(recording)])
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("options", OPTIONS)
def test_nothing_leaks_from_one_segment_into_another(recording, options):
    """The last segment, were it test data, leaves the others bit for bit as they were."""
    changed = recording.copy(deep=True)
    changed.signal[SEGMENT == 9] = 1e6 * np.random.default_rng(0).normal(size=(120, 4))
    changed.confounds[SEGMENT == 9] = np.random.default_rng(1).normal(size=(120, 3))
    one, other = (clean(r, **options).signal.values for r in (recording, changed))
    np.testing.assert_array_equal(one[SEGMENT != 9], other[SEGMENT != 9])
    assert (one[SEGMENT == 9] != other[SEGMENT == 9]).any()


def test_scaling_in_a_pipeline_is_fitted_on_training_sessions_only(recording):
    arrays = stack([clean(recording)])
    y = np.random.default_rng(0).integers(0, 2, len(arrays.X))
    model = make_pipeline(StandardScaler(), LogisticRegression())
    options = {"cv": SessionKFold(3), "groups": arrays.sessions, "return_estimator": True}
    folds = list(SessionKFold(3).split(arrays.X, groups=arrays.sessions))
    fitted = cross_validate(model, arrays.X, y, **options)["estimator"]
    for number, (train, test) in enumerate(folds):
        np.testing.assert_allclose(fitted[number][0].mean_, arrays.X[train].mean(axis=0))
        wild = arrays.X.copy()
        wild[test] = 1e9
        again = cross_validate(model, wild, y, **options)["estimator"][number]
        np.testing.assert_array_equal(again[0].scale_, fitted[number][0].scale_)
        np.testing.assert_array_equal(again[1].coef_, fitted[number][1].coef_)


def test_shift_and_scale_of_units(recording):
    options = {"high_pass_hz": 0.01, "low_pass_hz": 0.1}
    moved = recording.assign(signal=3 * recording.signal + 100)
    np.testing.assert_allclose(
        clean(moved, **options).signal, 3 * clean(recording, **options).signal, atol=1e-7
    )
    swapped = recording.isel(unit=[2, 0, 3, 1])
    np.testing.assert_allclose(
        clean(swapped, **options).signal,
        clean(recording, **options).signal.isel(unit=[2, 0, 3, 1]),
        atol=1e-9,
    )


def test_line_goes_and_confounds_go():
    time = np.arange(60.0)
    nuisance = np.random.default_rng(0).normal(size=60)
    signal = np.column_stack([5 + 0.3 * time + 2 * nuisance, np.sin(time)])
    table = pd.DataFrame({"n": nuisance})
    recording = make_recording(signal, rate_hz=0.5, modality="fmri", confounds=table)
    cleaned = clean(recording)
    np.testing.assert_allclose(cleaned.signal[:, 0], 0, atol=1e-10)
    assert "confounds" not in cleaned and "confound" not in cleaned.coords
    without = clean(recording, confounds=False)
    np.testing.assert_allclose(without.signal[:, 1], scipy_detrend(np.sin(time)), atol=1e-12)
    assert without.confound.values.tolist() == ["n"]


def test_band_keeps_its_frequencies_and_no_others():
    time = np.arange(1000) * 0.5
    tones = {0.002: False, 0.03: True, 0.06: True, 0.4: False}
    signal = np.column_stack([np.sin(2 * np.pi * f * time) for f in tones])
    recording = make_recording(signal, rate_hz=2.0, modality="fmri")
    cleaned = clean(recording, detrend=False, high_pass_hz=0.01, low_pass_hz=0.1).signal.values
    power = cleaned[200:-200].std(axis=0) / signal[200:-200].std(axis=0)
    for kept, share in zip(tones.values(), power, strict=True):
        assert (share > 0.97) if kept else (share < 0.03)


def scrubbed_frames(*frames):
    bad = np.zeros(300, dtype=bool)
    bad[list(frames)] = True
    return bad


def test_scrubbing_takes_frames_out_and_breaks_segments(recording):
    bad = scrubbed_frames(0, 50, 51, 180, 299)
    cleaned = clean(recording, scrub=bad)
    assert cleaned.sizes["time"] == 295
    np.testing.assert_array_equal(cleaned.time, recording.time[~bad])
    lengths = np.unique(cleaned.segment, return_counts=True)[1]
    assert lengths.tolist() == [49, 48, 80, 118]
    assert cleaned.attrs["dropped"] == ["5 of 300 frames scrubbed"]


@pytest.mark.parametrize("options", OPTIONS)
def test_what_a_scrubbed_frame_held_does_not_matter(recording, options):
    """A frame is bad because its values are: they may not leak into the frames beside it."""
    bad = scrubbed_frames(50, 51, 180)
    wild = recording.copy(deep=True)
    wild.signal[bad] = 1e8
    wild.confounds[bad] = -1e8
    one, other = (clean(r, scrub=bad, **options).signal.values for r in (recording, wild))
    np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-9)


def test_scrubbing_with_a_filter_as_nilearn_does_it(confounds):
    values = np.random.default_rng(0).normal(size=(120, 3))
    recording = make_recording(values, rate_hz=0.5, modality="fmri")
    bad = np.zeros(120, dtype=bool)
    bad[[40, 41, 90]] = True
    cleaned = clean(recording, scrub=bad, detrend=False, low_pass_hz=0.1)
    kept = np.flatnonzero(~bad)
    expected = nilearn.signal.clean(
        values, sample_mask=kept, detrend=False, low_pass=0.1, t_r=2.0, standardize=None
    )
    np.testing.assert_allclose(cleaned.signal, expected, atol=1e-12)


def test_line_is_fitted_at_the_true_times_of_the_frames_that_stay():
    signal = 3 + 0.5 * np.arange(60.0)[:, None]
    recording = make_recording(signal, rate_hz=0.5, modality="fmri")
    bad = np.zeros(60, dtype=bool)
    bad[[10, 11, 12, 40]] = True
    np.testing.assert_allclose(clean(recording, scrub=bad).signal, 0, atol=1e-10)


def test_scrubbing_by_displacement(recording, confounds):
    moved = np.full(300, 0.1)
    moved[[0, 100, 180]] = np.nan  # before the first frame of a segment there is none
    moved[[30, 200]] = 0.9
    table = confounds.assign(framewise_displacement=moved)
    recording = make_recording(
        recording.signal.values,
        rate_hz=0.5,
        modality="fmri",
        confounds=table,
        segment=SEGMENT,
    )
    cleaned = clean(recording, scrub=0.5)
    assert cleaned.attrs["dropped"] == ["2 of 300 frames scrubbed"]
    assert cleaned.confound.values.tolist() == ["framewise_displacement"]
    table.loc[50, "framewise_displacement"] = np.nan
    recording.confounds[50, -1] = np.nan
    with pytest.raises(DataError, match="framewise_displacement: values are missing"):
        clean(recording, scrub=0.5)


def test_scrubbing_by_a_variable(recording):
    bad = scrubbed_frames(7)
    marked = recording.assign(outlier=xr.DataArray(bad, dims="time"))
    cleaned = clean(marked, scrub="outlier")
    np.testing.assert_array_equal(cleaned.signal, clean(recording, scrub=bad).signal)
    assert not cleaned.outlier.any()


def test_absent_units_stay_absent(recording):
    recording.signal[:, 1] = np.nan
    cleaned = clean(recording, standardize=True).signal
    assert np.isnan(cleaned[:, 1]).all()
    assert np.isfinite(cleaned[:, [0, 2, 3]]).all()


def test_input_is_not_changed(recording):
    before = recording.copy(deep=True)
    clean(recording, high_pass_hz=0.01, scrub=scrubbed_frames(3), standardize=True)
    xr.testing.assert_identical(recording, before)


def test_precision_and_units(recording):
    single = recording.assign(signal=recording.signal.astype(np.float32))
    cleaned = clean(single, standardize=True)
    assert cleaned.signal.dtype == np.float32
    assert cleaned.attrs["value_units"] == "z"
    np.testing.assert_allclose(cleaned.signal, clean(recording, standardize=True).signal, atol=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"high_pass_hz": 0.2, "low_pass_hz": 0.1}, "band cannot be had.*high_pass_hz=0.2"),
        ({"low_pass_hz": 0.3}, r"low_pass_hz < 0.25 Hz \(half the sampling rate\)"),
        ({"low_pass_hz": 0.25}, "band cannot be had"),
        ({"high_pass_hz": 0.0}, "band cannot be had"),
        ({"high_pass_hz": -1}, "band cannot be had"),
        ({"confounds": ["csf"]}, "no such confound; expected one of x, y, wm"),
        ({"scrub": [True, False]}, r"expected 300 times .* found shape \(2,\) of bool"),
        ({"scrub": np.zeros(300)}, "found shape .* of float64"),
        ({"scrub": np.ones(300, dtype=bool)}, "no frame is left"),
        ({"scrub": "outlier"}, "no such variable; found outlier"),
        ({"scrub": 0.5}, "scrubbing by a threshold needs the framewise displacement"),
        ({"scrub": True}, "scrub does not mark frames"),
    ],
)
def test_refusals(recording, options, message):
    with pytest.raises(DataError, match=message):
        clean(recording, **options)


def test_missing_values_are_refused(recording):
    recording.confounds[0, 0] = np.nan
    with pytest.raises(DataError, match="confounds: values are missing.*fMRIPrep leaves the first"):
        clean(recording)
    recording.signal[3, 0] = np.nan
    with pytest.raises(DataError, match="signal: values are missing.*found 1 missing"):
        clean(recording)


def test_filter_needs_a_rate():
    recording = make_recording(np.random.default_rng(0).normal(size=(50, 2)), modality="fmri")
    clean(recording)
    with pytest.raises(DataError, match="filter needs a sampling rate"):
        clean(recording, low_pass_hz=0.1)


def test_short_segments_are_refused():
    values = np.random.default_rng(0).normal(size=(60, 2))
    segment = np.repeat([0, 1], [30, 30])
    recording = make_recording(values, rate_hz=0.5, modality="fmri", segment=segment)
    clean(recording, low_pass_hz=0.1)
    with pytest.raises(
        DataError, match="segment 0: a segment is too short to filter.*more than 33"
    ):
        clean(recording, high_pass_hz=0.01, low_pass_hz=0.1)


def test_as_many_confounds_as_frames_leave_nothing():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(12, 10)), columns=list("abcdefghij"))
    recording = make_recording(
        rng.normal(size=(12, 2)), rate_hz=1.0, modality="fmri", confounds=table
    )
    with pytest.raises(DataError, match="too short to clean.*more than 12 frames.*found 12"):
        clean(recording)
    clean(recording, confounds=list("abc"))


def test_one_frame_cannot_be_scaled():
    recording = make_recording([[1.0], [2.0]], segment=[0, 1], modality="fmri")
    with pytest.raises(DataError, match="segment 0: a segment is too short to clean"):
        clean(recording, detrend=False, standardize=True)
    np.testing.assert_array_equal(clean(recording, detrend=False).signal, recording.signal)


def test_nothing_left_to_scale():
    nuisance = np.random.default_rng(0).normal(size=50)
    recording = make_recording(
        1e4 + 3 * nuisance[:, None],
        rate_hz=1.0,
        modality="fmri",
        confounds=pd.DataFrame({"n": nuisance}),
    )
    with pytest.raises(DataError, match="nothing varies that could be scaled.*1 that do not"):
        clean(recording, standardize=True)
