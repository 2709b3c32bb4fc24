"""Basis functions, by which a model's weights are smooth functions of a lag or of a value."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import BSpline
from scipy.signal import lfilter

from neuroml._core.validation import as_given, as_numbers, check_sessions, session_slices
from neuroml.exceptions import DataError

__all__ = ["bspline_basis", "convolve_basis", "filter_past", "raised_cosine_basis"]


def raised_cosine_basis(n_basis: int, n_lags: int) -> np.ndarray:
    """Return bumps over lags that widen with the lag, for what fades.

    Raised cosines that are equally spaced on a logarithmic axis of lags (Pillow et al. 2008,
    Nature 454:995).

    Parameters
    ----------
    n_basis, n_lags : int
        Number of functions, and of lags, in samples.

    Returns
    -------
    ndarray of shape (n_basis, n_lags)
        Each row has a sum of one.

    Raises
    ------
    DataError
        If there are no functions, or more than lags.

    Examples
    --------
    >>> from neuroml.data import raised_cosine_basis
    >>> raised_cosine_basis(3, 20).argmax(axis=1).tolist()
    [0, 3, 19]
    """
    if not 1 <= n_basis <= n_lags:
        raise DataError(
            "there are as many functions as lags at most",
            expected=f"n_basis from 1 to n_lags={n_lags}",
            found=n_basis,
            field="n_basis",
        )
    position = np.log1p(np.arange(n_lags))
    centers, spacing = np.linspace(0.0, position[-1], n_basis, retstep=True)
    width = spacing if n_basis > 1 else position[-1] + 1.0
    phase = np.clip((position - centers[:, None]) / width, -1.0, 1.0)
    values = 1.0 + np.cos(np.pi * phase)
    return np.asarray(values / values.sum(axis=1, keepdims=True))


def bspline_basis(
    values: ArrayLike, n_basis: int, *, bounds: tuple[float, float], degree: int = 3
) -> np.ndarray:
    """Return B-splines of a value, so that weights of them make a smooth curve over it.

    Parameters
    ----------
    values : array-like of shape (n_samples,)
        Such as the position on a track.
    n_basis : int
        Number of functions, more than ``degree``.
    bounds : (float, float)
        Ends of the value's range, which must be the same in all data of a model.
    degree : int, default=3
        Of the polynomials; 3 is cubic.

    Returns
    -------
    ndarray of shape (n_samples, n_basis)
        Rows have a sum of one: beside an intercept, leave one column out.

    Raises
    ------
    DataError
        If values are missing or out of bounds, or there are too few functions.

    Examples
    --------
    >>> from neuroml.data import bspline_basis
    >>> bspline_basis([0.0, 50.0, 100.0], 5, bounds=(0, 100)).round(2)[:, [0, 2, 4]].tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 1.0]]
    """
    x = as_numbers(as_given(values, "values"), "values").astype(np.float64)
    low, high = (float(end) for end in bounds)
    for wrong, problem, expected, found in (
        (degree < 0 or n_basis <= degree, "there are too few splines of this degree",
         f"n_basis of at least {degree + 1}, and degree >= 0", f"n_basis={n_basis}, {degree=}"),
        (not low < high, "the bounds are no range", "low < high", f"{bounds}"),
        (x.ndim != 1, "splines are of one value", "shape (n_samples,)", f"shape {x.shape}"),
        (not ((x >= low) & (x <= high)).all(), "values are missing or out of bounds",
         f"numbers from {low:g} to {high:g}",
         f"{int((~((x >= low) & (x <= high))).sum())} others of {x.size}"),
    ):  # fmt: skip
        if wrong:
            raise DataError(problem, expected=expected, found=found, field="values")
    inner = np.linspace(low, high, n_basis - degree + 1)
    knots = np.concatenate([np.full(degree, low), inner, np.full(degree, high)])
    return np.asarray(BSpline.design_matrix(x, knots, degree).toarray())


def convolve_basis(
    values: ArrayLike, basis: ArrayLike, *, sessions: ArrayLike | None = None, first_lag: int = 0
) -> np.ndarray:
    """Return the past of a stimulus or behavior through basis functions of the lag.

    Parameters
    ----------
    values : array-like of shape (n_samples,) or (n_samples, n_columns)
        Each column by itself.
    basis : array-like of shape (n_basis, n_lags)
        Such as from `raised_cosine_basis`.
    sessions : array-like of shape (n_samples,), optional
        Session of each sample; nothing is known of the time before one, which counts as 0.
    first_lag : int, default=0
        Lag of the first column of the basis: 0 takes the sample itself, 1 those before it alone.

    Returns
    -------
    ndarray of shape (n_samples, n_columns * n_basis)
        All functions of the first column, then those of the next.

    Raises
    ------
    DataError
        If values are missing, shapes do not fit, or sessions are not contiguous.

    Examples
    --------
    >>> from neuroml.data import convolve_basis
    >>> convolve_basis([1.0, 0.0, 0.0, 0.0], [[0.7, 0.3]], first_lag=1).ravel().tolist()
    [0.0, 0.7, 0.3, 0.0]
    """
    table = as_numbers(as_given(values, "values"), "values").astype(np.float64)
    table = table[:, None] if table.ndim == 1 else table
    functions = as_numbers(as_given(basis, "basis"), "basis").astype(np.float64)
    for given, name, shape in (
        (table, "values", "(n_samples, n_columns)"),
        (functions, "basis", "(n_basis, n_lags)"),
    ):
        if given.ndim != 2 or not given.size or not np.isfinite(given).all():
            raise DataError(
                f"{name} cannot be convolved",
                expected=f"finite numbers of shape {shape}",
                found=f"shape {given.shape}, {int((~np.isfinite(given)).sum())} not finite",
                field=name,
            )
    if first_lag < 0:
        raise DataError(
            "the future is no past", expected="first_lag >= 0", found=first_lag, field="first_lag"
        )
    labels = check_sessions(sessions, len(table))
    found = filter_past(table, functions, labels, first_lag=first_lag)
    return found.transpose(1, 2, 0).reshape(len(table), -1)


def filter_past(
    values: np.ndarray, functions: np.ndarray, sessions: np.ndarray, *, first_lag: int
) -> np.ndarray:
    """Filter columns by functions of the lag; before a session there is nothing.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_columns)
    functions : ndarray of shape (n_basis, n_lags)
    sessions : ndarray of int of shape (n_samples,)
    first_lag : int
        Of the first column of the functions.

    Returns
    -------
    ndarray of shape (n_basis, n_samples, n_columns)
    """
    filtered = np.empty((len(functions), *values.shape), dtype=values.dtype)
    before = np.zeros(first_lag)
    for rows in session_slices(sessions):
        for b, function in enumerate(functions):
            kernel = np.concatenate([before, function])
            filtered[b, rows] = lfilter(kernel, 1.0, values[rows], axis=0)
    return filtered
