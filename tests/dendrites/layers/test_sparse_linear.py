"""The mask is exact and survives every optimizer, copying and saving."""

import copy

import pytest
import torch
from torch import nn

from neuroml.dendrites.layers import SparseLinear
from neuroml.exceptions import DataError

OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1),
    "adam": lambda p: torch.optim.Adam(p, lr=0.1),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.1),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.1),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.1),
}


@pytest.mark.parametrize(
    ("width", "density", "kept"), [(100, 0.2, 20), (7, 0.5, 4), (50, 0.001, 1)]
)
def test_every_row_keeps_the_same_number_of_weights(width, density, kept):
    layer = SparseLinear(width, 30, density)
    assert torch.all((layer.weight != 0).sum(dim=1) == kept)


def test_masks_differ_between_rows_and_are_uniform():
    mask = SparseLinear(40, 4000, 0.25, generator=torch.Generator().manual_seed(0)).weight != 0
    # 4,000 rows: a share of 1/4 has a standard error of 0.0068.
    assert (mask.float().mean(dim=0) - 0.25).abs().max() < 5 * 0.0069


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_masks_survive_any_optimizer(optimizer):
    layer = SparseLinear(20, 8, 0.3)
    before = layer.weight.detach().clone()
    step = OPTIMIZERS[optimizer](layer.parameters())
    for _ in range(5):
        step.zero_grad()
        layer(torch.randn(16, 20)).square().sum().backward()
        step.step()
    assert torch.equal(before != 0, layer.weight != 0)
    assert not torch.equal(before, layer.weight)


def test_it_equals_a_linear_layer_with_those_weights():
    layer, x = SparseLinear(9, 5, 0.4), torch.randn(7, 9)
    torch.testing.assert_close(layer(x), x @ layer.weight.T + layer.bias)


def test_dense_is_an_ordinary_linear_layer():
    layer = SparseLinear(9, 5, 1.0)
    assert dict(layer.named_parameters()).keys() == dict(nn.Linear(9, 5).named_parameters()).keys()


@pytest.mark.parametrize("density", [0.05, 0.5, 1.0])
def test_biases_start_as_those_of_a_dense_layer(density):
    """Published networks keep nn.Linear's: at 256 inputs the bound is 1/16, whatever is sparse."""
    generator = torch.Generator().manual_seed(0)
    layer = SparseLinear(256, 5000, density, input_density=0.05, generator=generator)
    assert 0.0620 < layer.bias.abs().max() <= 0.0625


@pytest.mark.parametrize("density", [0.1, 0.5, 1.0])
def test_scale_of_the_output_does_not_depend_on_the_densities(density):
    generator = torch.Generator().manual_seed(0)
    layer = SparseLinear(400, 2000, density, bias=False, input_density=0.1, generator=generator)
    x = (torch.rand(200, 400, generator=generator) < 0.1).float()
    # Var = (active inputs) x (density) x h^2 / 3 with h^2 = 1 / (0.1 density 400): one third.
    assert layer(x).var().item() == pytest.approx(1 / 3, rel=0.05)


def test_the_generator_decides_and_the_state_carries_the_mask():
    first, second = (SparseLinear(9, 5, generator=torch.Generator().manual_seed(3)) for _ in "ab")
    assert torch.equal(first.weight, second.weight)
    third = SparseLinear(9, 5)
    third.load_state_dict(first.state_dict())
    assert torch.equal(first.weight, third.weight)
    assert torch.equal(copy.deepcopy(first).weight, first.weight)


def test_gradcheck():
    layer = SparseLinear(6, 4, 0.5).double()
    x = torch.randn(3, 6, dtype=torch.double, requires_grad=True)
    names = [name for name, _ in layer.named_parameters()]
    values = [p.detach().clone().requires_grad_() for p in layer.parameters()]

    def call(x, *values):
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(call, (x, *values))


def test_bad_input():
    with pytest.raises(DataError, match="density leaves nothing"):
        SparseLinear(4, 4, 0.0)
    with pytest.raises(DataError, match="density is not a probability"):
        SparseLinear(4, 4, 1.5)
    with pytest.raises(DataError, match="density is not a probability.*nan"):
        SparseLinear(4, 4, float("nan"))
    with pytest.raises(DataError, match="in_features is too small"):
        SparseLinear(0, 4)
