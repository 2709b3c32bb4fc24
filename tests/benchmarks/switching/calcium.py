"""How much calcium imaging the states take: planted states, through events, to both models.

    OMP_NUM_THREADS=1 python tests/benchmarks/switching/calcium.py [--seeds 3] [--minutes 3 10 30]

75 cells spike at a mean rate that differs between three states (per cell and state by a lognormal
factor of 0.5) which last five seconds on average. Each spike adds a transient to dF/F that decays
within 0.6 s and rises within 0.1 s, at ten frames a second, with Gaussian noise of a quarter of a
transient (``--noise``). `detect_events` and `bin_time` (0.5 s) make counts of it. Two models get
the events and, beside them, the true spikes in the same bins: `SwitchingGLM(family="poisson")` and
`SwitchingPopulationGLM`, whose units also drive each other. Printed are the shares of bins whose
state is the planted one (states matched by their overlap), beside the largest state's share, and
how many events were detected for a spike.
"""

import argparse
import itertools
import time
import warnings

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from scipy.signal import lfilter

from neuroml.data import bin_time, detect_events, make_recording
from neuroml.exceptions import NotConvergedWarning
from neuroml.switching import SwitchingGLM, SwitchingPopulationGLM

N_CELLS, N_STATES = 75, 3
FRAME_HZ, BIN_S, DWELL_S = 10.0, 0.5, 5.0
DECAY_S, RISE_S = 0.6, 0.1


def simulate(
    minutes: float, rate_hz: float, noise: float, rng: np.random.Generator
) -> tuple[np.ndarray, ...]:
    """States per bin (T,), spikes per frame (t, n) and dF/F (t, n)."""
    n_bins, frames = round(60 * minutes / BIN_S), round(FRAME_HZ * BIN_S)
    leaves = rng.random(n_bins) < BIN_S / DWELL_S
    states = np.cumsum(np.where(leaves, rng.integers(1, N_STATES, n_bins), 0)) % N_STATES
    factors = np.exp(rng.normal(0.0, 0.5, (N_STATES, N_CELLS)))
    rates = rate_hz * factors[np.repeat(states, frames)] / FRAME_HZ
    spikes = rng.poisson(rates)
    decay, rise = np.exp(-1 / (FRAME_HZ * DECAY_S)), np.exp(-1 / (FRAME_HZ * RISE_S))
    transient = lfilter([1.0], [1.0, -(decay + rise), decay * rise], np.r_[1.0, np.zeros(50)])
    calcium = lfilter([1.0], [1.0, -(decay + rise), decay * rise], spikes, axis=0)
    return states, spikes, calcium / transient.max() + rng.normal(0.0, noise, spikes.shape)


def accuracy(model, counts: np.ndarray, states: np.ndarray) -> float:
    """Share of bins in the planted state, after matching states by their overlap."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotConvergedWarning)
        path = model.fit(*counts).predict(*counts)
    overlap = np.zeros((N_STATES, N_STATES))
    np.add.at(overlap, (states, path), 1)
    return float(overlap[linear_sum_assignment(-overlap)].sum() / len(states))


def one(minutes: float, rate_hz: float, noise: float, seed: int) -> dict[str, float]:
    """Accuracies of both models from events and from spikes."""
    states, spikes, signal = simulate(minutes, rate_hz, noise, np.random.default_rng(seed))
    recording = make_recording(
        signal, rate_hz=FRAME_HZ, modality="calcium", value_units="dF/F", key=(str(seed), "", "")
    )
    events = bin_time(detect_events(recording), bin_s=BIN_S, how="sum").signal.values
    binned = spikes.reshape(len(states), -1, N_CELLS).sum(axis=1).astype(float)
    row = {"minutes": minutes, "spikes/s": rate_hz, "events per spike": events.sum() / spikes.sum()}
    row["largest state"] = np.bincount(states).max() / len(states)
    for name, counts in (("events", events), ("spikes", binned)):
        glm = SwitchingGLM(N_STATES, "poisson", n_init=5, random_state=0)
        row[f"GLM, {name}"] = accuracy(glm, (None, counts), states)
        seen = counts[:, counts.any(axis=0)]
        population = SwitchingPopulationGLM(N_STATES, n_init=1, max_iter=100, random_state=0)
        row[f"population, {name}"] = accuracy(population, (seen,), states)
    return row


def main() -> None:
    """Print the table of means over seeds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, nargs="+", default=[3.0, 10.0, 30.0])
    parser.add_argument("--rates", type=float, nargs="+", default=[0.1, 0.3, 1.0])
    parser.add_argument("--noise", type=float, default=0.25)
    chosen = parser.parse_args()
    rows, began = [], time.process_time()
    for minutes, rate in itertools.product(chosen.minutes, chosen.rates):
        rows += [one(minutes, rate, chosen.noise, seed) for seed in range(chosen.seeds)]
        print(pd.DataFrame(rows[-chosen.seeds :]).mean().round(3).to_dict(), flush=True)
    table = pd.DataFrame(rows).groupby(["minutes", "spikes/s"]).agg(["mean", "sem"]).round(3)
    print(table.to_string(), f"\n{time.process_time() - began:.0f} CPU s")


if __name__ == "__main__":
    main()
