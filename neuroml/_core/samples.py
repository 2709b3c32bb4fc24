"""Sessions that share their units, in the forms in which they are given, as one array.

A 2-D array, table or recording; a list of them (or a 3-D array), one per session; a dict, one per
subject, or a list of sessions per subject. What can be read in two ways is refused.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike
from scipy.sparse import issparse

from neuroml._core.estimator import n_samples_of
from neuroml._core.recording import break_points
from neuroml._core.validation import (
    align_columns,
    as_given,
    as_labels,
    as_numbers,
    check_labels,
    check_sessions,
    check_table,
    list_some,
    names_of,
    one_array,
    set_or_forget,
)
from neuroml.exceptions import DataError

__all__ = [
    "Samples",
    "align_outputs",
    "as_labeled_samples",
    "as_samples",
    "check_samples",
    "code_names",
    "is_mapping",
    "join_like",
    "join_sessions",
    "number_sessions",
    "parts_of",
    "subjects_of",
]

OnNaN = Literal["raise", "keep"]


def parts_of(X: Any) -> dict[Hashable, Any] | None:
    """The parts of a container of data, or None if X is one array.

    Parameters
    ----------
    X : anything
        A mapping has its keys; a list, tuple or object array of 2-D arrays, tables or recordings,
        and a 3-D array, the keys 0, 1, ... A mapping of such lists is one too.
    """
    if isinstance(X, np.ndarray) and X.ndim == 3:
        return dict(enumerate(X))
    if is_mapping(X):
        return {_plain_key(key): part for key, part in X.items()}
    if isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1:
        X = list(X)
    if isinstance(X, list | tuple) and len(X) and all(_n_axes(part) == 2 for part in X):
        return dict(enumerate(X))
    return None


def is_mapping(X: Any) -> bool:
    """Whether X is a dict of parts, which recordings and some sparse matrices only look like."""
    return isinstance(X, Mapping) and not isinstance(X, xr.Dataset) and not issparse(X)


def _plain_key(key: Any) -> Any:
    return key.item() if isinstance(key, np.generic) else key


def _n_axes(part: Any) -> int:
    """Number of axes of one array, table or recording; -1 if it is ragged or something else."""
    if isinstance(part, xr.Dataset):
        return 2
    if hasattr(part, "ndim"):
        return int(part.ndim)
    if not isinstance(part, list | tuple):
        return -1
    try:
        return int(np.ndim(part))
    except ValueError:
        return -1


@dataclass(frozen=True)
class Samples:
    """Data of one or more sessions as one array, time first.

    Attributes
    ----------
    X : ndarray, DataFrame or None
        (n_samples, n_units); None in models of y alone.
    y : ndarray or None
        (n_samples,) or (n_samples, n_outputs), NaN where missing.
    sessions : array-like or None
        (n_samples,)
    groups : ndarray or None
        (n_samples,), the subject of each sample, where that is known.
    """

    X: Any
    y: np.ndarray | None
    sessions: Any
    groups: np.ndarray | None


def as_samples(
    X: Any,
    y: Any = None,
    sessions: ArrayLike | None = None,
    groups: ArrayLike | None = None,
) -> Samples:
    """Join what is given in parts into one array, and say where parts begin.

    Parameters
    ----------
    X : array-like, table, recording; list or dict of such; or None
        A list has one part per session (recordings: one or more, by their segments); a dict one per
        subject, or a list of sessions per subject. None where the model has y alone.
    y : like X, or array-like of shape (n_samples,) or (n_samples, n_outputs), optional
        In the same parts as X.
    sessions, groups : array-like of shape (n_samples,), optional
        Not together with parts that say the same.

    Raises
    ------
    DataError
        If parts of X and y do not match, columns have other names, or sessions or groups are given
        twice.
    """
    recordings = isinstance(X, xr.Dataset)
    parts: dict[Hashable, Any] | None = {0: X} if recordings else parts_of(X)
    if X is None:
        return _targets_alone(y, sessions, groups)
    if parts is None:
        X = as_given(X)
        return Samples(X, _one_y(y, n_samples_of(X)), sessions, _groups(groups, n_samples_of(X)))
    flat = _flatten(parts, "X")
    if not flat:
        raise DataError(
            "there is nothing in X", expected="at least one session", found=0, field="X"
        )
    given_y = None if y is None else _flatten_like(y, X, parts, flat)
    tables = [as_given(part) for _, part in flat]
    _check_axes(tables, flat)
    tables = [
        one_array(table, _place("X", key)) for table, (key, _) in zip(tables, flat, strict=True)
    ]
    names = names_of(tables[0])
    tables = [
        align_columns(table, names, field=_place("X", one[0]))
        for one, table in zip(flat, tables, strict=True)
    ]
    _check_widths(tables, flat)
    lengths = [n_samples_of(table) for table in tables]
    targets = None if given_y is None else _join_targets(given_y, flat, lengths)
    found_sessions, found_groups = _boundaries(X, flat, lengths)
    if sessions is not None and len(flat) > 1:
        raise DataError(
            "sessions were given twice",
            expected="a list of 2-D arrays, or one 2-D array with sessions=",
            found="both",
            field="sessions",
        )
    own = _own_groups(X, groups, found_groups, sum(lengths))
    joined = _concatenate(tables, names)
    return Samples(joined, targets, found_sessions if sessions is None else sessions, own)


def join_like(values: Any, X: Any, y: Any, field: str) -> np.ndarray:
    """One value per sample, in the same parts as the data or as one array.

    Parameters
    ----------
    values : array-like of shape (n_samples,), or list or dict of such
    X : as `as_samples` takes it
        None in models of y alone.
    y : as `as_samples` takes it
    field : str

    Returns
    -------
    ndarray of shape (n_samples,)
        Only values in parts have been compared with the data.

    Raises
    ------
    DataError
        If they come in parts, and not in those of the data, or are no numbers.
    """
    if not is_mapping(values) and not _is_in_parts(values):
        return as_numbers(as_given(values, field), field)
    data = y if X is None else X
    parts: dict[Hashable, Any] | None
    parts = {0: data} if isinstance(data, xr.Dataset) else parts_of(data)
    if parts is None and X is None and _is_in_parts(data):
        parts = dict(enumerate(data))
    if parts is None:
        raise DataError(
            f"the data and {field} do not come in the same parts",
            expected="one array, as the data are",
            found=f"{type(values).__name__} of {len(values)}",
            field=field,
        )
    flat = _flatten(parts, "X" if X is not None else "y")
    lengths = [n_samples_of(as_given(part)) for _, part in flat]
    return _join_targets(_flatten_like(values, data, parts, flat, field), flat, lengths, field)


def _own_groups(X: Any, groups: Any, found: np.ndarray | None, n_samples: int) -> np.ndarray | None:
    """Subject of each sample of data in parts: as given, or else as the parts say."""
    if groups is not None and found is not None and is_mapping(X):
        raise DataError(
            "groups were given twice",
            expected="a dict of subjects, or one 2-D array with groups=",
            found="both",
            field="groups",
        )
    return found if groups is None else _groups(groups, n_samples)


def _flatten(parts: Mapping[Hashable, Any], field: str) -> list[tuple[Hashable, Any]]:
    """(subject or number, array) of every session, those of a subject in a row."""
    flat: list[tuple[Hashable, Any]] = []
    for key, part in parts.items():
        inner = parts_of(part)
        if inner is None and isinstance(part, list | tuple) and _are_vectors(part):
            inner = dict(enumerate(part))
        if isinstance(inner, dict) and is_mapping(part):
            raise DataError(
                "a dict of dicts is not understood",
                expected="{subject: array} or {subject: [one array per session]}",
                found=f"a dict for {key!r}",
                field=field,
            )
        flat.extend((key, one) for one in ([part] if inner is None else inner.values()))
    return flat


def _are_vectors(parts: Sequence[Any]) -> bool:
    """Whether a list holds arrays of one value per sample, and not just values."""
    return len(parts) > 0 and all(getattr(part, "ndim", 0) == 1 for part in parts)


def _flatten_like(
    y: Any,
    X: Any,
    parts: Mapping[Hashable, Any],
    flat: list[tuple[Hashable, Any]],
    field: str = "y",
) -> list[Any]:
    """Parts of y in the order of those of X."""
    if isinstance(X, xr.Dataset) and not is_mapping(y):
        return [y]
    boxes = isinstance(y, np.ndarray) and (y.dtype == object or isinstance(X, np.ndarray))
    own: dict[Hashable, Any] | None = None
    if is_mapping(y):
        own = {_plain_key(key): part for key, part in y.items()}
    elif boxes or isinstance(y, list | tuple):
        own = dict(enumerate(y))
    if own is None or own.keys() != parts.keys():
        raise DataError(
            f"X and {field} do not come in the same parts",
            expected=f"a part of {field} for each of {list_some(list(parts))}",
            found="one array" if own is None else list_some(list(own)),
            field=field,
        )
    found = _flatten({key: own[key] for key in parts}, field)
    if [key for key, _ in found] != [key for key, _ in flat]:
        raise DataError(
            f"X and {field} do not come in the same sessions",
            expected=f"{len(flat)} sessions, as X has",
            found=len(found),
            field=field,
        )
    return [part for _, part in found]


def _place(field: str, key: Hashable) -> str:
    return f"{field}[{key!r}]"


def _check_axes(tables: list[Any], flat: list[tuple[Hashable, Any]]) -> None:
    for table, (key, _) in zip(tables, flat, strict=True):
        if _n_axes(table) != 2:
            raise DataError(
                "a session is not a 2-D array",
                expected="shape (n_samples, n_units)",
                found=f"shape {table.shape}" if hasattr(table, "shape") else type(table).__name__,
                field=_place("X", key),
            )


def _check_widths(tables: list[Any], flat: list[tuple[Hashable, Any]]) -> None:
    widths = [np.shape(table)[1] for table in tables]
    if len(set(widths)) > 1:
        odd = next(i for i, width in enumerate(widths) if width != widths[0])
        raise DataError(
            "the sessions have different units",
            expected=f"{widths[0]} columns in each, as in the first",
            found=f"{widths[odd]} in {_place('X', flat[odd][0])} (all: {sorted(set(widths))})",
            fix="Put recordings on one axis with neuroml.data.align_units.",
            field="X",
        )


def _boundaries(
    X: Any, flat: list[tuple[Hashable, Any]], lengths: list[int]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Session of every sample, and its subject where that is known."""
    keys: list[Any] | None = [key for key, _ in flat] if is_mapping(X) else None
    if keys is None and all(isinstance(part, xr.Dataset) for _, part in flat):
        keys = subjects_of([part for _, part in flat])
    groups = None if keys is None else _key_array(keys).repeat(lengths)
    return number_sessions([part for _, part in flat]), groups


def number_sessions(parts: Sequence[Any]) -> np.ndarray:
    """Session (n_samples,) of every sample of several arrays; a recording's segments are some."""
    sessions, n_sessions = [], 0
    for part in parts:
        starts = np.zeros(1, dtype=int)
        if isinstance(part, xr.Dataset) and "segment" in part:
            starts = break_points(part["segment"].values)
        recorded = isinstance(part, xr.Dataset)
        ids = np.zeros(part.sizes["time"] if recorded else n_samples_of(as_given(part)), dtype=int)
        ids[starts[1:]] = 1
        sessions.append(np.cumsum(ids) + n_sessions)
        n_sessions += len(starts)
    return np.concatenate(sessions)


def subjects_of(recordings: Sequence[xr.Dataset]) -> list[str] | None:
    """The subject of every recording, or None if none of them says."""
    subjects = [recording.attrs.get("subject", "") for recording in recordings]
    if any(subjects) and not all(subjects):
        raise DataError(
            "some recordings do not say whose they are",
            expected="the attribute 'subject' in each, or in none",
            found=f"{sum(map(bool, subjects))} of {len(subjects)} have it",
            fix="Give a dict of subjects.",
            field="X",
        )
    return subjects if any(subjects) else None


def _key_array(keys: list[Any]) -> np.ndarray:
    """Labels as an array that keeps their type, whatever they are."""
    plain = np.asarray(keys)
    if plain.ndim == 1 and plain.dtype.kind in "iuU" and not isinstance(keys[0], bool):
        if plain.dtype.kind != "U" or all(isinstance(key, str) for key in keys):
            return plain
    boxed = np.empty(len(keys), dtype=object)
    boxed[:] = keys
    return boxed


def _concatenate(tables: list[Any], names: list[str] | None) -> Any:
    values = np.concatenate([np.asarray(table) for table in tables])
    return values if names is None else pd.DataFrame(values, columns=names)


def _join_targets(
    parts: list[Any],
    flat: list[tuple[Hashable, Any]],
    lengths: list[int],
    field: str = "y",
) -> np.ndarray:
    given = [as_given(part, field) for part in parts]
    names = names_of(given[0])
    tables = []
    for (key, _), one, length in zip(flat, given, lengths, strict=True):
        where = _place(field, key)
        values = as_numbers(align_columns(one, names, field=where), where)
        if values.ndim not in (1, 2) or len(values) != length:
            raise DataError(
                f"X and {field} differ in their samples",
                expected=f"{length} rows, as X has",
                found=f"shape {values.shape}",
                field=where,
            )
        tables.append(values)
    if len({table.shape[1:] for table in tables}) > 1:
        raise DataError(
            "the sessions differ in their outputs",
            expected=f"the same columns of {field} in each",
            found=sorted({table.shape[1:] for table in tables}),
            field=field,
        )
    return np.concatenate(tables)


def align_outputs(
    estimator: Any, y: Any, values: np.ndarray | None, *, reset: bool, field: str = "y"
) -> np.ndarray | None:
    """Hold the columns of y to the names that they had in fit (``target_names_``).

    Parameters
    ----------
    estimator : BaseEstimator
    y : array-like, table, or list or dict of such
        As given.
    values : ndarray of shape (n_samples, n_outputs) or None
        What `as_samples` made of it.
    reset : bool
        True in fit, which keeps the names; False after it, where columns are put into their order.
    field : str

    Raises
    ------
    DataError
        If the names are others.
    """
    parts = list(y.values()) if is_mapping(y) else list(y) if isinstance(y, list | tuple) else [y]
    names = names_of(as_given(parts[0], field)) if parts else None
    if reset:
        set_or_forget(estimator, "target_names_", names)
        return values
    known = getattr(estimator, "target_names_", None)
    if values is None or names is None or known is None:
        return values
    return align_columns(pd.DataFrame(values, columns=names), known, field=field).to_numpy()


def _one_y(y: Any, n_samples: int) -> np.ndarray | None:
    """The y beside an X that is one array."""
    if y is None:
        return None
    if is_mapping(y):
        raise DataError(
            "X and y do not come in the same parts",
            expected="one array, as X is",
            found=f"a dict of {list_some(list(y))}",
            field="y",
        )
    if isinstance(y, list | tuple) and _are_vectors(y) and len(y) != n_samples:
        raise DataError(
            "X and y do not come in the same parts",
            expected=f"one array of {n_samples} rows, as X is",
            found=f"a list of {len(y)} arrays",
            field="y",
        )
    return as_numbers(as_given(y, "y"), "y")


def _targets_alone(y: Any, sessions: Any, groups: Any) -> Samples:
    """Samples of a model without X: y says how many there are, and where sessions begin."""
    if y is None:
        return Samples(None, None, sessions, None)
    if isinstance(y, np.ndarray) and y.dtype == object and y.ndim == 1 and _n_axes(y[0]) > 0:
        y = list(y)
    in_parts = is_mapping(y) or (
        isinstance(y, list | tuple)
        and len(y) > 0
        and (all(getattr(part, "ndim", 0) in (1, 2) or isinstance(part, xr.Dataset) for part in y))
    )
    if not in_parts:
        y = list(y) if isinstance(y, tuple) else y
        if isinstance(y, list) and y and all(isinstance(part, list | tuple) for part in y):
            raise DataError(
                "lists within a list can be the sessions of y, or its rows",
                expected="np.asarray(y) for rows, or [np.asarray(part) for part in y] for sessions",
                found=f"{len(y)} lists",
                field="y",
            )
        found = as_numbers(as_given(y, "y"), "y")
        return Samples(None, found, sessions, _groups(groups, len(found)))
    parts = dict(y) if is_mapping(y) else dict(enumerate(y))
    flat = _flatten(parts, "y")
    lengths = [n_samples_of(as_given(part, "y")) for _, part in flat]
    found_sessions, found_groups = _boundaries(y, flat, lengths)
    if sessions is not None:
        raise DataError(
            "sessions were given twice",
            expected="a list of arrays, or one array with sessions=",
            found="both",
            field="sessions",
        )
    own = _own_groups(y, groups, found_groups, sum(lengths))
    return Samples(None, _join_targets([p for _, p in flat], flat, lengths), found_sessions, own)


def check_samples(
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    sessions: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    reset: bool,
    on_nan: OnNaN = "raise",
    dtype: Any = (np.float64, np.float32),
) -> Samples:
    """Validate time series given in any form that `as_samples` takes.

    Parameters
    ----------
    estimator : BaseEstimator
        Whose ``n_features_in_`` and ``feature_names_in_`` are set (``reset=True``) or compared.
    X, y, sessions, groups
        As `as_samples` takes them; X is not None.
    reset : bool
        True in fit, False after it.
    on_nan : {"raise", "keep"}
        Whether NaN in X is refused or handed on as missing; infinity is always refused.
    dtype : numpy dtype or tuple of them

    Returns
    -------
    Samples
        With X an ndarray, and sessions integers 0, 1, ...
    """
    given = as_samples(X, y, sessions, groups)
    finite: Any = True if on_nan == "raise" else "allow-nan"
    checked = check_table(estimator, given.X, reset=reset, dtype=dtype, ensure_all_finite=finite)
    return Samples(checked, given.y, check_sessions(given.sessions, len(checked)), given.groups)


def _groups(groups: ArrayLike | None, n_samples: int) -> np.ndarray | None:
    return None if groups is None else check_labels(groups, n_samples, "groups")


def code_names(y: Any, *, keeps_missing: bool = False) -> tuple[Any, np.ndarray | None]:
    """Names of classes as numbers, in the same form, with the names; other targets as they are.

    Parameters
    ----------
    y : array-like, or list or dict of such
    keeps_missing : bool
        Whether names may be missing, which is NaN then, and in several columns.

    Raises
    ------
    DataError
        If names are missing and may not be, or mixed with numbers.
    """
    leaves = _leaves(y)
    flat = [as_labels(one) for one in leaves]
    if not any(_holds_names(one) for one in flat):
        return y, None
    if not keeps_missing and any(one.ndim != 1 for one in flat):
        return y, None
    missing = [pd.isna(one) & keeps_missing for one in flat]
    # as objects, since NumPy would make texts of numbers beside them
    given = [one.astype(object)[~gone] for one, gone in zip(flat, missing, strict=True)]
    every = np.concatenate(given)
    every = check_labels(every, len(every), "y").astype(str)
    names = np.unique(every)
    coded = []
    ends = np.cumsum([len(one) for one in given])
    for gone, codes in zip(
        missing, np.split(np.searchsorted(names, every), ends[:-1]), strict=True
    ):
        whole = np.full(gone.shape, np.nan) if gone.any() else np.empty(gone.shape, dtype=int)
        whole[~gone] = codes
        coded.append(whole)
    tables = [
        pd.DataFrame(codes, columns=one.columns) if isinstance(one, pd.DataFrame) else codes
        for one, codes in zip(leaves, coded, strict=True)
    ]
    return _filled(y, iter(tables)), names


def as_labeled_samples(
    X: Any, y: Any, sessions: ArrayLike | None, groups: ArrayLike | None
) -> Samples:
    """As `as_samples`, for targets that may be texts, which they stay; None where missing."""
    codes, names = code_names(y, keeps_missing=True)
    given = as_samples(X, codes, sessions, groups)
    if names is None or given.y is None:
        return given
    missing = np.isnan(given.y)
    found = names[np.where(missing, 0, given.y).astype(int)]
    if missing.any():
        found = found.astype(object)
        found[missing] = None
    return replace(given, y=found)


def _is_in_parts(y: Any) -> bool:
    boxed = isinstance(y, np.ndarray) and y.dtype == object and y.ndim == 1
    return (boxed or isinstance(y, list | tuple)) and len(y) > 0 and _is_array(y[0])


def _is_array(part: Any) -> bool:
    return isinstance(part, list | tuple) or _n_axes(part) > 0


def _leaves(y: Any) -> list[Any]:
    """The vectors of targets in dicts and lists of sessions, or the targets alone."""
    if is_mapping(y) or _is_in_parts(y):
        return [one for part in (y.values() if is_mapping(y) else y) for one in _leaves(part)]
    return [] if y is None else [y]


def _filled(y: Any, leaves: Iterator[Any]) -> Any:
    """The same dicts and lists with other vectors."""
    if is_mapping(y):
        return {key: _filled(part, leaves) for key, part in y.items()}
    return [_filled(part, leaves) for part in y] if _is_in_parts(y) else next(leaves)


def _holds_names(values: np.ndarray) -> bool:
    if values.dtype == object:
        return any(isinstance(value, str) for value in values.ravel())
    return values.dtype.kind in "US"


def join_sessions(part: Any, subject: Hashable, field: str = "X") -> Any:
    """One subject's data, its sessions joined if they come as a list.

    Parameters
    ----------
    part : array-like, table or recording, or a list of such
    subject : hashable
    field : str

    Raises
    ------
    DataError
        If columns have other names, or other numbers.
    """
    inner = parts_of(part)
    if inner is None and isinstance(part, list | tuple) and _are_vectors(part):
        return np.concatenate([as_numbers(as_given(one, field), field, subject) for one in part])
    if inner is None:
        return as_given(part, field)
    tables = [one_array(one, field, subject) for one in inner.values()]
    names = names_of(tables[0])
    tables = [align_columns(one, names, subject=subject, field=field) for one in tables]
    _check_widths(tables, [(subject, one) for one in tables])
    return _concatenate(tables, names)
