import tracemalloc

import numpy as np
import pytest

from neuroml.data._units import check_unique, settle_units
from neuroml.exceptions import DataError

NAMES = ["a", "b", "c", "d"]


@pytest.fixture
def values():
    """Unit b has a gap and an infinity, c is constant, d has no value; a is good."""
    signal = np.random.default_rng(0).normal(size=(10, 4))
    signal[2:4, 1] = np.nan
    signal[9, 1] = np.inf
    signal[:, 2] = 7.0
    signal[:, 3] = np.nan
    return signal


def test_raise_names_units_and_the_first_sample(values):
    with pytest.raises(DataError, match=r"13 in 2 of 4 units: b, d; the first at sample 0") as e:
        settle_units(values, NAMES, "raise", file="f.csv")
    assert "on_nan='drop_units'" in str(e.value)
    assert str(e.value).startswith("file f.csv")


def test_raise_on_constant_units(values):
    with pytest.raises(DataError, match="never vary.*1 of 2 units: c"):
        settle_units(values[:, [0, 2]], ["a", "c"], "raise")


def test_good_units_pass_untouched():
    signal = np.random.default_rng(0).normal(size=(5, 2))
    settled = settle_units(signal, ["a", "b"], "raise")
    assert settled.values is signal
    assert settled.notes == []


@pytest.mark.parametrize("policy", ["raise", "drop_units", "interpolate", "keep"])
def test_a_signal_without_gaps_is_checked_without_a_copy(policy):
    signal = np.random.default_rng(0).normal(size=(1000, 500)).astype(np.float32)
    tracemalloc.start()
    settled = settle_units(signal, [f"u{i}" for i in range(500)], policy)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert settled.values is signal
    assert peak < signal.nbytes / 8  # a table of booleans alone has a fourth


def test_drop_units(values):
    settled = settle_units(values, NAMES, "drop_units")
    assert settled.kept.tolist() == [0]
    np.testing.assert_array_equal(settled.values, values[:, :1])
    assert settled.notes == ["3 of 4 units with missing or constant values: b, c, d"]


def test_interpolate_fills_gaps_and_drops_what_has_nothing_to_fill_from(values):
    settled = settle_units(values, NAMES, "interpolate")
    assert settled.kept.tolist() == [0, 1]
    filled = settled.values[:, 1]
    np.testing.assert_allclose(filled[2:4], np.linspace(values[1, 1], values[4, 1], 4)[1:3])
    assert filled[9] == values[8, 1]
    good = np.isfinite(values[:, 1])
    np.testing.assert_array_equal(filled[good], values[good, 1])
    assert settled.notes[1] == "nothing: 3 missing values are interpolated, in 1 of 2 units"


def test_interpolation_does_not_reach_over_a_gap():
    values = np.array([[1.0, 5], [2, 6], [np.nan, 7], [np.nan, 8], [9, np.nan], [8, np.nan]])
    segment = np.array([0, 0, 0, 1, 1, 1])
    settled = settle_units(values, ["a", "b"], "interpolate", segment=segment)
    assert settled.values[:, 0].tolist() == [1, 2, 2, 9, 9, 8]
    assert settled.values[:, 1].tolist() == [5, 6, 7, 8, 8, 8]
    values[3] = np.nan
    settled = settle_units(values, ["a", "b"], "interpolate", segment=segment)
    assert settled.kept.tolist() == [0]


def test_keep_makes_infinity_missing(values):
    settled = settle_units(values, NAMES, "keep")
    assert settled.kept.tolist() == [0, 1, 2, 3]
    assert np.isnan(settled.values[9, 1])
    assert len(settled.notes) == 2


def test_nothing_left(values):
    with pytest.raises(DataError, match="no unit is left.*2 with missing values and 1 constant"):
        settle_units(values[:, 1:], NAMES[1:], "drop_units")


def test_unknown_policy(values):
    with pytest.raises(DataError, match="on_nan.*expected.*'drop_units'.*found 'drop'"):
        settle_units(values, NAMES, "drop")


def test_input_is_not_changed(values):
    before = values.copy()
    for policy in ("drop_units", "interpolate", "keep"):
        settle_units(values, NAMES, policy)
    np.testing.assert_array_equal(values, before)


def test_repeated_names():
    with pytest.raises(DataError, match=r"names repeat.*\['AVA'\]"):
        check_unique(["AVA", "AVB", "AVA"])
