"""Recipes whose models explain the signal by a stimulus."""

import numpy as np
import pytest
import xarray as xr

from neuroml.batch import read_recipe
from neuroml.batch.fitting import fit_recipe
from neuroml.data import load_dataset, make_recording
from neuroml.exceptions import DataError

pytestmark = pytest.mark.filterwarnings("ignore::neuroml.exceptions.NotConvergedWarning")

RECIPE = """
title = "test"
[data]
dataset = "retina_bc_ac_chirp"
stimuli = "light"
[fit]
random_state = 3
[[fit.steps]]
use = "ResponseModel"
core = "linear"
n_lags = 3
loss = "gaussian"
nonlinearity = "identity"
max_epochs = 3
validation_fraction = 0.0
device = "cpu"
"""


def recipe(tmp_path, text=RECIPE):
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    return read_recipe(path)


def recording(seed, n_frames=80, frame_s=0.4):
    """160 samples at 5 Hz while the light changes every two samples."""
    rng = np.random.default_rng(seed)
    light = xr.DataArray(
        rng.standard_normal(n_frames),
        dims="stimulus_time",
        coords={"stimulus_time": np.arange(n_frames) * frame_s},
    )
    return make_recording(
        rng.standard_normal((160, 3)),
        modality="responses",
        rate_hz=5.0,
        key=("a", "", str(seed)),
        variables={"light": light},
    )


def test_x_is_the_frame_shown_at_each_sample_and_y_the_signal(tmp_path):
    recordings = [recording(0), recording(1)]
    model, context = fit_recipe(recipe(tmp_path), recordings, [None] * 2)
    light = np.concatenate([np.repeat(one["light"].values, 2) for one in recordings])
    signal = np.concatenate([one["signal"].values for one in recordings])
    expected = recipe(tmp_path).fit.steps[0].build(3)
    expected.fit(light, signal, sessions=np.repeat([0, 1], 160))
    np.testing.assert_array_equal(model.predict(light), expected.predict(light))
    assert context.outputs == recordings[0]["unit"].values.tolist()


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("lihgt", {}, r"no such stimulus.*\['light', 'signal'\]"),
        ("light", {"n_frames": 79}, "does not cover the recording"),
    ],
)
def test_bad_stimuli(tmp_path, name, options, words):
    text = RECIPE.replace('"light"', f'"{name}"')
    with pytest.raises(DataError, match=words):
        fit_recipe(recipe(tmp_path, text), [recording(0, **options)], [None])


def test_the_chirp_recipe_predicts_the_bipolar_cells(shared_data):
    data = load_dataset("retina_bc_ac_chirp", data_dir=shared_data)
    model, context = fit_recipe(read_recipe("retina_bc_ac_chirp"), data.recordings[:1], [None])
    assert context.outputs[0] == "BC00" and model.n_cells_ == 49
    best = min(entry["validation"] for entry in model.history_)
    assert best < 0.9
