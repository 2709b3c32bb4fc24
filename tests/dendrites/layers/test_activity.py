"""Densities against plain counting; units that are dead now and units that always were."""

import numpy as np
import pytest
import torch
from torch import nn

from neuroml.dendrites.layers import ActivationMeter
from neuroml.exceptions import DataError


def feed(model, meter, batches):
    with meter:
        for batch in batches:
            model(batch)


def test_against_counting_everything_at_once():
    model = nn.Sequential(nn.Linear(5, 12), nn.ReLU(), nn.Linear(12, 7), nn.ReLU())
    x = torch.randn(53, 5)
    meter = ActivationMeter(model, ["1", "3"], threshold=0.1)
    feed(model, meter, x.split(10))
    first = torch.relu(model[0](x)).detach().numpy() > 0.1
    np.testing.assert_array_equal(meter.counts["1"], first.sum(axis=0))
    assert meter.counts["1"].dtype == np.int64
    assert meter.density("1") == pytest.approx(first.mean(), rel=1e-12)
    np.testing.assert_allclose(meter.unit_density("1"), first.mean(axis=0))
    np.testing.assert_array_equal(meter.dead("1"), ~first.any(axis=0))
    table = meter.table()
    assert table.index.tolist() == ["1", "3"] and table.n_samples.tolist() == [53, 53]


@pytest.mark.parametrize("size", [1, 3, 20])
def test_dead_within_the_latest_samples_whatever_the_batches(size):
    x = (torch.rand(20, 9, generator=torch.Generator().manual_seed(0)) < 0.15).float()
    model = nn.Sequential(nn.Identity())
    meter = ActivationMeter(model, ["0"])
    feed(model, meter, x.split(size))
    for within in range(1, 21):
        expected = ~x[20 - within :].bool().any(dim=0).numpy()
        np.testing.assert_array_equal(meter.dead("0", within), expected)
    np.testing.assert_array_equal(meter.dead("0"), meter.dead("0", 20))


def test_units_can_come_back():
    model = nn.Sequential(nn.Identity())
    meter = ActivationMeter(model, ["0"])
    feed(model, meter, [torch.zeros(5, 1), torch.ones(1, 1)])
    assert not meter.dead("0", 1).any()
    feed(model, meter, [torch.zeros(5, 1)])
    assert meter.dead("0", 5).all() and not meter.dead("0", 6).any()


def test_channels_of_a_convolution():
    model = nn.Sequential(nn.Conv2d(1, 3, 2), nn.ReLU())
    meter = ActivationMeter(model, ["1"], unit_dim=1)
    x = torch.randn(4, 1, 6, 6)
    feed(model, meter, [x])
    active = model(x).detach().numpy() > 0
    np.testing.assert_allclose(meter.unit_density("1"), active.mean(axis=(0, 2, 3)))


def test_hooks_are_gone_afterwards():
    model = nn.Sequential(nn.Identity())
    meter = ActivationMeter(model, ["0"])
    feed(model, meter, [torch.ones(2, 3)])
    model(torch.ones(2, 3))
    assert meter.n_samples["0"] == 2


def test_bad_input():
    model = nn.Sequential(nn.Identity())
    with pytest.raises(DataError, match="no such layers.*found \\['7'\\]"):
        ActivationMeter(model, ["7"])
    meter = ActivationMeter(model, ["0"])
    with pytest.raises(DataError, match="nothing was counted"):
        meter.density("0")
    with meter, pytest.raises(DataError, match="changed its number of units.*3; found 4"):
        model(torch.ones(2, 3))
        model(torch.ones(2, 4))
