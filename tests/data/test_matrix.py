import numpy as np
import pytest

from neuroml.data._matrix import is_smoother_along_rows, read_matrix, read_vector
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


CLOCKS = ["time", "Time_s", "t", "timestamps", "frame", "Time (s)", "time_sec", "Time [s]", "TR"]
CLOCKS += ["Timestamps_ms", "seconds", "volume", "Frame #", "index", "sample", "Time Stamp (ms)"]
CLOCKS += ["Unnamed: 0", "row.names"]


@pytest.mark.parametrize("name", CLOCKS)
def test_clock_is_not_taken_for_a_unit(tmp_path, signal, name):
    path = table(tmp_path, f"{name},b,c", signal)
    with pytest.raises(DataError, match="looks like a time axis.*units="):
        read_matrix(path)
    assert read_matrix(path, side=[name]).names == ["b", "c"]
    assert read_matrix(path, units=["b"]).names == ["b"]


@pytest.mark.parametrize(
    "name", ["time cell 3", "framework", "sample 3", "thalamus", "index finger"]
)
def test_names_of_units_are_no_clocks(tmp_path, signal, name):
    assert read_matrix(table(tmp_path, f"{name},b,c", signal)).names == [name, "b", "c"]


STEADY = np.round(np.arange(12) * 0.0333, 6)
RISING = {
    "counter": np.arange(12.0),
    "seconds": STEADY,
    "a gap": np.r_[0:5, 10:17].astype(float),
    "jitter": np.cumsum(np.random.default_rng(0).integers(48, 53, 12)).astype(float),
}


@pytest.mark.parametrize("rising", RISING.values(), ids=RISING)
@pytest.mark.parametrize("has_names", [True, False])
def test_column_that_always_rises_is_no_unit_whatever_its_name(tmp_path, signal, rising, has_names):
    signal[:, 1] = rising
    if has_names:
        path = table(tmp_path, "a,b,c", signal)
    else:
        path = tmp_path / "a.npy"
        np.save(path, signal)
    with pytest.raises(DataError, match="column ('b'|number 1) looks like a time axis"):
        read_matrix(path)
    np.testing.assert_array_equal(read_matrix(path, units=list("abc")).values, signal)


@pytest.mark.parametrize("index", [np.arange(12) / 10, np.r_[0:5, 10:17], np.arange(12) + 5])
def test_column_without_a_name_is_asked_about(tmp_path, signal, index):
    path = table(tmp_path, ",b,c", np.column_stack([index, signal[:, :2]]))
    with pytest.raises(DataError, match="column has no name.*none for column 1.*units="):
        read_matrix(path)
    assert read_matrix(path, units=["b", "c"]).names == ["b", "c"]
    np.testing.assert_array_equal(read_matrix(path, side=[""]).side[""], index)


def autoregressive(n_times, n_units, seed, coefficient=0.6):
    """Time first; levels differ between units, and there is a signal that they share."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n_times, n_units))
    for at in range(1, n_times):
        values[at] += coefficient * values[at - 1]
    return values + np.linspace(0, 50, n_units) + np.cumsum(rng.normal(size=(n_times, 1)), axis=0)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("shape", [(300, 200), (1018, 60), (60, 50)])
def test_orientation_is_asked_where_rows_are_smoother(tmp_path, seed, shape):
    upright, lying = autoregressive(*shape, seed), autoregressive(*shape[::-1], seed).T
    assert not is_smoother_along_rows(upright)
    assert is_smoother_along_rows(lying)
    np.save(tmp_path / "a.npy", lying)
    with pytest.raises(DataError, match="smoother along its rows.*units_first=True"):
        read_matrix(tmp_path / "a.npy")
    assert read_matrix(tmp_path / "a.npy", units_first=True).values.shape == shape[::-1]


@pytest.mark.parametrize("seed", range(20))
def test_noise_has_no_orientation(seed):
    rng = np.random.default_rng(seed)
    assert not is_smoother_along_rows(rng.normal(size=(rng.integers(20, 200), 20)))


def test_smoothness_without_values():
    assert not is_smoother_along_rows(np.full((5, 3), np.nan))
    assert not is_smoother_along_rows(np.ones((5, 3)))


@pytest.mark.parametrize("told", [{}, {"n_times": 12}, {"units": [f"u{i}" for i in range(12)]}])
def test_square_array_is_a_doubt(tmp_path, told):
    values = np.random.default_rng(0).normal(size=(12, 12))
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(DataError, match="the array is square.*units_first=True or units_first=Fa"):
        read_matrix(tmp_path / "a.npy", **told)
    for units_first in (True, False):
        read = read_matrix(tmp_path / "a.npy", units_first=units_first, **told).values
        np.testing.assert_array_equal(read, values.T if units_first else values)


def test_named_columns_are_units(tmp_path, signal):
    with pytest.raises(DataError, match="named columns has a unit per column"):
        read_matrix(table(tmp_path, "a,b,c", signal), units_first=True)


def test_vector(tmp_path):
    np.savez(tmp_path / "a.npz", flat=np.arange(4), row=np.ones((1, 5)), wide=np.ones((2, 3)))
    assert read_vector(tmp_path / "a.npz", "flat").tolist() == [0, 1, 2, 3]
    assert read_vector(tmp_path / "a.npz", "row").shape == (5,)
    with pytest.raises(DataError, match=r"not of the kind.*found wide \(2 x 3\)"):
        read_vector(tmp_path / "a.npz", "wide")
