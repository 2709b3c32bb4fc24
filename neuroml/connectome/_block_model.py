"""Stochastic block models of weighted graphs: what a family makes of the weights, and the search.

A weight that is exactly zero is an absent edge, with a probability of its own for every pair of
blocks; the other weights follow the family. All blocks' parameters are integrated out, so that a
partition z has the exact log p(W, z), the integrated completed likelihood of Côme and Latouche
(2015), which the search climbs and which compares partitions, families and numbers of blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from neuroml._core.iteration import FitTrace, best_restart, iterate
from neuroml.connectome._block_kernels import (
    BERNOULLI,
    EXPONENTIAL,
    NO_WEIGHTS,
    NO_ZEROS,
    NORMAL,
    POISSON,
    merge_best,
    move_all,
    total_score,
)

__all__ = ["FAMILIES", "PRESENCE", "Evidence", "equal_weights", "search", "weigh"]

FAMILIES = ("exponential", "lognormal", "normal")
PRESENCE = "presence"
_LAWS = {"exponential": EXPONENTIAL, "lognormal": NORMAL, "normal": NORMAL, PRESENCE: NO_WEIGHTS}
_ROUNDING = 1e-10
"""Weights that differ by a smaller share than this are equal: sums of squares resolve no less."""
_EFFECT_SWEEPS = 20
_ROUNDS = 3


@dataclass(frozen=True)
class Evidence:
    """What a family makes of the weights.

    Attributes
    ----------
    stats : ndarray of shape (n_nodes, n_nodes, 4)
        Exposure, edges, standardized weights and their squares for each pair of nodes.
    weights, presence : int
        Which laws hold for weights and edges.
    density : float
        Edges per exposure over the whole graph.
    constant : float
        What the objective needs to be a log-probability of the weights as given.
    """

    stats: np.ndarray
    weights: int
    presence: int
    density: float
    constant: float

    @property
    def model(self) -> tuple[int, int, float]:
        """Which model the kernels shall use."""
        return self.weights, self.presence, self.density

    def icl(self, labels: np.ndarray) -> float:
        """The integrated completed log-likelihood of a partition."""
        return float(total_score(self.stats, labels, *self.model)) + self.constant


def equal_weights(W: np.ndarray) -> bool:
    """Whether all edges of a graph have the same weight, so that they tell nothing but presence."""
    weights = W[~np.isnan(W) & (W != 0)]
    return not len(weights) or bool(np.ptp(weights) <= _ROUNDING * np.abs(weights).max())


def weigh(
    W: np.ndarray, family: str, labels: np.ndarray | None = None, *, degree_corrected: bool = False
) -> Evidence:
    """The evidence in the weights, given the family and, with degree correction, a partition.

    Parameters
    ----------
    W : ndarray of shape (n_nodes, n_nodes)
        Symmetric; NaN marks pairs that were never seen. The diagonal is not used.
    family : {"exponential", "lognormal", "normal", "presence"}
        "presence" is the law of weights that are all equal: a point, wherever it lies.
    labels : ndarray of int of shape (n_nodes,), optional
        Blocks within which the nodes' effects are measured; all nodes in one by default.
    degree_corrected : bool
        Whether each node has a number of edges and a strength of its own. The effects are set to
        their most likely values, at a price of half the logarithm of a node's edges for each.
    """
    seen = ~np.isnan(W)
    np.fill_diagonal(seen, False)
    edges = seen & (W != 0)
    labels = np.zeros(len(W), dtype=np.int64) if labels is None else labels
    exposure = seen.astype(float)
    presence = BERNOULLI if (seen & ~edges).any() else NO_ZEROS
    constant = 0.0
    if degree_corrected and presence == BERNOULLI and edges.any():
        presence = POISSON
        effect = _degree_effects(exposure, edges, labels)
        exposure = exposure * effect[:, None] * effect
        constant += np.log((effect[:, None] * effect)[edges]).sum() / 2
        constant -= _price(edges)
    x = np.zeros_like(W)
    if family != PRESENCE:
        x, jacobian = _standardize(W, family, edges, labels, degree_corrected)
        constant += jacobian - (_price(edges) if degree_corrected else 0.0)
    stats = np.stack([exposure, edges, x, x**2], axis=-1).astype(float)
    return Evidence(stats, _LAWS[family], presence, edges.sum() / exposure.sum(), float(constant))


def _price(edges: np.ndarray) -> float:
    """What the nodes' effects, of which one is free, cost by the Bayesian information criterion."""
    prices = np.log(np.maximum(edges.sum(axis=1), 1)) / 2
    return float(prices.sum() - prices.mean())


def _degree_effects(exposure: np.ndarray, edges: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Degree of each node over the mean of its block (n_nodes,), at least half an edge."""
    degrees = np.maximum(edges.sum(axis=1), 0.5) / np.maximum(exposure.sum(axis=1), 1)
    members = np.eye(labels.max() + 1)[labels]
    return np.asarray(degrees / (members @ ((members.T @ degrees) / members.sum(axis=0))))


def _standardize(
    W: np.ndarray, family: str, edges: np.ndarray, labels: np.ndarray, degree_corrected: bool
) -> tuple[np.ndarray, float]:
    """Weights on the scale of the prior, zero where there is no edge, and the log-Jacobian."""
    n_edges = edges.sum() / 2
    x = np.where(edges, W, 1.0)
    jacobian = 0.0
    if family == "lognormal":
        x = np.log(x)
        jacobian -= x[edges].sum() / 2
    if family == "exponential":
        if degree_corrected:
            effect = _factors(x, edges, labels)
            x = x / (effect[:, None] * effect)
            jacobian -= np.log((effect[:, None] * effect)[edges]).sum() / 2
        scale = x[edges].mean() if n_edges else 1.0
    else:
        if degree_corrected:
            effect = _effects(x, edges, labels)
            x = x - effect[:, None] - effect
        x = x - (x[edges].mean() if n_edges else 0.0)
        spread = x[edges].std() if n_edges else 0.0
        scale = spread if spread > 0 else 1.0
    return np.where(edges, x / scale, 0.0), float(jacobian - n_edges * np.log(scale))


def _effects(x: np.ndarray, edges: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """What each node adds to the mean of its pair of blocks, in least squares (n_nodes,)."""
    members = np.eye(labels.max() + 1)[labels]
    count = np.maximum(edges.sum(axis=1), 1)
    partners = edges @ members
    pairs = np.maximum(members.T @ partners, 1)
    total = np.where(edges, x, 0.0).sum(axis=1)
    between = members.T @ np.where(edges, x, 0.0) @ members
    effect = np.zeros(len(x))
    for _ in range(_EFFECT_SWEEPS):
        own = members.T @ (effect[:, None] * partners)
        level = (between - own - own.T) / pairs
        fit = count * effect + edges @ effect + (partners * level[labels]).sum(axis=1)
        effect += (total - fit) / (2 * count)
    return effect


def _factors(x: np.ndarray, edges: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The factor by which each node multiplies the mean of exponential weights (n_nodes,)."""
    members = np.eye(labels.max() + 1)[labels]
    count = np.maximum(edges.sum(axis=1), 1)
    pairs = members.T @ edges @ members
    x = np.where(edges, x, 0.0)
    factor = np.ones(len(x))
    for _ in range(_EFFECT_SWEEPS):
        rest = (x @ (members / factor[:, None])) / factor[:, None]
        mean = members.T @ rest
        level = np.divide(mean, pairs, out=np.ones_like(mean), where=mean > 0)
        step = (rest / level[labels]).sum(axis=1) / count
        factor *= np.sqrt(np.where(step > 0, step, 1.0))
    return factor


def search(
    W: np.ndarray,
    family: str,
    degree_corrected: bool,
    max_blocks: int,
    n_init: int,
    max_iter: int,
    rng: np.random.Generator,
) -> list[FitTrace[np.ndarray]]:
    """Climbs to local optima of the ICL, the first from one block, the others from k-means.

    Every step moves each node, in random order, to its best block and then merges blocks while that
    gains.
    """
    free = weigh(W, family, degree_corrected=degree_corrected)
    most = min(max_blocks, max(1, len(W) // 2))
    numbers = np.geomspace(min(2, most), most, n_init).round().astype(int)
    starts = [np.zeros(len(W), dtype=np.int64)]
    starts += [_first_partition(free, number, rng) for number in numbers]
    return [
        _climb_with_effects(W, family, free, start, max_blocks, max_iter, rng)
        if degree_corrected
        else _climb_blocks(free, start, max_blocks, max_iter, rng)
        for start in starts
    ]


def _climb_with_effects(
    W: np.ndarray,
    family: str,
    evidence: Evidence,
    labels: np.ndarray,
    max_blocks: int,
    max_iter: int,
    rng: np.random.Generator,
) -> FitTrace[np.ndarray]:
    """Search a few times and measure the nodes' effects within the blocks in between."""
    done = [_climb_blocks(evidence, labels, max_blocks, max_iter, rng)]
    for _ in range(_ROUNDS - 1):
        evidence = weigh(W, family, done[-1].state, degree_corrected=True)
        done.append(_climb_blocks(evidence, done[-1].state, max_blocks, max_iter, rng))
        if np.array_equal(done[-1].state, done[-2].state):
            break
    return done[best_restart(done, name="WeightedSBM")]


def _climb_blocks(
    evidence: Evidence,
    labels: np.ndarray,
    max_blocks: int,
    max_iter: int,
    rng: np.random.Generator,
) -> FitTrace[np.ndarray]:
    def step(labels: np.ndarray) -> tuple[np.ndarray, float]:
        order = rng.permutation(len(labels))
        labels = move_all(evidence.stats, labels, order, max_blocks, *evidence.model)
        labels = merge_best(evidence.stats, labels, *evidence.model)
        labels = np.unique(labels, return_inverse=True)[1]
        return labels, evidence.icl(labels)

    return iterate(
        step, labels, evidence.icl(labels), max_iter=max_iter, tol=0.0, settled=np.array_equal
    )


def _first_partition(evidence: Evidence, n_blocks: int, rng: np.random.Generator) -> np.ndarray:
    """Each node with the nearest of a few random ones, by their weights and edges (n_nodes,)."""
    rows = np.concatenate([evidence.stats[..., 2], evidence.stats[..., 1]], axis=1)
    centers = rows[rng.permutation(len(rows))[:n_blocks]]
    return np.unique(cdist(rows, centers).argmin(axis=1), return_inverse=True)[1]
