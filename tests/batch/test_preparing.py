"""``[[prepare]]`` of a recipe: checked, applied in order, told in the report."""

import html
import json
import re

import numpy as np
import pandas as pd
import pytest

from neuroml.batch import check, read_recipe, report, run
from neuroml.batch.fitting import prepare
from neuroml.batch.sources import open_source
from neuroml.data import add_covariates, bin_time, delta_f_over_f, read_traces
from neuroml.exceptions import RecipeError

RECIPE = """
title = "Cells"
[data]
files = ["*/plane0"]
reader = "traces"
options = { rate_hz = 10.0 }
[[prepare]]
use = "subtract_neuropil"
weight = 0.5
[[prepare]]
use = "delta_f_over_f"
percentile = 10
[[prepare]]
use = "bin_time"
bin_s = 0.2
[[prepare]]
use = "add_covariates"
table = "{subject}/speed.csv"
time = "time"
[fit]
scope = "recording"
[[fit.steps]]
use = "PCA"
n_components = 2
"""


def folders(where, *names):
    """Suite2p folders of four regions, three of them cells, with a running speed beside each."""
    for number, name in enumerate(names):
        rng = np.random.default_rng(number)
        plane = where / name / "plane0"
        plane.mkdir(parents=True)
        np.save(plane / "F.npy", 100 + rng.random((4, 60)))
        np.save(plane / "Fneu.npy", 10 + rng.random((4, 60)))
        np.save(plane / "iscell.npy", np.array([[1, 0.9], [0, 0.1], [1, 0.9], [1, 0.9]]))
        table = pd.DataFrame({"time": np.arange(60) / 10, "speed": rng.random(60)})
        table.to_csv(where / name / "speed.csv", index=False)


def written(where, text=RECIPE):
    (where / "recipe.toml").write_text(text)
    return where / "recipe.toml"


def prepared(recipe):
    source = open_source(recipe.data, recipe.where)
    return prepare(recipe, [source.read(key)[0] for key in source.keys()])


def test_steps_are_applied_to_every_recording_in_their_order(tmp_path):
    folders(tmp_path, "mouse1", "mouse2")
    for name, found in zip(
        ("mouse1", "mouse2"), prepared(read_recipe(written(tmp_path))), strict=True
    ):
        raw = read_traces(tmp_path / name / "plane0", rate_hz=10.0)
        corrected = raw.assign(signal=raw.signal - 0.5 * raw.neuropil).drop_vars("neuropil")
        binned = bin_time(delta_f_over_f(corrected, percentile=10), bin_s=0.2)
        expected = add_covariates(binned, tmp_path / name / "speed.csv", time="time")
        np.testing.assert_allclose(found.signal.values, expected.signal.values)
        np.testing.assert_allclose(found.covariates.values, expected.covariates.values)
        assert found.attrs["subject"] == name


FAULTY = """
title = "t"
[data]
files = ["*/plane0"]
reader = "traces"
options = { rate_hz = 10.0 }
[[prepare]]
use = "delta_f_over_g"
[[prepare]]
use = "bin_time"
how = "median"
[[prepare]]
use = "detect_events"
treshold = 3
[[prepare]]
use = "clean"
high_pass_hz = "slow"
[[prepare]]
use = "add_covariates"
table = "{subject}/absent.csv"
time = "t"
[[prepare]]
use = "add_covariates"
table = "mouse1/speed.csv"
time = "time"
[[prepare]]
use = "resample_to"
[fit]
[[fit.steps]]
use = "PCA"
"""
FAULTS = [
    "prepare.0: there is no preparation 'delta_f_over_g', did you mean 'delta_f_over_f'",
    "prepare.1: bin_time: how = 'median' does not fit .*'mean' or 'sum'",
    "prepare.1: bin_time needs bin_s",
    "prepare.2: detect_events has no option 'treshold', did you mean 'threshold'",
    "prepare.3: clean: high_pass_hz = 'slow' does not fit .*number",
    "prepare.4.table: there is no file '.*mouse1/absent.csv' .and 1 more",
    "prepare.5.table: 'mouse1/speed.csv' would be joined to all 2 recordings.*{subject}",
    "prepare.6: there is no preparation 'resample_to'",
]


def test_every_fault_is_told_at_once(tmp_path):
    folders(tmp_path, "mouse1", "mouse2")
    with pytest.raises(RecipeError) as caught:
        check(written(tmp_path, FAULTY))
    for fault in FAULTS:
        assert re.search(fault, str(caught.value)), fault
    assert len(str(caught.value).splitlines()) == len(FAULTS) + 1


def test_the_report_names_the_steps_and_a_changed_table_is_fitted_anew(tmp_path):
    folders(tmp_path, "mouse1", "mouse2")
    recipe, out = read_recipe(written(tmp_path)), tmp_path / "out"
    assert [record["status"] for record in run(recipe, out)] == ["done", "done"]
    page = html.unescape(report(out).read_text())
    assert "<b>subtract_neuropil</b>(weight=0.5)" in page
    assert "<b>delta_f_over_f</b>(percentile=10)" in page
    assert page.index("subtract_neuropil") < page.index("delta_f_over_f") < page.index("bin_time")
    assert [record["status"] for record in run(recipe, out)] == ["skipped", "skipped"]
    table = tmp_path / "mouse1" / "speed.csv"
    table.write_text(table.read_text().replace("speed", "velocity"))
    assert [record["status"] for record in run(recipe, out)] == ["done", "skipped"]


@pytest.mark.parametrize(
    ("steps", "options", "warned"),
    [
        ("", "", True),
        ("[clean]\ndetrend = true", "", True),
        ("", ', value_units = "dF/F"', False),
        ('[[prepare]]\nuse = "delta_f_over_f"', "", False),
        ("[clean]\nstandardize = true", "", False),
        ("", ', variable = "spks"', False),
    ],
)
def test_a_model_of_raw_fluorescence_is_warned_of(tmp_path, steps, options, warned):
    folders(tmp_path, "mouse1")
    np.save(tmp_path / "mouse1/plane0/spks.npy", np.random.default_rng(0).random((4, 60)))
    first, last = RECIPE.index("[[prepare]]"), RECIPE.index("[fit]")
    text = RECIPE[:first] + steps + "\n" + RECIPE[last:]
    recipe = read_recipe(written(tmp_path, text.replace("= 10.0", "= 10.0" + options)))
    (record,) = run(recipe, tmp_path / "out")
    assert any("may be raw fluorescence" in note for note in record["warnings"]) == warned
    page = report(tmp_path / "out").read_text()
    assert ("may be raw fluorescence" in page) == warned


class TestTrials:
    RECIPE = """
title = "Choices"
[data]
files = ["*.csv"]
reader = "trials"
options = { y = "choice", subject = "mouse", lags = { choice = 1 } }
target = "choice"
inputs = ["tone", "previous_choice"]
[fit]
scope = "subject"
[[fit.steps]]
use = "SwitchingGLM"
n_states = 1
family = "bernoulli"
"""

    def table(self, path, *mice, labels=("left", "right")):
        rng = np.random.default_rng(0)
        rows = pd.DataFrame({"mouse": np.repeat(mice, 40), "tone": rng.normal(size=40 * len(mice))})
        rows["choice"] = np.where(rows["tone"] > 0, labels[1], labels[0])
        rows.to_csv(path, index=False)

    def jobs(self, where, text=RECIPE):
        return {job.name: len(job.keys) for job in check(written(where, text))[1]}

    def test_each_subject_of_a_table_is_a_recording(self, tmp_path):
        self.table(tmp_path / "all.csv", "a", "b")
        assert self.jobs(tmp_path) == {"sub-a": 1, "sub-b": 1}
        records = list(run(read_recipe(tmp_path / "recipe.toml"), tmp_path / "out"))
        assert [record["status"] for record in records] == ["done", "done"]
        summary = json.loads((tmp_path / "out/jobs/sub-b/summary.json").read_text())
        assert summary["samples"] == 40

    def test_tables_of_the_same_subjects_are_their_sessions(self, tmp_path):
        self.table(tmp_path / "day1.csv", "a", "b")
        self.table(tmp_path / "day2.csv", "b")
        assert self.jobs(tmp_path) == {"sub-a": 1, "sub-b": 2}

    def test_a_table_of_one_subject_goes_by_the_name_of_its_file(self, tmp_path):
        self.table(tmp_path / "sub-01.csv", "a")
        text = self.RECIPE.replace('subject = "mouse", ', "")
        assert self.jobs(tmp_path, text) == {"sub-01": 1}

    def test_labels_that_are_coded_differently_are_not_joined(self, tmp_path):
        self.table(tmp_path / "day1.csv", "a")
        self.table(tmp_path / "day2.csv", "a", labels=("right", "up"))
        self.jobs(tmp_path)
        (record,) = run(read_recipe(tmp_path / "recipe.toml"), tmp_path / "out")
        assert "different labels" in record["error"]

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ('inputs = ["tone", "previous_choice"]', "", "data.inputs: name the columns of X"),
            ('"previous_choice"', '"choice"', "'choice' is the target, which would be explained"),
            ('y = "choice", ', "", "data.options: read_trials needs y"),
            ("lags", "lag", "data.options.lag: read_trials has no such option"),
        ],
    )
    def test_faults(self, tmp_path, old, new, message):
        self.table(tmp_path / "all.csv", "a")
        with pytest.raises(RecipeError, match=message):
            check(written(tmp_path, self.RECIPE.replace(old, new, 1)))
