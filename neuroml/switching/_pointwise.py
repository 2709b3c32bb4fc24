r"""Log-likelihoods of single observations given a linear predictor, and their derivatives.

Every family here has, for one observation, :math:`\log p(y|\eta) = v(y, \eta) + c(y)`. The loops
below evaluate v for all observations and states, and v, :math:`\partial v/\partial\eta` and a
curvature :math:`h > 0` close to :math:`-\partial^2 v/\partial\eta^2` for weighted ones. Missing
observations are NaN and count nothing. Units come first and bins second, so that loops run over
contiguous bins on vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from neuroml.switching._compiled import compiled
from neuroml.switching._elementary import exp, log, log1p_unit

__all__ = ["KINDS", "Loops", "loops"]

KINDS = {
    "poisson exp": 0,
    "poisson softplus": 1,
    "poisson sigmoid": 2,
    "bernoulli": 3,
    "negative_binomial": 4,
}
_LOG_OF_SOFTPLUS_IS_LINEAR = -36.0
_FLATTEST = 1e-12


@compiled(reorder=False)
def _value(kind: int, y: float, eta: float, shape: float) -> float:
    """The part of log p(y | eta) that depends on eta; ``shape`` is the negative binomial's r."""
    if kind == 0:
        return y * eta - exp(eta)
    u = exp(-abs(eta))
    softplus = max(eta, 0.0) + log1p_unit(u)
    if kind == 1:
        log_rate = eta if eta < _LOG_OF_SOFTPLUS_IS_LINEAR else log(softplus)
        return y * log_rate - softplus
    if kind == 2:
        rate = (1.0 if eta > 0 else u) / (1.0 + u)
        return y * (eta - softplus) - rate
    if kind == 3:
        return y * eta - softplus
    centered = eta - log(shape)
    u = exp(-abs(centered))
    return y * eta - (y + shape) * (max(centered, 0.0) + log1p_unit(u))


@compiled(reorder=False)
def _derivatives(kind: int, y: float, eta: float, shape: float) -> tuple[float, float, float]:
    """Value, slope and curvature.

    The curvature is that of minus the value where this is convex, and Fisher's expectation of it
    for the sigmoid link, where it is not.
    """
    if kind == 0:
        rate = exp(eta)
        return y * eta - rate, y - rate, rate
    u = exp(-abs(eta))
    softplus = max(eta, 0.0) + log1p_unit(u)
    sigmoid = (1.0 if eta > 0 else u) / (1.0 + u)
    bend = u / ((1.0 + u) * (1.0 + u))
    if kind == 1:
        log_rate = eta if eta < _LOG_OF_SOFTPLUS_IS_LINEAR else log(softplus)
        ratio = sigmoid / softplus
        curvature = bend + y * (ratio * ratio - bend / softplus)
        return y * log_rate - softplus, y * ratio - sigmoid, curvature
    if kind == 2:
        value = y * (eta - softplus) - sigmoid
        return value, (1.0 - sigmoid) * (y - sigmoid), (1.0 - sigmoid) * bend
    if kind == 3:
        return y * eta - softplus, y - sigmoid, bend
    centered = eta - log(shape)
    u = exp(-abs(centered))
    share = (1.0 if centered > 0 else u) / (1.0 + u)
    value = y * eta - (y + shape) * (max(centered, 0.0) + log1p_unit(u))
    return value, y - (y + shape) * share, (y + shape) * u / ((1.0 + u) * (1.0 + u))


class Loops(NamedTuple):
    """Loops over all observations, compiled for one kind.

    ``add_values(y (units, bins), eta (K * units, bins), shape (K, units), out (K, bins))`` adds
    the values, summed over units. ``weighted_derivatives(y (units, bins), eta (units, bins),
    shape (units,), weights (bins,), slopes (units, bins), curvatures (units, bins))`` fills
    weighted slopes and curvatures of one state.
    """

    add_values: Callable[..., None]
    weighted_derivatives: Callable[..., None]


@cache
def loops(kind: int) -> Loops:
    """Compile the loops for a kind from `KINDS`, which the compiler then takes as a constant."""

    @compiled()
    def add_values(y: np.ndarray, eta: np.ndarray, shape: np.ndarray, out: np.ndarray) -> None:
        n_units, n_bins = y.shape
        for k in range(len(out)):
            for m in range(n_units):
                row, r = k * n_units + m, shape[k, m]
                for t in range(n_bins):
                    value = _value(kind, y[m, t], eta[row, t], r)
                    out[k, t] += value if y[m, t] == y[m, t] else 0.0

    @compiled()
    def weighted_derivatives(
        y: np.ndarray,
        eta: np.ndarray,
        shape: np.ndarray,
        weights: np.ndarray,
        slopes: np.ndarray,
        curvatures: np.ndarray,
    ) -> None:
        n_units, n_bins = y.shape
        for m in range(n_units):
            r = shape[m]
            for t in range(n_bins):
                _, slope, curvature = _derivatives(kind, y[m, t], eta[m, t], r)
                weight = weights[t] if y[m, t] == y[m, t] else 0.0
                slopes[m, t] = weight * slope if weight > 0.0 else 0.0
                curvatures[m, t] = weight * max(curvature, _FLATTEST) if weight > 0.0 else 0.0

    return Loops(add_values, weighted_derivatives)
