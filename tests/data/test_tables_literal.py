"""Whatever is in a text table, it comes out as it stands there, or as an error."""

import math

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuroml.data._tables import read_numbers, read_text_table
from neuroml.exceptions import DataError

MISSING = {"", "n/a", "N/A", "NA", "na", "NaN", "nan"}

TRICKY = [
    *[
        "",
        " ",
        "NA",
        "n/a",
        "nan",
        "NaN",
        "-nan",
        "inf",
        "-Infinity",
        "1e999",
        "1.#QNAN",
        "-1.#IND",
    ],
    *["#N/A", "#DIV/0!", "#1", "# x", "face #1", "null", "None", "<NA>", "True", "False", "-", "."],
    *["1,5", "1.234,5", "1_000", "0x10", "01", "007", "2.10", "-0", "+3", "1e3", "9" * 20, " 4 "],
    *['"', '""', 'say "a"', '"Well', 'go"', "a,b", "a;b", "a\tb", "a b", "é", "µV", "'x'", "a\\b"],
    *["0", "1", "2", "0.5", "left", "right"],
]
CELLS = st.one_of(
    st.sampled_from(TRICKY),
    st.integers(-5, 120).map(str),
    st.floats(allow_nan=False).map(repr),
    st.text(alphabet="ab1.,;#\"\t '-é", max_size=5),
)
SEPARATORS = ["\t", ",", ";", " "]


@st.composite
def files(draw, cells=CELLS):
    """Lines of a file, its separator and its encoding; at least two columns."""
    n_columns, n_rows = draw(st.integers(2, 4)), draw(st.integers(1, 5))
    separator, quoting = draw(st.sampled_from(SEPARATORS)), draw(st.booleans())
    rows = [draw(st.lists(cells, min_size=n_columns, max_size=n_columns)) for _ in range(n_rows)]
    header = draw(st.sampled_from(["names", "counted", "index", "any", "none"]))
    names = {
        "names": [f"unit {i}" if i else "a" for i in range(n_columns)],
        "counted": [str(i) for i in range(n_columns)],
        "index": ["", *(str(i) for i in range(n_columns - 1))],
        "any": draw(st.lists(cells, min_size=n_columns, max_size=n_columns)),
    }.get(header)
    lines = [names, *rows] if names else rows

    def written(cell):
        if separator == " " and not cell.strip() and not quoting:
            return "nan"  # a cell that blanks cannot set apart
        if separator == " " and set(cell) & set("\t;,"):
            return "mark"  # blanks separate only where no other mark does
        needs = separator in cell or '"' in cell or not cell.strip()
        return '"' + cell.replace('"', '""') + '"' if quoting and needs else cell

    ragged = draw(st.integers(0, 9))
    text = [separator.join(map(written, line)) for line in lines]
    if ragged == 0:
        at = draw(st.integers(0, len(text) - 1))
        text[at] = draw(
            st.sampled_from([text[at] + separator + "7", "5" + separator + text[at], ""])
        )
    if ragged == 2 and len(text) > 1:
        text[-1] = text[-1].rpartition(separator)[0]
    if ragged == 1:
        text.insert(draw(st.integers(0, len(text))), draw(st.sampled_from(["# note", "#a,b", "#"])))
    ending = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    encoding = draw(
        st.sampled_from(["utf-8"] * 4 + ["utf-8-sig", "latin-1", "utf-16", "utf-16-le"])
    )
    return text, separator, ending, encoding


def literally(line, separator):
    """Cells of a line, a character at a time; None where a quote is not closed in its cell."""
    cells, cell, state = [], "", "start"
    for character in line:
        if state == "quoted":
            if character == '"':
                state = "closing"
            else:
                cell += character
        elif state == "closing" and character == '"':
            cell, state = cell + '"', "quoted"
        elif character == separator:
            cells.append((cell, state == "closing"))
            cell, state = "", "start"
        elif state == "closing":
            return None
        elif character == '"' and state == "start":
            state = "quoted"
        else:
            cell, state = cell + character, "open"
    if state == "quoted":
        return None
    cells.append((cell, state == "closing"))
    if separator == " ":  # blanks repeat; an empty cell is one only between quotes
        cells = [(cell, quoted) for cell, quoted in cells if cell or quoted]
    return [cell for cell, _ in cells]


def grid_of(lines, separator):
    """All cells of a file, or None where they are not a table whatever its first line means."""
    rows = [literally(line, separator) for line in lines if line.strip(" ")]
    return None if None in rows else rows


def mark_of(lines, drawn):
    """The separator of a file: the only mark by which all lines have as many cells, if there is one.

    What was drawn as text within cells can be that mark: then it is what a reader has to go by.
    """
    body = [line for line in lines if line.strip(" ") and not line.startswith("#")]
    counts = {mark: {len(literally(line, mark) or []) for line in body} for mark in "\t;,"}
    even = [mark for mark, found in counts.items() if len(found) == 1 and min(found) > 1]
    return even[0] if len(even) == 1 else drawn


def without_trailing(row):
    row = list(row)
    while row and not row[-1].strip():
        row.pop()
    return row


def expected_rows(lines, separator, table):
    """The rows that a literal reading has, and their names; without what the notes leave out."""
    notes = " ".join(table.notes)
    leading = 0
    while leading < len(lines) and (
        lines[leading].startswith("#") or not lines[leading].strip(" ")
    ):
        leading += 1
    comments, body = [x for x in lines[:leading] if x.strip(" ")], lines[leading:]
    if "comments" in notes:
        body = [line for line in body if not line.startswith("#")]
    grid = grid_of(body, separator)
    assert grid is not None, "a quote that is not closed was read"
    if "counts columns" in notes:
        assert grid.pop(0) == [str(i) for i in range(len(table.columns.columns))]
        return grid
    if table.has_names:
        names = [str(name).strip() for name in table.columns.columns]
        offset = "counts rows" in notes
        first = [cell.strip() for cell in without_trailing(grid[0])][offset:]
        if first == names:
            grid.pop(0)
        else:
            assert comments and all(name in comments[-1] for name in names)
    return [row["counts rows" in notes :] for row in grid]


def write(folder, file):
    lines, _, ending, encoding = file
    (folder / "a.csv").write_bytes((ending.join(lines) + ending).encode(encoding, "replace"))
    return folder / "a.csv"


SETTINGS = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class Every:
    """A collection that has every name."""

    def __contains__(self, _):
        return True


@SETTINGS
@given(file=files())
def test_text_stands_as_in_the_file_or_is_refused(tmp_path, file):
    lines, separator = file[0], mark_of(*file[:2])
    path = write(tmp_path, file)
    try:
        table, typed = read_text_table(path, text=Every()), read_text_table(path)
    except DataError:
        return
    rows = expected_rows(lines, separator, table)
    read = table.columns.astype(object).where(table.columns.notna(), "").to_numpy().tolist()
    wanted = [["" if cell.strip() == "n/a" else cell for cell in row] for row in rows]
    blank = [[("" if not cell.strip() else cell) for cell in row] for row in wanted]
    assert [without_trailing(row) for row in read] == [without_trailing(row) for row in blank]
    for at, name in enumerate(typed.columns):
        column = typed.columns[name]
        if not pd.api.types.is_bool_dtype(column) and pd.api.types.is_numeric_dtype(column):
            assert_same_numbers(column, [[*row, *[""] * 9][at] for row in rows])
        else:
            shown = column.astype(object).where(column.notna(), "").map(str)
            assert shown.tolist() == [[*row, *[""] * 9][at] for row in blank]


def assert_same_numbers(values, cells):
    for value, cell in zip(values, cells, strict=True):
        if cell.strip() in MISSING:
            assert math.isnan(value)
        else:
            assert "_" not in cell
            assert value == float(cell) or (math.isnan(value) and "nan" in cell.lower())
            assert math.isfinite(value) or not any(mark.isdigit() for mark in cell)


NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-9, 99).map(str),
    st.sampled_from(TRICKY),
    st.sampled_from(["", "nan", "n/a", "0.5", "-1e-3"]),
)


@SETTINGS
@given(file=files(NUMBERS))
def test_numbers_are_those_of_the_file_or_refused(tmp_path, file):
    lines, separator = file[0], mark_of(*file[:2])
    try:
        table = read_numbers(write(tmp_path, file))
    except DataError:
        return
    rows = expected_rows(lines, separator, table)
    assert len(rows) == len(table.columns)
    for values, row in zip(table.columns.to_numpy(), rows, strict=True):
        assert not "".join(row[len(values) :]).strip()  # only what a separator at the end leaves
        assert_same_numbers(values, [*row, *[""] * len(values)][: len(values)])


@SETTINGS
@given(
    values=st.integers(2, 4).flatmap(
        lambda n: st.lists(
            st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=n, max_size=n),
            min_size=1,
            max_size=6,
        )
    ),
    separator=st.sampled_from(SEPARATORS),
    ending=st.sampled_from(["\n", "\r\n"]),
    bom=st.booleans(),
)
def test_plain_tables_are_read(tmp_path, values, separator, ending, bom):
    names = [f"unit{i}" for i in range(len(values[0]))]
    lines = [separator.join(map(str, row)) for row in [names, *values]]
    path = write(tmp_path, (lines, separator, ending, "utf-8-sig" if bom else "utf-8"))
    table = read_numbers(path)
    assert list(table.columns) == names
    np.testing.assert_array_equal(table.columns, values)
