"""Permuted digits, one task after another: do active dendrites prevent forgetting?

    python tests/benchmarks/dendrites/continual_learning.py

The experiment of Iyer et al. (2022) in small: 8 x 8 digits instead of MNIST, 512 hidden units
instead of 2048, everything else as published (two hidden layers, one head, 5 % winners, half of
the feed-forward weights zero, as many segments per unit as tasks, the context of a task is its mean
training image, and a test sample takes the context nearest to it). All networks get the same
batches and learning rate. Published accuracies for ten tasks stand beside ours.
"""

import argparse
import time
from functools import partial

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from neuroml._core.training import train
from neuroml.dendrites.layers import ActiveDendriteLinear, KWinners, SparseLinear, TaskPrototypes

N_PIXELS, N_HIDDEN, N_CLASSES, SHARE = 64, 512, 10, 0.05
NETWORKS = {  # name: (dendrites, sparse), published accuracy after ten tasks
    "active dendrites": ((True, True), 0.9455),
    "sparsity only": ((False, True), 0.9133),
    "dendrites only": ((True, False), 0.8285),
    "plain MLP": ((False, False), 0.820),
}


class Network(nn.Module):
    def __init__(self, n_tasks, *, dendrites, sparse, generator):
        super().__init__()
        self.dendrites = dendrites
        density = 0.5 if sparse else 1.0
        widths = [(N_PIXELS, 1.0), (N_HIDDEN, SHARE if sparse else 1.0)]
        options = {"generator": generator}
        if dendrites:
            make = partial(
                ActiveDendriteLinear,
                n_segments=n_tasks,
                dim_context=N_PIXELS,
                weight_density=density,
                **options,
            )
        else:
            make = partial(SparseLinear, density=density, **options)
        self.hidden = nn.ModuleList(
            make(width, N_HIDDEN, input_density=active) for width, active in widths
        )
        self.activity = nn.ModuleList(
            KWinners(N_HIDDEN, round(SHARE * N_HIDDEN)) if sparse else nn.ReLU() for _ in widths
        )
        self.head = SparseLinear(
            N_HIDDEN, N_CLASSES, density, input_density=widths[1][1], **options
        )

    def forward(self, x, context):
        for layer, activity in zip(self.hidden, self.activity, strict=True):
            x = activity(layer(x, context) if self.dendrites else layer(x))
        return self.head(x)


def make_tasks(n_tasks, seed):
    """Train and test images and labels, permuted differently for every task, and their contexts."""
    X, y = load_digits(return_X_y=True)
    X = torch.tensor((X - X.mean()) / X.std(), dtype=torch.float32)
    parts = train_test_split(X, torch.tensor(y), stratify=y, random_state=seed)
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(N_PIXELS) for _ in range(n_tasks)]
    X_train, X_test, y_train, y_test = parts
    return [(X_train[:, order], y_train, X_test[:, order], y_test) for order in orders]


def accuracy(network, X, y, contexts):
    with torch.no_grad():
        return float((network(X, contexts(X)).argmax(dim=1) == y).float().mean())


def learn(network, tasks, *, epochs, batch_size, lr, seed):
    """Train on one task after another; accuracy on every task after each, (n_tasks, n_tasks)."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=lr)
    table = np.full((len(tasks), len(tasks)), np.nan)
    contexts = TaskPrototypes(N_PIXELS)
    for t, (X, y, _, _) in enumerate(tasks):
        contexts.update(X, t)

        def loss(rows, X=X, y=y, context=contexts.prototypes[t]):
            return nn.functional.cross_entropy(network(X[rows], context), y[rows])

        def batches(_epoch, X=X):
            return torch.randperm(len(X), generator=generator).split(batch_size)

        train(network, loss, batches, optimizer, max_epochs=epochs)
        for other, (_, _, X_test, y_test) in enumerate(tasks[: t + 1]):
            table[t, other] = accuracy(network, X_test, y_test, contexts)
    right = [float((contexts.infer(task[2]) == t).float().mean()) for t, task in enumerate(tasks)]
    return table, np.mean(right)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=5e-4)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows, start = [], time.process_time()
    for seed in range(options.seeds):
        tasks = make_tasks(options.tasks, seed)
        for name, ((dendrites, sparse), published) in NETWORKS.items():
            generator = torch.Generator().manual_seed(seed)
            network = Network(
                options.tasks, dendrites=dendrites, sparse=sparse, generator=generator
            )
            table, right = learn(
                network,
                tasks,
                epochs=options.epochs,
                batch_size=options.batch_size,
                lr=options.lr,
                seed=seed,
            )
            rows.append(
                {
                    "network": name,
                    "seed": seed,
                    "after_all": table[-1].mean(),
                    "when_learned": np.diag(table).mean(),
                    "first_task": table[-1, 0],
                    "published": published,
                    "context_right": right,
                }
            )
            print(rows[-1], flush=True)
    results = pd.DataFrame(rows)
    summary = results.groupby("network", sort=False).agg(
        after_all=("after_all", "mean"),
        sd=("after_all", "std"),
        when_learned=("when_learned", "mean"),
        first_task=("first_task", "mean"),
        published=("published", "first"),
    )
    print(f"\n{options}\ncontexts inferred rightly: {results.context_right.mean():.3f}")
    print(f"CPU {time.process_time() - start:.0f} s\n{summary.round(4).to_string()}")
    wide = results.pivot(index="seed", columns="network", values="after_all")
    for name in list(NETWORKS)[1:]:
        ahead = wide["active dendrites"] - wide[name]
        print(
            f"active dendrites ahead of {name}: {ahead.mean():+.4f}, in {(ahead > 0).sum()} seeds"
        )


if __name__ == "__main__":
    main()
