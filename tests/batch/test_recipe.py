import re

import numpy as np
import pytest

from neuroml.batch import check, plan, read_recipe
from neuroml.batch.sources import open_source
from neuroml.data import list_datasets, read_card
from neuroml.exceptions import DataError, RecipeError

GOOD = """
title = "t"
[data]
dataset = "nitime_fmri"
[fit]
scope = "recording"
[[fit.steps]]
use = "NonnegativeCP"
n_components = 2
"""


def write(tmp_path, text):
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    return path


def test_a_good_recipe(tmp_path):
    recipe = read_recipe(write(tmp_path, GOOD))
    estimator = recipe.fit.steps[0].build(random_state=7)
    assert (estimator.n_components, estimator.random_state) == (2, 7)


def test_a_steps_own_random_state_wins(tmp_path):
    recipe = read_recipe(write(tmp_path, GOOD + "random_state = 3"))
    assert recipe.fit.steps[0].build(random_state=7).random_state == 3


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("scope", "scpoe", r"fit.scpoe: unknown key, did you mean 'scope'\? \(known: scope, "),
        ("dataset", "datset", r"data.datset: unknown key, did you mean 'dataset'"),
        ("title", "titel", r"titel: unknown key, did you mean 'title'"),
        ('"recording"', '"person"', "fit.scope: .*'recording', 'subject' or 'cohort'"),
        ("nitime_fmri", "nitime_fmry", "no data set 'nitime_fmry', did you mean 'nitime_fmri'"),
        (
            "NonnegativeCP",
            "NonNegativeCp",
            "no estimator 'NonNegativeCp', did you mean 'NonnegativeCP'",
        ),
        ("n_components", "n_component", "no parameter 'n_component', did you mean 'n_components'"),
        ("= 2", "= 0", "n_components.*must be an int in the range"),
        ('dataset = "nitime_fmri"', "", "name either a dataset or files"),
        ('dataset = "nitime_fmri"', 'files = ["a.csv"]', "files need a reader"),
        (
            "[fit]",
            "[clean]\nhigh_pas_hz = 1\n[fit]",
            "no option 'high_pas_hz', did you mean 'high_pass_hz'",
        ),
        ("[data]", "[data", "not valid TOML"),
        ('title = "t"', "", "title: this key is missing"),
    ],
)
def test_faults_name_the_key_and_the_nearest_one(tmp_path, old, new, message):
    with pytest.raises(RecipeError, match=message):
        read_recipe(write(tmp_path, GOOD.replace(old, new, 1)))


def test_all_faults_are_told_at_once(tmp_path):
    with pytest.raises(RecipeError) as caught:
        read_recipe(write(tmp_path, GOOD.replace("scope", "scpoe").replace("title", "titel")))
    assert "scpoe" in str(caught.value) and "titel" in str(caught.value)


def test_unknown_recipe_names_the_nearest_data_set():
    with pytest.raises(RecipeError, match="no recipe 'nitime_fmr', did you mean 'nitime_fmri'"):
        read_recipe("nitime_fmr")


def test_fingerprint_sees_what_changes_results_and_nothing_else(tmp_path):
    base = read_recipe(write(tmp_path, GOOD)).sha256
    assert read_recipe(write(tmp_path, GOOD.replace('"t"', '"other title"'))).sha256 == base
    assert read_recipe(write(tmp_path, GOOD.replace("= 2", "= 3"))).sha256 != base


@pytest.mark.parametrize(
    "path",
    [p for n in list_datasets() for p in read_card(n).where.glob("recipe*.toml")],
    ids=lambda p: f"{p.parent.name}/{p.name}",
)
def test_every_recipe_that_ships_is_valid(path):
    assert read_recipe(path).title


class TestPlan:
    def test_files_become_jobs_named_by_their_entities(self, cohort):
        assert [job.name for job in plan(read_recipe(cohort / "recipe.toml"))] == [
            "sub-01",
            "sub-02",
            "sub-03",
        ]

    @pytest.mark.parametrize(
        ("scope", "names"),
        [
            ("recording", ["sub-a_run-1", "sub-a_run-2", "sub-b_run-1"]),
            ("subject", ["sub-a", "sub-b"]),
            ("cohort", ["cohort"]),
        ],
    )
    def test_scopes(self, cohort, scope, names):
        for name in ("sub-a_run-1", "sub-a_run-2", "sub-b_run-1"):
            (cohort / f"{name}.tsv").touch()
        text = (cohort / "recipe.toml").read_text()
        text = text.replace("sub-*.csv", "*.tsv").replace('"recording"', f'"{scope}"')
        assert [job.name for job in plan(read_recipe(write(cohort, text)))] == names

    def test_choice_of_subjects(self, cohort):
        text = (cohort / "recipe.toml").read_text()
        chosen = text.replace("reader", 'subjects = ["03"]\nreader')
        assert [job.name for job in plan(read_recipe(write(cohort, chosen)))] == ["sub-03"]
        absent = text.replace("reader", 'subjects = ["9"]\nreader')
        with pytest.raises(
            RecipeError, match=r"data.subjects: \['9'\].*which have \['01', '02', '03'\]"
        ):
            plan(read_recipe(write(cohort, absent)))

    def test_files_without_entities_go_by_their_stem(self, cohort):
        (cohort / "mouse.csv").write_text("a\n1\n")
        text = (cohort / "recipe.toml").read_text().replace("sub-*", "mouse")
        recipe = read_recipe(write(cohort, text))
        assert open_source(recipe.data, recipe.where).keys() == [("mouse", "", "")]

    def test_two_files_with_one_key(self, cohort):
        (cohort / "sub-01.csv").rename(cohort / "sub-01_task-a.csv")
        (cohort / "sub-01_task-b.csv").touch()
        with pytest.raises(DataError, match="two files have the same subject, session and run"):
            plan(read_recipe(cohort / "recipe.toml"))

    def test_no_file(self, cohort):
        text = (cohort / "recipe.toml").read_text().replace("sub-*", "nothing")
        with pytest.raises(DataError, match="no file matches"):
            plan(read_recipe(write(cohort, text)))

    def test_absolute_patterns(self, cohort, tmp_path_factory):
        elsewhere = tmp_path_factory.mktemp("elsewhere")
        text = (cohort / "recipe.toml").read_text().replace("sub-*", f"{cohort}/sub-*")
        assert len(plan(read_recipe(write(elsewhere, text)))) == 3


MANY = """
title = "t"
[data]
files = ["nothing-*.csv"]
reader = "fmri"
subjects = ["9"]
options = { tr_sec = 2.0, labels = "absent_atlas.nii.gz", mask = "absent_mask.nii.gz" }
inputs = []
[clean]
high_pas_hz = 1
detrnd = true
[fit]
scpoe = "recording"
[[fit.steps]]
use = "SwitchingGLM"
n_stats = 3
family = "gauss"
n_init = 0
[[fit.steps]]
use = "RidgeDecoder"
"""
FAULTS = [
    "unknown key, did you mean 'scope'",
    "data: file .*no file matches the recipe",
    "data.options.tr_sec: read_fmri has no such option, did you mean 'tr_s'",
    "data.options.labels: there is no file '.*absent_atlas.nii.gz'",
    "data.options.mask: there is no file '.*absent_mask.nii.gz'",
    "clean has no option 'high_pas_hz'",
    "clean has no option 'detrnd'",
    "fit.steps.0: SwitchingGLM has no parameter 'n_stats'",
    "fit.steps.0: The 'family' parameter",
    "fit.steps.0: The 'n_init' parameter",
    "fit.steps.0: SwitchingGLM hands no new X on",
    "data: RidgeDecoder needs a y",
]


def test_check_tells_faults_of_every_group_at_once(tmp_path):
    with pytest.raises(RecipeError) as caught:
        check(write(tmp_path, MANY))
    for fault in FAULTS:
        assert re.search(fault, str(caught.value)), fault
    assert len(str(caught.value).splitlines()) == len(FAULTS) + 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('use = "NonnegativeCP"', 'use = "SegmentBank"', "SegmentBank has no parameter 'n_comp"),
        (GOOD[GOOD.index("[[") :], "steps = []", "fit.steps: name at least one step"),
        ("[fit]", 'reader = "fmri"\n[fit]', "data.reader: a named data set has a reader"),
        ("[fit]", "options = { tr_s = 1 }\n[fit]", "data.options: a named data set has"),
        ("[fit]", "inputs = []\n[fit]", "an empty list is no X, and NonnegativeCP needs one"),
        ("[fit]", 'stimuli = "s"\ntarget = "t"\n[fit]', "data.target: with stimuli"),
        ("[fit]", 'stimuli = "s"\nlayout = "subjects"\n[fit]', "stimuli are for layout"),
        (
            'dataset = "nitime_fmri"',
            'files = ["*.npz"]\nreader = "spikes"',
            "data.options: read_spikes needs bin_s",
        ),
    ],
)
def test_combinations_that_would_be_ignored_or_fail_later(tmp_path, old, new, message):
    with pytest.raises(RecipeError, match=message):
        read_recipe(write(tmp_path, GOOD.replace(old, new, 1)))


def test_only_options_that_name_files_become_paths(cohort):
    """A name that is also that of a file beside the recipe stays a name."""
    np.savez(cohort / "sub-09.npz", signal=np.random.default_rng(0).normal(size=(30, 3)))
    (cohort / "signal").touch()
    text = (cohort / "recipe.toml").read_text().replace("sub-*.csv", "sub-*.npz")
    recipe = read_recipe(write(cohort, text.replace("tr_s = 2.0", 'variable = "signal"')))
    recording, _ = open_source(recipe.data, recipe.where).read(("09", "", ""))
    assert recording.sizes["time"] == 30
