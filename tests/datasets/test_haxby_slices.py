import numpy as np
import pytest
from sklearn.model_selection import LeaveOneGroupOut, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from neuroml.data import load_dataset, stack


@pytest.fixture(scope="module")
def haxby(shared_data):
    return load_dataset("haxby_slices", data_dir=shared_data)


def test_voxels_runs_and_labels(haxby):
    recording = haxby.recordings[0]
    assert recording.signal.shape == (1452, 530)
    assert np.bincount(recording.segment.values).tolist() == [121] * 12
    labels, counts = np.unique(recording.label.values, return_counts=True)
    assert dict(zip(labels, counts, strict=True)) == {"rest": 588, **dict.fromkeys(CATEGORIES, 108)}
    assert recording.feature.values.tolist() == CATEGORIES
    assert np.array_equal(recording.covariates.sum("feature") == 0, recording.label == "rest")


CATEGORIES = ["bottle", "cat", "chair", "face", "house", "scissors", "scrambledpix", "shoe"]


def test_events_are_the_labels(haxby):
    recording, events = haxby.recordings[0], haxby.events[0]
    assert len(events) == 12 * 8
    labels = np.full(1452, "rest", dtype="<U20")
    for event in events.itertuples():
        after = recording.time.values - event.onset
        labels[(after >= 0) & (after < event.duration)] = event.trial_type
    assert np.array_equal(labels, recording.label)


def test_categories_are_decoded_in_a_run_left_out(haxby):
    """Linear classifier on single volumes; README of the data: 0.55, chance 0.125."""
    recording = haxby.recordings[0]
    arrays = stack([recording], target="label")
    X = arrays.X.copy()
    for run in range(12):
        rows = arrays.sessions == run
        X[rows] = StandardScaler().fit_transform(X[rows])
    shown = arrays.y != "rest"
    scores = cross_val_score(
        make_pipeline(LinearSVC(C=1e-3, random_state=0)),
        X[shown],
        arrays.y[shown],
        groups=arrays.sessions[shown],
        cv=LeaveOneGroupOut(),
    )
    assert scores.mean() > 0.45


def test_motion_belongs_to_the_images(haxby):
    """Volumes that follow a large movement differ more from the one before."""
    recording = haxby.recordings[0]
    inside = np.diff(recording.segment.values) == 0
    moved = np.abs(
        np.diff(recording.confounds.sel(confound=["trans_x", "trans_y", "trans_z"]), axis=0)
    ).sum(1)
    changed = np.abs(np.diff(recording.signal.values, axis=0)).mean(axis=1)
    assert np.corrcoef(moved[inside], changed[inside])[0, 1] > 0.2
