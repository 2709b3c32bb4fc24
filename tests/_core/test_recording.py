import numpy as np
import pandas as pd
import pytest
import xarray as xr

from neuroml._core.recording import (
    align_units,
    break_points,
    make_recording,
    name_of,
    stack,
    validate_recording,
)
from neuroml.exceptions import DataError


def recording(n=6, units=("a", "b"), subject="1", **changes):
    signal = np.arange(n * len(units), dtype=float).reshape(n, len(units))
    return make_recording(
        signal, units=units, rate_hz=2.0, modality="fmri", key=(subject, "", ""), **changes
    )


def test_schema_of_a_full_recording():
    made = recording(
        covariates=pd.DataFrame({"speed": np.arange(6)}),
        confounds=pd.DataFrame({"wm": np.ones(6)}),
        segment=[0, 0, 0, 1, 1, 1],
        unit_coords={"x": [0.0, 1.0]},
        variables={"movie": xr.DataArray(np.zeros((3, 4)), dims=("stimulus_time", "pixel"))},
    )
    assert made["signal"].dims == ("time", "unit")
    np.testing.assert_array_equal(made["time"], np.arange(6) / 2)
    assert made["covariates"].sel(feature="speed").values[5] == 5
    assert made["confounds"].dims == ("time", "confound")
    assert made["movie"].dims == ("stimulus_time", "pixel")
    assert made.attrs["time_axis"] == "seconds" and made.attrs["rate_hz"] == 2.0
    assert validate_recording(made) is made


def test_float32_stays_and_integers_become_float64():
    assert make_recording(np.ones((2, 1), np.float32), modality="spikes").signal.dtype == np.float32
    assert make_recording(np.ones((2, 1), np.int8), modality="spikes").signal.dtype == np.float64


def test_without_rate_time_counts_samples():
    made = make_recording(np.ones((3, 1)), modality="calcium")
    assert made.attrs["time_axis"] == "samples" and made.attrs["rate_hz"] is None
    np.testing.assert_array_equal(made["time"], [0, 1, 2])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"units": ["a", "a"]}, "unit labels repeat.*'a'"),
        ({"units": ["a"]}, "units: a list does not match the signal; expected 2; found 1"),
        ({"modality": "eeg"}, "field modality: unknown value.*found eeg"),
        ({"rate_hz": 0.0, "time": [0, 1, 2]}, "rate is not a frequency"),
        ({"time": [0.0, 1.0, 1.0]}, "time does not increase; found 1.0 then 1.0 at sample 2"),
        ({"time": [0.0, np.nan, 1.0]}, "time does not increase"),
        ({"segment": [0, 1, 0]}, "segment id returns"),
        (
            {"signal": np.ones(3)},
            r"expected an array of shape \(n_times, n_units\); found shape \(3,\)",
        ),
        ({"signal": np.ones((0, 2))}, "the signal is empty"),
        ({"confounds": pd.DataFrame({"a": [1, 2]})}, "confounds: a list does not match"),
    ],
)
def test_what_breaks_the_schema_is_refused(change, message):
    arguments = {"signal": np.ones((3, 2)), "modality": "fmri"} | change
    with pytest.raises(DataError, match=message):
        make_recording(arguments.pop("signal"), **arguments)


def test_time_may_jump_back_between_segments():
    make_recording(np.ones((4, 1)), modality="fmri", time=[5, 6, 0, 1], segment=[0, 0, 1, 1])


def test_foreign_datasets_are_refused():
    with pytest.raises(DataError, match="not a recording"):
        validate_recording(xr.Dataset({"x": 1}))


def test_name_of():
    assert name_of(recording(subject="07")) == "sub-07"
    assert name_of(make_recording(np.ones((1, 1)), modality="fmri", key=("a", "b", "c"))) == (
        "sub-a_ses-b_run-c"
    )


def test_break_points():
    assert break_points(np.array([3, 3, 1, 1, 1, 3])).tolist() == [0, 2, 5]


class TestStack:
    def test_sessions_are_unique_and_break_at_gaps(self):
        arrays = stack([recording(segment=[0, 0, 7, 7, 7, 9]), recording(subject="2")])
        assert arrays.X.shape == (12, 2)
        assert arrays.sessions.tolist() == [0, 0, 1, 1, 1, 2] + [3] * 6
        assert arrays.groups.tolist() == ["1"] * 6 + ["2"] * 6
        assert arrays.y is None and arrays.units == ["a", "b"]

    def test_target_and_inputs_are_columns_of_the_covariates(self):
        table = pd.DataFrame({"choice": [0, 1, 0, 1, 1, 0], "s1": np.arange(6.0)})
        arrays = stack([recording(covariates=table)], target="choice", inputs=["s1"])
        np.testing.assert_array_equal(arrays.X[:, 0], table["s1"])
        np.testing.assert_array_equal(arrays.y, table["choice"])
        two = stack([recording(covariates=table)], target=["choice", "s1"])
        assert two.y.shape == (6, 2)

    def test_all_units_may_be_the_target_of_a_model_without_inputs(self):
        made = recording()
        arrays = stack([made], target="signal", inputs=[])
        np.testing.assert_array_equal(arrays.y, made.signal.values)
        assert arrays.X.shape == (6, 0) and arrays.units == []

    def test_target_may_be_a_variable_on_time(self):
        made = recording().assign(state=("time", np.arange(6)))
        np.testing.assert_array_equal(stack([made], target="state").y, np.arange(6))

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda r: stack([]), "nothing to stack"),
            (lambda r: stack([r, recording(units=["a", "c"], subject="9")]), "sub-9.*align_units"),
            (lambda r: stack([r], target="speed"), r"no such column.*one of \['x'\].*'speed'"),
            (lambda r: stack([r], signal="dff"), r"no such signal.*\['signal'\].*'dff'"),
        ],
    )
    def test_errors_say_what_there_is(self, call, message):
        with pytest.raises(DataError, match=message):
            call(recording(covariates=pd.DataFrame({"x": np.zeros(6)})))

    def test_order_of_recordings_is_the_order_of_rows(self):
        first, second = recording(), recording(subject="2")
        second["signal"] = second["signal"] + 100
        forward, backward = stack([first, second]).X, stack([second, first]).X
        np.testing.assert_array_equal(forward, np.roll(backward, 6, axis=0))


class TestAlignUnits:
    def test_absent_units_are_nan_and_values_stay_with_their_label(self):
        a, b = recording(units=("x", "y")), recording(units=("y", "z"), subject="2")
        one, two = align_units([a, b])
        assert one["unit"].values.tolist() == two["unit"].values.tolist() == ["x", "y", "z"]
        assert np.isnan(one["signal"].sel(unit="z")).all()
        np.testing.assert_array_equal(two["signal"].sel(unit="y"), b["signal"].sel(unit="y"))

    def test_only_shared_units(self):
        recordings = [recording(units=u, subject=str(u)) for u in (("x", "y"), ("y", "z"))]
        assert [r["unit"].values.tolist() for r in align_units(recordings, min_recordings=2)] == [
            ["y"]
        ] * 2

    def test_nothing_shared(self):
        recordings = [recording(units=("x",)), recording(units=("y",))]
        with pytest.raises(DataError, match="no unit is shared.*in 2 of 2 recordings.*at most 1"):
            align_units(recordings, min_recordings=2)

    def test_numbers_are_no_names(self):
        unnamed = make_recording(np.ones((2, 3)), modality="calcium", key=("7", "", ""))
        with pytest.raises(DataError, match="sub-7.*have no names"):
            align_units([recording(), unnamed])

    def test_unit_coordinates_survive(self):
        a = recording(units=("x", "y"), unit_coords={"side": ["L", "R"]})
        b = recording(units=("y", "z"), unit_coords={"side": ["R", "L"]})
        assert align_units([a, b])[1]["side"].sel(unit="z").item() == "L"


def test_a_signal_keeps_its_mask_its_names_and_its_axes():
    values = np.arange(12.0).reshape(6, 2)
    masked = np.ma.array(values, mask=values == 5)
    recording = make_recording(masked, modality="calcium")
    np.testing.assert_array_equal(recording["signal"].values, np.where(values == 5, np.nan, values))
    table = pd.DataFrame(values, columns=["left", "right"])
    upright = xr.DataArray(values.T, dims=("unit", "time"), coords={"unit": ["left", "right"]})
    for signal in (table, upright, make_recording(table, modality="calcium")):
        recording = make_recording(signal, modality="calcium")
        assert recording["unit"].values.tolist() == ["left", "right"]
        np.testing.assert_array_equal(recording["signal"].values, values)
    assert make_recording(table, units="ab", modality="calcium")["unit"].values.tolist() == [
        "a",
        "b",
    ]


@pytest.mark.parametrize("roles", [{}, {"target": "signal"}, {"target": "signal", "inputs": []}])
def test_units_in_another_order_are_never_joined_by_place(roles):
    table = pd.DataFrame(np.arange(12.0).reshape(6, 2), columns=["left", "right"])
    recordings = [make_recording(t, modality="calcium") for t in (table, table[["right", "left"]])]
    with pytest.raises(DataError, match="different units.*in another order.*align_units"):
        stack(recordings, **roles)
    aligned = stack(align_units(recordings), **roles)
    assert aligned.units == ["left", "right"] or roles.get("inputs") == []
    joined = aligned.X if aligned.y is None else aligned.y
    np.testing.assert_array_equal(joined, np.concatenate([table, table]))


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (("01", "", "task-rest_run-1"), "sub-01_task-rest_run-1"),
        (("01", "a", "2"), "sub-01_ses-a_run-2"),
        (("", "", ""), "recording"),
    ],
)
def test_a_run_of_bids_is_named_once(key, name):
    attrs = dict(zip(("subject", "session", "run"), key, strict=True))
    assert name_of(xr.Dataset(attrs=attrs)) == name
