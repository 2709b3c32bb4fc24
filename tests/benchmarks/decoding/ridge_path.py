"""The ridge path over 20 penalties against scikit-learn's and himalaya's: same choice, CPU time."""

import numpy as np
from measure import have, measure, table
from sklearn.linear_model import RidgeCV

from neuroml.decoding import RidgeDecoder

ALPHAS = np.geomspace(1, 1e6, 20)


def data(n, v, d):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, v))
    Y = X @ rng.standard_normal((v, d)) / np.sqrt(v) + 2 * rng.standard_normal((n, d))
    return X, Y


def ours(X, Y):
    return RidgeDecoder(ALPHAS, standardize=False).fit(X, Y).alpha_[0]


def scikit_learn(X, Y):
    return float(RidgeCV(ALPHAS).fit(X, Y).alpha_)


def himalaya(X, Y):
    from himalaya.ridge import RidgeCV as Peer

    model = Peer(alphas=ALPHAS, fit_intercept=True, cv=5, solver_params={"local_alpha": False})
    return float(np.atleast_1d(model.fit(X, Y).best_alphas_)[0])


def main():
    contestants = [("neuroml", ours), ("scikit-learn RidgeCV (leave-one-out)", scikit_learn)]
    if have("himalaya.ridge"):
        contestants.append(("himalaya RidgeCV (5 folds)", himalaya))
    for shape in [(1200, 1000, 128), (500, 5000, 128), (4000, 500, 128)]:
        problem = data(*shape)
        rows = []
        for name, fit in contestants:
            alpha, cpu, wall, memory = measure(fit, *problem)
            rows.append([name, alpha, cpu, wall, memory])
        print(f"  {shape[0]} samples x {shape[1]} voxels -> {shape[2]} targets")
        table(["model", "alpha", "CPU s", "wall s", "MB"], rows)
        best = min(row[2] for row in rows[1:])
        print(f"  neuroml: {rows[0][2] / best:.2f} of the CPU time of the fastest peer")
