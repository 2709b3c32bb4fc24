"""What is published about representations, measured again; agreement with rsatoolbox and speed.

    OMP_NUM_THREADS=1 python tests/benchmarks/representation/run.py [section ...]

Sections: nonlinearity, alignment, rank, codes, information, distances, calibration,
recordings. Published numbers stand beside ours; ranges are standard deviations over seeds.
``distances`` needs rsatoolbox.
"""

import sys
import time
import warnings

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from neuroml.representation import (
    PopulationGeometry,
    activation_codes,
    cka,
    code_redundancy,
    code_separability,
    mutual_information,
    parallelism_score,
    rank_limited_init,
    representational_dissimilarity,
)
from neuroml.representation.kernels import kernel_alignment
from neuroml.simulate import make_aligned_task

SEEDS = 5


def hidden_after_training(X, y, activation, seed, n_hidden=100, steps=2000, noise=0.1):
    """Hidden activity for the conditions X, after training on noisy samples of them."""
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Linear(X.shape[1], n_hidden), activation(), nn.Linear(n_hidden, y.shape[1])
    )
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    inputs = torch.tensor(X, dtype=torch.float32)
    targets = torch.tensor((y > 0).astype(np.float32))
    for _ in range(steps):
        rows = torch.randint(len(X), (256,))
        noisy = inputs[rows] + noise * torch.randn(256, X.shape[1])
        optimizer.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(net(noisy), targets[rows]).backward()
        optimizer.step()
    with torch.no_grad():
        return net[1](net[0](inputs)).numpy().astype(float)


def nonlinearity():
    """Eight Gaussian means, one balanced dichotomy: tanh against ReLU (Alleman et al. 2024)."""
    rows = []
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        X, y = rng.normal(size=(8, 64)), np.repeat([1.0, -1.0], 4)[:, None]
        for activation in (nn.Tanh, nn.ReLU):
            Z = hidden_after_training(X, y, activation, seed)
            rows.append(
                {
                    "activation": activation.__name__,
                    "target alignment": cka(Z, y),
                    "input alignment": cka(Z, X),
                    "parallelism": parallelism_score(Z, y[:, 0]),
                }
            )
    return spread(rows, "activation"), "tanh .999 / .418 / .970, ReLU .928 / .654 / .642"


def alignment():
    """Tasks of a dialled alignment: the order reverses where labels are orthogonal to inputs."""
    rows = []
    for c in (0.0, 0.3, 0.6):
        for seed in range(SEEDS):
            task = make_aligned_task(32, 1, alignment=c, random_state=seed)
            scale = np.sqrt(task.X.shape[1] / (task.X**2).sum(axis=1).mean())
            for activation in (nn.Tanh, nn.ReLU):
                Z = hidden_after_training(scale * task.X, task.y, activation, seed)
                rows.append(
                    {
                        "task": f"{c} {activation.__name__}",
                        "target alignment": cka(Z, task.y),
                        "input alignment": cka(Z, task.X),
                    }
                )
    return spread(rows, "task"), "0: tanh .497/.759, ReLU .636/.461; .3: .999/.303, .952/.463"


def rank():
    """Two-layer linear networks on whitened inputs: alignment of tangent kernels by rank."""
    rows = []
    for k in (1, 2, 5, 10, 20):
        for seed in range(20):
            rng = np.random.default_rng(seed)
            beta = rng.normal(size=20)
            beta *= 2 / np.linalg.norm(beta)
            W0 = rank_limited_init(np.linalg.qr(rng.normal(size=(20, 20)))[0], k)
            W0 /= np.linalg.norm(W0)
            W, w = W0.copy(), np.full(20, 1e-6)
            for _ in range(6000):
                miss = W.T @ w - beta
                W, w = W - 0.01 * np.outer(w, miss), w - 0.01 * W @ miss
            K0, K = W0.T @ W0, W.T @ W + w @ w * np.eye(20)
            rows.append({"rank": k, "kernel alignment": kernel_alignment(K0, K)})
    return spread(rows, "rank"), ".218, .338, .512, .702, .980"


def codes():
    """Binary codes of one hidden layer on digits, the untrained network beside."""
    X, y = load_digits(return_X_y=True)
    X = (X - X.mean()) / X.std()
    parts = train_test_split(X, y, stratify=y, random_state=0)
    X, X_test, y, y_test = (torch.tensor(p) for p in parts)
    X, X_test = X.float(), X_test.float()
    rows = []
    for width in (3, 15, 60):
        for seed in range(3):
            torch.manual_seed(seed)
            net = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))
            for trained in (False, True):
                if trained:
                    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
                    for _ in range(60):
                        for batch in torch.randperm(len(X)).split(64):
                            optimizer.zero_grad()
                            nn.functional.cross_entropy(net(X[batch]), y[batch]).backward()
                            optimizer.step()
                own, new = activation_codes(net, X), activation_codes(net, X_test)
                found = code_separability(own, y.numpy(), new, y_test.numpy())
                rows.append(
                    {
                        "network": f"width {width:2d}, {'trained' if trained else 'untrained'}",
                        "redundancy": code_redundancy(own),
                        "k-means": found.kmeans,
                        "neighbors": found.knn,
                        "logistic": found.logistic,
                    }
                )
    return spread(
        rows, "network"
    ), "3: .994/.498/.456/.493; 15: .314/.593/.839/.846; 60: 0/.762/.949/.938"


def information():
    """Bias on independent data, 200 trials of two units and two labels, in bits."""
    rows = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        X, y = rng.normal(size=(200, 2)), rng.integers(0, 2, 200)
        for method in ("adaptive-bins", "adaptive-kde", "ksg"):
            for correction in (None, "shuffle", "quadratic"):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    bits = mutual_information(X, y, method=method, correction=correction, n_bins=5)
                rows.append({"estimate": f"{method}, {correction}", "bits": bits})
    return spread(rows, "estimate"), "0 bits"


def distances():
    """10,000 trials x 1,000 units, 200 conditions, 5 sessions: agreement and CPU of crossnobis."""
    import rsatoolbox

    rng = np.random.default_rng(0)
    y, sessions = np.tile(np.arange(200), 50), np.repeat(np.arange(5), 2000)
    X = rng.normal(size=(200, 1000))[y] + rng.normal(size=(10_000, 1000))
    data = rsatoolbox.data.Dataset(X, obs_descriptors={"c": y, "s": sessions})
    seconds = {"neuroml": [], "rsatoolbox": []}
    for _ in range(3):
        start = time.process_time()
        ours = representational_dissimilarity(X, y, metric="crossnobis", sessions=sessions)
        seconds["neuroml"].append(time.process_time() - start)
        start = time.process_time()
        theirs = rsatoolbox.rdm.calc_rdm(data, "crossnobis", descriptor="c", cv_descriptor="s")
        seconds["rsatoolbox"].append(time.process_time() - start)
    gap = np.abs(ours - theirs.get_matrices()[0]).max()
    ours_s, theirs_s = (np.median(seconds[name]) for name in ("neuroml", "rsatoolbox"))
    row = {
        "difference": gap,
        "CPU s": ours_s,
        "rsatoolbox CPU s": theirs_s,
        "ratio": theirs_s / ours_s,
    }
    return pd.DataFrame([row]), "1e-10, >= 5x"


def calibration():
    """Shares of 200 data sets without effect in which p is at most .05, .1 and .2.

    "noise": conditions do not differ. "places": they lie at random places, which can be decoded but
    have no structure, so only CCGP and parallelism are without effect.
    """
    frames = []
    for data in ("noise", "places"):
        for seed in range(200):
            rng = np.random.default_rng(seed)
            y = np.tile(np.arange(8), 6)
            X = rng.normal(size=(48, 20)) + (data == "places") * rng.normal(size=(8, 20))[y]
            model = PopulationGeometry(39, n_bootstrap=2, random_state=seed)
            model.fit(X, y, labels=[0, 0, 0, 0, 1, 1, 1, 1], sessions=np.repeat([0, 1, 2], 16))
            frames.append(model.to_frame().dropna(subset="p").assign(data=data))
    found = pd.concat(frames)
    abstract = found["quantity"].isin(["ccgp", "parallelism"])
    groups = found[abstract | (found["data"] == "noise")].groupby(["data", "quantity"], sort=False)
    rows = {
        f"p <= {level}": groups["p"].agg(lambda p, a=level: (p <= a + 1e-9).mean())
        for level in (0.05, 0.1, 0.2)
    }
    # two standard errors of a share among 200
    above = {f"{a} + 2 SE": a + 2 * np.sqrt(a * (1 - a) / 200) for a in (0.05, 0.1, 0.2)}
    return pd.DataFrame(rows).assign(**above).round(3).reset_index(), ".05, .1, .2"


def recordings():
    """Categories in one slice (haxby) and quarters of a track (patmap), with nulls."""
    from neuroml.data import load_dataset

    frames = []
    recording = load_dataset("patmap_ensembles").recordings[0]
    place = recording["covariates"].values[:, 0]
    quarter = np.digitize(place, np.linspace(place.min(), place.max(), 5)[1:-1])
    n = len(place) // 5 * 5
    model = PopulationGeometry(99, n_bootstrap=50, random_state=0)
    model.fit(recording["signal"].values[:n], quarter[:n], sessions=np.repeat(np.arange(5), n // 5))
    frames.append(model.to_frame().assign(recording="patmap"))
    found = pd.concat(frames)
    return found[~found["quantity"].str.contains(r"\[")].round(3), "no claim"


def spread(rows, by):
    table = pd.DataFrame(rows).groupby(by, sort=False)
    return (
        table.mean().round(3).astype(str) + " +- " + table.std().round(3).astype(str)
    ).reset_index()


SECTIONS = (nonlinearity, alignment, rank, codes, information, distances, calibration, recordings)

if __name__ == "__main__":
    torch.set_num_threads(1)
    chosen = sys.argv[1:] or [section.__name__ for section in SECTIONS]
    for section in SECTIONS:
        if section.__name__ in chosen:
            start = time.process_time()
            table, published = section()
            print(f"\n## {section.__name__}: {section.__doc__}")
            print(f"published: {published} ({time.process_time() - start:.0f} s)")
            print(table.to_string(index=False), flush=True)
