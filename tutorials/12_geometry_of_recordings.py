"""
Geometry of recorded populations
================================

What can be read out of a population, and does it generalize? Distances, decoding, CCGP and
parallelism of conditions say so, each beside what chance gives. First a population whose geometry
we know, then one slice of visual cortex and two populations of mice.
"""

# %%
# A population whose geometry is known
# ------------------------------------
#
# Eight conditions are the corners of a cube: three variables, each along a direction of its own in
# the space of sixty units. The dichotomy of the first variable should generalize from some values
# of the other two to the rest. In a second population the same conditions lie at random places.

import os
from pathlib import Path

import numpy as np
import pandas as pd

from neuroml.representation import PopulationGeometry

rng = np.random.default_rng(0)
y = np.tile(np.arange(8), 12)
cube = np.array([[i >> 2 & 1, i >> 1 & 1, i & 1] for i in range(8)], dtype=float)
codes = {"cube": 1.2 * cube @ rng.normal(size=(3, 60)), "random": rng.normal(size=(8, 60))}
first_variable = [0, 0, 0, 0, 1, 1, 1, 1]

models = {}
for name, means in codes.items():
    X = means[y] + 1.5 * rng.normal(size=(len(y), 60))
    model = PopulationGeometry(n_permutations=99, n_bootstrap=50, random_state=0)
    models[name] = model.fit(X, y, labels=first_variable)
    print(name, model.to_frame().round(3).to_string(index=False), sep="\n")

# %%
# Both can be decoded, so decoding alone says nothing of structure. Only the cube generalizes and is
# parallel beyond its rotations, which keep how far conditions lie apart. A participation ratio has
# no null; noise of trials is taken out of it, so the cube has about three dimensions.

cube_found, random_found = (m.to_frame().set_index("quantity") for m in models.values())
assert cube_found.loc[["decoding", "ccgp", "parallelism"], "p"].max() <= 0.02
assert random_found.loc["decoding", "p"] <= 0.02
assert random_found.loc["ccgp", "value"] < cube_found.loc["ccgp", "value"] - 0.2

# %%
# Figures
# -------

from neuroml.plotting import plot_geometry

figure = plot_geometry(models["cube"])

# %%
# Real recordings
# ---------------
#
# The sets are not bundled: ``neuroml data get haxby_slices`` fetches one, and without them this
# tutorial ends here. Recipes do the same from the command line, ``recipe_geometry.toml`` in the
# folders of both sets.

from neuroml.data import clean, epochs, load_dataset
from neuroml.exceptions import DataError

folder = Path(os.environ.get("NEUROML_SHARED_DATA", "../../shared/data"))


def load(name):
    """The data set, or None where it is not on this machine."""
    try:
        return load_dataset(name, data_dir=folder if folder.is_dir() else None)
    except DataError as error:
        print(f"{name} is not here: {error}"[:100])
        return None


def averages(model):
    """Means over dichotomies, each beside its null."""
    table = model.to_frame()
    return table[~table["quantity"].str.contains(r"\[")].round(3).to_string(index=False)


# %%
# Eight kinds of objects
# ----------------------
#
# A trial is the mean of a block from 5 s on, twelve per category and one in each run; runs are the
# independent parts. All 35 balanced dichotomies are decoded. The mean of their CCGP is one half for
# any code, since exchanging the two categories that are held out turns right into wrong: only a
# dichotomy that was named before can generalize. Living things against all others is one.

haxby = load("haxby_slices")
if haxby is not None:
    recording = clean(haxby.recordings[0], detrend=True, confounds=True)
    blocks = epochs(recording, haxby.events[0], 5.0, 22.5)
    run = recording["segment"].sel(time=blocks["onset"].values, method="nearest").values
    objects = PopulationGeometry(n_permutations=39, n_bootstrap=10, random_state=0)
    objects.fit(blocks.mean("time").values, blocks["trial_type"].values, sessions=run)
    print(averages(objects))
    near = pd.DataFrame(objects.dissimilarity_, objects.conditions_, objects.conditions_)
    print(near.round(1).to_string())
    living = np.isin(objects.conditions_, ["cat", "face"])
    named = PopulationGeometry(n_permutations=39, n_bootstrap=10, random_state=0)
    named.fit(blocks.mean("time").values, blocks["trial_type"].values, labels=living, sessions=run)
    print("living or not", averages(named), sep="\n")
    objects_figure = plot_geometry(objects)

# %%
# Orientations and places
# -----------------------
#
# Gratings: a trial is the mean of a presentation, fifteen of each orientation. Places: a trial is
# the first 0.4 s of a visit to one of four bins of the track. Cells whose events are the same in
# all trials carry nothing and stay.

patmap = load("patmap_ensembles")
if patmap is not None:
    gratings = patmap.recordings[0].groupby("segment").mean()
    orientation = gratings["covariates"].values[:, 0].astype(int)
    seen = PopulationGeometry(n_permutations=39, n_bootstrap=10, random_state=0)
    print(averages(seen.fit(gratings["signal"].values, orientation)))

    visits = patmap.events[2]
    visits = visits[visits["trial_type"].isin(["bin02", "bin04", "bin06", "bin08"])]
    steps = epochs(patmap.recordings[2], visits, 0.0, 0.3)
    places = PopulationGeometry(n_permutations=39, n_bootstrap=10, random_state=0)
    print(averages(places.fit(steps.mean("time").values, steps["trial_type"].values)))

# %%
# What cannot be concluded
# ------------------------
#
# - Each set is one person or one animal. Intervals are over units, so they say how the numbers
#   depend on which voxels or cells were recorded, not what the next subject would show.
# - With 39 permutations p is at least 1/40; a smaller one needs more of them.
# - Four conditions have three balanced dichotomies, and CCGP tests each on two pairs alone: a value
#   of 0.6 or 0.4 is then no structure. Read p, not the distance from 0.5.
# - The mouse passes the bins in one order, so place and time within a lap are one variable.
# - One slice shows what is decodable in it, not where in the brain categories are told apart.
#
# Two other sets have no geometry here. The singing finch (``songbird_hvc``) has no labels of
# syllables: conditions would be our own cut of the spectrogram. The story (``alice_fmri``) was
# heard once, its words overlap within a volume, and nearly all conditions would be one trial.
