"""Data of several subjects, each with units of its own: one grammar for every family.

A dict of subjects; a list with one array, table or recording per subject; one array with the
subject of every row in ``groups``; or the data of one subject. `neuroml._core.samples` has the
grammar of data that share their units.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from neuroml._core.samples import (
    is_mapping,
    join_sessions,
    number_sessions,
    parts_of,
    subjects_of,
)
from neuroml._core.validation import (
    align_columns,
    as_given,
    as_numbers,
    check_labels,
    check_sessions,
    check_table,
    list_some,
    names_of,
    one_array,
    set_or_forget,
)
from neuroml._core.warn import warn_caller
from neuroml.exceptions import DataError

__all__ = [
    "Subject",
    "align_targets",
    "by_subject",
    "check_cohort",
    "check_known",
    "check_subject",
    "is_cohort",
    "looks_transposed",
    "map_subjects",
    "pair_by_subject",
    "sessions_by_subject",
]

Subject = Hashable
_FLOATS = (np.float64, np.float32)


def is_cohort(X: Any) -> bool:
    """Whether X holds subjects in a dict or list, and is not one array."""
    return parts_of(X) is not None


def by_subject(X: Any, groups: ArrayLike | None = None) -> dict[Subject, Any]:
    """Bring any of the accepted forms to a dict of subjects.

    Parameters
    ----------
    X : dict, list of 2-D arrays or recordings, 2-D array, or object array of 1-D rows
        A list gets the keys 0, 1, ..., recordings their subjects; one array without groups is the
        subject 0. A subject's own list of sessions is joined.
    groups : array-like of shape (n_rows,), optional
        The subject of each row of one array; rows of different subjects may differ in length.

    Raises
    ------
    DataError
        If subjects are given twice, or a label is missing.
    """
    parts = parts_of(X)
    if parts is None:
        return _split_rows(X, groups)
    if groups is not None:
        raise DataError(
            "groups were given twice",
            expected="a dict or list of subjects, or one array with groups=",
            found="both",
            field="groups",
        )
    if all(isinstance(part, xr.Dataset) for part in parts.values()) and not is_mapping(X):
        parts = _recordings_by_subject(list(parts.values()))
    return {subject: join_sessions(part, subject) for subject, part in parts.items()}


def _split_rows(X: Any, groups: ArrayLike | None) -> dict[Subject, Any]:
    """One array, cut by the subject of its rows."""
    X = as_given(X)
    if groups is None:
        return {0: X}
    rows = X if hasattr(X, "shape") else np.asarray(X)
    labels = check_labels(groups, len(rows), "groups")
    masks = {subject: labels == subject for subject in np.unique(labels).tolist()}
    if isinstance(rows, pd.DataFrame | pd.Series):
        return {subject: rows[mask] for subject, mask in masks.items()}
    parts = {subject: rows[mask] for subject, mask in masks.items()}
    return {s: np.stack(list(part)) if part.dtype == object else part for s, part in parts.items()}


def _recordings_by_subject(recordings: list[xr.Dataset]) -> dict[Subject, Any]:
    """Recordings under the names of their subjects, or under 0, 1, ... where they have none."""
    subjects = subjects_of(recordings)
    if subjects is None:
        return dict(enumerate(recordings))
    parts: dict[Subject, list[Any]] = {}
    for subject, recording in zip(subjects, recordings, strict=True):
        parts.setdefault(subject, []).append(recording)
    return dict(parts)


def pair_by_subject(
    X: Any, y: Any, groups: ArrayLike | None = None
) -> tuple[dict[Subject, Any], dict[Subject, Any]]:
    """`by_subject` of data and targets, which hold the same subjects.

    Parameters
    ----------
    X, groups
        As `by_subject` takes them.
    y : like X
        (n_samples_s, n_targets) or (n_samples_s,) for each subject.

    Raises
    ------
    DataError
        If X and y come in other forms or hold other subjects.
    """
    parts = parts_of(X)
    data = by_subject(X, groups)
    if parts is None:
        if is_mapping(y):
            raise _other_subjects(data, y)
        return data, _split_rows(y, groups)
    own = y if is_mapping(y) else dict(enumerate(y)) if _in_parts(X, y) else None
    if own is None or is_mapping(y) != is_mapping(X):
        raise _other_subjects(parts, own)
    named = {key.item() if isinstance(key, np.generic) else key: part for key, part in own.items()}
    if named.keys() != parts.keys():
        raise _other_subjects(parts, named)
    if data.keys() == parts.keys():
        return data, {s: join_sessions(named[s], s, "y") for s in data}
    # a list of recordings, some of one subject
    targets: dict[Subject, list[Any]] = {}
    for key, part in parts.items():
        targets.setdefault(part.attrs.get("subject", ""), []).append(named[key])
    return data, {s: join_sessions(part, s, "y") for s, part in targets.items()}


def sessions_by_subject(
    X: Any, sessions: Any, groups: ArrayLike | None, n_rows: dict[Subject, int]
) -> dict[Subject, np.ndarray]:
    """Session of every row of every subject, as integers 0, 1, ... in order of appearance.

    Parameters
    ----------
    X, groups
        As `by_subject` takes them. A subject's own list of arrays is its sessions, and so are the
        segments of a recording.
    sessions : array-like of shape (n_rows,), or dict or list of such, or None
        Labels in the form of X: of one array's rows, or of each subject's.
    n_rows : dict of int
        Rows of each subject.

    Raises
    ------
    DataError
        If sessions are of other subjects than X, or are not contiguous within a subject.
    """
    parts = parts_of(X)
    labels: Mapping[Any, Any]
    if sessions is None:
        labels = _own_sessions(X, parts)
    elif parts is None:
        every = check_labels(sessions, sum(n_rows.values()), "sessions")
        subjects = None if groups is None else check_labels(groups, len(every), "groups")
        labels = {s: every if subjects is None else every[subjects == s] for s in n_rows}
    else:
        listed = isinstance(sessions, list | tuple) and not is_mapping(X)
        labels = dict(enumerate(sessions)) if listed else sessions
        if not isinstance(labels, Mapping) or set(labels) != set(n_rows):
            raise DataError(
                "sessions and data are of other subjects",
                expected=f"labels in the form of X, of the subjects {list_some(list(n_rows))}",
                found=list_some(list(labels)) if isinstance(labels, Mapping) else "one array",
                fix="sessions={subject: labels}",
                field="sessions",
            )
    return {s: check_sessions(labels.get(s), n) for s, n in n_rows.items()}


def _own_sessions(X: Any, parts: Mapping[Any, Any] | None) -> dict[Subject, np.ndarray]:
    """Sessions of the subjects that are given as lists of them, or as recordings."""
    if parts is None:
        return {0: number_sessions([X])} if isinstance(X, xr.Dataset) else {}
    if all(isinstance(part, xr.Dataset) for part in parts.values()) and not is_mapping(X):
        parts = _recordings_by_subject(list(parts.values()))
    found = {}
    for subject, part in parts.items():
        inner = parts_of(part)
        if inner is not None or isinstance(part, xr.Dataset):
            found[subject] = number_sessions([part] if inner is None else list(inner.values()))
    return found


def _in_parts(X: Any, y: Any) -> bool:
    """Whether y has one item for each subject of an X that holds several."""
    if isinstance(y, np.ndarray):
        return y.ndim > 0 and (y.dtype == object or isinstance(X, np.ndarray))
    return isinstance(y, list | tuple)


def _other_subjects(data: Mapping[Any, Any], targets: Mapping[Any, Any] | None) -> DataError:
    return DataError(
        "X and y hold different subjects",
        expected=f"y in the form of X, with the subjects {list_some(list(data))}",
        found="one array" if targets is None else list_some(list(targets)),
        field="y",
    )


def check_cohort(
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    groups: ArrayLike | None = None,
    needs_y: bool = False,
    min_subjects: int = 1,
    missing_rows: bool = False,
    extend: bool = False,
) -> tuple[dict[Subject, np.ndarray], dict[Subject, np.ndarray]]:
    """Validate the training data of one or many subjects.

    Sets ``n_voxels_`` (by subject); ``voxel_names_`` (by subject) and ``target_names_`` where
    tables have names; and, for one 2-D array, scikit-learn's ``n_features_in_`` and
    ``feature_names_in_``.

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
    extend : bool
        Whether these subjects join those that the estimator knows.

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
    if needs_y and y is None:
        raise DataError(f"{type(estimator).__name__} requires y to be passed", field="y")
    data, targets = (by_subject(X, groups), {}) if y is None else pair_by_subject(X, y, groups)
    if len(data) < min_subjects:
        raise DataError(
            "there are too few subjects",
            expected=f"at least {min_subjects}",
            found=f"{len(data)}: {list_some(list(data))}",
            field="X",
        )
    tables = {s: as_given(part) for s, part in data.items()}
    checked = {
        s: _check_part(part, s, "X", min_rows=2, missing_rows=missing_rows)
        for s, part in tables.items()
    }
    known_targets = getattr(estimator, "target_names_", None) if extend else None
    outputs, target_names = _check_targets(targets, checked, known_targets, extend=extend)
    _remember(estimator, tables, checked, target_names, extend=extend)
    return checked, outputs


def _remember(
    estimator: Any,
    tables: dict[Subject, Any],
    checked: dict[Subject, np.ndarray],
    target_names: list[str] | None,
    *,
    extend: bool,
) -> None:
    """Set what predictions are held to, and forget what an earlier fit to one array left."""
    before = vars(estimator) if extend else {}
    sizes = {s: part.shape[1] for s, part in checked.items()}
    names = {s: names_of(part) for s, part in tables.items()}
    names = before.get("voxel_names_", dict.fromkeys(before.get("n_voxels_", {}))) | names
    estimator.n_voxels_ = before.get("n_voxels_", {}) | sizes
    set_or_forget(estimator, "voxel_names_", names if any(names.values()) else None)
    if not extend:
        set_or_forget(estimator, "target_names_", target_names)
    for name in ("n_features_in_", "feature_names_in_"):
        vars(estimator).pop(name, None)


def _check_single(
    estimator: Any, X: Any, y: Any, needs_y: bool
) -> tuple[dict[Subject, np.ndarray], dict[Subject, np.ndarray]]:
    """One array, checked as scikit-learn does it."""
    checks: dict[str, Any] = {"dtype": _FLOATS, "ensure_min_samples": 2}
    target_names = names_of(as_given(y, "y"))
    if needs_y:
        if is_mapping(y):
            raise _other_subjects({0: X}, y)
        y = y if y is None else as_numbers(as_given(y, "y"), "y")
        X, y = check_table(estimator, X, y, multi_output=True, y_numeric=True, **checks)
    else:
        X, y, target_names = check_table(estimator, X, **checks), None, None
    estimator.n_voxels_ = {0: X.shape[1]}
    set_or_forget(estimator, "voxel_names_", None)
    set_or_forget(estimator, "target_names_", target_names)
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

    Warns
    -----
    UserWarning
        If only one of X and the data of fit has names, as scikit-learn warns.
    """
    check_is_fitted(estimator)
    known = estimator.n_voxels_
    subject = check_known(known, subject)
    if hasattr(estimator, "n_features_in_") and known == {0: estimator.n_features_in_}:
        return subject, check_table(estimator, X, reset=False, dtype=_FLOATS)
    table = as_given(X)
    names = getattr(estimator, "voxel_names_", {}).get(subject)
    own = names_of(table)
    if names is not None and own is not None:
        table = align_columns(table, names, subject=subject)
    elif names is not None or own is not None:
        has, lacks = ("X", "fit") if names is None else ("fit", "X")
        warn_caller(
            f"subject {subject!r}: the columns of {has} have names and those of {lacks} have not; "
            "they are taken in order.",
            UserWarning,
        )
    checked = _check_part(table, subject, "X", min_rows=1)
    if checked.shape[1] != known[subject]:
        raise DataError(
            "other voxels than in fit",
            expected=f"{known[subject]} columns",
            found=f"shape {checked.shape}" + looks_transposed(checked, known[subject], axis=1),
            subject=subject,
            field="X",
        )
    return subject, checked


def check_known(known: dict[Subject, int], subject: Subject | None) -> Subject:
    """The subject asked for, or the only one; refused if the model does not know it."""
    if subject is None and len(known) > 1:
        raise DataError(
            "the model knows several subjects",
            expected=f"subject= one of {list_some(list(known))}",
            found="none named",
            fix="Or give a dict of subjects, or groups=.",
            field="subject",
        )
    subject = next(iter(known)) if subject is None else subject
    if subject not in known:
        raise DataError(
            "the model does not know this subject",
            expected=f"one of {list_some(list(known))}",
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
    if subject is not None and (groups is not None or is_cohort(X)):
        raise DataError(
            "subjects were given twice",
            expected="subject= with one array, or else a dict of subjects, or groups=",
            found="both",
            field="subject",
        )
    if is_cohort(X):
        parts = by_subject(X, groups)
        return {s: compute(*check_subject(estimator, part, s)) for s, part in parts.items()}
    if groups is None:
        return compute(*check_subject(estimator, X, subject))
    stacked = by_subject(X, groups)
    values = {s: compute(*check_subject(estimator, part, s)) for s, part in stacked.items()}
    first = next(iter(values.values()))
    labels = check_labels(groups, sum(map(len, values.values())), "groups")
    rows = np.empty((len(labels), *first.shape[1:]), dtype=first.dtype)
    for s, value in values.items():
        rows[labels == s] = value
    return rows


def _check_part(
    part: Any, subject: Subject, field: str, *, min_rows: int, missing_rows: bool = False
) -> np.ndarray:
    part = one_array(part, field, subject)
    try:
        checked = check_array(
            part, dtype=_FLOATS, ensure_all_finite=False, ensure_min_samples=min_rows
        )
    except (ValueError, TypeError) as error:
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
    targets: dict[Subject, Any],
    data: dict[Subject, np.ndarray],
    names: list[str] | None,
    *,
    extend: bool,
) -> tuple[dict[Subject, np.ndarray], list[str] | None]:
    """Targets by subject with their columns in one order, and the names of these."""
    given = {subject: as_given(one, "y") for subject, one in targets.items()}
    if given and not extend:
        names = names_of(next(iter(given.values())))
    checked = {}
    for subject, one in given.items():
        if names is not None or not extend:
            one = align_columns(one, names, subject=subject, field="y")
        values = as_numbers(one, "y", subject)
        flat = values.ndim == 1
        column = values.reshape(-1, 1) if flat else values
        values = _check_part(column, subject, "y", min_rows=1)
        if len(values) != len(data[subject]):
            raise DataError(
                "X and y differ in their rows",
                expected=f"{len(data[subject])} rows, as X has",
                found=f"{len(values)}" + looks_transposed(data[subject], len(values), axis=0),
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
    return checked, names


def align_targets(
    estimator: Any, targets: Any, subject: Subject | None = None, *, field: str = "y"
) -> Any:
    """Targets in the order of those of fit, where both have names."""
    given = as_given(targets, field)
    names = getattr(estimator, "target_names_", None)
    if names is None or names_of(given) is None:
        return given
    return align_columns(given, names, subject=subject, field=field)


def looks_transposed(part: np.ndarray, wanted: int, axis: int) -> str:
    """A hint where the other axis would fit."""
    fits = part.shape[1 - axis] == wanted
    return f" (X of shape {part.shape} looks transposed: time goes first)" if fits else ""
