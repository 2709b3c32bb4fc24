"""Input checks that more than one family needs."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import validate_data

from neuroml._core.recording import break_points
from neuroml.exceptions import DataError

__all__ = ["check_sample_weight", "check_sequences", "check_sessions", "session_slices"]

OnNaN = Literal["raise", "keep"]


def check_sessions(sessions: ArrayLike | None, n_samples: int) -> np.ndarray:
    """Return session labels as integers 0, 1, ... in order of appearance.

    Parameters
    ----------
    sessions : array-like of shape (n_samples,) or None
        One label per sample; None means one session.
    n_samples : int

    Raises
    ------
    DataError
        If the length differs, or a label returns after another one (sessions must be contiguous).
    """
    if sessions is None:
        return np.zeros(n_samples, dtype=np.int64)
    labels = np.asarray(sessions)
    if labels.shape != (n_samples,):
        raise DataError(
            "sessions do not match the samples",
            expected=f"one label for each of {n_samples} samples",
            found=f"shape {labels.shape}",
            field="sessions",
        )
    starts = break_points(labels)
    if len(np.unique(labels[starts])) < len(starts):
        raise DataError(
            "sessions are not contiguous: a label returns after another one",
            expected="all samples of a session in one stretch, in time order",
            found=f"{len(starts)} stretches for {len(np.unique(labels))} labels",
            fix="Sort the samples by session, or give each stretch a label of its own.",
            field="sessions",
        )
    ids = np.zeros(n_samples, dtype=np.int64)
    ids[starts] = 1
    return np.cumsum(ids) - 1


def check_sample_weight(
    sample_weight: ArrayLike, n_samples: int, counted: np.ndarray | None = None
) -> np.ndarray:
    """Return the weights (n_samples,) of what a score averages.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,)
        Finite, at least 0.
    n_samples : int
    counted : ndarray of bool of shape (n_samples,), optional
        What the average is over, if not all samples; the weights of others become 0.

    Raises
    ------
    DataError
        If weights are of another shape, not finite, negative, or all zero where they count.
    """
    try:
        weights = np.asarray(sample_weight, dtype=np.float64)
    except (TypeError, ValueError):
        weights = np.empty(0)
    if weights.shape != (n_samples,):
        raise DataError(
            "the weights do not match the samples",
            expected=f"one number for each of {n_samples} samples",
            found=f"{type(sample_weight).__name__} of shape {weights.shape}",
            field="sample_weight",
        )
    wrong = ~(np.isfinite(weights) & (weights >= 0))
    if wrong.any():
        place = int(np.argmax(wrong))
        raise DataError(
            "some weights cannot weigh anything",
            expected="finite numbers of at least 0",
            found=f"{int(wrong.sum())} others; the first is {weights[place]} at sample {place}",
            field="sample_weight",
        )
    weights = weights if counted is None else np.where(counted, weights, 0.0)
    if not weights.any():
        raise DataError(
            "no sample has any weight",
            expected="a weight above 0 for a sample that counts in the score",
            found=f"{n_samples} zeros" if counted is None else "zeros for all that are observed",
            field="sample_weight",
        )
    return weights


def session_slices(sessions: np.ndarray) -> list[slice]:
    """One slice per session of checked, contiguous labels."""
    starts = break_points(sessions)
    return [
        slice(int(a), int(b)) for a, b in zip(starts, [*starts[1:], len(sessions)], strict=True)
    ]


def check_sequences(
    estimator: Any,
    X: Any,
    sessions: ArrayLike | None = None,
    *,
    reset: bool,
    on_nan: OnNaN = "raise",
    dtype: Any = (np.float64, np.float32),
) -> tuple[np.ndarray, np.ndarray]:
    """Validate time series given as one 2-D array, or as a list of 2-D arrays (one per session).

    Parameters
    ----------
    estimator : BaseEstimator
        Whose ``n_features_in_`` is set (``reset=True``) or compared.
    X : array-like of shape (n_samples, n_units) or list of such
        Time first.
    sessions : array-like of shape (n_samples,), optional
        Session labels; not together with a list.
    reset : bool
        True in fit, False after it.
    on_nan : {"raise", "keep"}
        Whether NaN is refused or handed on as missing; infinity is always refused.
    dtype : numpy dtype or tuple of them

    Returns
    -------
    X : ndarray of shape (n_samples, n_units)
    sessions : ndarray of int of shape (n_samples,)
    """
    if isinstance(X, list | tuple) and len(X) and getattr(X[0], "ndim", 0) == 2:
        if sessions is not None:
            raise DataError(
                "sessions were given twice",
                expected="a list of 2-D arrays, or one 2-D array with sessions=",
                found="both",
                field="sessions",
            )
        widths = sorted({np.shape(part)[1] for part in X})
        if len(widths) > 1:
            raise DataError(
                "the sessions have different units",
                expected="the same number of units in each array of the list",
                found=f"{widths}",
                field="X",
            )
        sessions = np.repeat(np.arange(len(X)), [len(part) for part in X])
        X = np.concatenate([np.asarray(part) for part in X])
    finite: Any = True if on_nan == "raise" else "allow-nan"
    X = validate_data(estimator, X, reset=reset, dtype=dtype, ensure_all_finite=finite)
    return X, check_sessions(sessions, len(X))
