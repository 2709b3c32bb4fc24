"""The evidence of a hierarchy, written out, and the search for groups against all of them."""

import numpy as np
import pytest
from scipy.special import gammaln
from scipy.stats import multivariate_t, t

from neuroml.connectome._block_kernels import sum_blocks
from neuroml.connectome._block_model import FAMILIES, compute_evidence
from neuroml.connectome._hierarchy import levels_of, nested_evidence
from neuroml.connectome._nested_kernels import (
    best_groups,
    block_graph,
    group_graph,
    level_score,
    nested_gain,
)


def partitions(n):
    every = [[0]]
    for _ in range(n - 1):
        every = [[*labels, b] for labels in every for b in range(max(labels) + 2)]
    return np.array(every)


def partition_probability(labels):
    k, sizes = labels.max() + 1, np.bincount(labels)
    return gammaln(k) - gammaln(len(labels) + k) + gammaln(sizes + 1).sum() + gammaln(k + 1)


def joint_means(values):
    """Normal values with a normal-gamma prior are jointly Student t, of two degrees of freedom."""
    n = len(values)
    return multivariate_t.logpdf(values, np.zeros(n), np.eye(n) + 10 * np.ones((n, n)), df=2)


def written_out(exposure, edges, means, groups, counted, weighed):
    """Log-probability of counts and means of pairs of blocks by two levels, the upper of one group."""
    score = partition_probability(groups)
    above_edges, above_means = [], []
    pairs = [(a, b) for a in range(len(groups)) for b in range(a + 1)]
    of_pair = [tuple(sorted((groups[a], groups[b]))) for a, b in pairs]
    for pair in sorted(set(of_pair)):
        here = [p for p, q in zip(pairs, of_pair, strict=True) if q == pair]
        here = [p for p in here if exposure[p] > 0]
        if not here:
            continue
        total = sum(edges[p] for p in here)
        above_edges.append(total)
        if counted:
            ways = gammaln(total + len(here)) - gammaln(total + 1) - gammaln(len(here))
            score -= ways
        known = np.array([means[p] for p in here if edges[p] > 0])
        if weighed and len(known):
            mean_scale = np.sqrt(10 + 1 / len(known))
            score += joint_means(known) - t.logpdf(known.mean(), 2, 0, mean_scale)
            above_means.append(known.mean())
    if counted:
        cells, total = len(above_edges), sum(above_edges)
        score -= gammaln(total + cells) - gammaln(total + 1) - gammaln(cells)
    return score + (joint_means(above_means) if weighed else 0.0)


def small_graph(zeros, seed=0, n=14):
    rng = np.random.default_rng(seed)
    W = rng.exponential(size=(n, n))
    if zeros:
        W *= rng.uniform(size=(n, n)) < 0.6
    return np.triu(W, 1) + np.triu(W, 1).T


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("family", [*FAMILIES, "presence"])
def test_groups_of_blocks_have_the_evidence_of_their_definition(family, zeros):
    labels = np.repeat(np.arange(5), [3, 3, 3, 3, 2])
    evidence = compute_evidence(small_graph(zeros), family)
    blocks = sum_blocks(evidence.stats, labels, 5)
    graph = block_graph(blocks, evidence.weights)
    with np.errstate(divide="ignore", invalid="ignore"):
        means = blocks[..., 2] / blocks[..., 1]
        means = np.log(means) if family == "exponential" else means
    given = blocks[..., 0], blocks[..., 1], means
    flags = {"counted": zeros, "weighed": family != "presence"}
    scores = []
    for groups in partitions(5):
        if 1 < groups.max() + 1 < 5:
            above = group_graph(graph, groups)
            scores.append(level_score(above, np.bincount(groups), evidence.presence, True))
            assert scores[-1] == pytest.approx(written_out(*given, groups, **flags))
    _, best = best_groups(graph, evidence.presence)
    one = group_graph(graph, np.zeros(5, dtype=np.int64))
    whole = level_score(one, np.array([5]), evidence.presence, True)
    assert whole - 1e-9 <= best <= max([whole, *scores]) + 1e-9


def test_a_binary_graph_of_one_level_is_spread_over_its_pairs_of_blocks():
    """The edges: any way to share them among pairs of blocks, then among pairs of nodes."""
    labels = np.repeat([0, 1, 2], 4)
    evidence = compute_evidence((small_graph(True, n=12) > 0).astype(float), "presence")
    blocks = sum_blocks(evidence.stats, labels, 3)[np.tril_indices(3)]
    pairs, edges = blocks[:, 0], blocks[:, 1]
    absent = pairs - edges
    expected = partition_probability(labels) - np.log(pairs.sum() + 1)
    expected -= gammaln(edges.sum() + 6) - gammaln(edges.sum() + 1) - gammaln(6)
    expected -= (gammaln(pairs + 1) - gammaln(edges + 1) - gammaln(absent + 1)).sum()
    gain = nested_gain(sum_blocks(evidence.stats, labels, 3), *evidence.model)
    assert levels_of(evidence, labels)[1:] == []
    assert evidence.icl(labels) + gain == pytest.approx(expected)


@pytest.mark.parametrize("corrected", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_one_block_has_no_hierarchy_and_names_do_not_matter(family, corrected):
    rng = np.random.default_rng(0)
    W = small_graph(True, n=24)
    evidence = compute_evidence(W, family, degree_corrected=corrected)
    one = np.zeros(24, dtype=np.int64)
    assert nested_evidence(evidence, one) == evidence.icl(one)
    labels = rng.integers(0, 6, 24)
    renamed = rng.permutation(6)[labels]
    assert nested_evidence(evidence, labels) >= evidence.icl(labels)
    assert nested_evidence(evidence, renamed) == pytest.approx(nested_evidence(evidence, labels))
