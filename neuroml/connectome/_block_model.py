"""Stochastic block models of weighted graphs: the evidence under a family.

A weight that is exactly zero is an absent edge, with a probability of its own for every pair of
blocks; the other weights follow the family. All blocks' parameters are integrated out, so that a
partition z has the exact log p(W, z), the integrated completed likelihood of Côme and Latouche
(2015). `_block_search` maximizes it, and it compares partitions, families and numbers of blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neuroml.connectome._block_kernels import (
    BERNOULLI,
    EXPONENTIAL,
    NO_WEIGHTS,
    NO_ZEROS,
    NORMAL,
    POISSON,
    total_score,
)

__all__ = ["FAMILIES", "PRESENCE", "Evidence", "compute_evidence", "equal_weights"]

FAMILIES = ("exponential", "lognormal", "normal")
PRESENCE = "presence"
_LAWS = {"exponential": EXPONENTIAL, "lognormal": NORMAL, "normal": NORMAL, PRESENCE: NO_WEIGHTS}
# Weights that differ by a smaller share than this are equal: sums of squares resolve no less.
_ROUNDING = 1e-10
# Half steps of the nodes' effects towards their optimum given the rest. In nearly complete graphs
# each halves the error, so that 20 leave a millionth, far below what the weights determine.
_N_EFFECT_STEPS = 20


@dataclass(frozen=True)
class Evidence:
    """The weights as sums over pairs of nodes, under one family.

    Attributes
    ----------
    stats : ndarray of shape (n_nodes, n_nodes, 4)
        Exposure, edges, standardized weights and their squares for each pair of nodes.
    weights, presence : int
        Codes of the laws of weights and edges, see `_block_kernels`.
    density : float
        Edges per exposure over the whole graph.
    constant : float
        What makes the objective a log-probability of the weights as given: the log-Jacobian of
        the scaling, and the penalty of the nodes' effects.
    """

    stats: np.ndarray
    weights: int
    presence: int
    density: float
    constant: float

    @property
    def model(self) -> tuple[int, int, float]:
        """The model, as the kernels take it."""
        return self.weights, self.presence, self.density

    def icl(self, labels: np.ndarray) -> float:
        """The integrated completed log-likelihood of a partition."""
        return float(total_score(self.stats, labels, *self.model)) + self.constant


def equal_weights(W: np.ndarray) -> bool:
    """Whether all edges of a graph have the same weight, so that only presence tells blocks."""
    weights = W[~np.isnan(W) & (W != 0)]
    return not len(weights) or bool(np.ptp(weights) <= _ROUNDING * np.abs(weights).max())


def compute_evidence(
    W: np.ndarray, family: str, labels: np.ndarray | None = None, *, degree_corrected: bool = False
) -> Evidence:
    """Compute the evidence, given the family and, with degree correction, a partition.

    Parameters
    ----------
    W : ndarray of shape (n_nodes, n_nodes)
        Symmetric; NaN marks pairs that were never seen. The diagonal is not used.
    family : {"exponential", "lognormal", "normal", "presence"}
        "presence" is the law of weights that are all equal: a point, wherever it lies.
    labels : ndarray of int of shape (n_nodes,), optional
        Blocks within which the nodes' effects are estimated; all nodes in one by default.
    degree_corrected : bool
        Whether each node has a number of edges and a strength of its own. The effects are set to
        their most likely values, with a penalty of half the logarithm of a node's edges for each.
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
        # expected edges of a pair: rate of its blocks times both nodes' effects
        exposure = exposure * effect[:, None] * effect
        constant += np.log((effect[:, None] * effect)[edges]).sum() / 2
        constant -= _bic_penalty(edges)
    x = np.zeros_like(W)
    if family != PRESENCE:
        x, jacobian = _standardize(W, family, edges, labels, degree_corrected)
        constant += jacobian - (_bic_penalty(edges) if degree_corrected else 0.0)
    stats = np.stack([exposure, edges, x, x**2], axis=-1).astype(float)
    return Evidence(stats, _LAWS[family], presence, edges.sum() / exposure.sum(), float(constant))


def _bic_penalty(edges: np.ndarray) -> float:
    """Penalty of the nodes' effects by the Bayesian information criterion: log(n) / 2 for each.

    One effect is determined by the others (a common factor belongs to the blocks): the mean of the
    penalties is taken off, so that no node is singled out.
    """
    penalties = np.log(np.maximum(edges.sum(axis=1), 1)) / 2
    return float(penalties.sum() - penalties.mean())


def _degree_effects(exposure: np.ndarray, edges: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Degree of each node over the mean of its block (n_nodes,).

    A node without edges counts half an edge, since no effect may be zero.
    """
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
        # weights divided by the nodes' factors and their mean: log-Jacobian -log of the divisors
        if degree_corrected:
            effect = _multiplicative_effects(x, edges, labels)
            x = x / (effect[:, None] * effect)
            jacobian -= np.log((effect[:, None] * effect)[edges]).sum() / 2
        scale = x[edges].mean() if n_edges else 1.0
    else:
        # (logarithms of) weights less the nodes' effects and the mean, over the standard deviation
        if degree_corrected:
            effect = _additive_effects(x, edges, labels)
            x = x - effect[:, None] - effect
        x = x - (x[edges].mean() if n_edges else 0.0)
        sd = x[edges].std() if n_edges else 0.0
        scale = sd if sd > 0 else 1.0
    return np.where(edges, x / scale, 0.0), float(jacobian - n_edges * np.log(scale))


def _additive_effects(x: np.ndarray, edges: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """What each node adds to the mean of its pair of blocks (n_nodes,), by least squares.

    The model is x_ij = m_ab + e_i + e_j for i in block a and j in block b, over edges.
    """
    members = np.eye(labels.max() + 1)[labels]
    count = np.maximum(edges.sum(axis=1), 1)
    partners = edges @ members
    pairs = np.maximum(members.T @ partners, 1)
    total = np.where(edges, x, 0.0).sum(axis=1)
    between = members.T @ np.where(edges, x, 0.0) @ members
    effect = np.zeros(len(x))
    # means m_ab given the effects, then a half step of every effect towards its own optimum given
    # the others (all at once, a whole step could overshoot)
    for _ in range(_N_EFFECT_STEPS):
        own = members.T @ (effect[:, None] * partners)
        level = (between - own - own.T) / pairs
        fit = count * effect + edges @ effect + (partners * level[labels]).sum(axis=1)
        effect += (total - fit) / (2 * count)
    return effect


def _multiplicative_effects(x: np.ndarray, edges: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The factor by which each node multiplies the mean of exponential weights (n_nodes,).

    The model is E x_ij = m_ab f_i f_j, over edges. The most likely f_i given the rest is the mean
    of x_ij / (m_ab f_j); the square root makes it a half step in the logarithm.
    """
    members = np.eye(labels.max() + 1)[labels]
    count = np.maximum(edges.sum(axis=1), 1)
    pairs = members.T @ edges @ members
    x = np.where(edges, x, 0.0)
    factor = np.ones(len(x))
    for _ in range(_N_EFFECT_STEPS):
        rest = (x @ (members / factor[:, None])) / factor[:, None]
        mean = members.T @ rest
        level = np.divide(mean, pairs, out=np.ones_like(mean), where=mean > 0)
        step = (rest / level[labels]).sum(axis=1) / count
        factor *= np.sqrt(np.where(step > 0, step, 1.0))
    return factor
