"""What the population model recovers of simulated spikes, under every prior."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import balanced_accuracy_score
from sklearn.utils import Bunch

from neuroml.simulate import make_switching_spikes
from neuroml.switching import SwitchingPopulationGLM

THRESHOLD = 0.2
GRIDS = {
    "ridge": [{"ridge": value} for value in (1.0, 5.0, 25.0)],
    "hierarchical": [{"prior": "gaussian", "prior_scale": s} for s in (0.1, 1 / 3, 1.0)],
}
FIXED = {
    "pooled": {"ridge": 0.01},
    "chosen ridge": {},
    "gaussian": {"prior": "gaussian", "ridge": 0.01},
    "chosen ridge, gaussian": {"prior": "gaussian"},
    "one-hot": {"prior": "one-hot"},
    "one-hot, one sign": {"prior": "one-hot", "sign_sharing": "signs"},
    "published": SwitchingPopulationGLM.published().get_params(),
}


def _model(seed: int, **settings: object) -> SwitchingPopulationGLM:
    common = {"n_states": 5, "link": "sigmoid", "shared_intercept": True}
    return SwitchingPopulationGLM(**(common | settings | {"random_state": seed}))


def _selected(name: str, seed: int, spikes: np.ndarray, sessions: np.ndarray) -> dict[str, object]:
    """The setting that predicts the last fifth of the training sessions best."""
    inner = sessions < 0.8 * (sessions.max() + 1)
    scores = [
        _model(seed, **setting)
        .fit(spikes[inner], sessions=sessions[inner])
        .score(spikes[~inner], sessions=sessions[~inner])
        for setting in GRIDS[name]
    ]
    return GRIDS[name][int(np.argmax(scores))]


def _signs(weights: np.ndarray) -> np.ndarray:
    return (np.sign(weights) * (np.abs(weights) > THRESHOLD)).ravel()


def _quality(model: SwitchingPopulationGLM, truth: Bunch, test: slice) -> dict[str, float]:
    """Scores on sessions kept apart, and of weights, after matching states by their overlap."""
    spikes, sessions, states = (truth[key][test] for key in ("spikes", "sessions", "states"))
    path = model.predict(spikes, sessions=sessions)
    overlap = np.zeros((5, 5))
    np.add.at(overlap, (states, path), 1)
    _, match = linear_sum_assignment(-overlap)
    weights = model.weights_[match]
    return {
        "held-out": model.score(spikes, sessions=sessions),
        "state acc": overlap[np.arange(5), match].sum() / len(states),
        "w corr": float(np.corrcoef(weights.ravel(), truth.weights.ravel())[0, 1]),
        "w MSE": float(((weights - truth.weights) ** 2).mean()),
        "sign acc": balanced_accuracy_score(np.sign(truth.weights).ravel(), _signs(weights)),
    }


def _oracle(truth: Bunch, seed: int, train: slice) -> SwitchingPopulationGLM:
    """A model with the true parameters."""
    model = _model(seed, n_init=1, max_iter=1)
    model.fit(truth.spikes[train], sessions=truth.sessions[train])
    model.weights_, model.transition_matrix_ = truth.weights, truth.transition_matrix
    model.intercept_ = np.tile(truth.intercept, (5, 1))
    model.initial_proba_ = np.full(5, 0.2)
    return model


def recovery(n_seeds: int, n_bins: int) -> pd.DataFrame:
    """Means over seeds of what every prior recovers of the authors' synthetic design.

    Once with signs that are drawn for every state anew from a pair's own probabilities, as the
    authors do, and once with one sign per pair. ``one-hot wins`` is how often the one-hot prior
    predicts better than each other model.
    """
    rows = []
    for concentration in (2.0, 0.0):
        for seed in range(n_seeds):
            truth = make_switching_spikes(
                20, 5, n_sessions=20, n_bins=n_bins // 10,
                sign_concentration=concentration, random_state=seed,
            )  # fmt: skip
            design = {"signs": f"Dirichlet {concentration:g}", "seed": seed}
            new = [
                {**design, "model": name, **_quality(model, truth, slice(n_bins, None))}
                for name, model in _models(truth, seed, slice(0, n_bins)).items()
            ]
            print(pd.DataFrame(new).to_string(header=seed == 0), file=sys.stderr, flush=True)
            rows += new
    table = pd.DataFrame(rows)
    means = table.drop(columns="seed").groupby(["signs", "model"], sort=False).mean()
    held_out = table.pivot(index=["signs", "seed"], columns="model", values="held-out")
    wins = held_out.lt(held_out["one-hot"], axis=0).groupby("signs", sort=False).mean()
    means["one-hot wins"] = wins.stack().reindex(means.index)
    return means.round(4).reset_index()


def _models(truth: Bunch, seed: int, train: slice) -> dict[str, SwitchingPopulationGLM]:
    """Everything that is compared, fitted to the training bins."""
    spikes, sessions = truth.spikes[train], truth.sessions[train]
    models = {"truth": _oracle(truth, seed, train)}
    for name, setting in FIXED.items():
        models[name] = _model(seed, **setting).fit(spikes, sessions=sessions)
    for name in GRIDS:
        chosen = _selected(name, seed, spikes, sessions)
        models[name] = _model(seed, **chosen).fit(spikes, sessions=sessions)
    cut = _model(seed).fit(spikes, sessions=sessions)
    cut.weights_ = cut.weights_ * (np.abs(cut.weights_) > THRESHOLD)
    models["thresholded"] = cut
    return models


def demo() -> pd.DataFrame:
    """One data set of the size of the authors' demo: 30 sessions to fit, 20 to test, 2,000 bins."""
    truth = make_switching_spikes(20, 5, n_sessions=50, n_bins=2000, random_state=0)
    train, test = slice(0, 60_000), slice(60_000, None)
    rows = [{"model": "truth", **_quality(_oracle(truth, 0, train), truth, test)}]
    for name in ("pooled", "one-hot"):
        model = _model(0, **FIXED[name])
        model.fit(truth.spikes[train], sessions=truth.sessions[train])
        rows.append({"model": name, **_quality(model, truth, test)})
    return pd.DataFrame(rows).round(4)
