"""Checks of counts and probabilities, with errors that name the argument."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from neuroml.exceptions import DataError

__all__ = [
    "LARGEST_COUNT",
    "check_counts",
    "check_matching",
    "check_missing",
    "check_population",
    "check_probability",
]

# Up to here the product of two counts is exact in 64-bit integers: 3e9 squared is below 2^63.
LARGEST_COUNT = 3_000_000_000


def check_counts(**counts: ArrayLike) -> tuple[np.ndarray, ...]:
    """Return the named counts as int64 arrays of one common shape.

    Floats are refused even where they hold whole numbers: a threshold or a union size that has
    passed through floating point would silently ask for a continuous version of the law.

    Raises
    ------
    DataError
        If a count is not an integer, is negative or beyond `LARGEST_COUNT`, or if the shapes do
        not broadcast.
    """
    arrays = []
    for name, value in counts.items():
        array = np.asarray(value)
        if array.dtype.kind not in "iu" or array.size == 0:
            found = "nothing (size 0)" if array.size == 0 else f"{value!r} ({array.dtype})"
            raise DataError(f"{name} must be a count", expected="integers", found=found, field=name)
        wrong = (array < 0) | (array > LARGEST_COUNT)
        if wrong.any():
            raise DataError(
                f"{name} is out of range",
                expected=f"0 <= {name} <= {LARGEST_COUNT}",
                found=array[wrong].flat[0],
                field=name,
            )
        arrays.append(array.astype(np.int64))
    try:
        return tuple(np.broadcast_arrays(*arrays))
    except ValueError as error:
        shapes = ", ".join(f"{n} {a.shape}" for n, a in zip(counts, arrays, strict=True))
        raise DataError(
            "the counts do not broadcast", expected="compatible shapes", found=shapes
        ) from error


def check_population(n: np.ndarray, s: np.ndarray, a: np.ndarray) -> None:
    """Refuse more synapses or active cells than there are cells."""
    _require(n >= 1, "n >= 1", n=n)
    _require(s <= n, "s <= n", s=s, n=n)
    _require(a <= n, "a <= n", a=a, n=n)


def check_matching(
    theta: ArrayLike, n: ArrayLike, s: ArrayLike, a: ArrayLike, **more: ArrayLike
) -> tuple[np.ndarray, ...]:
    """Check the counts of a segment that meets a random pattern."""
    theta, n, s, a, *others = check_counts(theta=theta, n=n, s=s, a=a, **more)
    check_population(n, s, a)
    _require(theta <= s, "theta <= s", theta=theta, s=s)
    return theta, n, s, a, *others


def check_missing(
    theta: ArrayLike, s: ArrayLike, a: ArrayLike, v: ArrayLike
) -> tuple[np.ndarray, ...]:
    """Check the counts of a segment that meets its own pattern with v cells swapped."""
    theta, s, a, v = check_counts(theta=theta, s=s, a=a, v=v)
    _require(theta <= s, "theta <= s", theta=theta, s=s)
    _require(s <= a, "s <= a (the synapses are a subset of the pattern)", s=s, a=a)
    _require(v <= a, "v <= a", v=v, a=a)
    return theta, s, a, v


def _require(holds: np.ndarray, rule: str, **counts: np.ndarray) -> None:
    """Raise a `DataError` that shows the first counts which break a rule."""
    if not np.all(holds):
        first = np.flatnonzero(~np.ravel(holds))[0]
        found = ", ".join(f"{name}={np.ravel(value)[first]}" for name, value in counts.items())
        raise DataError("these counts contradict each other", expected=rule, found=found)


def check_probability(p: ArrayLike, name: str, *, log: bool = False) -> np.ndarray:
    """Return a probability, or its natural logarithm if ``log``, as a float64 array."""
    array = np.asarray(p, dtype=np.float64)
    valid = (array <= 0) if log else ((array >= 0) & (array <= 1))
    if array.size == 0 or not np.all(valid):
        raise DataError(
            f"{name} is not a probability" + (", given as its natural logarithm" if log else ""),
            expected=f"{name} <= 0" if log else f"0 <= {name} <= 1",
            found=array[~valid].flat[0] if array.size else "nothing (size 0)",
            field=name,
        )
    return array
