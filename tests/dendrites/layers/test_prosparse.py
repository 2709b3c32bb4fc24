"""The threshold, the schedule and the penalty of ProSparse."""

import numpy as np
import pytest
import torch
from torch import nn

from neuroml.dendrites.layers import ActivationL1, FATReLU, SineStageSchedule
from neuroml.exceptions import DataError


def test_without_a_threshold_it_is_relu():
    x = torch.randn(50)
    assert torch.equal(FATReLU()(x), torch.relu(x))


def test_values_at_and_around_the_threshold():
    x = torch.tensor([0.49999, 0.5, 0.50001])
    assert torch.equal(FATReLU(0.5)(x), torch.tensor([0.0, 0.5, 0.50001]))


def test_gradcheck():
    x = torch.linspace(-2, 2, 9, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(FATReLU(0.3), x)


def test_the_schedule_meets_its_peaks_and_rises_smoothly_between():
    schedule = SineStageSchedule([0.1, 0.5, 2.0], [100, 300, 400])
    values = np.array([schedule(t) for t in range(500)])
    np.testing.assert_allclose(
        values[[0, 100, 200, 300, 350, 400, 499]], [0.1, 0.1, 0.3, 0.5, 1.25, 2, 2]
    )
    assert np.all(np.diff(values) >= 0)
    # The steepest slope of half a sine wave is pi / 2 times the mean one.
    assert np.diff(values).max() <= np.pi / 2 * 1.5 / 100 * 1.001
    assert np.diff(values)[[100, 299, 300, 399]].max() < 0.0005


def test_the_penalty_is_the_l1_norm_with_its_gradient():
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 5), FATReLU(0.1))
    x = torch.randn(7, 4)
    with ActivationL1([model[1], model[3]]) as norm:
        model(x)
    first = torch.relu(model[0](x))
    expected = first.sum(dim=1).mean() + model[3](model[2](first)).sum(dim=1).mean()
    torch.testing.assert_close(norm.value, expected)
    norm.value.backward()
    gradient = model[0].weight.grad.clone()
    model.zero_grad()
    expected.backward()
    torch.testing.assert_close(gradient, model[0].weight.grad)
    model(x)
    torch.testing.assert_close(norm.value, expected)


def test_bad_input():
    for threshold in (-0.1, float("nan")):
        with pytest.raises(DataError, match="threshold is not valid"):
            FATReLU(threshold)
    for peaks, steps in (([1.0], [1, 2]), ([1, 2], [5, 5]), ([-1.0], [1]), ([float("nan")], [3])):
        with pytest.raises(DataError, match="no schedule follows"):
            SineStageSchedule(peaks, steps)
    with pytest.raises(DataError, match="steps must be a count"):
        SineStageSchedule([1.0], [1.5])
