import numpy as np
import pandas as pd
import pytest
import xarray as xr

from neuroml.data import (
    epochs,
    labels_from_events,
    make_recording,
    read_events,
    read_fmri,
    stack,
)
from neuroml.exceptions import DataError


def recorded(n_times=20, rate_hz=0.5, **options):
    values = np.arange(2.0 * n_times).reshape(n_times, 2)
    options = {"modality": "fmri", **options}
    return make_recording(values, rate_hz=rate_hz, **options)


def events(onset, duration, trial_type=None):
    table = pd.DataFrame({"onset": onset, "duration": duration})
    return table if trial_type is None else table.assign(trial_type=trial_type)


def test_labels_cover_half_open_intervals():
    labels = labels_from_events(recorded(8), events([2.0, 8.0], [4.0, 2.0], ["a", "b"]))
    assert labels.values.tolist() == ["rest", "a", "a", "rest", "b", "rest", "rest", "rest"]
    assert labels.attrs["dropped"] == []


@pytest.mark.parametrize("lag", [0.0, 2.0, 4.5, -2.0])
def test_lag_moves_the_events(lag):
    rng = np.random.default_rng(0)
    table = events(np.arange(3, 36, 6) + rng.uniform(size=6), [3.0] * 6, list("abcabc"))
    moved = table.assign(onset=table.onset + lag)
    xr.testing.assert_identical(
        labels_from_events(recorded(), table, lag_s=lag), labels_from_events(recorded(), moved)
    )


@pytest.mark.parametrize("seed", range(3))
def test_labels_agree_with_brute_force(seed):
    rng = np.random.default_rng(seed)
    time = np.cumsum(rng.uniform(0.5, 1.5, 100))
    recording = make_recording(rng.normal(size=(100, 1)), time=time, modality="calcium")
    starts = np.sort(rng.uniform(0, 90, 8))
    table = events(starts, np.minimum(np.diff(starts, append=200), 5.0), list("abcdabcd"))
    expected = [
        next((e.trial_type for e in table.itertuples() if e.onset <= t < e.onset + e.duration), "-")
        for t in time
    ]
    assert labels_from_events(recording, table, rest="-").values.tolist() == expected


def test_float_noise_on_the_clock_does_not_shift_a_label():
    recording = recorded(200, rate_hz=1 / 1.35)
    table = events([20 * 1.35, 27.0 + 1.35 * 80], [1.35 * 10] * 2, ["a", "b"])
    assert np.flatnonzero(labels_from_events(recording, table) == "a").tolist() == [*range(20, 30)]
    assert np.flatnonzero(labels_from_events(recording, table) == "b").tolist() == [
        *range(100, 110)
    ]


def test_event_without_duration_labels_one_sample():
    labels = labels_from_events(recorded(6), events([2.0, 7.0], [0.0, 0.0], ["a", "b"]))
    assert labels.values.tolist() == ["rest", "a", "rest", "rest", "b", "rest"]


def test_events_that_meet_no_sample_are_counted():
    labels = labels_from_events(
        recorded(5), events([2.0, 3.0, 900.0], [2.0, 0.5, 5.0], list("abc"))
    )
    assert labels.attrs["dropped"] == ["2 of 3 events, which meet no sample"]


def test_labels_go_into_a_stack():
    recording = recorded(6)
    labels = labels_from_events(recording, events([4.0], [4.0], ["face"]))
    arrays = stack([recording.assign(label=labels)], target="label")
    assert arrays.y.tolist() == ["rest", "rest", "face", "face", "rest", "rest"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (events([0.0, 1.0], [4.0, 4.0], ["a", "b"]), "overlap.*found 'a' and 'b' at 2 s"),
        (events([5000.0], [4.0], ["a"]), "no event meets a sample.*within 0 to 38 s.*5000 s"),
        (events([0.0], [4.0]), "events without a label; expected a column 'trial_type'"),
        (events([0.0], [4.0], [None]), "without empty cells"),
        (events([0.0], [np.nan], ["a"]), "duration: events whose duration is not known.*1 of 1"),
        (events([0.0], [-1.0], ["a"]), "found -1.0 in row 0"),
        (events(["early"], [1.0], ["a"]), "onset cannot be used.*found 'early'"),
        (pd.DataFrame({"onset": [0]}), "lack the column 'duration'; .* found onset"),
        (events([], [], []), "no event meets a sample"),
    ],
)
def test_bad_events(table, message):
    with pytest.raises(DataError, match=message):
        labels_from_events(recorded(), table)


def test_same_label_may_overlap():
    labels = labels_from_events(recorded(6), events([0.0, 2.0], [4.0, 4.0], ["a", "a"]))
    assert labels.values.tolist() == ["a", "a", "a", "rest", "rest", "rest"]


@pytest.mark.parametrize(
    "recording",
    [
        make_recording(np.ones((4, 1)), modality="fmri"),
        make_recording(
            np.ones((4, 1)), time=[0, 1, 0, 1], segment=[0, 0, 1, 1], rate_hz=1.0, modality="fmri"
        ),
    ],
)
def test_clock_that_events_cannot_be_placed_on(recording):
    with pytest.raises(DataError, match="no clock that events can be placed on"):
        labels_from_events(recording, events([0.0], [1.0], ["a"]))


def test_read_events(tmp_path):
    path = tmp_path / "sub-01_events.tsv"
    path.write_text("onset\tduration\ttrial_type\n5\t1\tb\n2\t1.5\ta\n")
    table = read_events(path)
    assert table.onset.tolist() == [2.0, 5.0]
    assert table.trial_type.tolist() == ["a", "b"]
    path.write_text("onset\ttrial_type\n5\tb\n")
    with pytest.raises(DataError, match=r"sub-01_events.tsv.*lack the column 'duration'"):
        read_events(path)
    path.write_text("onset\tduration\n5\tn/a\n")
    assert read_events(path).duration.isna().all()
    for cell in ("1s", "-1", "inf"):
        path.write_text(f"onset\tduration\n5\t{cell}\n")
        with pytest.raises(DataError, match="duration cannot be used; expected seconds or n/a"):
            read_events(path)
    path.write_text("onset\tduration\nn/a\t1\n")
    with pytest.raises(DataError, match="onset cannot be used"):
        read_events(path)


def test_epochs_are_cut_where_they_should_be():
    recording = recorded(30, rate_hz=10.0)
    table = events([0.5, 1.5], [0.1, 0.1], ["a", "b"]).assign(reward=[1, 0])
    cut = epochs(recording, table, -0.2, 0.3)
    assert cut.dims == ("event", "time", "unit")
    np.testing.assert_allclose(cut.time, [-0.2, -0.1, 0, 0.1, 0.2, 0.3])
    np.testing.assert_array_equal(cut[0], recording.signal.values[3:9])
    np.testing.assert_array_equal(cut[1], recording.signal.values[13:19])
    assert cut.trial_type.values.tolist() == ["a", "b"]
    assert cut.reward.values.tolist() == [1, 0]
    assert cut.attrs["dropped"] == []


def test_epochs_start_at_the_nearest_sample():
    recording = recorded(30, rate_hz=10.0)
    for onset, first in ((1.04, 10), (1.06, 11), (0.96, 10), (2.94, 29)):
        cut = epochs(recording, events([onset], [0.0]), 0.0, 0.0)
        np.testing.assert_array_equal(cut[0, 0], recording.signal.values[first])


def test_epochs_never_cross_a_gap_and_partial_ones_are_counted():
    recording = recorded(30, rate_hz=10.0, segment=np.repeat([0, 1], [15, 15]))
    table = events([0.1, 0.5, 1.4, 1.5, 2.8, 7.0], [0.0] * 6)
    cut = epochs(recording, table, -0.2, 0.3)
    assert cut.event.values.tolist() == [1]
    assert cut.attrs["dropped"] == ["5 of 6 epochs, which leave the recording or cross a gap"]


def test_onset_within_a_gap_is_dropped():
    time = np.r_[0:10, 50:60] * 0.1
    recording = make_recording(
        np.arange(20.0)[:, None],
        time=time,
        rate_hz=10.0,
        segment=np.repeat([0, 1], 10),
        modality="calcium",
    )
    cut = epochs(recording, events([0.5, 3.0, 5.5], [0.0] * 3), 0.0, 0.2)
    assert cut.event.values.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (((0.5, -0.5)), "limits hold no sample"),
        (((-9.0, 9.0)), "no epoch is complete"),
    ],
)
def test_bad_epochs(options, message):
    with pytest.raises(DataError, match=message):
        epochs(recorded(30, rate_hz=10.0), events([1.0], [0.0]), *options)


def test_epochs_need_a_rate():
    time = [0.0, 1.0, 5.0]
    recording = make_recording(np.ones((3, 1)), time=time, modality="calcium")
    with pytest.raises(DataError, match="epochs need a sampling rate"):
        epochs(recording, events([1.0], [0.0]), 0, 1)


def test_haxby_labels_agree_with_the_published_ones(shared_data):
    """Published per volume for all twelve runs; here from the events of each run."""
    folder = shared_data / "haxby_slices"
    published = np.loadtxt(folder / "attributes_literal.txt", dtype=str)
    for run in range(1, 13):
        where = folder / "haxby2001" / "sub001" / "BOLD" / f"task001_run{run:03}"
        mask = folder / "haxby2001" / "sub001" / "masks" / "25mm" / "brain.nii.gz"
        recording = read_fmri(where / "bold_25mm.nii.gz", mask=mask, on_nan="keep")
        labels = labels_from_events(recording, read_events(where / "bold_events.tsv"))
        of_run = published[published[:, 1].astype(int) == run - 1, 0]
        assert np.mean(labels.values == of_run) > 0.95
