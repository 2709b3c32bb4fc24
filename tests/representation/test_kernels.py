"""Alignment of kernels: written out, unchanged by rotations, unbiased where there is nothing."""

from itertools import permutations

import numpy as np
import pytest

from neuroml.exceptions import DataError
from neuroml.representation import cka, kernel_alignment
from neuroml.representation.kernels import hsic_unbiased
from neuroml.simulate import make_aligned_task

RNG = np.random.default_rng


def written_out(K, L):
    H = np.eye(len(K)) - 1 / len(K)
    K, L = H @ K @ H, H @ L @ H
    return np.trace(K @ L) / np.sqrt(np.trace(K @ K) * np.trace(L @ L))


@pytest.mark.parametrize("shape", [(30, 5, 8), (10, 40, 7)])
def test_cka_is_what_is_written_out(shape):
    n, p, q = shape
    X, Y = RNG(0).normal(size=(n, p)), RNG(1).normal(size=(n, q))
    assert cka(X, Y) == pytest.approx(written_out(X @ X.T, Y @ Y.T), rel=1e-10)
    distances = ((X[:, None] - X) ** 2).sum(-1)
    K = np.exp(-distances / (2 * np.median(distances[np.triu_indices(n, 1)])))
    assert cka(X, X[:, :3], kernel="rbf") < 1
    assert kernel_alignment(K, K, center=True) == pytest.approx(1)


@pytest.mark.parametrize("unbiased", [False, True])
def test_rotation_scale_and_shift_change_nothing(unbiased):
    X = RNG(0).normal(size=(20, 6))
    turned = 3 * X @ np.linalg.qr(RNG(1).normal(size=(6, 6)))[0] + 5
    assert cka(X, turned, unbiased=unbiased) == pytest.approx(1)


def test_the_unbiased_inner_product_is_that_of_its_sums():
    """E over quadruples of different samples, written as loops."""
    K, L = (part @ part.T for part in RNG(0).normal(size=(2, 6, 3)))
    terms = [
        K[i, j] * (L[i, j] + L[q, r] - 2 * L[i, q]) for i, j, q, r in permutations(range(6), 4)
    ]
    assert hsic_unbiased(K, L) == pytest.approx(np.mean(terms))


def test_independent_representations_have_an_unbiased_mean_of_zero():
    values = [
        (cka(X, Y), cka(X, Y, unbiased=True))
        for X, Y in (RNG(seed).normal(size=(2, 15, 30)) for seed in range(200))
    ]
    biased, unbiased = np.transpose(values)
    assert biased.mean() > 0.5
    assert abs(unbiased.mean()) < 3 * unbiased.std() / np.sqrt(200)


@pytest.mark.parametrize("alignment", [0.0, 0.3, 0.9])
def test_tasks_have_the_alignment_that_was_asked_for(alignment):
    task = make_aligned_task(16, 2, alignment=alignment, n_samples=3, random_state=0)
    assert cka(task.X, task.y) == pytest.approx(alignment, abs=1e-9)
    assert task.samples.shape == (48, 100) and set(np.unique(task.y)) == {-1, 1}
    assert np.abs(task.y.sum(axis=0)).max() == 0
    np.testing.assert_array_equal(task.sample_targets, task.y[task.sample_conditions])


@pytest.mark.parametrize(
    "wrong", [{"n_conditions": 12}, {"n_targets": 31}, {"alignment": 1.0}, {"n_features": 10}]
)
def test_impossible_tasks_are_refused(wrong):
    with pytest.raises(DataError):
        make_aligned_task(**wrong)


def test_other_samples_and_kernels_are_refused():
    with pytest.raises(DataError, match="different samples"):
        cka(np.eye(3), np.eye(4))
    with pytest.raises(DataError, match="two kernels"):
        kernel_alignment(np.eye(3), np.ones((3, 2)))
    with pytest.raises(DataError, match="too few"):
        cka(np.eye(3), np.eye(3), unbiased=True)
    with pytest.raises(DataError, match="kernel has no such option"):
        cka(np.eye(3), np.eye(3), kernel="cosine")
