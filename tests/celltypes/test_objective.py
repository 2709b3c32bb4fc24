import numpy as np
import pytest
import torch

from neuroml.celltypes._objective import discriminability, membership, objective_of


def by_hand(responses, labels, temperature):
    """The equation, cluster by cluster and term by term."""
    clusters = sorted(set(labels) - {-1})
    values = []
    for c in clusters:
        means = [np.mean([responses[c, i] for i in np.flatnonzero(labels == k)]) for k in clusters]
        total = sum(np.exp(mean / temperature) for mean in means) / len(clusters)
        values.append(means[c] / temperature - np.log(total))
    return np.array(values)


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_a_formula_written_out(seed):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.r_[np.arange(4), rng.integers(-1, 4, size=20)])
    responses = rng.normal(size=(4, 24)) * 3
    for temperature in (0.5, 1.6, 5.0):
        expected = by_hand(responses, labels, temperature)
        table = torch.from_numpy(responses)
        found = discriminability(table, membership(labels, 4, like=table), temperature)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(objective_of(responses, labels, temperature), expected)


def test_is_bounded_by_log_c_and_reaches_it():
    rng = np.random.default_rng(0)
    for scale in (0.1, 1, 10, 1000):
        responses = torch.from_numpy(rng.normal(size=(5, 30)) * scale)
        members = membership(np.arange(30) % 5, 5, like=responses)
        assert (discriminability(responses, members, 1.0) <= np.log(5) + 1e-12).all()
    perfect = torch.eye(5, dtype=torch.float64)[:, np.arange(30) % 5] * 100
    torch.testing.assert_close(
        discriminability(perfect, members, 1.0), torch.full((5,), np.log(5), dtype=torch.float64)
    )


def test_equal_responses_discriminate_nothing():
    responses = torch.full((3, 9), 2.5, dtype=torch.float64)
    members = membership(np.arange(9) % 3, 3, like=responses)
    torch.testing.assert_close(
        discriminability(responses, members, 1.0), torch.zeros(3, dtype=torch.float64)
    )


def test_gradient_equals_finite_differences():
    rng = np.random.default_rng(1)
    members = membership(rng.permutation(np.arange(12) % 3), 3, like=torch.empty(0).double())
    responses = torch.from_numpy(rng.normal(size=(3, 12))).requires_grad_()
    assert torch.autograd.gradcheck(lambda r: discriminability(r, members, 1.6), responses)


def test_a_cluster_counts_once_whatever_its_size():
    """Duplicating every cell of one cluster changes nothing."""
    rng = np.random.default_rng(2)
    labels = np.array([0, 0, 1, 1, 2])
    responses = rng.normal(size=(3, 5))
    again = np.concatenate([responses, responses[:, :2], responses[:, :2]], axis=1)
    np.testing.assert_allclose(
        objective_of(responses, labels, 1.0), objective_of(again, np.r_[labels, 0, 0, 0, 0], 1.0)
    )


def test_clusters_without_cells_are_nan_and_do_not_count():
    rng = np.random.default_rng(3)
    responses = rng.normal(size=(3, 6))
    labels = np.array([0, 0, 2, 2, -1, -1])
    found = objective_of(responses, labels, 1.0)
    assert np.isnan(found[1])
    fewer = objective_of(responses[[0, 2]], np.array([0, 0, 1, 1, -1, -1]), 1.0)
    np.testing.assert_allclose(found[[0, 2]], fewer)
