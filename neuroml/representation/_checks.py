"""What the functions of this family are given: tables of numbers, conditions, dichotomies."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array
from sklearn.utils import check_array

from neuroml._core.validation import as_given, check_labels, one_array
from neuroml.exceptions import DataError

__all__ = [
    "as_count",
    "as_dichotomies",
    "as_table",
    "codes_of",
    "condition_means",
    "same_rows",
    "standardized",
]


def as_table(X: Any, field: str = "X") -> np.ndarray:
    """Finite numbers (n_rows, n_columns)."""
    return np.asarray(check_array(one_array(X, field), dtype=np.float64, input_name=field))


def as_count(value: Any, field: str, least: int = 1) -> int:
    """A whole number that is large enough."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise DataError(
            f"{field} is a number of things",
            expected=f"an int of at least {least}",
            found=repr(value),
            field=field,
        )
    return int(value)


def standardized(X: np.ndarray) -> np.ndarray:
    """X about its columns' means, over its largest deviation: for what no shift or scale changes.

    Products of the result neither cancel digits nor leave the range of floats. What varies by no
    more than rounding is zero.
    """
    centered = X - X.mean(axis=0)
    largest = np.abs(centered).max(initial=0.0)
    rounding = len(X) * np.finfo(float).eps * np.abs(X).max(initial=0.0)
    return centered / largest if largest > rounding else np.zeros_like(X)


def same_rows(X: np.ndarray, Y: np.ndarray, field: str = "Y") -> None:
    """Refuse two tables about different samples."""
    if len(X) != len(Y):
        raise DataError(
            "the two are about different samples",
            expected=f"{len(X)} rows",
            found=len(Y),
            field=field,
        )


def codes_of(y: ArrayLike, n_samples: int, field: str = "y") -> tuple[np.ndarray, np.ndarray]:
    """The conditions in sorted order, and the number of each sample's."""
    labels = check_labels(y, n_samples, field)
    names, codes = np.unique(labels, return_inverse=True)
    if len(names) < 2:
        raise DataError(
            "there is only one condition",
            expected="two or more",
            found=names.tolist(),
            field=field,
        )
    return names, codes.ravel()


def condition_means(X: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Mean of every condition's samples (n_conditions, n_units)."""
    counts = np.bincount(codes)
    # indicators with one entry per sample: X is read once, however many conditions there are
    rows = (np.ones(len(codes)), codes, np.arange(len(codes) + 1))
    indicators = csr_array(rows, shape=(len(codes), len(counts)))
    return np.asarray(indicators.T @ X) / counts[:, None]


def as_dichotomies(labels: ArrayLike, n_conditions: int) -> np.ndarray:
    """Truth values (n_dichotomies, n_conditions): the side of each condition."""
    try:
        given = np.atleast_2d(np.asarray(as_given(labels, "labels")))
    except ValueError:  # rows of different lengths, which no table has
        given = np.empty((0, 0))
    if given.ndim != 2 or given.shape[1] != n_conditions:
        raise DataError(
            "labels do not match the conditions",
            expected=f"the side of each of {n_conditions} conditions, in sorted order",
            found=f"shape {given.shape}" if given.size > 1 else repr(labels)[:60],
            field="labels",
        )
    sides = []
    for row in (check_labels(one, n_conditions, "labels") for one in given):
        names = np.unique(row)
        if len(names) != 2:
            raise DataError(
                "a dichotomy has two sides",
                expected="two values",
                found=names.tolist()[:5],
                field="labels",
            )
        sides.append(row == names[1])
    return np.array(sides)
