"""Recipes with ``[evaluate]`` and ``[select]``, end to end on small data."""

import re
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import neuroml
from neuroml.batch import check, read_recipe, report, run, runner
from neuroml.evaluation import _tasks
from neuroml.evaluation._designs import RowsDesign
from neuroml.exceptions import RecipeError

SUMMARY = [
    "model", "mean", "difference", "ci_low", "ci_high", "n_subjects_above", "n_subjects", "p",
]  # fmt: skip
HEAD = """
title = "Small"
[data]
files = ["sub-*.csv"]
reader = "fmri"
options = {{ tr_s = 1.0 }}
{data}
[fit]
scope = "{scope}"
"""


def write(folder, tables, text, *, data="", scope="recording"):
    """A recipe beside one table per recording."""
    for name, table in tables.items():
        table.to_csv(folder / f"sub-{name}.csv", index=False)
    (folder / "recipe.toml").write_text(HEAD.format(data=data, scope=scope) + text)
    return folder / "recipe.toml"


@pytest.fixture
def no_figures(monkeypatch):
    """Figures take longer than the small fits; other tests look at them."""
    monkeypatch.setattr(runner, "draw", lambda *_: [])


def finished(path):
    """The folder of a run in which nothing failed."""
    out = path.parent / "out"
    records = list(run(read_recipe(path), out))
    assert [r["status"] for r in records] == ["done"] * len(records), records[0].get("error")
    assert not list(out.rglob("*partial*"))
    return out


def scores_of(out):
    return pd.read_csv(out / "scores.csv", dtype={"subject": str}, keep_default_na=False)


def choices(n_subjects=1, n=400):
    """Tables of a stimulus and choices that follow it in one state and not in the other."""
    found = {}
    for k in range(n_subjects):
        rng = np.random.default_rng(k)
        engaged = np.repeat(rng.uniform(size=n // 50) > 0.4, 50)
        engaged[:50], engaged[50:100] = True, False
        stimulus = rng.normal(size=n)
        p = 1 / (1 + np.exp(-6 * stimulus * engaged))
        choice = (rng.uniform(size=n) < p).astype(float)
        found[f"{k:02d}"] = pd.DataFrame({"stimulus": stimulus, "choice": choice})
    return found


GLM = """
[[fit.steps]]
use = "SwitchingGLM"
family = "bernoulli"
n_init = 1
"""
CHOICES = 'inputs = ["stimulus"]\ntarget = "choice"'


def counts():
    rng = np.random.default_rng(0)
    high = np.repeat(rng.uniform(size=15) > 0.5, 20)[:, None]
    return {
        "01": pd.DataFrame(rng.poisson(np.where(high, 3.0, 0.5), (300, 3)), columns=list("abc"))
    }


def traces(n_subjects=1):
    found = {}
    for k in range(n_subjects):
        rng = np.random.default_rng(k)
        course = np.repeat(rng.uniform(size=12) > 0.5, 25)[:, None]
        shared = np.where(course, rng.normal(size=(300, 1)), rng.normal(size=(300, 6)))
        values = shared + 0.5 * rng.normal(size=(300, 6))
        found[f"{k:02d}"] = pd.DataFrame(values, columns=list("abcdef"))
    return found


def brains(n_subjects=4, n=60):
    """Tables in which everybody's voxels carry the same two features of a stimulus."""
    shared = np.random.default_rng(9).normal(size=(4, 2))
    found = {}
    for k in range(n_subjects):
        rng = np.random.default_rng(k)
        y = rng.normal(size=(n, 2))
        X = y @ (shared + 0.1 * rng.normal(size=(4, 2))).T + rng.normal(size=(n, 4))
        found[f"{k:02d}"] = pd.DataFrame(np.column_stack([X, y]), columns=list("abcdyz"))
    return found


def classes():
    rng = np.random.default_rng(0)
    label = rng.integers(2, size=120)
    values = rng.normal(size=(120, 3)) + 2.0 * label[:, None]
    return {"01": pd.DataFrame(values, columns=list("abc")).assign(label=label)}


FAMILIES = {
    "choices": (
        choices(n=200), GLM + "n_states = 2\n[evaluate]\nnull = 'default'\nn_permutations = 9",
        {"data": CHOICES}, ["log_likelihood", "bits"], "one state",
    ),
    "population": (
        counts(),
        "[[fit.steps]]\nuse = 'SwitchingPopulationGLM'\nn_states = 2\nn_lags = 2\nn_init = 1\n"
        "max_iter = 20\ntol = 1e-2\n[evaluate]\ncv = 'blocks'\nscoring = 'bits'",
        {}, ["bits"], "constant rate",
    ),
    "connectome": (
        traces(1),
        "[[fit.steps]]\nuse = 'SlidingWindowConnectivity'\nwindow = 15\nnegative = 'zero'\nstride = 5\n"
        "covariance = 'empirical'\n"
        "[[fit.steps]]\nuse = 'NonnegativeCP'\nn_components = 2\nn_init = 1\n[evaluate]\ncv = 3",
        {}, ["explained_share"], "mean map",
    ),
    "decoding": (
        brains(), "[[fit.steps]]\nuse = 'CrossSubjectDecoder'\n[evaluate]\ncv = 'subjects'\n"
        "n_adapt = 10\nscoring = ['correlation', 'r2']",
        {"data": 'inputs = ["a", "b", "c", "d"]\ntarget = ["y", "z"]\nlayout = "subjects"',
         "scope": "cohort"}, ["correlation", "r2"], "mean",
    ),
    "classes": (
        classes(), "[[fit.steps]]\nuse = 'StandardScaler'\n[[fit.steps]]\n"
        "use = 'PrototypeClassifier'\n[evaluate]\nscoring = ['accuracy', 'balanced_accuracy']",
        {"data": 'inputs = ["a", "b", "c"]\ntarget = "label"'}, ["accuracy", "balanced_accuracy"],
        "most frequent class",
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::neuroml.exceptions.NotConvergedWarning")
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.usefixtures("no_figures")
def test_every_family_beside_its_baselines(family, tmp_path):
    tables, text, where, scorings, weak = FAMILIES[family]
    path = write(tmp_path, tables, text, **where)
    out = finished(path)
    scores = scores_of(out)
    assert list(scores.columns) == ["model", "job", "subject", "fold", "scoring", "value"]
    assert list(dict.fromkeys(scores["scoring"])) == scorings
    assert set(scores["subject"]) == set(tables)
    jobs = list(dict.fromkeys(scores["job"]))
    assert len(jobs) == (1 if where.get("scope") == "cohort" else len(tables))
    whole = pd.read_csv(out / "evaluation.csv")
    assert list(whole.columns) == ["job", *SUMMARY]
    model = read_recipe(path).fit.steps[-1].use
    for job in jobs:
        summary = pd.read_csv(out / "jobs" / job / "evaluation.csv").set_index("model")
        assert summary.loc[model, "mean"] > summary.loc[f"baseline: {weak}", "mean"]
        own = pd.read_csv(out / "jobs" / job / "scores.csv")
        first = own[(own["model"] == model) & (own["scoring"] == scorings[0])]
        by_subject = first.groupby("subject")["value"].mean()
        assert summary.loc[model, "mean"] == pytest.approx(by_subject.mean())
        assert summary["p"].isna().all() == (family != "choices")
    page = report(out).read_text()
    tested = summary["p"].notna().any()  # no column of p, nor number of draws, without a null
    assert ('<th class="number">p</th>' in page) == tested == ("n_permutations" in page)
    assert ("subjects above" in page) == (len(tables) > 1)  # folds of one subject are no subjects
    assert ("above it in" in page) == (len(tables) > 1)
    ids = re.findall('<section id="([a-z]+)">', page)
    several = ["cohort"] if len(jobs) > 1 else []
    assert ids == ["headline", "scores", *several, "jobs", "provenance"]
    assert page.index("the best baseline (") < page.index('id="scores"')
    assert f"{model} " in page and "the best baseline (" in page
    assert [r["status"] for r in run(read_recipe(path), out)] == ["skipped"] * len(jobs)


@pytest.mark.filterwarnings("ignore::neuroml.exceptions.NotConvergedWarning")
@pytest.mark.usefixtures("no_figures")
def test_components_are_tested_where_there_is_a_null(tmp_path):
    tables, text, *_ = FAMILIES["connectome"]
    path = write(tmp_path, tables, text + "\nnull = 'default'\nn_permutations = 2")
    out = finished(path)
    tests = pd.read_csv(out / "jobs" / "sub-00" / "components.csv")
    model = neuroml.load(out / "jobs" / "sub-00" / "model.safetensors")
    assert tests["null"].tolist() == ["shift"] * 2 + ["matched-covariance"] * 2
    assert tests["weight"][:2].tolist() == pytest.approx(model[-1].cp_.weights.tolist())
    assert (tests["p"] == 1).all()  # of four tests, each with p >= 1/3
    page = report(out).read_text()
    assert "2 surrogates are too few" in page and "p of contrast" in page


SELECT = "[select]\nn_states = [1, 2, 3]\n"


@pytest.mark.usefixtures("no_figures")
class TestSelect:
    def test_takes_the_planted_number_of_states(self, tmp_path):
        path = write(tmp_path, choices(n=1000), GLM + SELECT, data=CHOICES)
        out = finished(path)
        model = neuroml.load(out / "jobs" / "sub-00" / "model.safetensors")
        assert model.n_states == 2
        found = pd.read_csv(out / "jobs" / "sub-00" / "selection.csv")
        assert found["candidate"].tolist() == ["n_states=1", "n_states=2", "n_states=3"]
        (chosen,) = found[found["chosen"]]["candidate"]
        assert chosen == "n_states=2" and not (out / "scores.csv").exists()
        assert "Chosen on held-out data: <b>n_states=2</b>" in report(out).read_text()
        within = found["shortfall"] <= found["standard_error"]
        assert chosen == found[within]["candidate"].iloc[0]

    def test_of_an_earlier_step_by_its_name(self, tmp_path):
        rng = np.random.default_rng(0)
        label = rng.integers(2, size=150)
        values = rng.normal(size=(150, 6)) * [9.0, 7.0, 1.0, 1.0, 1.0, 1.0]
        values[:, 2] += 12.0 * label  # the third component carries the class
        tables = {"01": pd.DataFrame(values, columns=list("abcdef")).assign(label=label)}
        path = write(
            tmp_path, tables,
            "[[fit.steps]]\nuse = 'PCA'\n[[fit.steps]]\nuse = 'PrototypeClassifier'\n"
            "[select.PCA]\nn_components = [1, 2, 3]\n[evaluate]\nbaselines = 'none'",
            data='inputs = ["a", "b", "c", "d", "e", "f"]\ntarget = "label"',
        )  # fmt: skip
        out = finished(path)
        model = neuroml.load(out / "jobs" / "sub-01" / "model.safetensors")
        found = pd.read_csv(out / "jobs" / "sub-01" / "selection.csv")
        assert f"n_components={model[0].n_components}" in found[found["chosen"]]["candidate"].item()
        assert set(scores_of(out)["model"]) == {"PrototypeClassifier"}

    def test_every_fold_chooses_in_its_own_training_data(self, tmp_path, monkeypatch):
        """What is held out takes no part in the choice that is scored on it."""
        seen = []
        original = _tasks.choose

        def spied(choice, data, seed):
            seen.append(np.asarray(data.X)[:, 0])
            return original(choice, data, seed)

        monkeypatch.setattr(_tasks, "choose", spied)
        tables = choices(n=200)
        text = GLM + "max_iter = 5\n[select]\nn_states = [1, 2]\n[evaluate]\ncv = 2\n"
        path = write(tmp_path, tables, text + "baselines = 'none'", data=CHOICES)
        finished(path)
        stimulus = tables["00"]["stimulus"].to_numpy()
        assert len(seen) == 2
        assert not set(seen[0]) & set(stimulus[:100]) and not set(seen[1]) & set(stimulus[100:])


RESUMED = (
    GLM
    + """max_iter = 20
[select]
n_states = [1, 2]
[evaluate]
cv = 3
null = "circular-shift"
n_permutations = 9
"""
)


def contents(out):
    """Bytes of everything a run writes for its jobs, and of the tables of all of them."""
    files = [*(out / "jobs").rglob("*.*"), out / "scores.csv", out / "evaluation.csv"]
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted(files)}


@pytest.mark.usefixtures("no_figures")
class TestResume:
    @pytest.fixture
    def recipe(self, tmp_path):
        return write(tmp_path, choices(n=150), RESUMED, data=CHOICES)

    @pytest.fixture
    def fits(self, monkeypatch):
        """The pieces that are done, as (model, fold); a number of them can be allowed."""

        class Fits(list):
            allowed = np.inf

        done, original = Fits(), _tasks._run

        def counted(task):
            if isinstance(task.design, RowsDesign) and len(task.design.data) == 150:
                if len(done) >= done.allowed:
                    raise KeyboardInterrupt
                done.append((task.name, task.fold))
            return original(task)

        monkeypatch.setattr(_tasks, "_run", counted)
        return done

    @pytest.mark.filterwarnings("ignore::neuroml.exceptions.NotConvergedWarning")
    @pytest.mark.parametrize("after", [1, 6, 8])
    def test_after_ctrl_c_no_finished_fit_is_done_again(self, recipe, fits, after, tmp_path):
        list(run(read_recipe(recipe), tmp_path / "undisturbed"))
        every = list(fits)
        fits.clear()
        fits.allowed = after
        with pytest.raises(KeyboardInterrupt):
            list(run(read_recipe(recipe), tmp_path / "out"))
        assert len(fits) == after < len(every)
        fits.allowed = np.inf
        (record,) = run(read_recipe(recipe), tmp_path / "out")
        assert record["status"] == "done" and list(fits) == every
        assert contents(tmp_path / "out") == contents(tmp_path / "undisturbed")

    def test_other_data_use_nothing_of_what_was_kept(self, recipe, fits, tmp_path):
        fits.allowed = 7
        with pytest.raises(KeyboardInterrupt):
            list(run(read_recipe(recipe), tmp_path / "out"))
        table = pd.read_csv(recipe.parent / "sub-00.csv")
        table.loc[0, "stimulus"] += 1e-9
        table.to_csv(recipe.parent / "sub-00.csv", index=False)
        fits.clear()
        fits.allowed = np.inf
        list(run(read_recipe(recipe), tmp_path / "out"))
        assert fits[:2] == [("n_states=1", 0), ("n_states=2", 0)]
        again = len(fits)
        fits.clear()
        list(run(read_recipe(recipe), tmp_path / "out", force=True))
        assert len(fits) == again

    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore::neuroml.exceptions.NotConvergedWarning")
    def test_after_a_kill_no_finished_fit_is_done_again(self, recipe, fits, tmp_path):
        list(run(read_recipe(recipe), tmp_path / "undisturbed"))
        every = list(fits)
        fits.clear()
        kept = tmp_path / "out" / "jobs" / "sub-00" / "evaluation.partial.jsonl"
        # the process stops itself in the middle of the fifth fit, as a cluster would
        code = (
            "import os, signal; from neuroml.evaluation import _tasks as d; run = d._run; n = []\n"
            "def _run(task):\n"
            "    if len(task.design.data) == 150: n.append(0)\n"
            "    if len(n) == 5: os.kill(os.getpid(), signal.SIGKILL)\n"
            "    return run(task)\n"
            "d._run = _run\n"
            "from neuroml.batch import runner; runner.draw = lambda *_: []\n"
            "from neuroml.batch import read_recipe, run as work\n"
            f"list(work(read_recipe({str(recipe)!r}), {str(tmp_path / 'out')!r}))"
        )
        process = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
        assert process.returncode == -signal.SIGKILL, process.stderr
        assert len(kept.read_text().splitlines()) == 4
        with kept.open("a") as handle:
            handle.write('{"id": "cut sho')
        list(run(read_recipe(recipe), tmp_path / "out"))
        assert list(fits) == every[4:]
        assert contents(tmp_path / "out") == contents(tmp_path / "undisturbed")


@pytest.mark.usefixtures("no_figures")
def test_a_recipe_without_evaluate_leaves_no_scores_of_an_earlier_one(tmp_path):
    text = GLM + "n_states = 1\n[evaluate]\ncv = 2\nbaselines = 'none'\n"
    path = write(tmp_path, choices(n=100), text, data=CHOICES)
    out = finished(path)
    (tmp_path / "out" / "evaluation.csv").write_text("a,user\n1,2\n")
    path.write_text(path.read_text().split("[evaluate]")[0])
    finished(path)
    assert not list(out.rglob("scores.csv"))
    assert (out / "evaluation.csv").read_text() == "a,user\n1,2\n"


@pytest.mark.usefixtures("no_figures")
def test_baselines_of_the_users_own(tmp_path):
    text = "[[fit.steps]]\nuse = 'RidgeDecoder'\n[evaluate]\nscoring = 'r2'\n"
    text += "baselines = { weak = { use = 'RidgeDecoder', alphas = [1e6] } }"
    where = {"data": 'inputs = ["a", "b", "c", "d"]\ntarget = ["y", "z"]'}
    out = finished(write(tmp_path, brains(1), text, **where))
    means = pd.read_csv(out / "evaluation.csv").set_index("model")["mean"]
    assert list(means.index) == ["RidgeDecoder", "baseline: weak"]
    # so large a penalty leaves the mean of the training data, which explains nothing
    assert means["RidgeDecoder"] > 0.1 > means["baseline: weak"]


@pytest.mark.usefixtures("no_figures")
def test_the_page_compares_over_all_subjects(tmp_path):
    text = "[[fit.steps]]\nuse = 'RidgeDecoder'\n[evaluate]\nscoring = 'r2'\n"
    where = {"data": 'inputs = ["a", "b", "c", "d"]\ntarget = ["y", "z"]'}
    out = finished(write(tmp_path, brains(6), text, **where))
    page = report(out).read_text()
    assert "above it in 6 of 6 subjects" in page and "Each job" in page
    scores = scores_of(out).query("scoring == 'r2'")
    own = scores.groupby(["model", "subject"])["value"].mean().unstack()
    assert f"{own.loc['RidgeDecoder'].mean():.3g}" in page


BASE = GLM + "n_states = 2\n"
DECODER = "[[fit.steps]]\nuse = 'CrossSubjectDecoder'\n"
WINDOWS = "[[fit.steps]]\nuse = 'SlidingWindowConnectivity'\nwindow = 15\n"
CP = "[[fit.steps]]\nuse = 'NonnegativeCP'\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            BASE + "[evaluate]\nscorng = 'r2'",
            r"evaluate.scorng: unknown key, did you mean 'scoring'",
        ),
        (BASE + "[evaluat]", r"evaluat: unknown key, did you mean 'evaluate'"),
        (BASE + "[evaluate]\nscoring = 'acuracy'", "no score 'acuracy', did you mean 'accuracy'"),
        (BASE + "[evaluate]\nscoring = []", "scoring: .* is not understood"),
        (BASE + "[evaluate]\nnull = 'permutations'", "did you mean 'permutation'"),
        (BASE + "[evaluate]\nnull = 'matched-covariance'", "for models of X alone"),
        (BASE + "[evaluate]\ncv = 'session'", "says no folds, did you mean 'sessions'"),
        (BASE + "[evaluate]\ncv = 1", "1 says no folds; give a number of folds from 2 on"),
        (BASE + "[evaluate]\ncv = true", "True says no folds"),
        (BASE + "[evaluate]\ncv = 'subjects'", "scope = 'recording' has one subject in each job"),
        (BASE + "[evaluate]\nnull = 'default'\nn_permutations = 0", "n_permutations: .*greater"),
        (BASE + "[evaluate]\nn_permutations = 9", "nothing to permute without a null"),
        (BASE + "[evaluate]\nn_adapt = 9", "SwitchingGLM does not adapt to new subjects"),
        (BASE + "[evaluate]\nbaselines = 'non'", "did you mean 'none'"),
        (
            BASE + "[evaluate]\nbaselines = { x = { use = 'SwitchingGLM', n_state = 1 } }",
            "evaluate.baselines.x: SwitchingGLM has no parameter 'n_state', did you mean 'n_states'",
        ),
        (BASE + "[evaluate]\nbaselines = { x = 3 }", "a baseline is a step"),
        (
            WINDOWS + "[evaluate]",
            "SlidingWindowConnectivity has no score, so it cannot be evaluated",
        ),
        (WINDOWS + CP + "[evaluate]\nscoring = 'r2'", "'r2' is no score of NonnegativeCP; use "),
        (WINDOWS + BASE + "[evaluate]", "SlidingWindowConnectivity makes windows of the samples"),
        ("[[fit.steps]]\nuse = 'PCA'\n[evaluate]\nscoring = 'r2'", "PCA predicts nothing"),
        (GLM + "[select]\nn_state = [1, 2]", "no parameter 'n_state', did you mean 'n_states'"),
        (BASE + "[select]\nn_states = [1, 2]", "the step SwitchingGLM has n_states = 2 already"),
        (GLM + "[select]\nn_states = [1]", "give a list of two or more different values"),
        (GLM + "[select]\nn_states = [1, 1]", "give a list of two or more different values"),
        (GLM + "[select]\nn_states = 2", "give a list of two or more different values"),
        (GLM + "[select]\nn_states = [0, 1]", "n_states.*must be an int in the range"),
        (GLM + "[select]\nn_states = [1, 2]\nridge = [1.0, 0.1]", "name one parameter, not 2"),
        (GLM + "[select]", "name one parameter, not 0"),
        (GLM + "[select.SwitchingGlm]\nn_states = [1, 2]", "did you mean 'SwitchingGLM'"),
        (
            "[[fit.steps]]\nuse = 'PCA'\n" * 2 + "[select.PCA]\nn_components = [1, 2]",
            r"no step 'PCA', did you mean 'PCA-\d'\? \(steps: PCA-1, PCA-2\)",
        ),
        (WINDOWS + "[select]\nstride = [1, 2]", "select: SlidingWindowConnectivity has no score"),
    ],
)
def test_faults_say_what_to_write(text, message, tmp_path):
    path = write(tmp_path, choices(n=100), text, data=CHOICES)
    with pytest.raises(RecipeError, match=message):
        check(path)


def test_all_faults_are_told_at_once(tmp_path):
    text = BASE.replace("n_init", "n_int")
    text += "[evaluate]\ncv = 'x'\nnull = 'y'\nscoring = 'z'\n[select]\nn_stats = [1, 2]"
    with pytest.raises(RecipeError) as caught:
        check(write(tmp_path, choices(n=100), text, data=CHOICES))
    places = ["fit.steps.0", "evaluate.cv", "evaluate.null", "evaluate.scoring", "select: "]
    assert all(place in str(caught.value) for place in places)


def test_a_score_that_needs_a_y_is_refused_without_one(tmp_path):
    text = "[[fit.steps]]\nuse = 'RidgeDecoder'\n[evaluate]\nscoring = 'correlation'"
    with pytest.raises(RecipeError, match="compares predictions with a y: name a target"):
        check(write(tmp_path, counts(), text))


def test_states_are_no_predictions_that_could_be_scored(tmp_path):
    text = "[[fit.steps]]\nuse = 'SwitchingPopulationGLM'\n[evaluate]\nscoring = 'correlation'"
    with pytest.raises(RecipeError, match="predict gives states, which 'correlation' would"):
        check(write(tmp_path, counts(), text))
