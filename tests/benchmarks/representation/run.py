"""What is published about representations, measured again; agreement with rsatoolbox and speed.

    OMP_NUM_THREADS=1 python tests/benchmarks/representation/run.py [section ...]

Sections: nonlinearity, alignment, rank, codes, information, distances, calibration,
recordings. Published numbers stand beside ours; ranges are standard deviations over seeds.
``distances`` needs rsatoolbox.
"""

import os
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from neuroml.data import clean, epochs, load_dataset
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
            hidden = nn.Linear(64, width), nn.BatchNorm1d(width), nn.ReLU()
            net = nn.Sequential(*hidden, nn.Linear(width, 10))
            for trained in (False, True):
                if trained:
                    # normalization, decay and steps of the rate are those of He et al. 2021
                    net.train()
                    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2, weight_decay=1e-6)
                    rate = torch.optim.lr_scheduler.StepLR(optimizer, 20)
                    for _ in range(60):
                        for batch in torch.randperm(len(X)).split(64):
                            optimizer.zero_grad()
                            nn.functional.cross_entropy(net(X[batch]), y[batch]).backward()
                            optimizer.step()
                        rate.step()
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
    """Codes whose information is known; bias on independent data (200 trials, two units), bits."""
    rows = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        X, y = rng.normal(size=(200, 2)), rng.integers(0, 2, 200)
        # all inputs of twelve bits through three random units, as in Chelombiev et al. 2019
        inputs = (np.arange(4096)[:, None] >> np.arange(12) & 1) * 2.0 - 1
        T, which = inputs @ rng.normal(size=(12, 3)) / np.sqrt(12), np.arange(4096)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for method in ("adaptive-bins", "adaptive-kde", "ksg"):
                for correction in (None, "shuffle", "quadratic"):
                    bits = mutual_information(X, y, method=method, correction=correction, n_bins=5)
                    name = f"independent: {method}, {correction}"
                    rows.append({"estimate": name, "bits": bits})
            for scale in (1.0, 10.0, 0.01):
                fixed = np.digitize(scale * np.tanh(T), np.linspace(-1, 1, 31)[1:-1])
                codes = {"adaptive bins": scale * np.tanh(T), "30 fixed bins of [-1, 1]": fixed}
                if scale == 1:
                    codes["adaptive bins, no tanh"] = T
                for name, code in codes.items():
                    bits = mutual_information(code, which)
                    rows.append({"estimate": f"{name}, scale {scale:g}", "bits": bits})
            bits = mutual_information(5.0 * y[:, None], rng.permutation(2)[y])
            rows.append({"estimate": "code of two labels", "bits": bits})
    published = "independent 0; adaptive 11.84 at any scale, fixed 10.04 -> 5.48 at .01; labels 1"
    return spread(rows, "estimate"), published


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
    """Objects in one slice (haxby), gratings and places in two mice (patmap), with nulls."""
    folder = Path(os.environ.get("NEUROML_SHARED_DATA", "../shared/data"))
    haxby, patmap = (
        load_dataset(name, data_dir=folder if folder.is_dir() else None)
        for name in ("haxby_slices", "patmap_ensembles")
    )
    recording = clean(haxby.recordings[0], detrend=True, confounds=True)
    blocks = epochs(recording, haxby.events[0], 5.0, 22.5)
    run = recording["segment"].sel(time=blocks["onset"].values, method="nearest").values
    objects = blocks["trial_type"].values
    living = np.isin(np.unique(objects), ["cat", "face"])
    gratings = patmap.recordings[0].groupby("segment").mean()
    visits = patmap.events[2]
    visits = visits[visits["trial_type"].isin(["bin02", "bin04", "bin06", "bin08"])]
    steps = epochs(patmap.recordings[2], visits, 0.0, 0.3)
    sets = {
        "haxby, objects": (blocks.mean("time").values, objects, None, run),
        "haxby, living or not": (blocks.mean("time").values, objects, living, run),
        "patmap, gratings": (
            gratings["signal"].values, gratings["covariates"].values[:, 0].astype(int), None, None,
        ),
        "patmap, places": (steps.mean("time").values, steps["trial_type"].values, None, None),
    }  # fmt: skip
    frames = []
    for name, (X, y, labels, sessions) in sets.items():
        model = PopulationGeometry(99, n_bootstrap=20, random_state=0)
        found = model.fit(X, y, labels=labels, sessions=sessions).to_frame()
        frames.append(found[~found["quantity"].str.contains(r"\[")].assign(recording=name))
    return pd.concat(frames).round(3), "no claim"


def spread(rows, by):
    table = pd.DataFrame(rows).groupby(by, sort=False)
    return (
        table.mean().round(3).astype(str) + " +- " + table.std().round(3).astype(str)
    ).reset_index()


SECTIONS = (nonlinearity, alignment, rank, codes, information, distances, calibration, recordings)

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))
    from arguments import sections

    torch.set_num_threads(1)
    chosen = sections(__doc__, [section.__name__ for section in SECTIONS])
    for section in SECTIONS:
        if section.__name__ in chosen:
            start = time.process_time()
            table, published = section()
            print(f"\n## {section.__name__}: {section.__doc__}")
            print(f"published: {published} ({time.process_time() - start:.0f} s)")
            print(table.to_string(index=False), flush=True)
