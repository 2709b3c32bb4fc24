import numpy as np
import pytest
from scipy.io import loadmat
from scipy.stats import zscore

from neuroml.data import load_dataset, stack


@pytest.fixture(scope="module")
def song(shared_data):
    return load_dataset("song_fmri", data_dir=shared_data)


@pytest.fixture(scope="module")
def by_run(song):
    runs = {}
    for recording in song.recordings:
        runs.setdefault(recording.attrs["run"], []).append(recording)
    return runs


def test_shapes(by_run):
    lengths = {run: {r.signal.shape for r in runs} for run, runs in by_run.items()}
    assert lengths == {
        "rest1": {(600, 25)},
        "rest2": {(600, 25)},
        "gradCPTface": {(511, 25)},
        "gradCPTscene": {(443, 25)},
    }
    assert {len(runs) for runs in by_run.values()} == {27}


def test_rest_fingerprints_find_their_owner(by_run):
    edges = np.triu_indices(25, k=1)
    first, second = (
        np.array([np.corrcoef(r.signal.T)[edges] for r in by_run[run]])
        for run in ("rest1", "rest2")
    )
    found = np.corrcoef(first, second)[:27, 27:].argmax(axis=1) == np.arange(27)
    assert found.mean() > 0.75  # chance 0.04


def test_published_states_go_with_the_published_means(song, by_run):
    means = loadmat(song.files["fmri/hmmmodel.mat"])["Means"]
    for run, recordings in by_run.items():
        z = np.concatenate([zscore(r.signal.values, ddof=1) for r in recordings])
        states = np.concatenate([r.hmm_state.values for r in recordings])
        ours = np.array([z[states == state].mean(axis=0) for state in (1, 2, 3, 4)])
        closest = np.corrcoef(ours, means)[:4, 4:].argmax(axis=1)
        assert closest.tolist() == [0, 1, 2, 3], run


def test_behaviour_is_aligned_and_its_holes_are_nan(by_run):
    holes = {"gradCPTface": {"006"}, "gradCPTscene": set()}
    for run, empty in holes.items():
        everyone = {r.attrs["subject"]: r.covariates for r in by_run[run]}
        raw = {s: c.sel(feature="rt_variability").values for s, c in everyone.items()}
        smooth = {s: c.sel(feature="rt_variability_hrf").values for s, c in everyone.items()}
        assert {s for s, values in raw.items() if np.isnan(values).all()} == empty
        assert {s for s, values in smooth.items() if np.isnan(values).all()} == empty
        assert all(np.isnan(values[-10:]).all() for values in raw.values())
        assert all(np.isnan(values[:5]).all() for values in smooth.values())
        # the haemodynamic peak comes 4 to 6 s after what causes it
        lags = range(-10, 20)
        one, other = raw["001"], smooth["001"]
        both = [(one[20:-30], other[20 + lag : len(other) - 30 + lag]) for lag in lags]
        assert 4 <= lags[int(np.argmax([np.corrcoef(a, b)[0, 1] for a, b in both]))] <= 6


def test_participants(song):
    table = song.participants
    assert table["sex"].value_counts().to_dict() == {"F": 15, "M": 12}
    assert table["working_memory_k"].between(1.5, 4.5).all()


def test_states_can_be_a_target(by_run):
    arrays = stack(by_run["rest1"], target="hmm_state")
    assert arrays.X.shape == (27 * 600, 25)
    assert sorted(set(arrays.y)) == [1, 2, 3, 4]
    assert len(set(arrays.sessions)) == len(set(arrays.groups)) == 27
