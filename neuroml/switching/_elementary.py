"""Elementary functions as polynomials: unlike libm's, loops over them run on vectors."""

from __future__ import annotations

import math

import numpy as np

from neuroml.switching._compiled import compiled

__all__ = ["exp", "log", "log1p_unit"]

_SIGN_AND_MANTISSA = np.int64(0x000FFFFFFFFFFFFF)
_EXPONENT_OF_ONE = np.int64(0x3FF0000000000000)
_SQRT_TWO = math.sqrt(2.0)


@compiled(reorder=False)
def exp(x: float) -> float:
    """Exponential, to a few units in the last place; x is clamped to [-708, 709]."""
    x = min(max(x, -708.0), 709.0)
    n = math.floor(x * 1.4426950408889634 + 0.5)
    r = (x - n * 6.93145751953125e-1) - n * 1.42860682030941723212e-6
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
    return p * np.int64((np.int64(n) + 1023) << 52).view(np.float64)


@compiled(reorder=False)
def _two_artanh(s: float) -> float:
    """log((1 + s) / (1 - s)) for |s| <= 1/3, by its series."""
    z = s * s
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
    bits = np.float64(x).view(np.int64)
    n = (bits >> 52) - 1023
    m = np.int64((bits & _SIGN_AND_MANTISSA) | _EXPONENT_OF_ONE).view(np.float64)
    if m > _SQRT_TWO:
        m *= 0.5
        n += 1
    return n * 0.6931471805599453 + _two_artanh((m - 1.0) / (m + 1.0))
