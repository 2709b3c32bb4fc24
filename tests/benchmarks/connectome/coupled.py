"""Recovery of shared time courses from subjects of 15 to 240 cells, beside two baselines.

``python coupled.py [PYTHON_WITH_MATCOUPLY]`` prints, for data with and without trials and three
levels of noise, the mean cosine of planted and found time courses (median over seeds
but the first, whose fit compiles), and CPU seconds; with a Python that has matcouply, its error and CPU seconds beside ours on the same data.
"""

import json
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.decomposition import NMF
from sklearn.exceptions import ConvergenceWarning

from neuroml.connectome import CoupledFactorization

SIZES = {"a": 15, "b": 40, "c": 90, "d": 240}
N, LENGTH, SEEDS = 4, 120, range(8)
PEER = """
import json, sys, time
import numpy as np
from matcouply.decomposition import cmf_aoadmm
parts = list(np.load(sys.argv[1]).values())
start = time.process_time()
found, diagnostics = cmf_aoadmm(
    parts, int(sys.argv[2]), non_negative=True, n_iter_max=1000, tol=1e-6, return_errors=True,
    random_state=0)
weights, (A, B, C) = found
norm = sum((x ** 2).sum() for x in parts)
left = sum(((x - (b * a) @ C.T) ** 2).sum() for x, a, b in zip(parts, A, B))
print(json.dumps([float(np.sqrt(left / norm)), time.process_time() - start]))
"""


def planted(seed, noise, trials):
    """Data of shape (n_trials, n_samples, n_units) and the courses; the largest subject is loud."""
    rng = np.random.default_rng(seed)
    courses = np.exp(-((np.arange(LENGTH)[:, None] - rng.uniform(0, LENGTH, N)) ** 2) / 2 / 15**2)
    courses = courses + 0.3 * rng.uniform(size=N)
    X = {}
    for subject, n_units in SIZES.items():
        laps = rng.gamma(2.0, size=(trials, N))
        x = np.einsum("kr,tr,ur->ktu", laps, courses, rng.gamma(0.3, size=(n_units, N)))
        x = x * (5 if subject == "d" else 1)
        X[subject] = np.maximum(x + noise * x.std() * rng.normal(size=x.shape), 0)
    return X, courses


def recovery(found, truth):
    a, b = (one / np.maximum(np.linalg.norm(one, axis=0), 1e-300) for one in (found, truth))
    likeness = b.T @ a
    return likeness[linear_sum_assignment(-likeness)].mean()


def nmf(wide, seed):
    model = NMF(N, init="random", random_state=seed, tol=1e-5, max_iter=2000)
    return model.fit_transform(wide)


def separate(X, seed):
    """NMF of each subject, components matched to those of the first, and averaged."""
    found = [nmf(x.mean(axis=0), seed) for x in X.values()]
    found = [w / np.maximum(np.linalg.norm(w, axis=0), 1e-300) for w in found]
    matched = [w[:, linear_sum_assignment(-(found[0].T @ w))[1]] for w in found]
    return np.mean(matched, axis=0)


def main(pythons=()):
    print(f"{'trials':>6} {'noise':>5} {'coupled':>8} {'separate':>8} {'together':>8}   CPU s")
    for trials in (1, 10):
        for noise in (0.0, 0.5, 1.0):
            rows = []
            for seed in SEEDS:
                X, courses = planted(seed, noise, trials)
                given = X if trials > 1 else {s: x[0] for s, x in X.items()}
                start = time.process_time()
                model = CoupledFactorization(N, random_state=seed).fit(given)
                cpu = time.process_time() - start
                together = nmf(np.concatenate([x.mean(axis=0) for x in X.values()], axis=1), seed)
                courses_of = (model.time_courses_, separate(X, seed), together)
                rows.append([*(recovery(one, courses) for one in courses_of), cpu])
            numbers = np.median(rows[1:], axis=0)
            print(f"{trials:6} {noise:5} " + " ".join(f"{x:8.3f}" for x in numbers[:3]), end="")
            print(f"{numbers[3]:8.2f}")
    for python in pythons:
        for seed in list(SEEDS)[:3]:
            X, _ = planted(seed, 0.5, 1)
            scaled = {s: x[0] / np.linalg.norm(x) for s, x in X.items()}
            start = time.process_time()
            model = CoupledFactorization(N, n_init=1, ridge=0.0, random_state=0).fit(scaled)
            cpu = time.process_time() - start
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "parts.npz"
                np.savez(path, **{s: x.T for s, x in scaled.items()})
                done = subprocess.run(
                    [python, "-c", PEER, str(path), str(N)], capture_output=True, check=True
                )
            error, peer = json.loads(done.stdout)
            print(f"ours {model.reconstruction_err_:.5f} in {cpu:.2f} s CPU; matcouply {error:.5f} "
                  f"in {peer:.2f} s: {peer / cpu:.0f} times")  # fmt: skip


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))
    from arguments import arguments

    # of scikit-learn's NMF, whose 2,000 iterations are more than its courses need
    warnings.simplefilter("ignore", ConvergenceWarning)
    main(arguments(__doc__, optional=["PYTHON..."]))
