r"""Log-likelihoods of single observations given a linear predictor, and their derivatives.

Every family here has, for one observation, :math:`\log p(y|\eta) = v(y, \eta) + c(y)`. The loops
below evaluate v for all observations and states, and v, :math:`\partial v/\partial\eta` and a
Hessian :math:`h \ge 0` close to :math:`-\partial^2 v/\partial\eta^2` for weighted ones. Units come
first and bins second, so that loops run over contiguous bins on vectors. For the same reason exp
and log are polynomials here: a call of libm would keep a loop off vectors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from neuroml.switching._kernels.compiled import compiled

__all__ = [
    "LIKELIHOODS",
    "CountKernels",
    "Kernels",
    "count_kernels",
    "exp_in_place",
    "kernels",
]

LIKELIHOODS = {
    "poisson exp": 0,
    "poisson softplus": 1,
    "poisson sigmoid": 2,
    "bernoulli": 3,
    "negative_binomial": 4,
}
# Below it log(1 + e^eta) is e^eta in float64 (e^-36 is 2e-16), so that its logarithm is eta.
_LOG_OF_SOFTPLUS_IS_LINEAR = -36.0
# Keeps the Hessian of a weighted regression invertible where the link is saturated; far below what
# any observation adds that can still change its weight.
_FLATTEST = 1e-12
_SIGN_AND_MANTISSA = np.int64(0x000FFFFFFFFFFFFF)
_EXPONENT_OF_ONE = np.int64(0x3FF0000000000000)
_SQRT_TWO = math.sqrt(2.0)
_TO_INTEGER = 1.5 * 2.0**52  # float64 from here on are integers, one unit apart


@compiled(reorder=False)
def exp(x: float) -> float:
    """Exponential, to a few units in the last place; x is clamped to [-708, 709]."""
    x = min(max(x, -708.0), 709.0)  # where 2^n below is a normal number
    # x = n log 2 + r with |r| <= log(2) / 2; log 2 in two parts, so that r is exact. Adding
    # `_TO_INTEGER` rounds, and leaves n in the last bits: conversions between integers and
    # floats, which AVX2 does not have for vectors, would keep loops off them.
    shifted = x * 1.4426950408889634 + _TO_INTEGER
    n = shifted - _TO_INTEGER
    r = (x - n * 6.93145751953125e-1) - n * 1.42860682030941723212e-6
    # Taylor series of exp(r) to 1 / 13!, then 2^n by way of the exponent's bits.
    p = 1.0 / 6227020800.0
    p = p * r + 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    p = p * r * r + r + 1.0
    return p * np.int64((np.float64(shifted).view(np.int64) + 1023) << 52).view(np.float64)


@compiled()
def exp_in_place(values: np.ndarray) -> None:
    """Replace every entry of a vector by its exponential; faster than numpy's."""
    for i in range(len(values)):
        values[i] = exp(values[i])


@compiled(reorder=False)
def _two_artanh(s: float) -> float:
    """log((1 + s) / (1 - s)) for |s| <= 1/3, by its series."""
    z = s * s
    # (1/3)^34 is below a unit in the last place.
    p = 1.0 / 33.0
    p = p * z + 1.0 / 31.0
    p = p * z + 1.0 / 29.0
    p = p * z + 1.0 / 27.0
    p = p * z + 1.0 / 25.0
    p = p * z + 1.0 / 23.0
    p = p * z + 1.0 / 21.0
    p = p * z + 1.0 / 19.0
    p = p * z + 1.0 / 17.0
    p = p * z + 1.0 / 15.0
    p = p * z + 1.0 / 13.0
    p = p * z + 1.0 / 11.0
    p = p * z + 1.0 / 9.0
    p = p * z + 1.0 / 7.0
    p = p * z + 1.0 / 5.0
    p = p * z + 1.0 / 3.0
    return 2.0 * s * (p * z + 1.0)


@compiled(reorder=False)
def log1p_unit(u: float) -> float:
    """log(1 + u) for 0 <= u <= 1."""
    return _two_artanh(u / (2.0 + u))


@compiled(reorder=False)
def log(x: float) -> float:
    """Natural logarithm of a normal x > 0."""
    # x = m 2^n with m between sqrt(1/2) and sqrt(2); then log m by the series.
    bits = np.float64(x).view(np.int64)
    n = (bits >> 52) - 1023
    m = np.int64((bits & _SIGN_AND_MANTISSA) | _EXPONENT_OF_ONE).view(np.float64)
    if m > _SQRT_TWO:
        m *= 0.5
        n += 1
    return n * 0.6931471805599453 + _two_artanh((m - 1.0) / (m + 1.0))


@compiled(reorder=False)
def value(likelihood: int, y: float, eta: float, r: float) -> float:
    """The part of log p(y | eta) that depends on eta; ``r`` is 1 / dispersion."""
    if likelihood == 0:
        return y * eta - exp(eta)
    u = exp(-abs(eta))
    softplus = max(eta, 0.0) + log1p_unit(u)  # without overflow: log(1 + e^eta)
    if likelihood == 1:
        log_rate = eta if eta < _LOG_OF_SOFTPLUS_IS_LINEAR else log(softplus)
        return y * log_rate - softplus
    if likelihood == 2:
        rate = (1.0 if eta > 0 else u) / (1.0 + u)
        return y * (eta - softplus) - rate
    if likelihood == 3:
        return y * eta - softplus
    centered = eta - log(r)
    u = exp(-abs(centered))
    return y * eta - (y + r) * (max(centered, 0.0) + log1p_unit(u))


@compiled(reorder=False)
def derivatives(likelihood: int, y: float, eta: float, r: float) -> tuple[float, float, float]:
    """Value v, gradient v' and Hessian h = -v'' by eta.

    For the sigmoid link, of which v is not concave, h is the expectation of -v'' (Fisher scoring).
    """
    if likelihood == 0:
        rate = exp(eta)
        return y * eta - rate, y - rate, rate
    u = exp(-abs(eta))
    softplus = max(eta, 0.0) + log1p_unit(u)
    larger = 1.0 / (1.0 + u)  # of the sigmoid and its complement
    sigmoid = larger if eta > 0 else u * larger
    by_sigmoid = u * larger * larger  # the derivative of the sigmoid
    if likelihood == 1:
        log_rate = eta if eta < _LOG_OF_SOFTPLUS_IS_LINEAR else log(softplus)
        ratio = sigmoid / softplus
        hessian = by_sigmoid + y * (ratio * ratio - by_sigmoid / softplus)
        return y * log_rate - softplus, y * ratio - sigmoid, hessian
    if likelihood == 2:
        return (
            y * (eta - softplus) - sigmoid,
            (1.0 - sigmoid) * (y - sigmoid),
            (1.0 - sigmoid) * by_sigmoid,
        )
    if likelihood == 3:
        return y * eta - softplus, y - sigmoid, by_sigmoid
    centered = eta - log(r)
    u = exp(-abs(centered))
    ratio = (1.0 if centered > 0 else u) / (1.0 + u)  # mean / (mean + r)
    density = y * eta - (y + r) * (max(centered, 0.0) + log1p_unit(u))
    return density, y - (y + r) * ratio, (y + r) * u / ((1.0 + u) * (1.0 + u))


class Kernels(NamedTuple):
    """Loops over observations that may be missing (NaN), which then count nothing.

    Attributes
    ----------
    add_values : callable
        ``(y (units, bins), eta (K * units, bins), r (K, units), out (K, bins))`` adds the values,
        summed over units.
    weighted_derivatives : callable
        ``(y (units, bins), eta (units, bins), r (units,), resp (bins,), gradients (units, bins),
        hessians (units, bins))`` fills both for one state.
    """

    add_values: Callable[..., None]
    weighted_derivatives: Callable[..., None]


class CountKernels(NamedTuple):
    """Loops over complete counts in either precision.

    Attributes
    ----------
    add_values : callable
        ``(y (units, bins), eta (K * units, bins), resp (K, bins), out (K, bins), sums (K,
        units))`` adds the values, summed over units, and their sums over bins with the weights.
    add_derivatives : callable
        ``(y, eta (units, bins), resp (bins,), gradients, hessians, sums (units,))``: the same for
        one state, with the derivatives of every bin.
    """

    add_values: Callable[..., None]
    add_derivatives: Callable[..., None]


@cache
def kernels(likelihood: int) -> Kernels:
    """Make the loops for one of `LIKELIHOODS`, which the compiler then takes as a constant.

    Each loop is compiled on its first call.
    """

    @compiled()
    def add_values(y: np.ndarray, eta: np.ndarray, r: np.ndarray, out: np.ndarray) -> None:
        n_units, n_bins = y.shape
        for k in range(len(out)):
            for m in range(n_units):
                row, own = k * n_units + m, r[k, m]
                for t in range(n_bins):
                    here = value(likelihood, y[m, t], eta[row, t], own)
                    out[k, t] += here if y[m, t] == y[m, t] else 0.0

    @compiled()
    def weighted_derivatives(
        y: np.ndarray,
        eta: np.ndarray,
        r: np.ndarray,
        resp: np.ndarray,
        gradients: np.ndarray,
        hessians: np.ndarray,
    ) -> None:
        n_units, n_bins = y.shape
        for m in range(n_units):
            own = r[m]
            for t in range(n_bins):
                _, gradient, hessian = derivatives(likelihood, y[m, t], eta[m, t], own)
                weight = resp[t] if y[m, t] == y[m, t] else 0.0
                gradients[m, t] = weight * gradient if weight > 0.0 else 0.0
                hessians[m, t] = weight * max(hessian, _FLATTEST) if weight > 0.0 else 0.0

    return Kernels(add_values, weighted_derivatives)


@cache
def count_kernels(likelihood: int) -> CountKernels:
    """As `kernels`."""

    @compiled()
    def add_values(
        y: np.ndarray, eta: np.ndarray, resp: np.ndarray, out: np.ndarray, sums: np.ndarray
    ) -> None:
        n_units, n_bins = y.shape
        for k in range(len(out)):
            for m in range(n_units):
                row, total = k * n_units + m, 0.0
                for t in range(n_bins):
                    here = value(likelihood, np.float64(y[m, t]), np.float64(eta[row, t]), 0.0)
                    out[k, t] += here
                    total += resp[k, t] * here
                sums[k, m] += total

    @compiled()
    def add_derivatives(
        y: np.ndarray,
        eta: np.ndarray,
        resp: np.ndarray,
        gradients: np.ndarray,
        hessians: np.ndarray,
        sums: np.ndarray,
    ) -> None:
        n_units, n_bins = y.shape
        for m in range(n_units):
            total = 0.0
            for t in range(n_bins):
                here, gradient, hessian = derivatives(
                    likelihood, np.float64(y[m, t]), np.float64(eta[m, t]), 0.0
                )
                total += resp[t] * here
                gradients[m, t] = resp[t] * gradient
                hessians[m, t] = resp[t] * max(hessian, 0.0)
            sums[m] += total

    return CountKernels(add_values, add_derivatives)
