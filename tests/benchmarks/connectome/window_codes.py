"""Codes of windows beside plain summaries, with one readout and the same people left out.

``python window_codes.py [N_SEEDS [dwell song]]``. "dwell": simulated recordings of two groups whose mean
connectivity is the same and whose states last for longer in one of them; "song": rest, faces or
scenes in people who were left out, see `load_dataset`. Whatever is learned, is learned without the
people left out. Codes of windows are read out by their mean, deviation and persistence.
"""

import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from nilearn.connectome import ConnectivityMeasure
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neuroml.connectome import (
    DynamicFCMaskedAutoencoder,
    NonnegativeCP,
    SlidingWindowConnectivity,
)
from neuroml.data import clean, load_dataset
from neuroml.exceptions import NotConvergedWarning

LAGS = (1, 2, 4, 8)


def windows_of(series, window, stride):
    """Windows (n_windows, n_regions, n_regions) of every recording."""
    affinity = SlidingWindowConnectivity(window=window, stride=stride, vectorize=False)
    return [affinity.fit_transform(x) for x in series]


def pairs_of(windows):
    i, j = np.triu_indices(windows.shape[-1], k=1)
    return windows[:, i, j]


def summary(codes):
    """Mean, deviation, and autocorrelation at some lags of each component (n_windows, ...)."""
    centered = codes - codes.mean(axis=0)
    lagged = [(centered[k:] * centered[:-k]).mean(axis=0) for k in LAGS if k < len(codes)]
    persistence = np.array(lagged) / np.maximum((centered**2).mean(axis=0), 1e-12)
    return np.concatenate([codes.mean(axis=0), codes.std(axis=0), persistence.ravel()])


def static(series, windows, train, seed):
    return np.array([pairs_of(w).mean(axis=0) for w in windows])


def tangent(series, windows, train, seed):
    measure = ConnectivityMeasure(kind="tangent", vectorize=True, discard_diagonal=True)
    measure.fit([series[k] for k in train])
    return measure.transform(series)


def pca(series, windows, train, seed):
    model = PCA(8, random_state=seed).fit(np.concatenate([pairs_of(windows[k]) for k in train]))
    return np.array([summary(model.transform(pairs_of(w))) for w in windows])


def components(series, windows, train, seed):
    model = NonnegativeCP(8, symmetric_modes=(1, 2), n_init=1, tol=1e-5, random_state=seed)
    positive = [np.maximum(w, 0.0) for w in windows]
    model.fit(np.concatenate([positive[k] for k in train]))
    return np.array([summary(model.transform(w)) for w in positive])


def autoencoder(series, windows, train, seed):
    model = DynamicFCMaskedAutoencoder(8, span=4, random_state=seed)
    model.fit([pairs_of(windows[k]) for k in train])
    return np.array([summary(model.transform(pairs_of(w))) for w in windows])


METHODS = {
    "static connectivity": static,
    "tangent space": tangent,
    "PCA of windows": pca,
    "NonnegativeCP": components,
    "DynamicFCMaskedAutoencoder": autoencoder,
}


def held_out(method, series, windows, labels, people, n_folds, seed):
    """Share of recordings of people left out whose label is right, and CPU seconds."""
    right, began = [], time.process_time()
    for train, test in GroupKFold(n_folds).split(labels, groups=people):
        features = method(series, windows, train, seed)
        readout = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
        readout.fit(features[train], labels[train])
        right.extend(readout.predict(features[test]) == labels[test])
    return np.mean(right), time.process_time() - began


def dwelling(seed, n_people=32, n_regions=12, n_samples=600, dwell=(20, 80)):
    """Series of people whose two states last for 20 or for 80 samples on average.

    In a state half of the regions share a signal. Both states take half of the time in everybody,
    so that the mean connectivity does not tell the groups.
    """
    rng = np.random.default_rng(seed)
    groups = np.arange(n_people) % 2
    series = []
    for group in groups:
        changes = rng.uniform(size=n_samples // 2) < 1.0 / dwell[group]
        path = (np.cumsum(changes) + rng.integers(2)) % 2
        path = np.concatenate([path, 1 - path])  # as long in one state as in the other
        shared = rng.normal(size=(n_samples, 2))
        own = rng.normal(size=(n_samples, n_regions))
        member = np.arange(n_regions) < n_regions // 2
        active = np.where(path[:, None] == 0, member, ~member)
        series.append(own + active * np.where(path == 0, shared[:, 0], shared[:, 1])[:, None])
    return series, groups


def dwell(n_seeds):
    rows = []
    for seed in range(n_seeds):
        series, groups = dwelling(seed)
        windows = windows_of(series, 20, 10)
        people = np.arange(len(series))
        for name, method in METHODS.items():
            share, seconds = held_out(method, series, windows, groups, people, 5, seed)
            rows.append({"method": name, "right": share, "CPU s": seconds})
            print(seed, rows[-1], file=sys.stderr, flush=True)
    show("groups that differ in dwell times (chance .5)", rows)


def song(n_seeds):
    data = load_dataset("song_fmri")
    runs = [clean(r, detrend=True, high_pass_hz=0.01) for r in data.recordings]
    series = [np.asarray(r["signal"].values) for r in runs]
    windows = windows_of(series, 45, 15)
    people = np.array([r.attrs["subject"] for r in runs])
    run = np.array([r.attrs["run"] for r in runs])
    labels = np.where(np.char.startswith(run, "rest"), "rest", run)
    _, counts = np.unique(labels, return_counts=True)
    rows = []
    for seed in range(n_seeds):
        for name, method in METHODS.items():
            share, seconds = held_out(
                method, series, windows, labels, people, min(8, len(set(people))), seed
            )
            rows.append({"method": name, "right": share, "CPU s": seconds})
            print(seed, rows[-1], file=sys.stderr, flush=True)
    show(f"song, conditions of {len(runs)} runs (most frequent {counts.max() / counts.sum():.2f})",
         rows)  # fmt: skip


def show(title, rows):
    by_method = pd.DataFrame(rows).groupby("method", sort=False)
    table = by_method.mean()
    table.insert(1, "SE", by_method["right"].sem())
    print(f"{title}\n{table.round(3).to_string()}\n", flush=True)


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))
    from arguments import arguments

    n_seeds, *asked = arguments(__doc__, optional=["N_SEEDS", "SECTION..."]) or ["5"]
    warnings.simplefilter("ignore", NotConvergedWarning)
    parts = {"dwell": dwell, "song": song}
    for chosen in asked or parts:
        parts[chosen](int(n_seeds))
