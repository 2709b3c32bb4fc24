"""
Cell types of a simulated retina
================================

Which kinds of cells are in a recording, what does each kind respond to, and which kind is a new
cell? Here the truth is known: a simulated retina answers a movie, a response model is trained on
the recording, and its cells are clustered by the stimuli that tell them apart.
"""

# %%
# A recording
# -----------
#
# Sixty cells of five types watch 6,000 frames; their receptive fields are scattered over the
# canvas, and responses are spike counts. A short test movie is shown ten times.

import numpy as np
from sklearn.metrics import adjusted_rand_score

from neuroml.simulate import make_retina

TYPES = ["on_sustained", "off_sustained", "on_transient", "off_transient", "suppressed"]
retina = make_retina(TYPES, n_cells=12, rf_jitter=1.0, n_frames=6000, random_state=0)
print("movie", retina.stimuli.shape, "responses", retina.responses.shape)

# %%
# A response model
# ----------------
#
# All cells share filters over space and time; each has a place and weights of its own. Blocks of
# the recording are held out to stop training. The fraction of explainable variance explained (FEVE)
# on the test movie says how much of what could be predicted is.

from neuroml.celltypes import ResponseModel

model = ResponseModel("conv2d", n_filters=8, n_features=12, kernel_size=5, max_epochs=60,
                      random_state=0)  # fmt: skip
model.fit(retina.stimuli, retina.responses)
feve = model.feve(retina.test_stimuli, retina.test_responses)
print(f"{model.n_iter_} epochs, median FEVE {np.nanmedian(feve):.2f}")
error = np.linalg.norm(model.rf_centers_ - retina.centers, axis=1)
print(f"receptive fields are found to within {np.median(error):.2f} pixels")

# %%
# Most discriminative stimuli
# ---------------------------
#
# :meth:`~neuroml.celltypes.ResponseModel.centered` puts all receptive fields at the same place;
# without it, cells would be grouped by place. Each cluster gets the clip that drives its cells and
# not the others.

from neuroml.celltypes import MostDiscriminativeStimuli, type_confusion

mds = MostDiscriminativeStimuli(5, stimulus_shape=(24, 10, 10), random_state=0)
mds.fit(model.centered())
score = adjusted_rand_score(retina.types, mds.labels_)
print(f"agreement with the true types (adjusted Rand index): {score:.2f}")
assert score > 0.9

from neuroml.plotting import plot_confusion, plot_stimuli

figure = plot_stimuli(mds.stimuli_, stimulus_axes=mds.stimulus_axes_)

# %%
names = np.array(TYPES)[retina.types]
figure = plot_confusion(mds, type_shares=type_confusion(names, mds.labels_))

# %%
# Is it better than k-means?
# --------------------------
#
# Not at clustering: a mixture on the recorded responses finds these types as well. What it lacks
# is a stimulus for every cluster. The table compares the two with the rule of the original paper,
# over three seeds.

from sklearn.cluster import KMeans

from neuroml.celltypes import FunctionalTypes, compare_clusterings


def discriminative(assign):
    return lambda seed: MostDiscriminativeStimuli(
        5, stimulus_shape=(24, 10, 10), assign=assign, random_state=seed
    ).fit(model.centered())


table = compare_clusterings(
    {
        "mixture on responses": lambda seed: FunctionalTypes(
            5, n_bootstrap=0, random_state=seed
        ).fit(retina.responses.T),
        "k-means on readout weights": lambda seed: KMeans(
            5, n_init=10, random_state=seed
        ).fit_predict(model.readout_weights_),
        "discriminative stimuli": discriminative("fingerprint"),
        "discriminative stimuli, argmax": discriminative("argmax"),
    },
    retina.types,
)
print(table.round(2))

# %%
# New cells
# ---------
#
# Cells of another retina need no model of their own: five clips, shown three times with much noise,
# tell their type.

other = make_retina(TYPES, n_cells=12, n_frames=10, random_state=1)
rng = np.random.default_rng(0)
clean = mds.respond(other.module)
repeats = clean + clean.std(axis=0) * rng.standard_normal((3, *clean.shape))
type_of_cluster = [np.bincount(retina.types[mds.labels_ == k]).argmax() for k in range(5)]
found = np.array(type_of_cluster)[mds.predict(repeats)]
print(f"{np.mean(found == other.types):.0%} of {len(found)} new cells are typed correctly")
print(f"mean probability of the chosen type {mds.predict_proba(repeats).max(axis=1).mean():.2f}")
assert np.mean(found == other.types) > 0.8

# %%
# One stimulus is not enough for every cell
# -----------------------------------------
#
# An ON-OFF cell answers to light going on as well as off; its facets are opposite.

from neuroml.celltypes import FacetedStimuli

on_off = make_retina(["on_off"], n_cells=1, n_frames=10, random_state=0)
faceted = FacetedStimuli(random_state=0).fit(on_off.module)
print(f"{faceted.n_facets_} facets, cosine {faceted.facet_similarity_[0, 1]:.2f}")
figure = plot_stimuli(
    faceted.facets_,
    stimulus_axes=faceted.stimulus_axes_,
    stimulus_names=["facet 0", "facet 1"],
)
