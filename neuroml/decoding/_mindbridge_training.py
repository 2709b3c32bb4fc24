r"""Training of MindBridge's network: losses, their sum, batches by row index, the schedule.

Losses between decoded and true embeddings work on unit vectors. There, in D dimensions, the mean
squared error is :math:`2 (1 - \cos) / D`; weights are given on :math:`1 - \cos` and so mean the
same at any D.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from neuroml._core.torch_state import as_tensor, seeded
from neuroml._core.training import Training, train
from neuroml.decoding._mindbridge_network import CrossSubjectNetwork

__all__ = ["Objective", "Schedule", "fit_network"]


@dataclass(frozen=True)
class Objective:
    """Weights of the losses.

    Attributes
    ----------
    clip, cosine : float
        ``cosine`` is multiplied by ``cosine_scale``, one factor for each head.
    cosine_scale : tuple of float
    reconstruction, cycle : float
    temperature : float
    noisy_cycle : bool
        Compare latents after dropout, as the released code does.
    """

    clip: float
    cosine: float
    cosine_scale: tuple[float, ...]
    reconstruction: float
    cycle: float
    temperature: float
    noisy_cycle: bool


@dataclass(frozen=True)
class Schedule:
    """Steps, rows of a subject in a step, peak of the one-cycle rate, and what the optimizer does.

    Attributes
    ----------
    n_steps, batch_size : int
    learning_rate, weight_decay, warmup, clip_norm : float
        ``warmup`` is the share of steps in which the rate rises.
    decay_norms : bool
        Whether the weights of layer norms are decayed too.
    verbose : int
        1 shows a bar.
    """

    n_steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    warmup: float
    decay_norms: bool
    clip_norm: float = 1.0
    verbose: int = 0


@dataclass(frozen=True)
class Batch:
    """Rows of each subject, and the pair of the cycle."""

    rows: dict[int, Tensor]
    pair: tuple[int, int]


def cosine_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean over rows of one minus the cosine."""
    return 1 - functional.cosine_similarity(predicted, target, dim=1).mean()


def soft_clip_loss(predicted: Tensor, target: Tensor, temperature: float) -> Tensor:
    r"""Contrast within a batch against the similarities of the targets, both ways.

    With unit vectors p and t, :math:`-\sum_j \mathrm{softmax}_j(t_i \cdot t_j / \tau) \log
    \mathrm{softmax}_j(p_i \cdot t_j / \tau)`, the mean over rows i, averaged with the same of the
    transposed logits [1]_.

    Parameters
    ----------
    predicted, target : Tensor of shape (n_rows, n_targets)
    temperature : float

    References
    ----------
    .. [1] S. Wang et al. (2024). MindBridge: A cross-subject brain decoding framework. CVPR,
       equation 1; both directions as in the released code.
    """
    # similarities of predictions with targets, and the soft labels: of targets with one another
    p, t = functional.normalize(predicted, dim=1), functional.normalize(target, dim=1)
    logits = p @ t.T / temperature
    labels = torch.softmax(t @ t.T / temperature, dim=1)
    return 0.5 * (
        functional.cross_entropy(logits, labels) + functional.cross_entropy(logits.T, labels)
    )


def total_loss(
    network: CrossSubjectNetwork,
    inputs: dict[int, Tensor],
    targets: Tensor,
    pair: tuple[int, int],
    objective: Objective,
) -> Tensor:
    """Weighted sum of all losses of one batch.

    Parameters
    ----------
    network : CrossSubjectNetwork
    inputs : dict of Tensor of shape (n_rows_s, n_inputs_s)
        By the number of the subject.
    targets : Tensor of shape (n_rows, n_coordinates)
        In the order of ``inputs``; heads side by side.
    pair : (int, int)
        Source and target of the cycle.
    objective : Objective
    """
    # targets decoded from latents after dropout, contrasted and compared head by head
    latents = {s: network.embedders[s](x) for s, x in inputs.items()}
    noisy = {s: network.dropout(latent) for s, latent in latents.items()}
    decoded = network.decode(torch.cat(list(noisy.values())))
    parts = torch.split(targets, [part.shape[1] for part in decoded], dim=1)
    total = targets.new_zeros(())
    for predicted, truth, scale in zip(decoded, parts, objective.cosine_scale, strict=True):
        if objective.clip:
            total = total + objective.clip * soft_clip_loss(predicted, truth, objective.temperature)
        if objective.cosine:
            total = total + objective.cosine * scale * cosine_loss(predicted, truth)
    # voxels rebuilt from latents: the mean over all values of the batch
    used = noisy if objective.noisy_cycle else latents
    if objective.reconstruction:
        rebuilt = torch.cat([network.builders[s](used[s]).flatten() for s in inputs])
        voxels = torch.cat([x.flatten() for x in inputs.values()])
        total = total + objective.reconstruction * nn.functional.mse_loss(rebuilt, voxels)
    # one subject's latents through the voxels of another and back
    if objective.cycle and pair[0] != pair[1]:
        back = network.embedders[pair[1]](network.builders[pair[1]](used[pair[0]]))
        back = network.dropout(back) if objective.noisy_cycle else back
        total = total + objective.cycle * nn.functional.mse_loss(back, used[pair[0]])
    return total


def fit_network(
    network: CrossSubjectNetwork,
    inputs: dict[int, np.ndarray],
    targets: dict[int, np.ndarray],
    objective: Objective,
    schedule: Schedule,
    rng: np.random.Generator,
    *,
    device: torch.device,
    target: int | None = None,
) -> Training:
    """Train what requires gradients, in place, and leave the network on the CPU in eval mode.

    Parameters
    ----------
    network : CrossSubjectNetwork
    inputs, targets : dict of ndarray
        By the number of the subject.
    objective : Objective
    schedule : Schedule
    rng : numpy.random.Generator
        Decides the order of rows, the pairs and, through a seed, dropout.
    device : torch.device
    target : int, optional
        In adaptation, the new subject: each step joins it with one of the others, in turn.
    """
    network.to(device)
    X = {s: as_tensor(x, dtype=torch.float32, device=device) for s, x in inputs.items()}
    y = {s: as_tensor(t, dtype=torch.float32, device=device) for s, t in targets.items()}
    optimizer = _optimizer(network, schedule)
    per_epoch = max(1, -(-max(len(x) for x in X.values()) // schedule.batch_size))
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=schedule.learning_rate,
        total_steps=schedule.n_steps + 1,
        pct_start=schedule.warmup,
        final_div_factor=100,
    )
    stream = islice(
        _batches({s: len(x) for s, x in X.items()}, schedule.batch_size, rng, target, device),
        schedule.n_steps,
    )

    def loss(batch: Batch) -> Tensor:
        return total_loss(
            network,
            {s: X[s][rows] for s, rows in batch.rows.items()},
            torch.cat([y[s][rows] for s, rows in batch.rows.items()]),
            batch.pair,
            objective,
        )

    with seeded(rng, device):
        done = train(
            network,
            loss,
            lambda epoch: islice(stream, per_epoch),
            optimizer,
            max_epochs=-(-schedule.n_steps // per_epoch),
            scheduler=scheduler,
            verbose=schedule.verbose,
        )
    network.to("cpu")
    return done


def _optimizer(network: nn.Module, schedule: Schedule) -> torch.optim.Optimizer:
    """AdamW without decay of biases (and layer norms), gradients clipped before each step."""
    trained = {name: p for name, p in network.named_parameters() if p.requires_grad}

    def is_free(name: str, parameter: Tensor) -> bool:
        return name.endswith("bias") or (parameter.ndim == 1 and not schedule.decay_norms)

    free = [p for name, p in trained.items() if is_free(name, p)]
    decayed = [p for name, p in trained.items() if not is_free(name, p)]
    groups = [
        {"params": decayed, "weight_decay": schedule.weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=schedule.learning_rate, fused=True)

    def clip(*_: object) -> None:
        nn.utils.clip_grad_norm_(trained.values(), schedule.clip_norm)

    optimizer.register_step_pre_hook(clip)
    return optimizer


def _batches(
    n_rows: dict[int, int],
    batch_size: int,
    rng: np.random.Generator,
    target: int | None,
    device: torch.device,
) -> Iterator[Batch]:
    """Endless batches with as many rows of each subject, whatever their numbers are."""
    streams = {s: _row_stream(n, min(n, batch_size), rng) for s, n in n_rows.items()}
    sources = [s for s in n_rows if s != target]
    step = 0
    while True:
        pair, members = _members(list(n_rows), sources, target, step, rng)
        rows = {s: as_tensor(next(streams[s]), device=device) for s in members}
        yield Batch(rows, pair)
        step += 1


def _members(
    subjects: list[int],
    sources: Sequence[int],
    target: int | None,
    step: int,
    rng: np.random.Generator,
) -> tuple[tuple[int, int], list[int]]:
    """The cycle's pair, and which subjects are in the batch."""
    if target is not None:
        source = sources[step % len(sources)] if sources else target
        return (source, target), list(dict.fromkeys([target, source]))
    if len(subjects) == 1:
        return (subjects[0], subjects[0]), subjects
    first, second = rng.choice(len(subjects), size=2, replace=False)
    return (subjects[first], subjects[second]), subjects


def _row_stream(n_rows: int, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Rows without replacement until too few are left for a batch, then anew."""
    while True:
        order = rng.permutation(n_rows)
        for start in range(0, n_rows - size + 1, size):
            yield order[start : start + size]
