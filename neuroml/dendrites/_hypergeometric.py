r"""Logarithms of the hypergeometric and binomial laws, without cancellation.

Cross "is a synapse of the segment" with "is active": a 2 x 2 table of the population with cells
:math:`x_{ij}` and expectations :math:`e_{ij}` = row sum x column sum / n. With
:math:`\ln k! = k \ln k - k + L(k)`, the probability of the table given its margins is

.. math::

   \ln P = -\sum_{ij} D(x_{ij}, e_{ij}) + \sum L(\text{margins}) - L(n) - \sum_{ij} L(x_{ij}),
   \qquad D(x, e) = x \ln (x / e) + e - x \ge 0.

No :math:`D` is negative, so nothing large cancels, and :math:`x_{ij} - e_{ij}` is the same number
up to sign in all four cells, which integers give exactly: C. Loader's saddle-point form of the
binomial ("Fast and accurate computation of binomial probabilities", 2000) carried over to tables.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

__all__ = ["log1mexp", "log_binomial_tail", "log_choose", "log_pmf", "log_tail"]

Counts = np.ndarray | np.int64
Ratio = Callable[[np.ndarray, np.ndarray], np.ndarray]

# L(k) below 32, where Stirling's series is not exact to double precision with four terms; the first
# term left out is 1 / (1188 k^9), below 1e-16 from 32 on
_EXACT = np.array([0.0, *(math.lgamma(k + 1) - k * math.log(k) + k for k in range(1, 32))])
_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
_CHUNK = 1 << 16  # elements at a time, so that memory does not grow with the input
_NEGLIGIBLE = 1e-18  # share of the sum below which further terms change no digit of a double


def _remainder(k: np.ndarray) -> np.ndarray:
    """L(k) = ln k! - k ln k + k: from a table below 32, by Stirling's series from there."""
    x = np.maximum(k, 32).astype(np.float64)
    y = 1 / (x * x)
    # L(k) = ln(2 pi k) / 2 + 1/(12 k) - 1/(360 k^3) + 1/(1260 k^5) - 1/(1680 k^7)
    series = (1 / 12 - y * (1 / 360 - y * (1 / 1260 - y / 1680))) / x
    return np.where(k < 32, _EXACT[np.minimum(k, 31)], 0.5 * np.log(x) + _HALF_LOG_2PI + series)


def _divergence(x: np.ndarray, e: np.ndarray, d: np.ndarray) -> np.ndarray:
    """D(x, e) = x ln(1 + d / e) - d where d = x - e, with the limits e at x = 0 and 0 at e = 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(e > 0, np.where(x > 0, x * np.log1p(d / e) - d, e), 0.0)


def log_pmf(b: Counts, n: Counts, s: Counts, a: Counts) -> np.ndarray:
    """Ln P(X = b) for X ~ H(n, s, a): b of the a active cells are among the s marked ones of n.

    All arguments are int64 arrays that broadcast; b may lie outside the support (-inf).
    """
    b, n, s, a = np.broadcast_arrays(b, n, s, a)
    inside = (b >= a + s - n) & (b >= 0) & (b <= s) & (b <= a)
    b = np.where(inside, b, np.maximum(0, a + s - n))
    # deviation of the overlap from its mean s a / n, by exact integers; the same up to sign in all
    # four cells
    d = (b * n - s * a) / n
    cells = (b, s - b, a - b, n - s - a + b)
    expected = (s * a / n, s * (n - a) / n, a * (n - s) / n, (n - s) * (n - a) / n)
    # margins first, then every cell's divergence and remainder
    result = _remainder(s) + _remainder(n - s) + _remainder(a) + _remainder(n - a) - _remainder(n)
    for x, e, deviation in zip(cells, expected, (d, -d, -d, d), strict=True):
        result = result - _divergence(x, e, deviation) - _remainder(x)
    return np.where(inside, result, -np.inf)


def log_tail(theta: Counts, n: Counts, s: Counts, a: Counts) -> np.ndarray:
    """Ln P(X >= theta) for X ~ H(n, s, a), all int64 arrays that broadcast."""
    arrays = np.broadcast_arrays(theta, n, s, a)
    flat = [array.reshape(-1) for array in arrays]
    result = np.empty(flat[0].size)
    for start in range(0, result.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        result[part] = _log_tail(*(array[part] for array in flat))
    return result.reshape(arrays[0].shape)


def _log_tail(theta: np.ndarray, n: np.ndarray, s: np.ndarray, a: np.ndarray) -> np.ndarray:
    # Below the mode the other tail is summed: s - X ~ H(n, s, n - a) counts the silent synapses.
    below = theta * (n + 2) <= (s + 1) * (a + 1)
    k = np.where(below, s - theta + 1, theta)
    a = np.where(below, n - a, a)
    # the first term of the sum; the others follow from the ratio of successive terms
    lead = log_pmf(k, n, s, a)

    def ratio(b: np.ndarray, which: np.ndarray) -> np.ndarray:
        n_, s_, a_ = n[which], s[which], a[which]
        # P(b + 1) / P(b)
        return (s_ - b) * (a_ - b) / ((b + 1.0) * (n_ - s_ - a_ + b + 1.0))

    tail = _add_tail(lead, k, ratio)
    return np.where(below, log1mexp(tail), tail)


def log_binomial_tail(theta: np.ndarray, s: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Ln P(X >= theta) for X ~ Binomial(s, p) with 0 <= p <= 1; arguments broadcast."""
    theta, s, p = np.broadcast_arrays(theta, s, p)
    shape = theta.shape
    theta, s, p = theta.reshape(-1), s.reshape(-1), p.reshape(-1)
    # Below the mode the other tail is summed, that of s - X ~ Binomial(s, 1 - p).
    below = theta <= (s + 1) * p
    k = np.where(below, s - theta + 1, theta)
    p, q = np.where(below, 1 - p, p), np.where(below, p, 1 - p)
    inside = k <= s
    b = np.where(inside, k, 0)
    # Loader's form: ln P(b) = L(s) - L(b) - L(s - b) - D(b, s p) - D(s - b, s q)
    d = b - s * p
    lead = _remainder(s) - _remainder(b) - _remainder(s - b)
    lead = lead - _divergence(b, s * p, d) - _divergence(s - b, s * q, -d)
    possible = inside & ((p > 0) | (b == 0)) & ((q > 0) | (b == s))
    lead = np.where(possible, lead, -np.inf)

    def ratio(b: np.ndarray, which: np.ndarray) -> np.ndarray:
        return (s[which] - b) / (b + 1.0) * (p[which] / q[which])

    tail = _add_tail(lead, k, ratio)
    return np.where(below, log1mexp(tail), tail).reshape(shape)


def _add_tail(lead: np.ndarray, k: np.ndarray, ratio: Ratio) -> np.ndarray:
    """Ln of the sum of all terms from k on, where the term at k is exp(lead).

    ``ratio(b, which)`` is term b + 1 over term b for the elements ``which``; above the mode it
    falls with b, and at the end of the support it is zero.
    """
    # relative to the first term; in blocks of 8 to 64 terms, and only where terms still count
    total, term = np.zeros(lead.shape), np.ones(lead.shape)
    active = np.flatnonzero(np.isfinite(lead))
    offset, block = 0, 8
    while active.size:
        b = k[active] + offset + np.arange(block)[:, None]
        terms = term[active] * np.cumprod(np.maximum(ratio(b, active), 0), axis=0)
        total[active] += terms.sum(axis=0)
        term[active] = terms[-1]
        active = active[term[active] > _NEGLIGIBLE * (1 + total[active])]
        offset, block = offset + block, min(2 * block, 64)
    return np.minimum(lead + np.log1p(total), 0.0)


def log_choose(n: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Ln of the number of ways to choose k of n, 0 <= k <= n."""
    k, rest = np.asarray(k), n - k
    # ln n! / (k! (n - k)!) = -k ln(k / n) - (n - k) ln(1 - k / n) + L(n) - L(k) - L(n - k)
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = np.where(k > 0, k * np.log(n / k), 0.0)
        entropy = entropy + np.where(rest > 0, -rest * np.log1p(-k / n), 0.0)
    return entropy + _remainder(n) - _remainder(k) - _remainder(rest)


def log1mexp(x: np.ndarray) -> np.ndarray:
    """Ln(1 - exp(x)) for x <= 0, by whichever of expm1 and log1p loses no digits."""
    with np.errstate(divide="ignore"):
        return np.where(x > -math.log(2), np.log(-np.expm1(x)), np.log1p(-np.exp(x)))
