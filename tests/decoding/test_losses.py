"""Losses against formulas written out in NumPy."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from neuroml.decoding._losses import cosine_loss, soft_clip_loss


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
