"""How reliably a segment recognizes a sparse pattern: the theory of Ahmad and Hawkins, exactly.

Everywhere ``n`` is the size of the population, ``a`` the number of active cells, ``s`` the number
of synapses on the segment, ``theta`` its threshold. A segment matches if at least ``theta`` of its
synapses are active. The theory assumes that the active cells are drawn uniformly and
independently, that synapses are binary and that the segment's synapses are a subset of one
pattern; correlated activity raises the rates of false matches (see
`neuroml.dendrites.recorded_false_match`).

All functions take integers or arrays of integers that broadcast, return floats or float64 arrays,
and have ``log=True`` for natural logarithms, which do not underflow. The error of a logarithm is
below 1e-11.

References
----------
S. Ahmad, J. Hawkins (2016). How do neurons operate on sparse distributed representations? A
mathematical theory of sparsity, neurons and active dendrites. arXiv:1601.00720. Equation numbers
refer to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from neuroml._core.estimator import check_option
from neuroml.dendrites._counts import (
    check_counts,
    check_matching,
    check_missing,
    check_population,
    check_probability,
)
from neuroml.dendrites._hypergeometric import (
    log1mexp,
    log_binomial_tail,
    log_choose,
    log_pmf,
    log_tail,
)

__all__ = [
    "FalseAlarms",
    "bank_false_match",
    "exact_match",
    "false_alarms",
    "false_match",
    "false_negative",
    "noise_tolerance",
    "overlap_pmf",
]

Floats = np.float64 | np.ndarray
_TINY_BOUND = -37.0  # ln of about half the spacing of doubles at one


def largest(
    holds: Callable[[np.ndarray], np.ndarray | np.bool_], low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """Find the largest integers in [low, high] with a property, by bisection.

    ``holds`` must be true at ``low``, and false for all integers above the largest one.
    """
    while np.any(low < high):
        middle = (low + high + 1) // 2
        fine = holds(middle)
        low, high = np.where(fine, middle, low), np.where(fine, high, middle - 1)
    return low


def overlap_pmf(
    b: ArrayLike, n: ArrayLike, s: ArrayLike, a: ArrayLike, *, log: bool = False
) -> Floats:
    r"""Compute the probability that exactly ``b`` synapses of a segment are active.

    .. math:: P(X = b) = \binom{s}{b} \binom{n - s}{a - b} \Big/ \binom{n}{a}   \qquad (2, 3)

    Parameters
    ----------
    b : int or array-like of int
        The overlap.
    n, s, a : int or array-like of int
        Cells, synapses, active cells.
    log : bool, default=False
        Return the natural logarithm.

    Returns
    -------
    float or ndarray

    Raises
    ------
    DataError
        If an argument is no count, or s > n, or a > n.

    Examples
    --------
    >>> from neuroml.dendrites import overlap_pmf
    >>> overlap_pmf([0, 1, 2], n=10, s=2, a=5).round(4)
    array([0.2222, 0.5556, 0.2222])
    """
    b, n, s, a = check_counts(b=b, n=n, s=s, a=a)
    check_population(n, s, a)
    return _result(log_pmf(b, n, s, a), log)


def false_match(
    theta: ArrayLike,
    n: ArrayLike,
    s: ArrayLike,
    a: ArrayLike,
    *,
    method: Literal["exact", "binomial", "bound"] = "exact",
    log: bool = False,
) -> Floats:
    r"""Compute the probability that a segment matches a random pattern it was not made for.

    .. math:: P(X \ge \theta) = \sum_{b = \theta}^{\min(s, a)}
              \binom{s}{b} \binom{n - s}{a - b} \Big/ \binom{n}{a}   \qquad (4)

    Parameters
    ----------
    theta : int or array-like of int
        Threshold.
    n, s, a : int or array-like of int
        Cells, synapses, active cells.
    method : {"exact", "binomial", "bound"}, default="exact"
        "binomial" takes every synapse as active with probability a / n independently of the
        others, which overestimates, the more so the denser the segment. "bound" is the union bound
        over all sets of theta synapses.
    log : bool, default=False
        Return the natural logarithm.

    Returns
    -------
    float or ndarray

    Raises
    ------
    DataError
        If an argument is no count, or s > n, a > n, or theta > s.

    Examples
    --------
    >>> from neuroml.dendrites import false_match
    >>> print(f"{false_match(12, n=4000, s=24, a=128):.5g}")
    1.3432e-12
    >>> print(f"{false_match(100, n=200_000, s=100, a=200, log=True):.6f}")
    -721.089899
    """
    check_option(method, ("exact", "binomial", "bound"), "method")
    theta, n, s, a = check_matching(theta, n, s, a)
    if method == "exact":
        value = log_tail(theta, n, s, a)
    elif method == "binomial":
        value = log_binomial_tail(theta, s, a / n)
    else:
        value = np.minimum(log_choose(s, theta) + log_pmf(theta, n, theta, a), 0.0)
    return _result(value, log)


def exact_match(n: ArrayLike, s: ArrayLike, a: ArrayLike, *, log: bool = False) -> Floats:
    r"""Compute the probability that all synapses of a segment are active in a random pattern.

    :math:`\binom{n - s}{a - s} / \binom{n}{a} \approx (a / n)^s`: `false_match` at theta = s.

    Parameters
    ----------
    n, s, a : int or array-like of int
        Cells, synapses, active cells.
    log : bool, default=False

    Returns
    -------
    float or ndarray

    Examples
    --------
    >>> from neuroml.dendrites import exact_match
    >>> print(f"{exact_match(n=200_000, s=10, a=2000):.6g}")
    9.77936e-21
    """
    return false_match(s, n, s, a, log=log)


def false_negative(
    theta: ArrayLike, s: ArrayLike, a: ArrayLike, v: ArrayLike, *, log: bool = False
) -> Floats:
    r"""Compute the probability that a segment misses its own pattern with ``v`` cells swapped.

    Swapping ``v`` active cells for inactive ones takes :math:`L \sim H(a, s, v)` synapses away,
    and the segment fails if fewer than ``theta`` remain; the size of the population drops out.

    .. math:: P(L \ge s - \theta + 1) = \sum_{b = s - \theta + 1}^{\min(s, v)}
              \binom{s}{b} \binom{a - s}{v - b} \Big/ \binom{a}{v}   \qquad (5, 6)

    Parameters
    ----------
    theta : int or array-like of int
        Threshold.
    s, a : int or array-like of int
        Synapses (a subset of the pattern) and active cells.
    v : int or array-like of int
        Swapped cells.
    log : bool, default=False

    Returns
    -------
    float or ndarray
        Exactly zero where v <= s - theta.

    Raises
    ------
    DataError
        If an argument is no count, or theta > s, s > a, or v > a.

    Examples
    --------
    >>> from neuroml.dendrites import false_negative
    >>> print(false_negative(12, s=30, a=128, v=[18, 32]))
    [0.00000000e+00 2.16302525e-07]
    """
    theta, s, a, v = check_missing(theta, s, a, v)
    return _result(log_tail(s - theta + 1, a, s, v), log)


def noise_tolerance(
    theta: ArrayLike, s: ArrayLike, a: ArrayLike, max_false_negative: float = 0.0
) -> np.int64 | np.ndarray:
    """Find the maximum number of swapped cells with which a segment still recognizes its pattern.

    Parameters
    ----------
    theta, s, a : int or array-like of int
        Threshold, synapses, active cells.
    max_false_negative : float, default=0.0
        Maximum probability of a miss; with 0 the result is s - theta, the worst case.

    Returns
    -------
    int or ndarray of int

    Examples
    --------
    >>> from neuroml.dendrites import noise_tolerance
    >>> print(noise_tolerance(12, s=24, a=128), noise_tolerance(12, 24, 128, 0.01))
    12 40
    """
    theta, s, a, _ = check_missing(theta, s, a, 0)
    limit = check_probability(max_false_negative, "max_false_negative")
    return largest(lambda v: false_negative(theta, s, a, v) <= limit, s - theta, a)[()]


def bank_false_match(
    p: ArrayLike,
    M: ArrayLike,
    *,
    method: Literal["exact", "bound"] = "exact",
    log: bool = False,
) -> Floats:
    r"""Compute the probability that at least one of ``M`` independent segments matches falsely.

    .. math:: 1 - (1 - p)^M \quad (8) \qquad \text{or its bound} \quad M p \quad (9)

    Parameters
    ----------
    p : float or array-like
        Probability for one segment, from `false_match`; its natural logarithm if ``log``.
    M : int or array-like of int
        Number of segments.
    method : {"exact", "bound"}, default="exact"
        The bound is useful only while M p is far below one.
    log : bool, default=False
        Take and return natural logarithms.

    Returns
    -------
    float or ndarray

    Raises
    ------
    DataError
        If p is not a probability or M not a count.

    Examples
    --------
    >>> from neuroml.dendrites import bank_false_match, false_match
    >>> p = false_match(15, n=10_000, s=30, a=300)
    >>> print(f"{bank_false_match(p, 1_000_000):.5g}")
    1.0492e-09
    """
    check_option(method, ("exact", "bound"), "method")
    (M,) = check_counts(M=M)
    p = check_probability(p, "p", log=log)
    with np.errstate(divide="ignore", invalid="ignore"):
        logp = p if log else np.log(p)
        bound = np.where(M > 0, logp + np.log(M), -np.inf)
        if method == "exact":
            # 1 - (1 - p)^M; below e^-37 it equals M p to double precision, where 1 - p would not
            none = np.where(M > 0, M * log1mexp(logp), 0.0)
            value = np.where(bound < _TINY_BOUND, bound, log1mexp(none))
        else:
            value = np.minimum(bound, 0.0)
    return _result(value, log)


class FalseAlarms(NamedTuple):
    """False alarms in a network that receives one random pattern after another.

    Attributes
    ----------
    per_cell : float or ndarray
        Probability that one cell is driven falsely by a pattern.
    per_network : float or ndarray
        Probability that any cell is.
    expected_cells : float or ndarray
        Mean number of such cells per pattern.
    patterns_between : float or ndarray
        Mean number of patterns from one with a false alarm to the next.
    """

    per_cell: Floats
    per_network: Floats
    expected_cells: Floats
    patterns_between: Floats


def false_alarms(p: ArrayLike, segments_per_cell: ArrayLike, n_cells: ArrayLike) -> FalseAlarms:
    """Compute rates of false alarms per cell and per network from the probability per segment.

    Parameters
    ----------
    p : float or array-like
        Probability of a false match for one segment.
    segments_per_cell, n_cells : int or array-like of int
        Number of segments of a cell, any one of which drives it, and number of cells.

    Returns
    -------
    FalseAlarms

    Examples
    --------
    >>> from neuroml.dendrites import false_alarms, false_match
    >>> rates = false_alarms(false_match(10, n=10_000, s=20, a=200), 128, n_cells=10_000)
    >>> print(f"{rates.per_cell:.3g} {rates.patterns_between:.0f}")
    1.63e-10 615127
    """
    segments, cells = check_counts(segments_per_cell=segments_per_cell, n_cells=n_cells)
    per_cell = bank_false_match(p, segments)
    per_network = bank_false_match(per_cell, cells)
    with np.errstate(divide="ignore"):
        between = np.divide(1.0, per_network)
    return FalseAlarms(per_cell, per_network, (cells * per_cell)[()], between[()])


def _result(value: np.ndarray, log: bool) -> Floats:
    return value[()] if log else np.exp(value)[()]
