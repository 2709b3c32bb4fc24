"""Data of several subjects with voxels of their own: the forms that fit and predict take."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import issparse
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted, validate_data

from neuroml._core.validation import check_sample_weight
from neuroml._core.warn import warn_caller
from neuroml.exceptions import DataError

__all__ = [
    "CohortRegressorMixin",
    "Subject",
    "by_subject",
    "check_cohort",
    "check_known",
    "check_same_rows",
    "check_subject",
    "is_cohort",
    "map_subjects",
    "voxel_scaling",
    "warn_constant",
]

Subject = Hashable
_FLOATS = (np.float64, np.float32)


def is_cohort(X: Any) -> bool:
    """Whether X is a dict of subjects or a list of their 2-D arrays, and not one array."""
    return (isinstance(X, dict) and not issparse(X)) or (
        isinstance(X, list | tuple) and len(X) > 0 and all(np.ndim(part) == 2 for part in X)
    )


def by_subject(X: Any, groups: ArrayLike | None = None) -> dict[Subject, Any]:
    """Bring any of the accepted forms to a dict of subjects.

    Parameters
    ----------
    X : dict, list of 2-D arrays, 2-D array, or object array of 1-D rows
        A list gets the keys 0, 1, ...; one array without groups is the subject 0.
    groups : array-like of shape (n_rows,), optional
        The subject of each row of one array; rows of different subjects may differ in length.
    """
    if is_cohort(X):
        return dict(X) if isinstance(X, dict) else dict(enumerate(X))
    if groups is None:
        return {0: X}
    labels = np.asarray(groups)
    if labels.shape != (len(X),):
        raise DataError(
            "groups do not match the rows",
            expected=f"one subject for each of {len(X)} rows",
            found=f"shape {labels.shape}",
            field="groups",
        )
    rows = X if isinstance(X, np.ndarray) else np.asarray(X)
    parts = {subject: rows[labels == subject] for subject in np.unique(labels).tolist()}
    return {s: np.stack(list(part)) for s, part in parts.items()}


def check_cohort(
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    groups: ArrayLike | None = None,
    needs_y: bool = False,
    min_subjects: int = 1,
    missing_rows: bool = False,
) -> tuple[dict[Subject, np.ndarray], dict[Subject, np.ndarray]]:
    """Validate the training data of one or many subjects.

    Sets ``n_voxels_`` (by subject) and, for one 2-D array, scikit-learn's ``n_features_in_``.

    Parameters
    ----------
    estimator : BaseEstimator
    X : dict, list, 2-D array or object array of rows
        As `by_subject` takes it: (n_samples_s, n_voxels_s) for each subject.
    y : like X, optional
        (n_samples_s, n_targets) or (n_samples_s,) for each subject.
    groups : array-like of shape (n_rows,), optional
    needs_y : bool
    min_subjects : int
        The fewest in a dict or list; one 2-D array is always allowed.
    missing_rows : bool
        Whether rows of a dict or list may be NaN as a whole: samples that the subject did not see.

    Returns
    -------
    X, y : dict
        With 2-D X and with y as it came, 1-D or 2-D; y is empty if none was given.

    Raises
    ------
    DataError
        If subjects are too few, keys differ, rows or targets do not match, or entries are not
        finite. Without groups, one array fails with scikit-learn's own messages.
    """
    if not is_cohort(X) and groups is None:
        return _check_single(estimator, X, y, needs_y)
    data = by_subject(X, groups)
    if len(data) < min_subjects:
        raise DataError(
            "there are too few subjects",
            expected=f"at least {min_subjects}",
            found=f"{len(data)}: {_names(data)}",
            field="X",
        )
    checked = {
        s: _check_part(part, s, "X", min_rows=2, missing_rows=missing_rows)
        for s, part in data.items()
    }
    if needs_y and y is None:
        raise DataError(f"{type(estimator).__name__} requires y to be passed", field="y")
    targets = {} if y is None else _check_targets(by_subject(y, groups), checked)
    estimator.n_voxels_ = {s: part.shape[1] for s, part in checked.items()}
    if hasattr(estimator, "n_features_in_"):
        del estimator.n_features_in_
    return checked, targets


def _check_single(
    estimator: Any, X: Any, y: Any, needs_y: bool
) -> tuple[dict[Subject, np.ndarray], dict[Subject, np.ndarray]]:
    """One array, checked as scikit-learn does it."""
    checks: dict[str, Any] = {"dtype": _FLOATS, "ensure_min_samples": 2}
    if needs_y:
        X, y = validate_data(estimator, X, y, multi_output=True, y_numeric=True, **checks)
    else:
        X, y = validate_data(estimator, X, **checks), None
    estimator.n_voxels_ = {0: X.shape[1]}
    return {0: X}, {} if y is None else {0: y}


def check_subject(estimator: Any, X: Any, subject: Subject | None) -> tuple[Subject, np.ndarray]:
    """Validate new data of a subject that the estimator knows.

    Parameters
    ----------
    estimator : BaseEstimator
        Fitted with `check_cohort`.
    X : array-like of shape (n_samples, n_voxels)
    subject : hashable or None
        None where the estimator knows only one subject.

    Raises
    ------
    DataError
        If the subject is not known or not named among several, or has other voxels.
    """
    check_is_fitted(estimator)
    known = estimator.n_voxels_
    subject = check_known(known, subject)
    if hasattr(estimator, "n_features_in_") and known == {0: estimator.n_features_in_}:
        return subject, validate_data(estimator, X, reset=False, dtype=_FLOATS)
    checked = _check_part(X, subject, "X", min_rows=1)
    if checked.shape[1] != known[subject]:
        raise DataError(
            "other voxels than in fit",
            expected=f"{known[subject]} columns",
            found=f"shape {checked.shape}" + _transposed(checked, known[subject], axis=1),
            subject=subject,
            field="X",
        )
    return subject, checked


def check_known(known: dict[Subject, int], subject: Subject | None) -> Subject:
    """The subject asked for, or the only one; refused if the model does not know it."""
    if subject is None and len(known) > 1:
        raise DataError(
            "the model knows several subjects",
            expected=f"subject= one of {_names(known)}",
            found="none named",
            field="subject",
        )
    subject = next(iter(known)) if subject is None else subject
    if subject not in known:
        raise DataError(
            "the model does not know this subject",
            expected=f"one of {_names(known)}",
            found=repr(subject),
            fix="Add new subjects with adapt or add_subject.",
            field="subject",
        )
    return subject


def map_subjects(
    estimator: Any,
    X: Any,
    compute: Callable[[Subject, np.ndarray], np.ndarray],
    *,
    subject: Subject | None = None,
    groups: ArrayLike | None = None,
) -> Any:
    """Apply ``compute(subject, X)`` to checked data, and return the form that X came in.

    A dict or list of subjects gives a dict; one array of one subject gives an array; one array with
    the subject of every row in ``groups`` gives an array in the order of those rows.
    """
    if is_cohort(X):
        parts = by_subject(X)
        return {s: compute(*check_subject(estimator, part, s)) for s, part in parts.items()}
    if groups is None:
        return compute(*check_subject(estimator, X, subject))
    stacked = by_subject(X, groups)
    values = {s: compute(*check_subject(estimator, part, s)) for s, part in stacked.items()}
    first = next(iter(values.values()))
    rows = np.empty((len(X), *first.shape[1:]), dtype=first.dtype)
    for s, value in values.items():
        rows[np.asarray(groups) == s] = value
    return rows


class CohortRegressorMixin(RegressorMixin):
    """The score of regressors whose ``predict`` takes ``subject=``."""

    def score(
        self,
        X: Any,
        y: Any,
        *,
        subject: Subject | None = None,
        groups: ArrayLike | None = None,
        sample_weight: Any = None,
    ) -> float:
        """Coefficient of determination, the mean over targets and then over subjects.

        Parameters
        ----------
        X : dict, list, 2-D array or object array of rows
            As in ``fit``.
        y : like X
        subject : hashable, optional
            Whose data one 2-D array is.
        groups : array-like of shape (n_rows,), optional
            The subject of each row of one array.
        sample_weight : array-like of shape (n_rows,), or dict or list of such, optional
            Of the samples, in the form of X; every subject counts alike in the mean.

        Returns
        -------
        float

        Raises
        ------
        DataError
            If weights do not fit the samples, are not finite or negative, or are all zero for a
            subject.
        """
        targets, data = by_subject(y, groups), by_subject(X, groups)
        weights = _weights_by_subject(sample_weight, data, X, groups)
        one = groups is None and not is_cohort(X)
        return float(
            np.mean(
                [
                    r2_score(
                        targets[s],
                        self.predict(part, subject=subject if one else s),
                        sample_weight=weights[s],
                    )
                    for s, part in data.items()
                ]
            )
        )


def _weights_by_subject(
    sample_weight: Any, data: dict[Subject, Any], X: Any, groups: ArrayLike | None
) -> dict[Subject, np.ndarray | None]:
    """Checked weights of each subject's samples, or None for each."""
    if sample_weight is None:
        return dict.fromkeys(data)
    if not is_cohort(X):
        checked = check_sample_weight(sample_weight, len(X))
        parts = by_subject(checked, groups)
    else:
        parts = sample_weight if isinstance(sample_weight, dict) else dict(enumerate(sample_weight))
    if parts.keys() != data.keys():
        raise DataError(
            "the weights are of other subjects than X",
            expected=_names(data),
            found=_names(parts),
            field="sample_weight",
        )
    return {s: check_sample_weight(parts[s], len(part)) for s, part in data.items()}


def check_same_rows(data: dict[Subject, np.ndarray], n_rows: int | None = None) -> int:
    """Number of rows of every subject, which must be the same: shared stimuli in the same order.

    Parameters
    ----------
    data : dict of arrays of shape (n_samples, n_voxels_s)
    n_rows : int, optional
        What is expected; without it, the number that the first subject has.
    """
    first = len(next(iter(data.values()))) if n_rows is None else n_rows
    for subject, part in data.items():
        if len(part) != first:
            same_columns = len(data) > 1 and len({other.shape[1] for other in data.values()}) == 1
            hint = " (are the arrays transposed?)" if same_columns else ""
            raise DataError(
                "subjects do not share their samples",
                expected=f"{first} rows, one per shared time point or stimulus",
                found=f"shape {part.shape}{hint or _transposed(part, first, axis=0)}",
                fix="Give rows that a subject did not see as NaN if the model takes them.",
                subject=subject,
                field="X",
            )
    return first


def voxel_scaling(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (n_voxels,) of every voxel; the latter is 1 where constant."""
    mean, deviation = X.mean(axis=0), X.std(axis=0)
    flat = deviation <= 10 * np.finfo(X.dtype).eps * np.abs(mean)
    return mean, np.where(flat, 1, deviation).astype(X.dtype)


def warn_constant(data: dict[Subject, np.ndarray]) -> dict[Subject, int]:
    """Count constant voxels by subject, and say so where there are any: they carry nothing."""
    counts = {s: _n_constant(part) for s, part in data.items()}
    if any(counts.values()):
        found = ", ".join(f"{s!r}: {n}" for s, n in counts.items() if n)
        warn_caller(f"Constant voxels get no weight ({found}).", UserWarning)
    return counts


def _n_constant(X: np.ndarray) -> int:
    """Number of constant columns; most are cleared by their first rows."""
    start = X[:8]
    rest = X[:, ~(np.fmax.reduce(start) > np.fmin.reduce(start))]
    return int((np.fmax.reduce(rest) == np.fmin.reduce(rest)).sum())


def _check_part(
    part: Any, subject: Subject, field: str, *, min_rows: int, missing_rows: bool = False
) -> np.ndarray:
    try:
        checked = check_array(
            part, dtype=_FLOATS, ensure_all_finite=False, ensure_min_samples=min_rows
        )
    except ValueError as error:
        raise DataError(str(error).splitlines()[0], subject=subject, field=field) from error
    finite = np.isfinite(checked)
    if missing_rows:
        finite = finite[~np.isnan(checked).all(axis=1)]
    bad = ~finite.all(axis=0)
    if bad.any():
        raise DataError(
            "some values are NaN or infinite",
            expected="finite values",
            found=f"{bad.sum()} of {len(bad)} columns affected, first {int(np.argmax(bad))}",
            fix="Interpolate them, or leave those columns out.",
            subject=subject,
            field=field,
        )
    return checked


def _check_targets(
    targets: dict[Subject, Any], data: dict[Subject, np.ndarray]
) -> dict[Subject, np.ndarray]:
    if targets.keys() != data.keys():
        raise DataError(
            "X and y hold different subjects",
            expected=_names(data),
            found=_names(targets),
            field="y",
        )
    checked = {}
    for subject, part in data.items():
        one = targets[subject]
        flat = np.ndim(one) == 1
        column = np.reshape(one, (-1, 1)) if flat else one
        values = _check_part(column, subject, "y", min_rows=1)
        if len(values) != len(part):
            raise DataError(
                "X and y differ in their rows",
                expected=f"{len(part)} rows, as X has",
                found=f"{len(values)}" + _transposed(part, len(values), axis=0),
                subject=subject,
                field="y",
            )
        checked[subject] = values[:, 0] if flat else values
    shapes = {s: part.shape[1:] for s, part in checked.items()}
    if len(set(shapes.values())) > 1:
        raise DataError(
            "subjects differ in their targets",
            expected="the same columns of y for all",
            found=", ".join(f"{s!r}: {shape or '1-D'}" for s, shape in shapes.items()),
            field="y",
        )
    return checked


def _transposed(part: np.ndarray, wanted: int, axis: int) -> str:
    """A hint where the other axis would fit."""
    fits = part.shape[1 - axis] == wanted
    return f" (X of shape {part.shape} looks transposed: time goes first)" if fits else ""


def _names(data: Any) -> str:
    names = [repr(s) for s in data]
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
