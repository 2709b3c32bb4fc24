"""The objective against numerical integrals, the search against all partitions of small graphs."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import betaln, gammaln
from scipy.stats import expon, t

from neuroml.connectome._block_kernels import merge_best, move_all
from neuroml.connectome._block_model import FAMILIES, compute_evidence
from neuroml.connectome._block_search import search


def graph(rng, n=7, zeros=False, negative=False):
    W = rng.normal(size=(n, n)) if negative else rng.exponential(size=(n, n))
    if zeros:
        W *= rng.uniform(size=(n, n)) < 0.7
    W = np.triu(W, 1)
    return W + W.T


def partitions(n):
    """All partitions of n nodes, as labels."""
    every = [[0]]
    for _ in range(n - 1):
        every = [[*labels, b] for labels in every for b in range(max(labels) + 2)]
    return np.array(every)


def partition_probability(labels):
    k, sizes = labels.max() + 1, np.bincount(labels)
    return gammaln(k) - gammaln(len(labels) + k) + gammaln(sizes + 1).sum() + gammaln(k + 1)


def exponential_evidence(x):
    def likelihood(rate):
        return np.exp(expon.logpdf(x, scale=1 / rate).sum()) * np.exp(-rate)

    return np.log(quad(likelihood, 0, np.inf, epsabs=1e-14)[0])


def normal_evidence(x):
    """One value after the other, each by the Student t that the ones before it leave."""
    mean, kappa, alpha, beta, total = 0.0, 0.1, 1.0, 1.0, 0.0
    for value in x:
        total += t.logpdf(value, 2 * alpha, mean, np.sqrt(beta * (kappa + 1) / (alpha * kappa)))
        beta += kappa * (value - mean) ** 2 / (2 * (kappa + 1))
        mean = (kappa * mean + value) / (kappa + 1)
        kappa, alpha = kappa + 1, alpha + 0.5
    return total


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("zeros", [False, True])
def test_objective_is_the_integral_over_the_parameters(family, zeros):
    rng = np.random.default_rng(3)
    W = graph(rng, n=4, zeros=zeros)
    W[0, 1] = W[1, 0] = 0.7
    labels = np.array([0, 0, 1, 1])
    evidence = compute_evidence(W, family)
    expected = partition_probability(labels)
    i, j = np.triu_indices(4, 1)
    x = W[i, j]
    edge = x != 0
    z = np.log(np.where(edge, x, 1)) if family == "lognormal" else x
    jacobian = -z[edge].sum() if family == "lognormal" else 0.0
    if family == "exponential":
        scale, shift = z[edge].mean(), 0.0
    else:
        scale, shift = z[edge].std(), z[edge].mean()
    jacobian -= edge.sum() * np.log(scale)
    z = (z - shift) / scale
    pairs = np.array([tuple(sorted(p)) for p in zip(labels[i], labels[j], strict=True)])
    for a, b in [(0, 0), (0, 1), (1, 1)]:
        here = (pairs == (a, b)).all(axis=1)
        if not edge.all():
            expected += betaln((here & edge).sum() + 1, (here & ~edge).sum() + 1)
        if (here & edge).any():
            law = exponential_evidence if family == "exponential" else normal_evidence
            expected += law(z[here & edge])
    assert evidence.icl(labels) == pytest.approx(expected + jacobian, rel=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("zeros", [False, True])
def test_search_finds_the_best_of_all_partitions(family, zeros):
    found = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        W = graph(rng, zeros=zeros)
        W[:3, :3] *= 40
        evidence = compute_evidence(W, family)
        best = max(evidence.icl(labels) for labels in partitions(7))
        fits = search(W, family, False, 7, 30, 100, rng)
        reached = max(one.objective for one in fits)
        assert reached <= best + 1e-8
        found += reached == pytest.approx(best)
    assert found >= 5


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("corrected", [False, True])
@pytest.mark.parametrize("zeros", [False, True])
def test_moves_and_merges_never_lower_the_objective(family, corrected, zeros):
    rng = np.random.default_rng(0)
    W = graph(rng, 25, zeros)
    W[3, 7] = W[7, 3] = np.nan
    evidence = compute_evidence(W, family, degree_corrected=corrected)
    labels = rng.integers(0, 6, 25)
    for _ in range(4):
        for change in (
            lambda z: move_all(evidence.stats, z, rng.permutation(25), 8, *evidence.model),
            lambda z: merge_best(evidence.stats, z, *evidence.model),
        ):
            before = evidence.icl(labels)
            labels = np.unique(change(labels), return_inverse=True)[1]
            assert evidence.icl(labels) >= before - 1e-8


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("corrected", [False, True])
def test_objective_does_not_depend_on_names_order_or_unit(family, corrected):
    rng = np.random.default_rng(1)
    W, labels = graph(rng, 20, zeros=True), rng.integers(0, 3, 20)
    one = compute_evidence(W, family, labels, degree_corrected=corrected).icl(labels)
    order = rng.permutation(20)
    moved = compute_evidence(
        W[np.ix_(order, order)], family, labels[order], degree_corrected=corrected
    )
    assert moved.icl((labels[order] + 1) % 3) == pytest.approx(one)
    scaled = compute_evidence(1000 * W, family, labels, degree_corrected=corrected)
    n_edges = (W != 0).sum() / 2
    assert scaled.icl(labels) == pytest.approx(one - n_edges * np.log(1000))


@pytest.mark.parametrize("corrected", [False, True])
def test_a_pair_that_was_not_seen_adds_nothing(corrected):
    rng = np.random.default_rng(2)
    W = graph(rng, 12, zeros=True)
    W[0, 5] = W[5, 0] = np.nan
    evidence = compute_evidence(W, "exponential", degree_corrected=corrected)
    assert not evidence.stats[0, 5].any()
    assert not np.einsum("iiq->iq", evidence.stats).any()


def test_degree_correction_takes_the_factors_out():
    rng = np.random.default_rng(0)
    factor = rng.lognormal(size=80)
    labels = np.repeat([0, 1], 40)
    means = np.array([[3.0, 1.0], [1.0, 2.0]])[np.ix_(labels, labels)]
    W = np.triu(means * factor[:, None] * factor, 1)
    W = W + W.T
    for family, position in (("exponential", 2), ("lognormal", 2)):
        x = compute_evidence(W, family, labels, degree_corrected=True).stats[..., position]
        for a, b in [(0, 0), (0, 1), (1, 1)]:
            inside = (labels[:, None] == a) & (labels == b) & ~np.eye(80, dtype=bool)
            assert x[inside].std() < 0.02 * x[~np.eye(80, dtype=bool)].std()
