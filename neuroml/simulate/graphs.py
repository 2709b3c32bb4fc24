"""Weighted graphs with planted communities."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

import numpy as np
from scipy.optimize import brentq
from sklearn.utils import Bunch

from neuroml._core.estimator import check_option
from neuroml._core.parallel import RandomState, spawn_generators
from neuroml.exceptions import DataError

__all__ = ["LFR_SETTINGS", "make_planted_weights", "make_weighted_lfr"]

LFR_SETTINGS = MappingProxyType(
    {
        "beta=0.5": {"strength_exponent": 0.5},
        "beta=1": {"strength_exponent": 1.0},
        "beta=2": {},
        "mut=0.25": {"topology_mixing": 0.25},
        "mut=0.5": {"topology_mixing": 0.5},
        "mut=0.75": {"topology_mixing": 0.75},
        "k=10": {"mean_degree": 10.0},
        "muw=0.25": {"weight_mixing": 0.25},
        "muw=0.75": {"weight_mixing": 0.75},
    }
)
"""The nine settings of the benchmark in Dyballa et al. (2024), as arguments for
`make_weighted_lfr`; "beta=2" and "mut=0.5" are the same and differ by their seeds only."""


def make_planted_weights(
    sizes: Sequence[int] = (40, 25, 18, 10, 7),
    *,
    ratio: float = 3.0,
    n_silent: int = 1,
    family: str = "exponential",
    random_state: RandomState = None,
) -> Bunch:
    """Draw a dense symmetric matrix of weights with larger means inside the communities.

    Parameters
    ----------
    sizes : sequence of int
        Number of units in each block.
    ratio : float
        Mean weight within a community; it is one elsewhere.
    n_silent : int
        Number of blocks, the first ones, that are no communities: their mean is one inside, too.
    family : {"exponential", "lognormal", "normal"}
        Distribution of the weights. The logarithm of log-normal ones has a standard deviation of
        one, as normal ones have.
    random_state : int, RandomState, Generator or None

    Returns
    -------
    Bunch
        ``W`` (n_units, n_units) with a diagonal of zero, and ``communities`` (n_units,).

    Raises
    ------
    DataError
        If the family is unknown.

    Examples
    --------
    >>> from neuroml.simulate import make_planted_weights
    >>> make_planted_weights([5, 5], random_state=0).W.shape
    (10, 10)
    """
    draws = {
        "exponential": lambda rng, mean: rng.exponential(mean),
        "lognormal": lambda rng, mean: mean * np.exp(rng.normal(size=mean.shape) - 0.5),
        "normal": lambda rng, mean: rng.normal(mean),
    }
    check_option(family, draws, "family")
    (rng,) = spawn_generators(random_state, 1)
    communities = np.repeat(np.arange(len(sizes)), sizes)
    same = (communities[:, None] == communities) & (communities >= n_silent)
    W = np.triu(draws[family](rng, np.where(same, ratio, 1.0)), 1)
    return Bunch(W=W + W.T, communities=communities)


def make_weighted_lfr(
    n_units: int = 125,
    *,
    mean_degree: float = 25.0,
    max_degree: int = 100,
    topology_mixing: float = 0.5,
    weight_mixing: float = 0.5,
    strength_exponent: float = 2.0,
    community_sizes: tuple[int, int] | None = None,
    published: bool = False,
    random_state: RandomState = None,
) -> Bunch:
    r"""Draw a weighted graph of Lancichinetti and Fortunato (2009).

    Degrees follow a power law with exponent 2, community sizes one with exponent 1. A unit has a
    share :math:`1 - \mu_t` of its edges inside its community; its strength is
    :math:`s_i = k_i^\beta`, of which a share :math:`1 - \mu_w` lies inside. A unit spreads its
    strength evenly over its edges; proportional fitting then makes the sums agree.

    Parameters
    ----------
    n_units : int
    mean_degree : float
    max_degree : int
    topology_mixing, weight_mixing : float
        :math:`\mu_t` and :math:`\mu_w`.
    strength_exponent : float
        :math:`\beta`.
    community_sizes : tuple of int, optional
        Smallest and largest community; by default the smallest and the largest degree, as in the
        published generator.
    published : bool
        Draw communities and edges by the rules of the published generator (see Notes), with which
        a graph may have a single community.
    random_state : int, RandomState, Generator or None

    Returns
    -------
    Bunch
        ``W`` (n_units, n_units), symmetric, zero where there is no edge, and ``communities``
        (n_units,).

    Raises
    ------
    DataError
        If no power law has these degrees, or no communities of these sizes can hold the units.

    Notes
    -----
    Two units are joined at most once. Edges that cannot be placed are left out: a few in most
    graphs, more where one community holds most of the units, whose edges to the outside then
    outnumber those of all others.

    The published generator (eXascaleInfolab's LFR-Benchmark_UndirWeightOvp, which Dyballa et al.
    2024 use) draws other graphs, and so does ``published=True``: the first community is as large as
    the largest inner degree and one; others are drawn while they fit, and the smallest takes the
    units that are left. Edges to the outside that find no partner there stay inside, where they are
    lost if the two units are joined already. The random numbers are not theirs, so that single
    graphs differ.

    References
    ----------
    A. Lancichinetti and S. Fortunato (2009). Benchmarks for testing community detection algorithms
    on directed and weighted graphs with overlapping communities. Physical Review E 80, 016118.

    Examples
    --------
    >>> from neuroml.simulate import make_weighted_lfr
    >>> graph = make_weighted_lfr(random_state=0)
    >>> graph.W.shape, int(graph.communities.min())
    ((125, 125), 0)
    """
    (rng,) = spawn_generators(random_state, 1)
    smallest = _smallest_degree(n_units, mean_degree, max_degree)
    sizes = community_sizes or (max(int(smallest), 3), max_degree)
    if published:
        degrees = _whole_degrees(rng, n_units, smallest, mean_degree, max_degree)
        # inner degrees are rounded at random, so that their mean is right
        inner = (1 - topology_mixing) * degrees + rng.uniform(size=n_units)
        inside = inner.astype(int)
        communities = _published_communities(rng, inside, sizes)
    else:
        share = rng.uniform(size=n_units) * (1 / smallest - 1 / max_degree)
        degrees = np.round(1 / (1 / smallest - share)).astype(int)
        inside = np.round((1 - topology_mixing) * degrees).astype(int)
        communities = _communities(rng, inside, sizes)
    within = communities[:, None] == communities
    joined = np.zeros((n_units, n_units), dtype=bool)
    for k in range(communities.max() + 1):
        _join(rng, joined, np.where(communities == k, inside, 0), within)
    _join(rng, joined, degrees - inside, ~within)
    if published:
        kept = np.zeros_like(joined)
        _join(rng, kept, degrees - joined.sum(axis=1), within)
        joined |= kept
        degrees = joined.sum(axis=1)
    strengths = degrees.astype(float) ** strength_exponent
    W = _weights(joined & within, (1 - weight_mixing) * strengths)
    W += _weights(joined & ~within, weight_mixing * strengths)
    return Bunch(W=W, communities=communities)


def _smallest_degree(n: int, mean: float, largest: int) -> float:
    """Find the smallest degree for which a power law with exponent 2 has the given mean.

    With density c / k^2 on [a, b], the mean is log(b / a) / (1 / a - 1 / b).
    """

    def off(smallest: float) -> float:
        return float(np.log(largest / smallest) / (1 / smallest - 1 / largest) - mean)

    if not (1 < mean < largest < n) or off(1.0) > 0:
        raise DataError(
            "no power law has these degrees",
            expected=f"{off(1.0) + mean:.3g} <= mean_degree < max_degree < n_units",
            found=f"mean_degree={mean}, max_degree={largest}, n_units={n}",
            field="mean_degree",
        )
    return float(brentq(off, 1.0, largest - 1e-6))


def _whole_degrees(
    rng: np.random.Generator, n: int, smallest: float, mean: float, largest: int
) -> np.ndarray:
    """Degrees of the power law over whole numbers whose mean is the nearer one to the given."""

    def law(lowest: int) -> tuple[np.ndarray, np.ndarray]:
        degrees = np.arange(lowest, largest + 1)
        return degrees, degrees**-2.0 / (degrees**-2.0).sum()

    lowest = min(int(smallest), int(smallest) + 1, key=lambda k: abs(np.dot(*law(k)) - mean))
    degrees, probabilities = law(lowest)
    return rng.choice(degrees, size=n, p=probabilities)


def _published_communities(
    rng: np.random.Generator, inside: np.ndarray, sizes: tuple[int, int]
) -> np.ndarray:
    """Communities as the published generator draws them, see `make_weighted_lfr`."""
    n, (low, high) = len(inside), sizes
    if not 0 < low <= min(high, n):
        raise _none_fit(inside, sizes)
    possible = np.arange(low, min(high, n) + 1)
    drawn = [min(int(inside.max()) + 1, n)] if inside.max() + 1 > low else []
    while True:
        size = int(rng.choice(possible, p=1.0 / possible / (1.0 / possible).sum()))
        if sum(drawn) + size > n:
            break
        drawn.append(size)
    drawn[int(np.argmin(drawn))] += n - sum(drawn)
    while (communities := _placed(rng, inside, np.array(drawn))) is None:
        drawn.sort()
        drawn[:2] = [drawn[0] + drawn[1]]
    return communities


def _placed(rng: np.random.Generator, inside: np.ndarray, sizes: np.ndarray) -> np.ndarray | None:
    """Communities of units, each larger than its inner degree; None if one finds no place."""
    room, communities = sizes.copy(), np.full(len(inside), -1)
    for i in np.argsort(-inside, kind="stable"):
        fits = np.where(sizes > inside[i], room, 0)
        if not fits.any():
            return None
        communities[i] = rng.choice(len(sizes), p=fits / fits.sum())
        room[communities[i]] -= 1
    return communities


def _communities(
    rng: np.random.Generator, inside: np.ndarray, sizes: tuple[int, int]
) -> np.ndarray:
    """Communities with sizes of a power law with exponent 1, each larger than its units' degrees.

    Units come in falling order of degree; one without room takes a random place in a community
    that is large enough.
    """
    n = len(inside)
    low, high = sizes
    for _ in range(1000):
        drawn: list[int] = []
        while sum(drawn) < n:
            drawn.append(int(np.round(low * (high / low) ** rng.uniform())))
        drawn[-1] -= sum(drawn) - n
        if drawn[-1] < low or max(drawn) <= inside.max():
            continue
        communities = _placed(rng, inside, np.array(drawn))
        if communities is not None:
            return communities
    raise _none_fit(inside, sizes)


def _none_fit(inside: np.ndarray, sizes: tuple[int, int]) -> DataError:
    n, largest = len(inside), inside.max()
    return DataError(
        "no communities of these sizes can hold the units",
        expected=f"sizes that add up to {n} and exceed the largest inner degree {largest}",
        found=f"{sizes[0]} to {sizes[1]}",
        field="community_sizes",
    )


def _join(
    rng: np.random.Generator, joined: np.ndarray, degrees: np.ndarray, allowed: np.ndarray
) -> None:
    """Join random pairs among the allowed ones until degrees are reached, as far as possible."""
    left = degrees.copy()
    open_pairs = allowed & ~joined
    np.fill_diagonal(open_pairs, False)
    while left.any():
        i = int(rng.choice(np.flatnonzero(left == left.max())))
        partners = np.flatnonzero(open_pairs[i] & (left > 0))
        take = min(left[i], len(partners))
        if take:
            share = left[partners] / left[partners].sum()
            chosen = rng.choice(partners, size=take, replace=False, p=share)
            joined[i, chosen] = joined[chosen, i] = True
            open_pairs[i, chosen] = open_pairs[chosen, i] = False
            left[chosen] -= 1
        left[i] = 0


def _weights(joined: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """Positive weights on the edges whose sums come close to the strengths.

    As in the published generator, iterations end once one improves the squared deficit by less than
    a hundredth.
    """
    share = strengths / np.maximum(joined.sum(axis=1), 1)
    W = np.where(joined, (share[:, None] + share) / 2, 0.0)
    before, deficit = np.inf, strengths - W.sum(axis=1)
    # proportional fitting: scale rows and columns by sqrt(wanted strength / present strength)
    while (deficit**2).sum() < 0.99 * before:
        before = (deficit**2).sum()
        ratio = np.sqrt(strengths / np.maximum(W.sum(axis=1), 1e-300))
        W *= ratio[:, None] * ratio
        deficit = strengths - W.sum(axis=1)
    return W
