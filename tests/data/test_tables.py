import gzip

import numpy as np
import pytest

from neuroml.data._tables import is_table, read_numbers, read_text_table
from neuroml.exceptions import DataError


def write(tmp_path, text, name="table.csv"):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path / name


@pytest.mark.parametrize("separator", [",", "\t", ";", " ", "   "])
@pytest.mark.parametrize("header", [True, False])
def test_separator_and_header_are_found(tmp_path, separator, header):
    rows = [["1.5", "-2e3", "3"], ["4", "nan", "6"]]
    lines = [["left", "right", "mid"], *rows] if header else rows
    path = write(tmp_path, "\n".join(separator.join(line) for line in lines) + "\n")
    table = read_numbers(path)
    assert table.has_names is header
    assert list(table.columns) == (["left", "right", "mid"] if header else ["0", "1", "2"])
    np.testing.assert_array_equal(table.columns, [[1.5, -2000, 3], [4, np.nan, 6]])


def test_row_counter_of_pandas_is_left_out_with_a_note(tmp_path):
    table = read_numbers(write(tmp_path, ",a,b\n0,5,6\n1,7,9\n"))
    assert list(table.columns) == ["a", "b"]
    assert "counts rows" in table.notes[0]


def test_header_that_counts_columns_is_not_data(tmp_path):
    table = read_numbers(write(tmp_path, "0,1,2\n5.0,6,7\n8,9,9\n"))
    assert len(table.columns) == 2
    assert not table.has_names
    assert table.notes == ["the first line, which counts columns"]


def test_commented_header_of_numpy(tmp_path, signal):
    np.savetxt(tmp_path / "a.txt", signal, header="x y z")
    table = read_numbers(tmp_path / "a.txt")
    assert list(table.columns) == ["x", "y", "z"]
    np.testing.assert_array_equal(table.columns, signal)


def test_other_comments_are_no_header(tmp_path):
    table = read_numbers(write(tmp_path, "# recorded on a Monday\n#\n\n1 2\n3 4\n", "a.txt"))
    np.testing.assert_array_equal(table.columns, [[1, 2], [3, 4]])


def test_bom_and_quotes(tmp_path):
    table = read_numbers(write(tmp_path, '\ufeff"a b",c\n1,2\n'))
    assert list(table.columns) == ["a b", "c"]


def test_fmriprep_missing_value(tmp_path):
    table = read_numbers(write(tmp_path, "fd\tdvars\nn/a\t1\n0.5\t2\n", "a.tsv"))
    np.testing.assert_array_equal(table.columns["fd"], [np.nan, 0.5])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b,a\n1,2,3\n", r"names repeat.*found \['a'\]"),
        ("a,b\n1,2\n3,oops\n", "column 'b'.*not a number.*'oops' in data row 2"),
        ("a;b\n1,5;2\n", "column 'a'.*not a number.*point before decimals.*'1,5'"),
        ("a,b\n1,2,3\n", "same number of cells"),
        ("a,b\n1,2\n1,2,3\n", "same number of cells"),
        ("a,b\n", "header but no rows"),
        ("a,b,c\n1,2\n", "same number of cells; expected 3 .* commas; found 2 in line 2"),
        ('"a" "b"\n"1" 2 3\n', "same number of cells; .*found 3 in line 2.* R's row names"),
        ("t\ta\n0\t1\n1\t-1.#IND\n", "column 'a'.*not a number.*'-1.#IND' in data row 2"),
        ("a,b\n1,#DIV/0!\n", "column 'b'.*not a number.*'#DIV/0!'"),
        ("a,b\n1,1e999\n", "column 'b'.*not a number.*'1e999'"),
        ("a,b\n1,1_000\n", "column 'b'.*not a number.*'1_000'"),
        ('a,b\n1,"Well\n2,go"\n', "a quote is not closed in its cell.*line 2"),
        ('a\tb\n1\t"Well\n2\tgo"\n', "a quote is not closed in its cell.*line 2"),
        ('a,b\n1, "2"\n', "a blank stands before a quote"),
        ("a,b\n1,2\n#3,4\n", "begins with # may be a comment or a row.*'#3,4' in line 3"),
        ("a;b,c\n1;2,3\n", "separator is in doubt.*semicolons and commas"),
        ("1,5;2,5\n3,1;4,2\n", "separator is in doubt"),
        ("1,5\n2,5\n", "decimals or pairs of whole numbers.*'1,5' in line 1"),
        ("0,1\n0,2\n1,3\n", "first line may be a header or a row; .*found 0, 1"),
        ("a,0.5\nb,0.7\n", "first line may be a header or a row; .*found a, 0.5"),
        ("1,oops,3\n4,5,6\n", "first line may be a header or a row; .*found 1, oops, 3"),
        ("1.5,#N/A\n4,5\n", "first line may be a header or a row"),
        (",5,6\n1,7,8\n", "first line may be a header or a row"),
        ("# by me, today\nname,side\nV1,left\n", "first line may be .*found by me, today"),
        ("v\n1\n\n3\n", "an empty line may be a missing value.*line 3"),
        ("a\0b\n1\n", "not a text file.*byte 0x00 at position 1"),
        ("\n\n", "no lines with content"),
    ],
)
def test_bad_tables(tmp_path, text, message):
    with pytest.raises(DataError, match=message) as caught:
        read_numbers(write(tmp_path, text))
    assert str(tmp_path) in str(caught.value)


def test_bytes_that_are_not_text(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\x93NUMPY\x01\x00\xff\xfe")
    with pytest.raises(DataError, match="not a text file.*0x93 at position 0"):
        read_numbers(tmp_path / "a.csv")


def test_damaged_gzip(tmp_path):
    content = bytearray(gzip.compress(b"1,2\n3,4\n" * 50))
    content[-6] ^= 1
    (tmp_path / "a.csv.gz").write_bytes(content)
    with pytest.raises(DataError, match="compressed file is truncated or damaged"):
        read_numbers(tmp_path / "a.csv.gz")


def test_bytes_that_are_not_text_anywhere(tmp_path):
    (tmp_path / "a.csv").write_bytes("a,b\n1,2\n3,5 µV\n".encode("latin-1"))
    with pytest.raises(DataError, match="not a text file.*0xb5 at position 12"):
        read_text_table(tmp_path / "a.csv")


def test_marks_within_cells_stay(tmp_path):
    text = 'onset\ttrial_type\tsaid\n0\tface #1\t"a ""b"""\n4\tNA\t5" x, y\n'
    columns = read_text_table(write(tmp_path, text, "a.tsv")).columns
    assert columns["trial_type"].tolist() == ["face #1", "NA"]
    assert columns["said"].tolist() == ['a "b"', '5" x, y']


def test_quoted_names_hold_separators(tmp_path):
    table = read_numbers(write(tmp_path, '"V1, left","V1; right"\n1,2\n'))
    assert list(table.columns) == ["V1, left", "V1; right"]


def test_separator_in_some_names_only(tmp_path):
    path = write(tmp_path, "onset\tduration\tkeys (a, b, c, d)\n0\t1\ta\n", "a.tsv")
    assert list(read_text_table(path).columns) == ["onset", "duration", "keys (a, b, c, d)"]


def test_separators_at_the_end_of_lines(tmp_path):
    for header in ("a,b", "a,b,"):
        table = read_numbers(write(tmp_path, f"{header}\n1,2,\n3,,\n"))
        np.testing.assert_array_equal(table.columns, [[1, 2], [3, np.nan]])


def test_comments_below_are_left_out_with_a_note(tmp_path):
    table = read_numbers(write(tmp_path, "# <matrix\n# >\n1 2 3\n4 5 6\n# </matrix>\n", "a.txt"))
    assert table.columns.shape == (2, 3)
    assert table.notes == ["1 comments (#) below the first line"]


def test_marks_before_every_name_are_of_the_names(tmp_path):
    table = read_numbers(write(tmp_path, "#1\t#2\t#3\n1\t2\t3\n", "a.txt"))
    assert list(table.columns) == ["#1", "#2", "#3"]


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "2"], "i"),
        (["1", "n/a"], "f"),
        (["1.5", "NA"], "f"),
        (["01", "02"], "O"),
        (["9007199254740993", ""], "O"),
        (["12345678901234567890", "1"], "O"),
        (["1", "1.#IND"], "O"),
        (["NA", "DA"], "O"),
        (["True", "False"], "b"),
        (["TRUE", "FALSE"], "O"),
    ],
)
def test_columns_are_numbers_only_if_that_changes_no_cell(tmp_path, cells, kind):
    path = write(tmp_path, "v,w\n" + "".join(f"{cell},x\n" for cell in cells))
    column = read_text_table(path).columns["v"]
    assert column.dtype.kind == kind
    if kind in "Oi":
        assert [str(cell) for cell in column.fillna("")] == cells
    assert read_text_table(path, text=["v"]).columns["v"].dtype.kind == "O"


def test_text_columns_keep_words_that_look_empty(tmp_path):
    path = write(tmp_path, "onset\ttrial_type\n1\tnull\n2\tNone\n3\tn/a\n", "a.tsv")
    column = read_text_table(path).columns["trial_type"]
    assert column.tolist()[:2] == ["null", "None"]
    assert column.isna().tolist() == [False, False, True]


def test_is_table():
    assert is_table("A.CSV") and is_table("a.tsv.gz") and is_table("b.txt")
    assert not is_table("a.nii.gz") and not is_table("a.npy")
