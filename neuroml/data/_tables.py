"""Tables (csv, tsv, txt, 1D, parquet): text is read literally, with every doubt said aloud.

A line is a row, whatever is in it; a row has as many cells as the first line; a cell is what stands
between two separators, or between two double quotes. What has two readings is refused.
"""

from __future__ import annotations

import csv
import gzip
import math
import re
from array import array
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from neuroml.data._arrays import existing_file, gzip_size
from neuroml.exceptions import DataError

__all__ = [
    "DEEPLABCUT",
    "ONE_COMMA",
    "Table",
    "check_named",
    "is_number",
    "is_table",
    "parse_number",
    "read_numbers",
    "read_text_table",
    "typed",
]

_EMPTY = ("", "n/a")
"""What no column of text has as a word."""
_MISSING = (*_EMPTY, "N/A", "NA", "na", "NaN", "nan")
_PARQUET = (".parquet", ".pqt", ".pq")
_AFNI = ".1d"
DEEPLABCUT = "scorer,"
"""How the first of several lines of names begins."""
_SUFFIXES = (".csv", ".tsv", ".txt", ".dat", _AFNI, *_PARQUET)
_REPEATED = re.compile(r"(?<![^\s,])(\d+)[@*]([^\s,]+)")
_MOST_REPEATS = 10**6
_BLANKS = " "
_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,17}")
_LONG = re.compile(r"[+-]?[0-9]{16,}")
_PADDED = re.compile(r"[+-]?0[0-9]")
ONE_COMMA = re.compile(r" *[+-]?[0-9]+,[0-9]+ *")
_NAMES = {"\t": "tabs", ";": "semicolons", ",": "commas", _BLANKS: "blanks"}


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


@dataclass(frozen=True)
class _Layout:
    """How a file is to be cut into cells: found from its first lines."""

    path: Path
    separator: str
    names: list[str]
    has_names: bool
    rows: list[tuple[int, str]]
    notes: list[str]


def is_table(path: Path | str) -> bool:
    """Whether a file is a table, by its name; ``.gz`` may follow."""
    return Path(str(path).lower().removesuffix(".gz")).suffix in _SUFFIXES


def read_numbers(path: Path | str) -> Table:
    """Read a table of numbers; empty cells, NaN and n/a are NaN.

    Raises
    ------
    DataError
        If a cell is not a number, or as `read_text_table`.
    """
    if _is_parquet(path):
        return _numbers_of_parquet(path)
    layout = _layout(path)
    values = array("d")
    for row, cells in enumerate(_cut(layout)):
        for name, cell in zip(layout.names, cells, strict=True):
            try:
                values.append(parse_number(cell))
            except ValueError:
                raise DataError(
                    f"column {name!r} has a cell that is not a number",
                    expected="numbers, with a point before decimals",
                    found=f"{cell!r} in data row {row + 1}",
                    fix="Correct the cell (nothing, NaN or n/a where a value is missing), "
                    "or take the column out.",
                    file=layout.path,
                    field=name,
                ) from None
    numbers = np.frombuffer(values, dtype=np.float64).reshape(-1, len(layout.names)).copy()
    columns = pd.DataFrame(numbers, columns=layout.names)
    return _without_row_counter(Table(columns, layout.has_names, layout.notes))


def read_text_table(path: Path | str, *, text: Collection[str] = ()) -> Table:
    """Read a table whose columns may hold text.

    The separator is a tab, semicolon, comma, or blanks: the one in the first line by which all rows
    have the same number of cells. That line is a header if none of its cells is a number, or if it
    counts 0, 1, 2, ... above decimals; so is a comment (#) before it with as many cells.
    An unnamed first column that counts rows is left out, with a note; so are comments below.

    A column is of numbers if all its cells are, apart from the empty ones. Other columns keep their
    text as it stands, where only an empty cell and n/a are missing.

    Parameters
    ----------
    path : path-like
    text : collection of str
        Names, in lower case, of columns that are text even if they look like numbers.

    Raises
    ------
    DataError
        If the file is not text in UTF-8, names repeat, rows differ in length, a quote is not closed
        in its cell, or separator, header or a comment can be understood in two ways.
    """
    if _is_parquet(path):
        return _parquet(path)
    layout = _layout(path)
    rows = list(_cut(layout))
    columns = {
        name: typed(cells, name.lower() in text)
        for name, *cells in zip(layout.names, *rows, strict=True)
    }
    return _without_row_counter(Table(pd.DataFrame(columns), layout.has_names, layout.notes))


def _is_parquet(path: Path | str) -> bool:
    return Path(path).suffix.lower() in _PARQUET


def _parquet(path: Path | str) -> Table:
    path = existing_file(path)
    try:
        columns = pd.read_parquet(path, engine="pyarrow")
    except ImportError as error:
        raise ImportError("Reading parquet files needs pyarrow: pip install pyarrow") from error
    except (OSError, ValueError) as error:  # pyarrow's errors are kinds of these
        raise DataError(
            f"the file is truncated or damaged ({str(error).splitlines()[0]})",
            fix="Copy or save it again.",
            file=path,
        ) from error
    columns = columns.set_axis([str(name) for name in columns.columns], axis=1)
    _refuse_repeated(list(columns.columns), path)
    if not len(columns):
        raise DataError("the table has a header but no rows", file=path)
    return Table(columns.reset_index(drop=True), has_names=True)


def _numbers_of_parquet(path: Path | str) -> Table:
    table = _parquet(path)
    is_text = [n for n, kind in table.columns.dtypes.items() if kind.kind not in "biuf"]
    if is_text:
        raise DataError(
            f"column {is_text[0]!r} is not of numbers",
            expected="numbers",
            found=str(table.columns[is_text[0]].iloc[0]),
            fix="Take the column out.",
            file=path,
            field=is_text[0],
        )
    return Table(table.columns.astype(np.float64), has_names=True)


def check_named(table: Table, fix: str, *, file: object) -> None:
    """Raise DataError if a column has no name: it may be a clock, an index or a signal."""
    if table.has_names and "" in table.columns:
        at = list(table.columns).index("")
        raise DataError(
            "a column has no name: it may be a clock, an index or a signal",
            expected="a name for each column in the first line",
            found=f"none for column {at + 1}, which begins with "
            f"{', '.join(map(str, table.columns[''][:3]))}",
            fix=fix,
            file=file,
        )


def parse_number(cell: str) -> float:
    """The number in a cell, NaN if it is empty; ValueError if Python's own reading is in doubt."""
    cell = cell.strip()
    if cell in _MISSING:
        return math.nan
    value = float(cell)
    if "_" in cell or (math.isinf(value) and "inf" not in cell.lower()):  # 1_000, 1e999
        raise ValueError(cell)
    return value


def is_number(cell: str) -> bool:
    """Whether a cell is a number, or empty."""
    try:
        parse_number(cell)
    except ValueError:
        return False
    return True


def typed(cells: list[str], as_text: bool) -> pd.Series:
    """A column as numbers if that changes none of its cells, otherwise as text."""
    filled = [cell.strip() for cell in cells if cell.strip() not in _MISSING]
    if not as_text and not any(map(_PADDED.match, filled)) and all(map(is_number, filled)):
        if len(filled) == len(cells) and all(map(_WHOLE.fullmatch, filled)):
            return pd.Series([int(cell) for cell in filled], dtype=np.int64)
        if not any(map(_LONG.fullmatch, filled)):
            return pd.Series([parse_number(cell) for cell in cells], dtype=np.float64)
    if not as_text and set(cells) <= {"True", "False"}:
        return pd.Series([cell == "True" for cell in cells])
    return pd.Series([None if cell.strip() in _EMPTY else cell for cell in cells])


def _layout(path: Path | str) -> _Layout:
    path = existing_file(path)
    comment, lines, empty = _lines(path)
    if lines[0][1].startswith(DEEPLABCUT):
        raise DataError(
            "this is a table of DeepLabCut, whose names stand in several lines",
            expected="one line of names",
            found=lines[0][1][:40],
            fix="Join it to a recording: add_covariates(recording, path, rate_hz=FRAMES_PER_S).",
            file=path,
        )
    separator = _separator(path, [line for _, line in lines])
    cells, below = (
        [cell.strip() for cell in _cells_of(*line, separator, path)]
        for line in (lines[0], lines[min(1, len(lines) - 1)])
    )
    titles = _titles(comment, separator)
    kind = _kind_of_first_line(cells, below if len(lines) > 1 else [], path)
    has_titles = len(titles) == len(cells) and (kind != "header" or len(cells) > 1)
    if has_titles and kind == "header" and not _is_more_numeric(below, cells):
        raise _doubt_about_first_line(titles, path)
    if kind == "header":
        while len(cells) > 1 and not cells[-1]:  # the lines end in separators
            cells.pop()
        names = cells
    else:
        names = titles if has_titles else [str(i) for i in range(len(cells))]
    _refuse_repeated(names, path)
    rows = lines if kind == "data" else lines[1:]
    notes = ["the first line, which counts columns"] if kind == "counts" else []
    has_names = kind == "header" or has_titles
    layout = _without_comments(_Layout(path, separator, names, has_names, rows, notes))
    if not layout.rows:
        raise DataError("the table has a header but no rows", file=path)
    _refuse_doubtful_cells(layout, empty)
    return layout


def _lines(path: Path) -> tuple[str, list[tuple[int, str]], list[int]]:
    """The last comment (#) before the first line with content; the other lines, numbered.

    And the numbers of the empty lines that are followed by others.
    """
    comment, lines = "", list[tuple[int, str]]()
    empty = list[int]()
    for number, line in enumerate(_text(path).split("\n"), 1):
        if line.startswith("#") and not lines:
            comment, empty = line, []
        elif line.strip(" "):
            lines.append((number, line))
        else:
            empty.append(number)
    if not any(line.strip() for _, line in lines):
        raise DataError("the table has no lines with content", file=path)
    return comment, lines, [number for number in empty if number < lines[-1][0]]


def _text(path: Path) -> str:
    """The content in UTF-8, with every end of line as a line feed."""
    content = path.read_bytes()
    if path.suffix.lower() == ".gz":
        gzip_size(path)
        content = gzip.decompress(content)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_text(path, content[error.start], error.start) from error
    if "\0" in text:
        raise _not_text(path, 0, text.index("\0"))
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    is_afni = str(path).lower().removesuffix(".gz").endswith(_AFNI)
    return _without_shorthand(text, path) if is_afni else text


def _without_shorthand(text: str, path: Path) -> str:
    """AFNI's table as other programs write it: N@value stands for N values, // for a comment."""
    lines = text.replace("\\\n", " ").split("\n")
    lines = ["#" + line[2:] if line.startswith("//") else line for line in lines]
    rows = [line for line in lines if not line.startswith("#")]
    counts = [int(n) for line in rows for n, _ in _REPEATED.findall(line)]
    if sum(counts) > _MOST_REPEATS:
        raise DataError(
            "N@value stands for too many values",
            expected=f"at most {_MOST_REPEATS} in a file",
            found=sum(counts),
            file=path,
        )

    def written_out(match: re.Match[str]) -> str:
        return " ".join([match[2]] * int(match[1]))

    return "\n".join(
        line if line.startswith("#") else _REPEATED.sub(written_out, line) for line in lines
    )


def _not_text(path: Path, byte: int, at: int) -> DataError:
    return DataError(
        "this is not a text file",
        expected="a table in UTF-8",
        found=f"byte {byte:#04x} at position {at}",
        fix="Export it as a CSV file in UTF-8.",
        file=path,
    )


def _separator(path: Path, lines: list[str]) -> str:
    """The mark by which the first line has cells, and if several, all lines have as many."""
    found = [mark for mark in "\t;," if mark in lines[0] and _n_cells(lines[0], mark) != 1]
    if sum(mark in lines[0] for mark in "\t;,") < 2:
        return found[0] if found else _BLANKS
    found = [mark for mark in found if _n_cells(lines[0], mark)]  # 0: its quotes are broken
    rows = [line for line in lines if not line.startswith("#")]
    even = [mark for mark in found if len({_n_cells(line, mark) for line in rows}) == 1]
    if len(even) != 1:
        which = " and ".join(_NAMES[mark] for mark in even) or "none"
        raise DataError(
            "the separator is in doubt",
            expected="one mark by which all rows have the same number of cells",
            found=f"{which} of the marks in {lines[0][:80]!r}",
            fix="Put cells that hold such a mark between double quotes, and write decimals with "
            "a point.",
            file=path,
        )
    return even[0]


def _n_cells(line: str, separator: str) -> int:
    try:
        return len(_cells(line, separator))
    except ValueError:
        return 0


def _cells(line: str, separator: str) -> list[str]:
    """Cells of a line; ValueError where it depends on the program what a quote means."""
    is_blank = separator == _BLANKS
    if is_blank:
        line = line.replace("\t", " ").strip(" ")
    if '"' not in line:
        cells = line.split(separator)
        return [cell for cell in cells if cell] if is_blank else cells
    try:
        literal, without_blanks = (
            next(csv.reader([line], delimiter=separator, strict=True, skipinitialspace=skip))
            for skip in (is_blank, True)
        )
    except csv.Error as error:
        raise ValueError("a quote is not closed in its cell") from error
    if [cell.lstrip(" ") for cell in literal] != [cell.lstrip(" ") for cell in without_blanks]:
        raise ValueError("a blank stands before a quote")
    return literal


def _cells_of(number: int, line: str, separator: str, path: Path) -> list[str]:
    try:
        return _cells(line, separator)
    except ValueError as error:
        raise DataError(
            str(error),
            expected="double quotes around whole cells, and two for each one within them",
            found=f"{line[:80]!r} in line {number}",
            fix="Take the quote out, or put the whole cell between quotes.",
            file=path,
        ) from error


def _titles(comment: str, separator: str) -> list[str]:
    """The cells of a comment, which name the columns if they are as many."""
    try:
        marked = [cell.strip() for cell in _cells(comment, separator)]
        if len(marked) > 1 and all(cell.startswith("#") and cell != "#" for cell in marked):
            return marked  # "#1 #2 #3": the mark belongs to the names
        return [cell.strip() for cell in _cells(comment.lstrip("# "), separator)]
    except ValueError:  # a remark
        return []


def _kind_of_first_line(cells: list[str], below: list[str], path: Path) -> str:
    """Whether the first line is "data", a "header", or "counts" columns, as pandas writes it."""
    filled = [cell for cell in cells if cell not in _MISSING]
    n_numbers = sum(map(is_number, filled))
    if not n_numbers:
        return "header" if filled else "data"
    if len(cells) > 1 and cells == [str(i) for i in range(len(cells))]:
        if all(map(_WHOLE.fullmatch, below)):
            raise _doubt_about_first_line(cells, path)
        return "counts"
    has_index = not cells[0] and all(map(_WHOLE.fullmatch, cells[1:]))
    if n_numbers == len(filled) and not has_index:
        return "data"
    # an index or a clock, named or not, before columns that pandas or R counts
    n_named = next(i for i, cell in enumerate(cells) if cell not in _MISSING and is_number(cell))
    counts = [[str(i + start) for i in range(len(cells) - n_named)] for start in (0, 1)]
    if cells[n_named:] not in counts:
        raise _doubt_about_first_line(cells, path)
    return "header"


def _is_more_numeric(below: list[str], first: list[str]) -> bool:
    """Whether a column has a number below a word."""
    return any(
        is_number(cell) and cell not in _MISSING and not is_number(title)
        for cell, title in zip(below, first, strict=False)
    )


def _doubt_about_first_line(cells: list[str], path: Path) -> DataError:
    return DataError(
        "the first line may be a header or a row",
        expected="a name in each of its cells, or a number in each",
        found=", ".join(cells[:10]),
        fix="Name every column in the first line (not by numbers), and delete other titles.",
        file=path,
    )


def _refuse_repeated(names: list[str], path: Path) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataError(
            "column names repeat",
            expected="one name per column",
            found=repeated[:5],
            fix="Rename them in the header.",
            file=path,
        )


def _without_comments(layout: _Layout) -> _Layout:
    """Leave out lines that begin with # and cannot be rows; refuse those that can."""
    marked = [(number, line) for number, line in layout.rows if line.startswith("#")]
    for number, line in marked:
        if _n_cells(line, layout.separator) == len(layout.names):
            raise DataError(
                "a line that begins with # may be a comment or a row",
                expected="comments before the first row only",
                found=f"{line[:80]!r} in line {number}",
                fix="Delete it if it is a comment, or put its first cell between double quotes.",
                file=layout.path,
            )
    rows = [(number, line) for number, line in layout.rows if not line.startswith("#")]
    notes = [f"{len(marked)} comments (#) below the first line"] if marked else []
    return replace(layout, rows=rows, notes=layout.notes + notes)


def _refuse_doubtful_cells(layout: _Layout, empty: list[int]) -> None:
    """Refuse what may be a missing value in a single column, or a decimal comma in a single one."""
    if len(layout.names) == 1 and empty:
        raise DataError(
            "an empty line may be a missing value",
            expected="a value in each line of a table of one column",
            found=f"nothing in line {empty[0]}",
            fix="Delete the line, or write nan into it.",
            file=layout.path,
        )
    is_pair = layout.separator == "," and len(layout.names) == 2 and not layout.has_names
    if is_pair and all(ONE_COMMA.fullmatch(line) for _, line in layout.rows):
        raise DataError(
            "the rows may be decimals or pairs of whole numbers",
            expected="a comma that separates, and a point before decimals",
            found=f"{layout.rows[0][1]!r} in line {layout.rows[0][0]}",
            fix="Write a point before decimals, or name the two columns in a first line.",
            file=layout.path,
        )


def _cut(layout: _Layout) -> Iterator[list[str]]:
    """The cells of each row, as many as the table has columns."""
    n_columns = len(layout.names)
    for number, line in layout.rows:
        cells = _cells_of(number, line, layout.separator, layout.path)
        if len(cells) > n_columns and not any(cell.strip() for cell in cells[n_columns:]):
            cells = cells[:n_columns]  # the lines end in separators
        if len(cells) != n_columns:
            raise DataError(
                "the rows do not have the same number of cells",
                expected=f"{n_columns} as in the first line, separated by "
                f"{_NAMES[layout.separator]}",
                found=f"{len(cells)} in line {number}",
                fix="Look for a missing or extra separator; R's row names need a name, too.",
                file=layout.path,
            )
        yield cells


def _without_row_counter(table: Table) -> Table:
    first = table.columns.columns[0]
    if not table.has_names or first not in ("", "Unnamed: 0"):
        return table
    values = pd.to_numeric(table.columns[first], errors="coerce").to_numpy(dtype=np.float64)
    if values[0] not in (0, 1) or not np.array_equal(values - values[0], np.arange(len(values))):
        return table
    note = "the first column, which has no name and counts rows"
    return Table(table.columns.drop(columns=first), True, [*table.notes, note])
