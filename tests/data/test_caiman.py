import h5py
import numpy as np
import pytest

from neuroml.data import describe_file, read_traces
from neuroml.exceptions import DataError


@pytest.fixture
def results(tmp_path):
    """What CaImAn's ``cnm.save`` makes of four components, two of them accepted."""
    values = np.random.default_rng(0).normal(size=(4, 25))
    path = tmp_path / "results.hdf5"
    with h5py.File(path, "w") as file:
        file["estimates/C"] = 10 * values
        file["estimates/F_dff"] = values
        file["estimates/S"] = "NoneType"
        file["estimates/idx_components"] = np.array([3, 1])
        file["params/data/fr"] = 30.0
    return path, values


def change(path, name, value):
    with h5py.File(path, "r+") as file:
        del file[name]
        if value is not None:
            file[name] = value


def test_accepted_components_at_the_stored_rate(results):
    path, values = results
    recording = read_traces(path)
    np.testing.assert_array_equal(recording.signal, values[[3, 1]].T)
    assert recording.unit.values.tolist() == ["roi3", "roi1"]
    assert (recording.attrs["rate_hz"], recording.attrs["value_units"]) == (30.0, "dF/F")
    assert recording.attrs["dropped"] == ["2 of 4 components that CaImAn rejects"]


def test_other_arrays_and_rates(results):
    path, values = results
    recording = read_traces(path, variable="C", rate_hz=15.0, units=["roi1"])
    np.testing.assert_array_equal(recording.signal[:, 0], 10 * values[1])
    assert (recording.attrs["rate_hz"], recording.attrs["value_units"]) == (15.0, "a.u.")


def test_without_an_evaluation_all_components_are_taken(results):
    change(results[0], "estimates/idx_components", "NoneType")
    assert read_traces(results[0]).sizes["unit"] == 4


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("estimates/F_dff", "NoneType", r"did not store F_dff.*found C.*variable='C'"),
        ("estimates/idx_components", np.array([4]), "accepted components do not fit"),
        ("estimates/idx_components", np.array([0.5]), "accepted components do not fit"),
        ("params/data/fr", 0.0, r"does not say its frame rate.*rate_hz="),
        ("params/data/fr", None, r"does not say its frame rate.*rate_hz="),
    ],
)
def test_what_is_missing_or_does_not_fit_is_told(results, name, value, said):
    change(results[0], name, value)
    with pytest.raises(DataError, match=said):
        read_traces(results[0])
    assert any(report_line for report_line in describe_file(results[0]).problems)


def test_described(results):
    text = str(describe_file(results[0]))
    assert "results of CaImAn" in text and "returns 25 times x 2 units, at 30 Hz" in text
