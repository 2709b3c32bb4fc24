"""Partial pooling beside its extremes: parameters, held-out likelihood, coverage and time.

Run by hand: ``python tests/benchmarks/switching/cohorts.py [seeds]``. Eight simulated mice that share
three strategies, with 200, 1,000 and 5,000 trials each; half as many again are held out.
"""

import sys
import time
import warnings

import numpy as np

from neuroml.simulate import make_switching_cohort
from neuroml.switching import SwitchingGLM, match_weights

POOLINGS = ("complete", "partial", "none")
N_SESSIONS = 4  # of which every third one is held out


def parameters(model, n_subjects):
    """Weights and intercepts of the subjects (n_subjects, n_states, 4)."""
    if model.pooling == "complete":
        both = np.concatenate([model.weights_, model.intercept_[:, :, None]], axis=2)[:, 0]
        return np.repeat(both[None], n_subjects, axis=0)
    return np.concatenate([model.subject_weights_, model.subject_intercept_[..., None]], axis=3)[
        :, :, 0
    ]


def one(seed, n_trials, n_subjects=8):
    """For each pooling: RMSE by coefficient and over all, held-out nats per trial, seconds."""
    data = make_switching_cohort(
        n_subjects, 6, n_trials // N_SESSIONS, deviation=(0.8, 0.2, 0.3), random_state=seed
    )
    held_out = data.sessions % 3 == 2
    train = ~held_out
    truth = np.concatenate([data.subject_weights, data.subject_intercept[..., None]], axis=3)[
        :, :, 0
    ]
    found = {}
    for pooling in POOLINGS:
        start = time.process_time()
        model = SwitchingGLM(3, pooling=pooling, n_init=5, random_state=seed).fit(
            data.X[train], data.y[train], sessions=data.sessions[train], groups=data.groups[train]
        )
        seconds = time.process_time() - start
        order = match_weights(truth.mean(axis=0), parameters(model, n_subjects).mean(axis=0))
        error = parameters(model, n_subjects)[:, order] - truth
        rmse = np.sqrt((error**2).mean(axis=(0, 1)))
        score = model.score(
            data.X[held_out], data.y[held_out], sessions=data.sessions[held_out],
            groups=data.groups[held_out],
        )  # fmt: skip
        found[pooling] = [*rmse, np.sqrt((error**2).mean()), score, seconds]
    return found


def main(n_seeds):
    """Print the table."""
    warnings.simplefilter("ignore")
    one(0, 40)  # compiles
    print(
        "trials pooling   stimulus previous before bias   all    (SE)    held-out (SE)    seconds"
    )
    for n_trials in (200, 1000, 5000):
        every = [one(seed, n_trials) for seed in range(n_seeds)]
        for pooling in POOLINGS:
            table = np.array([found[pooling] for found in every])
            mean = table.mean(axis=0)
            paired = table - np.array([found["partial"] for found in every])
            error = paired.std(axis=0, ddof=1) / np.sqrt(n_seeds)
            print(
                f"{n_trials:6d} {pooling:9s}", *(f"{value:7.3f}" for value in mean[:4]),
                f"{mean[4]:7.3f} ({error[4]:.3f})  {mean[5]:8.5f} ({error[5]:.5f}) {mean[6]:6.1f}",
            )  # fmt: skip


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
