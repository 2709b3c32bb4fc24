"""A time x units matrix from any table or array file, with its axes the right way round."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from neuroml.data._arrays import StoredArray, list_arrays, read_array
from neuroml.data._tables import Table, check_named, is_table, read_numbers
from neuroml.data._units import check_unique
from neuroml.exceptions import DataError

__all__ = [
    "Matrix",
    "is_matrix",
    "is_smoother_along_rows",
    "may_be_seconds",
    "read_matrix",
    "read_vector",
]

_CLOCK_WORDS = {
    *("time", "times", "timestamp", "timestamps", "t", "clock", "seconds", "milliseconds"),
    *("frame", "frames", "sample", "samples", "volume", "volumes", "scan", "tr", "bin"),
    *("index", "idx", "row", "rownames", "rowname"),
}
"""Names of clocks and indices, alone or before what they are counted in."""
_CLOCK_UNITS = {
    *("", "s", "sec", "secs", "second", "seconds", "ms", "msec", "us", "ns", "min", "hz", "nr"),
    *("stamp", "stamps", "number", "no", "num", "id", "index", "idx", "names", "name", "0"),
}
_NOT_SECONDS = {
    *("ms", "msec", "msecs", "millisecond", "milliseconds", "us", "usec", "microseconds", "ns"),
    *("min", "minutes", "frame", "frames", "index", "idx", "sample", "samples", "volume", "tr"),
}
_MIN_STEPS, _MIN_RISES = 3, 11
"""A signal may rise thrice by equal steps; that noise rises 11 times has a chance of 1 / 12!."""
_NAME_THE_UNITS = (
    "Name the time column where the reader takes one (time=), pass the names of the units in "
    "units=, or take the column out."
)
_SMOOTHER = 0.1
_N_ERRORS = 4.0
"""By how much, and by how many standard errors, the other axis must be smoother to ask."""


@dataclass(frozen=True)
class Matrix:
    """What `read_matrix` found.

    Attributes
    ----------
    values : ndarray of shape (n_times, n_units)
    names : list of str or None
        None where neither the file nor the caller names the units.
    side : DataFrame of shape (n_times, n_side)
        The columns that were asked for apart.
    notes : list of str
        What was left out.
    """

    values: np.ndarray
    names: list[str] | None
    side: pd.DataFrame = field(default_factory=pd.DataFrame)
    notes: list[str] = field(default_factory=list)


def read_matrix(
    path: Path | str,
    *,
    variable: str | None = None,
    units: Sequence[str] | None = None,
    units_first: bool | None = None,
    n_times: int | None = None,
    side: Sequence[str] = (),
) -> Matrix:
    """Read a matrix and put time first.

    Parameters
    ----------
    path : path-like
        A text table, or one of the array formats.
    variable : str, optional
        Which array of the file.
    units : sequence of str, optional
        Names of the units; for a table with named columns, those to take.
    units_first : bool, optional
        Whether the file has one unit per row. If None, the number of ``units`` or of times decides;
        failing that time is first, and an array that has more columns than rows, is square, or is
        smoother along its rows is refused.
    n_times : int, optional
        The number of samples, where a time axis tells.
    side : sequence of str
        Named columns to return apart.

    Raises
    ------
    DataError
        If the axes are in doubt, names do not fit, or the file is damaged.
    """
    if is_table(path):
        table = read_numbers(path)
        if table.has_names:
            if units_first:
                raise DataError(
                    "a table with named columns has a unit per column",
                    expected="units_first=False, or a table without a header",
                    found="units_first=True",
                    file=path,
                    field="units_first",
                )
            return _named(path, table, units, side)
        values, notes = table.columns.to_numpy(), table.notes
    else:
        values = _read_traces(path, variable)
        notes = []
    if side:
        raise DataError(
            "columns cannot be taken by name",
            expected="a table with a header",
            found="an array without column names",
            file=path,
            field=", ".join(side),
        )
    values = np.asarray(values)
    if _has_units_first(path, values, units, units_first, n_times):
        values = values.T
    if units is None:
        _refuse_clocks(path, values, None)
    else:
        check_unique(units, file=path)
    return Matrix(values, None if units is None else [str(u) for u in units], notes=notes)


def _read_traces(path: Path | str, variable: str | None) -> np.ndarray:
    """An array of several traces; in a file without any, that of a single one as a column."""
    arrays = list_arrays(path)
    suits = is_matrix
    if not any(map(is_matrix, arrays)) or (
        variable is not None and any(a.name == variable and _is_vector(a) for a in arrays)
    ):
        suits = _is_trace
    values = read_array(path, variable, suits, "a 2-D array of numbers, or a single trace")
    return values if suits is is_matrix else np.reshape(values, (-1, 1))


def _is_trace(array: StoredArray) -> bool:
    return _is_vector(array) and max(array.shape, default=0) > 1


def read_vector(path: Path | str, variable: str) -> np.ndarray:
    """Read a named 1-D array of numbers (n x 1 and 1 x n count as such)."""
    return np.asarray(
        read_array(path, variable, _is_vector, "a 1-D array of numbers"), dtype=np.float64
    ).ravel()


def is_matrix(array: StoredArray) -> bool:
    """Whether a stored array can be a table of times and units."""
    return array.kind == "numbers" and len(array.shape) == 2 and min(array.shape) > 1


def _is_vector(array: StoredArray) -> bool:
    return array.kind == "numbers" and int(np.prod(array.shape)) == max(array.shape, default=0)


def _named(
    path: Path | str, table: Table, units: Sequence[str] | None, side: Sequence[str]
) -> Matrix:
    columns = table.columns
    wanted = [*side, *(units if units is not None else [])]
    absent = [name for name in wanted if name not in columns]
    if absent:
        raise DataError(
            "the table has no such column",
            expected=f"one of {', '.join(columns.columns[:40])}",
            found=", ".join(absent),
            file=path,
        )
    rest = columns.drop(columns=list(side))
    if units is None:
        check_named(replace(table, columns=rest), _NAME_THE_UNITS, file=path)
        _refuse_clocks(path, rest.to_numpy(), list(rest.columns))
    chosen = rest if units is None else rest[list(units)]
    if chosen.shape[1] == 0:
        raise DataError("no column is left for the units", file=path)
    return Matrix(chosen.to_numpy(), list(chosen.columns), columns[list(side)], table.notes)


def _refuse_clocks(path: Path | str, values: np.ndarray, names: list[str] | None) -> None:
    """Refuse columns that by their name, or by always rising, are a time axis or an index."""
    for at, column in enumerate(values.T):
        by_name = names is not None and _is_clock_name(names[at])
        if by_name or _always_rises(column):
            name = f"number {at}" if names is None else repr(names[at])
            raise DataError(
                f"the column {name} looks like a time axis, not like a unit",
                expected="signals only",
                found=f"{', '.join(f'{value:g}' for value in column[:3])}, ...",
                fix=_NAME_THE_UNITS,
                file=path,
                field=None if names is None else names[at],
            )


def _is_clock_name(name: str) -> bool:
    """Whether a name is a word such as time or frame, maybe with what it is counted in."""
    first, *others = re.findall(r"[a-z0-9]+", name.lower()) or [""]
    return first in _CLOCK_WORDS | {"unnamed"} and set(others) <= _CLOCK_UNITS | _CLOCK_WORDS


def may_be_seconds(name: str) -> bool:
    """Whether the name of a clock does not say that it counts something else."""
    return not set(re.findall(r"[a-z]+", name.lower())) & _NOT_SECONDS


def _always_rises(column: np.ndarray) -> bool:
    steps = np.diff(np.asarray(column, dtype=np.float64))
    if not (steps > 0).all():  # also where a value is missing
        return False
    equal = bool(steps.size) and np.ptp(steps) <= 1e-6 * np.abs(column).max()
    return len(steps) >= _MIN_RISES or (bool(equal) and len(steps) >= _MIN_STEPS)


def _has_units_first(
    path: Path | str,
    values: np.ndarray,
    units: Sequence[str] | None,
    units_first: bool | None,
    n_times: int | None,
) -> bool:
    rows, columns = values.shape
    if units_first is None:
        fits = [
            (n_times is None or n_times == times) and (units is None or len(units) == n_units)
            for times, n_units in (values.shape, values.shape[::-1])
        ]
        told = n_times is not None or units is not None
        if told and fits[0] != fits[1]:
            return fits[1]
        if not told or fits[0]:
            _refuse_doubt(path, values)
        units_first = False
    times, n_units = (columns, rows) if units_first else (rows, columns)
    for given, there, what in ((n_times, times, "times"), (units, n_units, "units")):
        expected = len(given) if isinstance(given, Sequence) else given
        if expected is not None and expected != there:
            raise DataError(
                f"the {what} do not fit the array",
                expected=f"{expected} {what}",
                found=f"an array of {rows} x {columns}",
                file=path,
                field=what,
            )
    return units_first


def _refuse_doubt(path: Path | str, values: np.ndarray) -> None:
    """Refuse an array without names that may hold one unit per row."""
    rows, columns = values.shape
    if columns == 1:  # one trace has one reading
        return
    if columns > rows:
        problem = "has more columns than rows"
    elif columns == rows > 1:
        problem = "is square"
    elif is_smoother_along_rows(values):
        problem = "is smoother along its rows than along its columns"
    else:
        return
    raise DataError(
        f"the array {problem}: it may hold one unit per row",
        expected="time first, units second",
        found=f"{rows} x {columns}",
        fix="Say which it is: units_first=True or units_first=False"
        + (", or name the units in units=." if rows != columns else "."),
        file=path,
        field="units_first",
    )


def is_smoother_along_rows(values: np.ndarray) -> bool:
    """Whether neighbors within a row are more alike than neighbors within a column.

    Compared are the autocorrelations at lag 1 along both axes, after the means of rows and columns
    are taken out: differences in level between units, and what all of them share, tell nothing.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_columns)
        Columns with values that are not finite, or that never vary, do not count.

    Returns
    -------
    bool
        True if the difference is above 0.1 and above four standard errors, ``sqrt(2 / size)``
        where there is no order at all.
    """
    finite = np.asarray(values[:, np.isfinite(values).all(axis=0)], dtype=np.float64)
    if min(finite.shape) < 2:
        return False
    rest = finite - finite.mean(axis=0) - finite.mean(axis=1, keepdims=True) + finite.mean()
    power = np.square(rest).sum()
    if not power > 1e-12 * np.square(finite).sum():
        return False
    along_columns = (rest[1:] * rest[:-1]).sum() / power
    along_rows = (rest[:, 1:] * rest[:, :-1]).sum() / power
    return bool(along_rows - along_columns > max(_SMOOTHER, _N_ERRORS * np.sqrt(2 / rest.size)))
