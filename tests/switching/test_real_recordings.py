"""What the models find in real behaviour and imaging data."""

import numpy as np
import pytest
from scipy.stats import zscore

from neuroml.data import SessionKFold, load_dataset, stack
from neuroml.switching import SwitchingGLM, SwitchingPopulationGLM, match_states

INPUTS = ["s1", "s2", "previous_choice", "previous_answer", "previous_stimulus"]


@pytest.fixture(scope="module")
def rat():
    recording = load_dataset("psytrack_rat").recordings[0]
    return stack([recording], target="choice", inputs=INPUTS)


def held_out_bits(arrays, n_states, null):
    """Bits per trial that whole held-out days gain over a null model."""
    gains = []
    for train, test in SessionKFold(4).split(arrays.X, sessions=arrays.sessions):
        model = SwitchingGLM(n_states, n_init=2, tol=1e-5, ridge=0.1, random_state=0)
        model.fit(arrays.X[train], arrays.y[train], sessions=arrays.sessions[train])
        gains.append(
            model.score_bits(
                arrays.X[test],
                arrays.y[test],
                sessions=arrays.sessions[test],
                null=null,
                random_state=0,
            )
        )
    return np.array(gains)


def test_the_rat_switches_strategies(rat):
    """Held-out gain over one state on every fold, and it comes from knowing when states occur."""
    two, three = (held_out_bits(rat, k, "glm") for k in (2, 3))
    assert (two > 0.005).all()
    assert three.mean() > two.mean() + 0.005
    assert (held_out_bits(rat, 3, "shuffled") > 0.02).all()


def test_both_tones_drive_the_engaged_state(rat):
    model = SwitchingGLM(3, n_init=2, tol=1e-5, ridge=0.1, random_state=0)
    model.fit(rat.X, rat.y, sessions=rat.sessions)
    engaged = np.abs(model.weights_[:, 0, 0]).argmax()
    assert model.weights_[engaged, 0, 0] > 1
    assert model.weights_[engaged, 0, 1] < -1
    least = np.abs(model.weights_[:, 0, 0]).argmin()
    assert abs(model.weights_[least, 0, 0]) < 0.5


def test_states_of_resting_networks_are_those_of_the_paper(shared_data):
    """Descriptive: the paper's four states were fitted to seven runs, ours to one of them."""
    song = load_dataset("song_fmri", data_dir=shared_data)
    runs = [r for r in song.recordings if r.attrs["run"] == "rest1"]
    y = np.concatenate([zscore(r.signal.values, ddof=1) for r in runs])
    published = np.concatenate([r.hmm_state.values for r in runs]).astype(int) - 1
    sessions = np.repeat(np.arange(len(runs)), [len(r.time) for r in runs])
    model = SwitchingGLM(4, "gaussian", n_init=2, tol=1e-4, random_state=0)
    states = model.fit(None, y, sessions=sessions).predict(None, y, sessions=sessions)
    order = match_states(published, states)
    agreement = (order[published] == states).mean()
    shuffled = np.random.default_rng(0).permutation(published)
    assert agreement > (match_states(shuffled, states)[shuffled] == states).mean() + 0.2
    print(f"agreement with the published states: {agreement:.3f}")


def variance_explained(values, states):
    """Share of the variance of values (n, m) that lies between states (n,)."""
    means = np.stack([values[states == k].mean(axis=0) for k in np.unique(states)])
    _, index = np.unique(states, return_inverse=True)
    return 1.0 - ((values - means[index]) ** 2).sum() / ((values - values.mean(0)) ** 2).sum()


def test_states_of_hvc_are_locked_to_the_song(shared_data):
    """The model does not hear the song; its states do better than all but few shifts of them."""
    (bird,) = load_dataset("songbird_hvc", data_dir=shared_data).recordings
    y = bird.signal.values
    model = SwitchingGLM(8, "gaussian", covariance_type="diagonal", n_init=3, random_state=0)
    states = model.fit(None, y).predict(None, y)
    heard = bird.song.interp(song_time=bird.time, kwargs={"fill_value": "extrapolate"}).values
    shifted = [variance_explained(heard, np.roll(states, s)) for s in range(30, len(y) - 30, 10)]
    assert variance_explained(heard, states) > 0.1 > max(shifted)


def test_bursts_of_place_cells_come_with_speed(shared_data):
    """Two states are bursts and the rest: bursts are where the rat runs fast, but not only there."""
    linear = load_dataset("hippocampus_spikes", data_dir=shared_data).recordings[0]
    counts = stack([linear]).X
    width, n = 4, len(counts) // 4 * 4
    counts = counts[:n].reshape(-1, width, counts.shape[1]).sum(axis=1)
    speed = linear.covariates.sel(feature="speed").values[:n].reshape(-1, width).mean(axis=1)
    segment = linear.segment.values[:n:width]
    model = SwitchingPopulationGLM(2, 3, ridge=1.0, n_init=2, random_state=0)
    posterior = model.fit(counts, sessions=segment).predict_proba(counts, sessions=segment)
    bursts, runs = posterior[:, posterior.mean(axis=0).argmin()], ~np.isnan(speed)
    assert np.corrcoef(bursts[runs], speed[runs])[0, 1] > 0.3
    assert 0.2 < bursts[~runs].sum() / bursts.sum() < 0.8
