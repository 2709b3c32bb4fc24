r"""Log-likelihoods of single observations given a linear predictor, and their derivatives.

Every family here has, for one observation, :math:`\log p(y|\eta) = v(y, \eta) + c(y)`. The loops
below evaluate v for all observations and states, and v, :math:`\partial v/\partial\eta` and a
Hessian :math:`h \ge 0` close to :math:`-\partial^2 v/\partial\eta^2` for weighted ones. Units come
first and bins second, so that loops run over contiguous bins on vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from neuroml.switching._kernels.compiled import compiled
from neuroml.switching._kernels.elementary import exp, like, log, log1p_unit

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


@compiled()
def exp_in_place(values: np.ndarray) -> None:
    """Replace every entry of a vector by its exponential; faster than numpy's."""
    for i in range(len(values)):
        values[i] = exp(values[i])


@compiled(reorder=False)
def value(likelihood: int, y: float, eta: float, r: float) -> float:
    """The part of log p(y | eta) that depends on eta; ``r`` is 1 / dispersion."""
    if likelihood == 0:
        return y * eta - exp(eta)
    zero, one = like(eta, 0.0), like(eta, 1.0)
    u = exp(-abs(eta))
    softplus = max(eta, zero) + log1p_unit(u)  # without overflow: log(1 + e^eta)
    if likelihood == 1:
        log_rate = eta if eta < like(eta, _LOG_OF_SOFTPLUS_IS_LINEAR) else log(softplus)
        return y * log_rate - softplus
    if likelihood == 2:
        rate = (one if eta > zero else u) / (one + u)
        return y * (eta - softplus) - rate
    if likelihood == 3:
        return y * eta - softplus
    centered = eta - log(r)
    u = exp(-abs(centered))
    return y * eta - (y + r) * (max(centered, zero) + log1p_unit(u))


@compiled(reorder=False)
def derivatives(likelihood: int, y: float, eta: float, r: float) -> tuple[float, float, float]:
    """Value v, gradient v' and Hessian h = -v'' by eta.

    For the sigmoid link, of which v is not concave, h is the expectation of -v'' (Fisher scoring).
    """
    if likelihood == 0:
        rate = exp(eta)
        return y * eta - rate, y - rate, rate
    zero, one = like(eta, 0.0), like(eta, 1.0)
    u = exp(-abs(eta))
    softplus = max(eta, zero) + log1p_unit(u)
    larger = one / (one + u)  # of the sigmoid and its complement
    sigmoid = larger if eta > zero else u * larger
    by_sigmoid = u * larger * larger  # the derivative of the sigmoid
    if likelihood == 1:
        log_rate = eta if eta < like(eta, _LOG_OF_SOFTPLUS_IS_LINEAR) else log(softplus)
        ratio = sigmoid / softplus
        hessian = by_sigmoid + y * (ratio * ratio - by_sigmoid / softplus)
        return y * log_rate - softplus, y * ratio - sigmoid, hessian
    if likelihood == 2:
        return (
            y * (eta - softplus) - sigmoid,
            (one - sigmoid) * (y - sigmoid),
            (one - sigmoid) * by_sigmoid,
        )
    if likelihood == 3:
        return y * eta - softplus, y - sigmoid, by_sigmoid
    centered = eta - log(r)
    u = exp(-abs(centered))
    ratio = (one if centered > zero else u) / (one + u)  # mean / (mean + r)
    density = y * eta - (y + r) * (max(centered, zero) + log1p_unit(u))
    return density, y - (y + r) * ratio, (y + r) * u / ((one + u) * (one + u))


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
    """Loops over complete counts in either precision, that of y and eta.

    They leave the values in ``eta``: with one loop for the values and one for their sums, which are
    float64, the first runs on vectors of twice as many float32.

    Attributes
    ----------
    add_values : callable
        ``(y (units, bins), eta (K * units, bins), resp (K, bins), out (K, bins), sums (K,
        units))`` adds the values, summed over units, and their sums over bins with the weights.
    add_derivatives : callable
        ``(y, eta (units, bins), resp (bins,), gradients, hessians, sums (units,))``: the same for
        one state, with the derivatives of every bin. ``resp`` is in the precision of y here.
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
        unused = like(eta[0, 0], 0.0)
        for k in range(len(out)):
            for m in range(n_units):
                row, total = k * n_units + m, 0.0
                for t in range(n_bins):
                    eta[row, t] = value(likelihood, y[m, t], eta[row, t], unused)
                for t in range(n_bins):
                    out[k, t] += eta[row, t]
                    total += resp[k, t] * eta[row, t]
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
        none = like(eta[0, 0], 0.0)
        for m in range(n_units):
            total = 0.0
            for t in range(n_bins):
                here, gradient, hessian = derivatives(likelihood, y[m, t], eta[m, t], none)
                eta[m, t] = here
                gradients[m, t] = resp[t] * gradient
                hessians[m, t] = resp[t] * max(hessian, none)
            for t in range(n_bins):
                total += resp[t] * eta[m, t]
            sums[m] += total

    return CountKernels(add_values, add_derivatives)
