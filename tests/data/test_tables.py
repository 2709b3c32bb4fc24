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
    table = read_numbers(write(tmp_path, "0,1,2\n5,6,7\n8,9,9\n"))
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


def test_text_columns_keep_words_that_look_empty(tmp_path):
    path = write(tmp_path, "onset\ttrial_type\n1\tnull\n2\tNone\n3\tn/a\n", "a.tsv")
    column = read_text_table(path).columns["trial_type"]
    assert column.tolist()[:2] == ["null", "None"]
    assert column.isna().tolist() == [False, False, True]


def test_is_table():
    assert is_table("A.CSV") and is_table("a.tsv.gz") and is_table("b.txt")
    assert not is_table("a.nii.gz") and not is_table("a.npy")
