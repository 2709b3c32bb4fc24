"""
Learning one task after another
===============================

A network that learns a new task forgets the old ones. Sparse activity and active dendrites, which
let a context decide what part of the network takes part, reduce that (Iyer et al. 2022). Three
tasks and one seed here; ten tasks, five seeds and all four networks are in
``tests/benchmarks/dendrites/continual_learning.py``.
"""

# %%
# Three tasks
# -----------
#
# Each task shows the same digits with their pixels in another, fixed order. The context of a task
# is its mean training image.

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from neuroml.dendrites.layers import (
    ActivationMeter,
    ActiveDendriteLinear,
    KWinners,
    SparseLinear,
    TaskPrototypes,
)

torch.set_num_threads(1)
X, y = load_digits(return_X_y=True)
X = torch.tensor((X - X.mean()) / X.std(), dtype=torch.float32)
X_train, X_test, y_train, y_test = train_test_split(X, torch.tensor(y), stratify=y, random_state=0)
rng = np.random.default_rng(0)
orders = [rng.permutation(64) for _ in range(3)]
contexts = TaskPrototypes(64)
for number, order in enumerate(orders):
    contexts.update(X_train[:, order], number)

# %%
# Two networks
# ------------
#
# The first has two layers of active dendrites, five per cent winners and half of its weights; the
# second is an ordinary one of the same width.


class Dendritic(nn.Module):
    def __init__(self, generator):
        super().__init__()
        options = {"weight_density": 0.5, "generator": generator}
        self.first = ActiveDendriteLinear(64, 512, 3, 64, **options)
        self.second = ActiveDendriteLinear(512, 512, 3, 64, input_density=0.05, **options)
        self.winners = nn.ModuleList(KWinners(512, 26) for _ in range(2))
        self.head = SparseLinear(512, 10, 0.5, input_density=0.05, generator=generator)

    def forward(self, x, context):
        x = self.winners[0](self.first(x, context))
        return self.head(self.winners[1](self.second(x, context)))


class Plain(nn.Module):
    def __init__(self, generator):
        super().__init__()
        self.layers = nn.Sequential(
            SparseLinear(64, 512, 1.0, generator=generator),
            nn.ReLU(),
            SparseLinear(512, 512, 1.0, generator=generator),
            nn.ReLU(),
            SparseLinear(512, 10, 1.0, generator=generator),
        )

    def forward(self, x, _context):
        return self.layers(x)


# %%
# One task after another
# ----------------------
#
# Nobody tells the network at test time which task it sees: a sample takes the nearest context.


def accuracy(network, task):
    x = X_test[:, orders[task]]
    with torch.no_grad():
        return float((network(x, contexts(x)).argmax(dim=1) == y_test).float().mean())


def learn(network):
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-4)
    history = []
    for task, order in enumerate(orders):
        network.train()
        for _epoch in range(8):
            for rows in torch.randperm(len(X_train), generator=generator).split(64):
                optimizer.zero_grad()
                logits = network(X_train[rows][:, order], contexts.prototypes[task])
                nn.functional.cross_entropy(logits, y_train[rows]).backward()
                optimizer.step()
        network.eval()
        history.append([round(accuracy(network, known), 3) for known in range(task + 1)])
    return history


results = {}
networks = {kind.__name__: kind(torch.Generator().manual_seed(0)) for kind in (Dendritic, Plain)}
for name, network in networks.items():
    history = learn(network)
    results[name] = np.mean(history[-1])
    print(f"{name}: accuracy on all tasks so far, after each task: {history}")
print("mean after three tasks:", {name: round(float(value), 3) for name, value in results.items()})
assert results["Dendritic"] > 0.85
assert results["Dendritic"] > results["Plain"] + 0.05

# %%
# How sparse is it?
# -----------------
#
# :class:`neuroml.dendrites.layers.ActivationMeter` counts which units are active.

model = networks["Dendritic"]
with ActivationMeter(model, ["winners.0", "winners.1"]) as meter:
    accuracy(model, 0)
print(meter.table().round(3).to_string())
assert abs(meter.density("winners.0") - 26 / 512) < 1e-9
