"""What the cell types family must show, in one table: ``python tests/benchmarks/celltypes/run.py``.

Sections can be named to run some of them; ``--help`` lists them. Everything is over five simulated
retinas (mean and standard deviation), on one thread; times are CPU seconds of this process.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings

import numpy as np
import torch
from core_readout import compare
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import cross_val_predict
from torch.profiler import ProfilerActivity, profile

from neuroml.celltypes import (
    FunctionalTypes,
    MostDiscriminativeStimuli,
    ResponseModel,
    stability,
)
from neuroml.celltypes._matching import cluster_templates, correlate, standardize
from neuroml.celltypes._model_adapter import ModelAdapter, frozen
from neuroml.celltypes._objective import discriminability, membership
from neuroml.celltypes._response_features import scale_cells
from neuroml.celltypes._response_network import Architecture, ResponseNetwork
from neuroml.celltypes._stimulus_optimizer import (
    OptimizerSettings,
    StimulusSpace,
    optimize_stimuli,
)
from neuroml.data import load_dataset
from neuroml.simulate import (
    CELL_TYPES,
    make_chirp,
    make_moving_bars,
    make_pink_stimuli,
    make_responses,
    make_retina,
)

SEEDS = range(5)
NEW_SEED = 1000  # the unseen retina of seed s has seed NEW_SEED + s
CONFIDENT = 0.85


def show(name, values, *, target="", digits=3):
    """One row: mean and standard deviation over simulations, and what was asked for."""
    values = np.asarray(list(values), dtype=float)
    spread = f" +- {values.std():.{digits}f}" if len(values) > 1 else ""
    print(f"{name:<66} {values.mean():.{digits}f}{spread}   {target}", flush=True)


def retina_of(seed, **options):
    """The spec's retina: ten types of fifteen cells, noise as strong as the signal."""
    return make_retina(
        n_frames=900, noise="gaussian", noise_level=1.0, random_state=seed, **options
    )


def kmeans_of(responses, n_clusters, seed):
    """k-means on responses (n_cells, n_samples), each cell about its mean and over its deviation."""
    scores = np.nan_to_num(standardize(np.asarray(responses, dtype=float).T)).T
    return KMeans(n_clusters, n_init=10, random_state=seed).fit_predict(scores)


def ari(retina, labels):
    return adjusted_rand_score(retina.types, labels)


def clustering():
    """ARI with the known types at noise 1, and from which of the initial partition."""
    rows, before = {}, {}
    for seed in SEEDS:
        retina = retina_of(seed)
        kmeans = kmeans_of(retina.responses.T, 10, seed)
        rows.setdefault("k-means on responses, noise 1 (900 frames)", []).append(
            ari(retina, kmeans)
        )
        gmm = FunctionalTypes(10, random_state=seed).fit(retina.responses.T).labels_
        rows.setdefault("FunctionalTypes(10) on responses, noise 1", []).append(ari(retina, gmm))
        variants = {
            "MDS fingerprint, init: those k-means labels [>= 0.95]": {"init": kmeans},
            "MDS argmax (paper's rule), same init": {"init": kmeans, "assign": "argmax"},
            "MDS fingerprint, init: k-means on the model (default)": {},
            "MDS fingerprint, init: true labels": {"init": retina.types},
            "MDS argmax, init: true labels": {"init": retina.types, "assign": "argmax"},
            "MDS fingerprint, random init, k=20, merge, 5 starts [>= 0.85]": {
                "init": "random",
                "n_clusters": 20,
                "merge_threshold": 0.4,
                "n_init": 5,
            },
            "MDS fingerprint, random init, k=20, merge, 1 start": {
                "init": "random",
                "n_clusters": 20,
                "merge_threshold": 0.4,
            },
            "MDS argmax, random init, k=10 (as the paper)": {"init": "random", "assign": "argmax"},
        }
        for name, options in variants.items():
            mds = MostDiscriminativeStimuli(**{"n_clusters": 10, **options}, random_state=seed)
            rows.setdefault(name, []).append(ari(retina, mds.fit(retina.module).labels_))
            before.setdefault(name, []).append(ari(retina, mds.initial_labels_))
    for name, values in rows.items():
        first = f"from {np.mean(before[name]):.3f}" if name in before else ""
        show("ARI  " + name, values, target=first)


def noisy(frames, sd, noise, n_repeats, rng):
    """Repeats (n_repeats, n_stimuli, n_cells) of mean responses from frames with noise."""
    shape = (n_repeats, *frames.shape)
    return (frames + noise * sd * rng.standard_normal(shape)).mean(axis=2)


def frames_of(module, stimuli):
    with torch.no_grad():
        return module.frames(torch.as_tensor(stimuli, dtype=torch.float32)).double().numpy()


def nearest(train, labels, new):
    """Type of new cells (n_features, n_cells) by correlation with each type's mean fingerprint."""
    scores = standardize(train)
    templates = cluster_templates(scores, labels, 10, "fingerprint")
    return correlate(standardize(new), templates).argmax(axis=0)


def most_exciting(module, types, norm, rng):
    """One stimulus per type that drives its cells most, without regard to the others."""
    with ModelAdapter.adapt(module) as adapter:
        space = StimulusSpace(adapter.shape, norm, None, {})
        members = membership(types, 10, like=adapter.like)
        start = space.random(10, rng, adapter.like)
        return optimize_stimuli(
            adapter.respond, lambda r: (r @ members.T).diagonal(), start, space, OptimizerSettings()
        ).stimuli.numpy()


def cells():
    """Typing the cells of an unseen retina, noise 3, 3 repeats, 240 frames per repeat."""
    rows = {}
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        retina, other = retina_of(seed), retina_of(NEW_SEED + seed)
        sd = other.module.rates(other.stimuli).std(axis=0)
        kmeans = kmeans_of(retina.responses.T, 10, seed)
        for name, init in (("true labels [>= 0.95]", retina.types), ("learned labels", kmeans)):
            mds = MostDiscriminativeStimuli(10, init=init, random_state=seed).fit(retina.module)
            names = np.array(
                [
                    np.bincount(retina.types[mds.labels_ == k]).argmax()
                    for k in range(len(mds.stimuli_))
                ]
            )
            frames = frames_of(other.module, mds.stimuli_)
            for noise, repeats in ((3, 3), (3, 1), (1, 1)):
                repeated = noisy(frames, sd, noise, repeats, rng)
                hit = np.mean(names[mds.predict(repeated)] == other.types)
                rows.setdefault(f"MDS from {name}, noise {noise}, {repeats} repeats", []).append(
                    hit
                )
            if init is retina.types:
                strongest = noisy(frames, sd, 3, 3, rng).mean(axis=0).argmax(axis=0)
                rows.setdefault("the same stimuli, argmax rule, noise 3, 3 repeats", []).append(
                    np.mean(strongest == other.types)
                )
        norm = np.linalg.norm(mds.stimuli_.reshape(len(mds.stimuli_), -1), axis=1).mean()
        sets = {
            "most exciting stimuli of true types": most_exciting(
                retina.module, retina.types, norm, rng
            ),
            "ten random clips": make_pink_stimuli(10, (24, 10, 10), random_state=rng),
        }
        for name, stimuli in sets.items():
            repeated = noisy(frames_of(other.module, stimuli), sd, 3, 3, rng).mean(axis=0)
            train = frames_of(retina.module, stimuli).mean(axis=1)
            hit = np.mean(nearest(train, retina.types, repeated) == other.types)
            rows.setdefault(f"{name}, noise 3, 3 repeats", []).append(hit)
        chirp = np.broadcast_to(2 * make_chirp(4.0)[:, None, None] - 1, (128, 10, 10))
        bars = make_moving_bars(14, 10, 10).reshape(-1, 10, 10)
        movie = np.ascontiguousarray(np.concatenate([chirp, bars]), dtype=np.float32)
        shown = other.module.rates(movie)
        repeated = shown + 3 * sd * rng.standard_normal((3, *shown.shape))
        found = nearest(retina.module.rates(movie), retina.types, repeated.mean(axis=0))
        rows.setdefault(
            f"chirp and bars, {len(movie)} frames, frame by frame, noise 3, 3 repeats", []
        ).append(np.mean(found == other.types))
    for name, values in rows.items():
        show("accuracy  " + name, values)


def typing():
    """ARI of typing an unseen retina: 3 repeats, noise in sd over sqrt(6) of a cell's responses.

    "nearest" is the type with the nearest mean response, each cell's divided by its sd. The last
    lines are reliability curves: the mean probability of the chosen cluster, and how often it is
    right, in tenths of the probability.
    """
    kinds = {
        "default jitter, true labels": ({}, True),
        "filters jittered 25 %, true labels": ({"filter_jitter": 0.25}, True),
        "filters jittered 25 %, k-means labels": ({"filter_jitter": 0.25}, False),
    }
    rules = {
        "correlation": {"typing": "correlation"},
        "likelihood": {"typing": "likelihood"},
        "likelihood, offset none": {"typing": "likelihood", "offset": "none"},
    }
    for kind, (options, given) in kinds.items():
        rows, curves = {}, {}
        for seed in SEEDS:
            retina = make_retina(n_frames=10, random_state=seed, **options)
            other = make_retina(n_frames=10, random_state=NEW_SEED + seed, **options)
            start = {"init": retina.types, "max_iter": 1} if given else {}
            for rule, settings in rules.items():
                mds = MostDiscriminativeStimuli(10, **start, **settings, random_state=seed)
                mds.fit(retina.module)
                clean = mds.respond(other.module)
                names = np.array(
                    [
                        np.bincount(retina.types[mds.labels_ == k]).argmax()
                        for k in range(len(clean))
                    ]
                )
                for noise in (0.0, 0.5, 1.0, 3.0):
                    rng = np.random.default_rng(seed)
                    sd = noise / np.sqrt(6) * clean.std(axis=0)
                    repeats = clean + sd * rng.standard_normal((3, *clean.shape))
                    found = mds.predict_proba(repeats)
                    labels = found.argmax(axis=1)
                    rows.setdefault((noise, rule), []).append(ari(other, labels))
                    right = names[labels] == other.types
                    curves.setdefault((noise, rule), []).append((found.max(axis=1), right))
                    if rule == "correlation":
                        mean = repeats.mean(axis=0)
                        scaled = mds.responses_ / mds.responses_.std(axis=0)
                        members = mds.labels_ == np.arange(len(clean))[:, None]
                        centers = members @ scaled.T / members.sum(axis=1, keepdims=True)
                        apart = (mean / mean.std(axis=0)).T[:, None] - centers
                        nearest_ = (apart**2).sum(axis=2).argmin(axis=1)
                        rows.setdefault((noise, "nearest"), []).append(ari(other, nearest_))
        for (noise, rule), values in sorted(rows.items(), key=lambda row: row[0]):
            show(f"{kind}, noise {noise:g}: {rule}", values)
        for noise in (0.5, 1.0, 3.0):
            _beside_the_better(kind, noise, rows)
        for (noise, rule), parts in sorted(curves.items(), key=lambda row: row[0]):
            sure, right = (np.concatenate(part) for part in zip(*parts, strict=True))
            bins = np.minimum((10 * sure).astype(int), 9)
            curve = [
                f"{sure[bins == b].mean():.2f}:{right[bins == b].mean():.2f} ({(bins == b).sum()})"
                for b in np.unique(bins)
            ]
            error = sum(
                abs((sure[bins == b] - right[bins == b]).sum()) for b in np.unique(bins)
            ) / len(sure)
            print(f"  reliability, noise {noise:g}, {rule}: error {error:.3f}; {' '.join(curve)}")


def _beside_the_better(kind, noise, rows):
    """Likelihood minus the better rule, retina by retina, over the error of that mean.

    "nearest" knows where 0 is, as ``offset="none"`` does and ``"free"`` does not.
    """
    better = max(("correlation", "nearest"), key=lambda rule: np.mean(rows[noise, rule]))
    for rule in ("likelihood", "likelihood, offset none"):
        apart = np.subtract(rows[noise, rule], rows[noise, better])
        error = apart.std(ddof=1) / np.sqrt(len(apart))
        verdict = "met" if apart.mean() >= -error else "not met"
        print(
            f"{kind}, noise {noise:g}: {rule} - {better} {apart.mean():+.4f}, SE {error:.4f}   "
            f"[>= -SE: {verdict}]"
        )


def toy():
    """The two-cell example of the authors' code: mean objective, .6753 there; with a norm, .4412."""

    class OnOff(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("sign", 1.0 - 2.0 * (torch.arange(42) % 2))

        def forward(self, images):
            return images.flatten(1).mean(dim=1, keepdim=True) * self.sign

    for name, options in (
        ("published()", {}),
        ("published(split_confused=False)", {"split_confused": False}),
        ("published() with a norm and no split, as PAPER_PRESET", {"norm": "reference", "split_gain": None}),
    ):  # fmt: skip
        fits = [
            MostDiscriminativeStimuli.published(
                n_clusters=5, stimulus_shape=(18, 18), stimulus_axes="HW", random_state=seed, **options
            ).fit(OnOff())
            for seed in SEEDS
        ]  # fmt: skip
        show(f"{name}: mean objective", [one.objective_.mean() for one in fits], digits=4)
        show(f"{name}: clusters", [one.n_clusters_ for one in fits], digits=1)


def control():
    """Centering, and the continuum: types are claimed if halves of the cells agree on them."""
    rows = {"uncentered": [], "centered": []}
    for seed in SEEDS:
        retina = retina_of(seed, rf_jitter=1.5)
        for name, module in (("uncentered", retina.module), ("centered", retina.module.centered())):
            mds = MostDiscriminativeStimuli(10, random_state=seed).fit(module)
            rows[name].append(ari(retina, mds.labels_))
    for name, values in rows.items():
        show(f"ARI  receptive fields jittered by 1.5 pixels, {name}", values)
    kinds = {"ten types": {}, "continuum": {"cell_types": "continuum", "n_cells": 150}}
    for name, options in kinds.items():
        agreement = []
        for seed in SEEDS:
            module = retina_of(seed, **options).module
            found = [
                MostDiscriminativeStimuli(10, holdout=0.5, random_state=s).fit(module).labels_
                for s in range(5)
            ]
            agreement.append(stability(found))
        claimed = np.mean(np.array(agreement) >= CONFIDENT)
        show(f"stability  {name}: ARI between fits to random halves of the cells", agreement)
        show(f"share of retinas in which types are claimed (stability >= {CONFIDENT})", [claimed])


def sequential(module, labels, starts, n_steps, learning_rate, norm, *, stopper, temperature=1.6):
    """One cluster after another, as published; ``stopper`` adds its forward pass."""
    n_clusters, responses, stimuli = len(starts), [], []
    members = membership(labels, n_clusters, like=starts)
    for c in range(n_clusters):
        x = starts[c : c + 1].clone().requires_grad_()
        optimizer = torch.optim.SGD([x], lr=learning_rate, maximize=True)
        for _ in range(n_steps):
            optimizer.zero_grad()
            means = module(x) @ members.T / temperature
            value = means[0, c] - means.logsumexp(dim=1)[0] + np.log(n_clusters)
            value.backward()
            optimizer.step()
            with torch.no_grad():
                x.mul_(norm / x.norm())
                if stopper:
                    module(x)
        stimuli.append(x.detach())
        with torch.no_grad():
            responses.append(module(x))
    return torch.cat(stimuli), torch.cat(responses)


def batched(module, labels, starts, n_steps, learning_rate, norm, temperature=1.6):
    members = membership(labels, len(starts), like=starts)
    with frozen(module):
        found = optimize_stimuli(
            module,
            lambda r: discriminability(r, members, temperature),
            starts,
            StimulusSpace(tuple(starts.shape[1:]), norm, None, {}),
            OptimizerSettings(
                n_steps, learning_rate, momentum=0.0, scale_free=False, keep_best=False
            ),
        )
    return found.stimuli, found.responses


def exact():
    """Agreement with one-at-a-time ascent, an independent formula and finite differences."""
    apart, formula, bound, slope = [], [], [], []
    for seed in SEEDS:
        retina = retina_of(seed)
        module = retina.module.double()
        rng = np.random.default_rng(seed)
        starts = torch.from_numpy(rng.standard_normal((10, 24, 10, 10)))
        labels = rng.integers(0, 10, size=150)
        one = sequential(module, labels, starts, 20, 10.0, 30.0, stopper=False)
        all_ = batched(module, labels, starts, 20, 10.0, 30.0)
        apart.append(max((a - b).abs().max().item() for a, b in zip(one, all_, strict=True)))
        r = all_[1].numpy()
        means = np.array([r[:, labels == k].mean(axis=1) for k in range(10)]) / 1.6
        by_hand = np.diagonal(means) - np.log(np.exp(means).mean(axis=0))
        members = membership(labels, 10, like=starts)
        ours = discriminability(all_[1], members, 1.6).numpy()
        formula.append(abs(ours - by_hand).max())
        bound.append(ours.max() - np.log(10))
        x = starts[:1].clone().requires_grad_()
        direction = torch.from_numpy(rng.standard_normal(x.shape))

        def value(z, module=module, members=members):
            return discriminability(module(z).expand(10, -1), members, 1.6)[0]

        (gradient,) = torch.autograd.grad(value(x), x)
        step = 1e-5
        with torch.no_grad():
            numeric = (value(x + step * direction) - value(x - step * direction)) / (2 * step)
        exact_slope = (gradient * direction).sum()
        slope.append(abs(exact_slope - numeric).item() / abs(numeric).item())
    show(
        "largest difference, batch - one at a time (stimuli, responses)",
        apart,
        target="[<= 1e-5]",
        digits=16,
    )
    show("largest difference, objective - NumPy formula", formula, digits=15)
    show("largest objective - log C", bound, target="[<= 0]")
    show("relative difference, gradient - finite differences", slope, digits=10)


def once(function):
    """CPU seconds of one run."""
    start = time.process_time()
    function()
    return time.process_time() - start


def cpu(function, n_runs=5):
    """Median CPU seconds of several runs after a first one."""
    function()
    return float(np.median([once(function) for _ in range(n_runs)]))


def share_of_products(function):
    """Share of torch's CPU time that is in matrix products and convolutions, which batches share."""
    with profile(activities=[ProfilerActivity.CPU]) as found:
        function()
    times = {event.key: event.self_cpu_time_total for event in found.key_averages()}
    products = sum(t for key, t in times.items() if key.endswith("mm") or "conv" in key)
    return products / sum(times.values())


def speed():
    """CPU of one iteration (10 clusters, 20 steps; reassignment's responses too)."""
    ratios, shares = [], []
    for seed in SEEDS:
        retina = retina_of(seed)
        rng = np.random.default_rng(seed)
        starts = torch.from_numpy(rng.standard_normal((10, 24, 10, 10))).float()
        labels = rng.integers(0, 10, size=150)
        arguments = (retina.module, labels, starts, 20, 10.0, 30.0)
        slow = cpu(lambda a=arguments: sequential(*a, stopper=True))
        ratios.append(slow / cpu(lambda a=arguments: batched(*a)))
        shares.append(share_of_products(lambda a=arguments: batched(*a)))
    show("analytic model: CPU of one at a time / batch", ratios, target="[>= 8]", digits=1)
    show("analytic model: share of products in the batch's time", shares)
    # with nothing but these products left, the batch would be faster by the rest of its time
    show("analytic model: the ratio's bound", np.divide(ratios, shares), digits=1)


def speed_cnn():
    """CPU of one iteration of a network of openretina's size (10 clusters, one step)."""
    network = ResponseNetwork(
        Architecture("conv2d", 31, 16, 16, 15, "point", "softplus"),
        (18, 16, 2),
        100,
        mean=torch.tensor(0.0),
        sd=torch.tensor(1.0),
    )
    generator = torch.Generator().manual_seed(0)
    network.initialize(torch.zeros(100), None, generator)
    with torch.no_grad():  # every readout in the middle of the canvas
        network.place.copy_(torch.tensor([9 / 8.5 - 1, 8 / 7.5 - 1]).expand(100, 2))
    network.eval()

    class Mean(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            return self.inner(x).mean(dim=1)

    starts = torch.randn(10, 50, 18, 16, 2, generator=generator)
    labels = np.arange(100) % 10
    rest = (labels, starts, 1, 10.0, 30.0)
    # without a first run: seconds of products, beside which what a first call sets up is nothing
    slow = once(lambda: sequential(Mean(network), *rest, stopper=True))
    full = once(lambda: batched(Mean(network), *rest))
    cropped = cpu(lambda: batched(Mean(network.centered()), *rest), 3)
    name = "CNN of openretina's size (2 x 50 x 18 x 16): CPU of one at a time / "
    show(name + "batch", [slow / full], target="[>= 2]", digits=2)
    share = share_of_products(lambda: batched(Mean(network), *rest))
    show("CNN: share of products in the batch's time", [share])
    show("CNN: the ratio's bound", [slow / full / share], digits=2)
    show(name + "cropped batch", [slow / cropped], target="[>= 3]", digits=2)


def twin():
    """Response models of 150 cells from 12,000 frames of Poisson counts."""
    rows = {}
    for seed in SEEDS:
        retina = make_retina(n_frames=12000, rf_jitter=1.0, random_state=seed)
        start = time.process_time()
        model = ResponseModel(random_state=seed, device="cpu").fit(retina.stimuli, retina.responses)
        rows.setdefault("CPU seconds of training [<= 60]", []).append(time.process_time() - start)
        feve = model.feve(retina.test_stimuli, retina.test_responses)
        rows.setdefault("mean FEVE [>= 0.8]", []).append(np.nanmean(feve))
        rows.setdefault("median FEVE", []).append(np.nanmedian(feve))
        rows.setdefault("cells without enough to explain", []).append(np.isnan(feve).sum())
        for name, one in (("uncentered", model), ("centered", model.centered())):
            mds = MostDiscriminativeStimuli(10, stimulus_shape=(24, 10, 10), random_state=seed).fit(
                one
            )
            rows.setdefault(f"ARI of MDS on the twin, {name}", []).append(ari(retina, mds.labels_))
        labels = kmeans_of(model.readout_weights_, 10, seed)
        rows.setdefault("ARI of k-means on readout weights", []).append(ari(retina, labels))
    for name, values in rows.items():
        show("twin  " + name, values)


def types():
    """Types from a chirp, and from a chirp and bars, 3 repeats: beside k-means with the true k.

    "labels known" is linear discriminant analysis of the same components, each cell typed by the
    others': about what can be told apart with these responses.
    """
    counts = dict(zip(CELL_TYPES, (40, 30, 25, 20, 15, 12, 10, 8, 6, 5), strict=False))
    settings = {
        "chirp, noise 3": (False, 15, 0.1, {"noise": "gaussian", "noise_level": 3.0}),
        "chirp and bars, noise 3": (True, 15, 0.1, {"noise": "gaussian", "noise_level": 3.0}),
        "the same, 40 to 5 cells a type": (True, counts, 0.1, {"noise": "gaussian", "noise_level": 3.0}),
        "the same, filters jittered 25 %": (True, 15, 0.25, {"noise": "gaussian", "noise_level": 3.0}),
        "chirp and bars, calcium, noise 1.5": (True, 15, 0.1, {"noise": "calcium", "noise_level": 1.5}),
    }  # fmt: skip
    for name, (bars, n_cells, jitter, noise) in settings.items():
        rows = {}
        for seed in SEEDS:
            retina = make_retina(
                n_cells=n_cells, filter_jitter=jitter, n_frames=10, random_state=seed
            )
            movies = [np.broadcast_to(2 * make_chirp(4.0)[:, None, None] - 1, (128, 10, 10))]
            movies += [make_moving_bars(16, 10, 10).reshape(-1, 10, 10)] * bars
            X = [
                make_responses(
                    retina.module.rates(np.float32(movie)), n_repeats=3, random_state=seed, **noise
                ).mean(axis=0)
                for movie in movies
            ]
            blocks = np.repeat(np.arange(len(movies)), [len(movie) for movie in movies])
            X = np.concatenate(X).T
            scores = np.nan_to_num(standardize(X.T)).T
            components = PCA(20, random_state=0).fit_transform(scores)
            labels = {
                "k-means, k = 10": kmeans_of(X, 10, seed),
                "k-means of 20 components, k = 10": KMeans(
                    10, n_init=10, random_state=seed
                ).fit_predict(components),
            }
            for title, options in (
                ("FunctionalTypes()", {}),
                ("FunctionalTypes(10)", {"n_types": 10, "n_bootstrap": 0}),
            ):
                model = FunctionalTypes(**options, random_state=seed).fit(X, blocks=blocks)
                labels[title] = model.labels_
                if np.isfinite(model.stability_):
                    rows.setdefault(f"{title}: stability", []).append(model.stability_)
            columns = scale_cells(X, model.block_labels_) @ model.projection_
            labels["labels known"] = cross_val_predict(
                LinearDiscriminantAnalysis(), columns, retina.types
            )
            for title, found in labels.items():
                rows.setdefault(f"{title}: ARI", []).append(ari(retina, found))
        for title, values in rows.items():
            apart = np.mean(np.subtract(values, rows["k-means, k = 10: ARI"]))
            margin = f"{apart:+.3f} [>= 0.10]" if title.endswith("ARI") else ""
            show(f"{name}: {title}", values, target=margin)


def core_readout():
    """ResponseModel beside openretina's core-readout at its size: 150 cells, 1,000 frames."""
    rows = {}
    for seed in SEEDS:
        for name, values in compare(seed, 1000).items():
            for what, value in zip(("score", "CPU seconds", "epochs"), values, strict=True):
                rows.setdefault(f"{name}: {what}", []).append(value)
    for name, values in rows.items():
        show(name, values)


def chirp():
    """Twins of 24 bipolar and 25 amacrine clusters, 16 Hz; no repeats, so no FEVE."""
    folder = os.environ.get("NEUROML_SHARED_DATA")
    if folder is None:
        print("skipped: set NEUROML_SHARED_DATA to the folder of recordings")
        return
    recordings = load_dataset("retina_bc_ac_chirp", data_dir=folder).recordings
    sweeps = {recording.attrs["run"]: recording for recording in recordings}
    light = _binned(sweeps["global"].stimulus.values)
    everywhere, dark = np.stack([light, light], axis=1), np.stack([light, 0 * light], axis=1)
    X = np.concatenate([everywhere, dark])  # channels: center and surround
    Y = np.concatenate([_binned(sweeps[run].signal.values) for run in ("global", "local")])
    bipolar = (sweeps["global"].cell_class == "BC").values
    sessions = np.repeat([0, 1], len(light))
    for core in ("linear", "conv3d"):
        r, r2 = _held_out(_chirp_model(core), X, Y, sessions)
        for name, cells_ in (("bipolar", bipolar), ("amacrine", ~bipolar)):
            show(f"{core}: held-out correlation, {name} (sd over clusters)", r[cells_])
            show(f"{core}: held-out R2, {name} (sd over clusters)", r2[cells_])
    model = _chirp_model("conv3d").fit(X, Y[:, bipolar], sessions=sessions)
    polarity = sweeps["global"].green_center.values[bipolar]
    transient = _is_transient(Y[len(light) :, bipolar], polarity)
    both = 2 * (polarity > 0) + transient
    groups = {
        "ON and OFF (stored polarity)": (polarity > 0).astype(int),
        "ON, OFF x transient, sustained (index below)": both,
    }
    for name, truth in groups.items():
        hits = {"optimized on": [], "held out": []}
        for seed in SEEDS:
            mds = MostDiscriminativeStimuli(
                2, stimulus_shape=(32, 2), init=truth, holdout=0.3, smooth_time=1.0,
                max_iter=1, random_state=seed,
            ).fit(model)  # fmt: skip
            stays = mds.predict(mds.responses_) == truth
            hits["optimized on"].append(np.mean(stays[mds.train_mask_]))
            hits["held out"].append(np.mean(stays[~mds.train_mask_]))
        for part, shares in hits.items():
            show(f"stimuli for {name}: share right, {part}", shares)
    kmeans = MostDiscriminativeStimuli(2, stimulus_shape=(32, 2), random_state=0).fit(model)
    show(
        "two clusters found without labels: ARI with stored polarity",
        [adjusted_rand_score(polarity, kmeans.labels_)],
    )


def _is_transient(local, polarity):
    """Above the median of the cells of the same polarity, of our own index of transience.

    It is 1 - r / p of the local chirp's step that a cell prefers (up at 2 s, down at 5 s), p the
    peak of the response within 3 s and r its mean over the third second, both above the second
    before.
    """
    index = np.empty(len(polarity))
    for i, sign in enumerate(polarity):
        edge = 2 * 16 if sign > 0 else 5 * 16
        answer = local[edge : edge + 48, i] - local[edge - 16 : edge, i].mean()
        index[i] = 1 - answer[-16:].mean() / answer.max()
    return np.array(
        [value > np.median(index[polarity == s]) for value, s in zip(index, polarity, strict=True)]
    )


def _binned(values, step=4):
    n = len(values) // step
    return values[: n * step].reshape(n, step, *values.shape[1:]).mean(axis=1)


def _chirp_model(core):
    return ResponseModel(
        core,
        n_lags=12,
        loss="gaussian",
        nonlinearity="identity",
        smooth_time=0.1,
        clip_length=20,
        n_blocks=5,
        max_epochs=60,
        random_state=0,
        device="cpu",
    )


def _held_out(model, X, Y, sessions, n_folds=5):
    """Correlation and R2 of each cell over blocks of time held out of both sweeps at once."""
    n_frames = len(X) // 2
    fold = np.tile(np.arange(n_frames) * 2 * n_folds // n_frames % n_folds, 2)
    predicted = np.full(Y.shape, np.nan)
    for k in range(n_folds):
        train = fold != k
        pieces = np.cumsum(np.diff(train, prepend=True)) + 1000 * sessions
        model.fit(X[train], Y[train], sessions=pieces[train])
        predicted[~train] = model.predict(X, sessions=sessions)[~train]
    known = np.isfinite(predicted[:, 0])
    p, y = predicted[known], Y[known]
    r = [np.corrcoef(p[:, i], y[:, i])[0, 1] for i in range(Y.shape[1])]
    return np.array(r), 1 - ((y - p) ** 2).mean(axis=0) / y.var(axis=0)


SECTIONS = {
    f.__name__: f
    for f in (
        exact, toy, speed, speed_cnn, clustering, cells, typing, control, twin, core_readout, chirp,
        types,
    )
}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "section", nargs="*", help=f"of {', '.join(SECTIONS)}; all if none is named"
    )
    chosen = parser.parse_args().section or list(SECTIONS)
    if unknown := set(chosen) - set(SECTIONS):
        parser.error(f"no section {', '.join(sorted(unknown))}: there are {', '.join(SECTIONS)}")
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for name in chosen:
        print(f"\n{name}: {SECTIONS[name].__doc__}")
        start = time.process_time()
        SECTIONS[name]()
        print(f"({time.process_time() - start:.0f} CPU seconds)")


if __name__ == "__main__":
    main()
