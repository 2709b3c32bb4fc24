"""Himalaya, BrainIAK, FastSRM and fmralign beside ours, on the same arrays and splits.

``NEUROML_PEERS_PYTHON`` names the Python that has them. Ridge: top-1 of 300 candidates by cosine,
and R2, of a new subject's rows in both simulators. Shared responses and alignment: ten-sample
segments of a story that a left-out person and the mean of the others share, in the half of it that
nothing was fitted to (36 people, 100 nodes; every sixth person is left out in turn). In
``make_cohort`` all voxels have the same noise, so that their variance tells how much signal they
carry: there ridge of voxels as they are has an advantage that z-scored recordings do not give.
"""

import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from measure import table
from predictions import new_subjects
from shared_axes import matched
from sklearn.metrics import r2_score

from neuroml.data import load_dataset
from neuroml.decoding import (
    CrossSubjectDecoder,
    ProcrustesAligner,
    RidgeDecoder,
    SharedResponseModel,
)
from neuroml.decoding.metrics import retrieval_accuracy, subject_interval

N_SAMPLES, WORLDS, K = (70, 200), 3, 30


def ask(task, **arrays):
    """What each peer found, by its name; empty without a Python of theirs."""
    python = os.environ.get("NEUROML_PEERS_PYTHON")
    if not python:
        print("  (NEUROML_PEERS_PYTHON is not set: no peers)")
        return {}
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder) / "given.npz", Path(folder) / "found.npz"
        np.savez(given, **arrays)
        command = [python, str(Path(__file__).with_name("peer_models.py")), task, given, found]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            print("  peers failed:", done.stderr.strip().splitlines()[-1])
            return {}
        by_peer = {}
        for key, value in np.load(found).items():
            name, _, what = key.partition("|")
            by_peer.setdefault(name, {})[what] = value
    return by_peer


def timed(function):
    """Result and CPU seconds of a second call."""
    function()
    begin = time.process_time()
    return function(), time.process_time() - begin


def tell_ridge():
    """Decoders of a new subject from few of its rows."""
    found = {}
    for simulator in ("make_cohort", "tuned_cohort"):
        for world in range(WORLDS):
            for cohort, target, others, order in new_subjects(world, simulator, 1):
                model, test = CrossSubjectDecoder().fit(*others), cohort.X_test[target]
                for n in N_SAMPLES:
                    X, y = cohort.X[target][order[:n]], cohort.y[target][order[:n]]
                    ridge, seconds = timed(lambda X=X, y=y: RidgeDecoder().fit(X, y))
                    adapted, longer = timed(
                        lambda X=X, y=y, model=model: model.adapt(X, y, subject="new")
                    )
                    arms = {"RidgeDecoder": (ridge.predict(test), seconds)}
                    predicted = adapted.predict(test, subject="new")
                    arms["CrossSubjectDecoder.adapt"] = (predicted, longer)
                    raw, cost = timed(lambda X=X, y=y: RidgeDecoder(standardize=False).fit(X, y))
                    arms["RidgeDecoder, voxels as they are"] = (raw.predict(test), cost)
                    mean, scale = X.mean(axis=0), X.std(axis=0)
                    given = {"X": (X - mean) / scale, "X_test": (test - mean) / scale}
                    for name, peer in ask("ridge", y=y, **given).items():
                        arms[name] = (peer["predicted"], float(peer["seconds"]))
                    for name, peer in ask("ridge", X=X, y=y, X_test=test).items():
                        arms[f"{name}, voxels as they are"] = (
                            peer["predicted"],
                            float(peer["seconds"]),
                        )
                    for name, (decoded, cost) in arms.items():
                        top = 100 * retrieval_accuracy(decoded, cohort.y_test).forward
                        row = (top, r2_score(cohort.y_test, decoded), cost)
                        found.setdefault((simulator, str(n), name), []).append(row)
    rows = [[*key, *np.mean(values, axis=0)] for key, values in found.items()]
    table(["simulator", "rows", "model", "top-1 %", "R2", "CPU s"], rows)


def standard(X):
    return (X - X.mean(axis=0)) / X.std(axis=0)


def tell_shared():
    """Time segments of a left-out person."""
    recordings = load_dataset("pieman_htfa").recordings
    data = [standard(r["signal"].values.astype(float)) for r in recordings]
    scores, costs = {}, {}
    for out in range(0, len(data), 6):
        train = [part for i, part in enumerate(data) if i != out]
        halves = (slice(0, 150), slice(150, 300))
        for here, there in (halves, halves[::-1]):
            early = {f"train{i:02}": part[here] for i, part in enumerate(train)}
            new, later = data[out][here], data[out][there]

            def srm(early=early, new=new):
                model = SharedResponseModel(K, random_state=0).fit(early)
                return model.add_subject(new, subject="new")

            def aligner(early=early, new=new):
                return ProcrustesAligner().fit(early).add_subject(new, subject="new")

            model, cost = timed(srm)
            bases = {"SharedResponseModel": ([*(model.basis_[s] for s in early)], cost)}
            bases["SharedResponseModel"][0].append(model.basis_["new"])
            for name, peer in ask("shared", k=K, new=new, **early).items():
                own = [peer[key] for key in sorted(peer) if key.startswith("basis")]
                bases[name] = (own, float(peer["seconds"]))
            arms = {"no alignment": (later, np.mean([part[there] for part in train], axis=0), 0.0)}
            for name, (maps, cost) in bases.items():
                mean = np.mean(
                    [part[there] @ W for part, W in zip(train, maps[:-1], strict=True)], axis=0
                )
                arms[name] = (later @ maps[-1], mean, cost)
            model, cost = timed(aligner)
            others = [
                model.transform(part[there], subject=s)
                for s, part in zip(early, train, strict=True)
            ]
            arms["ProcrustesAligner"] = (
                model.transform(later, subject="new"), np.mean(others, axis=0), cost,
            )  # fmt: skip
            for name, peer in ask("aligned", k=K, new=new, later=later, **early).items():
                mean = np.mean([part[there] for part in train], axis=0)
                arms[name] = (peer["mapped"], mean, float(peer["seconds"]))
            for name, (own, mean, cost) in arms.items():
                scores.setdefault(name, {}).setdefault(out, []).append(matched(own, mean, True))
                costs.setdefault(name, []).append(cost)
    rows = []
    for name, by_person in scores.items():
        people = np.array([np.mean(values) for values in by_person.values()])
        mean, low, high = subject_interval(people, random_state=0)
        rows.append([name, mean, f"{low:.3f}-{high:.3f}", float(np.median(costs[name]))])
    table(["model", "segments", "95 % interval", "CPU s"], rows)


def main():
    warnings.simplefilter("ignore")
    tell_ridge()
    tell_shared()


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))
    from arguments import arguments

    arguments(__doc__)
    main()
