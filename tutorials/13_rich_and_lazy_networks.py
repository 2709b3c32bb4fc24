"""
Rich and lazy networks
======================

Does a network learn new features, or fit its task with those it started from? Two networks that
differ in the rank of their first weights alone are trained to the same loss and compared with
themselves before (Liu et al. 2024). Then binary codes, with the untrained network beside.
"""

# %%
# Two networks
# ------------
#
# :func:`neuroml.representation.rank_limited_init` keeps the norm of the weights, which would decide
# by itself how lazily a network learns; what differs is the rank. The networks are linear with
# inputs that are white, as in the theory, so that they show no more than what it predicts.
#
# This is the third design that was tried, and the effect is smaller elsewhere: tanh networks that
# learn the sign of a direction had mean alignments of .874 (low rank) and .943 (full rank) over
# three seeds, and .866 and .942 with a smaller readout; neither order held in every seed.

import copy

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_digits
from torch import nn

from neuroml.representation import (
    activation_codes,
    cka,
    code_redundancy,
    code_separability,
    effective_rank,
    laziness_report,
    rank_limited_init,
)

torch.set_num_threads(1)
N_INPUTS, N_HIDDEN = 20, 20


def network(rank, seed):
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Linear(N_INPUTS, N_HIDDEN, bias=False), nn.Linear(N_HIDDEN, 1, bias=False)
    )
    weight = rank_limited_init(torch.linalg.qr(torch.randn(N_HIDDEN, N_INPUTS))[0], rank)
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor(weight / np.linalg.norm(weight)))
        net[1].weight.fill_(1e-3)
    return net


# %%
# Training to one loss
# --------------------
#
# The task is a direction of the inputs. Training ends at the same loss: a network that is trained
# for longer has moved further, whatever its rank.


def train(net, x, target, loss_at_end=0.01):
    trained = copy.deepcopy(net)
    optimizer = torch.optim.SGD(trained.parameters(), lr=0.02)
    for step in range(20_000):
        loss = ((trained(x)[:, 0] - target) ** 2).sum() / 2
        if loss < loss_at_end:
            return trained, step
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    raise RuntimeError(f"the loss is still {loss:.3f}")


reports = []
x = torch.eye(N_INPUTS)
for seed in range(5):
    target = torch.randn(N_INPUTS, generator=torch.Generator().manual_seed(seed))
    target *= 2 / target.norm()
    for rank in (1, N_INPUTS):
        before = network(rank, seed)
        after, n_steps = train(before, x, target)
        found = laziness_report(before, after, x).to_frame().set_index("quantity")["value"]
        weights = [net[0].weight.detach().numpy() for net in (before, after)]
        reports.append(
            found.to_dict()
            | {
                "rank": rank,
                "steps": n_steps,
                "effective rank before": effective_rank(weights[0]),
                "effective rank after": effective_rank(weights[1]),
                "CKA with the task before": cka(weights[0].T, target[:, None]),
                "CKA with the task after": cka(weights[1].T, target[:, None]),
            }
        )
table = pd.DataFrame(reports)
print(table.groupby("rank").mean().T.round(3).to_string())

# %%
# The network of rank 1 has to build its features: its tangent kernel turns away from the start.
# The one of full rank keeps its kernel. Five seeds are a direction, not a law; and a low rank that
# is aligned with the task is lazier as well.

by_rank = table.groupby("rank")["kernel_alignment"]
assert (by_rank.get_group(1).to_numpy() < by_rank.get_group(N_INPUTS).to_numpy()).all()

# %%
# Figures
# -------

from matplotlib.figure import Figure

figure = Figure(figsize=(6.4, 2.8), layout="constrained")
names = ("kernel_alignment", "representation_alignment", "relative_weight_change")
for ax, name in zip(figure.subplots(1, len(names)), names, strict=True):
    for seed in range(5):
        pair = table.iloc[2 * seed : 2 * seed + 2]
        ax.plot([0, 1], pair[name], "o-", color="0.3", linewidth=1)
    ax.set_xticks([0, 1], ["rank 1", "full"])
    ax.set_xlim(-0.3, 1.3)
    ax.set_ylim(bottom=0)
    ax.set_title(name.replace("_", " "), fontsize=9)
    ax.spines[["top", "right"]].set_visible(False)

# %%
# Which units are active
# ----------------------
#
# The code of a digit is which rectifiers are above zero. Wide networks give every digit a code of
# its own. The untrained network is the control: most of what neighbors can tell from its codes, the
# inputs brought.

X, y = load_digits(return_X_y=True)
X = torch.tensor((X - X.mean()) / X.std(), dtype=torch.float32)
y_torch = torch.tensor(y)
train_rows = np.arange(len(y)) % 4 != 0
rows = []
for width in (5, 60):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))
    for state in ("untrained", "trained"):
        if state == "trained":
            optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
            for _epoch in range(20):
                for batch in torch.tensor(np.flatnonzero(train_rows))[
                    torch.randperm(int(train_rows.sum()))
                ].split(64):
                    optimizer.zero_grad()
                    nn.functional.cross_entropy(net(X[batch]), y_torch[batch]).backward()
                    optimizer.step()
        own, new = activation_codes(net, X[train_rows]), activation_codes(net, X[~train_rows])
        told = code_separability(own, y[train_rows], new, y[~train_rows])
        rows.append((width, state, code_redundancy(own), told.kmeans, told.knn, told.logistic))
columns = ["width", "network", "redundancy", "k-means", "neighbors", "logistic"]
codes = pd.DataFrame(rows, columns=columns)
print(codes.round(3).to_string(index=False))
assert codes["redundancy"].iloc[0] > 0.5 and codes["redundancy"].iloc[3] < 0.05
assert codes["neighbors"].iloc[2] > 0.8  # untrained
