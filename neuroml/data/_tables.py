"""Text tables (csv, tsv, txt): separator, header and numbers, with every doubt said aloud."""

from __future__ import annotations

import gzip
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from neuroml.data._arrays import existing_file, gzip_size
from neuroml.exceptions import DataError

__all__ = ["Table", "is_table", "read_numbers", "read_text_table"]

_EMPTY = ["", "n/a", "N/A", "NA", "na", "NaN", "nan"]
_SUFFIXES = (".csv", ".tsv", ".txt", ".dat")


@dataclass(frozen=True)
class Table:
    """A text table.

    Attributes
    ----------
    columns : DataFrame of shape (n_rows, n_columns)
    has_names : bool
        Whether the file names its columns; otherwise they are 0, 1, 2, ...
    notes : list of str
        What was left out on reading, and why.
    """

    columns: pd.DataFrame
    has_names: bool
    notes: list[str] = field(default_factory=list)


def is_table(path: Path | str) -> bool:
    """Whether a file is a text table, by its name; ``.gz`` may follow."""
    return Path(str(path).lower().removesuffix(".gz")).suffix in _SUFFIXES


def read_numbers(path: Path | str) -> Table:
    """Read a table of numbers; empty cells, NaN and n/a are NaN.

    Raises
    ------
    DataError
        If a cell is not a number, a name repeats, or rows are longer than the header.
    """
    table = read_text_table(path)
    numbers = {}
    for name, column in table.columns.items():
        values = pd.to_numeric(column, errors="coerce")
        wrong = np.flatnonzero(values.isna() & column.notna())
        if len(wrong):
            raise DataError(
                f"column {name!r} has a cell that is not a number",
                expected="numbers, with a point before decimals",
                found=f"{column.iloc[wrong[0]]!r} in data row {wrong[0] + 1}",
                fix="Correct the cell, or take the column out.",
                file=path,
                field=name,
            )
        numbers[name] = values.to_numpy(dtype=np.float64)
    return Table(pd.DataFrame(numbers), table.has_names, table.notes)


def read_text_table(path: Path | str) -> Table:
    """Read a table whose columns may hold text.

    The separator is the one most frequent in the first line (tab, semicolon, comma, or blanks).
    That line is a header if any of its cells is not a number, or if it counts 0, 1, 2, ...; so is
    a comment (#) before it with as many cells.
    An unnamed first column that counts rows is left out, with a note.

    Raises
    ------
    DataError
        If the file is not text, names repeat, or rows are longer than the header.
    """
    path = existing_file(path)
    comment, first, skipped = _first_lines(path)
    separator = max("\t;,", key=first.count)
    if not first.count(separator):
        separator = r"\s+"
    cells, titles = (_cells(line, separator) for line in (first, comment))
    counted = len(cells) > 1 and cells == [str(i) for i in range(len(cells))]
    in_first = counted or not all(map(_is_number, cells))
    if not in_first and len(titles) == len(cells):
        cells, has_names = titles, True
    else:
        has_names = in_first and not counted
    repeated = sorted({cell for cell in cells if cells.count(cell) > 1})
    if has_names and repeated:
        raise DataError(
            "column names repeat",
            expected="one name per column",
            found=repeated[:5],
            fix="Rename them in the header.",
            file=path,
        )
    names = cells if has_names else [str(i) for i in range(len(cells))]
    frame = _parse(path, separator, skipped + in_first, names)
    if frame.empty:
        raise DataError("the table has a header but no rows", file=path)
    notes = ["the first line, which counts columns"] if counted else []
    return _without_row_counter(Table(frame, has_names, notes))


def _cells(line: str, separator: str) -> list[str]:
    cells = line.split() if separator == r"\s+" else line.split(separator)
    return [cell.strip().strip('"') for cell in cells]


def _first_lines(path: Path) -> tuple[str, str, int]:
    """The last comment (#) before the first line with content, that line, and its number."""
    compressed = path.suffix.lower() == ".gz"
    if compressed:
        gzip_size(path)
    comment = ""
    try:
        opener = gzip.open if compressed else open
        with opener(path, "rt", encoding="utf-8-sig") as handle:
            for number, line in enumerate(handle):
                text = line.strip("\n\r ")
                if text.startswith("#"):
                    comment = text.lstrip("# ")
                elif text.strip():
                    return comment, text, number
    except UnicodeDecodeError as error:
        raise DataError(
            "this is not a text file",
            expected="a table in UTF-8",
            found=f"byte {error.object[error.start]:#04x} at position {error.start}",
            fix="Export it as a CSV file in UTF-8.",
            file=path,
        ) from error
    raise DataError("the table has no lines with content", file=path)


def _is_number(cell: str) -> bool:
    if cell in _EMPTY[1:]:
        return True
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _parse(path: Path, separator: str, skiprows: int, names: list[str]) -> pd.DataFrame:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
                path,
                sep=separator,
                header=None,
                names=names,
                skiprows=skiprows,
                index_col=False,
                comment="#",
                keep_default_na=False,
                na_values=_EMPTY,
                encoding="utf-8-sig",
                low_memory=False,
            )
    except (pd.errors.ParserError, pd.errors.ParserWarning, UnicodeDecodeError) as error:
        raise DataError(
            f"the rows do not have the same number of cells ({str(error).splitlines()[0]})",
            expected=f"{len(names)} as in the first line",
            fix="Look for a missing or extra separator.",
            file=path,
        ) from error


def _without_row_counter(table: Table) -> Table:
    first = str(table.columns.columns[0])
    if not table.has_names or first not in ("", "Unnamed: 0"):
        return table
    values = pd.to_numeric(table.columns[first], errors="coerce").to_numpy()
    if not np.array_equal(values - values[0], np.arange(len(values))):
        return table
    note = "the first column, which has no name and counts rows"
    return Table(table.columns.drop(columns=first), True, [*table.notes, note])
