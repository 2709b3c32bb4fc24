"""Predictions of a new subject from few rows, beside ridge, in two simulators of cohorts.

Two subjects of every world are the new one in turn; the others are the cohort. What is shown is what
`predict` gives: the share of 300 candidates ranked first by the cosine with it, and R2. Standard
errors are over worlds; gains are paired.
"""

import sys
import time
import warnings
from pathlib import Path

import numpy as np
from measure import table
from sklearn.metrics import r2_score
from tuned_cohort import tuned_cohort

from neuroml.decoding import CrossSubjectDecoder, RidgeDecoder
from neuroml.decoding.metrics import retrieval_accuracy
from neuroml.simulate import make_cohort

SIZES, WORLDS = (70, 200, 540), 5
# as many voxels in all subjects, so that models which take voxels to correspond can stand beside
SIMULATORS = {
    "make_cohort": lambda world: make_cohort(
        5, n_stimuli=600, n_voxels=[300] * 5, snr=2.0, random_state=world
    ),
    "tuned_cohort": lambda world: tuned_cohort(5, random_state=world),
}


def new_subjects(world, simulator, n_new=2):
    """The cohort, the name of each new subject, the others' data, and the order of its rows."""
    cohort = SIMULATORS[simulator](world)
    for i, target in enumerate(list(cohort.X)[:n_new]):
        others = tuple({s: d[s] for s in d if s != target} for d in (cohort.X, cohort.y))
        order = np.random.default_rng([world, i]).permutation(len(cohort.y[target]))
        yield cohort, target, others, order


def mean_and_error(values):
    """Of means of worlds, given (n_worlds, ...)."""
    return np.mean(values, axis=0), np.std(values, axis=0, ddof=1) / np.sqrt(len(values))


def by_predictions(simulator, n_worlds=WORLDS):
    """Top-1 in percent and R2 (n_worlds, n_sizes, 2) of both decoders, means over subjects."""
    found = {"ridge": [], "adapted": []}
    for world in range(n_worlds):
        rows = {name: [] for name in found}
        for cohort, target, others, order in new_subjects(world, simulator):
            model = CrossSubjectDecoder().fit(*others)
            for n in SIZES:
                few = cohort.X[target][order[:n]], cohort.y[target][order[:n]]
                ridge = RidgeDecoder().fit({target: few[0]}, {target: few[1]})
                for name, one in (("ridge", ridge), ("adapted", model.adapt(*few, subject=target))):
                    decoded = one.predict(cohort.X_test[target], subject=target)
                    top = retrieval_accuracy(decoded, cohort.y_test).forward
                    rows[name].append((100 * top, r2_score(cohort.y_test, decoded)))
        for name, values in rows.items():
            found[name].append(np.reshape(values, (-1, len(SIZES), 2)).mean(axis=0))
    return {name: np.array(values) for name, values in found.items()}


def main():
    warnings.simplefilter("ignore")
    for simulator in SIMULATORS:
        start = time.process_time()
        found = by_predictions(simulator)
        gain, gain_error = mean_and_error(found["adapted"] - found["ridge"])
        means = {name: mean_and_error(values) for name, values in found.items()}
        print(f"\n  {simulator}: {WORLDS} worlds x 2 new subjects")
        rows = []
        for i, n in enumerate(SIZES):
            for j, (score, digits) in enumerate((("top-1, %", 1), ("R2", 4))):
                cells = [
                    f"{mean[i, j]:.{digits}f} +- {error[i, j]:.{digits}f}"
                    for mean, error in (*means.values(), (gain, gain_error))
                ]
                share = 100 * gain[i, j] / means["ridge"][0][i, j]
                rows.append([str(n), score, *cells, f"{share:+.0f} %"])
        table(["rows", "score", "ridge", "adapted", "gain", "relative"], rows)
        print(f"  ({time.process_time() - start:.0f} CPU s)", flush=True)


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))
    from arguments import arguments

    arguments(__doc__)
    main()
