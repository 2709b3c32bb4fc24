"""A time x units matrix from any table or array file, with its axes the right way round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from neuroml.data._arrays import StoredArray, read_array
from neuroml.data._tables import is_table, read_numbers
from neuroml.data._units import check_unique
from neuroml.exceptions import DataError

__all__ = ["Matrix", "read_matrix", "read_vector"]

_CLOCKS = {"time", "times", "time_s", "times_s", "timestamp", "timestamps", "t", "frame", "frames"}


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
        failing that time is first, and an array with more columns than rows is refused.
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
            return _named(path, table.columns, table.notes, units, side)
        values, notes = table.columns.to_numpy(), table.notes
    else:
        values = read_array(path, variable, _is_matrix, "a 2-D array of numbers")
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
    if _has_units_first(path, values.shape, units, units_first, n_times):
        values = values.T
    if units is not None:
        check_unique(units, file=path)
    return Matrix(values, None if units is None else [str(u) for u in units], notes=notes)


def read_vector(path: Path | str, variable: str) -> np.ndarray:
    """Read a named 1-D array of numbers (n x 1 and 1 x n count as such)."""
    return np.asarray(
        read_array(path, variable, _is_vector, "a 1-D array of numbers"), dtype=np.float64
    ).ravel()


def _is_matrix(array: StoredArray) -> bool:
    return array.kind == "numbers" and len(array.shape) == 2 and min(array.shape) > 1


def _is_vector(array: StoredArray) -> bool:
    return array.kind == "numbers" and np.prod(array.shape) == max(array.shape, default=0)


def _named(
    path: Path | str,
    columns: pd.DataFrame,
    notes: list[str],
    units: Sequence[str] | None,
    side: Sequence[str],
) -> Matrix:
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
    clocks = [name for name in rest.columns if name.lower() in _CLOCKS]
    if units is None and clocks:
        raise DataError(
            f"the column {clocks[0]!r} looks like a time axis, not like a unit",
            fix="Name the time column where the reader takes one, or pass units= without it.",
            file=path,
            field=clocks[0],
        )
    chosen = rest if units is None else rest[list(units)]
    if chosen.shape[1] == 0:
        raise DataError("no column is left for the units", file=path)
    return Matrix(chosen.to_numpy(), list(chosen.columns), columns[list(side)], notes)


def _has_units_first(
    path: Path | str,
    shape: tuple[int, ...],
    units: Sequence[str] | None,
    units_first: bool | None,
    n_times: int | None,
) -> bool:
    rows, columns = shape
    if units_first is None:
        fits = [
            (n_times is None or n_times == times) and (units is None or len(units) == n_units)
            for times, n_units in (shape, shape[::-1])
        ]
        told = n_times is not None or units is not None
        if told and any(fits):
            return not fits[0]
        if not told and columns > rows:
            raise DataError(
                "the array has more columns than rows: it may hold one unit per row",
                expected="time first, units second",
                found=f"{rows} x {columns}",
                fix="Say which it is: units_first=True or False where the reader takes it, "
                "or the names of the units in units=.",
                file=path,
            )
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
