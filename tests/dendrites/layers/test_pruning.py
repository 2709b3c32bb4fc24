"""Pruned recurrent networks stay pruned and use the pruned weights."""

import pytest
import torch
from torch import nn

from neuroml.dendrites.layers import prune_rnn_
from neuroml.exceptions import DataError

KINDS = {
    "rnn": lambda: nn.RNN(4, 6),
    "gru": lambda: nn.GRU(4, 6, num_layers=2),
    "lstm": lambda: nn.LSTM(4, 6, bidirectional=True),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("which", ["ih", "hh", "both"])
def test_the_smallest_weights_are_zero(kind, which):
    rnn = KINDS[kind]()
    before = {name: p.detach().clone() for name, p in rnn.named_parameters()}
    assert prune_rnn_(rnn, 0.75, which) is rnn
    for name, weight in before.items():
        now = getattr(rnn, name).detach()
        if name.startswith("weight") and (which == "both" or f"_{which}_" in name):
            kept = now != 0
            assert int(kept.sum()) == round(weight.numel() / 4)
            assert torch.equal(now[kept], weight[kept])
            assert weight[kept].abs().min() >= weight[~kept].abs().max()
        else:
            assert torch.equal(now, weight)


@pytest.mark.parametrize("kind", KINDS)
def test_the_network_computes_with_the_pruned_weights_and_training_keeps_them(kind):
    rnn = prune_rnn_(KINDS[kind](), 0.5)
    optimizer = torch.optim.AdamW(rnn.parameters(), lr=0.1)
    zero = (rnn.weight_hh_l0 == 0).clone()
    x = torch.randn(5, 3, 4)
    for _ in range(3):
        optimizer.zero_grad()
        rnn(x)[0].square().sum().backward()
        optimizer.step()
    assert torch.equal(rnn.weight_hh_l0 == 0, zero)
    twin = KINDS[kind]()
    with torch.no_grad():
        for name, parameter in twin.named_parameters():
            parameter.copy_(getattr(rnn, name))
    torch.testing.assert_close(twin(x)[0], rnn(x)[0])


def test_pruning_again_prunes_further():
    rnn = prune_rnn_(nn.GRU(4, 6), 0.5)
    first = rnn.weight_ih_l0 != 0
    second = prune_rnn_(rnn, 0.9).weight_ih_l0 != 0
    assert int(second.sum()) == 7 and torch.all(first[second])
    assert len(rnn.parametrizations["weight_ih_l0"]) == 1


def test_all_and_nothing():
    assert not prune_rnn_(nn.RNN(2, 3), 1.0).weight_hh_l0.any()
    assert prune_rnn_(nn.RNN(2, 3), 0.0).weight_hh_l0.all()


def test_bad_input():
    with pytest.raises(DataError, match="amount is not a probability"):
        prune_rnn_(nn.RNN(2, 3), 1.1)
    with pytest.raises(ValueError, match="which has no such option"):
        prune_rnn_(nn.RNN(2, 3), 0.5, "all")
    with pytest.raises(DataError, match="RNN, GRU or LSTM; found Linear"):
        prune_rnn_(nn.Linear(2, 3), 0.5)
