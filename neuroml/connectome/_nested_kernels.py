"""The hierarchy above a partition, compiled by numba.

Blocks and what lies between them are a graph again. Peixoto (2014, Physical Review X 4, 011047)
describes its numbers of edges by a block model of blocks, and so on until one block is left: the
counts between two groups are spread over their pairs of blocks in any way, all equally likely. The
mean weights of pairs of blocks follow a normal law of their pair of groups, in logarithms for
exponential weights. A level replaces the priors that know of no groups, so that hierarchies and
none compare by their evidence.
"""

from __future__ import annotations

from math import lgamma, log

import numpy as np

from neuroml.connectome._block_kernels import (
    BERNOULLI,
    EXPONENTIAL,
    NO_WEIGHTS,
    NO_ZEROS,
    fast,
    mean_density,
    normal_evidence,
    partition_score,
)

__all__ = [
    "best_groups",
    "block_graph",
    "group_graph",
    "level_score",
    "nested_gain",
    "single_cells",
]

# Sums over the pairs of blocks of a pair of groups, each of which is a pair of blocks one level up.
_CELLS, _EDGES, _MEANS, _TOTAL, _SQUARES = 0, 1, 2, 3, 4


@fast
def block_graph(blocks: np.ndarray, weights: int) -> np.ndarray:
    """Pairs of blocks as a graph (n_blocks, n_blocks, 5), given the sums of their pairs of nodes.

    For each pair: whether it can have edges, how many it has, whether it has a mean weight, that
    mean (its logarithm for exponential weights), and its square.
    """
    graph = np.zeros((len(blocks), len(blocks), 5))
    for a in range(len(blocks)):
        for b in range(len(blocks)):
            exposure, edges, total = blocks[a, b, :3]
            graph[a, b, _CELLS] = 1.0 if exposure > 0 else 0.0
            graph[a, b, _EDGES] = edges
            if weights != NO_WEIGHTS and edges >= 0.5:
                mean = log(total / edges) if weights == EXPONENTIAL else total / edges
                graph[a, b, _MEANS], graph[a, b, _TOTAL] = 1.0, mean
                graph[a, b, _SQUARES] = mean * mean
    return graph


@fast
def group_graph(graph: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Sums over pairs of groups of blocks (n_groups, n_groups, 5), each pair of blocks once."""
    n_groups = groups.max() + 1
    above = np.zeros((n_groups, n_groups, 5))
    for a in range(len(graph)):
        for b in range(a + 1):
            above[groups[a], groups[b]] += graph[a, b]
            if groups[a] != groups[b]:
                above[groups[b], groups[a]] += graph[a, b]
    return above


@fast
def _cell(pair: np.ndarray) -> np.ndarray:
    """A pair of groups as one cell with one mean, as the level above sees it."""
    cell = pair.copy()
    cell[_CELLS] = min(pair[_CELLS], 1.0)
    if pair[_MEANS] > 0:
        mean = pair[_TOTAL] / pair[_MEANS]
        cell[_MEANS], cell[_TOTAL], cell[_SQUARES] = 1.0, mean, mean * mean
    return cell


@fast
def single_cells(above: np.ndarray) -> np.ndarray:
    """The graph whose nodes are groups, as the level above sees it."""
    graph = above.copy()
    for a in range(len(above)):
        for b in range(len(above)):
            graph[a, b] = _cell(above[a, b])
    return graph


@fast
def _spread(pair: np.ndarray, presence: int, last: bool) -> float:
    """Log-probability of counts and means of pairs of blocks, given those of their pair of groups.

    At the last level, of one group, nothing is above, and the mean has the prior of all means.
    """
    cells, edges, n, total, squares = pair
    score = 0.0
    if presence != NO_ZEROS and cells > 0:
        # one of C(edges + cells - 1, edges) ways to share the edges among the cells
        score += lgamma(edges + 1.0) + lgamma(cells) - lgamma(edges + cells)
    if n > 0:
        score += normal_evidence(n, total, squares)
        score -= 0.0 if last else mean_density(n, total / n)
    return score


@fast
def level_score(above: np.ndarray, sizes: np.ndarray, presence: int, whole: bool) -> float:
    """Log-probability of a graph of blocks by its groups; as a ``whole``, with one group above."""
    score = partition_score(sizes)
    top = np.zeros(5)
    for a in range(len(above)):
        for b in range(a + 1):
            score += _spread(above[a, b], presence, len(above) == 1)
            top += _cell(above[a, b])
    if whole and len(above) > 1:
        score += _spread(top, presence, True)
    return score


@fast
def _merge_gain(
    above: np.ndarray, spreads: np.ndarray, top: np.ndarray, presence: int, a: int, b: int
) -> float:
    """What merging two of three or more groups adds to the score, but for that of the partition."""
    inside = above[a, a] + above[b, b] + above[a, b]
    gain = _spread(inside, presence, False) - spreads[a, a] - spreads[b, b] - spreads[a, b]
    new = top + _cell(inside) - _cell(above[a, a]) - _cell(above[b, b]) - _cell(above[a, b])
    for c in range(len(above)):
        if c not in (a, b):
            both = above[a, c] + above[b, c]
            gain += _spread(both, presence, False) - spreads[a, c] - spreads[b, c]
            new += _cell(both) - _cell(above[a, c]) - _cell(above[b, c])
    return gain + _spread(new, presence, True) - _spread(top, presence, True)


@fast
def _best_merge(above: np.ndarray, sizes: np.ndarray, presence: int) -> tuple[int, int]:
    """The two of three or more groups whose merge leaves the highest score."""
    n_groups = len(above)
    spreads, top = np.zeros((n_groups, n_groups)), np.zeros(5)
    for a in range(n_groups):
        for b in range(a + 1):
            spreads[a, b] = spreads[b, a] = _spread(above[a, b], presence, False)
            top += _cell(above[a, b])
    best, first, second = -np.inf, 1, 0
    for a in range(n_groups):
        for b in range(a):
            merged = sizes.copy()
            merged[b] += merged[a]
            merged[a] = 0
            gain = partition_score(merged) + _merge_gain(above, spreads, top, presence, a, b)
            if gain > best:
                best, first, second = gain, a, b
    return first, second


@fast
def best_groups(graph: np.ndarray, presence: int) -> tuple[np.ndarray, float]:
    """The best groups of blocks on the way from one for each block to one for all, merging pairs.

    Returns
    -------
    groups : ndarray of int of shape (n_blocks,)
    score : float
        Log-probability of the graph, with one group above these.
    """
    groups = np.arange(len(graph))
    best = np.zeros(len(graph), dtype=np.int64)
    sizes = np.array([len(graph)])
    highest = level_score(group_graph(graph, best), sizes, presence, True)
    while groups.max() > 1:
        above = group_graph(graph, groups)
        sizes = np.bincount(groups)
        first, second = _best_merge(above, sizes, presence)
        groups = np.where(groups == first, second, groups - (groups > first))
        score = level_score(group_graph(graph, groups), np.bincount(groups), presence, True)
        if score > highest:
            highest, best = score, groups
    return best, highest


@fast
def _flat_counts(exposure: float, edges: float, presence: int, density: float) -> float:
    """Log-probability of a number of edges under the prior that knows of no groups."""
    if presence == BERNOULLI:
        return -log(exposure + 1.0)
    # a Poisson number at an exponential rate is geometric
    odds = density * exposure
    return edges * log(odds / (1.0 + odds)) - log(1.0 + odds) if odds > 0 else 0.0


@fast
def _flat_mean(edges: float, total: float, weights: int) -> float:
    """Log-density of a mean weight (or its logarithm) under the prior that knows of no groups."""
    if weights == EXPONENTIAL:
        # sum of n values at a rate of prior exp(-r): n s^(n-1) / (1 + s)^(n+1), times ds / dlog s
        return log(edges) + edges * log(total) - (edges + 1.0) * log(1.0 + total)
    return mean_density(edges, total / edges)


@fast
def nested_gain(blocks: np.ndarray, weights: int, presence: int, density: float) -> float:
    """What the best hierarchy adds to the log-probability of weights and partition."""
    graph = block_graph(blocks, weights)
    gain = 0.0
    exposure, edges = 0.0, 0.0
    for a in range(len(blocks)):
        for b in range(a + 1):
            if presence != NO_ZEROS and graph[a, b, _CELLS] > 0:
                gain -= _flat_counts(blocks[a, b, 0], blocks[a, b, 1], presence, density)
            if graph[a, b, _MEANS] > 0:
                gain -= _flat_mean(blocks[a, b, 1], blocks[a, b, 2], weights)
            exposure += blocks[a, b, 0]
            edges += blocks[a, b, 1]
    if presence != NO_ZEROS:  # the number of all edges has the prior of a single pair of blocks
        gain += _flat_counts(exposure, edges, presence, density)
    while len(graph) > 0:
        groups, score = best_groups(graph, presence)
        n_groups = groups.max() + 1
        if n_groups == 1:
            return gain + score
        # what this level says of the one below it; the next one says the rest
        above = group_graph(graph, groups)
        gain += level_score(above, np.bincount(groups), presence, False)
        graph = single_cells(above)
    return gain
