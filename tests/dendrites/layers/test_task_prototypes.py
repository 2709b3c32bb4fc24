"""Contexts that are inferred from samples: means, nearest, saved with their number."""

import pytest
import torch

from neuroml.dendrites.layers import TaskPrototypes
from neuroml.exceptions import DataError


def test_prototypes_are_means_whatever_the_batches():
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    whole, parts = TaskPrototypes(4), TaskPrototypes(4)
    whole.update(x, task=0)
    for part in x.split(7):
        parts.update(part, task=0)
    torch.testing.assert_close(whole.prototypes[0], x.mean(dim=0))
    torch.testing.assert_close(parts.prototypes, whole.prototypes)
    assert parts.counts.tolist() == [50]


def test_samples_take_the_nearest():
    contexts = TaskPrototypes(3)
    for task in range(4):
        contexts.update(torch.eye(4, 3)[task : task + 1] * 5, task)
    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    nearest = ((x[:, None] - contexts.prototypes) ** 2).sum(dim=-1).argmin(dim=1)
    assert torch.equal(contexts.infer(x), nearest)
    assert torch.equal(contexts(x), contexts.prototypes[nearest])


def test_state_has_the_number_of_tasks():
    contexts, other = TaskPrototypes(2), TaskPrototypes(2)
    contexts.update(torch.ones(3, 2), 0)
    contexts.update(torch.zeros(2, 2), 1)
    other.load_state_dict(contexts.state_dict())
    assert torch.equal(other.prototypes, contexts.prototypes)
    assert other.counts.tolist() == [3, 2]
    other.update(torch.ones(2, 2), 1)
    assert other.prototypes[1].tolist() == [0.5, 0.5]


def test_bad_input():
    contexts = TaskPrototypes(2)
    with pytest.raises(DataError, match="no task has been seen"):
        contexts(torch.zeros(1, 2))
    with pytest.raises(DataError, match="numbered as they come.*found 1"):
        contexts.update(torch.zeros(1, 2), 1)
    with pytest.raises(DataError, match="wrong width"):
        contexts.update(torch.zeros(1, 3), 0)
