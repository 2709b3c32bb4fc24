"""Exponentials and logarithms for compiled loops, in the precision of their argument.

They are polynomials, since a call of libm would keep a loop off vectors, and add their terms in
pairs of pairs (Estrin's scheme): with one after the other each would wait for the last. Compiled
code takes the float32 or the float64 form by the type of the argument; what stands under the
names themselves is for loops that are not compiled (NUMBA_DISABLE_JIT), and says what they compute.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from neuroml.switching._kernels.compiled import compiled

__all__ = ["exp", "like", "log", "log1p_unit"]

# Numbers of this size are integers, one unit apart: adding it rounds, and leaves the integer in the
# last bits. Conversions between integers and floats, which AVX2 does not have for vectors of
# float64, would keep loops off them.
_TO_INTEGER, _TO_INTEGER_32 = 1.5 * 2.0**52, np.float32(1.5 * 2.0**23)
# Bits of float64 and float32, for logarithms.
_MANTISSA_BITS, _MANTISSA_BITS_32 = np.uint64(52), np.uint32(23)
_MANTISSA, _MANTISSA_32 = np.uint64(2**52 - 1), np.uint32(2**23 - 1)
_INTEGERS = np.float64(2.0**52).view(np.uint64)
_INTEGERS_32 = np.float32(2.0**23).view(np.uint32)
_SQRT_HALF = np.float64(math.sqrt(0.5)).view(np.uint64)
_SQRT_HALF_32 = np.float32(math.sqrt(0.5)).view(np.uint32)
_FROM_SQRT_HALF = np.float64(1.0).view(np.uint64) - _SQRT_HALF
_FROM_SQRT_HALF_32 = np.float32(1.0).view(np.uint32) - _SQRT_HALF_32
_BIAS_32 = np.int32(127)
# Of the argument of `exp`: where 2^n in it is a normal number.
_RANGE, _RANGE_32 = (-708.0, 709.0), (-87.0, 88.0)
_SINGLE = np.float32  # a name that the compiler takes as a conversion


def exp(x: Any) -> Any:
    """Exponential, of x clamped to where the result is a normal number."""
    return np.exp(np.clip(x, *(_RANGE_32 if isinstance(x, np.float32) else _RANGE)))


def log1p_unit(u: Any) -> Any:
    """log(1 + u) for 0 <= u <= 1."""
    return np.log1p(u)


def log(x: Any) -> Any:
    """Natural logarithm of a normal x > 0."""
    return np.log(x)


def like(x: Any, number: float) -> Any:
    """A number in the precision of x; Python's own numbers are float64 to the compiler."""
    return np.asarray(number, dtype=np.asarray(x).dtype)[()]


@compiled(reorder=False)
def _exp_64(x: float) -> float:
    x = min(max(x, _RANGE[0]), _RANGE[1])
    # x = n log 2 + r with |r| <= log(2) / 2; log 2 in two parts, so that r is exact.
    shifted = x * 1.4426950408889634 + _TO_INTEGER
    n = shifted - _TO_INTEGER
    r = (x - n * 6.93145751953125e-1) - n * 1.42860682030941723212e-6
    # Taylor series of exp(r) to 1 / 13!, then 2^n by way of the exponent's bits.
    r2 = r * r
    r4 = r2 * r2
    low = (1.0 / 2.0 + r * (1.0 / 6.0)) + r2 * (1.0 / 24.0 + r * (1.0 / 120.0))
    middle = (1.0 / 720.0 + r * (1.0 / 5040.0)) + r2 * (1.0 / 40320.0 + r * (1.0 / 362880.0))
    high = (1.0 / 3628800.0 + r * (1.0 / 39916800.0)) + r2 * (
        1.0 / 479001600.0 + r * (1.0 / 6227020800.0)
    )
    p = (low + r4 * (middle + r4 * high)) * r2 + r + 1.0
    return p * np.int64((np.float64(shifted).view(np.int64) + 1023) << 52).view(np.float64)


@compiled(reorder=False)
def _log1p_unit_64(u: float) -> float:
    s = u / (2.0 + u)
    # log((1 + s) / (1 - s)) for |s| <= 1/3; (1/3)^34 / 35 is below a unit in the last place.
    z = s * s
    z2 = z * z
    z4 = z2 * z2
    p0 = (1.0 + z * (1.0 / 3.0)) + z2 * (1.0 / 5.0 + z * (1.0 / 7.0))
    p1 = (1.0 / 9.0 + z * (1.0 / 11.0)) + z2 * (1.0 / 13.0 + z * (1.0 / 15.0))
    p2 = (1.0 / 17.0 + z * (1.0 / 19.0)) + z2 * (1.0 / 21.0 + z * (1.0 / 23.0))
    p3 = (1.0 / 25.0 + z * (1.0 / 27.0)) + z2 * (1.0 / 29.0 + z * (1.0 / 31.0 + z * (1.0 / 33.0)))
    return 2.0 * s * ((p0 + z4 * p1) + z4 * z4 * (p2 + z4 * p3))


@compiled(reorder=False)
def _log_64(x: float) -> float:
    # x = m 2^n with m between sqrt(1/2) and sqrt(2). What is added makes the exponent's bits change
    # at sqrt(1/2); the exponent becomes a float by its place in the mantissa of 2^52.
    bits = np.float64(x).view(np.uint64) + _FROM_SQRT_HALF
    n = np.uint64((bits >> _MANTISSA_BITS) | _INTEGERS).view(np.float64) - (2.0**52 + 1023.0)
    m = np.uint64((bits & _MANTISSA) + _SQRT_HALF).view(np.float64)
    s = (m - 1.0) / (m + 1.0)
    # The series of `log1p_unit` for |s| <= 0.172: 0.172^22 / 23 is below a unit in the last place.
    z = s * s
    z2 = z * z
    z4 = z2 * z2
    p0 = (1.0 + z * (1.0 / 3.0)) + z2 * (1.0 / 5.0 + z * (1.0 / 7.0))
    p1 = (1.0 / 9.0 + z * (1.0 / 11.0)) + z2 * (1.0 / 13.0 + z * (1.0 / 15.0))
    p2 = 1.0 / 17.0 + z * (1.0 / 19.0 + z * (1.0 / 21.0))
    return n * 0.6931471805599453 + 2.0 * s * (p0 + z4 * (p1 + z4 * p2))


@compiled(reorder=False)
def _exp_32(x: np.float32) -> np.float32:
    # As `_exp_64`, to 1 / 7!: the next term is 5e-9.
    x = _SINGLE(min(max(x, _SINGLE(_RANGE_32[0])), _SINGLE(_RANGE_32[1])))
    shifted = x * _SINGLE(1.4426950408889634) + _TO_INTEGER_32
    n = shifted - _TO_INTEGER_32
    r = (x - n * _SINGLE(0.693359375)) + n * _SINGLE(2.12194440054690583e-4)
    r2 = r * r
    low = _SINGLE(1.0 / 2.0) + r * _SINGLE(1.0 / 6.0)
    high = (_SINGLE(1.0 / 24.0) + r * _SINGLE(1.0 / 120.0)) + r2 * (
        _SINGLE(1.0 / 720.0) + r * _SINGLE(1.0 / 5040.0)
    )
    p = (low + r2 * high) * r2 + r + _SINGLE(1.0)
    exponent = np.int32(np.int32(np.float32(shifted).view(np.int32) + _BIAS_32) << np.int32(23))
    return p * exponent.view(np.float32)


@compiled(reorder=False)
def _log1p_unit_32(u: np.float32) -> np.float32:
    # As `_log1p_unit_64`: (1/3)^16 / 17 is 1e-9.
    s = u / (_SINGLE(2.0) + u)
    z = s * s
    z2 = z * z
    p0 = (_SINGLE(1.0) + z * _SINGLE(1.0 / 3.0)) + z2 * (
        _SINGLE(1.0 / 5.0) + z * _SINGLE(1.0 / 7.0)
    )
    p1 = (_SINGLE(1.0 / 9.0) + z * _SINGLE(1.0 / 11.0)) + z2 * (
        _SINGLE(1.0 / 13.0) + z * _SINGLE(1.0 / 15.0)
    )
    return _SINGLE(2.0) * s * (p0 + z2 * z2 * p1)


@compiled(reorder=False)
def _log_32(x: np.float32) -> np.float32:
    # As `_log_64`: 0.172^10 / 11 is 2e-9.
    bits = np.uint32(np.float32(x).view(np.uint32) + _FROM_SQRT_HALF_32)
    n = np.uint32((bits >> _MANTISSA_BITS_32) | _INTEGERS_32).view(np.float32)
    n -= _SINGLE(2.0**23 + 127.0)
    m = np.uint32((bits & _MANTISSA_32) + _SQRT_HALF_32).view(np.float32)
    s = (m - _SINGLE(1.0)) / (m + _SINGLE(1.0))
    z = s * s
    p = (_SINGLE(1.0) + z * _SINGLE(1.0 / 3.0)) + z * z * (
        _SINGLE(1.0 / 5.0) + z * (_SINGLE(1.0 / 7.0) + z * _SINGLE(1.0 / 9.0))
    )
    return n * _SINGLE(0.6931471805599453) + _SINGLE(2.0) * s * p


# Lambdas, since the compiler wants the arguments of both functions written alike.
overload(exp)(lambda x: (lambda x: _exp_32(x)) if x == types.float32 else (lambda x: _exp_64(x)))
overload(log1p_unit)(
    lambda u: (lambda u: _log1p_unit_32(u)) if u == types.float32 else (lambda u: _log1p_unit_64(u))
)
overload(log)(lambda x: (lambda x: _log_32(x)) if x == types.float32 else (lambda x: _log_64(x)))
overload(like)(
    lambda x, number: (
        (lambda x, number: np.float32(number))
        if x == types.float32
        else (lambda x, number: np.float64(number))
    )
)
