"""Quantisation is exact, changes add up, gradients are those of the documented surrogate."""

import pytest
import torch

from neuroml.dendrites.layers import DeltaActivation
from neuroml.exceptions import DataError


@pytest.mark.parametrize("shape", [(), (6,), (2, 6)])
def test_values_are_multiples_of_the_step_no_further_than_half_of_one(shape):
    layer = DeltaActivation(shape, step=0.25).double()
    x = torch.randn(3, 40, 2, 6, dtype=torch.double)
    q = layer(x).detach()
    assert q.shape == x.shape and (q - x).abs().max() <= 0.125 + 1e-9
    torch.testing.assert_close((q / layer.step).round() * layer.step, q)


def test_changes_add_up_to_the_quantised_signal():
    layer = DeltaActivation(step=0.25).double()
    layer.log_step.data.fill_(torch.tensor(0.25).double().log())
    q = layer(torch.randn(3, 50, 4, dtype=torch.double)).detach()
    torch.testing.assert_close(DeltaActivation.changes(q).cumsum(dim=1), q, rtol=0, atol=1e-12)


def test_density_and_penalty_leave_out_the_first_frame():
    layer = DeltaActivation(step=1.0)
    layer(torch.tensor([[[5.0, 0.0], [5.2, 2.0], [5.1, 2.0]]]))
    assert layer.density == 0.25
    assert layer.penalty.item() == pytest.approx(0.5)


def test_gradients_are_those_of_the_surrogate():
    """At the point where it is taken: q = x + const - (step - step0) level."""
    layer = DeltaActivation((4,), step=0.3).double()
    x = torch.randn(2, 7, 4, dtype=torch.double, requires_grad=True)
    weight = torch.randn(2, 7, 4, dtype=torch.double)
    (layer(x) * weight).sum().backward()
    start = layer.log_step.detach().clone()
    level = (x.detach() / start.exp()).round()

    def surrogate(x, log_step):
        q = start.exp() * level + (x - x.detach()) - (log_step.exp() - start.exp()) * level
        return (q * weight).sum()

    log_step = start.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda s: surrogate(x.detach(), s), log_step)
    surrogate(x.detach(), log_step).backward()
    torch.testing.assert_close(x.grad, weight)
    torch.testing.assert_close(layer.log_step.grad, log_step.grad)


def test_the_penalty_enlarges_the_step_and_makes_changes_rarer():
    layer = DeltaActivation(step=0.1)
    x = torch.randn(4, 100, 3, generator=torch.Generator().manual_seed(0)).cumsum(dim=1) / 10
    layer(x)
    first = layer.density
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.5)
    for _ in range(50):
        optimizer.zero_grad()
        layer(x)
        layer.penalty.backward()
        optimizer.step()
    assert layer.step > 0.2 and layer.density < 0.7 * first


def test_a_linear_layer_driven_by_changes_gives_the_same():
    layer, linear = DeltaActivation(step=0.2), torch.nn.Linear(3, 5, bias=False)
    q = layer(torch.randn(2, 30, 3)).detach()
    torch.testing.assert_close(
        linear(DeltaActivation.changes(q)).cumsum(dim=1), linear(q), rtol=1e-4, atol=1e-4
    )


def test_bad_input():
    for step in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(DataError, match="the step is not positive"):
            DeltaActivation(step=step)
    with pytest.raises(DataError, match="no changes over time.*found \\(2, 1, 3\\)"):
        DeltaActivation()(torch.zeros(2, 1, 3))
