import html
import json
from dataclasses import dataclass

import nibabel
import numpy as np
import pandas as pd
import pytest
from batch.conftest import RECIPE
from sklearn.base import clone

import neuroml
from neuroml.batch import plan, read_recipe, report, run, runner
from neuroml.batch.manifest import read_manifest
from neuroml.batch.sources import open_source
from neuroml.exceptions import DataError


def statuses(recipe, out, **options):
    return {record["job"]: record["status"] for record in run(recipe, out, **options)}


def contents(out):
    """Bytes of everything a run writes for its jobs."""
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted((out / "jobs").rglob("*.*"))}


def test_a_bad_recording_is_recorded_and_the_others_go_on(cohort, tmp_path):
    out = tmp_path / "out"
    recipe = read_recipe(cohort / "recipe.toml")
    assert statuses(recipe, out) == {"sub-01": "done", "sub-02": "failed", "sub-03": "done"}
    failed = read_manifest(out / "manifest.jsonl")["sub-02"]
    assert "constant" in failed["error"] and "Traceback" in failed["traceback"]
    assert sorted(p.name for p in (out / "jobs" / "sub-01").iterdir()) == sorted(
        ["model.safetensors", "summary.json"]
        + [f"{name}.{end}" for name in ("table", "parameters") for end in ("csv", "json")]
        + [f"{n}.{s}" for n in ("components", "convergence", "groups") for s in ("png", "svg")]
    )


def test_outputs_can_be_read_back(cohort, tmp_path):
    list(run(read_recipe(cohort / "recipe.toml"), tmp_path / "out"))
    folder = tmp_path / "out" / "jobs" / "sub-01"
    model = neuroml.load(folder / "model.safetensors")
    table = pd.read_csv(folder / "table.csv")
    assert list(table.columns) == ["quantity", "component", "axis", "label", "value"]
    error = table.loc[table["quantity"] == "reconstruction_err", "value"].item()
    assert error == pytest.approx(model[-1].reconstruction_err_)
    pairs = table.query("quantity == 'loading' and axis == 'pair' and component == 0")
    assert pairs["label"].tolist()[:2] == ["a--b", "a--c"]
    np.testing.assert_allclose(pairs["value"], model[-1].cp_.factors[1][:, 0])
    learned = pd.read_csv(folder / "parameters.csv")
    own = learned.query("quantity == 'loading' and mode == 1 and component == 0")
    assert own["label"].tolist()[:2] == ["a--b", "a--c"]
    np.testing.assert_allclose(own["value"], model[-1].cp_.factors[1][:, 0])
    for path in folder.glob("*.csv"):
        about = json.loads(path.with_suffix(".json").read_text())
        assert list(about["Columns"]) == list(pd.read_csv(path, nrows=1))
        assert about["Model"] == "NonnegativeCP" and about["Columns"]["value"]["Description"]


def test_a_second_run_does_nothing_and_force_does_all(cohort, tmp_path):
    out = tmp_path / "out"
    recipe = read_recipe(cohort / "recipe.toml")
    statuses(recipe, out)
    before = contents(out)
    again = statuses(recipe, out)
    assert (again["sub-01"], again["sub-02"], again["sub-03"]) == ("skipped", "failed", "skipped")
    assert statuses(recipe, out, force=True)["sub-01"] == "done"
    assert contents(out) == before


def test_only_what_changed_is_done_again(cohort, tmp_path):
    out = tmp_path / "out"
    recipe = read_recipe(cohort / "recipe.toml")
    statuses(recipe, out)
    table = pd.read_csv(cohort / "sub-01.csv")
    table.iloc[0, 0] += 1e-9
    table.to_csv(cohort / "sub-01.csv", index=False)
    (out / "jobs" / "sub-03" / "table.csv").write_text("damaged")
    (cohort / "sub-02.csv").write_text((cohort / "sub-03.csv").read_text())
    assert statuses(recipe, out) == {"sub-01": "done", "sub-02": "done", "sub-03": "done"}
    assert set(statuses(recipe, out).values()) == {"skipped"}
    text = (cohort / "recipe.toml").read_text()
    (cohort / "recipe.toml").write_text(text.replace("n_init = 2", "n_init = 3"))
    assert set(statuses(read_recipe(cohort / "recipe.toml"), out).values()) == {"done"}


def test_workers_give_the_same_bytes(cohort, tmp_path):
    recipe = read_recipe(cohort / "recipe.toml")
    statuses(recipe, tmp_path / "one")
    statuses(recipe, tmp_path / "two", n_jobs=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_failure_does_not_lose_what_was_finished_before(cohort, tmp_path):
    out = tmp_path / "out"
    recipe = read_recipe(cohort / "recipe.toml")
    statuses(recipe, out)
    before = contents(out)
    table = pd.read_csv(cohort / "sub-01.csv")
    table["a"] = 1.0
    table.to_csv(cohort / "sub-01.csv", index=False)
    assert statuses(recipe, out)["sub-01"] == "failed"
    assert contents(out) == before


@pytest.mark.parametrize("fails_between", [False, True])
def test_a_rerun_removes_what_the_run_wrote_and_nothing_else(cohort, tmp_path, fails_between):
    out, path = tmp_path / "out", cohort / "recipe.toml"
    path.write_text(path.read_text().replace("reader", 'subjects = ["01"]\nreader'))
    assert statuses(read_recipe(path), out) == {"sub-01": "done"}
    folder = out / "jobs" / "sub-01"
    (folder / "mine" / "deeper").mkdir(parents=True)
    (folder / "mine" / "deeper" / "components.png").write_text("a user's")
    (folder / "notes.png").write_text("a user's")
    (folder / "groups.png").write_text("a figure that a user drew over the run's")
    (folder / ".groups.0123abcd.part.svg").write_text("half written by a run that was killed")
    first, _ = path.read_text().split('[[fit.steps]]\nuse = "NonnegativeCP"')
    if fails_between:
        path.write_text(first.replace("window = 10", "window = 1000"))
        assert statuses(read_recipe(path), out) == {"sub-01": "failed"}
    path.write_text(first)
    assert statuses(read_recipe(path), out) == {"sub-01": "done"}
    assert {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()} == {
        "model.safetensors",
        "table.csv",
        "table.json",
        "summary.json",
        "notes.png",
        "groups.png",
        "mine/deeper/components.png",
    }
    assert "no figures of SlidingWindowConnectivity" in report(out).read_text()


@dataclass(frozen=True)
class WithEvents:
    """A source that hands on what another one reads, with events."""

    files: object
    events: pd.DataFrame | None

    def read(self, key):
        return self.files.read(key)[0], self.events


def test_other_events_make_it_another_job(cohort, tmp_path):
    recipe = read_recipe(cohort / "recipe.toml")
    files, job = open_source(recipe.data, recipe.where), plan(recipe)[0]
    events = pd.DataFrame({"onset": [1.0, 5.0], "duration": 0.5, "trial_type": ["a", "b"]})
    later = events.assign(onset=[1.0, 6.0])
    renamed = events.assign(trial_type=["a", "c"])
    before = None
    for shown, status in [
        (events, "done"),
        (events.copy(), "skipped"),
        (later, "done"),
        (renamed, "done"),
        (None, "done"),
    ]:
        task = runner._Task(recipe, WithEvents(files, shown), job, tmp_path, before)
        record = runner._run_job(task)
        assert record["status"] == status
        before = read_manifest(tmp_path / "manifest.jsonl")[job.name]


def test_two_steps_of_one_class_make_a_valid_pipeline(cohort, tmp_path):
    text = (cohort / "recipe.toml").read_text().split("[[fit.steps]]")[0]
    steps = ["[[fit.steps]]\nuse = 'PCA'\nn_components = 3", "[[fit.steps]]\nuse = 'PCA'"]
    (cohort / "recipe.toml").write_text("\n".join([text, *steps]))
    assert set(statuses(read_recipe(cohort / "recipe.toml"), tmp_path / "out").values()) == {"done"}
    model = neuroml.load(tmp_path / "out" / "jobs" / "sub-01" / "model.safetensors")
    assert [name for name, _ in model.steps] == ["pca-1", "pca-2"]
    X = pd.read_csv(cohort / "sub-01.csv").to_numpy()
    np.testing.assert_allclose(model.transform(X), model[1].transform(model[0].transform(X)))
    assert set(model.get_params(deep=False)) >= {"steps"}
    clone(model).fit(X)


def test_a_cohort_keeps_recordings_apart(cohort, tmp_path):
    (cohort / "sub-02.csv").unlink()
    text = (cohort / "recipe.toml").read_text().replace('"recording"', '"cohort"')
    (cohort / "recipe.toml").write_text(text)
    assert statuses(read_recipe(cohort / "recipe.toml"), tmp_path / "out") == {"cohort": "done"}
    model = neuroml.load(tmp_path / "out" / "jobs" / "cohort" / "model.safetensors")
    windows = model[0].windows_
    assert len(windows) == 2 * 31 and not ((windows[:, 0] < 40) & (windows[:, 1] > 40)).any()


def test_not_converging_is_in_the_record(cohort, tmp_path):
    text = (cohort / "recipe.toml").read_text() + "max_iter = 2\n"
    (cohort / "recipe.toml").write_text(text)
    records = {r["job"]: r for r in run(read_recipe(cohort / "recipe.toml"), tmp_path / "out")}
    (note,) = records["sub-01"]["warnings"]
    kind, _, said = note.partition(": ")
    page = html.unescape(report(tmp_path / "out").read_text())
    # the record keeps the kind for programs; people read what is said
    assert kind == "NotConvergedWarning" and said in page and "Warning: " not in page


class TestReport:
    def test_of_a_folder_that_is_none(self, tmp_path):
        with pytest.raises(DataError, match="not the folder of a run"):
            report(tmp_path)

    def test_holds_what_failed_and_embeds_its_figures(self, cohort, tmp_path):
        list(run(read_recipe(cohort / "recipe.toml"), tmp_path / "out"))
        page = report(tmp_path / "out").read_text()
        assert page.count("data:image/png;base64,") == 2 * 3 + 1  # and what the jobs have in common
        assert "units are constant within a window" in page
        assert "<script" not in page and "http" not in page.replace("https://pypi", "")

    def test_text_from_the_data_is_escaped(self, cohort, tmp_path):
        text = (
            (cohort / "recipe.toml")
            .read_text()
            .replace("Small cohort", "<script>alert(1)</script>")
        )
        (cohort / "recipe.toml").write_text(text)
        list(run(read_recipe(cohort / "recipe.toml"), tmp_path / "out"))
        assert "<script>" not in report(tmp_path / "out").read_text()

    def test_a_run_that_was_stopped_says_what_is_left(self, cohort, tmp_path):
        records = run(read_recipe(cohort / "recipe.toml"), tmp_path / "out")
        next(records)
        records.close()
        assert "not done yet" in report(tmp_path / "out").read_text()

    def test_same_page_for_the_same_run_but_for_its_timing(self, cohort, tmp_path):
        pages = []
        for name in ("one", "two"):
            list(run(read_recipe(cohort / "recipe.toml"), tmp_path / name))
            head, rest = report(tmp_path / name).read_text().split("<!-- timing -->")
            pages.append(head + rest.split("<!-- /timing -->")[1])
        assert pages[0] == pages[1]

    def test_provenance(self, cohort, tmp_path):
        list(run(read_recipe(cohort / "recipe.toml"), tmp_path / "out"))
        described = json.loads((tmp_path / "out" / "run.json").read_text())
        page = report(tmp_path / "out").read_text()
        assert described["recipe_sha256"] in page and described["code_sha256"] in page
        assert f"neuroml-learn {neuroml.__version__}" in page


def test_images_are_read_through_a_mask_beside_the_recipe(tmp_path):
    rng = np.random.default_rng(0)
    folder = tmp_path / "images"
    folder.mkdir()
    mask = np.zeros((4, 3, 2), dtype=np.uint8)
    mask[:2] = 1
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    image = nibabel.Nifti1Image(rng.normal(100, 5, size=(4, 3, 2, 40)).astype(np.float32), affine)
    image.header.set_zooms((3, 3, 3, 2.0))
    image.header.set_xyzt_units("mm", "sec")
    image.to_filename(folder / "sub-01_bold.nii.gz")
    nibabel.Nifti1Image(mask, affine).to_filename(folder / "mask.nii.gz")
    (folder / "recipe.toml").write_text(
        RECIPE.replace("sub-*.csv", "*_bold.nii.gz")
        .replace("tr_s = 2.0", 'mask = "mask.nii.gz"')
        .replace(
            "[[fit.steps]]", '[[fit.steps]]\nuse = "PCA"\nn_components = 3\n\n[[fit.steps]]', 1
        )
    )
    assert statuses(read_recipe(folder / "recipe.toml"), tmp_path / "out") == {"sub-01": "done"}
    table = pd.read_csv(tmp_path / "out" / "jobs" / "sub-01" / "table.csv")
    assert set(table.query("axis == 'pair'")["label"]) == {"pca0--pca1", "pca0--pca2", "pca1--pca2"}
