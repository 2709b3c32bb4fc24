"""Quadratic neurons start linear, compute their formula, and are grouped by type."""

import pytest
import torch
from torch import nn

from neuroml.dendrites.layers import QuadraticLinear, relinear_param_groups
from neuroml.exceptions import DataError


def test_it_starts_as_a_linear_layer():
    layer, x = QuadraticLinear(5, 3), torch.randn(7, 5)
    assert torch.equal(layer(x), nn.functional.linear(x, layer.linear.weight, layer.linear.bias))


def test_the_formula_unit_by_unit():
    layer, x = QuadraticLinear(5, 3).double(), torch.randn(5).double()
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    for j, y in enumerate(layer(x)):
        r, g, b = (part.weight[j] for part in (layer.linear, layer.gate, layer.power))
        expected = (r @ x + layer.linear.bias[j]) * (g @ x + layer.gate.bias[j])
        torch.testing.assert_close(y, expected + b @ x**2 + layer.power.bias[j])


def test_gradcheck():
    layer = QuadraticLinear(4, 3).double()
    x = torch.randn(2, 4, dtype=torch.double, requires_grad=True)
    names = [name for name, _ in layer.named_parameters()]
    values = [torch.randn_like(p).requires_grad_() for p in layer.parameters()]

    def call(x, *values):
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(call, (x, *values))


def test_groups_hold_every_parameter_once_whatever_it_is_called():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.g = nn.Linear(4, 4)
            self.first = QuadraticLinear(4, 4)
            self.again = self.first

    model = Model()
    linear, quadratic = relinear_param_groups(model, 0.1, 1e-5)
    assert (linear["lr"], quadratic["lr"]) == (0.1, 1e-5)
    expected = [*model.first.gate.parameters(), *model.first.power.parameters()]
    assert {id(p) for p in quadratic["params"]} == {id(p) for p in expected}
    together = [id(p) for p in linear["params"] + quadratic["params"]]
    assert sorted(together) == sorted(id(p) for p in model.parameters())


def test_quadratic_neurons_learn_what_linear_ones_cannot():
    """A circle: the quadratic part of one neuron is enough."""
    x = torch.randn(400, 2, generator=torch.Generator().manual_seed(0))
    y = (x.square().sum(dim=1) < 1.4).float()
    accuracy = {}
    for kind in (nn.Linear, QuadraticLinear):
        torch.manual_seed(0)
        layer = kind(2, 1)
        optimizer = torch.optim.Adam(
            relinear_param_groups(layer, 0.05, 0.05)[kind is QuadraticLinear :]
        )
        for _ in range(300):
            optimizer.zero_grad()
            nn.functional.binary_cross_entropy_with_logits(layer(x)[:, 0], y).backward()
            optimizer.step()
        accuracy[kind] = ((layer(x)[:, 0] > 0) == y.bool()).float().mean().item()
    assert accuracy[QuadraticLinear] > 0.95 and accuracy[nn.Linear] < 0.7


def test_bad_input():
    with pytest.raises(DataError, match="x has the wrong width"):
        QuadraticLinear(4, 3)(torch.zeros(2, 5))
    with pytest.raises(DataError, match="out_features is too small"):
        QuadraticLinear(4, 0)
