"""``[[prepare]]`` is held against what the recipe says of its recordings, before any is read."""

import re

import numpy as np
import pytest
import xarray as xr

from neuroml.batch.order import _after, facts_of
from neuroml.batch.preparing import apply_preparation, find_preparation_faults
from neuroml.data import make_recording, read_traces


def step(use, **options):
    return {"use": use, **options}


def faults(where, steps, *, clean=None, **data):
    np.save(where / "traces.npy", 100 + np.random.default_rng(0).random((60, 3)))
    known = {"files": ["traces.npy"], "reader": "traces", "options": {"rate_hz": 10.0}} | data
    content = {"data": known, "prepare": steps} | ({} if clean is None else {"clean": clean})
    return list(find_preparation_faults(content, where))


RELATIVE, EVENTS = step("delta_f_over_f"), step("detect_events")
SPIKES = {"reader": "spikes", "options": {"bin_s": 0.01}, "files": ["a.csv"]}


@pytest.mark.parametrize(
    ("steps", "data", "expected"),
    [
        ([EVENTS], {}, ["prepare.0: detect_events: the signal may be raw fluorescence"]),
        ([RELATIVE, EVENTS, RELATIVE], {}, ["prepare.2: delta_f_over_f: the signal is count"]),
        ([RELATIVE, RELATIVE], {}, ["prepare.1: delta_f_over_f: the signal is dF/F already"]),
        ([RELATIVE, EVENTS, EVENTS], {}, ["prepare.2: detect_events: events are detected in calc"]),
        ([RELATIVE, step("bin_time", bin_s=0.2), EVENTS], {}, ["prepare.2.*before bin_time"]),
        ([step("bin_time", bin_s=0.01)], {}, ["prepare.0: bin_time: a bin is not a whole number"]),
        ([step("bin_time", bin_s=-1.0)], {}, ["prepare.0: bin_time: bin_s is not a duration"]),
        (
            [step("bin_time", bin_s=0.2), step("bin_time", bin_s=0.1)],
            {},
            ["prepare.1.*0.1 s, which is 0.5 samples at 5 Hz"],
        ),
        ([step("bin_time", bin_s=0.2, how="sum")], {}, ["prepare.0.*how='mean'"]),
        ([RELATIVE, EVENTS, step("bin_time", bin_s=0.2)], {}, ["prepare.2.*how='sum'"]),
        ([step("delta_f_over_f", percentile=120.0)], {}, ["prepare.0.*not a percentile"]),
        ([step("delta_f_over_f", window_s=0.05)], {}, ["prepare.0.*shorter than a sample"]),
        ([step("subtract_neuropil", weight=1.5)], {}, ["prepare.0.*not a fraction"]),
        ([RELATIVE, step("subtract_neuropil")], {}, ["prepare.1.*no neuropil signal"]),
        ([RELATIVE, step("detect_events", threshold=0.0)], {}, ["prepare.1.*threshold is not"]),
        ([step("clean", low_pass_hz=6.0)], {}, ["prepare.0: clean: the band cannot be had"]),
        ([step("clean"), RELATIVE], {}, ["prepare.1.*clean has subtracted the mean"]),
        ([step("clean", standardize=True), EVENTS], {}, ["prepare.1: detect_events: the signal"]),
        ([RELATIVE], SPIKES, ["prepare.0: delta_f_over_f: the signal is count already"]),
        ([EVENTS], SPIKES, ["prepare.0: detect_events: events are detected in calcium"]),
        ([step("bin_time", bin_s=0.02)], SPIKES, ["prepare.0.*how='sum'"]),
        ([step("bin_time", bin_s=0.2)], {"options": {}}, ["prepare.0.*need a sampling rate"]),
        ([step("bin_time", bin_s=0.2)], {"reader": "trials", "options": {}}, ["prepare.0.*trials"]),
        # independent faults of several steps are told together, and none follows from another
        (
            [EVENTS, step("bin_time", bin_s=0.01, how="sum"), step("clean", high_pass_hz=9.0)],
            {},
            ["prepare.0.*raw fluorescence", "prepare.1.*whole number", "prepare.2.*the band"],
        ),
    ],
)
def test_what_cannot_follow_is_told(tmp_path, steps, data, expected):
    found = faults(tmp_path, steps, **data)
    assert len(found) == len(expected), found
    for fault, pattern in zip(found, expected, strict=True):
        assert "recording:" not in fault
        assert re.match(pattern, fault), fault


@pytest.mark.parametrize(
    ("steps", "data"),
    [
        ([RELATIVE, EVENTS, step("bin_time", bin_s=0.2, how="sum")], {}),
        ([EVENTS], {"options": {"rate_hz": 10.0, "value_units": "dF/F"}}),
        ([step("clean", detrend=False, low_pass_hz=4.0), RELATIVE, step("clean")], {}),
        # what files say themselves is not known here, nor what a named data set holds
        ([EVENTS, step("bin_time", bin_s=0.2, how="sum")], {"files": ["*.nwb"], "options": {}}),
        ([EVENTS, step("bin_time", bin_s=0.2, how="sum")], {"reader": None, "files": None}),
        # an unknown option is another check's matter, and hides nothing behind it
        ([step("bin_time", bin_s=0.02, how="sum")], SPIKES),
    ],
)
def test_what_can_follow_or_is_not_known_is_passed_over(tmp_path, steps, data):
    assert faults(tmp_path, steps, **data) == []


def test_the_section_clean_is_checked_as_the_last_step(tmp_path):
    slow = {"high_pass_hz": "slow"}
    (found,) = faults(tmp_path, [], clean=slow)
    assert found.startswith("clean: clean: high_pass_hz = 'slow' does not fit")
    binned = [step("bin_time", bin_s=0.5)]
    (found,) = faults(tmp_path, binned, clean={"low_pass_hz": 3.0})
    assert "0 < high_pass_hz < low_pass_hz < 1 Hz" in found


@pytest.mark.parametrize(
    "one",
    [
        step("subtract_neuropil", weight=0.5),
        step("delta_f_over_f", percentile=20.0, window_s=None),
        step("clean", detrend=True, standardize=True),
        step("clean", detrend=True, standardize=False),
        step("bin_time", bin_s=0.2, how="mean"),
        step("detect_events", threshold=None),
    ],
    ids=str,
)
def test_what_is_foreseen_of_a_step_is_what_it_leaves(one):
    rng = np.random.default_rng(0)
    rises = rng.random((200, 2)) < 0.03
    decay = np.exp(-np.arange(40) / 8)
    values = np.column_stack([np.convolve(unit, decay)[:200] for unit in rises.T])
    recording = make_recording(
        values + rng.normal(1, 0.05, (200, 2)),
        rate_hz=10.0,
        modality="calcium",
        value_units="dF/F" if one["use"] == "detect_events" else "a.u.",
        variables={"neuropil": xr.DataArray(0.1 * values, dims=("time", "unit"))},
    )
    before = xr.Dataset({"neuropil": ((), 0.0)}, attrs=recording.attrs)
    options = {name: value for name, value in one.items() if name != "use"}
    foreseen = _after(one["use"], options, before)
    found = apply_preparation([one], recording, ("", "", ""), None)
    for name in ("rate_hz", "value_units", "time_axis", "modality"):
        assert foreseen.attrs[name] == found.attrs[name], name
    assert ("neuropil" in foreseen) == ("neuropil" in found)


@pytest.mark.parametrize("options", [{}, {"rate_hz": 10.0}, {"value_units": "dF/F"}], ids=str)
def test_facts_of_a_file_are_what_the_reader_finds(tmp_path, options):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).random((60, 3)))
    found = read_traces(tmp_path / "a.npy", **options)
    facts = facts_of({"reader": "traces", "files": ["a.npy"], "options": options}, tmp_path)
    for name in ("rate_hz", "value_units", "time_axis", "modality"):
        assert facts.attrs[name] == found.attrs[name], name
