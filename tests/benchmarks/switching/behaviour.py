"""Speed and statistics of the recursions and of SwitchingGLM.

Peers (hmmlearn, dynamax, nemos) run on the same arrays and from the same start. Compilation is not
counted.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import expit

from neuroml.exceptions import MonotonicityWarning, NotConvergedWarning
from neuroml.simulate import make_switching_choices
from neuroml.switching import SwitchingGLM, recovery_study, select_by_sessions
from neuroml.switching._chain import start_chain
from neuroml.switching._em import Model, fit_em
from neuroml.switching._observations.base import Emissions
from neuroml.switching.inference import forward_backward, sample_states
from neuroml.switching.switching_glm import FAMILIES

PEERS = Path(__file__).with_name("peers.py")


def peers(task: str, **arrays: object) -> dict[str, dict[str, float]]:
    """Seconds and log-likelihood of every peer that is installed."""
    python = os.environ.get("NEUROML_PEERS_PYTHON")
    if not python:
        print("NEUROML_PEERS_PYTHON is not set: no peers")
        return {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "problem.npz"
        np.savez(path, **arrays)  # type: ignore[arg-type]
        done = subprocess.run(
            [python, str(PEERS), str(path), task],
            capture_output=True,
            text=True,
            check=False,
            env={
                **os.environ,
                "PYTHONPATH": "",
                "JAX_PLATFORMS": "cpu",
                "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
            },
        )
    if done.returncode:
        print(f"peers failed: {done.stderr.strip().splitlines()[-1]}")
        return {}
    return json.loads(done.stdout.strip().splitlines()[-1])


def median_cpu(function: object, n: int = 7) -> float:
    """CPU seconds of a call after a first one."""
    function()  # type: ignore[operator]
    seconds = []
    for _ in range(n):
        start = time.process_time()
        function()  # type: ignore[operator]
        seconds.append(time.process_time() - start)
    return float(np.median(seconds))


def recursions() -> pd.DataFrame:
    """Forward-backward alone at 50,000 bins and 4 states, and its cost up to 1e7 bins."""
    rng = np.random.default_rng(0)
    matrix, initial = np.full((4, 4), 0.02) + 0.92 * np.eye(4), np.full(4, 0.25)
    log_emissions = 2.0 * rng.normal(size=(50_000, 4)) - 58.0
    ours = median_cpu(lambda: forward_backward(log_emissions, matrix, initial), 15)
    value = forward_backward(log_emissions, matrix, initial).log_likelihood
    rows = [{"what": "forward-backward", "by": "neuroml", "seconds": ours, "ratio": 1.0}]
    found = peers("forward_backward", log_emissions=log_emissions, matrix=matrix, initial=initial)
    for name, result in found.items():
        rows.append(
            {
                "what": "forward-backward",
                "by": name,
                "seconds": result["seconds"],
                "ratio": result["seconds"] / ours,
                "difference": abs(result["log_likelihood"] / value - 1.0),
            }
        )
    for n_bins in (10_000, 100_000, 1_000_000, 10_000_000):
        long = rng.normal(size=(n_bins, 3))
        seconds = median_cpu(
            lambda long=long: forward_backward(long, matrix[:3, :3] / 0.98, initial[:3] / 0.75),
            3 if n_bins < 10_000_000 else 1,
        )
        tracemalloc.start()
        forward_backward(long, matrix[:3, :3] / 0.98, initial[:3] / 0.75)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        rows.append({"what": f"{n_bins:.0e} bins of 3 states", "by": "neuroml", "seconds": seconds})
        rows[-1] |= {"ns per bin": seconds / n_bins * 1e9, "peak bytes per bin": peak / n_bins}
    return pd.DataFrame(rows)


def glm_hmm() -> pd.DataFrame:
    """Seconds per iteration of EM with 100 sessions of 1,000 choices, 3 states, 3 inputs."""
    data = make_switching_choices(100, 1000, 3, random_state=0)
    rng = np.random.default_rng(1)
    model = SwitchingGLM(3, ridge=0.0, n_init=1, max_iter=2, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotConvergedWarning)
        model.fit(data.X, data.y, sessions=data.sessions)
    problem = model._arrange(data.X, data.y, data.sessions)
    weights = np.concatenate([model.glm_weights_[:, 0], model.glm_intercept_], axis=1)
    weights = weights + rng.normal(size=(3, 4))
    start = Model(Emissions(weights[:, None], np.ones((3, 1))), start_chain(3))

    def seconds(n: int) -> float:
        return median_cpu(lambda: fit_em(problem, start, n, -1.0), 5)

    ours = (seconds(14) - seconds(4)) / 10
    converged = fit_em(problem, start, 500, 1e-10)
    rows = [
        {
            "what": "GLM-HMM, per iteration",
            "by": "neuroml",
            "seconds": ours,
            "ratio": 1.0,
            "log_likelihood": converged.objective,
        }
    ]
    found = peers(
        "glm_hmm",
        X=data.X,
        y=data.y,
        n_sessions=100,
        weights=weights[:, :3],
        intercept=weights[:, 3],
        start_matrix=start.chain.matrix,
        start_initial=start.chain.initial,
    )
    for name, result in found.items():
        rows.append(
            {
                "what": "GLM-HMM, per iteration",
                "by": name,
                "seconds": result["seconds"],
                "ratio": result["seconds"] / ours,
                "log_likelihood": result["log_likelihood"],
            }
        )
    return pd.DataFrame(rows)


def monotone(n_fits: int) -> pd.DataFrame:
    """Random fits of all families in which EM lowered the objective."""
    rng, fell = np.random.default_rng(0), 0
    for i in range(n_fits):
        n = int(rng.integers(20, 120))
        counts = rng.poisson(2.0, size=n)
        y = {"bernoulli": counts > 1, "categorical": np.minimum(counts, 2)}.get(
            FAMILIES[i % 5], counts
        )
        model = SwitchingGLM(
            int(rng.integers(2, 5)),
            FAMILIES[i % 5],
            n_init=1,
            max_iter=40,
            random_state=i,
            ridge=float(rng.choice([0.0, 1.0])),
            stickiness=float(rng.choice([0.0, 5.0])),
            transition_columns=[None, [0]][int(rng.integers(2))],
        )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(rng.normal(size=(n, 2)), y, sessions=np.sort(rng.integers(3, size=n)))
        fell += any(issubclass(one.category, MonotonicityWarning) for one in caught)
    return pd.DataFrame([{"what": "random fits", "number": n_fits, "with a decrease": fell}])


def coverage(n_sets: int) -> pd.DataFrame:
    """Share of 95 % Wald intervals that hold the truth, over weights and intercepts."""
    hits = []
    for seed in range(n_sets):
        data = make_switching_choices(10, 300, 2, random_state=seed)
        model = SwitchingGLM(2, ridge=0.0, n_init=2, tol=1e-9, random_state=0)
        model.fit(data.X, data.y, sessions=data.sessions)
        errors = model.standard_errors(data.X, data.y, sessions=data.sessions, cov="observed")
        place = np.argsort(np.argsort(-model.weights_[:, 0, 0]))
        for name in ("weights", "intercept"):
            off = getattr(model, f"{name}_") - data[name][place]
            hits.append((np.abs(off) < 1.96 * errors[name]).ravel())
    share = np.concatenate(hits)
    return pd.DataFrame(
        [{"what": "Wald intervals", "number": len(share), "coverage": share.mean()}]
    )


def sessions_that_differ(n_sets: int, n_sessions: int = 50, n_trials: int = 100) -> pd.DataFrame:
    """Share of 95 % intervals that hold the estimand, without and with effects of the session.

    Effects are normal, of slope and intercept of both states alike. A logistic curve's slope is
    lower on average over them, so that the estimand is then the mean of the estimates.
    """
    truth = np.array([[2.0, 0.5], [-1.0, -0.5]])
    chain = np.full((2, 2), 0.05) + 0.9 * np.eye(2)
    sessions = np.repeat(np.arange(n_sessions), n_trials)
    rows = []
    for deviation in (0.0, 0.5):
        estimates: list[np.ndarray] = []
        margins: dict[str, list[np.ndarray]] = {"observed": [], "sandwich": []}
        for seed in range(n_sets):
            rng = np.random.default_rng(seed)
            X = rng.normal(size=(n_sessions * n_trials, 1))
            states = sample_states(
                np.zeros((len(X), 2)), chain, [0.5, 0.5], sessions, random_state=rng
            )
            own = truth[states] + deviation * rng.normal(size=(n_sessions, 2))[sessions]
            y = (rng.random(len(X)) < expit(own[:, 0] * X[:, 0] + own[:, 1])).astype(float)
            model = SwitchingGLM(2, ridge=0.0, n_init=1, tol=1e-8, random_state=0)
            model.fit(X, y, sessions=sessions)
            order = np.argsort(-model.weights_[:, 0, 0])
            estimates.append(np.column_stack([model.weights_[order, 0], model.intercept_[order]]))
            for cov, found in margins.items():
                errors = model.standard_errors(X, y, sessions=sessions, cov=cov)
                both = np.column_stack([errors.weights[order, 0], errors.intercept[order]])
                found.append(stats.t.ppf(0.975, errors.degrees_of_freedom) * both)
        target = np.mean(estimates, axis=0) if deviation else truth
        for cov, found in margins.items():
            held = np.abs(np.array(estimates) - target) <= np.array(found)
            rows.append(
                {"effect": deviation, "cov": cov, "number": held.size, "share": held.mean()}
            )
    return pd.DataFrame(rows)


def consistency(n_repeats: int) -> pd.DataFrame:
    """Slope of log RMSE of the weights against log length."""
    data = make_switching_choices(1, 2, 2)
    truth = SwitchingGLM.from_parameters(
        data.weights, data.intercept, data.transition_matrix, n_init=3, ridge=0.0, tol=1e-8
    )
    rng, lengths = np.random.default_rng(0), np.array([2000, 8000, 32_000])
    rmse = [
        np.sqrt(
            (
                recovery_study(
                    truth,
                    rng.normal(size=(n, 3)),
                    sessions=np.arange(n) // 500,
                    n_repeats=n_repeats,
                    random_state=1,
                )["weight_rmse"]
                ** 2
            ).mean()
        )
        for n in lengths
    ]
    slope = np.polyfit(np.log(lengths), np.log(rmse), 1)[0]
    return pd.DataFrame([{"what": "log RMSE per log length", "slope": slope}])


def false_states(n_sets: int) -> pd.DataFrame:
    """How often more than one state is chosen on data from one state."""
    more = 0
    for seed in range(n_sets):
        data = make_switching_choices(8, 200, 1, random_state=seed)
        search = select_by_sessions(
            SwitchingGLM(n_init=2, max_iter=2000, tol=1e-5, random_state=0),
            {"n_states": [1, 2, 3]},
            data.X,
            data.y,
            sessions=data.sessions,
            cv=4,
        )
        more += search.best_params_["n_states"] > 1
    return pd.DataFrame([{"what": "K > 1 on one-state data", "number": n_sets, "chosen": more}])


def fuzz(n_inputs: int) -> pd.DataFrame:
    """Hostile inputs that gave NaN, or a claim of convergence that one more step refutes."""
    rng = np.random.default_rng(0)
    not_finite = refuted = 0
    for i in range(n_inputs):
        family, n = FAMILIES[i % 5], int(rng.integers(2, 40))
        counts = rng.negative_binomial(1, 0.3, size=n) * rng.choice([0, 1, 10_000])
        y = {"bernoulli": counts > 1, "categorical": np.minimum(counts, 2)}.get(family, counts)
        y = np.where(rng.random(n) < 0.2, np.nan, y)
        y[0] = np.nan_to_num(y[0])
        x = rng.normal(size=(n, 1)) * rng.choice([1e-3, 1.0, 100.0])
        X = np.hstack([x, x, np.ones_like(x), np.zeros_like(x)])
        sessions = np.sort(rng.integers(n, size=n))
        model = SwitchingGLM(1 + i % 5, family, n_init=2, max_iter=100, random_state=i)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(X, y, sessions=sessions)
        arrays = (
            model.weights_,
            model.intercept_,
            model.transition_matrix_,
            getattr(model, "covariances_", np.zeros(0)),
            getattr(model, "dispersions_", np.zeros(0)),
        )
        not_finite += not all(np.isfinite(array).all() for array in arrays)
        gains = np.diff(model.objective_trace_)
        refuted += bool(model.converged_ and abs(gains[-1]) > model.tol)
    return pd.DataFrame(
        [
            {
                "what": "hostile inputs",
                "number": n_inputs,
                "not finite": not_finite,
                "false convergence": refuted,
            }
        ]
    )
