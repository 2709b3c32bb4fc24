"""Communities of a weighted graph by a stochastic block model."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from neuroml._core.estimator import RANDOM_STATE, Estimator, Interval, StrOptions, validated_fit
from neuroml._core.frames import Quantity, feature_labels, long_frame
from neuroml._core.iteration import FitTrace, best_restart, select_restart
from neuroml._core.parallel import RandomState, run_parallel, spawn_generators
from neuroml._core.validation import check_table
from neuroml.connectome._block_model import FAMILIES, PRESENCE, equal_weights
from neuroml.connectome._block_search import search
from neuroml.exceptions import DataError

__all__ = ["WeightedSBM"]


class WeightedSBM(Estimator):
    r"""Stochastic block model of a weighted undirected graph, with the number of blocks inferred.

    The weight between two nodes follows a law that depends on their blocks only:

    .. math::
        p(W, z) = p(z) \prod_{a \le b} \int \prod_{i \in a, j \in b}
                  p(w_{ij} \mid \theta_{ab})\, p(\theta_{ab})\, d\theta_{ab}

    A weight that is exactly zero is an absent edge, which has a probability of its own for every
    pair of blocks (zero inflation). The integral has a closed form, the exact integrated completed
    likelihood (ICL) [1]_; a search over moves of nodes and merges of blocks maximizes it from
    several starts. Without communities, there is one block. Where all edges have the same weight,
    as in a binary graph, blocks come from the presence of edges alone.

    Parameters
    ----------
    family : {"auto", "exponential", "lognormal", "normal"}, default="auto"
        Law of the weights that are not zero; "auto" takes the one with the highest ICL. It is not
        used where all of these weights are equal.
    max_blocks : int, default=20
        Maximum number of blocks.
    degree_corrected : {"auto", True, False}, default="auto"
        Whether a node has a number of edges and a strength of its own beside its block's [2]_, so
        that hubs do not form blocks by themselves. "auto" takes the one with the higher ICL.
    n_init : int, default=8
        Number of starts from the nearest of random rows, with two to ``max_blocks`` blocks, beside
        one from a single block.
    n_shuffles : int, default=10
        Number of graphs with the same weights between random pairs of nodes. Blocks are kept if
        their ICL exceeds that of a single block by more than in any of these: otherwise a law that
        does not fit the weights would find blocks in noise. With 0, the ICL alone decides.
    max_iter : int, default=100
        Maximum number of iterations of a search; one that changes no label ends it.
    nested : bool, default=False
        Whether blocks may form groups, these groups larger ones, and so on [3]_, with as many
        levels as raise the evidence. Pairs of blocks of the same pair of groups have similar
        numbers of edges and mean weights, so that small blocks can be told apart in large graphs.
        Merges and splits of blocks then continue the best search.
    n_jobs : int or None, default=None
        Number of processes, over families and shuffled graphs.
    random_state : int, RandomState, Generator or None, default=None

    Attributes
    ----------
    labels_ : ndarray of int of shape (n_nodes,)
        Block of each node; block 0 has the largest mean weight inside.
    levels_ : list of ndarray of int of shape (n_nodes,)
        ``labels_``, then the group of each node at every level above that has two groups or more;
        none without ``nested``.
    n_blocks_ : int
    icl_ : float
        Log-probability of weights and labels, with ``nested`` of all levels, on the scale of the
        weights as given.
    family_ : str
        "presence" where all edges have the same weight.
    degree_corrected_ : bool
    block_means_ : ndarray of shape (n_blocks, n_blocks)
        Mean weight, absent edges included; NaN where no pair was observed.
    coassignment_ : ndarray of shape (n_nodes, n_nodes)
        Share of the starts that put two nodes into the same block.
    candidates_ : DataFrame
        ICL and number of blocks of each family, with and without degree correction.
    shuffle_gains_ : ndarray of shape (n_shuffles,)
        How much the ICL in each shuffled graph exceeds that of a single block; empty where a single
        block has the highest ICL in the graph itself.
    gain_ : float
        The same in the graph itself.
    converged_ : bool
    n_iter_ : int
        Number of iterations of the kept search.
    n_features_in_ : int
        Number of nodes.

    Notes
    -----
    Weights are scaled to a mean of one (exponential) or to zero mean and unit variance (the others,
    log-normal ones after the logarithm). Priors: a rate of mean one; a normal mean of variance
    :math:`\sigma^2 / 0.1` and :math:`1 / \sigma^2` of shape and rate one; uniform edge
    probabilities and block shares. With degree correction and absent edges, the number of edges is
    Poisson; nodes' effects have their most likely values, with a penalty of half the logarithm of
    their number of edges each.

    References
    ----------
    .. [1] E. Côme and P. Latouche (2015). Model selection and clustering in stochastic block models
       based on the exact integrated complete data likelihood. Statistical Modelling 15(6).
    .. [2] B. Karrer and M. Newman (2011). Stochastic blockmodels and community structure in
       networks. Physical Review E 83, 016107.
    .. [3] T. Peixoto (2014). Hierarchical block structures and high-resolution model selection in
       large networks. Physical Review X 4, 011047.

    Examples
    --------
    >>> from neuroml.connectome import WeightedSBM
    >>> from neuroml.simulate import make_planted_weights
    >>> graph = make_planted_weights([20, 20, 20], ratio=4, random_state=0)
    >>> WeightedSBM(random_state=0).fit(graph.W).n_blocks_
    3
    >>> nothing = make_planted_weights([60], random_state=0)
    >>> WeightedSBM(random_state=0).fit(nothing.W).n_blocks_
    1
    """

    _parameter_constraints = {
        "family": [StrOptions({"auto", *FAMILIES})],
        "max_blocks": [Interval(Integral, 1, None, closed="left")],
        "degree_corrected": [StrOptions({"auto"}), "boolean"],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "n_shuffles": [Interval(Integral, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "nested": ["boolean"],
        "n_jobs": [Integral, None],
        "random_state": RANDOM_STATE,
    }

    def __init__(
        self,
        family: str = "auto",
        max_blocks: int = 20,
        *,
        degree_corrected: bool | str = "auto",
        n_init: int = 8,
        n_shuffles: int = 10,
        max_iter: int = 100,
        nested: bool = False,
        n_jobs: int | None = None,
        random_state: RandomState = None,
    ) -> None:
        self.family = family
        self.max_blocks = max_blocks
        self.degree_corrected = degree_corrected
        self.n_init = n_init
        self.n_shuffles = n_shuffles
        self.max_iter = max_iter
        self.nested = nested
        self.n_jobs = n_jobs
        self.random_state = random_state

    @validated_fit
    def fit(self, W: ArrayLike, y: Any = None) -> WeightedSBM:
        """Find the blocks.

        Parameters
        ----------
        W : array-like of shape (n_nodes, n_nodes)
            Symmetric weights: an array, DataFrame, DataArray, recording or torch tensor; masked
            entries are NaN. Zero is an absent edge, NaN a pair that was never observed. The
            diagonal is not used.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        DataError
            If the matrix is not symmetric, a node was never observed, or weights are negative in a
            family of positive ones.

        Warns
        -----
        NotConvergedWarning
            If the best search still changed labels after ``max_iter`` iterations.
        """
        checked = check_table(
            self, _in_one_order(W), dtype=np.float64, ensure_all_finite="allow-nan"
        )
        graph = _check_graph(checked)
        models = self._models(graph)
        model_rngs, shuffle_rngs = (
            spawn_generators(rng, n)
            for rng, n in zip(
                spawn_generators(self.random_state, 2),
                (len(models), self.n_shuffles),
                strict=True,
            )
        )
        found = list(
            self._search([(graph, *m, rng) for m, rng in zip(models, model_rngs, strict=True)])
        )
        name = type(self).__name__
        bests = [fits[best_restart(fits, name=name)] for fits in found]
        first = best_restart(bests, name=name)
        best, every = select_restart(found[first], name=name)
        self.candidates_ = pd.DataFrame(
            [
                (family, corrected, one.objective, int(one.state[0].max()) + 1)
                for (family, corrected), one in zip(models, bests, strict=True)
            ],
            columns=["family", "degree_corrected", "icl", "n_blocks"],
        )
        self.family_, self.degree_corrected_ = models[first]
        self.gain_ = _gain(every)
        self.shuffle_gains_ = np.empty(0)
        if self.gain_ > 0:
            shuffled = [(_shuffle(graph, rng), *models[first], rng) for rng in shuffle_rngs]
            self.shuffle_gains_ = np.array([_gain(fits) for fits in self._search(shuffled)])
        kept = best if self.gain_ > self.shuffle_gains_.max(initial=0.0) else _single(every)
        self._keep(graph, kept, every)
        return self

    def fit_predict(self, W: ArrayLike, y: Any = None) -> np.ndarray:
        """Fit, and return ``labels_`` (n_nodes,)."""
        return self.fit(W, y).labels_

    def _models(self, W: np.ndarray) -> list[tuple[str, bool]]:
        """Return the families to try, with and without degree correction."""
        if self.family != "auto":
            families: tuple[str, ...] = (self.family,)
        else:
            families = FAMILIES if not (W < 0).any() else ("normal",)
        if (W < 0).any() and families != ("normal",):
            raise DataError(
                f"negative weights in the {self.family} family",
                expected="weights >= 0",
                found=f"minimum {np.nanmin(W):.4g}",
                fix="Use family='normal' or 'auto'.",
                field="W",
            )
        if equal_weights(W):
            families = (PRESENCE,)
        corrections = (False, True) if self.degree_corrected == "auto" else (self.degree_corrected,)
        return [(family, bool(corrected)) for family in families for corrected in corrections]

    def _search(self, tasks: list[Any]) -> Any:
        full = [
            (W, family, corrected, self.max_blocks, self.n_init, self.max_iter, rng, self.nested)
            for W, family, corrected, rng in tasks
        ]
        return run_parallel(search, full, n_jobs=self.n_jobs)

    def _keep(
        self, W: np.ndarray, kept: FitTrace[np.ndarray], every: list[FitTrace[np.ndarray]]
    ) -> None:
        """Describe the kept partition, with blocks in the order of their mean weight inside."""
        finest = kept.state[0]
        members = np.eye(finest.max() + 1)[finest]
        seen = ~np.isnan(W)
        total = members.T @ np.where(seen, W, 0.0) @ members
        pairs = members.T @ seen @ members
        means = np.divide(total, pairs, out=np.full(total.shape, np.nan), where=pairs > 0)
        order = np.argsort(-np.where(np.isnan(np.diag(means)), -np.inf, np.diag(means)))
        self.labels_ = np.argsort(order)[finest]
        self.levels_ = [self.labels_, *(_by_first(level, self.labels_) for level in kept.state[1:])]
        self.n_blocks_ = len(order)
        self.block_means_ = means[np.ix_(order, order)]
        self.icl_ = kept.objective
        together = np.array([one.state[0][:, None] == one.state[0] for one in every])
        self.coassignment_ = np.asarray(together.mean(axis=0))
        self.converged_ = kept.converged
        self.n_iter_ = kept.n_iter

    def to_frame(self) -> pd.DataFrame:
        """Return blocks as one tidy table.

        Returns
        -------
        DataFrame
            One value per row: ``quantity``, ``node`` and ``to_node`` (names or numbers), ``block``
            and ``to_block``, ``value``. Quantities: "block" of each node, "block_mean" of each
            pair of blocks, "coassignment" of each pair of nodes.
        """
        check_is_fitted(self)
        nodes, blocks = feature_labels(self), range(self.n_blocks_)
        return long_frame(
            [
                Quantity("block", self.labels_, {"node": nodes}),
                Quantity("block_mean", self.block_means_, {"block": blocks, "to_block": blocks}),
                Quantity("coassignment", self.coassignment_, {"node": nodes, "to_node": nodes}),
            ]
        )

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = True
        tags.input_tags.allow_nan = True
        return tags


def _single(fits: list[FitTrace[np.ndarray]]) -> FitTrace[np.ndarray]:
    """The partition into one block, from which the first search starts."""
    start = fits[0].trace[0]
    one_block = np.zeros_like(fits[0].state)
    return FitTrace(one_block, (start,), converged=True, stop_reason="converged")


def _by_first(level: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Groups of blocks, numbered in the order of the first block of each."""
    first = np.array([labels[level == group].min() for group in range(level.max() + 1)])
    return np.argsort(np.argsort(first))[level]


def _gain(fits: list[FitTrace[np.ndarray]]) -> float:
    """How much the ICL of the best partition exceeds that of a single block."""
    return max(one.objective for one in fits) - fits[0].trace[0]


def _shuffle(W: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same weights between other pairs of nodes; pairs not observed stay the same."""
    i, j = np.nonzero(np.triu(~np.isnan(W), 1))
    shuffled = W.copy()
    shuffled[i, j] = shuffled[j, i] = rng.permutation(W[i, j])
    return shuffled


def _in_one_order(W: Any) -> Any:
    """A table whose rows have the names of its columns, with the rows in the columns' order."""
    named = isinstance(W, pd.DataFrame) and W.index.is_unique and W.columns.is_unique
    return W.loc[W.columns] if named and set(W.index) == set(W.columns) else W


def _check_graph(W: np.ndarray) -> np.ndarray:
    """The weights with a diagonal of NaN, if they are those of an undirected graph."""
    if W.shape[0] != W.shape[1]:
        raise DataError(
            "the weights are not a square matrix",
            expected="shape (n_nodes, n_nodes)",
            found=f"shape {W.shape}",
            field="W",
        )
    W = W.copy()
    np.fill_diagonal(W, np.nan)
    if not np.allclose(
        W, W.T, rtol=1e-6, atol=1e-8 * np.nanmax(np.abs(W), initial=0), equal_nan=True
    ):
        apart = np.where(np.isnan(W) == np.isnan(W.T), np.nan_to_num(np.abs(W - W.T)), np.inf)
        worst = np.unravel_index(np.argmax(apart), W.shape)
        i, j = (int(k) for k in worst)
        raise DataError(
            "the weights are not symmetric",
            expected="W[i, j] == W[j, i]",
            found=f"W[{i}, {j}] = {W[i, j]:.6g}, W[{j}, {i}] = {W[j, i]:.6g}",
            fix="Use (W + W.T) / 2 if direction does not matter, and NaN on both sides for a pair "
            "that was not observed.",
            field="W",
        )
    lost = np.flatnonzero(np.isnan(W).all(axis=1))
    if len(lost):
        raise DataError(
            "nodes were never observed",
            expected="an observed pair (not NaN) for every node, so at least two nodes",
            found=f"none for {lost[:10].tolist()} among the nodes (n_samples={len(W)})",
            fix="Leave these nodes out.",
            field="W",
        )
    return (W + W.T) / 2
