"""Every registered estimator at the end of a recipe: checked, fitted, reported, resumed."""

import html
import importlib
import inspect
import json
import re

import numpy as np
import pandas as pd
import pytest
from registry import CONTRACT, TWO_DIMENSIONAL, Entry
from sklearn.base import BaseEstimator, is_classifier
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

import neuroml
from neuroml.batch import check, read_recipe, report, run
from neuroml.batch.fitting import fit_recipe
from neuroml.batch.sources import open_source
from neuroml.batch.vocabulary import estimator_classes
from neuroml.connectome import CoupledFactorization, DynamicFCMaskedAutoencoder
from neuroml.exceptions import RecipeError
from neuroml.report import Context, draw, tabulate
from neuroml.report.meanings import fact_meaning, quantity_meaning
from neuroml.report.presenters import PRESENTERS, presenter, without_figures
from neuroml.switching import SwitchingGLM

ENTRIES = [*TWO_DIMENSIONAL, *CONTRACT, Entry(PCA(2)), Entry(StandardScaler())]
SUBJECTS = ("01", "02")


def fit_parameters(estimator):
    return list(inspect.signature(type(estimator).fit).parameters.values())[1:]


def from_recordings(estimator):
    return fit_parameters(estimator)[0].name in ("X", "spikes", "stimuli")


def takes_any_matrix(estimator):
    not_negative = estimator.__sklearn_tags__().input_tags.positive_only
    return fit_parameters(estimator)[0].name == "X" and not not_negative


def name_of(entry):
    first = next(iter(entry.estimator.get_params(deep=False).values()), "")
    return f"{type(entry.estimator).__name__}-{first}"


def recipe_text(estimator, *before):
    """A recipe over both subjects that ends in an estimator with its parameters."""
    kind = type(estimator)
    cohorts = kind.__module__.startswith("neuroml.decoding") and not is_classifier(estimator)
    cohorts = cohorts or kind is CoupledFactorization
    needs_y = fit_parameters(estimator)[1].default is inspect.Parameter.empty
    inputs, target = (["a", "b"], ["c", "d"]) if cohorts else (list("abcd"), "choice")
    if kind is DynamicFCMaskedAutoencoder:
        inputs = list("abc")  # the pairs of three regions
    lines = [
        'title = "One estimator"',
        "[data]",
        'files = ["sub-*.csv"]',
        'reader = "fmri"',
        "options = { tr_s = 2.0 }",
        f"inputs = {json.dumps(inputs)}",
        f"target = {json.dumps(target)}" if needs_y else "",
        'layout = "subjects"' if cohorts and not before else "",
        "[fit]",
        'scope = "cohort"',
    ]
    for step in (*before, estimator):
        lines += ["[[fit.steps]]", f'use = "{type(step).__name__}"']
        lines += [f"{name} = {json.dumps(value)}" for name, value in given(step).items()]
    return "\n".join(lines)


def given(estimator):
    """The parameters that are not at their defaults."""
    defaults = inspect.signature(type(estimator)).parameters
    return {
        name: value
        for name, value in estimator.get_params(deep=False).items()
        if value != defaults[name].default
    }


def write(folder, text):
    """The recipe beside two tables of counts above zero with a column of choices."""
    for subject in SUBJECTS:
        rng = np.random.default_rng(int(subject))
        table = pd.DataFrame(1.0 + rng.poisson(2.0, (40, 4)), columns=list("abcd"))
        table["choice"] = rng.permutation(np.arange(40) % 2)
        table.to_csv(folder / f"sub-{subject}.csv", index=False)
    (folder / "recipe.toml").write_text(text)
    return folder / "recipe.toml"


@pytest.fixture(
    scope="module", params=[e for e in ENTRIES if from_recordings(e.estimator)], ids=name_of
)
def finished(request, tmp_path_factory):
    """A recipe, the folder of its run, and the records of its jobs."""
    folder = tmp_path_factory.mktemp("recipe")
    path = write(folder, recipe_text(request.param.estimator))
    recipe, jobs = check(path)
    records = list(run(recipe, folder / "out"))
    assert [record["job"] for record in records] == [job.name for job in jobs] == ["cohort"]
    return request.param.estimator, recipe, folder / "out", records


def test_what_passes_the_check_is_fitted_and_reported(finished):
    estimator, _, out, (record,) = finished
    assert record["status"] == "done", record.get("error")
    folder = out / "jobs" / "cohort"
    summary = json.loads((folder / "summary.json").read_text())
    page = html.unescape(report(out).read_text())
    assert summary["figures"] or summary["not_drawn"]
    assert all(note in page for note in summary["not_drawn"])
    assert page.count("data:image/png;base64,") == len(summary["figures"])
    assert all((folder / f"{name}.svg").is_file() for name, _ in summary["figures"])
    table = pd.read_csv(folder / "table.csv")
    assert list(table.columns) == ["quantity", "component", "axis", "label", "value"]
    assert (folder / "parameters.csv").is_file() == hasattr(estimator, "to_frame")
    assert (folder / "posteriors.csv").is_file() == hasattr(estimator, "filter_proba")
    for path in folder.glob("*.csv"):
        about = json.loads(path.with_suffix(".json").read_text())
        assert list(about["Columns"]) == list(pd.read_csv(path, nrows=1))
    assert type(neuroml.load(folder / "model.safetensors")) is type(estimator)


def test_every_number_that_is_reported_is_explained(finished):
    """In a line each, in words that do not send the reader elsewhere."""
    _, _, out, _ = finished
    folder = out / "jobs" / "cohort"
    facts = json.loads((folder / "summary.json").read_text())["facts"]
    about = json.loads((folder / "table.json").read_text())["Columns"]["quantity"]["Levels"]
    assert set(about) == set(pd.read_csv(folder / "table.csv")["quantity"])
    page = html.unescape(report(out).read_text())
    for name, meaning in {**{fact: fact_meaning(fact) for fact in facts}, **about}.items():
        assert meaning.endswith(".") and len(meaning) < 260, name
        assert "its documentation explains" not in meaning, name
    assert all(f"<dt><b>{name}</b></dt><dd>{fact_meaning(name)}</dd>" in page for name in facts)


@pytest.mark.parametrize("entry", [*TWO_DIMENSIONAL, *CONTRACT], ids=name_of)
def test_every_fact_that_an_estimator_documents_is_explained(entry):
    """Also where no recipe can fit it, or only other settings have it."""
    text = inspect.getdoc(type(entry.estimator))
    names = re.findall(r"^([a-z_]+)_ : (?:int|float|bool|str)$", text, flags=re.MULTILINE)
    for name in set(names) - {"n_features_in"}:
        assert "its documentation explains" not in fact_meaning(name), name


@pytest.mark.parametrize(
    "entry",
    [e for e in ENTRIES if not from_recordings(e.estimator) and presenter(type(e.estimator))],
    ids=name_of,
)
def test_numbers_of_models_that_no_recipe_fits_are_explained_too(entry):
    model = entry.estimator.fit(**entry.fit_arguments())
    units = list(range(getattr(model, "n_features_in_", 0)))
    table = tabulate(model, Context([], [], units, np.zeros(0, dtype=int)))
    for name in table["quantity"].unique():
        assert "its documentation explains" not in quantity_meaning(name), name


def test_a_second_call_does_nothing_and_leaves_what_is_not_the_runs(finished):
    _, recipe, out, _ = finished
    own = out / "jobs" / "cohort" / "notes" / "mine.txt"
    own.parent.mkdir()
    own.write_text("keep")
    assert [record["status"] for record in run(recipe, out)] == ["skipped"]
    (out / "jobs" / "cohort" / "table.csv").write_text("damaged")
    assert [record["status"] for record in run(recipe, out)] == ["done"]
    assert own.read_text() == "keep"


@pytest.mark.parametrize(
    "entry", [e for e in ENTRIES if not from_recordings(e.estimator)], ids=name_of
)
def test_what_recordings_cannot_be_fitted_to_is_refused_beforehand(entry, tmp_path):
    with pytest.raises(RecipeError, match=f"{type(entry.estimator).__name__} is fitted to a"):
        check(write(tmp_path, recipe_text(entry.estimator)))


@pytest.mark.filterwarnings("ignore::neuroml.exceptions.NotConvergedWarning")
@pytest.mark.parametrize(
    "entry",
    [e for e in TWO_DIMENSIONAL if takes_any_matrix(e.estimator)],
    ids=name_of,
)
def test_what_the_last_step_was_fitted_to_travels_with_the_model(entry, tmp_path):
    """Scaled arrays, with their names, sessions and targets, not what the recordings hold."""
    recipe = read_recipe(write(tmp_path, recipe_text(entry.estimator, StandardScaler())))
    source = open_source(recipe.data, recipe.where)
    recordings = [source.read(key)[0] for key in source.keys()]
    model, context = fit_recipe(recipe, recordings, [None, None])
    raw = np.concatenate(
        [recording.signal.sel(unit=recipe.data.inputs).values for recording in recordings]
    )
    np.testing.assert_array_equal(np.asarray(context.X), model[:-1].transform(raw))
    assert list(context.through) == ["StandardScaler"]
    assert context.sessions.tolist() == [0] * 40 + [1] * 40
    assert context.groups.tolist() == ["01"] * 40 + ["02"] * 40
    if recipe.data.target is not None:
        names = [recipe.data.target] if isinstance(recipe.data.target, str) else recipe.data.target
        assert list(context.outputs) == names
        y = np.concatenate([r.signal.sel(unit=names).values for r in recordings])
        np.testing.assert_array_equal(np.reshape(context.y, y.shape), y)
    draw(model, context)


def test_the_table_of_reports_names_estimators_and_functions_that_exist():
    classes = estimator_classes()
    assert {name.rpartition(".")[2] for name in PRESENTERS} <= set(classes)
    for name, kind in classes.items():
        known = presenter(kind)
        assert known is PRESENTERS.get(f"{'.'.join(kind.__module__.split('.')[:2])}.{name}")
        assert (known is None) == (without_figures(kind) is not None)
    for known in PRESENTERS.values():
        for place in (f"tables.{known.tables}", f"panels.{known.panels}"):
            module, _, function = place.partition(":")
            assert callable(getattr(importlib.import_module(f"neuroml.report.{module}"), function))


def test_a_subclass_is_reported_as_what_it_derives_from_and_a_namesake_is_not():
    derived = type("Mine", (SwitchingGLM,), {})
    assert presenter(derived) is presenter(SwitchingGLM) and without_figures(derived) is None
    namesake = type("SwitchingGLM", (BaseEstimator,), {})
    assert presenter(namesake) is None and "no figures of SwitchingGLM" in without_figures(namesake)
