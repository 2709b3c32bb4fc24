"""Truncation error against its definition; the search against every threshold there is."""

import numpy as np
import pytest
import torch
from torch import nn

from neuroml.dendrites.layers import cett, cett_sparsity
from neuroml.exceptions import DataError


@pytest.fixture
def block():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 80), nn.ReLU(), nn.Linear(80, 4))
    x = torch.randn(100, 6)
    return model, x, model(x).detach()


def by_definition(activations, weight, threshold):
    errors = []
    for a in activations:
        outputs = [float(a[i]) * weight[:, i] for i in range(len(a))]
        small = [n for n in outputs if torch.linalg.vector_norm(n) <= threshold]
        whole = torch.linalg.vector_norm(sum(outputs))
        error = torch.linalg.vector_norm(sum(small)) if small else torch.tensor(0.0)
        errors.append(float(error / whole))
    return np.mean(errors)


@pytest.mark.parametrize("threshold", [0.0, 0.01, 0.05, 0.2, 10.0])
def test_the_error_is_its_definition(block, threshold):
    model, x, _ = block
    activations, weight = model[:2](x).detach()[:20], model[2].weight.detach()
    found = cett(activations, weight, threshold)
    assert found == pytest.approx(by_definition(activations, weight, threshold), abs=1e-6)


def test_leaving_out_everything_or_only_zeros(block):
    model, x, _ = block
    activations = model[:2](x).detach()
    assert cett(activations, model[2].weight, 1e9) == pytest.approx(1)
    assert cett(activations, model[2].weight, 0.0) == 0
    assert cett(torch.zeros(3, 80), model[2].weight, 1.0) == 0


@pytest.mark.parametrize("tolerance", [0.01, 0.1, 1.0])
def test_one_layer_reaches_what_the_best_of_all_thresholds_reaches(block, tolerance):
    model, x, y = block

    def metric():
        return 1 + float((model(x) - y).square().mean())

    found = cett_sparsity([model[2]], metric, tolerance=tolerance)
    assert found.dense_metric == 1 and found.metric <= 1 + tolerance
    weight = model[2].weight.detach()
    norms = model[:2](x).detach() * torch.linalg.vector_norm(weight, dim=0)
    best = 0.0
    for threshold in np.linspace(0, float(norms.max()), 2000):
        kept = torch.where(norms <= threshold, 0.0, model[:2](x).detach())
        if 1 + float((model[2](kept) - y).square().mean().detach()) <= 1 + tolerance:
            best = max(best, float((norms <= threshold).double().mean()))
    assert found.sparsity == pytest.approx(best, abs=0.01)


def test_zeros_of_relu_are_always_left_out(block):
    model, x, y = block
    found = cett_sparsity([model[2]], lambda: float((model(x) - y).square().mean()), tolerance=0.0)
    zeros = float((model[:2](x) == 0).double().mean())
    assert found.metric == found.dense_metric == 0 and found.sparsity >= zeros


def test_a_metric_that_never_minds_leaves_out_everything(block):
    model, x, _ = block

    def metric():
        model(x)
        return 1.0

    found = cett_sparsity([model[2]], metric)
    assert found.sparsity == 1.0 and found.cett == 1.0


def test_layers_share_their_error_and_are_truncated_together():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(6, 50),
        nn.GELU(),
        nn.Linear(50, 20),
        nn.Linear(20, 60),
        nn.ReLU(),
        nn.Linear(60, 3),
    )
    x = torch.randn(200, 6)
    y = model(x).detach()
    layers = [model[2], model[5]]
    before = len(model[2]._forward_pre_hooks)
    found = cett_sparsity(
        layers, lambda: 1 + float((model(x) - y).square().mean() / y.var()), tolerance=0.02
    )
    assert len(model[2]._forward_pre_hooks) == before and torch.equal(model(x), y)
    assert found.layer_sparsity.shape == (2,) and 0.2 < found.sparsity < 1
    inputs = [model[:2](x).detach(), model[:5](x).detach()]
    for a, layer, threshold in zip(inputs, layers, found.thresholds, strict=True):
        assert cett(a, layer.weight.detach(), threshold) == pytest.approx(found.cett, abs=0.01)


def test_bad_input(block):
    model, x, _ = block
    with pytest.raises(DataError, match="tolerance is not a probability"):
        cett_sparsity([model[2]], lambda: 1.0, tolerance=2.0)
    with pytest.raises(DataError, match="layers not run: \\[0\\]"):
        cett_sparsity([model[2]], lambda: 1.0)
    with pytest.raises(DataError, match="metric nan"):
        cett_sparsity([model[2]], lambda: float(model(x).sum() * float("nan")))
