"""Moves and merges of a block model, compiled by numba.

A pair of nodes brings four numbers that add up over a pair of blocks: exposure, edges, and the sum
and the sum of squares of the edges' weights. The score of a pair of blocks is the logarithm of
their probability with the block's parameters integrated out under conjugate priors, so that a
partition has an exact objective, and a move or a merge an exact gain.
"""

from __future__ import annotations

from math import lgamma, log, pi

import numpy as np
from numba import njit

__all__ = [
    "BERNOULLI",
    "EXPONENTIAL",
    "NORMAL",
    "NO_WEIGHTS",
    "NO_ZEROS",
    "POISSON",
    "fast",
    "mean_density",
    "merge_best",
    "move_all",
    "normal_evidence",
    "partition_score",
    "sum_blocks",
    "total_score",
]

EXPONENTIAL, NORMAL, NO_WEIGHTS = 0, 1, 2
NO_ZEROS, BERNOULLI, POISSON = 0, 1, 2
# Normal-gamma prior of standardized weights: a pair of blocks' mean has ten times the weights'
# variance (kappa = 0.1 observations), their precision shape and rate one, that is, mean one.
_KAPPA, _ALPHA, _BETA = 0.1, 1.0, 1.0
_MIN_GAIN = 1e-9  # of a merge: less is rounding, by which two partitions could merge without end

fast = njit(cache=True, nogil=True, error_model="numpy")


@fast
def _gamma_poisson(events: float, exposure: float, rate: float) -> float:
    """Log-probability of events at an unknown rate under an exponential prior with a given mean.

    log of the integral of r^k exp(-r T) exp(-r / m) / m over r, which is
    log k! - log m - (k + 1) log(1 / m + T), for k events, exposure T and prior mean m.
    """
    return lgamma(1.0 + events) - log(rate) - (1.0 + events) * log(1.0 / rate + exposure)


@fast
def normal_evidence(n: float, total: float, squares: float) -> float:
    """Log-probability of n normal values under the normal-gamma prior, given their sums."""
    # posterior: kappa_n = kappa + n, alpha_n = alpha + n / 2,
    # beta_n = beta + (S + kappa n mean^2 / kappa_n) / 2, S the squared deviations from the mean
    kappa, alpha = _KAPPA + n, _ALPHA + n / 2
    deviations = max(squares - total * total / n, 0.0)
    beta = _BETA + 0.5 * (deviations + _KAPPA * total * total / (n * kappa))
    # evidence: Gamma(alpha_n) / Gamma(alpha) beta^alpha / beta_n^alpha_n
    #           sqrt(kappa / kappa_n) (2 pi)^(-n/2)
    score = lgamma(alpha) - lgamma(_ALPHA) + _ALPHA * log(_BETA) - alpha * log(beta)
    return score + 0.5 * (log(_KAPPA / kappa) - n * log(2 * pi))


@fast
def mean_density(n: float, mean: float) -> float:
    """Log-density of the mean of n normal values under the same prior, a Student t."""
    degrees, spread = 2 * _ALPHA, _BETA / _ALPHA * (1 / _KAPPA + 1 / n)
    half = (degrees + 1) / 2
    score = lgamma(half) - lgamma(degrees / 2) - 0.5 * log(degrees * pi * spread)
    return score - half * log(1 + mean * mean / (degrees * spread))


@fast
def _score(pair: np.ndarray, weights: int, presence: int, density: float) -> float:
    """Log-probability of one pair of blocks, given its four sums."""
    exposure, edges, total, squares = pair
    score = 0.0
    # presence of edges: a Bernoulli law with a uniform prior integrates to the beta function
    # B(edges + 1, absent + 1); a Poisson law with an exponential prior is a gamma integral
    if presence == BERNOULLI:
        absent = max(exposure - edges, 0.0)
        score += lgamma(edges + 1.0) + lgamma(absent + 1.0) - lgamma(edges + absent + 2.0)
    elif presence == POISSON:
        score += _gamma_poisson(edges, max(exposure, 0.0), density)
    if edges < 0.5 or weights == NO_WEIGHTS:
        return score
    if weights == EXPONENTIAL:
        return score + _gamma_poisson(edges, total, 1.0)
    return score + normal_evidence(edges, total, squares)


@fast
def partition_score(sizes: np.ndarray) -> float:
    """Log-probability of a partition with all block shares equally likely, up to a constant.

    Dirichlet(1, ..., 1) over K blocks: (K - 1)! prod n_k! / (n + K - 1)!, times K! for the order of
    the blocks, which has no meaning.
    """
    k, n, score = 0, 0, 0.0
    for size in sizes:
        if size > 0:
            k += 1
            n += size
            score += lgamma(size + 1.0)
    return score + lgamma(float(k)) - lgamma(float(n + k)) + lgamma(k + 1.0)


@fast
def _gather(stats: np.ndarray, labels: np.ndarray, node: int, n_blocks: int) -> np.ndarray:
    """Sums of one node's pairs over the blocks of their partners (n_blocks, 4)."""
    sums = np.zeros((n_blocks, 4))
    for other in range(len(labels)):
        if other != node:
            for q in range(4):
                sums[labels[other], q] += stats[node, other, q]
    return sums


@fast
def sum_blocks(stats: np.ndarray, labels: np.ndarray, n_blocks: int) -> np.ndarray:
    """Sums over all pairs of blocks (n_blocks, n_blocks, 4), each pair of nodes counted once."""
    blocks = np.zeros((n_blocks, n_blocks, 4))
    for i in range(len(labels)):
        for j in range(i):
            a, b = labels[i], labels[j]
            for q in range(4):
                blocks[a, b, q] += stats[i, j, q]
                if a != b:
                    blocks[b, a, q] += stats[i, j, q]
    return blocks


@fast
def _add(blocks: np.ndarray, sums: np.ndarray, a: int, sign: float) -> None:
    """Add a node's sums to its block ``a``, or take them away."""
    for c in range(len(sums)):
        for q in range(4):
            blocks[a, c, q] += sign * sums[c, q]
            if c != a:
                blocks[c, a, q] += sign * sums[c, q]


@fast
def total_score(
    stats: np.ndarray, labels: np.ndarray, weights: int, presence: int, density: float
) -> float:
    """Log-probability of weights and partition, without constants that no partition changes."""
    n_blocks = labels.max() + 1
    blocks = sum_blocks(stats, labels, n_blocks)
    sizes = np.bincount(labels, minlength=n_blocks)
    score = partition_score(sizes)
    for a in range(n_blocks):
        for b in range(a + 1):
            score += _score(blocks[a, b], weights, presence, density)
    return score


@fast
def _refresh(
    scores: np.ndarray, blocks: np.ndarray, a: int, weights: int, presence: int, density: float
) -> None:
    """Recompute the scores of all pairs with block ``a``."""
    for c in range(len(scores)):
        scores[a, c] = scores[c, a] = _score(blocks[a, c], weights, presence, density)


@fast
def move_all(
    stats: np.ndarray,
    labels: np.ndarray,
    order: np.ndarray,
    n_blocks: int,
    weights: int,
    presence: int,
    density: float,
) -> np.ndarray:
    """Move every node in turn to the block, perhaps a new one, where the objective is largest.

    Parameters
    ----------
    stats : ndarray of shape (n_nodes, n_nodes, 4)
    labels : ndarray of int of shape (n_nodes,)
    order : ndarray of int of shape (n_nodes,)
    n_blocks : int
        Maximum number of blocks.
    weights, presence, density
        The model: codes of the laws of weights and of edges, and edges per exposure.

    Returns
    -------
    ndarray of int of shape (n_nodes,)
    """
    labels = labels.copy()
    blocks = sum_blocks(stats, labels, n_blocks)
    sizes = np.zeros(n_blocks, dtype=np.int64)
    for label in labels:
        sizes[label] += 1
    scores = np.zeros((n_blocks, n_blocks))
    for a in range(n_blocks):
        _refresh(scores, blocks, a, weights, presence, density)
    gains = np.empty(n_blocks)
    for node in order:
        old = labels[node]
        # take the node out of its block
        sums = _gather(stats, labels, node, n_blocks)
        _add(blocks, sums, old, -1.0)
        sizes[old] -= 1
        _refresh(scores, blocks, old, weights, presence, density)
        # objective with the node in each block; all empty blocks are alike, one stands for them
        tried_empty = False
        for b in range(n_blocks):
            gains[b] = -np.inf
            if sizes[b] == 0 and tried_empty:
                continue
            tried_empty = tried_empty or sizes[b] == 0
            sizes[b] += 1
            gains[b] = partition_score(sizes)
            sizes[b] -= 1
            for c in range(n_blocks):
                if sizes[c] > 0:
                    joined = blocks[b, c] + sums[c]
                    gains[b] += _score(joined, weights, presence, density) - scores[b, c]
        # put it where the objective is largest, which is never lower than it was
        new = int(np.argmax(gains))
        labels[node] = new
        sizes[new] += 1
        _add(blocks, sums, new, 1.0)
        _refresh(scores, blocks, new, weights, presence, density)
    return labels


@fast
def merge_best(
    stats: np.ndarray, labels: np.ndarray, weights: int, presence: int, density: float
) -> np.ndarray:
    """Merge the pair of blocks that gains most, and again, for as long as a merge gains."""
    labels = labels.copy()
    while True:
        n_blocks = labels.max() + 1
        blocks = sum_blocks(stats, labels, n_blocks)
        sizes = np.zeros(n_blocks, dtype=np.int64)
        for label in labels:
            sizes[label] += 1
        scores = np.zeros((n_blocks, n_blocks))
        for a in range(n_blocks):
            _refresh(scores, blocks, a, weights, presence, density)
        before = partition_score(sizes)
        best, first, second = _MIN_GAIN, -1, -1
        for a in range(n_blocks):
            for b in range(a):
                if sizes[a] == 0 or sizes[b] == 0:
                    continue
                merged = sizes.copy()
                merged[b] += merged[a]
                merged[a] = 0
                # change of p(z), of the pairs inside a and b, and of both with every other block
                gain = partition_score(merged) - before - scores[a, a] - scores[b, b]
                inside = blocks[a, a] + blocks[b, b] + blocks[a, b]
                gain += _score(inside, weights, presence, density) - scores[a, b]
                for c in range(n_blocks):
                    if c not in (a, b):
                        both = blocks[a, c] + blocks[b, c]
                        gain += _score(both, weights, presence, density)
                        gain -= scores[a, c] + scores[b, c]
                if gain > best:
                    best, first, second = gain, a, b
        if first < 0:
            return labels
        labels[labels == first] = second
