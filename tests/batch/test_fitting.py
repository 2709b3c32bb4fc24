"""Recipes whose data are a dict of subjects."""

import numpy as np
import pandas as pd
import pytest

from neuroml.batch import read_recipe
from neuroml.batch.fitting import fit_recipe
from neuroml.data import make_recording
from neuroml.decoding import RidgeDecoder
from neuroml.exceptions import DataError, RecipeError
from neuroml.report import draw, tabulate

RECIPE = """
title = "test"
[data]
dataset = "nitime_fmri"
layout = "subjects"
target = "loudness"
[fit]
scope = "cohort"
[[fit.steps]]
use = "RidgeDecoder"
"""


def recipe(tmp_path, text=RECIPE):
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    return read_recipe(path)


def heard(subject, run, n_units, seed):
    rng = np.random.default_rng(seed)
    return make_recording(
        rng.standard_normal((30, n_units)),
        modality="fmri",
        key=(subject, "", run),
        covariates=pd.DataFrame({"loudness": rng.standard_normal(30)}),
    )


def test_subjects_keep_their_own_units_and_runs_come_together(tmp_path):
    recordings = [heard("b", "1", 4, 0), heard("a", "1", 3, 1), heard("b", "2", 4, 2)]
    model, context = fit_recipe(recipe(tmp_path), recordings, [None] * 3)
    assert model.n_voxels_ == {"a": 3, "b": 4}
    X = {"a": recordings[1], "b": (recordings[0], recordings[2])}
    y = {"a": X["a"]["covariates"].values[:, 0]}
    y["b"] = np.concatenate([r["covariates"].values[:, 0] for r in X["b"]])
    X = {"a": X["a"]["signal"].values, "b": np.vstack([r["signal"].values for r in X["b"]])}
    expected = RidgeDecoder().fit(X, y)
    for subject in X:
        np.testing.assert_allclose(model.coef_[subject], expected.coef_[subject])
    assert [r.attrs["subject"] for r in context.recordings] == ["a", "b", "b"]
    assert context.sessions.tolist() == [0] * 30 + [1] * 30 + [2] * 30


def test_targets_of_subjects_are_not_joined_by_their_place(tmp_path):
    recordings = [
        make_recording(
            np.random.default_rng(0).standard_normal((30, 2)),
            modality="fmri",
            units=units,
            key=(subject, "", ""),
        )
        for subject, units in (("a", ["p", "q"]), ("b", ["q", "p"]))
    ]
    to_units = recipe(tmp_path, RECIPE.replace('"loudness"', '"signal"'))
    with pytest.raises(DataError, match="subjects differ in their targets.*'p', 'q'.*'q', 'p'"):
        fit_recipe(to_units, recordings, [None] * 2)


def test_only_one_step(tmp_path):
    steps = RECIPE.replace("[[fit.steps]]", '[[fit.steps]]\nuse = "StandardScaler"\n[[fit.steps]]')
    with pytest.raises(RecipeError, match="exactly one step"):
        recipe(tmp_path, steps)


CHOICES = """
title = "test"
[data]
files = ["absent.csv"]
reader = "fmri"
inputs = ["contrast", "side"]
target = "choice"
[fit]
[[fit.steps]]
use = "StandardScaler"
[[fit.steps]]
use = "SwitchingGLM"
n_states = 2
family = "bernoulli"
n_init = 2
"""


def test_figures_of_scaled_inputs_show_what_the_model_was_fitted_to(tmp_path):
    """Columns of a user's table as inputs, far from standard units."""
    rng = np.random.default_rng(0)
    inputs = rng.normal([50.0, -3.0], [20.0, 0.1], size=(600, 2))
    follows = np.where(np.arange(600) // 100 % 2, 1, -1)  # the contrast, or its opposite
    evidence = 2.0 * follows * (inputs[:, 0] - 50) / 20
    choice = (rng.uniform(size=600) < 1 / (1 + np.exp(-evidence))).astype(float)
    made = make_recording(
        np.column_stack([inputs, choice]), units=["contrast", "side", "choice"], modality="fmri"
    )
    model, context = fit_recipe(recipe(tmp_path, CHOICES), [made], [None])
    scaled = (inputs - inputs.mean(axis=0)) / inputs.std(axis=0)
    posterior = model[-1].predict_proba(scaled, choice)
    panels = {panel.name: panel for panel in draw(model, context)}
    assert list(panels) == ["states", "weights", "dwell_times", "psychometric", "convergence"]
    lower = panels["states"].figure.axes[1]
    # the band of state 0 lies on the axis, so its upper edge goes through all probabilities
    edges = lower.collections[0].get_paths()[0].vertices[:, 1]
    assert np.abs(posterior[:, [0]] - edges).min(axis=1).max() < 1e-9
    errors = model[-1].standard_errors(scaled, choice)
    bars = panels["weights"].figure.axes[0].collections[0].get_segments()
    lengths = [segment[1, 1] - segment[0, 1] for segment in bars]
    expected = 2 * 1.96 * np.append(errors.weights[0, 0], errors.intercept[0, 0])
    np.testing.assert_allclose(lengths, expected, rtol=1e-6)
    assert panels["psychometric"].figure.axes[0].get_xlabel() == "contrast after StandardScaler"
    labels = tabulate(model, context).query("quantity == 'weight'")
    assert set(labels["label"]) == {"contrast", "side"}
    assert set(labels["axis"]) == {"input of choice"}


def test_gaps_of_one_subject_do_not_make_it_several(tmp_path):
    """Sessions are borders; who was recorded is the subject."""
    text = CHOICES[: CHOICES.index("inputs")] + '[fit]\n[[fit.steps]]\nuse = "AffinityTensor"'
    made = make_recording(
        np.random.default_rng(0).normal(size=(80, 3)),
        units=list("abc"),
        modality="fmri",
        key=("a", "", ""),
        segment=np.repeat([0, 1], 40),
        rate_hz=1.0,
    )
    both = [made, made.assign_attrs(subject="b")]
    steps = f'{text}\n[[fit.steps]]\nuse = "NonnegativeCP"\nn_components = 1\nn_init = 1'
    model, context = fit_recipe(recipe(tmp_path, steps), both, [None, None])
    assert context.X.shape == (3, 2, 80)
    rows = tabulate(model, context).query("axis == 'subject'")
    assert rows["label"].tolist() == ["a", "b"]
