"""Codes hold what switches, also where the mean connectivity is the same; bad input is refused."""

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neuroml import load, save
from neuroml.connectome import DynamicFCMaskedAutoencoder
from neuroml.exceptions import DataError

N_SUBJECTS, N_WINDOWS, N_REGIONS = 24, 32, 8


def cohort(seed=0):
    """Two states in turn, half of the time each, for 2 windows or for 8 by group."""
    rng = np.random.default_rng(seed)
    i, j = np.triu_indices(N_REGIONS, k=1)
    states = [((i < 4) & (j < 4)).astype(float), ((i >= 4) & (j >= 4)).astype(float)]
    groups = np.arange(N_SUBJECTS) % 2
    windows = []
    for group in groups:
        state = (np.arange(N_WINDOWS) // (8 if group else 2) + rng.integers(2)) % 2
        mean = np.where(state[:, None] == 1, states[1], states[0])
        windows.append(mean + 0.8 * rng.normal(size=mean.shape))
    return np.array(windows), groups


def accuracy(features, groups):
    model = make_pipeline(StandardScaler(), LogisticRegression())
    return (cross_val_predict(model, features, groups, cv=6) == groups).mean()


def persistence(codes):
    """Autocorrelation of each component from window to window, of each subject."""
    codes = codes.reshape(N_SUBJECTS, N_WINDOWS, -1)
    codes = codes - codes.mean(axis=1, keepdims=True)
    lagged = [(codes[:, k:] * codes[:, :-k]).sum(axis=1) for k in (1, 2, 3)]
    return np.concatenate(lagged, axis=1) / np.tile((codes**2).sum(axis=1), 3)


@pytest.fixture(scope="module")
def fitted():
    windows, groups = cohort()
    model = DynamicFCMaskedAutoencoder(3, max_epochs=20, random_state=0).fit(list(windows))
    return windows, groups, model


def test_dwell_times_are_in_the_codes_and_not_in_static_connectivity(fitted):
    windows, groups, model = fitted
    rows = windows.reshape(N_SUBJECTS * N_WINDOWS, -1)
    static = accuracy(windows.mean(axis=1), groups)
    codes = accuracy(persistence(model.transform(rows)), groups)
    pca = accuracy(persistence(PCA(3, random_state=0).fit_transform(rows)), groups)
    print(f"static {static:.2f}, PCA {pca:.2f}, codes {codes:.2f}")
    chance = binom.ppf(0.999, N_SUBJECTS, 0.5) / N_SUBJECTS
    assert static <= chance < codes and chance < pca


def test_masked_entries_are_filled_in(fitted):
    """The mean alone has an error of 1 in space and 1 in time; noise is most of the variance."""
    _, _, model = fitted
    losses = [entry["loss"] for entry in model.history_]
    assert np.mean(losses[-5:]) < 0.95 * np.mean(losses[:2])
    assert model.n_iter_ == len(losses) == 20


def test_matrices_are_their_pairs_and_a_saved_model_gives_the_same_codes(fitted, tmp_path):
    windows, _, model = fitted
    matrices = np.zeros((N_WINDOWS, N_REGIONS, N_REGIONS))
    i, j = np.triu_indices(N_REGIONS, k=1)
    matrices[:, i, j] = matrices[:, j, i] = windows[0]
    codes = model.transform(windows[0])
    assert codes.shape == (N_WINDOWS, 3)
    np.testing.assert_array_equal(model.transform(matrices), codes)
    again = load(save(model, tmp_path / "model.safetensors"))
    np.testing.assert_array_equal(again.transform(windows[0]), codes)


def test_nothing_is_filled_in_across_sessions(monkeypatch):
    import neuroml.connectome._masked_graph as network

    seen, loss = [], network.masked_loss
    monkeypatch.setattr(
        network, "masked_loss", lambda n, g, t, *rest: (seen.append(t), loss(n, g, t, *rest))[1]
    )
    windows, _ = cohort()
    sessions = np.repeat([0, 1, 2], [4, 7, 2])
    model = DynamicFCMaskedAutoencoder(1, span=5, max_epochs=5, random_state=0)
    model.fit(windows[0][:13], sessions=sessions)
    triples = np.concatenate([t.numpy() for t in seen])
    assert (sessions[triples] == sessions[triples[:, :1]]).all()
    assert set(triples[:, 1]) == {1, 2, 5, 6, 7, 8, 9}
    assert ((triples[:, 1] - triples[:, 0]) == (triples[:, 2] - triples[:, 1])).all()
    assert np.diff(triples, axis=1).max() == 3


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.random.default_rng(0).normal(size=(9, 7)), "not all pairs .* found 7 columns"),
        (np.ones((9, 6)), "never changes"),
        (np.random.default_rng(0).normal(size=(9, 4, 4)), "not symmetric"),
        (np.random.default_rng(0).normal(size=(2, 6)), "long enough .*>= 3 windows; found at most"),
    ],
)
def test_bad_input(X, message):
    with pytest.raises(DataError, match=message):
        DynamicFCMaskedAutoencoder(2, max_epochs=1).fit(X)
