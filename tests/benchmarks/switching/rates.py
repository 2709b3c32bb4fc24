"""What the priors of rates and of couplings bring on counts that were held out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from neuroml.data import load_dataset, stack
from neuroml.evaluation import evaluate
from neuroml.simulate import make_switching_spikes
from neuroml.switching import SwitchingGLM, SwitchingPopulationGLM

DATA = Path(__file__).parents[4] / "shared" / "data"


def poisson_states(n_bins: int = 1500, n_units: int = 30, n_states: int = 4) -> np.ndarray:
    """Counts of a plain hidden Markov model whose units are often silent in a state."""
    rng = np.random.default_rng(0)
    rates = rng.gamma(0.3, 0.5, size=(n_states, n_units))
    states = np.repeat(rng.integers(n_states, size=n_bins // 25), 25)
    counts = rng.poisson(rates[states]).astype(float)
    return counts[:, counts.any(axis=0)]


def hippocampus(n_bins: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Counts of place cells in bins of 100 ms, and their runs."""
    rows = stack([load_dataset("hippocampus_spikes", data_dir=DATA).recordings[0]])
    n = len(rows.X) // 4 * 4
    counts = rows.X[:n].reshape(-1, 4, rows.X.shape[1]).sum(axis=1)[:n_bins]
    return counts[:, counts.any(axis=0)], rows.sessions[:n:4][: len(counts)]


def songbird() -> np.ndarray:
    """Events of a singing bird's neurons: frames in which the deconvolved signal is not zero."""
    (bird,) = load_dataset("songbird_hvc", data_dir=DATA).recordings
    events = (bird.signal.values > 0).astype(float)
    return events[:, events.any(axis=0)]


def populations(n_bins: int | None) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, counts and sessions of two recordings, where they are there, and of two simulations."""
    if DATA.exists():
        yield "hippocampus", *hippocampus(n_bins)
        yield "songbird", (bird := songbird()), np.zeros(len(bird))
    coupled = make_switching_spikes(20, 5, n_sessions=5, n_bins=400, random_state=0)
    yield "coupled units", coupled.spikes, coupled.sessions
    yield "Poisson states", (counts := poisson_states()), np.zeros(len(counts))


def held_out_rates(n_bins: int | None, n_init: int = 3) -> pd.DataFrame:
    """Bits per spike above a constant rate, mean over folds, with and without the prior."""
    rows = []
    for name, counts, sessions in populations(n_bins):
        for n_states in (2, 4, 8):
            row: dict[str, object] = {"data": name, "n_states": n_states}
            for prior in (0.0, 0.01):
                model = SwitchingGLM(
                    n_states, "poisson", rate_prior=prior, n_init=n_init, tol=1e-5, random_state=0
                )
                found = evaluate(
                    model, None, counts, sessions=sessions, scoring="bits", baselines=None,
                    random_state=0,
                )  # fmt: skip
                per_bin = found.table_["value"]
                per_spike = per_bin / counts.sum(axis=1).mean()
                row[f"prior {prior:g}"] = per_spike.mean()
                row[f"worst fold {prior:g}"] = per_spike.min()
            rows.append(row)
    return pd.DataFrame(rows)


def held_out_couplings(n_bins: int | None, n_init: int = 2) -> pd.DataFrame:
    """Bits per spike above a constant rate, mean over folds, under two fixed ridges and the chosen.

    The last column is how much longer a fit takes that chooses.
    """
    rows = []
    for name, counts, sessions in populations(n_bins):
        for n_states in (2, 4, 8):
            row: dict[str, object] = {"data": name, "n_states": n_states}
            seconds = []
            for ridge in (0.01, 10.0, "auto"):
                began = time.process_time()
                model = SwitchingPopulationGLM(n_states, ridge=ridge, n_init=n_init, random_state=0)
                found = evaluate(
                    model, counts, sessions=sessions, scoring="bits", baselines=None, random_state=0
                )
                seconds.append(time.process_time() - began)
                per_spike = found.table_["value"] / counts.sum(axis=1).mean()
                row[f"ridge {ridge}"] = per_spike.mean()
            rows.append(row | {"times as long": seconds[2] / seconds[0]})
    return pd.DataFrame(rows)
