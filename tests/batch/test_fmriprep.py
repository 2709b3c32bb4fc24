"""From a folder of fMRIPrep, by a first recipe that is run as written, to its report.

By chance a region is among the k strongest of a component with probability k / 83: half of a
community of six or more is found in fewer than one of 1000 components drawn at random. Of 84 events
of two kinds, a coin gets 70 % right in fewer than one of 1000 draws.
"""

import shutil
import textwrap
import tomllib
from pathlib import Path

import fmriprep_folder as folder
import nibabel
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from neuroml import cli
from neuroml.batch import check, read_recipe, report, run, start_recipe
from neuroml.batch.fitting import fit_recipe, prepare
from neuroml.batch.sources import open_source
from neuroml.data import epochs, labels_from_events, read_events, to_image
from neuroml.exceptions import DataError, RecipeError

DOCS = Path(__file__).parents[2] / "tutorials" / "docs"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    root = tmp_path_factory.mktemp("fmri")
    folder.write(root / "study")
    return root


@pytest.fixture
def here(study, monkeypatch):
    monkeypatch.chdir(study)
    return Path("study/derivatives/fmriprep"), Path("study/atlas.nii.gz")


def test_trial_types_of_subjects_that_were_left_out(study, here, tmp_path):
    told = ["init", "fmriprep", str(here[0]), "--labels", str(here[1]), "--out", "decoding.toml"]
    assert CliRunner().invoke(cli.app, told).exit_code == 0
    recipe, jobs = check("decoding.toml")
    (record,) = run(recipe, tmp_path / "out")
    assert record["status"] == "done", record
    scores = pd.read_csv(tmp_path / "out" / "evaluation.csv").set_index("model")
    assert scores["mean"]["PrototypeClassifier"] > 0.7
    assert {"baseline: logistic regression", "baseline: most frequent class"} <= set(scores.index)
    assert scores["n_subjects"].eq(3).all() and len(jobs[0].keys) == 6
    page = report(tmp_path / "out").read_text()
    for text in (
        "study/atlas.nii.gz",
        "strategy=[&#39;high_pass&#39;, &#39;motion&#39;, &#39;wm_csf&#39;]",
        "trial_type of each event, mean from 4 to 8 s after onset",
        "the signal of all units",
    ):
        assert text in page
    (study / "decoding.toml").unlink()


def test_communities_of_a_run(here, tmp_path, capsys):
    start_recipe("fmriprep", here[0], out=tmp_path / "r.toml", labels=here[1], model="connectivity")
    recipe, jobs = check(tmp_path / "r.toml")
    assert len(jobs) == 6
    (record,) = run(recipe, tmp_path / "out", array_task=(1, 6))
    assert record["status"] == "done", record
    table = pd.read_csv(tmp_path / "out" / "jobs" / jobs[0].name / "table.csv")
    rows = table[(table["quantity"] == "loading") & (table["axis"] == "unit")]
    loadings = rows.pivot_table(index="component", columns="label", values="value")
    found = []
    for members in folder.COMMUNITIES:
        names, k = {f"region{number + 1}" for number in members}, len(members)
        shares = [len(names & set(row.nlargest(k).index)) / k for _, row in loadings.iterrows()]
        found.append(max(shares))
    with capsys.disabled():
        print(
            f"\ntop-k precision of communities of 8, 10 and 6 of 83 regions: {np.round(found, 2)}"
        )
    assert np.mean(found) > 0.5
    page = report(tmp_path / "out").read_text()
    assert "study/atlas.nii.gz" in page and "<b>1</b> fitted" in page


@pytest.mark.parametrize("model", ["decoding", "connectivity"])
def test_without_an_atlas_the_units_are_the_voxels_of_the_brain(study, here, tmp_path, model):
    text = start_recipe("fmriprep", here[0], out=study / f"{model}.toml", model=model)
    assert tomllib.loads(text)["data"]["options"]["mask"] == "brain"
    recipe, jobs = check(study / f"{model}.toml")
    source = open_source(recipe.data, recipe.where)
    pairs = [source.read(key) for key in jobs[0].keys]
    events = [table for _, table in pairs]
    recordings = prepare(recipe, [recording for recording, _ in pairs], events)
    n_voxels = (folder.parcels() > 0).sum()
    assert all(one.sizes["unit"] == n_voxels for one in recordings)
    one = next(iter(recipe.candidates().values()), recipe)
    fit_recipe(one, recordings, [None] * len(recordings))
    assert to_image(np.ones(n_voxels), recordings[0]).shape == folder.SHAPE
    (study / f"{model}.toml").unlink()


def first_run(study, where, events=""):
    """A recipe of regions of a run of each subject, with what more is wanted of its data."""
    (study / "r.toml").write_text(
        "title = 'Runs'\n[data]\nreader = 'bids'\nfolder = 'study/derivatives/fmriprep'\n"
        f"entities = {{ run = 1 }}\n{where}\noptions = {{ labels = 'study/atlas.nii.gz' }}\n"
        f"{events}\n[fit]\nscope = 'subject'\n[[fit.steps]]\nuse = 'PrototypeClassifier'\n"
    )
    return study / "r.toml"


def read_rows(recipe):
    source = open_source(recipe.data, recipe.where)
    raw, events = source.read(source.keys()[0])
    return raw, events, prepare(recipe, [raw], [events])[0]


def test_labels_of_samples_and_events_as_rows(study):
    recipe = read_recipe(first_run(study, "", "[data.events]\nlag_s = 5.0"))
    raw, events, labeled = read_rows(recipe)
    table = read_events(study / "study/sub-01/func/sub-01_task-objects_run-1_events.tsv")
    pd.testing.assert_frame_equal(events, table)
    wanted = labels_from_events(raw, table, lag_s=5.0).values
    np.testing.assert_array_equal(labeled["label"], wanted)
    assert set(wanted) == {"face", "house", "rest"}
    recipe = read_recipe(first_run(study, "", "[data.events]\nepoch_s = [4, 9]"))
    raw, events, rows = read_rows(recipe)
    cut = epochs(raw, table, 4.0, 9.0)
    np.testing.assert_allclose(rows["signal"], cut.mean("time"))
    np.testing.assert_array_equal(rows["label"], table["trial_type"])
    assert rows.attrs["space"] == folder.SPACE and "image_index" in rows.coords
    models = [job.name for job in check(study / "r.toml")[1]]
    assert models == ["sub-01", "sub-02", "sub-03"]


@pytest.mark.parametrize(
    ("where", "events", "told"),
    [
        ("target = 'x'", "[data.events]", "data.target: with events, y is their label"),
        ("", "[data.events]\nlag_s = 1\nepoch_s = [4, 8]", "epoch_s counts from the onset"),
        ("", "[data.events]\nepoch_s = [8, 4]", "begins after it ends"),
        ("", "[data.events]\nlabels = 'x'", "data.events.labels: unknown key.*'label'"),
        ("", "[data.events]\nlabel = 'kind'", "lack labels; expected a column 'kind'"),
        ("", "", "PrototypeClassifier needs a y: name a target .or stimuli, or events"),
        ("files = ['a']", "[data.events]", "either a dataset or files, or a folder of BIDS"),
    ],
)
def test_faults_of_the_data(study, where, events, told):
    with pytest.raises(RecipeError, match=told):
        check(first_run(study, where, events))


def test_every_fault_of_every_run_is_told_at_once(study, tmp_path):
    shutil.copytree(study / "study", tmp_path / "study")
    derivatives = tmp_path / "study" / "derivatives" / "fmriprep"
    image, other = sorted(derivatives.rglob("*_bold.nii.gz"))[:2]
    image.write_bytes(b"nothing")
    next(derivatives.rglob("sub-02_*run-1*_timeseries.tsv")).unlink()
    next((tmp_path / "study").rglob("sub-03_*run-1_events.tsv")).write_text(
        "onset\tduration\n1\t2\n"
    )
    options = "labels = 'none.nii.gz', tr_s = 'two', mask = 'brain', confounds = {strategy = ['motion'], motion = 'basic'}"
    (tmp_path / "r.toml").write_text(
        "title = 'x'\n[data]\nreader = 'bids'\nfolder = 'study/derivatives/fmriprep'\n"
        f"options = {{ {options}, on_nun = 'keep' }}\n[data.events]\n"
        "[fit]\n[[fit.steps]]\nuse = 'PrototypClassifier'\n"
    )
    with pytest.raises(RecipeError) as error:
        check(tmp_path / "r.toml")
    for told in (
        "there is no file",
        "tr_s: 'two' does not fit",
        "no such option",
        "'PrototypeClassifier'",
        f"{image.name}: this cannot be read as a brain image",
        "fMRIPrep's confounds cannot be loaded",
        "a column 'trial_type'",
    ):
        assert told in str(error.value)
    assert other.name not in str(error.value)


@pytest.fixture
def tiny(tmp_path):
    """Write small runs by the rest of their names, some with events."""

    def write(*names, events=()):
        rng = np.random.default_rng(0)
        for name in names:
            image = nibabel.Nifti1Image(
                rng.normal(size=(2, 2, 2, 60)).astype(np.float32), np.eye(4)
            )
            image.header.set_zooms((1, 1, 1, 2))
            image.header.set_xyzt_units("mm", "sec")
            path = tmp_path / "derivatives" / "p" / name[:6] / "func" / f"{name}_bold.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            nibabel.save(image, path)
            mask = nibabel.Nifti1Image(np.ones((2, 2, 2), np.uint8), np.eye(4))
            nibabel.save(mask, str(path).replace("preproc_bold", "brain_mask"))
        for name, text in dict(events).items():
            path = tmp_path / name[:6] / "func" / f"{name}_events.tsv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path / "derivatives" / "p"

    return write


PLAIN = "onset\tduration\ttrial_type\n4\t2\ta\n20\t2\tb\n"


@pytest.mark.parametrize(
    ("names", "events", "asked", "answer"),
    [
        (
            ["task-x_space-MNI", "task-x_space-T1w"],
            {},
            "which space.*'MNI', 'T1w'.*--space LABEL",
            {"space": "T1w"},
        ),
        (
            ["task-x", "task-x_space-T1w"],
            {},
            "which space.*files without one.*--space LABEL, empty",
            {"space": ""},
        ),
        (["task-x", "task-y"], {}, "which task.*'x', 'y'.*--task LABEL", {"task": "y"}),
        (
            ["task-x_res-1", "task-x_res-2"],
            {},
            "which res.*--entity res=LABEL",
            {"entities": ["res=1"]},
        ),
        (
            ["task-x_part-mag", "task-x_part-phase"],
            {},
            "which part.*'mag', 'phase'",
            {"entities": ["part=mag"]},
        ),
        (
            ["task-x_run-1", "task-x_run-2"],
            {"sub-01_task-x_run-1": PLAIN},
            "some runs have no events.*--model connectivity",
            {"model": "connectivity"},
        ),
        (
            ["task-x"],
            {"sub-01_task-x": PLAIN.replace("trial_type", "kind")},
            "which column.*'kind'.*--column NAME",
            {"column": "kind"},
        ),
    ],
)
def test_what_is_open_is_asked_and_answered(tiny, tmp_path, names, events, asked, answer):
    path = tiny(*(f"sub-01_{name}_desc-preproc" for name in names), events=events)
    with pytest.raises(DataError, match=asked):
        start_recipe("fmriprep", path)
    start_recipe("fmriprep", path, out=tmp_path / "r.toml", **answer)
    check(tmp_path / "r.toml")


@pytest.mark.parametrize(
    ("events", "options", "told"),
    [
        (PLAIN.replace("b\n", "a\n"), {}, "'trial_type' cannot be decoded.*'a .2.'.*--column"),
        (PLAIN.replace("b\n", "n/a\n"), {}, "'trial_type' cannot be decoded.*1 empty.*--model"),
        (PLAIN, {"column": "trail_type"}, "no column 'trail_type', did you mean 'trial_type'"),
        (PLAIN, {"raw": "absent"}, "absent.*there is no such folder"),
    ],
)
def test_what_cannot_be_decoded_is_refused(tiny, events, options, told):
    path = tiny("sub-01_task-x_desc-preproc", events={"sub-01_task-x": events})
    with pytest.raises(DataError, match=told):
        start_recipe("fmriprep", path, **options)


def test_confounds_are_not_dropped_because_one_run_lacks_them(tiny):
    path = tiny(*(f"sub-01_task-x_run-{number}_desc-preproc" for number in "12"))
    assert "confounds =" not in start_recipe("fmriprep", path)
    axes = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
    table = pd.DataFrame(0.1, index=range(60), columns=axes)
    for number in "12":
        name = (
            path / "sub-01" / "func" / f"sub-01_task-x_run-{number}_desc-confounds_timeseries.tsv"
        )
        table.to_csv(name, sep="\t", index=False)
        name.with_suffix(".json").write_text("{}")
        if number == "1":
            with pytest.raises(DataError, match="run-2.*some runs lack confounds that others have"):
                start_recipe("fmriprep", path)
    assert tomllib.loads(start_recipe("fmriprep", path))["data"]["options"]["confounds"] == {
        "strategy": ["motion"],
        "motion": "basic",
    }
    for mask in path.rglob("*mask.nii.gz"):
        mask.unlink()
    with pytest.raises(DataError, match="which voxels.*no brain mask.*--labels FILE"):
        start_recipe("fmriprep", path)


def test_raw_folders_and_empty_ones_are_refused(tiny, tmp_path):
    path = tiny("sub-01_task-x")
    with pytest.raises(DataError, match="no preprocessed run of fMRIPrep"):
        start_recipe("fmriprep", path)
    (path / "derivatives" / "fmriprep" / "sub-01").mkdir(parents=True)
    with pytest.raises(DataError, match="There are subjects in .*fmriprep': give that folder"):
        start_recipe("fmriprep", path)
    with pytest.raises(DataError, match="there is no functional run"):
        start_recipe("fmriprep", tmp_path / "derivatives")
    with pytest.raises(DataError, match="names no entity.*found res"):
        start_recipe("fmriprep", path, entities=["res"])


@pytest.mark.parametrize("options", [{}, {"model": "connectivity"}])
def test_the_docs_print_the_recipes(here, options):
    text = start_recipe("fmriprep", here[0], labels=here[1], **options)
    assert textwrap.indent(text, "   ") in (DOCS / "from_fmriprep.rst").read_text()
