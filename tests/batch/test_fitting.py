"""Recipes whose data are a dict of subjects."""

import numpy as np
import pandas as pd
import pytest

from neuroml.batch import read_recipe
from neuroml.batch.fitting import fit_recipe
from neuroml.data import make_recording
from neuroml.decoding import RidgeDecoder
from neuroml.exceptions import RecipeError

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


def test_only_one_step(tmp_path):
    steps = RECIPE.replace("[[fit.steps]]", '[[fit.steps]]\nuse = "StandardScaler"\n[[fit.steps]]')
    with pytest.raises(RecipeError, match="exactly one step"):
        recipe(tmp_path, steps)
