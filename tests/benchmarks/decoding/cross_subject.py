"""Cross-subject decoding on simulated worlds: ridge, the network and the linear decoder.

Run by hand::

    python tests/benchmarks/decoding/cross_subject.py            # all tables
    python tests/benchmarks/decoding/cross_subject.py gain cost  # some of them

Worlds 0, 1, ... are those reported; settings were chosen on worlds 1234 and 1235. Decoders see the
mean of three trials. Top-1 and two-way are in percent, of 300 candidates (chance 0.33) and of pairs
(chance 50). Decoders that score candidates themselves are ranked by those scores, all others by the
cosine of what they predict. With ``--small``, networks have half the width, 300 steps (200 to adapt)
and brains half the voxels.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from unittest.mock import patch

import numpy as np
from sklearn.base import clone

from neuroml.decoding import (
    CrossSubjectDecoder,
    MindBridgeDecoder,
    ProcrustesAligner,
    RidgeDecoder,
    SharedResponseModel,
)
from neuroml.decoding.metrics import (
    feature_correlation,
    retrieval_accuracy,
    retrieval_from_scores,
    subject_interval,
    two_way_identification,
)
from neuroml.simulate import make_cohort

SIZES = (70, 200, 540)
SCORES = "top-1          two-way        feature r"
NETWORK = {"hidden": 256, "n_blocks": 2, "temperature": 0.1, "max_steps": 500, "adapt_steps": 300}
POOLED = {"pooling": "max", "n_pool": 512}
CYCLES = {"alpha_rec": 1.0, "alpha_cyc": 1.0}
COHORT: dict = {}
SCALED = {"n_pool": 512, "adapter_rank": 8, "learning_rate": 1e-3, "warmup": 0.1, "alpha_cos": 0.1}


def network(seed: int, **changes) -> MindBridgeDecoder:
    return MindBridgeDecoder(**(NETWORK | changes), random_state=seed)


def mindbridge(seed: int, **changes) -> MindBridgeDecoder:
    """The published settings with all their switches, in the size and with the steps of the other networks.

    One minus the cosine weighs 0.1, as at the published number of targets.
    """
    return MindBridgeDecoder.published(**(NETWORK | SCALED | changes), random_state=seed)


def without(data: dict, subject: str) -> dict:
    return {s: part for s, part in data.items() if s != subject}


def score(model, cohort, subject: str) -> tuple[float, float, float]:
    """Top-1, two-way and mean correlation of targets, all times 100."""
    X, y = cohort.X_test[subject], cohort.y_test
    decoded = model.predict(X, subject=subject)
    if isinstance(model, CrossSubjectDecoder | MindBridgeDecoder):
        top = retrieval_from_scores(model.score_candidates(X, y, subject=subject)).forward
    else:
        top = retrieval_accuracy(decoded, y).forward
    r = feature_correlation(decoded, y).mean()
    return 100 * top, 100 * two_way_identification(decoded, y), 100 * r


def show(title: str, results: dict[str, list], columns: str) -> None:
    """Mean and standard deviation over worlds."""
    print(f"\n{title}\n{'':42s}{columns}")
    for name, rows in results.items():
        mean, spread = np.mean(rows, axis=0), np.std(rows, axis=0, ddof=min(1, len(rows) - 1))
        cells = [f"{m:6.1f} +- {s:3.1f}" for m, s in zip(mean, spread, strict=True)]
        print(f"{name:42s}{'  '.join(cells)}", flush=True)


def difference(title: str, values: np.ndarray) -> None:
    """Mean over worlds, with its interval where there are enough of them."""
    found = subject_interval(values, random_state=0) if len(values) > 1 else 3 * [values.mean()]
    print(f"  {title}: {found[0]:+.1f} [{found[1]:+.1f}, {found[2]:+.1f}] top-1", flush=True)


def seen(worlds: range) -> None:
    """Four subjects with 1200 stimuli each: one model against one per subject."""
    arms = {
        "MLP per subject, no pooling": (network, {}, False),
        "MLP per subject, max": (network, POOLED, False),
        "MLP per subject, mindbridge": (mindbridge, {}, False),
        "one network, no pooling": (network, {}, True),
        "one network, no pooling, rec + cyc": (network, CYCLES, True),
        "one network, max": (network, POOLED, True),
        "one network, max, rec + cyc": (network, POOLED | CYCLES, True),
        "one network, average": (network, POOLED | {"pooling": "average"}, True),
        "one network, average, rec + cyc": (
            network,
            POOLED | CYCLES | {"pooling": "average"},
            True,
        ),
        "one network, mindbridge": (mindbridge, {}, True),
    }
    results = defaultdict(list)
    for world in worlds:
        cohort = make_cohort(4, **COHORT, random_state=world)
        models = {
            "ridge per subject": RidgeDecoder().fit(cohort.X, cohort.y),
            "CrossSubjectDecoder": CrossSubjectDecoder().fit(cohort.X, cohort.y),
        }
        for name, (kind, changes, together) in arms.items():
            net = kind(world, **changes)
            if together:
                models[name] = net.fit(cohort.X, cohort.y)
            else:
                models[name] = {
                    s: clone(net).fit({s: x}, {s: cohort.y[s]}) for s, x in cohort.X.items()
                }
        for name, model in models.items():
            own = model if isinstance(model, dict) else dict.fromkeys(cohort.X, model)
            rows = [score(one, cohort, s) for s, one in own.items()]
            results[name].append(np.mean(rows, axis=0))
        show(f"Seen subjects (4, n = 1200 each); worlds: {world - worlds[0] + 1}", results, SCORES)
    top = {name: np.array(rows)[:, 0] for name, rows in results.items()}
    for kind in ("no pooling", "max", "mindbridge"):
        difference(
            f"A, {kind}: one network minus one per subject",
            top[f"one network, {kind}"] - top[f"MLP per subject, {kind}"],
        )


def shared_stimuli(worlds: range) -> None:
    """Alignment on 200 stimuli that all saw, then one ridge decoder for all."""
    results = defaultdict(list)
    for world in worlds:
        cohort = make_cohort(4, **COHORT, overlap=1 / 6, random_state=world)
        anchors = {s: part[:200] for s, part in cohort.X.items()}
        aligners = {
            "SRM (50) + pooled ridge": SharedResponseModel(50, random_state=world),
            "Procrustes + pooled ridge": ProcrustesAligner(),
        }
        own = RidgeDecoder().fit(cohort.X, cohort.y)
        results["ridge per subject"].append(
            np.mean([score(own, cohort, s) for s in cohort.X], axis=0)
        )
        for name, aligner in aligners.items():
            aligner.fit(anchors)
            latents = {s: aligner.transform(part, subject=s) for s, part in cohort.X.items()}
            pooled = RidgeDecoder().fit(
                np.vstack(list(latents.values())), np.vstack(list(cohort.y.values()))
            )
            rows = []
            for s, part in cohort.X_test.items():
                decoded = pooled.predict(aligner.transform(part, subject=s))
                rows.append(
                    [
                        100 * retrieval_accuracy(decoded, cohort.y_test).forward,
                        100 * two_way_identification(decoded, cohort.y_test),
                        100 * feature_correlation(decoded, cohort.y_test).mean(),
                    ]
                )
            results[name].append(np.mean(rows, axis=0))
    show("200 shared stimuli (4 subjects)", results, SCORES)


def ways_to_adapt(world: int, X: dict, y: dict, target: str) -> dict[str, Callable]:
    """Models pretrained on X and y, as functions of the target's rows."""
    plain = network(world).fit(X, y)
    cycled = network(world, **CYCLES).fit(X, y)
    pooled = network(world, **POOLED).fit(X, y)
    bridge = mindbridge(world).fit(X, y)
    linear, ridge = CrossSubjectDecoder().fit(X, y), RidgeDecoder().fit(X, y)

    def adapted(model, **options) -> Callable:
        return lambda A, b: model.adapt(A, b, subject=target, **options)

    def scratch(model) -> Callable:
        fresh = clone(model).set_params(max_steps=NETWORK["adapt_steps"])
        return lambda A, b: clone(fresh).fit({target: A}, {target: b})

    return {
        "ridge": adapted(ridge),
        "scratch, no pooling": scratch(plain),
        "reset, no pooling": adapted(plain, strategy="reset"),
        "full, no pooling": adapted(plain, strategy="full"),
        "closed-form embedder, no pooling": adapted(plain, strategy="ridge"),
        "reset, no pooling, rec + cyc": adapted(cycled, source=(X, y), strategy="reset"),
        "scratch, max": scratch(pooled),
        "reset, max": adapted(pooled, strategy="reset"),
        "scratch, mindbridge": scratch(bridge),
        "reset, mindbridge": adapted(bridge, source=(X, y), strategy="reset"),
        "full, mindbridge": adapted(bridge, source=(X, y), strategy="full"),
        "adapt (default)": adapted(linear),
    }


def new_subject(worlds: range) -> None:
    """A subject of each world, in turn, is new and adapted to from the other four by every arm."""
    results = defaultdict(list)
    columns = "  ".join(f"n={n} top-1 / two-way      " for n in SIZES)
    for world in worlds:
        cohort, target = make_cohort(5, **COHORT, random_state=world), f"s{world % 5 + 1}"
        arms = ways_to_adapt(world, without(cohort.X, target), without(cohort.y, target), target)
        order = np.random.default_rng(world).permutation(len(cohort.X[target]))
        for name, adapt in arms.items():
            models = [
                adapt(cohort.X[target][order[:n]], cohort.y[target][order[:n]]) for n in SIZES
            ]
            results[name].append([v for m in models for v in score(m, cohort, target)[:2]])
        show(f"New subject, pretrained on four; worlds: {world - worlds[0] + 1}", results, columns)
    for kind in ("no pooling", "max", "mindbridge"):
        gains = np.array(results[f"reset, {kind}"]) - np.array(results[f"scratch, {kind}"])
        for i, n in enumerate(SIZES):
            difference(f"B, {kind}, n = {n}: reset minus scratch", gains[:, 2 * i])


def gain(worlds: range, *, share: bool = True) -> dict[int, np.ndarray]:
    """Paired gain of the default adapt over ridge: every subject of every world as target."""
    arms = ("ridge", "adapt", "adapt, predict")
    top = {n: {arm: [] for arm in arms} for n in SIZES}
    for world in worlds:
        cohort = make_cohort(5, **COHORT, share=share, random_state=world)
        for target in cohort.X:
            model = CrossSubjectDecoder().fit(without(cohort.X, target), without(cohort.y, target))
            order = np.random.default_rng(world).permutation(len(cohort.X[target]))
            for n in SIZES:
                data = cohort.X[target][order[:n]], cohort.y[target][order[:n]]
                ridge = RidgeDecoder().fit({target: data[0]}, {target: data[1]})
                adapted = model.adapt(*data, subject=target)
                top[n]["ridge"].append(score(ridge, cohort, target)[0])
                top[n]["adapt"].append(score(adapted, cohort, target)[0])
                decoded = adapted.predict(cohort.X_test[target], subject=target)
                top[n]["adapt, predict"].append(
                    100 * retrieval_accuracy(decoded, cohort.y_test).forward
                )
    title = "subjects share nothing" if not share else f"{len(worlds)} worlds x 5 subjects"
    print(f"\nTop-1 of a new subject, {title}; gains are paired, with 95 % intervals")
    for n in SIZES:
        ridge = np.array(top[n]["ridge"])
        print(f"n = {n:3d}   ridge {ridge.mean():5.1f}")
        for arm in arms[1:]:  # "predict": what adapt expects, ranked by the cosine as ridge is
            values = np.array(top[n][arm])
            found = subject_interval(values - ridge, random_state=0)
            print(
                f"  {arm:16s}{values.mean():5.1f}   {found.mean:+5.1f} "
                f"[{found.low:+5.1f}, {found.high:+5.1f}]   "
                f"{100 * (values.mean() / ridge.mean() - 1):+5.0f} % relative",
                flush=True,
            )
    return {n: np.array(top[n]["adapt"]) - top[n]["ridge"] for n in SIZES}


def gain_shared_nothing(worlds: range) -> None:
    """The control of `gain`."""
    gain(worlds, share=False)


CONSTANTS = {
    "cross_subject._SHRINKAGE": (1e-4, 1e-3, 1e-2, 0.1, 1.0),
    "_component_decoder._PRIOR_ROWS": (0.0, 3.0, 10.0, 30.0, 100.0, 300.0),
    "_component_decoder._DIAGONAL_SHARE": (0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
    "_component_decoder._INVERSE_TEMPERATURE": (1.0, 5.0, 25.0),
    "_component_decoder._FLAT_PRECISION": (1e-5, 1e-3, 0.1),
    "_component_decoder._LEAST_COSINE_WEIGHT": (0.0, 1e-3, 0.1),
}


def constants(worlds: range) -> None:
    """Top-1 of a new subject where one constant of the linear decoder has other values.

    Constants are chosen on worlds that are not reported: ``--first-world 1234 --worlds 2 --small``.
    """
    results = defaultdict(list)
    for world in worlds:
        cohort = make_cohort(5, **COHORT, random_state=world)
        for target in cohort.X:
            rows = np.random.default_rng(world).permutation(len(cohort.X[target]))
            model = CrossSubjectDecoder()
            X, y = without(cohort.X, target), without(cohort.y, target)
            fitted = model.fit(X, y)
            for name, values in CONSTANTS.items():
                module, constant = name.split(".")
                for value in values:
                    with patch.object(
                        importlib.import_module(f"neuroml.decoding.{module}"), constant, value
                    ):
                        # only the shrinkage is used in fit alone
                        used = clone(model).fit(X, y) if module == "cross_subject" else fitted
                        found = []
                        for n in SIZES:
                            data = cohort.X[target][rows[:n]], cohort.y[target][rows[:n]]
                            found.append(
                                score(used.adapt(*data, subject=target), cohort, target)[0]
                            )
                    results[f"{constant} = {value:g}"].append(found)
        show(
            f"Constants of the linear decoder; worlds: {world - worlds[0] + 1}",
            results,
            "  ".join(f"n={n} top-1      " for n in SIZES),
        )


def cost(_worlds: range) -> None:
    """One step of the four-subject paper-size trunk against its bare matrix products."""
    import torch

    from neuroml.decoding._mindbridge_network import Architecture, CrossSubjectNetwork
    from neuroml.decoding._mindbridge_training import Objective, Schedule, _optimizer, total_loss

    torch.set_num_threads(1)
    rank, rows, n_subjects, pooled, hidden = 512, 50, 4, 8192, 2048
    shape = Architecture(hidden, 4, 128, 0.5, 0.15, linear_builder=False)
    net = CrossSubjectNetwork(
        [pooled] * n_subjects, [False] * n_subjects, [rank, rank], shape
    ).train()
    inputs = {s: torch.randn(rows, pooled) for s in range(n_subjects)}
    targets = torch.randn(rows * n_subjects, 2 * rank)
    weights = Objective(1.0, 1.0, (1.0, 1.0), 1.0, 1.0, 0.005, noisy_cycle=True)
    products = []
    for owner, module in net.named_modules():
        if isinstance(module, torch.nn.Linear):
            own = owner.startswith(("embedders", "builders"))
            extra = rows * owner.startswith(("embedders.1.", "builders.1."))  # the cycle's
            products.append((rows + extra if own else rows * n_subjects, module.weight))

    def model_step() -> None:
        net.zero_grad(set_to_none=True)
        total_loss(net, inputs, targets, (0, 1), weights).backward()

    buffers = [
        (torch.randn(n, w.shape[1]), w.detach(), torch.randn(n, w.shape[0])) for n, w in products
    ]

    def bare_step() -> list:
        return [(x @ w.T, g @ w, g.T @ x) for x, w, g in buffers]

    parameters = [p for p in net.parameters()]
    model_step()
    ours = _optimizer(net, Schedule(1, rows, 1e-4, 0.01, 0.1, decay_norms=True))
    fused = torch.optim.AdamW(parameters, lr=1e-4, fused=True)
    seconds = {
        name: cpu_seconds(step)
        for name, step in (
            ("forward + backward", model_step),
            ("bare matmuls", bare_step),
            ("our update, clipped", ours.step),
            ("torch's fused AdamW", fused.step),
        )
    }
    n_parameters = sum(p.numel() for p in parameters)
    print(f"\nPaper-size trunk, four subjects, 50 rows of each, heads of rank {rank}, one thread")
    for name, value in seconds.items():
        print(f"  {name:22s}{value:7.3f} CPU s")
    print(f"  ratio to bare matmuls {seconds['forward + backward'] / seconds['bare matmuls']:.2f}")
    print(
        f"  {n_parameters / 1e6:.1f} M parameters: weights, gradients and AdamW's two moments "
        f"take {16 * n_parameters / 2**30:.2f} GiB"
    )


def cpu_seconds(step, repeats: int = 5) -> float:
    """Median CPU seconds of a call, after one to warm up."""
    step()
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        step()
        taken.append(time.process_time() - start)
    return float(np.median(taken))


TABLES = {
    "seen": seen,
    "shared": shared_stimuli,
    "new": new_subject,
    "gain": gain,
    "nothing": gain_shared_nothing,
    "constants": constants,
    "cost": cost,
}


def main(arguments: Sequence[str] = ()) -> None:
    """Print the tables asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", nargs="*", metavar="table", help=f"of {', '.join(TABLES)}")
    parser.add_argument("--worlds", type=int, default=5)
    parser.add_argument("--first-world", type=int, default=0)
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args(arguments)
    if options.small:
        NETWORK.update(hidden=128, max_steps=300, adapt_steps=200)
        POOLED.update(n_pool=256)
        SCALED.update(n_pool=256)
        COHORT.update(n_voxels=(450, 650))
    unknown = set(options.tables) - set(TABLES)
    if unknown:
        parser.error(f"unknown tables {sorted(unknown)}; there are {', '.join(TABLES)}")
    for name in options.tables or TABLES:
        start = time.process_time()
        first = options.first_world
        TABLES[name](range(first, first + options.worlds))
        print(f"({name}: {time.process_time() - start:.0f} CPU s)", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
