"""What papers on sparse networks claim, beside what our layers and meters measure on digits.

    OMP_NUM_THREADS=1 python tests/benchmarks/dendrites/sparsity_seeds.py

One small network (64 inputs, one hidden layer, 10 classes) on the 8 x 8 digits, trained in seconds,
several seeds; each part prints means and standard deviations over seeds. `--only` names the parts.
The table of `tutorials/docs/reproduction_dendrites.rst` is copied from here.
"""

import argparse
import math
import time
from itertools import pairwise

import pandas as pd
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn.functional import cross_entropy

from neuroml.dendrites.layers import (
    ActivationL1,
    ActivationMeter,
    DeltaActivation,
    FATReLU,
    QuadraticLinear,
    SineStageSchedule,
    cett_sparsity,
    prune_rnn_,
    relinear_param_groups,
)

N_PIXELS, N_CLASSES, BATCH = 64, 10, 64


def digits(seed):
    X, y = load_digits(return_X_y=True)
    X = torch.tensor(X / 16, dtype=torch.float32)
    return train_test_split(X, torch.tensor(y), stratify=y, random_state=seed)


def mlp(seed, n_hidden=256, activation=nn.ReLU, layer=nn.Linear):
    torch.manual_seed(seed)
    return nn.Sequential(layer(N_PIXELS, n_hidden), activation(), nn.Linear(n_hidden, N_CLASSES))


def learn(model, X, y, *, epochs, optimizer=None, penalty=None, batch_size=BATCH, after=None):
    """Train a classifier; ``penalty(model, x, step) -> (logits, what is added to the loss)``."""
    optimizer = optimizer or torch.optim.Adam(model.parameters(), lr=1e-3)
    step = 0
    for epoch in range(epochs):
        model.train()
        for rows in torch.randperm(len(X)).split(batch_size):
            logits, extra = penalty(model, X[rows], step) if penalty else (model(X[rows]), 0.0)
            optimizer.zero_grad()
            (cross_entropy(logits, y[rows]) + extra).backward()
            optimizer.step()
            step += 1
        if after:
            after(epoch)
    return model.eval()


@torch.no_grad()
def accuracy(model, X, y):
    return float((model.eval()(X).argmax(dim=1) == y).float().mean())


@torch.no_grad()
def meter(model, X, layer="1"):
    with ActivationMeter(model, [layer]) as found:
        model(X)
    return found


def lazy_neurons(seed):
    """Trained activity is sparse, sparser than untrained, also with random labels and when wide."""
    X, X_test, y, y_test = digits(seed)
    for width in (64, 256):
        for labels in ("true", "random"):
            model = mlp(seed, width)
            before = meter(model, X_test).density("1")
            shown = y if labels == "true" else y[torch.randperm(len(y))]
            learn(model, X, shown, epochs=40)
            yield {
                "labels": labels,
                "n_hidden": width,
                "density_untrained": before,
                "density": meter(model, X_test).density("1"),
                "accuracy": accuracy(model, X_test, y_test),
            }


def prosparse(seed):
    """ReLU, then a penalty that grows in stages, then a raised threshold: sparser, as accurate."""
    X, X_test, y, y_test = digits(seed)
    n_steps = 20 * math.ceil(len(X) / BATCH)
    schedule = SineStageSchedule([1e-4, 1e-2, 3e-2], [n_steps // 4, n_steps // 2, n_steps])

    def penalty(model, x, step):
        with ActivationL1([model[1]]) as norm:
            logits = model(x)
        return logits, schedule(step) * norm.value

    model = learn(mlp(seed), X, y, epochs=20)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    for name, extra in (("ReLU", None), ("ReLU and penalty", penalty)):
        model.load_state_dict(start)
        learn(model, X, y, epochs=20, penalty=extra)
        yield _sparsity(name, model, X_test, y_test)
    for threshold in (0.05, 0.1, 0.2):
        model[1] = FATReLU(threshold)
        yield _sparsity(f"penalty and FATReLU({threshold})", model, X_test, y_test)


def _sparsity(name, model, X, y):
    return {
        "network": name,
        "sparsity": 1 - meter(model, X).density("1"),
        "accuracy": accuracy(model, X, y),
    }


def sparsing_law(seed):
    """Share of neurons needed for 1 % of the loss: with more data, fewer with ReLU, more with SiLU."""
    X, X_test, y, y_test = digits(seed)
    for activation in (nn.ReLU, nn.SiLU):
        model, rows = mlp(seed, activation=activation), []

        def measure(epoch, model=model, rows=rows):
            if epoch + 1 in (3, 10, 30):
                found = cett_sparsity(
                    [model.eval()[2]], lambda: float(cross_entropy(model(X_test), y_test))
                )
                rows.append(
                    {
                        "samples_seen": (epoch + 1) * len(X),
                        "needed": 1 - found.sparsity,
                        "not_zero": meter(model, X_test).density("1"),
                        "loss": found.dense_metric,
                    }
                )

        learn(model, X, y, epochs=30, after=measure)
        yield from ({"activation": activation.__name__} | row for row in rows)


class Video(nn.Module):
    """A digit that moves by one pixel over eight frames, seen by a layer that may send changes."""

    def __init__(self, delta):
        super().__init__()
        self.first, self.relu = nn.Linear(N_PIXELS, 128), nn.ReLU()
        self.delta = DeltaActivation() if delta else nn.Identity()
        self.last = nn.Linear(128, N_CLASSES)

    def forward(self, x):
        moved = x.view(-1, 8, 8).roll(1, dims=2).flatten(1)
        w = torch.linspace(0, 1, 8)[:, None]
        frames = (1 - w) * x[:, None] + w * moved[:, None]
        return self.last(self.delta(self.relu(self.first(frames)))).mean(dim=1)


def delta_activation(seed):
    """Changes are rarer than activity; with the penalty, far rarer at little loss."""
    X, X_test, y, y_test = digits(seed)
    for rate in (None, 0.0, 0.3, 3.0):
        torch.manual_seed(seed)
        model = Video(delta=rate is not None)
        extra = (lambda m, x, _step, r=rate: (m(x), r * m.delta.penalty)) if rate else None
        learn(model, X, y, epochs=20, penalty=extra)
        active = meter(model, X_test, "relu").density("relu")
        yield {
            "network": "ReLU" if rate is None else f"delta, rate {rate}",
            "active": active,
            "sent": active if rate is None else model.delta.density,
            "accuracy": accuracy(model, X_test, y_test),
        }


def quadratic_neurons(seed):
    """Started linear and slow in their quadratic part, they train well; otherwise they need not."""
    X, X_test, y, y_test = digits(seed)
    for name in ("linear", "ReLinear", "start only, equal rates", "usual start, equal rates"):
        layer = nn.Linear if name == "linear" else QuadraticLinear
        model = mlp(seed, 16, layer=layer)
        if name.startswith("usual"):
            for part in (model[0].gate, model[0].power):
                part.reset_parameters()
        slow = 1e-5 if name == "ReLinear" else 0.1
        groups = model.parameters() if name == "linear" else relinear_param_groups(model, 0.1, slow)
        learn(model, X, y, epochs=40, optimizer=torch.optim.SGD(groups, lr=0.1))
        yield {"network": name, "accuracy": accuracy(model, X_test, y_test)}


class Rows(nn.Module):
    """A recurrent network that reads an image row by row."""

    def __init__(self, kind):
        super().__init__()
        self.rnn, self.head = kind(8, 64, batch_first=True), nn.Linear(64, N_CLASSES)

    def forward(self, x):
        return self.head(self.rnn(x.view(-1, 8, 8))[0][:, -1])


def recurrent_pruning(seed):
    """Most weights can go, and accuracy comes back within an epoch of training."""
    X, X_test, y, y_test = digits(seed)
    for kind in (nn.RNN, nn.GRU):
        torch.manual_seed(seed)
        model = learn(Rows(kind), X, y, epochs=20)
        dense = accuracy(model, X_test, y_test)
        for amount in (0.3, 0.6, 0.8, 0.9):
            torch.manual_seed(seed)
            pruned = Rows(kind)
            pruned.load_state_dict(model.state_dict())
            prune_rnn_(pruned.rnn, amount)
            after = [accuracy(pruned, X_test, y_test)]

            def measure(_epoch, pruned=pruned, after=after):
                after.append(accuracy(pruned, X_test, y_test))

            learn(pruned, X, y, epochs=5, after=measure)
            back = [epoch for epoch, value in enumerate(after) if value >= dense - 0.01]
            yield {
                "rnn": kind.__name__,
                "pruned": amount,
                "dense": dense,
                "at_once": after[0],
                "after_1": after[1],
                "after_5": after[5],
                "epochs_back": back[0] if back else math.nan,
            }


def dead_neurons(seed):
    """Noise of the gradient kills units: more with a high rate and small batches; do any return?"""
    X, X_test, y, y_test = digits(seed)
    for rate, batch_size in ((1e-3, 64), (1e-2, 64), (3e-2, 64), (1e-2, 256), (1e-2, 16)):
        model, silent = mlp(seed), []

        def after(_epoch, model=model, silent=silent):
            silent.append(torch.tensor(meter(model, X).dead("1")))

        optimizer = torch.optim.Adam(model.parameters(), lr=rate)
        learn(model, X, y, epochs=20, optimizer=optimizer, batch_size=batch_size, after=after)
        returned = sum(int((was & ~now).sum()) for was, now in pairwise(silent))
        died = sum(int((~was & now).sum()) for was, now in pairwise(silent))
        yield {
            "learning_rate": rate,
            "batch_size": batch_size,
            "dead": float(silent[-1].float().mean()),
            "returned_per_death": returned / max(1, died + int(silent[0].sum())),
            "accuracy": accuracy(model, X_test, y_test),
        }


PARTS = {
    part.__name__: (part, keys)
    for part, keys in (
        (lazy_neurons, ["labels", "n_hidden"]),
        (prosparse, ["network"]),
        (sparsing_law, ["activation", "samples_seen"]),
        (delta_activation, ["network"]),
        (quadratic_neurons, ["network"]),
        (recurrent_pruning, ["rnn", "pruned"]),
        (dead_neurons, ["learning_rate", "batch_size"]),
    )
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", nargs="*", choices=PARTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.only or PARTS:
        part, keys = PARTS[name]
        start = time.process_time()
        rows = pd.DataFrame([row for seed in range(options.seeds) for row in part(seed)])
        groups = rows.groupby(keys, sort=False)
        table = groups.mean().round(4).join(groups.std().round(4).add_suffix(" sd"))
        used = time.process_time() - start
        print(f"\n{name}: {part.__doc__}\n{options.seeds} seeds, CPU {used:.0f} s")
        print(table[sorted(table.columns)].to_string(), flush=True)


if __name__ == "__main__":
    main()
