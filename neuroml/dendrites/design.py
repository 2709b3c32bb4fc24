"""Design of segments by the theory: thresholds, numbers of synapses and of patterns.

Notation as in `neuroml.dendrites.theory`. Where no answer exists the functions return -1, which
everything that takes a count refuses.
"""

from __future__ import annotations

from itertools import product
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from neuroml._core.estimator import check_option
from neuroml.dendrites._counts import LARGEST_COUNT, check_counts, check_matching, check_probability
from neuroml.dendrites.theory import bank_false_match, false_match, false_negative, largest
from neuroml.dendrites.unions import UNION_METHODS, union_false_match
from neuroml.exceptions import DataError

__all__ = ["capacity", "min_synapses", "optimal_threshold", "sweep", "union_capacity"]

Ints = np.int64 | np.ndarray
Holds = np.bool_ | np.ndarray
UnionMethod = Literal["exact", "plugin", "bloom"]


def optimal_threshold(
    n: ArrayLike,
    s: ArrayLike,
    a: ArrayLike,
    *,
    max_false_match: float,
    M: ArrayLike = 1,
    v: ArrayLike = 0,
    max_false_negative: float = 0.0,
) -> Ints:
    """Find the lowest threshold that keeps false matches rare, if it tolerates the noise.

    Parameters
    ----------
    n, s, a : int or array-like of int
        Cells, synapses, active cells.
    max_false_match : float
        Maximum probability that any of the ``M`` segments matches a random pattern.
    M : int or array-like of int, default=1
        Number of segments.
    v : int or array-like of int, default=0
        Number of swapped cells of the pattern that the segment has to tolerate.
    max_false_negative : float, default=0.0
        Maximum probability of a miss with ``v`` swapped cells.

    Returns
    -------
    int or ndarray of int
        The threshold, or -1 where none meets both limits. A lower threshold has fewer misses, so
        if this one fails, all fail.

    Raises
    ------
    DataError
        If an argument is no count, a limit no probability, s > n or a > n; with noise also if
        s > a or v > a.

    Examples
    --------
    >>> from neuroml.dendrites import optimal_threshold
    >>> print(optimal_threshold(n=10_000, s=30, a=[100, 300, 1000], max_false_match=1e-9))
    [ 8 11 17]
    """
    n, s, a, M, v = check_counts(n=n, s=s, a=a, M=M, v=v)
    log_limit = _log_limit(max_false_match)

    def too_frequent(theta: np.ndarray) -> Holds:
        p = false_match(np.minimum(theta, s), n, s, a, log=True)
        return bank_false_match(p, M, log=True) > log_limit

    theta = 1 + largest(too_frequent, np.zeros_like(s), s)
    feasible = theta <= s
    if np.any(v > 0):
        misses = false_negative(np.minimum(theta, s), s, a, v)
        feasible &= misses <= check_probability(max_false_negative, "max_false_negative")
    return np.where(feasible, theta, -1)[()]


def min_synapses(
    n: ArrayLike,
    a: ArrayLike,
    *,
    max_false_match: float,
    M: ArrayLike = 1,
    v: ArrayLike = 0,
    max_false_negative: float = 0.0,
) -> Ints:
    """Find the minimum number of synapses for which some threshold meets both limits.

    Parameters
    ----------
    n, a : int or array-like of int
        Cells and active cells.
    max_false_match, M, v, max_false_negative
        As in `optimal_threshold`, which gives the threshold to use with them.

    Returns
    -------
    int or ndarray of int
        At most a; -1 where no number is enough.

    Raises
    ------
    DataError
        As `optimal_threshold`.

    Examples
    --------
    >>> from neuroml.dendrites import min_synapses
    >>> limits = dict(max_false_match=1e-9, max_false_negative=0.01)
    >>> print(min_synapses(n=10_000, a=200, v=[0, 40, 80], **limits))
    [ 6 14 23]
    """
    n, a, M, v = check_counts(n=n, a=a, M=M, v=v)
    result = np.empty(n.shape, dtype=np.int64)
    for where in np.ndindex(n.shape):
        s = np.arange(1, int(a[where]) + 1)
        thresholds = (
            optimal_threshold(
                n[where],
                s,
                a[where],
                max_false_match=max_false_match,
                M=M[where],
                v=v[where],
                max_false_negative=max_false_negative,
            )
            if len(s)
            else s
        )
        enough = np.flatnonzero(thresholds >= 0)
        result[where] = s[enough[0]] if len(enough) else -1
    return result[()]


def capacity(
    theta: ArrayLike, n: ArrayLike, s: ArrayLike, a: ArrayLike, *, max_false_match: float
) -> Ints:
    """Find the maximum number of segments, one pattern each, with few enough false matches.

    Parameters
    ----------
    theta : int or array-like of int
        Threshold.
    n, s, a : int or array-like of int
        Cells, synapses, active cells.
    max_false_match : float
        Maximum probability that any segment matches a random pattern (eq. 8).

    Returns
    -------
    int or ndarray of int
        At most 3,000,000,000.

    Raises
    ------
    DataError
        If an argument is no count, s > n, a > n, or theta > s.

    Examples
    --------
    >>> from neuroml.dendrites import capacity
    >>> print(capacity(15, n=10_000, s=30, a=300, max_false_match=1e-9))
    953114
    """
    p = np.asarray(false_match(theta, n, s, a, log=True))
    log_limit = _log_limit(max_false_match)
    return largest(
        lambda M: bank_false_match(p, M, log=True) <= log_limit,
        np.zeros(p.shape, dtype=np.int64),
        np.full(p.shape, LARGEST_COUNT),
    )[()]


def union_capacity(
    theta: ArrayLike,
    n: ArrayLike,
    s: ArrayLike,
    a: ArrayLike,
    *,
    max_false_match: float,
    method: UnionMethod = "exact",
) -> Ints:
    """Find the maximum number of patterns that one segment can store with few enough false matches.

    Parameters
    ----------
    theta : int or array-like of int
        Threshold.
    n, s, a : int or array-like of int
        Cells, synapses per pattern, active cells.
    max_false_match : float
        Maximum probability that the segment matches a random pattern.
    method : {"exact", "plugin", "bloom"}, default="exact"
        As in `union_false_match`.

    Returns
    -------
    int or ndarray of int
        At most 3,000,000,000, which is reached where a pattern is too small to match at all.

    Raises
    ------
    DataError
        As `union_false_match`.

    Examples
    --------
    >>> from neuroml.dendrites import union_capacity
    >>> print(union_capacity(15, n=20_000, s=25, a=100, max_false_match=1e-9))
    15
    """
    check_option(method, UNION_METHODS, "method")
    arrays = check_matching(theta, n, s, a)
    log_limit = _log_limit(max_false_match)
    result = np.empty(arrays[0].shape, dtype=np.int64)
    for where in np.ndindex(result.shape):
        theta_, n_, s_, a_ = (int(array[where]) for array in arrays)
        result[where] = _union_capacity(theta_, n_, s_, a_, log_limit, method)
    return result[()]


def _union_capacity(
    theta: int, n: int, s: int, a: int, log_limit: float, method: UnionMethod
) -> np.ndarray:
    if theta > a:
        return np.asarray(LARGEST_COUNT)

    def fits(M: ArrayLike) -> Holds:
        return union_false_match(theta, n, s, a, M, method=method, log=True) <= log_limit

    # double the number until it is too large, then bisect
    high = 1
    while fits(high) and high < LARGEST_COUNT:
        high *= 2
    return largest(fits, np.asarray(high // 2), np.asarray(high))


def sweep(
    *,
    n: ArrayLike,
    s: ArrayLike,
    a: ArrayLike,
    theta: ArrayLike,
    v: ArrayLike | None = None,
    M: ArrayLike | None = None,
) -> pd.DataFrame:
    """Tabulate the theory over every combination of parameters.

    Parameters
    ----------
    n, s, a, theta : int or array-like of int
        Cells, synapses, active cells, threshold.
    v : int or array-like of int, optional
        Swapped cells: adds the column ``false_negative``.
    M : int or array-like of int, optional
        Adds ``bank_false_match``, for M segments, and ``union_false_match``, for M patterns on one
        segment (plug-in).

    Returns
    -------
    DataFrame
        One row per combination with theta <= s <= a <= n (and v <= a): the parameters,
        ``activity`` = a / n, ``false_match``, ``log10_false_match``, and the columns named above.

    Raises
    ------
    DataError
        If an argument is no count.

    Examples
    --------
    >>> from neuroml.dendrites import sweep
    >>> sweep(n=2000, s=20, a=40, theta=[8, 10])[["theta", "activity", "false_match"]]
       theta  activity   false_match
    0      8      0.02  1.301736e-09
    1     10      0.02  4.943631e-13
    """
    given = {"n": n, "s": s, "a": a, "theta": theta, "v": v, "M": M}
    axes = {
        name: np.ravel(check_counts(**{name: value})[0])
        for name, value in given.items()
        if value is not None
    }
    table = pd.DataFrame(product(*axes.values()), columns=list(axes))
    valid = (table.theta <= table.s) & (table.s <= table.a) & (table.a <= table.n)
    if v is not None:
        valid &= table.v <= table.a
    if not valid.any():
        raise DataError(
            "no combination makes sense", expected="theta <= s <= a <= n, and v <= a in one of them"
        )
    table = table[valid].reset_index(drop=True)
    c = {name: table[name].to_numpy() for name in axes}
    table["activity"] = c["a"] / c["n"]
    logp = false_match(c["theta"], c["n"], c["s"], c["a"], log=True)
    table["false_match"] = np.exp(logp)
    table["log10_false_match"] = logp / np.log(10)
    if v is not None:
        table["false_negative"] = false_negative(c["theta"], c["s"], c["a"], c["v"])
    if M is not None:
        table["bank_false_match"] = np.exp(bank_false_match(logp, c["M"], log=True))
        table["union_false_match"] = union_false_match(
            c["theta"], c["n"], c["s"], c["a"], c["M"], method="plugin"
        )
    return table


def _log_limit(max_false_match: float) -> float:
    with np.errstate(divide="ignore"):
        return float(np.log(check_probability(max_false_match, "max_false_match")))
