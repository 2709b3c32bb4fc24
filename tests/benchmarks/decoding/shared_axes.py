"""Axes of a shared response: what standardizing them does to matching and to scenes.

Rotations of one model are the same until components are standardized. BrainIAK's iteration starts
from random orthonormal bases and does not rotate; `brainiak_em` is its algorithm, written out.
"""

import sys
import time
import warnings
from itertools import product
from pathlib import Path

import numpy as np
from measure import table
from scipy.linalg import qr

from neuroml.data import load_dataset
from neuroml.decoding import SharedResponseModel
from neuroml.decoding.metrics import subject_interval, time_segment_matching

WINDOW, N_FOLDS, SEEDS = 10, 6, 2


def standard(X):
    return (X - X.mean(axis=0)) / X.std(axis=0)


def centered(X):
    return X - X.mean(axis=0)


def polar(A):
    left, _, right = np.linalg.svd(A, full_matrices=False)
    return left @ right


def brainiak_em(parts, k, n_iter=20, seed=0):
    """Bases and response (n_samples, k) of standardized parts (n_samples, n_voxels)."""
    rng = np.random.default_rng(seed)
    bases = [qr(rng.random((X.shape[1], k)), mode="economic")[0] for X in parts]
    prior, noise = np.eye(k), np.ones(len(parts))
    n = len(parts[0])
    for _ in range(n_iter):
        # expectation, with the precision sum_i 1 / rho_i^2
        rho = np.sum(1 / noise)
        evidence = sum(X @ W / v for X, W, v in zip(parts, bases, noise, strict=True))
        variance = np.linalg.inv(np.linalg.inv(prior) + rho * np.eye(k))
        S = evidence @ variance
        # maximization: prior, bases, noise
        second = variance * n + S.T @ S
        prior = second / n
        for i, X in enumerate(parts):
            product = X.T @ S
            bases[i] = polar(product + 0.001 * np.eye(*product.shape))
            noise[i] = np.vdot(X, X) - 2 * np.vdot(X @ bases[i], S) + np.trace(second)
            noise[i] /= X.size
    return bases, S


def ours(train, new, k):
    model = SharedResponseModel(k, random_state=0).fit(train)
    for s, part in new.items():
        model.add_subject(part, subject=s)
    return {s: model.basis_[s] for s in train | new}, model.shared_response_


def on_principal_axes(bases, S):
    axes = np.linalg.svd(S, full_matrices=False)[2].T
    return {s: W @ axes for s, W in bases.items()}, S @ axes


def brainiak(train, new, k):
    Z = {s: standard(part) for s, part in (train | new).items()}
    found, S = brainiak_em([Z[s] for s in train], k)
    bases = dict(zip(train, found, strict=True))
    return bases | {s: polar(Z[s].T @ S) for s in new}, S


def fitted(train, new, k):
    """The bases of every arm, and CPU seconds; principal axes are a rotation of ours."""
    start = time.process_time()
    own = ours(train, new, k)
    middle = time.process_time()
    peer = brainiak(train, new, k)
    seconds = middle - start, time.process_time() - middle
    arms = {"neuroml": own, "principal axes": on_principal_axes(*own), "BrainIAK's": peer}
    return {arm: (bases, seconds[arm == "BrainIAK's"]) for arm, (bases, _) in arms.items()}


def matched(own, mean, scaled):
    """Segments by correlation of components and time, standardized or as they are."""
    if scaled:
        return float(time_segment_matching([own, mean], WINDOW).accuracy[0])
    views = [
        centered(part)[np.arange(len(part) - WINDOW + 1)[:, None] + np.arange(WINDOW)]
        for part in (own, mean)
    ]
    first, second = (v.reshape(len(v), -1) for v in views)
    r = np.corrcoef(first, second)[: len(first), len(first) :]
    at = np.arange(len(r))
    rivals = np.where(np.abs(at[:, None] - at) >= WINDOW, r, -np.inf)
    return float(np.mean(np.diag(r) > rivals.max(axis=1)))


def scenes(own, mean, labels, scaled):
    """Nearest mean of the others' scenes, by correlation."""
    scale = standard if scaled else centered
    own, mean = scale(own), scale(mean)
    names = np.unique(labels)
    centers = np.array([mean[labels == name].mean(axis=0) for name in names])
    r = np.corrcoef(own, centers)[: len(own), len(own) :]
    return float(np.mean(names[r.argmax(axis=1)] == labels))


def left_out(data, halves, ks, labels=None):
    """Scores of every left-out subject: {(arm, k, score, scaled): values}, and CPU seconds."""
    found, seconds, names = {}, {}, list(data)
    for k, fold, (here, there) in product(ks, range(N_FOLDS), halves):
        out = names[fold::N_FOLDS]
        train = {s: data[s][here] for s in names if s not in out}
        means = {s: (data[s][here].mean(axis=0), data[s][here].std(axis=0)) for s in data}
        for arm, (bases, taken) in fitted(train, {s: data[s][here] for s in out}, k).items():
            seconds[arm, k] = seconds.get((arm, k), 0.0) + taken
            Z = {s: (data[s][there] - m) / d @ bases[s] for s, (m, d) in means.items()}
            mean = np.mean([Z[s] for s in train], axis=0)
            for s, scaled in product(out, (False, True)):
                cell = found.setdefault((arm, k, "segments", scaled), {})
                cell.setdefault(s, []).append(matched(Z[s], mean, scaled))
                if labels is not None:
                    cell = found.setdefault((arm, k, "scenes", scaled), {})
                    cell.setdefault(s, []).append(scenes(Z[s], mean, labels[there], scaled))
    return {key: [float(np.mean(v)) for v in cell.values()] for key, cell in found.items()}, seconds


def movie(seed, n_subjects=12, n=300, n_voxels=200, n_scenes=10, rank=30):
    """Components of falling variance, in part constant over scenes that come back."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(rng.permutation(np.repeat(np.arange(n_scenes), n // 10 // n_scenes)), 10)
    scene = rng.standard_normal((n_scenes, rank))[labels]
    S = (0.6 * scene + 0.8 * rng.standard_normal((n, rank))) / np.sqrt(1 + np.arange(rank))
    X = {}
    for s in range(n_subjects):
        W = qr(rng.standard_normal((n_voxels, rank)), mode="economic")[0]
        X[s] = 2 * S @ W.T + 0.35 * rng.standard_normal((n, n_voxels))
    return X, labels


def tell(title, found, seconds):
    print(f"\n  {title}")
    rows = []
    for (arm, k, kind, scaled), values in found.items():
        mean, low, high = subject_interval(np.array(values), random_state=0)
        when = "standardized" if scaled else "as they are"
        rows.append([arm, str(k), kind, when, mean, f"{low:.3f}-{high:.3f}", seconds[arm, k]])
    header = ["axes", "k", "score", "components", "accuracy", "95 % interval", "CPU s"]
    table(header, sorted(rows, key=lambda row: (row[2], int(row[1]), row[3])))


def main():
    warnings.simplefilter("ignore")
    recordings = load_dataset("pieman_htfa").recordings
    data = {r.attrs["subject"]: r["signal"].values.astype(float) for r in recordings}
    both = ((slice(0, 150), slice(150, 300)), (slice(150, 300), slice(0, 150)))
    tell("36 people hear a story, 100 nodes", *left_out(data, both, (10, 30, 50)))
    pooled, cost = {}, {}
    for seed in range(SEEDS):
        X, labels = movie(seed)
        found, seconds = left_out(X, both, (30, 60), labels)
        for key, values in found.items():
            pooled.setdefault(key, []).extend(values)
        for key, value in seconds.items():
            cost[key] = cost.get(key, 0.0) + value
    tell(f"a simulated movie of ten scenes, {SEEDS} seeds x 12 subjects", pooled, cost)


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))
    from arguments import arguments

    arguments(__doc__)
    main()
