"""Transfer and readout apart: decoders with and without a cohort, by cosine and by likelihood.

Top-1 of 300 candidates in percent, in the worlds of `predictions`, for one new subject of each.
Transfer is what other subjects add under the same readout; the readout is what the likelihood adds
to the same decoder. Voxels correspond in part: "pooled" takes them to, and "no adaptation" decodes
with the others alone, whatever the number of rows (these only scale the voxels).
"""

import sys
import time
import warnings
from pathlib import Path

import numpy as np
from measure import table
from predictions import SIMULATORS, SIZES, WORLDS, mean_and_error, new_subjects

from neuroml.decoding import CrossSubjectDecoder, RidgeDecoder
from neuroml.decoding.metrics import retrieval_from_scores

N_NEW = 1
READOUTS = ("cosine", "likelihood")


def stacked(X, y):
    """Rows of all subjects as those of one, each subject's voxels standardized by its own."""
    standard = [(part - part.mean(axis=0)) / part.std(axis=0) for part in X.values()]
    return np.vstack(standard), np.vstack(list(y.values()))


def decoders(X, y, few_X, few_y):
    """{name: (model, its name of the new subject, whether voxels go in standardized)}."""
    cohort = CrossSubjectDecoder().fit(X, y)
    corresponding = CrossSubjectDecoder(prior="pooled").fit(X, y)
    alone = RidgeDecoder().fit(*stacked(X, y))

    def adapted(n):
        new_X, new_y = few_X[:n], few_y[:n]
        return {
            "ridge": (RidgeDecoder().fit({"new": new_X}, {"new": new_y}), "new", False),
            "CrossSubjectDecoder": (cohort.adapt(new_X, new_y, subject="new"), "new", False),
            'CrossSubjectDecoder(prior="pooled")': (
                corresponding.adapt(new_X, new_y, subject="new"),
                "new",
                False,
            ),
            "pooled ridge": (
                RidgeDecoder().fit(*stacked(X | {"new": new_X}, y | {"new": new_y})),
                0,
                True,
            ),
            "no adaptation": (alone, 0, True),
        }

    return adapted


def by_readouts(simulator, n_worlds=WORLDS):
    """{(decoder, readout): top-1 in percent (n_worlds, n_sizes)}, means over subjects."""
    found = {}
    for world in range(n_worlds):
        rows = {}
        for cohort, target, others, order in new_subjects(world, simulator, N_NEW):
            X, y = cohort.X[target][order], cohort.y[target][order]
            adapted, test = decoders(*others, X, y), cohort.X_test[target]
            for n in SIZES:
                mean, scale = X[:n].mean(axis=0), X[:n].std(axis=0)
                for name, (model, subject, standard) in adapted(n).items():
                    shown = (test - mean) / scale if standard else test
                    for by in READOUTS:
                        scores = model.score_candidates(
                            shown, cohort.y_test, subject=subject, by=by
                        )
                        top = 100 * retrieval_from_scores(scores).forward
                        rows.setdefault((name, by), []).append(top)
        for key, values in rows.items():
            means = np.reshape(values, (-1, len(SIZES))).mean(axis=0)
            found.setdefault(key, []).append(means)
    return {key: np.array(values) for key, values in found.items()}


def main():
    warnings.simplefilter("ignore")
    for simulator in SIMULATORS:
        start = time.process_time()
        found = by_readouts(simulator)
        print(f"\n  {simulator}: {WORLDS} worlds x {N_NEW} new subject, top-1 in percent")

        def cells(values):
            return [f"{m:.1f} +- {e:.1f}" for m, e in zip(*mean_and_error(values), strict=True)]

        header = [f"n = {n}" for n in SIZES]
        table(["decoder", "by", *header], [[*key, *cells(found[key])] for key in found])
        gains = [
            [f"transfer, by {by}", *cells(found["CrossSubjectDecoder", by] - found["ridge", by])]
            for by in READOUTS
        ]
        gains += [
            [f"readout of {name}", *cells(found[name, "likelihood"] - found[name, "cosine"])]
            for name in ("ridge", "CrossSubjectDecoder")
        ]
        print()
        table(["paired gains", *header], gains)
        print(f"  ({time.process_time() - start:.0f} CPU s)", flush=True)


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))
    from arguments import arguments

    arguments(__doc__)
    main()
