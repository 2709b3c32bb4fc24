import numpy as np
import pytest

from neuroml.data._matrix import read_matrix, read_vector
from neuroml.exceptions import DataError


def test_every_format_holds_the_same_matrix(written, signal):
    matrix = read_matrix(written)
    np.testing.assert_allclose(matrix.values, signal, atol=0)
    assert matrix.names is None


@pytest.mark.parametrize("told", [{"units_first": True}, {"units": list("abc")}, {"n_times": 12}])
def test_units_first_by_word_by_names_or_by_times(tmp_path, signal, told):
    np.save(tmp_path / "a.npy", signal.T)
    np.testing.assert_array_equal(read_matrix(tmp_path / "a.npy", **told).values, signal)


@pytest.mark.parametrize("told", [{}, {"units_first": False}, {"units": list("abc")}])
def test_time_first(tmp_path, signal, told):
    np.save(tmp_path / "a.npy", signal)
    np.testing.assert_array_equal(read_matrix(tmp_path / "a.npy", **told).values, signal)


def test_more_columns_than_rows_is_a_doubt(tmp_path, signal):
    np.save(tmp_path / "a.npy", signal.T)
    with pytest.raises(DataError, match="more columns than rows.*found 3 x 12.*units_first=True"):
        read_matrix(tmp_path / "a.npy")
    assert read_matrix(tmp_path / "a.npy", units_first=False).values.shape == (3, 12)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"units": ["a"]}, "units do not fit the array; expected 1 units; found .* 12 x 3"),
        ({"n_times": 13}, "times do not fit the array; expected 13 times"),
        ({"units_first": True, "units": list("abc")}, "units do not fit"),
        ({"units": ["a", "b", "a"]}, "unit names repeat"),
        ({"side": ["time"]}, "columns cannot be taken by name"),
    ],
)
def test_what_does_not_fit(tmp_path, signal, told, message):
    np.save(tmp_path / "a.npy", signal)
    with pytest.raises(DataError, match=message):
        read_matrix(tmp_path / "a.npy", **told)


def table(tmp_path, header, signal):
    path = tmp_path / "a.csv"
    np.savetxt(path, signal, delimiter=",", header=header, comments="")
    return path


def test_named_columns_are_chosen_and_set_aside(tmp_path, signal):
    path = table(tmp_path, "V1,WM,A1", signal)
    matrix = read_matrix(path, side=["WM"])
    assert matrix.names == ["V1", "A1"]
    np.testing.assert_array_equal(matrix.values, signal[:, [0, 2]])
    np.testing.assert_array_equal(matrix.side["WM"], signal[:, 1])
    assert read_matrix(path, units=["A1"]).values.shape == (12, 1)


def test_wide_table_with_names_is_no_doubt(tmp_path, signal):
    path = table(tmp_path, ",".join(f"r{i}" for i in range(12)), signal.T)
    assert read_matrix(path).values.shape == (3, 12)


def test_unknown_column(tmp_path, signal):
    with pytest.raises(DataError, match=r"no such column; expected one of a, b, c; found CSF"):
        read_matrix(table(tmp_path, "a,b,c", signal), side=["CSF"])


@pytest.mark.parametrize("name", ["time", "Time_s", "t", "timestamps", "frame"])
def test_clock_is_not_taken_for_a_unit(tmp_path, signal, name):
    path = table(tmp_path, f"{name},b,c", signal)
    with pytest.raises(DataError, match="looks like a time axis"):
        read_matrix(path)
    assert read_matrix(path, side=[name]).names == ["b", "c"]
    assert read_matrix(path, units=["b"]).names == ["b"]


def test_vector(tmp_path):
    np.savez(tmp_path / "a.npz", flat=np.arange(4), row=np.ones((1, 5)), wide=np.ones((2, 3)))
    assert read_vector(tmp_path / "a.npz", "flat").tolist() == [0, 1, 2, 3]
    assert read_vector(tmp_path / "a.npz", "row").shape == (5,)
    with pytest.raises(DataError, match=r"not of the kind.*found wide \(2 x 3\)"):
        read_vector(tmp_path / "a.npz", "wide")
