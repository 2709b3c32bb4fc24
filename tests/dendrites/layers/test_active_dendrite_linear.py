"""Active dendrites against loops over units and segments; shared contexts; gradients."""

import pytest
import torch

from neuroml.dendrites.layers import ActiveDendriteConv2d, ActiveDendriteLinear
from neuroml.exceptions import DataError

VARIANTS = [(s, a) for s in ("absmax", "max") for a in ("gate", "bias")]


def make(select="absmax", apply="gate", seed=0, **more):
    generator = torch.Generator().manual_seed(seed)
    return ActiveDendriteLinear(
        5, 4, 3, 6, select=select, apply=apply, generator=generator, **more
    ).double()


def by_loops(layer, x, contexts, select, apply):
    result = torch.empty(len(x), 4, dtype=torch.double)
    for i, context in enumerate(contexts):
        drive = layer.feedforward(x[i])
        for unit in range(4):
            responses = [float(segment @ context) for segment in layer.segments[unit]]
            strongest = max(responses, key=abs if select == "absmax" else None)
            if apply == "gate":
                result[i, unit] = drive[unit] * torch.sigmoid(
                    torch.tensor(strongest, dtype=torch.double)
                )
            else:
                result[i, unit] = drive[unit] + strongest
    return result


@pytest.mark.parametrize(("select", "apply"), VARIANTS)
def test_against_loops(select, apply):
    layer = make(select, apply)
    x, contexts = torch.randn(7, 5).double(), torch.randn(7, 6).double()
    with torch.no_grad():
        torch.testing.assert_close(
            layer(x, contexts), by_loops(layer, x, contexts, select, apply), rtol=1e-12, atol=1e-12
        )
    assert layer.last_winners_.shape == (7, 4)


@pytest.mark.parametrize(("select", "apply"), VARIANTS)
def test_shared_contexts_take_the_short_way_to_the_same_result_and_gradients(select, apply):
    x, context = torch.randn(7, 5).double(), torch.randn(6).double()
    found = []
    for shared in (context, context.expand(7, 6), context.repeat(7, 1)):
        layer = make(select, apply)
        y = layer(x, shared)
        y.square().sum().backward()
        assert layer.last_winners_.shape == (4,)
        found.append([y, *(p.grad for p in layer.parameters())])
    layer = make(select, apply)
    y = layer(x, context.repeat(7, 1).requires_grad_())
    y.square().sum().backward()
    assert layer.last_winners_.shape == (7, 4)
    for other in found:
        torch.testing.assert_close(other, [y, *(p.grad for p in layer.parameters())])


def test_every_row_of_a_context_that_learns_gets_its_own_gradient():
    layer, x = make(), torch.randn(3, 5).double()
    contexts = torch.ones(3, 6).double().requires_grad_()
    layer(x, contexts).sum().backward()
    alone = torch.ones(6).double().requires_grad_()
    layer(x[1:2], alone).sum().backward()
    torch.testing.assert_close(contexts.grad[1], alone.grad)


@pytest.mark.parametrize(("select", "apply"), VARIANTS)
@pytest.mark.parametrize("shared", [True, False])
def test_gradcheck(select, apply, shared):
    layer = make(select, apply, weight_density=0.5, segment_density=0.5)
    x = torch.randn(3, 5, dtype=torch.double, requires_grad=True)
    context = torch.randn(6) if shared else torch.randn(3, 6)
    context = context.double().requires_grad_()
    names = [name for name, _ in layer.named_parameters()]
    values = [p.detach().clone().requires_grad_() for p in layer.parameters()]

    def call(x, context, *values):
        state = dict(zip(names, values, strict=True))
        return torch.func.functional_call(layer, state, (x, context))

    assert torch.autograd.gradcheck(call, (x, context, *values))


def test_only_the_winning_segments_learn():
    layer = make()
    layer(torch.randn(1, 5).double(), torch.randn(6).double()).sum().backward()
    learning = layer.segments.grad.abs().sum(dim=2) > 0
    expected = torch.nn.functional.one_hot(layer.last_winners_, 3).bool()
    assert torch.equal(learning, expected)


def test_without_context_every_gate_is_half_open_and_every_bias_zero():
    x = torch.randn(7, 5).double()
    layer = make()
    assert torch.equal(layer(x, torch.zeros(6).double()), 0.5 * layer.feedforward(x))
    layer = make(apply="bias")
    assert torch.equal(layer(x, torch.zeros(6).double()), layer.feedforward(x))


def test_untrained_gates_are_balanced_with_absmax_and_open_with_max():
    context = (torch.rand(400, generator=torch.Generator().manual_seed(0)) < 0.1).float()
    gates = {}
    for select in ("absmax", "max"):
        generator = torch.Generator().manual_seed(1)
        layer = ActiveDendriteLinear(
            5, 2000, 10, 400, select=select, apply="bias", generator=generator
        )
        drive = layer(torch.zeros(1, 5), context) - layer.feedforward.bias
        gates[select] = torch.sigmoid(drive)
    # 2,000 gates with a standard deviation near 0.25 have a standard error of 0.006.
    assert abs(gates["absmax"].mean().item() - 0.5) < 0.03
    assert gates["max"].mean() > 0.65 and (gates["max"] < 0.5).float().mean() < 0.01


def test_densities():
    layer = make(weight_density=0.4, segment_density=0.5)
    assert torch.all((layer.feedforward.weight != 0).sum(dim=1) == 2)
    assert torch.all((layer.segments != 0).sum(dim=2) == 3)


def test_bad_input():
    layer, x = make(), torch.zeros(2, 5).double()
    with pytest.raises(DataError, match=r"context has the wrong width.*6\); found \(2, 7\)"):
        layer(x, torch.zeros(2, 7).double())
    with pytest.raises(DataError, match="x has the wrong width"):
        layer(torch.zeros(2, 6).double(), torch.zeros(6).double())
    with pytest.raises(DataError, match="not one context per sample"):
        layer(x, torch.zeros(3, 6).double())
    with pytest.raises(ValueError, match="select must be 'absmax' or 'max'"):
        make(select="min")
    with pytest.raises(DataError, match="n_segments is too small"):
        ActiveDendriteLinear(5, 4, 0, 6)


@pytest.mark.parametrize(("select", "apply"), VARIANTS)
def test_channels_of_images_against_a_linear_layer_at_each_position(select, apply):
    """A convolution of one pixel is a linear layer at each position, with the same segments."""
    layer = make(select, apply)
    images = ActiveDendriteConv2d(5, 4, 1, 3, 6, select=select, apply=apply).double()
    images.load_state_dict(
        layer.state_dict() | {"feedforward.weight": layer.feedforward.weight[..., None, None]}
    )
    x, contexts = torch.randn(7, 5, 3, 2).double(), torch.randn(7, 6).double()
    found = images(x, contexts)
    for i in range(3):
        for j in range(2):
            torch.testing.assert_close(found[:, :, i, j], layer(x[:, :, i, j], contexts))
    torch.testing.assert_close(images(x, contexts[0])[0], found[0])
    assert images.last_winners_.shape == (4,)


def test_images_of_another_shape_are_refused():
    layer = ActiveDendriteConv2d(5, 4, 3, 3, 6)
    with pytest.raises(DataError, match="no batch of images"):
        layer(torch.zeros(2, 4, 8, 8), torch.zeros(6))
    with pytest.raises(DataError, match="not one context per sample"):
        layer(torch.zeros(2, 5, 8, 8), torch.zeros(3, 6))
    with pytest.raises(DataError, match="n_segments is too small"):
        ActiveDendriteConv2d(5, 4, 3, 0, 6)
