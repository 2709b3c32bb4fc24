"""Exactly k winners, boosting for either sign, duty cycles that are shares."""

import numpy as np
import pytest
import torch

from neuroml.dendrites.layers import KWinners, KWinners2d
from neuroml.exceptions import DataError


def test_against_sorting_one_row_at_a_time():
    x = torch.randn(20, 30, generator=torch.Generator().manual_seed(0))
    y = KWinners(30, 4)(x).numpy()
    for row, kept in zip(x.numpy(), y, strict=True):
        expected = np.where(row >= np.sort(row)[-4], row, 0)
        np.testing.assert_array_equal(kept, expected)


@pytest.mark.parametrize("boost", [0.0, 2.0])
def test_exactly_k_win_under_ties(boost):
    layer = KWinners(50, 7, boost=boost)
    for x in (torch.ones(9, 50), -torch.ones(9, 50), torch.randint(1, 3, (9, 50)).float()):
        assert torch.all((layer(x) != 0).sum(dim=1) == 7)


def test_all_zeros_still_have_k_winners_in_the_duty_cycle():
    layer = KWinners(50, 7)
    layer(torch.zeros(9, 50))
    assert layer.duty_cycle.sum().item() == pytest.approx(7)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_boosting_favors_the_rare_unit_for_either_sign(sign):
    layer = KWinners(2, 1, boost=1.5)
    layer.duty_cycle.copy_(torch.tensor([0.9, 0.1]))
    layer.eval()
    y = layer(sign * torch.tensor([[1.0, 1.0]]))
    assert y.tolist() == [[0.0, sign]]


def test_boosting_for_positive_values_is_the_published_rule():
    layer = KWinners(40, 5, boost=1.5).eval()
    layer.duty_cycle.uniform_(generator=torch.Generator().manual_seed(1))
    x = torch.rand(30, 40, generator=torch.Generator().manual_seed(2)) + 0.01
    score = x * torch.exp(1.5 * (5 / 40 - layer.duty_cycle))
    winners = score >= score.topk(5).values.min(dim=1, keepdim=True).values
    torch.testing.assert_close(layer(x), torch.where(winners, x, 0.0), rtol=0, atol=0)


def test_boosting_evens_out_the_duty_cycles():
    generator = torch.Generator().manual_seed(0)
    bias = torch.linspace(0, 2, 20)
    spread = {}
    for boost in (0.0, 5.0):
        layer = KWinners(20, 4, boost=boost, period=200)
        for _ in range(200):
            layer(torch.randn(10, 20, generator=generator) + bias)
        spread[boost] = layer.duty_cycle.std().item()
    assert spread[5.0] < 0.5 * spread[0.0]


@pytest.mark.parametrize("sizes", [[1] * 30, [3, 200, 1, 64], [5000, 7]])
def test_duty_cycles_are_shares_whatever_the_batches(sizes):
    layer = KWinners(12, 3, period=50)
    generator = torch.Generator().manual_seed(0)
    for size in sizes:
        layer(torch.randn(size, 12, generator=generator))
        assert 0 <= layer.duty_cycle.min() and layer.duty_cycle.max() <= 1
        assert layer.duty_cycle.sum().item() == pytest.approx(3, rel=1e-5)
    assert int(layer.n_seen) == sum(sizes)


def test_duty_cycle_is_the_plain_mean_within_the_first_period():
    layer = KWinners(6, 2, period=1000)
    x = torch.randn(90, 6, generator=torch.Generator().manual_seed(0))
    active = torch.cat([layer(part) for part in x.split(17)]) != 0
    torch.testing.assert_close(layer.duty_cycle, active.float().mean(dim=0))


def test_everything_is_in_the_state_and_evaluation_changes_nothing():
    layer, other = KWinners(6, 2, boost=1.0), KWinners(6, 2)
    layer(torch.randn(10, 6))
    layer.boost *= 0.85
    other.load_state_dict(layer.state_dict())
    for name in ("boost", "duty_cycle", "n_seen"):
        assert torch.equal(getattr(layer, name), getattr(other, name))
    before = layer.duty_cycle.clone()
    layer.eval()(torch.randn(10, 6))
    assert torch.equal(before, layer.duty_cycle)


def test_more_winners_in_evaluation():
    layer = KWinners(10, 2, k_evaluation=3)
    assert int((layer(torch.randn(1, 10)) != 0).sum()) == 2
    assert int((layer.eval()(torch.randn(1, 10)) != 0).sum()) == 3


def test_gradcheck():
    x = torch.randn(4, 3, 9, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(KWinners(9, 3).double(), x)


def test_bad_input():
    with pytest.raises(DataError, match="more winners than units.*k <= n_units = 5; found 6"):
        KWinners(5, 6)
    with pytest.raises(DataError, match="k must be a count.*found 0.5"):
        KWinners(5, 0.5)
    with pytest.raises(DataError, match="boost is negative"):
        KWinners(5, 2, boost=-1)
    with pytest.raises(DataError, match=r"x has the wrong width.*5\); found \(2, 6\)"):
        KWinners(5, 2)(torch.zeros(2, 6))


@pytest.mark.parametrize("local", [False, True])
def test_winners_of_images_are_those_of_a_plain_sort(local):
    x = torch.randn(3, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    layer = KWinners2d(4, 0.25, local=local)
    found = layer(x)
    ranked = x.permute(0, 2, 3, 1) if local else x.flatten(1)
    least = ranked.sort(dim=-1, descending=True).values[..., ranked.shape[-1] // 4 - 1]
    expected = x * (x >= (least[:, None] if local else least[:, None, None, None]))
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    share = (expected != 0).float().mean(dim=(0, 2, 3))
    torch.testing.assert_close(layer.duty_cycle, share)
    assert int(layer.n_seen) == 3


def test_boosting_helps_channels_that_win_seldom():
    x = torch.rand(200, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    x[:, 0] += 0.2
    shares = []
    for boost in (0.0, 3.0):
        layer = KWinners2d(3, 0.2, boost=boost, period=20)
        for part in x.split(10):
            layer(part)
        shares.append(layer.duty_cycle)
    assert shares[1].max() - shares[1].min() < shares[0].max() - shares[0].min()


def test_gradients_pass_winners_of_images_only():
    x = torch.randn(2, 3, 4, 4, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(KWinners2d(3, 0.3).double(), x)
    with pytest.raises(DataError, match="no batch of images"):
        KWinners2d(3, 0.3)(torch.zeros(2, 4, 4, 4))
    with pytest.raises(DataError, match="share"):
        KWinners2d(3, 0.0)
