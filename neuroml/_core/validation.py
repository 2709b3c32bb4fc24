"""Checks of one array, table or series of labels: masks, names, numbers, sessions."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike
from scipy.sparse import issparse
from sklearn.utils.validation import validate_data

from neuroml.exceptions import DataError

__all__ = [
    "align_columns",
    "as_given",
    "as_labels",
    "as_numbers",
    "break_points",
    "check_labels",
    "check_sample_weight",
    "check_sessions",
    "check_states",
    "check_table",
    "column_indices",
    "did_you_mean",
    "list_some",
    "names_of",
    "one_array",
    "session_slices",
    "set_or_forget",
    "visits_of",
]

_NUMBERS = "biuf"


def as_given(X: Any, field: str = "X") -> Any:
    """One array-like in a form that NumPy and scikit-learn read without losing anything.

    Parameters
    ----------
    X : array-like, DataFrame, Series, DataArray, recording, masked array, tensor or sparse matrix
        Masked entries become NaN; a recording becomes the table of its signal; a DataArray has time
        put first by the name of its axis, and keeps the names of its units; missing values of
        pandas' own types become NaN; column labels that are not text become text, unless they are
        just 0, 1, ... A list is read item by item.
    field : str
        The argument's name, for errors.

    Returns
    -------
    ndarray, DataFrame, Series, sparse matrix, or X itself

    Raises
    ------
    DataError
        If a recording has no signal, or a table has columns of the same name.
    """
    if isinstance(X, np.ma.MaskedArray):
        return _without_mask(X)
    if isinstance(X, xr.Dataset):
        return _signal_of(X, field)
    if isinstance(X, xr.DataArray):
        return _from_data_array(X)
    if isinstance(X, pd.DataFrame):
        return _plain_types(_check_columns(X, field))
    if isinstance(X, pd.Series):
        return _plain_types(X)
    if hasattr(X, "detach"):  # a torch tensor, which may require gradients or lie on a GPU
        return X.detach().cpu().numpy()
    if isinstance(X, list | tuple) and any(_loses_something(item) for item in X):
        return [as_given(item, field) for item in X]
    return np.asarray(X) if hasattr(X, "__array__") and not hasattr(X, "shape") else X


def _loses_something(item: Any) -> bool:
    """Whether NumPy would drop a mask or an order of axes, or fail, where this is in a list."""
    special = isinstance(item, np.ma.MaskedArray | xr.DataArray | list | tuple)
    return special or hasattr(item, "detach")


def _without_mask(X: Any) -> np.ndarray:
    if not np.ma.is_masked(X):
        return np.asarray(X.data)
    kind = X.dtype if X.dtype.kind == "f" else np.float64
    return np.asarray(X.astype(kind).filled(np.nan))


def _signal_of(recording: xr.Dataset, field: str) -> pd.DataFrame:
    if "signal" not in recording or set(recording["signal"].dims) != {"time", "unit"}:
        raise DataError(
            "this is not a recording",
            expected="a Dataset with signal (time, unit), as neuroml.data's readers return",
            found=f"variables {[str(name) for name in recording.data_vars]}",
            field=field,
        )
    signal = recording["signal"].transpose("time", "unit")
    return pd.DataFrame(signal.values, columns=[str(u) for u in recording["unit"].values])


def _from_data_array(X: xr.DataArray) -> Any:
    if "time" in X.dims:
        X = X.transpose("time", ...)
    if X.ndim == 2 and X.dims[1] in X.coords:
        return pd.DataFrame(X.values, columns=[str(u) for u in X[X.dims[1]].values])
    return X.values


def _plain_types(table: Any) -> Any:
    """A DataFrame or Series with pandas' nullable numbers as floats, NA as NaN."""
    if isinstance(table, pd.Series):
        if pd.api.types.is_extension_array_dtype(table.dtype) and _is_numeric(table.dtype):
            return table.astype(np.float64)
        return table
    nullable = [
        name
        for name, kind in table.dtypes.items()
        if pd.api.types.is_extension_array_dtype(kind) and _is_numeric(kind)
    ]
    return table.astype(dict.fromkeys(nullable, np.float64)) if nullable else table


def _is_numeric(kind: Any) -> bool:
    return pd.api.types.is_bool_dtype(kind) or pd.api.types.is_numeric_dtype(kind)


def _check_columns(table: pd.DataFrame, field: str) -> pd.DataFrame:
    columns = table.columns
    if not columns.is_unique:
        twice = [repr(name) for name in columns[columns.duplicated()].unique()[:5]]
        raise DataError(
            "columns have the same name",
            expected="a name for each column",
            found=f"twice or more: {', '.join(twice)}",
            field=field,
        )
    named = all(isinstance(name, str) for name in columns)
    if named or list(columns) == list(range(len(columns))):
        return table
    return _check_columns(table.set_axis([str(name) for name in columns], axis=1), field)


def names_of(X: Any) -> list[str] | None:
    """Column names of something that `as_given` returned, if it has any."""
    if isinstance(X, pd.DataFrame) and all(isinstance(name, str) for name in X.columns):
        return list(X.columns)
    return None


def align_columns(
    X: Any, names: Sequence[str] | None, *, subject: object = None, field: str = "X"
) -> Any:
    """Bring the columns of a table into the order of ``names``.

    Parameters
    ----------
    X : ndarray or DataFrame
        As `as_given` returns it.
    names : sequence of str or None
        None where the first of the parts, or fit, had no names.
    subject, field : object
        Where it is, for errors.

    Raises
    ------
    DataError
        If the names are others, or only one of the two has names: then columns could only be taken
        by their place.
    """
    own = names_of(X)
    if own is None and names is None:
        return X
    if own is None or names is None:
        raise DataError(
            "some columns have names and others have not, so which is which is not known",
            expected="names " + list_some(names) if names is not None else "arrays without names",
            found="no names" if own is None else "names " + list_some(own),
            fix="Give DataFrames throughout, or arrays throughout (DataFrame.to_numpy()).",
            subject=subject,
            field=field,
        )
    if own == list(names):
        return X
    if set(own) != set(names):
        extra = [name for name in own if name not in set(names)]
        absent = [name for name in names if name not in set(own)]
        raise DataError(
            "the columns have other names",
            expected="columns " + list_some(names),
            found=f"unknown {list_some(extra)}, missing {list_some(absent)}",
            subject=subject,
            field=field,
        )
    return X[list(names)]


def list_some(names: Sequence[object]) -> str:
    """The first eight of some names, and how many more there are."""
    shown = ", ".join(repr(name) for name in list(names)[:8])
    more = len(names) - 8
    return f"{shown}{f' and {more} more' if more > 0 else ''}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown word: the nearest known one, if one is near."""
    lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), lower, n=1)
    return f", did you mean {lower[near[0]]!r}?" if near else ""


def _like_the_first(parts: Sequence[Any], field: str) -> list[Any]:
    """The parts of a list: masks become NaN, and names are held to those of the first."""
    given = [as_given(part, field) for part in parts]
    if any(isinstance(part, pd.DataFrame) for part in given):
        names = names_of(given[0])
        given = [
            align_columns(part, names, field=f"{field}[{place}]")
            for place, part in enumerate(given)
        ]
    series = [part for part in given if isinstance(part, pd.Series)]
    if any(list(part.index) != list(series[0].index) for part in series):
        raise DataError(
            "the rows have other names",
            expected=f"{list_some(list(series[0].index))} in each, in this order",
            found="other names, or another order",
            fix="Make one table of them: pandas.DataFrame(rows).",
            field=field,
        )
    return given


def as_numbers(values: Any, field: str, subject: object = None) -> np.ndarray:
    """An array of numbers, or a refusal that says what came instead.

    The rows or planes of a list keep their masks, and their names have to agree. None counts as
    missing (NaN); text is not made a number, even where it could be.
    """
    if isinstance(values, list | tuple):
        values = _like_the_first(values, field)
    try:
        array = np.asarray(values)
        if array.dtype == object:
            if any(isinstance(value, str) for value in array.ravel()):
                raise TypeError("text")
            array = array.astype(np.float64)
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{field} is not an array of numbers",
            expected="numbers, NaN where missing, in rows of the same length",
            found=f"{type(values).__name__} with {str(error).splitlines()[0]}",
            fix="Code categories as 0, 1, ... (sklearn.preprocessing.LabelEncoder).",
            subject=subject,
            field=field,
        ) from error
    if array.dtype.kind == "c":
        raise DataError(
            "Complex data not supported",
            expected="real numbers",
            found=str(array.dtype),
            fix="Take what is meant: the absolute value, the phase, or both parts as columns.",
            subject=subject,
            field=field,
        )
    if array.dtype.kind not in _NUMBERS:
        raise DataError(
            f"{field} is not an array of numbers",
            expected="numbers, NaN where missing",
            found=f"{array.dtype} such as {array.ravel()[0]!r}" if array.size else str(array.dtype),
            fix="Code categories as 0, 1, ... (sklearn.preprocessing.LabelEncoder).",
            subject=subject,
            field=field,
        )
    return array


def break_points(labels: np.ndarray) -> np.ndarray:
    """Index of the first sample of each run of equal labels, starting with 0."""
    labels = np.asarray(labels)
    return np.flatnonzero(np.r_[True, labels[1:] != labels[:-1]])


def check_states(states: np.ndarray, field: str = "states") -> np.ndarray:
    """Numbers of states (n_samples,) as integers from 0, or a refusal."""
    if not (np.isfinite(states).all() and (states == np.round(states)).all() and min(states) >= 0):
        raise DataError(
            f"{field} are not numbers of states",
            expected="0, 1, ... for every sample",
            found=np.unique(states)[:5].tolist(),
            field=field,
        )
    return states.astype(int)


def visits_of(states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Length and state of every visit in one session, in order."""
    starts = break_points(states)
    return np.diff(np.append(starts, len(states))), states[starts]


def check_labels(labels: ArrayLike, n_samples: int, field: str) -> np.ndarray:
    """Labels of the samples, one each, all of one kind and none missing.

    Parameters
    ----------
    labels : array-like of shape (n_samples,)
        Numbers, texts or dates.
    n_samples : int
    field : str
        "sessions" or "groups".

    Returns
    -------
    ndarray of shape (n_samples,)

    Raises
    ------
    DataError
        If their number differs, some are missing, or kinds are mixed.
    """
    array = as_labels(labels)
    if array.shape != (n_samples,):
        lengths = array.ndim == 1 and array.dtype.kind in "iu" and array.sum() == n_samples
        raise DataError(
            f"{field} do not match the samples",
            expected=f"one label for each of {n_samples} samples",
            found=f"shape {array.shape}",
            fix="These look like lengths: use np.repeat(np.arange(len(lengths)), lengths)."
            if lengths
            else None,
            field=field,
        )
    missing = pd.isna(array)
    if missing.any():
        raise DataError(
            f"some {field} are missing",
            expected="a label for every sample",
            found=f"NaN or None for {int(missing.sum())} of {n_samples}",
            fix="Leave those samples out.",
            field=field,
        )
    if array.dtype == object:
        kinds = {_kind(value) for value in array}
        if len(kinds) > 1 or not all(map(pd.api.types.is_hashable, array)):
            raise DataError(
                f"{field} are of mixed kinds",
                expected="numbers, or texts",
                found=" and ".join(sorted(kinds)),
                field=field,
            )
        if kinds == {"str"}:
            array = array.astype(str)
    return array


def as_labels(labels: Any) -> np.ndarray:
    """Labels as an array that keeps their types; NumPy alone makes texts of numbers and NaN."""
    if isinstance(labels, np.ma.MaskedArray):
        boxed = labels.data.astype(object)
        boxed[np.ma.getmaskarray(labels)] = None
        return boxed if np.ma.is_masked(labels) else np.asarray(labels.data)
    if not isinstance(labels, list | tuple):
        array = np.asarray(as_given(labels))
        # as objects: NumPy's own dates become integers where they are made Python's
        return pd.Series(array).astype(object).to_numpy() if array.dtype.kind in "mM" else array
    array = np.array(labels, dtype=object)
    return np.asarray(pd.Series(array).infer_objects()) if array.ndim == 1 else array


def _kind(value: Any) -> str:
    numeric = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return "number" if numeric else "str" if isinstance(value, str) else type(value).__name__


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
        As `check_labels`, or if a label returns after another one (sessions must be contiguous).
    """
    if sessions is None:
        return np.zeros(n_samples, dtype=np.int64)
    labels = check_labels(sessions, n_samples, "sessions")
    starts = break_points(labels)
    n_labels = len(pd.unique(labels[starts]))
    if n_labels < len(starts):
        raise DataError(
            "sessions are not contiguous: a label returns after another one",
            expected="all samples of a session in one stretch, in time order",
            found=f"{len(starts)} stretches for {n_labels} labels",
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
        If weights are no numbers, of another shape, masked, not finite, negative, or all zero where
        they count.
    """
    field = "sample_weight"
    weights = as_numbers(as_given(sample_weight, field), field).astype(np.float64)
    if weights.shape != (n_samples,):
        raise DataError(
            "the weights do not match the samples",
            expected=f"one number for each of {n_samples} samples",
            found=f"shape {weights.shape}",
            field=field,
        )
    wrong = ~(np.isfinite(weights) & (weights >= 0))
    if wrong.any():
        place = int(np.argmax(wrong))
        raise DataError(
            "some weights are no weights",
            expected="finite numbers of at least 0",
            found=f"{int(wrong.sum())} others; the first is {weights[place]} at sample {place}",
            field=field,
        )
    weights = weights if counted is None else np.where(counted, weights, 0.0)
    if not weights.any():
        raise DataError(
            "no sample has any weight",
            expected="a weight above 0 for a sample that counts",
            found=f"{n_samples} zeros" if counted is None else "zeros for all that are observed",
            field=field,
        )
    return weights


def session_slices(sessions: np.ndarray) -> list[slice]:
    """One slice per session of checked, contiguous labels."""
    starts = break_points(sessions)
    return [
        slice(int(a), int(b)) for a, b in zip(starts, [*starts[1:], len(sessions)], strict=True)
    ]


def check_table(estimator: Any, X: Any, y: Any = "no_validation", **checks: Any) -> Any:
    """scikit-learn's `validate_data` of what `as_given` returns; a refit forgets earlier names.

    Raises
    ------
    DataError
        If X is several subjects or recordings, or a table with columns that are no numbers.
    """
    if issparse(X):
        return validate_data(estimator, X, y, **checks)
    X = one_array(X)
    if checks.get("reset", True) and names_of(X) is None:
        vars(estimator).pop("feature_names_in_", None)
    given = y if isinstance(y, str) or y is None else as_given(y, "y")
    return validate_data(estimator, X, given, **checks)


def one_array(X: Any, field: str = "X", subject: object = None) -> Any:
    """What `as_given` makes of one array-like, in the form that scikit-learn's `check_array` takes.

    Raises
    ------
    DataError
        If there are several arrays in a dict, list or object array, rows differ in length, or there
        are texts or dates: these are not made numbers, even where they could be.
    """
    X = as_given(X, field)
    boxes = isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1
    items = list(X) if boxes or isinstance(X, list | tuple) else []
    if isinstance(X, Mapping) or any(
        isinstance(item, xr.Dataset | Mapping)
        or getattr(item, "ndim", 0) > 1
        or (boxes and np.iterable(item))
        for item in items
    ):
        raise DataError(
            f"{field} holds several arrays where one is due",
            expected="an array, table or recording",
            found=f"{type(X).__name__} of {len(X)}",
            fix="Join the samples (np.concatenate), or put the arrays on a new axis (np.stack).",
            subject=subject,
            field=field,
        )
    if isinstance(X, list | tuple | str | bytes):
        return as_numbers(X, field, subject)
    columns = {f"{field}[{name!r}]": X[name] for name in X} if isinstance(X, pd.DataFrame) else {}
    for place, values in (columns or {field: X}).items():
        if _is_text_or_date(values):
            as_numbers(values, place, subject)
    return X


def _is_text_or_date(values: Any) -> bool:
    if not isinstance(values, np.ndarray | pd.Series):
        return False
    array = np.asarray(values)
    if array.dtype == object:
        return any(isinstance(value, str) for value in array.ravel())
    return array.dtype.kind in "USmM"


def set_or_forget(estimator: Any, name: str, value: Any) -> None:
    """Set a fitted attribute, or take away that of an earlier fit if there is none (None)."""
    if value is None:
        vars(estimator).pop(name, None)
    else:
        setattr(estimator, name, value)


def column_indices(
    selected: Any, n_columns: int, names: Sequence[str] | None, *, field: str
) -> np.ndarray:
    """Indices of the columns that a parameter selects.

    Parameters
    ----------
    selected : sequence of int, sequence of str, or boolean mask of shape (n_columns,)
        Negative integers count from the end.
    n_columns : int
    names : sequence of str or None
        Of the columns, if they have any.
    field : str
        The parameter's name, for errors.

    Returns
    -------
    ndarray of int

    Raises
    ------
    DataError
        If a column is not there, or is selected twice; if a mask has another length; or if what
        selects is neither integers, names nor a mask.
    """
    given = np.atleast_1d(np.asarray(selected))
    if given.size == 0:
        return np.empty(0, dtype=int)
    chosen: list[int] | None = None
    if given.ndim == 1 and given.dtype == bool and len(given) == n_columns:
        chosen = np.flatnonzero(given).tolist()
    elif given.ndim == 1 and given.dtype.kind in "iu":
        inside = (given >= -n_columns) & (given < n_columns)
        chosen = (given % n_columns).tolist() if inside.all() else None
    elif given.ndim == 1 and given.dtype.kind in "UO" and names is not None:
        places = {name: place for place, name in enumerate(names)}
        found = [places.get(name) for name in given.tolist()]
        chosen = [place for place in found if place is not None]
        chosen = chosen if len(chosen) == len(found) else None
    if chosen is None or len(set(chosen)) < len(chosen):
        known = f", the names {list_some(list(names))}" if names is not None else ""
        raise DataError(
            "these are not columns of X",
            expected=f"different integers below {n_columns}{known} or a mask of {n_columns}",
            found=repr(selected),
            field=field,
        )
    return np.array(chosen, dtype=int)
