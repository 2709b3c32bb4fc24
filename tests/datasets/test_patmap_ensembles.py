import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, KFold, cross_val_score

from neuroml.data import load_dataset, stack


@pytest.fixture(scope="module")
def sets(shared_data):
    data = load_dataset("patmap_ensembles", data_dir=shared_data)
    return {recording.attrs["subject"]: recording for recording in data.recordings}


def test_shapes_and_values(sets):
    shapes = {name: recording.signal.shape for name, recording in sets.items()}
    assert shapes == {
        "drifting_gratings": (1291, 218),
        "contextual_fear": (2112 - 49, 200),
        "spatial_reward": (2334, 343 - 1),
    }
    assert all(set(np.unique(r.signal.values)) == {0.0, 1.0} for r in sets.values())


def test_a_segment_of_gratings_is_a_presentation(sets):
    recording = sets["drifting_gratings"]
    lengths = np.bincount(recording.segment.values)
    assert len(lengths) == 60
    assert set(lengths) == {21, 22}
    table = recording.covariates.to_dataset("feature").groupby("segment").std()
    assert (table["orientation_deg"] == 0).all()
    assert set(recording.covariates.values.ravel()) == {0.0, 45.0, 90.0, 135.0}


def test_frames_of_contexts_are_neither_repeated_nor_neighbors(sets):
    recording = sets["contextual_fear"]
    assert len(np.unique(recording.signal.values, axis=0)) == recording.sizes["time"]
    assert len(set(stack([recording]).sessions)) == recording.sizes["time"]


def test_positions_advance_within_a_segment(sets):
    recording = sets["spatial_reward"]
    step = np.diff(recording.covariates.values[:, 0])
    inside = np.diff(recording.segment.values) == 0
    assert np.abs(step[inside]).max() == 1
    assert recording.attrs["rate_hz"] == 10


@pytest.mark.parametrize(
    ("name", "target", "least", "chance"),
    [
        ("drifting_gratings", "orientation_deg", 0.85, 0.25),
        ("contextual_fear", "context", 0.85, 0.5),
        ("spatial_reward", "position_bin", 0.5, 0.22),
    ],
)
def test_labels_are_decoded(sets, name, target, least, chance):
    """Five contiguous blocks; the data's README reports .93, .94 and .65."""
    arrays = stack([sets[name]], target=target)
    model = LogisticRegression(C=0.1, max_iter=500)
    if name == "drifting_gratings":
        splits = {"cv": GroupKFold(5), "groups": arrays.sessions}
    else:
        splits = {"cv": KFold(5)}
    score = cross_val_score(model, arrays.X, arrays.y, **splits).mean()
    assert score > least > chance
