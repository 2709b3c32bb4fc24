"""Tables beside a recording, joined by time."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from neuroml.data import add_covariates, make_recording, read_spikes, stack
from neuroml.exceptions import DataError


def recording(n_times=6, **options):
    options = {"rate_hz": 2.0, "modality": "calcium"} | options
    return make_recording(np.zeros((n_times, 2)), **options)


def joined(*arguments, **options):
    return add_covariates(*arguments, time="t", **options).covariates.values.T.tolist()


SPEED = pd.DataFrame({"t": [0.5, 1.0, 1.75], "speed": [1.0, 3.0, 6.0]})


def test_previous_and_linear():
    nan = np.nan  # times 0, 0.5, ..., 2.5
    np.testing.assert_array_equal(joined(recording(), SPEED), [[nan, 1, 3, 3, nan, nan]])
    np.testing.assert_array_equal(
        joined(recording(), SPEED, how="linear"), [[nan, 1, 3, 5, nan, nan]]
    )
    result = add_covariates(recording(), SPEED, time="t")
    assert result.attrs["dropped"] == [
        "nothing: 'speed' are missing in 3 of 6 samples outside of their table (0.5 to 1.75 s)"
    ]


def test_a_line_is_found_again():
    table = pd.DataFrame({"t": np.linspace(-1, 9, 37)})
    table["x"], table["y"] = 2 * table["t"] + 1, -table["t"]
    found = add_covariates(recording(), table, time="t", how="linear")
    time = found.time.values
    np.testing.assert_allclose(found.covariates, np.column_stack([2 * time + 1, -time]), atol=1e-12)
    assert found.attrs["dropped"] == []


def test_order_of_units_and_a_common_shift_of_the_clock_do_not_matter():
    base = add_covariates(recording(), SPEED, time="t", how="linear")
    later = add_covariates(
        recording().assign_coords(time=recording().time + 32),
        SPEED.assign(t=SPEED["t"] + 32),
        time="t",
        how="linear",
    )
    np.testing.assert_allclose(later.covariates, base.covariates)
    order = [1, 0]
    xr.testing.assert_identical(
        add_covariates(recording().isel(unit=order), SPEED, time="t", how="linear"),
        base.isel(unit=order),
    )


def test_a_table_on_the_recording_s_own_times_comes_back():
    """Also where the sums of floats differ in the last digits."""
    time = np.arange(20) * 0.1
    table = pd.DataFrame({"t": np.cumsum(np.full(20, 0.1)) - 0.1, "v": np.arange(20.0)})
    for how in ("previous", "linear"):
        found = add_covariates(
            make_recording(np.zeros((20, 1)), time=time, rate_hz=10.0, modality="calcium"),
            table,
            time="t",
            how=how,
        )
        np.testing.assert_allclose(found.covariates.values.ravel(), table["v"], atol=1e-6)


def test_no_line_crosses_a_gap_of_the_table():
    table = pd.DataFrame({"t": [0.0, 0.5, 1.0, 2.5, 3.0], "v": [0.0, 1, 2, 5, 6]})
    nan = np.nan
    np.testing.assert_array_equal(
        joined(recording(7), table, how="linear"), [[0, 1, 2, nan, nan, 5, 6]]
    )
    assert joined(recording(7), table) == [[0, 1, 2, 2, 2, 5, 6]]
    note = add_covariates(recording(7), table, time="t", how="linear").attrs["dropped"][0]
    assert "2 of 7 samples in a gap of their table or the recording" in note


def test_no_line_crosses_a_gap_of_the_recording():
    time = [0.2, 0.7, 1.2, 5.2, 5.7]
    two = make_recording(np.zeros((5, 1)), time=time, segment=[0, 0, 0, 1, 1], modality="calcium")
    table = pd.DataFrame({"t": [0.0, 2.0, 4.0, 6.0], "v": [0.0, 2, 4, 6]})
    np.testing.assert_allclose(joined(two, table, how="linear"), [[0.2, 0.7, 1.2, 5.2, 5.7]])
    sparse = pd.DataFrame({"t": [0.0, 5.5, 11.0], "v": [0.0, 5.5, 11.0]})
    nan = np.nan  # only the last sample lies between rows in, or after, its own segment
    np.testing.assert_allclose(joined(two, sparse, how="linear"), [[nan, nan, nan, nan, 5.7]])


def test_missing_rows_are_missing_and_not_filled_from_further_off():
    table = pd.DataFrame({"t": [0.0, 0.75, 1.5, 2.25], "v": [0.0, np.nan, 3.0, 6.0]})
    nan = np.nan  # times 0, 0.5, ..., 2
    np.testing.assert_array_equal(joined(recording(5), table), [[0, 0, nan, 3, 3]])
    np.testing.assert_allclose(joined(recording(5), table, how="linear"), [[0, nan, nan, 3, 5]])


def test_text_becomes_a_target():
    table = pd.DataFrame({"t": [0.5, 1.5, 2.0], "odor": ["rose", None, "mint"], "flow": [1, 2, 3]})
    found = add_covariates(recording(), table, time="t")
    assert found.odor.values.tolist() == ["n/a", "rose", "rose", "n/a", "mint", "n/a"]
    assert found.feature.values.tolist() == ["flow"]
    assert stack([found], target="odor").y.tolist() == found.odor.values.tolist()
    with pytest.raises(DataError, match="text cannot be interpolated.*'odor'.*how='previous'"):
        add_covariates(recording(), table, time="t", how="linear")
    linear = add_covariates(recording(), table, time="t", columns=["flow"], how="linear")
    assert add_covariates(linear, table, time="t", columns=["odor"]).feature.values == ["flow"]


def test_covariates_that_are_there_stay():
    first = add_covariates(recording(), SPEED, time="t")
    second = add_covariates(first, SPEED.rename(columns={"speed": "pupil"}), time="t", how="linear")
    assert second.feature.values.tolist() == ["speed", "pupil"]
    np.testing.assert_array_equal(second.covariates[:, 0], first.covariates[:, 0])
    assert stack([second], inputs=["pupil"]).X.shape == (6, 1)
    assert "covariates" not in recording()


def test_a_file_and_bins_of_spikes(tmp_path):
    SPEED.assign(running=[True, False, True]).to_csv(tmp_path / "speed.tsv", sep="\t", index=False)
    spikes = read_spikes({"a": [0.6, 1.2]}, bin_s=0.5, start_s=0.5, stop_s=1.5)
    found = add_covariates(spikes, tmp_path / "speed.tsv", time="t")
    assert found.covariates.values.tolist() == [[1, 1], [3, 0]]  # at the middle of each bin


def test_one_row_and_one_sample():
    one = recording(1, time=[3.0])
    assert joined(one, pd.DataFrame({"t": [3.0], "v": [7.0]})) == [[7.0]]
    assert joined(one, pd.DataFrame({"t": [3.0], "v": [7.0]}), how="linear") == [[7.0]]


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (SPEED.assign(t=SPEED["t"] + 100), {}, r"0 to 2.5 s; found rows from 100.5 to 101.75 s"),
        (SPEED.assign(t=[1.0, 0.5, 2.0]), {}, r"does not increase.*\[1.0, 0.5\] in rows 1 and 2"),
        (SPEED.assign(t=[1.0, 1.0, 2.0]), {}, "does not increase"),
        (SPEED.assign(t=[1.0, np.nan, 2.0]), {}, "does not increase"),
        (SPEED.assign(t=["a", "b", "c"]), {}, "field t: a column is not of numbers"),
        (SPEED.iloc[:0], {}, "does not increase"),
        (SPEED, {"columns": ["sped"]}, "no column 'sped', did you mean 'speed'"),
        (SPEED, {"columns": ["speed", "speed"]}, "of that name already.*'speed'"),
        (SPEED, {"columns": "speed"}, "columns is not a list"),
        (SPEED, {"columns": []}, "nothing to join"),
        (SPEED[["t"]], {}, "nothing to join"),
        (SPEED.rename(columns={"speed": "unit0"}), {}, "of that name already.*'unit0'"),
        (SPEED.rename(columns={"speed": "signal"}), {}, "of that name already.*'signal'"),
        (SPEED.assign(speed=np.inf), {}, "field speed: a column is not of numbers"),
        (SPEED, {"how": "cubic"}, "unknown way to join"),
    ],
)
def test_what_is_refused(table, options, message):
    with pytest.raises(DataError, match=message):
        add_covariates(recording(key=("m1", "", "")), table, time="t", **options)


def test_clocks_are_in_seconds():
    with pytest.raises(DataError, match="not in seconds, by their name.*t_ms"):
        add_covariates(recording(), SPEED.rename(columns={"t": "t_ms"}), time="t_ms")
    with pytest.raises(DataError, match="did you mean 'speed'"):
        add_covariates(recording(), SPEED, time="speeds")
    trials = recording(rate_hz=None, time_axis="trials")
    with pytest.raises(DataError, match="no clock"):
        add_covariates(trials, SPEED, time="t")


@pytest.mark.parametrize("how", ["previous", "linear"])
def test_decimal_commas_are_no_words(how):
    with pytest.raises(DataError, match="field speed: .*decimal commas.*'1,5'"):
        joined(recording(), SPEED.assign(speed=["1,5", "3", "6"]), how=how)
