"""Speed of the population model, beside the same model on dynamax and the bare arithmetic.

The peer is an HMM with the same Poisson GLM emissions on dynamax's smoother, each M-step 50 steps
of Adam.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.utils import Bunch

from neuroml.exceptions import DataError, MonotonicityWarning, NotConvergedWarning
from neuroml.simulate import make_switching_spikes
from neuroml.switching import SwitchingPopulationGLM
from neuroml.switching._chain import start_chain
from neuroml.switching._em import EMState, Model, Problem, assess, em_step, fit_single_state

SIZES = {"S": (20, 3, 20), "M": (20, 5, 20), "L": (50, 5, 100)}
PEER = Path(__file__).with_name("dynamax_population.py")
TOLERANCE = 1e-4


def peak_megabytes() -> float:
    """Of this process's memory; ru_maxrss would count that of the one that started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def _data(size: str) -> Bunch:
    n_units, n_states, n_sessions = SIZES[size]
    return make_switching_spikes(
        n_units, n_states, n_sessions=n_sessions, link="softplus",
        excitatory=0.3, strength=2.0, random_state=0,
    )  # fmt: skip


def _problem(data: Bunch) -> Problem:
    model = SwitchingPopulationGLM(len(data.weights), ridge=0.0)
    return model._problem(data.spikes, data.sessions)


def _started(problem: Problem, n_states: int) -> EMState:
    """The GLM of one state with noise on its weights."""
    glm = fit_single_state(problem, 100, 1e-8)
    coefficients = np.repeat(glm.coefficients, n_states, axis=0)
    noise = np.random.default_rng(0).normal(0.0, 0.3, coefficients[:, :, 1:].shape)
    coefficients[:, :, 1:] += noise
    model = Model(glm._replace(coefficients=coefficients), start_chain(n_states))
    return assess(problem, model)[0]


def _iterate(
    problem: Problem, state: EMState, n_iter: int
) -> tuple[EMState, np.ndarray, np.ndarray]:
    """Last state, log-likelihoods per bin, and the CPU seconds at which they were reached."""
    scores, seconds, began = [], [], time.process_time()
    for _ in range(n_iter):
        state, score = em_step(problem, state)
        scores.append(score)
        seconds.append(time.process_time() - began)
    return state, np.array(scores), np.array(seconds)


def _reached(scores: np.ndarray, seconds: np.ndarray, target: float) -> float:
    """Seconds until a target; NaN if it was not reached."""
    there = np.flatnonzero(scores >= target)
    return float(seconds[there[0]]) if len(there) else np.nan


def _bare_seconds(n_states: int, n_units: int, n_bins: int, states_per_bin: float) -> float:
    """CPU seconds of an iteration's products of matrices and link evaluations, and no more."""
    torch.set_num_threads(1)
    n_features, chunk = n_units + 1, 2048
    features = torch.rand(chunk, n_features)
    table = 0.1 * torch.randn(n_states * n_units, n_features)
    slopes = torch.rand(n_units, chunk)
    sampled = features[: min(chunk, 32 * n_features)]
    link = torch.nn.functional.softplus
    began = time.process_time()
    for _ in range(n_bins // chunk):
        link(table @ features.T).log_()  # E-step: rates of all states and their logarithms
    for _ in range(
        int(states_per_bin * n_bins) // chunk
    ):  # M-step: the states responsible for a bin
        own = table[:n_units] @ features.T
        torch.sigmoid(own)
        link(own)
        slopes @ features
        slopes @ (features * features)
    for _ in range(n_states * n_units * 32 * n_features // len(sampled)):
        sampled.T @ sampled  # curvature of every unit in every state
    return time.process_time() - began


def speed(size: str, peer_iterations: int) -> pd.DataFrame:
    """CPU seconds per iteration, and until the best likelihood found less 1e-4 per bin.

    Everybody starts from the same parameters and learns the same ones.
    """
    data = _data(size)
    n_units, n_states, _ = SIZES[size]
    problem = _problem(data)
    start = _started(problem, n_states)
    em_step(problem, start)  # compiles
    end, scores, seconds = _iterate(problem, start, 30)
    # A fit ends where nothing is gained; iterations from there on repeat what they try.
    gains = np.diff(scores) > 0.0
    taken = np.diff(seconds)[gains]
    owned = float((end.smoothed.posterior > 1e-3).sum() / len(data.spikes))
    bare = [_bare_seconds(n_states, n_units, len(data.spikes), owned) for _ in range(5)]
    found = _run_peer(start, data, peer_iterations)
    best = max(scores.max(), max(found["scores"], default=-np.inf))
    ours = {
        "by": "neuroml", "score": scores.max(),
        "iteration, s": float(np.median(taken)),
        "iterations": int(gains.sum()),
        "to the best - 1e-4, s": _reached(scores, seconds, best - TOLERANCE),
        "states per bin": owned,
        "last iterations / bare": float(np.median(taken[-6:]) / np.median(bare)),
        "peak, MB": peak_megabytes(),
    }  # fmt: skip
    rows = [{"size": size, **ours}]
    if len(found["scores"]):
        theirs = np.array(found["scores"]), np.array(found["seconds"])
        rows.append(
            {
                "size": size,
                "by": "dynamax",
                "score": theirs[0].max(),
                "iteration, s": float(np.median(np.diff(theirs[1]))),
                "to the best - 1e-4, s": _reached(*theirs, best - TOLERANCE),
                "peak, MB": found["peak"],
            }
        )
    table = pd.DataFrame(rows)
    for column in ("iteration, s", "to the best - 1e-4, s"):
        table[f"{column}: ratio"] = table[column] / table[column][0]
    return table


def _run_peer(start: EMState, data: Bunch, n_iter: int) -> dict[str, object]:
    nothing: dict[str, object] = {"scores": [], "seconds": []}
    python = os.environ.get("NEUROML_PEERS_PYTHON")
    if not python:
        print("NEUROML_PEERS_PYTHON is not set: no peers")
        return nothing
    found, chain = start.model
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "data.npz")
        np.savez(
            path, spikes=data.spikes, n_sessions=data.sessions.max() + 1,
            filter=data.filters[0], intercept=found.coefficients[:, :, 0], weights=found.weights,
            matrix=chain.matrix, initial=chain.initial,
        )  # fmt: skip
        done = subprocess.run(
            [python, PEER, path, str(n_iter)], capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": "", "OMP_NUM_THREADS": "1", "XLA_FLAGS":
                 "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"},
        )  # fmt: skip
    if done.returncode:
        print(f"dynamax failed: {done.stderr.strip().splitlines()[-1]}")
        return nothing
    return json.loads(done.stdout.splitlines()[-1])


def _fit(n_jobs: int) -> float:
    """Wall seconds of a fit with eight starts, after a first short one."""
    data = _data("S")
    model = SwitchingPopulationGLM(3, n_init=8, n_jobs=n_jobs, random_state=0)
    model.fit(data.spikes[:3000], sessions=data.sessions[:3000])
    began = time.perf_counter()
    model.fit(data.spikes, sessions=data.sessions)
    return time.perf_counter() - began


def two_cores(n_rounds: int) -> pd.DataFrame:
    """What a second core gains inside one fit, and as a second process beside it."""
    rows = []
    for _ in range(n_rounds):
        with get_context("spawn").Pool(2) as pool, ThreadPoolExecutor(2) as threads:
            alone = pool.apply(_fit, (1,))
            both = max(threads.map(lambda _: pool.apply(_fit, (1,)), range(2)))
        rows.append({"alone, s": alone, "two processes, s": both, "two jobs, s": _fit(2)})
    table = pd.DataFrame(rows).median().to_frame().T
    table["gain of processes"] = 2.0 * table["alone, s"] / table["two processes, s"]
    table["gain of jobs"] = table["alone, s"] / table["two jobs, s"]
    table["share"] = table["gain of jobs"] / table["gain of processes"]
    return table


def fuzz(n_inputs: int) -> pd.DataFrame:
    """Hostile counts: refused with a reason, or fitted without NaN, decrease or false claims."""
    rng = np.random.default_rng(0)
    tally = {"refused": 0, "not finite": 0, "a decrease": 0, "false convergence": 0}
    links, priors = ("softplus", "exp", "sigmoid"), ("none", "gaussian", "one-hot")
    for i in range(n_inputs):
        n_bins, n_units = int(rng.integers(8, 80)), int(rng.integers(1, 6))
        counts = rng.poisson(rng.choice([0.02, 0.5, 3.0]), size=(n_bins, n_units)).astype(float)
        counts[:, 0] *= rng.choice([1, 1, 1000])
        if n_units > 1 and rng.random() < 0.3:
            counts[:, 1] = counts[:, 0]
        if rng.random() < 0.1:
            counts[rng.integers(n_bins) :] = 0.0
        sessions = np.sort(rng.integers(rng.choice([1, 2, n_bins]), size=n_bins))
        model = SwitchingPopulationGLM(
            int(rng.integers(1, 6)), 2, link=links[i % 3], prior=priors[i // 3 % 3],
            shared_intercept=bool(i % 2), ridge=float(rng.choice([0.01, 1.0])), n_init=1,
            max_iter=60, dtype="float64", random_state=i,
        )  # fmt: skip
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                model.fit(counts, sessions=sessions)
            except DataError:
                tally["refused"] += 1
                continue
        arrays = (model.weights_, model.intercept_, model.transition_matrix_, model.filters_,
                  model.objective_trace_, model.predict_proba(counts, sessions=sessions))  # fmt: skip
        tally["not finite"] += not all(np.isfinite(array).all() for array in arrays)
        tally["a decrease"] += any(issubclass(w.category, MonotonicityWarning) for w in caught)
        said = any(issubclass(w.category, NotConvergedWarning) for w in caught)
        last = np.diff(model.objective_trace_)[-1:]
        tally["false convergence"] += bool(
            (model.converged_ and (last > model.tol).any()) or model.converged_ == said
        )
    return pd.DataFrame([{"what": "hostile counts", "number": n_inputs, **tally}])
