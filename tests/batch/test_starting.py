"""From a folder, by a first recipe that is run as written, to a report that finds what was planted.

A correlation of 0.8 says that most of a pattern is found; what was drawn at random is below 0.5 in
99 of 100 patterns of the size here (20 numbers or more).
"""

import html
import os
import shlex
import textwrap
import tomllib
from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import neuroml
from neuroml import cli
from neuroml.batch import check, report, run, start_recipe, starting
from neuroml.batch.fitting import fit_recipe, prepare
from neuroml.batch.sources import open_source
from neuroml.batch.starting.models import assemblies
from neuroml.exceptions import DataError
from neuroml.report.tables.connectome import FEWEST_WINDOWS, worth
from neuroml.simulate import make_switching_choices, make_switching_spikes

FOUND = 0.8
DOCS = Path(__file__).parents[2] / "tutorials" / "docs"
RATE_HZ, N_GROUPS, N_EACH, N_ALONE = 10.0, 3, 5, 4


class Bomb:
    """Leaves a file behind if a pickle of it is loaded."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.mkdir, (str(self.file),)


def fluorescence(seed, n_times):
    """Traces (cell, time) of three assemblies and of cells on their own, and their neuropil."""
    rng = np.random.default_rng(seed)
    n_cells = N_GROUPS * N_EACH + N_ALONE
    fired = rng.random((n_cells, n_times)) < 0.1 / RATE_HZ
    for group in range(N_GROUPS):
        for at in rng.integers(0, n_times, int(n_times / RATE_HZ / 8)):
            own = slice(group * N_EACH, (group + 1) * N_EACH)
            fired[own, at] |= rng.random(N_EACH) < 0.8
    decay = np.exp(-np.arange(60) / (0.6 * RATE_HZ))
    calcium = np.array([np.convolve(row, decay)[:n_times] for row in fired.astype(float)])
    neuropil = 50 + rng.normal(0, 3, n_times) + rng.normal(0, 1, calcium.shape)
    raw = 100 + 60 * calcium + rng.normal(0, 6, calcium.shape) + 0.7 * neuropil
    return raw, neuropil


def plane(folder, seed, n_times=1000):
    """A plane folder of Suite2p whose last three regions are no cells."""
    rng = np.random.default_rng(seed)
    raw, neuropil = fluorescence(seed, n_times)
    dirt = 100 + rng.normal(0, 6, (3, n_times))
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "F.npy", np.vstack([raw, dirt]).astype(np.float32))
    np.save(folder / "Fneu.npy", np.vstack([neuropil, dirt / 2]).astype(np.float32))
    np.save(folder / "spks.npy", np.vstack([raw, dirt]).clip(0).astype(np.float32))
    flags = np.r_[np.ones(len(raw)), np.zeros(3)]
    np.save(folder / "iscell.npy", np.column_stack([flags, flags]))
    bomb = Bomb(folder / "ops_was_loaded")
    np.save(folder / "ops.npy", np.array(bomb, dtype=object), allow_pickle=True)


def finish(recipe, out):
    """Check and run a recipe as it stands; the models by job, and the page."""
    checked, jobs = check(recipe)
    records = list(run(checked, out))
    assert [record["status"] for record in records] == ["done"] * len(jobs), records
    assert not [note for record in records for note in record["warnings"] if "may be raw" in note]
    page = html.unescape(report(out).read_text())
    models = {j.name: neuroml.load(out / "jobs" / j.name / "model.safetensors") for j in jobs}
    return models, page


def assert_assemblies(model):
    """Every planted assembly has a component that loads on its cells and on no others."""
    loadings = model[-1].cp_.factors[1]
    for group in range(N_GROUPS):
        members = np.zeros(len(loadings))
        members[group * N_EACH : (group + 1) * N_EACH] = 1
        found = [np.corrcoef(members, column)[0, 1] for column in loadings.T]
        assert max(found) > FOUND


def assert_couplings(model, truth):
    """The coupling matrices of the states are those that were planted, in some order."""
    orders = permutations(range(len(truth)))
    found = [np.corrcoef(model.weights_[list(o)].ravel(), truth.ravel())[0, 1] for o in orders]
    assert max(found) > FOUND


class TestSuite2p:
    def test_assemblies(self, tmp_path):
        plane(tmp_path / "mouse1" / "suite2p" / "plane0", seed=1)
        text = start_recipe("suite2p", tmp_path, out=tmp_path / "recipe.toml", rate_hz=RATE_HZ)
        assert text == (tmp_path / "recipe.toml").read_text()
        models, page = finish(tmp_path / "recipe.toml", tmp_path / "out")
        assert_assemblies(models["sub-plane0"])
        assert "subtract_neuropil" in page and "delta_f_over_f" in page
        assert "3 of 22 regions that Suite2p marks as no cell" in page
        assert "too short for its windows" not in page
        assert not list(tmp_path.rglob("ops_was_loaded"))

    def test_without_a_rate_it_counts_in_samples_and_says_so(self, tmp_path):
        plane(tmp_path / "plane0", seed=0, n_times=300)
        text = start_recipe("suite2p", tmp_path, out=tmp_path / "recipe.toml")
        recipe, jobs = check(tmp_path / "recipe.toml")
        assert "The frame rate is not known" in text and "time counts samples" in text
        assert "window_s" not in text
        recording, _ = open_source(recipe.data, recipe.where).read(jobs[0].keys[0])
        assert recording.attrs["time_axis"] == "samples" and recording.attrs["rate_hz"] is None

    @pytest.mark.parametrize("written", [True, False])
    def test_the_command_says_that_there_are_no_seconds(self, tmp_path, written):
        plane(tmp_path / "plane0", seed=0, n_times=300)
        more = ["--out", str(tmp_path / "recipe.toml")] if written else []
        told = CliRunner().invoke(cli.app, ["init", "suite2p", str(tmp_path), *more])
        assert "The rate is not known: time counts samples" in told.stderr
        assert "--rate-hz" in told.stderr
        told = CliRunner().invoke(cli.app, ["init", "suite2p", str(tmp_path), "--rate-hz", "10"])
        assert not told.stderr

    def test_two_mice_do_not_collide(self, tmp_path):
        for mouse in ("mouse1", "mouse2"):
            plane(tmp_path / mouse / "suite2p" / "plane0", seed=0, n_times=300)
        start_recipe("suite2p", tmp_path, out=tmp_path / "recipe.toml", rate_hz=RATE_HZ)
        jobs = check(tmp_path / "recipe.toml")[1]
        assert [job.name for job in jobs] == ["sub-mouse1", "sub-mouse2"]

    def test_bins(self, tmp_path):
        plane(tmp_path, seed=0, n_times=300)
        content = tomllib.loads(start_recipe("suite2p", tmp_path, rate_hz=RATE_HZ, bin_s=0.5))
        assert content["prepare"][-1] == {"use": "bin_time", "bin_s": 0.5}
        assert content["fit"]["steps"][0]["window"] == 10  # of 60 bins
        with pytest.raises(DataError, match="bins of seconds need a rate.*--rate-hz"):
            start_recipe("suite2p", tmp_path, bin_s=0.5)

    def test_a_combined_folder_repeats_the_planes(self, tmp_path):
        for name in ("plane0", "plane1", "combined"):
            plane(tmp_path / name, seed=0, n_times=300)
        text = start_recipe("suite2p", tmp_path, out=tmp_path / "recipe.toml")
        assert tomllib.loads(text)["data"]["files"] == ["plane0", "plane1"] and "combined" in text
        assert len(check(tmp_path / "recipe.toml")[1]) == 2

    def test_what_the_values_allow(self, tmp_path):
        """Without neuropil where it would leave nothing, without cells that never vary."""
        plane(tmp_path, seed=0, n_times=300)
        F = np.load(tmp_path / "F.npy")
        F[0] = 100
        np.save(tmp_path / "F.npy", F)
        np.save(tmp_path / "Fneu.npy", 2 * F)
        text = start_recipe("suite2p", tmp_path, out=tmp_path / "recipe.toml", rate_hz=RATE_HZ)
        content = tomllib.loads(text)
        assert content["data"]["options"]["on_nan"] == "drop_units"
        assert [step["use"] for step in content["prepare"]] == ["delta_f_over_f"]

    def test_regions_without_a_verdict(self, tmp_path):
        for name in ("a", "b"):
            plane(tmp_path / name, seed=0, n_times=300)
        (tmp_path / "a" / "iscell.npy").unlink()
        assert "every region is taken for a cell" in start_recipe("suite2p", tmp_path / "a")
        with pytest.raises(DataError, match="others do not.*none in 1 of 2"):
            start_recipe("suite2p", tmp_path)

    def test_cells_that_are_left_out_are_told(self, tmp_path):
        plane(tmp_path, seed=0, n_times=300)
        F = np.load(tmp_path / "F.npy")
        F[0, 5] = np.nan
        np.save(tmp_path / "F.npy", F)
        assert "have values missing, are left out" in start_recipe("suite2p", tmp_path)


def sorted_folder(folder, spikes, bin_samples, rate_hz, params=True, said=()):
    """A folder of Kilosort in which units 0, 1, ... are good, the next is mua, the last is noise.

    ``said`` is how many clusters have which label instead, or None for no labels.
    """
    rng = np.random.default_rng(0)
    counts = np.column_stack([spikes, rng.poisson(0.2, (len(spikes), 2))]).astype(int)
    bins, units = np.nonzero(counts)
    repeats = counts[bins, units]
    bins, units = np.repeat(bins, repeats), np.repeat(units, repeats)
    times = np.floor((bins + rng.random(len(bins))) * bin_samples).astype(np.uint64)
    order = np.argsort(times, kind="stable")
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "spike_times.npy", times[order][:, None])
    np.save(folder / "spike_clusters.npy", units[order].astype(np.int32))
    labels = ["good"] * spikes.shape[1] + ["mua", "good"]
    if said:
        labels = [label for label, n in said.items() for _ in range(n)]
    rows = [f"{i}\t{label}\n" for i, label in enumerate(labels)]
    if said is not None:
        (folder / "cluster_KSLabel.tsv").write_text("cluster_id\tKSLabel\n" + "".join(rows))
    if said == ():  # by hand, one was found to be noise
        table = f"cluster_id\tgroup\n{len(labels) - 1}\tnoise\n"
        (folder / "cluster_group.tsv").write_text(table)
    if params:
        (folder / "params.py").write_text(
            f"import os\nos.mkdir({str(folder / 'params_was_run')!r})\n"
            f"dat_path = 'raw.bin'\nsample_rate = {rate_hz}\n"
        )


@pytest.fixture(scope="module")
def population():
    return make_switching_spikes(
        5, 2, n_sessions=1, n_bins=3000, connected=0.6, rate=0.3, stay=0.99, random_state=0
    )


class TestKilosort:
    def test_couplings(self, tmp_path, population):
        sorted_folder(tmp_path / "probe", population.spikes, 300, 30000.0)
        start_recipe("kilosort", tmp_path / "probe", out=tmp_path / "recipe.toml", bin_s=0.01)
        models, page = finish(tmp_path / "recipe.toml", tmp_path / "out")
        assert_couplings(models["sub-probe"], population.weights)
        assert "2 of 7 clusters, which are not labeled good (5 good, 1 mua, 1 noise)" in page
        assert not (tmp_path / "probe" / "params_was_run").exists()

    def test_the_rate_is_asked_for_and_taken_once(self, tmp_path, population):
        sorted_folder(tmp_path / "a", population.spikes[:500], 300, 30000.0, params=False)
        with pytest.raises(DataError, match="how many samples are a second.*--rate-hz"):
            start_recipe("kilosort", tmp_path / "a")
        text = start_recipe("kilosort", tmp_path / "a", out=tmp_path / "r.toml", rate_hz=30000.0)
        assert tomllib.loads(text)["data"]["options"]["time_unit_s"] == 1 / 30000
        check(tmp_path / "r.toml")
        sorted_folder(tmp_path / "b", population.spikes[:500], 300, 30000.0)
        with pytest.raises(DataError, match="given twice"):
            start_recipe("kilosort", tmp_path / "b", rate_hz=30000.0)

    @pytest.mark.parametrize(
        ("labels", "options", "told"),
        [
            ((), {"rate_hz": 0.0}, "not a frequency.*> 0"),
            ((), {"rate_hz": -1.0}, "not a frequency.*> 0"),
            ((), {"rate_hz": np.nan}, "not a frequency.*> 0"),
            (None, {}, "which clusters are the units .nothing says.*--label LABEL.*--label all"),
            ({"mua": 7}, {}, "which clusters are the units.*7 mua.*--label LABEL"),
            ({"good": 1, "mua": 6}, {}, "one unit has none that it could be coupled to.*--label"),
        ],
    )
    def test_every_refusal_names_an_option(self, tmp_path, population, labels, options, told):
        sorted_folder(tmp_path, population.spikes[:500], 300, 30000.0, params=False, said=labels)
        with pytest.raises(DataError, match=told):
            start_recipe("kilosort", tmp_path, **{"rate_hz": 30000.0, **options})

    @pytest.mark.parametrize(
        ("said", "labels", "n_units"),
        [(None, ["all"], 7), ({"mua": 7}, ["mua"], 7), ({"good": 1, "mua": 6}, ["good", "mua"], 7)],
    )
    def test_labels(self, tmp_path, population, said, labels, n_units):
        sorted_folder(tmp_path, population.spikes[:500], 300, 30000.0, said=said)
        start_recipe("kilosort", tmp_path, out=tmp_path / "r.toml", labels=labels)
        recipe, jobs = check(tmp_path / "r.toml")
        recording, _ = open_source(recipe.data, recipe.where).read(jobs[0].keys[0])
        assert recording.sizes["unit"] == n_units

    def test_a_rate_in_some_folders_only_is_no_question_to_an_option(self, tmp_path, population):
        for name, params in (("a", True), ("b", False)):
            sorted_folder(tmp_path / name, population.spikes[:500], 300, 30000.0, params=params)
        for rate_hz in (None, 30000.0):
            with pytest.raises(DataError, match=r"b: some folders say.*1 of 2.*params\.py"):
                start_recipe("kilosort", tmp_path, rate_hz=rate_hz)


def mice(n_mice, n_sessions, n_trials):
    """Choices of mice that are engaged, biased to the left or biased to the right by turns."""
    parts = []
    for mouse in range(n_mice):
        data = make_switching_choices(n_sessions, n_trials, 3, random_state=mouse)
        stimulus = data.X[:, 0]
        table = {
            "mouse": f"m{mouse}",
            "session": data.sessions,
            "trial": np.tile(np.arange(n_trials), n_sessions),
            "stimulus": stimulus,
            "choice": np.where(data.y == 1, "right", "left"),
            "rewarded": ((stimulus > 0) == (data.y == 1)).astype(int),
        }
        parts.append(pd.DataFrame(table))
    return pd.concat(parts)


class TestTrials:
    def test_three_strategies_of_eight_mice(self, tmp_path):
        mice(8, 2, 80).to_csv(tmp_path / "trials.csv", index=False)
        text = start_recipe("trials", tmp_path / "trials.csv", out=tmp_path / "r.toml", y="choice")
        data = tomllib.loads(text)["data"]
        assert data["options"] == {
            "y": "choice",
            "subject": "mouse",
            "session": "session",
            "inputs": ["stimulus"],
            "lags": {"choice": 1},
            "reward": "rewarded",
        }
        assert data["inputs"] == ["stimulus", "previous_choice", "win_stay_lose_switch"]
        models, page = finish(tmp_path / "r.toml", tmp_path / "out")
        model = models["cohort"]
        left, engaged, right = np.argsort(model.intercept_[:, 0])
        assert model.intercept_[left, 0] < -1 and model.intercept_[right, 0] > 1
        slopes = model.weights_[:, 0, 0]
        assert slopes[engaged] > 2 and slopes[engaged] > max(slopes[left], slopes[right])
        table = pd.read_csv(tmp_path / "out" / "evaluation.csv").set_index("model")
        assert table["difference"]["SwitchingGLM"] > 0 and "Does it predict" in page

    @pytest.mark.parametrize(
        ("change", "options", "asked"),
        [
            ({}, {}, "which column is to be explained.*'choice'.*--y COLUMN"),
            ({"rat": 1}, {"y": "choice"}, "which column is the subject.*'mouse', 'rat'.*--subject"),
            ({"n": 0}, {"y": "n"}, "what are the numbers in 'n'.*--family categorical.*poisson"),
        ],
    )
    def test_what_is_open_is_asked(self, tmp_path, change, options, asked):
        table = mice(2, 2, 30).assign(**change)
        if "n" in table:
            table["n"] = np.arange(len(table)) % 4
        table.to_csv(tmp_path / "trials.csv", index=False)
        with pytest.raises(DataError, match=asked):
            start_recipe("trials", tmp_path / "trials.csv", **options)

    @pytest.mark.parametrize(
        ("codes", "family", "told"),
        [
            ([1, 2], None, "--family poisson .counts. or gaussian.*have to be words"),
            ([-1, 0, 1], None, "--family gaussian .amounts.*have to be words"),
            ([1, 2], "categorical", "not those of this family.*'poisson'.*'categorical'.*'1', '2'"),
            ([-1, 1], "gaussian", "not those of this family.*'bernoulli'.*'-1', '1'"),
            ([0, 1, 2], "bernoulli", "not those of this family"),
            ([0.5, 1.5], "poisson", "not those of this family"),
            (["left", "right"], "gaussian", "not those of this family.*'bernoulli'.*'left'"),
            (["a", "b", "c"], "poisson", "not those of this family.*expected 'categorical'"),
            ([0, 1], "poison", "not those of this family, did you mean 'poisson'"),
        ],
    )
    def test_no_family_that_the_values_are_not_of(self, tmp_path, codes, family, told):
        table = mice(2, 2, 30)
        table["choice"] = np.array(codes)[np.arange(len(table)) % len(codes)]
        table.to_csv(tmp_path / "trials.csv", index=False)
        with pytest.raises(DataError, match=told):
            start_recipe("trials", tmp_path / "trials.csv", y="choice", family=family)

    @pytest.mark.parametrize("other", [("right", "up"), (0, 1)])
    def test_tables_whose_codes_differ(self, tmp_path, other):
        for name, labels in (("a", ("left", "right")), ("b", other)):
            table = mice(1, 2, 30)
            table["choice"] = np.array(labels)[np.arange(len(table)) % 2]
            table.to_csv(tmp_path / f"{name}.csv", index=False)
        with pytest.raises(DataError, match=r"b\.csv.*different labels.*'left', 'right', as in a"):
            start_recipe("trials", tmp_path, y="choice")

    @pytest.mark.parametrize(
        ("stimulus", "told"),
        [
            (np.nan, "'stimulus .120 empty.'.*--input COLUMN"),
            ("0,5", "field stimulus.*decimal commas.*'0,5'"),
        ],
    )
    def test_inputs_that_would_be_lost_or_fail_are_refused(self, tmp_path, stimulus, told):
        table = mice(2, 2, 30).assign(stimulus=stimulus)
        table.to_csv(tmp_path / "trials.csv", index=False, sep=";")
        with pytest.raises(DataError, match=told):
            start_recipe("trials", tmp_path / "trials.csv", y="choice")

    def test_what_follows_the_choice_is_no_input(self, tmp_path):
        """Of the names that laboratories share trials by; a missed choice is 0 among -1 and 1."""
        table = mice(2, 2, 30).drop(columns="rewarded").rename(columns={"session": "eid"})
        table["choice"] = np.where(table["choice"] == "right", 1, -1)
        table.loc[table["trial"] == 5, "choice"] = 0
        table = table.rename(columns={"trial": "trial_id"})
        correct = np.sign(table["stimulus"]) == table["choice"]
        table = table.assign(feedbackType=np.where(correct, 1, -1), response_times=1.0)
        table.to_csv(tmp_path / "trials.csv", index=False)
        with pytest.raises(DataError, match="what are the numbers.*--missing VALUE"):
            start_recipe("trials", tmp_path / "trials.csv", y="choice")
        text = start_recipe("trials", tmp_path / "trials.csv", y="choice", missing=["0"])
        data = tomllib.loads(text)["data"]
        assert data["options"]["session"] == "eid" and data["options"]["missing"] == ["0"]
        assert data["options"]["reward"] == "feedbackType"
        assert data["inputs"] == ["stimulus", "previous_choice", "win_stay_lose_switch"]

    @pytest.mark.parametrize("name", ["reward_size", "correctSide", "goCue_times", "response_s"])
    def test_what_may_follow_the_choice_is_asked(self, tmp_path, name):
        mice(2, 2, 30).assign(**{name: 1.5}).to_csv(tmp_path / "trials.csv", index=False)
        with pytest.raises(DataError, match=f"known before the choice.*{name}.*--input COLUMN"):
            start_recipe("trials", tmp_path / "trials.csv", y="choice")
        text = start_recipe("trials", tmp_path / "trials.csv", y="choice", inputs=["stimulus"])
        assert tomllib.loads(text)["data"]["options"]["inputs"] == ["stimulus"]

    @pytest.mark.parametrize(
        ("y", "options", "family"),
        [
            ("choice", {}, "bernoulli"),
            ("rewarded", {}, "bernoulli"),
            ("rt", {}, "gaussian"),
            ("n", {"family": "poisson"}, "poisson"),
            ("port", {}, "categorical"),
            ("choice", {"subject": "rat"}, "bernoulli"),
        ],
    )
    def test_every_y_has_a_valid_recipe(self, tmp_path, y, options, family):
        table = mice(2, 2, 30)
        at = np.arange(len(table))
        table = table.assign(rt=0.3 + at % 7 / 10, n=at % 4)
        table["port"] = np.array(["a", "b", "c"])[at % 3]
        if "subject" in options:
            table["rat"] = table["mouse"]
        table.to_csv(tmp_path / "trials.csv", index=False)
        text = start_recipe(
            "trials", tmp_path / "trials.csv", out=tmp_path / "r.toml", y=y, **options
        )
        content = tomllib.loads(text)
        assert content["fit"]["steps"][-1]["family"] == family
        assert y not in content["data"]["inputs"]
        recipe, jobs = check(tmp_path / "r.toml")
        recording, _ = open_source(recipe.data, recipe.where).read(jobs[0].keys[0])
        assert set(recipe.data.inputs) <= set(recording["feature"].values.tolist())


@pytest.fixture(scope="module")
def nwb_file(tmp_path_factory):
    """Raw fluorescence and its dF/F in containers of their own, and two units."""
    pynwb = pytest.importorskip("pynwb")
    from pynwb import ophys

    file = pynwb.NWBFile("test", "id", datetime(2020, 1, 1, tzinfo=UTC))
    device = file.create_device("scope")
    plane_of = file.create_imaging_plane(
        name="plane",
        optical_channel=ophys.OpticalChannel(
            name="green", description="green light", emission_lambda=500.0
        ),
        description="plane",
        device=device,
        excitation_lambda=600.0,
        indicator="GCaMP6f",
        location="V1",
    )
    module = file.create_processing_module("ophys", "calcium")
    segmentation = ophys.ImageSegmentation()
    module.add(segmentation)
    regions = segmentation.create_plane_segmentation(
        name="regions", description="cells", imaging_plane=plane_of
    )
    raw, neuropil = fluorescence(3, 1000)
    for at in range(len(raw)):
        regions.add_roi(pixel_mask=[(at, at, 1.0)])
    raw = raw - 0.7 * neuropil
    relative = raw / np.percentile(raw, 20, axis=1, keepdims=True) - 1
    for container, values in ((ophys.Fluorescence(), raw), (ophys.DfOverF(), relative)):
        module.add(container)
        rois = regions.create_roi_table_region(description="all", region=[*range(len(raw))])
        series = ophys.RoiResponseSeries(
            name=type(container).__name__.lower(), data=values.T, rois=rois, unit="n.a.", rate=10.0
        )
        container.add_roi_response_series(series)
    rng = np.random.default_rng(0)
    for _ in range(2):
        file.add_unit(spike_times=np.sort(rng.uniform(0, 20, 200)))
    path = tmp_path_factory.mktemp("nwb") / "day1.nwb"
    with pynwb.NWBHDF5IO(str(path), "w") as io:
        io.write(file)
    return path


class TestNwb:
    def test_several_series_are_asked_about(self, nwb_file):
        told = "which data.*'dfoverf', 'fluorescence', 'units'.*--series NAME.*units: the spiking"
        with pytest.raises(DataError, match=told):
            start_recipe("nwb", nwb_file)

    def test_assemblies_of_a_series(self, tmp_path, nwb_file):
        start_recipe("nwb", nwb_file, out=tmp_path / "r.toml", series="dfoverf")
        recipe, jobs = check(tmp_path / "r.toml")
        source = open_source(recipe.data, recipe.where)
        recordings = prepare(recipe, [source.read(key)[0] for key in jobs[0].keys])
        model, _ = fit_recipe(recipe.candidates()["n_components=3"], recordings, [None])
        assert_assemblies(model)

    def test_the_container_says_what_a_series_is(self, tmp_path, nwb_file):
        """dF/F is not divided by its baseline once more, whatever its unit says."""
        relative = tomllib.loads(start_recipe("nwb", nwb_file, series="dfoverf"))
        raw = tomllib.loads(start_recipe("nwb", nwb_file, series="fluorescence"))
        assert "prepare" not in relative
        assert [step["use"] for step in raw["prepare"]] == ["delta_f_over_f"]

    def test_units(self, tmp_path, nwb_file):
        start_recipe("nwb", nwb_file, out=tmp_path / "r.toml", series="units", bin_s=0.1)
        recipe, jobs = check(tmp_path / "r.toml")
        recording, _ = open_source(recipe.data, recipe.where).read(jobs[0].keys[0])
        assert recording.signal.values.sum() == 400 and recipe.fit.steps[-1].use == (
            "SwitchingPopulationGLM"
        )


def documented(kind, where, population, nwb_file):
    """The recipe of the page on a kind, for the folder that the page describes."""
    if kind == "suite2p":
        for mouse in ("mouse1", "mouse2"):
            plane(where / "mice" / mouse / "suite2p" / "plane0", seed=0, n_times=1500)
        return start_recipe(kind, "mice", rate_hz=RATE_HZ)
    if kind == "kilosort":
        sorted_folder(where / "probe", population.spikes, 300, 30000.0)
        return start_recipe(kind, "probe", bin_s=0.01)
    if kind == "trials":
        mice(8, 2, 80).to_csv(where / "trials.csv", index=False)
        return start_recipe(kind, "trials.csv", y="choice")
    (where / "day1.nwb").write_bytes(nwb_file.read_bytes())
    return start_recipe(kind, "day1.nwb", series="dfoverf")


@pytest.mark.parametrize("kind", ["suite2p", "kilosort", "nwb", "trials"])
def test_the_docs_print_the_recipes(kind, tmp_path, monkeypatch, population, nwb_file):
    monkeypatch.chdir(tmp_path)
    text = documented(kind, tmp_path, population, nwb_file)
    page = (DOCS / f"from_{kind}.rst").read_text()
    assert textwrap.indent(text, "   ") in page


@pytest.mark.parametrize("kind", ["suite2p", "kilosort", "nwb", "trials"])
def test_nothing_is_found_in_an_empty_folder(kind, tmp_path):
    with pytest.raises(DataError, match="there is no"):
        start_recipe(kind, tmp_path)
    with pytest.raises(DataError, match="no such file or folder"):
        start_recipe(kind, tmp_path / "absent")


def test_names_with_special_characters_and_folders_elsewhere(tmp_path):
    folder = tmp_path / "data [2024] *é" / "plane0"
    plane(folder, seed=0, n_times=300)
    for out in (tmp_path / "near.toml", tmp_path / "recipes" / "far.toml"):
        start_recipe("suite2p", tmp_path, out=out, rate_hz=RATE_HZ)
        recipe, jobs = check(out)
        assert len(jobs) == 1
        assert list(open_source(recipe.data, recipe.where).files.values()) == [folder]


def test_a_recipe_may_lie_in_the_folder_that_it_reads(tmp_path, monkeypatch):
    plane(tmp_path / "mouse", seed=0, n_times=300)
    monkeypatch.chdir(tmp_path / "mouse")
    start_recipe("suite2p", ".", out="recipe.toml", rate_hz=RATE_HZ)
    recipe, jobs = check("recipe.toml")
    assert [job.name for job in jobs] == ["sub-mouse"]
    recording, _ = open_source(recipe.data, recipe.where).read(jobs[0].keys[0])
    assert recording.sizes["unit"] == N_GROUPS * N_EACH + N_ALONE
    broken = recipe.data.model_copy(update={"files": ["a**b"]})
    with pytest.raises(DataError, match=r"pattern cannot be used.*found 'a\*\*b'"):
        open_source(broken, recipe.where)


def test_no_recipe_is_written_that_the_check_refuses(tmp_path, monkeypatch):
    """Whatever a starter overlooks, an option that makes no valid recipe is refused."""
    bad = 'title = "x"\n[data]\nfiles = ["absent.csv"]\nreader = "trials"\n[fit]\nsteps = []\n'
    monkeypatch.setitem(starting.STARTERS, "trials", lambda path, where: bad)
    with pytest.raises(DataError, match="no valid recipe.*name at least one step") as refused:
        start_recipe("trials", tmp_path, out=tmp_path / "r.toml")
    assert "absent.csv" in str(refused.value) and not (tmp_path / "r.toml").exists()


def test_the_command_that_is_shown_can_be_pasted(tmp_path, monkeypatch):
    mice(2, 2, 30).to_csv(tmp_path / "trials.csv", index=False)
    monkeypatch.chdir(tmp_path)
    told = ["init", "trials", "trials.csv", "--y", "choice", "--out", "my recipe.toml"]
    shown = CliRunner().invoke(cli.app, told).output.splitlines()[-1].partition(": ")[2]
    assert shlex.split(shown) == ["neuroml", "run", "my recipe.toml", "--out", "results"]


def test_the_command_prints_or_writes_and_asks_by_an_error(tmp_path, monkeypatch, capsys):
    mice(2, 2, 30).to_csv(tmp_path / "trials.csv", index=False)
    monkeypatch.chdir(tmp_path)
    printed = CliRunner().invoke(cli.app, ["init", "trials", "trials.csv", "--y", "choice"])
    assert printed.exit_code == 0
    assert tomllib.loads(printed.output)["data"]["files"] == ["trials.csv"]
    told = ["init", "trials", "trials.csv", "--y", "choice", "--out", "recipe.toml"]
    written = CliRunner().invoke(cli.app, told)
    assert written.exit_code == 0 and "neuroml run recipe.toml" in written.output
    assert (tmp_path / "recipe.toml").read_text() == printed.output
    assert "is not written over" in str(CliRunner().invoke(cli.app, told).exception)
    monkeypatch.setattr("sys.argv", ["neuroml", "init", "trials", "trials.csv"])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 2 and "--y COLUMN" in capsys.readouterr().err


@pytest.mark.parametrize("n_samples", [160, 300, 1000, 5000, 100_000])
@pytest.mark.parametrize("rate_hz", [None, 0.3, 2.0, 30.0])
def test_a_recording_fills_the_windows_of_its_recipe(n_samples, rate_hz):
    """It has as many windows as the report asks for three components."""
    values = [section.values for section in assemblies(rate_hz, n_samples)]
    windows = next(v for v in values if v.get("use") == "SlidingWindowConnectivity")
    window, stride = windows["window"], windows["stride"]
    n_windows = len(range(0, n_samples - window + 1, stride))
    assert worth(n_windows, window, stride) >= FEWEST_WINDOWS * 3
    assert rate_hz is None or window <= max(10.0 * rate_hz, 2)


def test_one_window_less_than_a_component_needs_is_refused():
    with pytest.raises(DataError, match=r"at least 58 samples \(5.8 s\).*found 57 samples"):
        assemblies(10.0, 57)
    assert assemblies(10.0, 58)[1].values["window"] == 10


@pytest.mark.parametrize(("n", "n_states"), [(60, 1), (250, 2), (300, 3)])
def test_few_trials_are_not_split_into_three_strategies(tmp_path, n, n_states):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"stimulus": rng.normal(size=n), "choice": rng.integers(0, 2, n)})
    table.to_csv(tmp_path / "trials.csv", index=False)
    text = start_recipe("trials", tmp_path / "trials.csv", y="choice")
    assert tomllib.loads(text)["fit"]["steps"][0]["n_states"] == n_states
    assert ("more states need about 100 trials each" in text) == (n_states < 3)
    assert ("a model of one strategy" in text) == (n_states > 1)
    assert ("do not change" in text) == (n_states == 1)


@pytest.mark.parametrize(("kind", "n"), [("suite2p", 3), ("suite2p", 8), ("trials", 3)])
def test_a_recording_too_short_for_the_recipe_is_refused_before_its_run(tmp_path, kind, n):
    rng = np.random.default_rng(0)
    options = {"y": "choice"} if kind == "trials" else {"rate_hz": 10.0}
    if kind == "trials":
        table = pd.DataFrame({"stimulus": rng.normal(size=n), "choice": ["left", "right", "left"]})
        table.to_csv(tmp_path / "trials.csv", index=False)
    else:
        np.save(tmp_path / "F.npy", 100 + rng.random((6, n)))
        np.save(tmp_path / "iscell.npy", np.ones((6, 2)))
    with pytest.raises(DataError, match="too short for the model that the recipe would fit"):
        start_recipe(kind, tmp_path, out=tmp_path / "recipe.toml", **options)
    assert not (tmp_path / "recipe.toml").exists()
