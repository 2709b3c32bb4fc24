"""
Many subjects, one model
========================

Brains differ in their voxels. Where people saw or heard the same things, their responses can be
rotated into one space; where they did not, what they saw can still be described in one space, and
decoders can share that. This goes through both, on simulated brains, and asks each time whether the
common model says anything about data that it was not fitted to.

It runs in less than a minute.
"""

# %%
# Four brains, the same pictures
# ------------------------------
#
# Each person saw 300 pictures, the same ones in the same order, with between 200 and 300 voxels.

import numpy as np

from neuroml.simulate import make_cohort

SHAPE = {"n_test": 150, "n_voxels": (200, 300), "n_targets": 48, "snr": 2.0}
same = make_cohort(4, n_stimuli=300, overlap=1.0, **SHAPE, random_state=0)
print({s: X.shape for s, X in same.X.items()})

# %%
# A shared response, and hyperalignment
# -------------------------------------
#
# :class:`neuroml.decoding.SharedResponseModel` finds one time course for all and a basis of voxels
# for each; :class:`neuroml.decoding.ProcrustesAligner` rotates all voxels to a template. Both take
# subjects with different numbers of voxels. What counts is whether unseen pictures evoke similar
# responses in the common space.

from neuroml.decoding import ProcrustesAligner, SharedResponseModel
from neuroml.decoding.metrics import intersubject_correlation

agreement = {}
for aligner in (SharedResponseModel(15, random_state=0), ProcrustesAligner()):
    aligned = aligner.fit(same.X).transform(same.X_test)
    found = intersubject_correlation(aligned).mean(axis=1)
    agreement[type(aligner).__name__] = found
    print(type(aligner).__name__, "columns:", aligned["s1"].shape[1], "agreement:", found.round(2))
assert min(agreement["SharedResponseModel"]) > 0.25

# %%
# The wrong order is noticed
# --------------------------
#
# A new subject is added with responses to the same pictures. If they are not the same ones, a basis
# fitted to one half says nothing about the other half, and the model warns.

import warnings

model = SharedResponseModel(15, random_state=0).fit({s: same.X[s] for s in ("s1", "s2", "s3")})
model.add_subject(same.X["s4"], subject="s4")
shuffled = np.random.default_rng(0).permutation(same.X["s4"])
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    model.add_subject(shuffled, subject="s4 shuffled")
print({s: round(r, 2) for s, r in model.held_out_r_.items()})
print(caught[0].message)
assert model.held_out_r_["s4"] > 0.2 > abs(model.held_out_r_["s4 shuffled"]) + 0.1

# %%
# Four brains, no picture in common
# ---------------------------------
#
# Now everybody saw 300 pictures that nobody else saw. There is nothing to align by, but every
# picture has an embedding. :class:`neuroml.decoding.CrossSubjectDecoder` learns which directions of
# it brains carry, from all subjects, and the others are the prior of every subject's decoder.

#
# The model ranks candidates by their likelihood, ridge here by the cosine: part of what it gains is
# this readout, which ``RidgeDecoder.score_candidates`` has too, and only the rest is transfer.

from neuroml.decoding import CrossSubjectDecoder, RidgeDecoder
from neuroml.decoding.metrics import retrieval_accuracy, retrieval_from_scores

apart = make_cohort(4, n_stimuli=300, overlap=0.0, **SHAPE, random_state=1)
together = CrossSubjectDecoder().fit(apart.X, apart.y)
alone = RidgeDecoder().fit(apart.X, apart.y)

retrieved = {"one model": [], "ridge per subject": []}
for subject, X in apart.X_test.items():
    scores = together.score_candidates(X, apart.y_test, subject=subject)
    retrieved["one model"].append(retrieval_from_scores(scores).forward)
    decoded = alone.predict(X, subject=subject)
    retrieved["ridge per subject"].append(retrieval_accuracy(decoded, apart.y_test).forward)
for name, values in retrieved.items():
    print(f"{name:18s} right among 150 candidates: {np.mean(values):.0%}  {np.round(values, 2)}")
gain = np.subtract(retrieved["one model"], retrieved["ridge per subject"])
assert gain.min() > 0 and np.mean(retrieved["one model"]) > 0.3

# %%
# How well the directions are carried:

from neuroml.plotting import plot_decodability

ax = plot_decodability(together)

# %%
# One space for all
# -----------------
#
# The decoder's latents mean the same in every brain: the same picture leads to similar ones,
# though no picture of the training data was shared.

latents = {s: together.transform(X, subject=s) for s, X in apart.X_test.items()}
strongest = {s: part[:, :10] for s, part in latents.items()}
across = intersubject_correlation(strongest).mean()
mixed = {s: np.random.default_rng(i).permutation(p) for i, (s, p) in enumerate(strongest.items())}
print(
    f"agreement of latents: {across:.2f}; of mixed-up pictures: "
    f"{intersubject_correlation(mixed).mean():.2f}"
)
assert across > 0.3
