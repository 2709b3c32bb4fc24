"""Training: losses written out in NumPy, one step by hand, what the loss reaches, batches."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from neuroml.decoding._mindbridge_network import Architecture, CrossSubjectNetwork
from neuroml.decoding._mindbridge_training import (
    Batch,
    Objective,
    Schedule,
    _batches,
    _optimizer,
    cosine_loss,
    fit_network,
    soft_clip_loss,
    total_loss,
)


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize("temperature", [0.005, 0.1, 1.0])
def test_soft_clip_is_the_mean_of_both_directions(temperature):
    rng = np.random.default_rng(0)
    p, t = rng.standard_normal((2, 7, 5))
    labels = softmax(unit(t) @ unit(t).T / temperature, axis=1)
    logits = unit(p) @ unit(t).T / temperature
    both = [-(labels * log_softmax(one, axis=1)).sum(axis=1).mean() for one in (logits, logits.T)]
    found = soft_clip_loss(torch.tensor(p), torch.tensor(t), temperature)
    assert found.item() == pytest.approx(np.mean(both), rel=1e-12)


def test_soft_clip_is_smallest_at_the_targets():
    rng = np.random.default_rng(1)
    t = torch.tensor(rng.standard_normal((6, 8)))
    p = t.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(soft_clip_loss(p, t, 0.1), p)
    assert gradient.abs().max() < 1e-12


@pytest.mark.parametrize("n_targets", [3, 512])
def test_squared_error_of_unit_vectors_is_the_cosine_loss_rescaled(n_targets):
    rng = np.random.default_rng(2)
    p, t = rng.standard_normal((2, 9, n_targets))
    squared = np.mean((unit(p) - unit(t)) ** 2)
    found = cosine_loss(torch.tensor(p), torch.tensor(t)).item()
    assert squared == pytest.approx(2 * found / n_targets, rel=1e-12)


@pytest.mark.parametrize("loss", [cosine_loss, lambda p, t: soft_clip_loss(p, t, 0.2)])
def test_losses_ignore_scale_and_their_gradients_are_right(loss):
    rng = np.random.default_rng(3)
    p, t = (torch.tensor(x, requires_grad=True) for x in rng.standard_normal((2, 4, 3)))
    assert loss(5 * p, 0.1 * t).item() == pytest.approx(loss(p, t).item(), rel=1e-12)
    assert torch.autograd.gradcheck(lambda x: loss(x, t.detach()), (p,))


def small(n_inputs=(7, 9), **changes):
    shape = {"hidden": 4, "n_blocks": 2, "adapter_rank": 3, "dropout": 0.0, "block_dropout": 0.0}
    torch.manual_seed(0)
    architecture = Architecture(**(shape | {"linear_builder": True} | changes))
    return CrossSubjectNetwork(list(n_inputs), [False] * len(n_inputs), [5, 3], architecture)


def objective(**changes):
    weights = {"clip": 1.0, "cosine": 1.0, "reconstruction": 1.0, "cycle": 1.0}
    return Objective(
        **(weights | changes), cosine_scale=(1.0, 2.0), temperature=0.1, noisy_cycle=False
    )


@pytest.mark.parametrize("pair", [(0, 1), (1, 0), (1, 1)])
def test_total_loss_is_the_sum_written_out(pair):
    network = small()
    x = {0: torch.randn(6, 7), 1: torch.randn(2, 9)}
    y = torch.randn(8, 8)
    e = {s: network.embedders[s](part) for s, part in x.items()}
    image, text = network.decode(torch.cat([e[0], e[1]]))
    expected = soft_clip_loss(image, y[:, :5], 0.1) + soft_clip_loss(text, y[:, 5:], 0.1)
    expected = expected + cosine_loss(image, y[:, :5]) + 2 * cosine_loss(text, y[:, 5:])
    missed = [(network.builders[s](e[s]) - x[s]) ** 2 for s in x]
    expected = expected + sum(part.sum() for part in missed) / sum(p.numel() for p in missed)
    a, b = pair
    if a != b:
        expected = expected + torch.mean(
            (network.embedders[b](network.builders[b](e[a])) - e[a]) ** 2
        )
    torch.testing.assert_close(total_loss(network, x, y, pair, objective()), expected)


def test_gradients_agree_with_differences():
    network = small().double()
    x = {0: torch.randn(5, 7, dtype=torch.double), 1: torch.randn(4, 9, dtype=torch.double)}
    y = torch.randn(9, 8, dtype=torch.double)
    weight = network.embedders[0].layers[1].weight
    loss = total_loss(network, x, y, (0, 1), objective())
    (gradient,) = torch.autograd.grad(loss, weight)
    for i, j in [(0, 0), (1, 3), (3, 6)]:
        values = []
        for step in (1e-6, -1e-6):
            with torch.no_grad():
                weight[i, j] += step
                values.append(total_loss(network, x, y, (0, 1), objective()).item())
                weight[i, j] -= step
        numeric = (values[0] - values[1]) / 2e-6
        assert gradient[i, j].item() == pytest.approx(numeric, rel=1e-4, abs=1e-9)


def test_the_cycle_reaches_both_subjects_and_not_the_translator():
    network = small()
    x = {0: torch.randn(5, 7), 1: torch.randn(4, 9)}
    only = objective(clip=0.0, cosine=0.0, reconstruction=0.0)
    total_loss(network, x, torch.zeros(9, 8), (0, 1), only).backward()
    touched = {name for name, p in network.named_parameters() if p.grad is not None}
    assert {name.split(".")[0] + name.split(".")[1] for name in touched} == {
        "embedders0",
        "embedders1",
        "builders1",
    }


def test_batches_are_balanced_by_row_index_however_many_rows_there_are():
    stream = _batches({0: 7, 1: 100, 2: 3}, 5, np.random.default_rng(0), None, "cpu")
    seen = {0: [], 1: [], 2: []}
    for _ in range(20):
        batch = next(stream)
        assert isinstance(batch, Batch)
        assert [len(rows) for rows in batch.rows.values()] == [5, 5, 3]
        assert len(set(batch.pair)) == 2
        for s, rows in batch.rows.items():
            assert len(set(rows.tolist())) == len(rows)
            seen[s] += rows.tolist()
    assert [sorted(set(rows)) for rows in seen.values()] == [
        list(range(7)),
        list(range(100)),
        list(range(3)),
    ]


def test_in_adaptation_the_target_meets_one_source_at_a_time():
    stream = _batches({0: 20, 1: 20, 2: 20}, 5, np.random.default_rng(0), 2, "cpu")
    batches = [next(stream) for _ in range(4)]
    assert [list(b.rows) for b in batches] == [[2, 0], [2, 1], [2, 0], [2, 1]]
    assert [b.pair for b in batches] == [(0, 2), (1, 2), (0, 2), (1, 2)]


@pytest.mark.parametrize("decay_norms", [True, False])
def test_what_is_decayed(decay_norms):
    network = small()
    schedule = Schedule(1, 5, 1e-3, 0.01, 0.1, decay_norms)
    decayed, free = _optimizer(network, schedule).param_groups
    norms = [p for n, p in network.named_parameters() if p.ndim == 1 and n.endswith("weight")]
    assert decayed["weight_decay"] == 0.01 and free["weight_decay"] == 0.0
    group = decayed if decay_norms else free
    assert norms and all(any(p is q for q in group["params"]) for p in norms)
    assert len(decayed["params"]) + len(free["params"]) == len(list(network.parameters()))


def test_training_lowers_the_loss_and_leaves_torch_alone():
    rng = np.random.default_rng(0)
    network = small(dropout=0.3)
    inputs = {0: rng.standard_normal((30, 7)), 1: rng.standard_normal((40, 9))}
    targets = {0: rng.standard_normal((30, 8)), 1: rng.standard_normal((40, 8))}
    before = torch.get_rng_state()
    schedule = Schedule(200, 10, 1e-2, 0.01, 0.1, decay_norms=False)
    done = fit_network(
        network, inputs, targets, objective(), schedule, rng, device=torch.device("cpu")
    )
    assert torch.equal(before, torch.get_rng_state())
    assert done.history[-1]["loss"] < 0.8 * done.history[0]["loss"]
    assert len(done.history) == 200 // 4
