"""Recovery and speed of the population model on simulated spikes.

    python tests/benchmarks/switching/population.py            # both tables, small
    python tests/benchmarks/switching/population.py --full     # all sizes, ten seeds

The peer is an HMM with the same Poisson GLM emissions on dynamax's smoother, each M-step 50 steps
of Adam, run by the Python that NEUROML_PEERS_PYTHON names (left out where it is not set).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import balanced_accuracy_score

from neuroml.exceptions import NotConvergedWarning
from neuroml.simulate import make_switching_spikes
from neuroml.switching import SwitchingPopulationGLM

SIZES = {"S": (20, 3, 20), "M": (20, 5, 20), "L": (50, 5, 100)}
PEER_ITERATIONS = {"S": "100", "M": "20", "L": "2"}
THRESHOLD = 0.2
GRIDS = {
    "ridge": [{"ridge": value} for value in (1.0, 5.0, 25.0)],
    "hierarchical": [{"prior": "gaussian", "prior_scale": s} for s in (0.1, 1 / 3, 1.0)],
}
FIXED = {
    "pooled": {},
    "gaussian": {"prior": "gaussian"},
    "one-hot": {"prior": "one-hot"},
}
PEER = Path(__file__).with_name("dynamax_population.py")


def _model(seed: int, **settings: object) -> SwitchingPopulationGLM:
    return SwitchingPopulationGLM(
        5, link="sigmoid", shared_baseline=True, random_state=seed, **settings
    )


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


def _quality(model: SwitchingPopulationGLM, truth: object, test: slice) -> dict[str, float]:
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


def _oracle(truth: object, seed: int, train: slice) -> SwitchingPopulationGLM:
    """A model with the true parameters."""
    model = _model(seed, n_init=1, max_iter=1)
    model.fit(truth.spikes[train], sessions=truth.sessions[train])
    model.weights_, model.transition_matrix_ = truth.weights, truth.transition_matrix
    model.baseline_ = np.tile(truth.baseline, (5, 1))
    model.initial_ = np.full(5, 0.2)
    return model


def recovery(seeds: int, lengths: list[int], concentrations: list[float]) -> pd.DataFrame:
    """Means over seeds of what every prior recovers of the authors' synthetic design."""
    rows = []
    for concentration in concentrations:
        for length in lengths:
            for seed in range(seeds):
                truth = make_switching_spikes(
                    20, 5, n_sessions=20, n_bins=length // 10,
                    sign_concentration=concentration, random_state=seed,
                )  # fmt: skip
                train, test = slice(0, length), slice(length, None)
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
                rows += [
                    {"signs": f"Dirichlet {concentration:g}", "bins": length, "seed": seed,
                     "model": name, **_quality(model, truth, test)}
                    for name, model in models.items()
                ]  # fmt: skip
    return pd.DataFrame(rows)


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds, and how often the one-hot prior predicts better than each other model."""
    keys = ["signs", "bins", "model"]
    means = table.drop(columns="seed").groupby(keys, sort=False).mean()
    held_out = table.pivot(index=["signs", "bins", "seed"], columns="model", values="held-out")
    wins = held_out.lt(held_out["one-hot"], axis=0).groupby(["signs", "bins"], sort=False).mean()
    means["one-hot wins"] = wins.stack().reindex(means.index)
    return means


def _cpu() -> float:
    return time.process_time()


def _bare_seconds(model: SwitchingPopulationGLM, n_bins: int) -> float:
    """CPU seconds of an iteration's products of matrices and link evaluations, and no more."""
    n_states, n_units, _ = model.weights_.shape
    torch.set_num_threads(1)
    n_features, chunk = n_units + 1, 2048
    features = torch.rand(chunk, n_features)
    table = 0.1 * torch.randn(n_states * n_units, n_features)
    slopes = torch.rand(n_units, chunk)
    sampled = features[: min(chunk, 32 * n_features)]
    link = torch.nn.functional.softplus
    began = _cpu()
    for _ in range(n_bins // chunk):
        link(table @ features.T).log_()  # E-step: rates of all states and their logarithms
        own = table[:n_units] @ features.T  # M-step: a bin belongs to about one state
        torch.sigmoid(own)
        link(own)
        slopes @ features
        slopes @ (features * features)
    for _ in range(n_states * n_units * 32 * n_features // len(sampled)):
        sampled.T @ sampled  # curvature of every unit in every state
    return _cpu() - began


def speed(sizes: list[str], peer: str | None) -> pd.DataFrame:
    """CPU seconds per iteration and to a converged fit, from one start each."""
    rows = []
    for size in sizes:
        n_units, n_states, n_sessions = SIZES[size]
        data = make_switching_spikes(
            n_units, n_states, n_sessions=n_sessions, link="softplus",
            connected=min(0.2, 4 / n_units), strength=0.8, random_state=0,
        )  # fmt: skip
        model = SwitchingPopulationGLM(n_states, n_init=1, max_iter=60, random_state=0)
        model.fit(data.spikes[:3000], sessions=data.sessions[:3000])  # compiles
        began = _cpu()
        model.fit(data.spikes, sessions=data.sessions)
        seconds = _cpu() - began
        per_iteration = _seconds_per_iteration(model, data)
        bare = _bare_seconds(model, len(data.spikes))
        row = {
            "size": size, "score": model.score(data.spikes, sessions=data.sessions),
            "fit, s": seconds, "iteration, s": per_iteration,
            "bare, s": bare, "iteration / bare": per_iteration / bare,
            "peak, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }  # fmt: skip
        if peer:
            found = _run_peer(peer, model, data, size, row["score"])
            row |= {
                "dynamax score": found["score"], "dynamax iteration, s": found["iteration"],
                "dynamax to our score - 1e-4, s": found["reached"],
                "iterations' ratio": found["iteration"] / per_iteration,
            }  # fmt: skip
        rows.append(row)
        print(pd.DataFrame([row]).round(4).to_string(index=False), flush=True)
    return pd.DataFrame(rows)


def _seconds_per_iteration(model: SwitchingPopulationGLM, data: object) -> float:
    """From the difference of a long and a short fit from the same start."""
    from sklearn.base import clone

    seconds = []
    for n in (1, 11):
        one = clone(model).set_params(max_iter=n, tol=0.0, n_init=1)
        began = _cpu()
        one.fit(data.spikes, sessions=data.sessions)
        seconds.append(_cpu() - began)
    return (seconds[1] - seconds[0]) / 10


def _run_peer(
    python: str, model: SwitchingPopulationGLM, data: object, size: str, score: float
) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "data.npz")
        rng = np.random.default_rng(0)
        weights = model.glm_weights_ + rng.normal(0.0, 0.2, model.weights_.shape)
        np.savez(
            path, spikes=data.spikes, n_sessions=data.sessions.max() + 1, filters=model.filters_,
            baseline=np.tile(model.glm_baseline_, (len(weights), 1)), weights=weights,
        )  # fmt: skip
        done = subprocess.run(
            [python, PEER, path, PEER_ITERATIONS[size], str(score - 1e-4)], capture_output=True, text=True, check=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "XLA_FLAGS":
                 "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"},
        )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--only", choices=["recovery", "speed"])
    chosen = parser.parse_args()
    warnings.simplefilter("ignore", NotConvergedWarning)
    if chosen.only != "recovery":
        speed(["S", "M", "L"] if chosen.full else ["S"], os.environ.get("NEUROML_PEERS_PYTHON"))
    if chosen.only != "speed":
        table = recovery(
            10 if chosen.full else 2,
            [2000, 6000, 20000] if chosen.full else [2000],
            [2.0, 0.0],
        )
        print(summarise(table).round(4).to_string())


if __name__ == "__main__":
    main()
