"""What figures are given: arrays of the right shape, times and names, or numbers in their place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from neuroml._core.validation import as_numbers, check_sessions, session_slices
from neuroml.exceptions import DataError

__all__ = ["check_array", "check_columns", "check_times", "fitted", "names_for", "segments"]


def fitted(model: BaseEstimator, attribute: str) -> BaseEstimator:
    """The model itself, if it is fitted and has the attribute that is drawn.

    Raises
    ------
    DataError
        If the attribute is missing although the model is fitted.
    NotFittedError
        If the model is not fitted.
    """
    if not isinstance(model, BaseEstimator):
        raise DataError(
            "this figure is drawn from a fitted estimator",
            expected=f"an estimator with {attribute}",
            found=type(model).__name__,
            field="model",
        )
    check_is_fitted(model)
    if not hasattr(model, attribute):
        raise DataError(
            f"this figure shows {attribute}, which the model does not have",
            expected=f"an estimator with {attribute}",
            found=type(model).__name__,
            field="model",
        )
    return model


def check_array(values: ArrayLike, shape: Sequence[int | str], field: str) -> np.ndarray:
    """Numbers of a given shape.

    Parameters
    ----------
    values : array-like
    shape : sequence of int or str
        A number where the length is known, a name where it is free; one name stands for one
        length.
    field : str
        The parameter that they were given as.

    Returns
    -------
    ndarray
    """
    array = np.asarray(as_numbers(values, field))
    lengths: dict[str, int] = {}
    fits = array.ndim == len(shape) and all(
        n == (lengths.setdefault(wanted, n) if isinstance(wanted, str) else wanted)
        for n, wanted in zip(array.shape, shape, strict=True)
    )
    if not fits or not array.size:
        wanted = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
        raise DataError(
            f"{field} has the wrong shape",
            expected=f"shape ({wanted})",
            found=f"shape {array.shape}",
            field=field,
        )
    return array


def check_times(times: ArrayLike | None, n_times: int) -> np.ndarray:
    """Time of every row that is drawn: as given, or the number of the row."""
    return np.arange(n_times) if times is None else check_array(times, [n_times], "times")


def names_for(names: Sequence | np.ndarray | None, n: int, kind: str, field: str) -> list[str]:
    """One name for each of n things: as given, or "kind 0", "kind 1", ...; "" counts alone."""
    if names is None:
        return [f"{kind} {i}".strip() for i in range(n)]
    if isinstance(names, str) or len(names) != n:
        raise DataError(
            f"{field} do not match what is drawn",
            expected=f"{n} names",
            found=repr(names) if isinstance(names, str) else f"{len(names)} names",
            field=field,
        )
    return [str(name) for name in names]


def segments(sessions: ArrayLike | None, n_times: int) -> list[slice]:
    """The rows of every session, in order; one session if none are given."""
    return session_slices(check_sessions(sessions, n_times))


def check_columns(table: pd.DataFrame, needed: Sequence[str], field: str = "table") -> None:
    """Refuse a table that lacks columns, or has no rows."""
    missing = [name for name in needed if name not in table]
    if missing or not len(table):
        raise DataError(
            "the table lacks columns or rows", expected=needed, found=list(table), field=field
        )
