import pytest

from neuroml.batch import plan, read_recipe
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
    def test_files_become_units_named_by_their_entities(self, cohort):
        assert [unit.name for unit in plan(read_recipe(cohort / "recipe.toml"))] == [
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
        assert [unit.name for unit in plan(read_recipe(write(cohort, text)))] == names

    def test_choice_of_subjects(self, cohort):
        text = (cohort / "recipe.toml").read_text()
        chosen = text.replace("reader", 'subjects = ["03"]\nreader')
        assert [u.name for u in plan(read_recipe(write(cohort, chosen)))] == ["sub-03"]
        absent = text.replace("reader", 'subjects = ["9"]\nreader')
        with pytest.raises(
            RecipeError, match=r"data.subjects: \['9'\].*which have \['01', '02', '03'\]"
        ):
            plan(read_recipe(write(cohort, absent)))

    def test_files_without_entities_go_by_their_stem(self, cohort):
        (cohort / "mouse.csv").write_text("a\n1\n")
        text = (cohort / "recipe.toml").read_text().replace("sub-*", "mouse")
        assert open_source(read_recipe(write(cohort, text))).keys() == [("mouse", "", "")]

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
