"""Shared response models: held-out inter-subject correlation and cost, against peers.

10 subjects x 2000 voxels x 500 samples (and 200 held out), 50 components, random orthonormal bases.
BrainIAK's algorithm is also run as written out in `shared_axes`, where the package does not install.
"unexplained" is the share of the training variance that the mean response leaves, with its bases.
"""

import numpy as np
from measure import have, measure, table
from shared_axes import brainiak_em

from neuroml.decoding import SharedResponseModel
from neuroml.decoding.metrics import intersubject_correlation

K, ROUNDS = 50, 10


def data(seed):
    rng = np.random.default_rng(seed)
    S = rng.standard_normal((700, K))
    X = []
    for _ in range(10):
        W = np.linalg.qr(rng.standard_normal((2000, K)))[0]
        X.append(np.sqrt(0.05 * 2000 / K) * S @ W.T + rng.standard_normal((700, 2000)))
    return [x[:500] for x in X], [x[500:] for x in X]


def ours(train, test, method, rounds):
    settings = {"standardize": False, "max_iter": rounds, "random_state": 0}
    model = SharedResponseModel(K, method, **settings).fit(train)
    return [model.basis_[i] for i in range(10)]


def written_out(train, test, method, rounds):
    return brainiak_em([x - x.mean(axis=0) for x in train], K, rounds)[0]


def unexplained(train, bases):
    centered = [x - x.mean(axis=0) for x in train]
    S = np.mean([x @ W for x, W in zip(centered, bases, strict=True)], axis=0)
    left = sum(np.sum((x - S @ W.T) ** 2) for x, W in zip(centered, bases, strict=True))
    return left / sum(np.sum(x**2) for x in centered)


def brainiak(train, test, name, rounds):
    import brainiak.funcalign.srm as module

    model = getattr(module, name)(n_iter=rounds, features=K, rand_seed=0)
    model.fit([x.T for x in train])
    return model.w_


def fast(train, test, method, rounds):
    from fastsrm.identifiable_srm import IdentifiableFastSRM

    model = IdentifiableFastSRM(
        n_components=K, method=method, n_iter=rounds, tol=0.0, aggregate=None, n_jobs=1
    )
    model.fit([x.T for x in train])
    return list(model.basis_list)


def main():
    train, test = data(0)
    contestants = [
        ("neuroml probabilistic", ours, "probabilistic", ROUNDS),
        ("neuroml deterministic", ours, "deterministic", ROUNDS),
        ("neuroml probabilistic, 2 rounds", ours, "probabilistic", 2),
        ("neuroml probabilistic, converged", ours, "probabilistic", 200),
        ("BrainIAK's, written out", written_out, "", ROUNDS),
        ("BrainIAK's, written out, twice as long", written_out, "", 2 * ROUNDS),
    ]
    if have("brainiak.funcalign.srm"):
        contestants += [
            ("BrainIAK SRM", brainiak, "SRM", ROUNDS),
            ("BrainIAK DetSRM", brainiak, "DetSRM", ROUNDS),
        ]
    if have("fastsrm.identifiable_srm"):
        contestants += [("fastsrm probabilistic", fast, "prob", ROUNDS)]
    rows = []
    for name, fit, method, rounds in contestants:
        bases, cpu, wall, memory = measure(fit, train, test, method, rounds, repeats=3)
        means = [x.mean(axis=0) for x in train]
        aligned = [(x - m) @ W for x, m, W in zip(test, means, bases, strict=True)]
        isc = intersubject_correlation(aligned).mean()
        rows.append([name, str(rounds), f"{unexplained(train, bases):.6f}", isc, cpu, wall, memory])
    table(["model", "rounds", "unexplained", "held-out ISC", "CPU s", "wall s", "MB"], rows)
    peers = [row for row in rows if row[0] in ("BrainIAK SRM", "BrainIAK's, written out")]
    for peer in peers:
        for row in rows[:4]:
            gain, ratio = row[3] - peer[3], row[4] / peer[4]
            print(f"  {row[0]}: ISC {gain:+.4f}, {ratio:.2f} of the CPU time of {peer[0]}")
