"""Recipes from epochs to a geometry, and why two sets have none."""

import numpy as np
import pytest

from neuroml.batch import read_recipe
from neuroml.batch.fitting import fit_recipe, prepare
from neuroml.data import open_dataset, read_card
from neuroml.exceptions import DataError


def quick_recipe(dataset, tmp_path):
    text = (read_card(dataset).where / "recipe_geometry.toml").read_text(encoding="utf-8")
    for name, slow, fast in (("n_permutations", 99, 19), ("n_bootstrap", 50, 2)):
        assert f"{name} = {slow}" in text
        text = text.replace(f"{name} = {slow}", f"{name} = {fast}")
    for given in ("max_dichotomies = 20", "max_dichotomies = 35"):
        text = text.replace(given, "max_dichotomies = 3")
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return read_recipe(path)


@pytest.mark.parametrize(
    ("dataset", "key", "n_trials", "n_conditions"),
    [
        ("haxby_slices", ("1", "", ""), 96, 8),
        # 332 visits, of which 9 end with their lap within 0.4 s
        ("patmap_ensembles", ("spatial_reward", "", ""), 323, 10),
    ],
)
@pytest.mark.filterwarnings("ignore:3 of .* balanced dichotomies:UserWarning")
def test_epochs_become_a_geometry(shared_data, tmp_path, dataset, key, n_trials, n_conditions):
    recipe = quick_recipe(dataset, tmp_path)
    recording, events = open_dataset(dataset, data_dir=shared_data).read(key)
    rows = prepare(recipe, [recording], [events])
    assert rows[0].sizes["time"] == n_trials
    model, _ = fit_recipe(recipe, rows, [events])
    found = model.to_frame().set_index("quantity")
    assert len(model.conditions_) == n_conditions
    assert found.loc[["distance", "decoding"], "p"].tolist() == [0.05, 0.05]
    assert np.allclose(model.dissimilarity_, model.dissimilarity_.T)


EVENTS = """title = "t"
[data]
dataset = "{}"
[data.events]
label = "{}"
epoch_s = [4.0, 6.0]
[fit]
scope = "recording"
[[fit.steps]]
use = "PopulationGeometry"
parts = "trials"
"""


@pytest.mark.parametrize(
    ("dataset", "label", "message"),
    [
        ("songbird_hvc", "trial_type", "no table of events"),  # syllables have no labels
        ("alice_fmri", "trial_type", "only one condition"),  # all events are words
        ("alice_fmri", "word", "one sample have no second part"),  # most words come once
    ],
)
def test_sets_without_conditions_are_refused(shared_data, tmp_path, dataset, label, message):
    path = tmp_path / "recipe.toml"
    path.write_text(EVENTS.format(dataset, label), encoding="utf-8")
    source = open_dataset(dataset, data_dir=shared_data)
    recording, events = source.read(source.keys()[0])
    recipe = read_recipe(path)
    with pytest.raises(DataError, match=message):
        fit_recipe(recipe, prepare(recipe, [recording], [events]), [events])
