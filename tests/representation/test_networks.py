"""Ranks, tangent kernels, laziness and codes, against formulas and the published theory."""

import copy

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from neuroml.exceptions import DataError
from neuroml.representation import (
    activation_codes,
    code_redundancy,
    code_separability,
    connectome_init,
    effective_rank,
    kernel_alignment,
    laziness_report,
    participation_ratio,
    rank_limited_init,
    tangent_kernel,
)

RNG = np.random.default_rng


def test_participation_ratio_is_that_of_the_eigenvalues():
    for shape in ((50, 6), (6, 50)):
        X = RNG(0).normal(size=shape) * np.linspace(0.1, 2, shape[1])
        values = np.linalg.eigvalsh(np.cov(X.T))
        assert participation_ratio(X) == pytest.approx(values.sum() ** 2 / (values**2).sum())
    assert np.isnan(participation_ratio(np.ones((4, 2))))


def test_ranks():
    W = np.diag([1.0, 1.0, 1.0, 0.0])
    assert effective_rank(W) == pytest.approx(3) and effective_rank(W, "stable") == pytest.approx(3)
    assert effective_rank(np.zeros((2, 2))) == 0
    limited = rank_limited_init(RNG(0).normal(size=(20, 20)), 4)
    assert np.linalg.matrix_rank(limited) == 4
    with pytest.raises(DataError, match="no such rank"):
        rank_limited_init(W, 5)
    with pytest.raises(DataError, match="no connectome"):
        connectome_init(-np.eye(2), 4)
    with pytest.raises(DataError, match="fewer units"):
        connectome_init(np.eye(3), 2)


def test_weights_are_as_strong_as_the_connectome_says():
    C = np.array([[1.0, 0.25], [4.0, 0.5]])
    W = connectome_init(C, 600, gain=1.0, random_state=0)
    found = np.array([[W[:300, :300].var(), W[:300, 300:].var()],
                      [W[300:, :300].var(), W[300:, 300:].var()]])  # fmt: skip
    np.testing.assert_allclose(found / found.sum(), C / C.sum(), rtol=0.03)  # 90,000 draws each
    assert np.linalg.norm(W) == pytest.approx(np.sqrt(600))


def test_the_tangent_kernel_is_that_of_finite_differences():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    x = torch.randn(5, 3, dtype=torch.double)
    columns = []
    for p in net.parameters():
        for i in range(p.numel()):
            with torch.no_grad():
                flat = p.view(-1)
                flat[i] += 1e-6
                up = net(x).reshape(-1).clone()
                flat[i] -= 2e-6
                columns.append((up - net(x).reshape(-1)) / 2e-6)
                flat[i] += 1e-6
    J = torch.stack(columns, dim=1)
    np.testing.assert_allclose(tangent_kernel(net, x), (J @ J.T).numpy(), rtol=1e-6, atol=1e-8)
    some = tangent_kernel(net, x, params=["0.weight"])
    np.testing.assert_allclose(some, (J[:, :12] @ J[:, :12].T).numpy(), rtol=1e-6, atol=1e-8)
    with pytest.raises(DataError, match="no such weights"):
        tangent_kernel(net, x, params=["nothing"])


def two_layers(W1, w2):
    """A linear network of two layers without biases."""
    net = nn.Sequential(nn.Linear(20, 20, bias=False), nn.Linear(20, 1, bias=False)).double()
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor(W1))
        net[1].weight.copy_(torch.tensor(w2[None]))
    return net


def trained(W1, beta, rate=0.01):
    """Gradient descent on whitened inputs from a small readout."""
    W, w = W1.copy(), 1e-6 * np.ones(20)
    for _ in range(6000):
        miss = W.T @ w - beta
        W, w = W - rate * np.outer(w, miss), w - rate * W @ miss
    return W, w


def test_high_rank_starts_are_lazier_as_in_theory():
    """Published theory, and its numbers for 20 units: .218, .512 and .980 of alignment."""
    alignments = {}
    for rank in (1, 5, 20):
        values = []
        for seed in range(8):
            rng = RNG(seed)
            beta = rng.normal(size=20)
            beta *= 2 / np.linalg.norm(beta)
            start = np.linalg.qr(rng.normal(size=(20, 20)))[0]
            W0 = rank_limited_init(start, rank)
            W0 /= np.linalg.norm(W0)
            W1, w1 = trained(W0, beta)
            before, after = two_layers(W0, 1e-6 * np.ones(20)), two_layers(W1, w1)
            report = laziness_report(before, after, np.eye(20))
            # on whitened inputs K = W^T W + |w|^2
            K0, K1 = (W.T @ W + w @ w * np.eye(20) for W, w in ((W0, 1e-6 * np.ones(20)), (W1, w1)))
            assert report.kernel_alignment == pytest.approx(kernel_alignment(K0, K1), abs=1e-9)
            change = np.sqrt(np.sum((W1 - W0) ** 2) + np.sum((w1 - 1e-6) ** 2))
            assert report.weight_change == pytest.approx(change)
            values.append(report.kernel_alignment)
        alignments[rank] = np.mean(values)
    assert alignments[1] < alignments[5] < alignments[20]
    for rank, expected, spread in ((1, 0.218, 0.027), (5, 0.512, 0.05), (20, 0.980, 0.02)):
        assert alignments[rank] == pytest.approx(expected, abs=4 * spread)


def test_what_is_compared_must_be_one_network():
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    same = laziness_report(net, copy.deepcopy(net), torch.randn(6, 3))
    assert same.weight_change == 0 and same.sign_similarity == 1
    assert same.to_frame().columns.tolist() == ["quantity", "value"]
    with pytest.raises(DataError, match="different networks"):
        laziness_report(net, nn.Linear(3, 1), torch.randn(6, 3))
    with pytest.raises(DataError, match="no such module"):
        laziness_report(net, net, torch.randn(6, 3), layer="9")
    hidden = laziness_report(net, copy.deepcopy(net), torch.randn(6, 3), layer="1")
    assert hidden.representation_alignment == pytest.approx(1)


def test_codes_of_networks_and_of_spike_words():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2))
    x = torch.randn(7, 3)
    codes = activation_codes(net, x)
    first = net[0](x) > 0
    assert codes.shape == (7, 9) and np.array_equal(codes[:, :4], first.numpy())
    assert activation_codes(net, x, layers=["1"]).shape == (7, 4)
    counts = RNG(0).poisson(0.3, size=(500, 3))
    assert code_redundancy(counts) == 1 - len(np.unique(counts > 0, axis=0)) / 500
    with pytest.raises(DataError, match="no torch.nn.ReLU"):
        activation_codes(nn.Linear(3, 1), x)
    with pytest.raises(DataError, match="no such modules"):
        activation_codes(net, x, layers=["1", "x"])


def test_untrained_codes_of_digits_are_separable_and_redundancy_falls_with_width():
    """The control that a claim about training needs beside it."""
    X, y = load_digits(return_X_y=True)
    X = (X - X.mean()) / X.std()
    torch.manual_seed(0)
    redundancies = []
    for width in (3, 15, 60):
        net = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))
        codes = activation_codes(net, X)
        redundancies.append(code_redundancy(codes))
    assert redundancies[0] > 0.95 > redundancies[1] > redundancies[2] and redundancies[2] < 0.1
    found = code_separability(codes[:1000], y[:1000], codes[1000:], y[1000:])
    assert found.knn > 0.7 and found.logistic > 0.7 and 0.3 < found.kmeans < 0.9
    assert len(found.to_frame()) == 3
    with pytest.raises(DataError, match="not learned"):
        code_separability(codes[:50], y[:50] % 3, codes[50:99], y[50:99])
