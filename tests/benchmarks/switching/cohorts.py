"""Partial pooling beside its extremes: parameters, held-out likelihood, coverage, shrinkage, time.

Run by hand: ``python tests/benchmarks/switching/cohorts.py SECTION [--seeds N] [--first SEED] ...``.

recovery
    Eight simulated mice that share three strategies, with 200, 1,000 and 5,000 trials each; half
    as many again are held out.
rat
    The rat's 80 days as eight subjects of ten days; every fifth day of each is held out in turn.
coverage
    Intervals of 95 % of subjects' weights, by number of subjects, trials and coefficient.
shrinkage
    Where partial pooling lies between its extremes, by the true deviation between subjects.

The strength that ties variances over states was chosen on seeds 0 to 9: begin at another one.
"""

import argparse
import time
import warnings
from itertools import product

import numpy as np

from neuroml.data import load_dataset, stack
from neuroml.simulate import make_switching_cohort
from neuroml.switching import SwitchingGLM, match_weights

POOLINGS = ("complete", "partial", "none")
DEVIATION = (0.8, 0.2, 0.3)
COEFFICIENTS = ("stimulus", "previous", "before", "bias")
VARYING = [0, 1, 3]  # no subject has a weight of the stimulus before: its variance is on the border
N_SESSIONS = 4  # beside which two are held out
INPUTS = ["s1", "s2", "previous_choice", "previous_answer", "previous_stimulus"]


def parameters(model, n_subjects):
    """Weights and intercepts of the subjects (n_subjects, n_states, 4)."""
    if model.pooling == "complete":
        both = np.concatenate([model.weights_, model.intercept_[:, :, None]], axis=2)[:, 0]
        return np.repeat(both[None], n_subjects, axis=0)
    return joined(model.subject_weights_, model.subject_intercept_)


def joined(weights, intercept):
    """Both of the only output (n_subjects, n_states, 4)."""
    return np.concatenate([weights, intercept[..., None]], axis=3)[:, :, 0]


def fitted(data, pooling, n_states, seed, kept=slice(None)):
    """A model of some of the trials."""
    model = SwitchingGLM(n_states, pooling=pooling, n_init=5, random_state=seed)
    return model.fit(
        data.X[kept], data.y[kept], sessions=data.sessions[kept], groups=data.groups[kept]
    )


def spread_of(values):
    """Standard error of a mean."""
    return np.std(values, axis=0, ddof=1) / np.sqrt(len(values))


def one(seed, n_trials, n_subjects=8):
    """For each pooling: RMSE by coefficient and over all, held-out nats per trial, seconds."""
    data = make_switching_cohort(
        n_subjects, 6, n_trials // N_SESSIONS, deviation=DEVIATION, random_state=seed
    )
    held_out = data.sessions % 3 == 2
    truth = joined(data.subject_weights, data.subject_intercept)
    found = {}
    for pooling in POOLINGS:
        start = time.process_time()
        model = fitted(data, pooling, 3, seed, ~held_out)
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


def recovery(seeds, trials):
    """RMSE and held-out likelihood; standard errors are of the difference to partial pooling."""
    print("trials pooling  ", *COEFFICIENTS, "  all    (SE)    held-out (SE)    seconds")
    for n_trials in trials:
        every = [one(seed, n_trials) for seed in seeds]
        for pooling in POOLINGS:
            table = np.array([found[pooling] for found in every])
            mean = table.mean(axis=0)
            error = spread_of(table - np.array([found["partial"] for found in every]))
            print(
                f"{n_trials:6d} {pooling:9s}", *(f"{value:7.3f}" for value in mean[:4]),
                f"{mean[4]:7.3f} ({error[4]:.3f})  {mean[5]:8.5f} ({error[5]:.5f}) {mean[6]:6.1f}",
                flush=True,
            )  # fmt: skip


def rat(seeds, n_states):
    """Nats per held-out trial of the rat; standard errors of the difference, over days."""
    recording = load_dataset("psytrack_rat").recordings[0]
    data = stack([recording], target="choice", inputs=INPUTS)
    days = np.unique(data.sessions)
    data.groups = data.sessions * 8 // len(days)
    scores = {pooling: np.zeros(len(days)) for pooling in POOLINGS}
    for fold, pooling in product(range(5), POOLINGS):
        held_out = data.sessions % 5 == fold
        model = fitted(data, pooling, n_states, seeds[0], ~held_out)
        for day in days[days % 5 == fold]:
            rows = data.sessions == day
            total = model.score(data.X[rows], data.y[rows], groups=data.groups[rows]) * rows.sum()
            scores[pooling][day] = total
    n_trials = np.bincount(data.sessions)
    print("states pooling   nats per trial  minus partial (SE over days)")
    for pooling in POOLINGS:
        # a ratio of sums over days, whose error is that of the days' residuals
        gain = scores[pooling] - scores["partial"]
        mean = gain.sum() / n_trials.sum()
        error = np.sqrt(((gain - mean * n_trials) ** 2).sum()) / n_trials.sum()
        print(
            f"{n_states:6d} {pooling:9s} {scores[pooling].sum() / n_trials.sum():.5f}"
            f"  {mean:+.5f} ({error:.5f})",
            flush=True,
        )


def coverage(seeds, subjects, trials, n_states):
    """Share of the true weights within 1.96 posterior standard deviations."""
    print("subjects trials ", *COEFFICIENTS, " all but before  (SE)  z's deviation  seconds")
    for n_subjects, n_trials in product(subjects, trials):
        inside, scaled, start = [], [], time.process_time()
        for seed in seeds:
            data = make_switching_cohort(
                n_subjects, 4, n_trials // 4, n_states, deviation=DEVIATION, random_state=seed
            )
            model = fitted(data, "partial", n_states, seed)
            truth = joined(data.subject_weights, data.subject_intercept)
            found = parameters(model, n_subjects)
            std = joined(model.subject_weights_std_, model.subject_intercept_std_)
            order = match_weights(truth.mean(axis=0), found.mean(axis=0))
            z = (found[:, order] - truth) / std[:, order]
            inside.append((np.abs(z) < 1.96).mean(axis=(0, 1)))
            scaled.append(np.sqrt((z[:, :, VARYING] ** 2).mean()))
        mean, of_varying = np.mean(inside, axis=0), np.mean(inside, axis=0)[VARYING].mean()
        error = spread_of(np.mean(np.array(inside)[:, VARYING], axis=1))
        print(
            f"{n_subjects:8d} {n_trials:6d} ", *(f"{value:7.3f}" for value in mean),
            f"{of_varying:13.3f} ({error:.3f}) {np.mean(scaled):9.2f}"
            f" {(time.process_time() - start) / len(seeds):10.1f}",
            flush=True,
        )  # fmt: skip


def shrinkage(seeds, deviations, n_states):
    """RMS distance of partial pooling to both extremes."""
    print("deviation  to complete  to none  learned deviation")
    for deviation in deviations:
        rows = []
        for seed in seeds:
            data = make_switching_cohort(
                8, 4, 250, n_states, deviation=(deviation, deviation, deviation), random_state=seed
            )
            models = {pooling: fitted(data, pooling, n_states, seed) for pooling in POOLINGS}
            found = {
                pooling: parameters(model, 8)[:, :, VARYING] for pooling, model in models.items()
            }
            away = [
                np.sqrt(((found["partial"] - found[other]) ** 2).mean())
                for other in ("complete", "none")
            ]
            variance = joined(
                models["partial"].weight_variance_[None],
                models["partial"].intercept_variance_[None],
            )
            rows.append([*away, np.sqrt(variance[0][:, VARYING].mean())])
        print(
            f"{deviation:9.2f}", *(f"{value:11.3f}" for value in np.mean(rows, axis=0)), flush=True
        )


def main():
    """Print the table of a section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("section", choices=["recovery", "rat", "coverage", "shrinkage"])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=100)
    parser.add_argument("--trials", type=int, nargs="+", default=[200, 1000, 5000])
    parser.add_argument("--subjects", type=int, nargs="+", default=[5, 15, 50])
    parser.add_argument("--deviations", type=float, nargs="+", default=[0, 0.1, 0.3, 1, 3])
    parser.add_argument("--states", type=int, default=3)
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    seeds = range(chosen.first, chosen.first + chosen.seeds)
    one(0, 40)  # compiles
    if chosen.section == "recovery":
        recovery(seeds, chosen.trials)
    elif chosen.section == "rat":
        rat(seeds, chosen.states)
    elif chosen.section == "coverage":
        coverage(seeds, chosen.subjects, chosen.trials, chosen.states)
    else:
        shrinkage(seeds, chosen.deviations, chosen.states)


if __name__ == "__main__":
    main()
