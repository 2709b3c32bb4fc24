"""Several patterns on one segment: the distribution of their union's size, and false matches.

A segment that stores ``M`` random patterns with ``s`` synapses each holds their union, a Bloom
filter. Notation as in `neuroml.dendrites.theory`.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from neuroml._core.estimator import check_option
from neuroml.dendrites._counts import check_counts, check_matching, check_population
from neuroml.dendrites._hypergeometric import log_binomial_tail, log_pmf, log_tail
from neuroml.dendrites.theory import Floats
from neuroml.exceptions import DataError

__all__ = ["union_false_match", "union_size_mean", "union_size_pmf"]

UNION_METHODS = ("exact", "plugin", "bloom")
_LARGEST_TABLE = 2 * 10**8  # entries of eight bytes: 1.6 GB


def union_size_mean(n: ArrayLike, s: ArrayLike, M: ArrayLike) -> Floats:
    r"""Compute the mean number of synapses in the union of ``M`` random sets of ``s``.

    .. math:: E|X| = n \left(1 - (1 - s / n)^M\right)   \qquad (13)

    Parameters
    ----------
    n, s, M : int or array-like of int
        Cells, synapses per pattern, patterns.

    Returns
    -------
    float or ndarray

    Raises
    ------
    DataError
        If an argument is no count, or s > n.

    Examples
    --------
    >>> from neuroml.dendrites import union_size_mean
    >>> print(f"{union_size_mean(n=1000, s=20, M=10):.3f}")
    182.927
    """
    n, s, M = check_counts(n=n, s=s, M=M)
    check_population(n, s, np.zeros_like(n))
    return (n * _share(n, s, M))[()]


def union_size_pmf(n: int, s: int, M: int, *, log: bool = False) -> np.ndarray:
    r"""Compute the exact law of the size of the union of ``M`` random sets of ``s`` out of ``n``.

    Each further set adds :math:`J \sim H(n, n - k, s)` new members to a union of size k, so the
    size is a Markov chain; its law after M steps is found by M steps of that chain.

    Parameters
    ----------
    n, s, M : int
        Cells, synapses per pattern, patterns.
    log : bool, default=False
        Return natural logarithms. Sizes less likely than 1e-300 count as impossible.

    Returns
    -------
    ndarray of shape (min(n, s * M) + 1,)
        Probability of the sizes 0, 1, ...

    Raises
    ------
    DataError
        If an argument is no count, s > n, or the chain's table would not fit in memory.

    Examples
    --------
    >>> from neuroml.dendrites import union_size_pmf
    >>> union_size_pmf(n=4, s=2, M=2).round(4)
    array([0.    , 0.    , 0.1667, 0.6667, 0.1667])
    """
    cells, synapses, patterns = check_counts(n=n, s=s, M=M)
    check_population(cells, synapses, np.zeros_like(cells))
    if cells.ndim:
        raise DataError("union_size_pmf gives one law", expected="n, s, M as single integers")
    pmf = _size_law(int(cells), int(synapses), int(patterns))
    with np.errstate(divide="ignore"):
        return np.log(pmf) if log else pmf


def union_false_match(
    theta: ArrayLike,
    n: ArrayLike,
    s: ArrayLike,
    a: ArrayLike,
    M: ArrayLike,
    *,
    method: Literal["exact", "plugin", "bloom"] = "exact",
    log: bool = False,
) -> Floats:
    r"""Compute the probability that a segment which stores ``M`` patterns matches a random one.

    Storing the patterns in one union of the *activity* (several patterns active at once, one
    pattern on the segment) has the same law with ``s`` and ``a`` exchanged.

    Parameters
    ----------
    theta : int or array-like of int
        Threshold.
    n, s, a, M : int or array-like of int
        Cells, synapses per pattern, active cells, stored patterns.
    method : {"exact", "plugin", "bloom"}, default="exact"
        "exact" averages eq. 4 over the law of the union's size. "plugin" puts the rounded mean size
        into eq. 4 (eq. 14), a few per cent off. "bloom" takes every active cell as stored with
        probability :math:`q = 1 - (1 - s/n)^M`, independently of the others: with theta = a this
        is :math:`q^a` (eq. 12).
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
    >>> from neuroml.dendrites import union_false_match
    >>> for method in ("exact", "plugin"):
    ...     print(f"{union_false_match(15, n=20_000, s=25, a=100, M=10, method=method):.4g}")
    1.698e-12
    1.735e-12
    """
    check_option(method, UNION_METHODS, "method")
    theta, n, s, a, M = check_matching(theta, n, s, a, M=M)
    if method == "exact":
        value = _mixture(theta, n, s, a, M)
    elif method == "plugin":
        value = log_tail(theta, n, np.rint(n * _share(n, s, M)).astype(np.int64), a)
    else:
        value = log_binomial_tail(theta, a, _share(n, s, M))
    return value[()] if log else np.exp(value)[()]


def _share(n: np.ndarray, s: np.ndarray, M: np.ndarray) -> np.ndarray:
    """Probability that a given cell is in the union, 1 - (1 - s/n)^M."""
    with np.errstate(divide="ignore", invalid="ignore"):
        # without the loss of digits of 1 - (1 - x) for small s / n
        return np.where(M > 0, -np.expm1(M * np.log1p(-s / n)), 0.0)


def _size_law(n: int, s: int, M: int) -> np.ndarray:
    """`union_size_pmf` of checked integers."""
    sizes = np.arange(min(n, s * M) + 1)
    if len(sizes) * (s + 1) > _LARGEST_TABLE:
        raise DataError(
            "the exact law of the union's size needs too large a table",
            expected=f"(size of the union) x (synapses) <= {_LARGEST_TABLE}",
            found=f"{len(sizes)} x {s + 1}",
            fix="Use method='plugin'.",
        )
    new = np.arange(s + 1)[:, None]
    # P(j new members | size k), j ~ H(n, n - k, s)
    step = np.exp(log_pmf(new, np.int64(n), n - sizes, np.int64(s)))
    law = np.zeros(len(sizes))
    law[0] = 1.0
    for _ in range(M):
        # p'(k + j) += p(k) P(j | k), over the sizes that are possible so far
        possible = np.flatnonzero(law)
        low, high = possible[0], possible[-1] + 1
        following = np.zeros_like(law)
        for j in range(min(s, len(sizes) - low - 1) + 1):
            stop = min(high, len(sizes) - j)
            following[low + j : stop + j] += law[low:stop] * step[j, low:stop]
        law = following
    return law


def _mixture(
    theta: np.ndarray, n: np.ndarray, s: np.ndarray, a: np.ndarray, M: np.ndarray
) -> np.ndarray:
    """Ln of the mean of eq. 4 over the sizes of the union, element by element."""
    result = np.empty(theta.shape)
    laws: dict[tuple[int, int, int], np.ndarray] = {}
    for where in np.ndindex(theta.shape):
        key = (int(n[where]), int(s[where]), int(M[where]))
        if key not in laws:
            laws[key] = _size_law(*key)
        sizes = np.flatnonzero(laws[key])
        terms = log_tail(theta[where], n[where], sizes, a[where]) + np.log(laws[key][sizes])
        # log-sum-exp
        largest = terms.max()
        with np.errstate(divide="ignore"):
            result[where] = (
                largest + np.log(np.exp(terms - largest).sum()) if largest > -np.inf else -np.inf
            )
    return np.minimum(result, 0.0)
