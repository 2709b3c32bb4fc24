"""
Who interacts, when, in which subjects
=======================================

Twelve subjects see the same sequence of stimuli. Four communities of neurons come together for a
while, each in seven of the subjects; a third of the neurons is missing in any one subject. The
traces are simulated, so whatever :class:`neuroml.connectome.DynamicConnectome` finds can be
compared with what was planted.
"""

# %%
# A cohort
# --------

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score, roc_auc_score

from neuroml.connectome import DynamicConnectome, association, surrogate_test
from neuroml.simulate import make_dynamic_communities

truth = make_dynamic_communities(noise=0.5, random_state=0)
print(truth.X.shape, "subjects x frames x neurons;", f"{np.isnan(truth.X).mean():.0%} unseen")

# %%
# From traces to components
# -------------------------
#
# The derivatives of two neurons are multiplied and averaged over 15 frames: that is their affinity.
# All pairs, subjects and frames make a tensor, from which pairs that were not seen together are
# missing. Its non-negative factorization gives components: a pattern of pairs (motif), the subjects
# that show it, and the frames at which they do. A stochastic block model then finds communities in
# each motif, or says that there are none.

model = DynamicConnectome(n_components=5, random_state=0).fit(truth.X)
print(model.table_[["component", "start", "stop", "subjects", "units"]].to_string(index=False))

# %%
# Is it what was planted?
# -----------------------
#
# Every planted community is matched with a component. Scores are 0 (Rand) or 0.5 (areas under the
# ROC curve) by chance and 1 if perfect.

areas = np.array(
    [
        [roc_auc_score(frames, course) for course in model.time_courses_.T]
        for frames in truth.active_frames
    ]
)
planted, found = linear_sum_assignment(-areas)
rand = [
    adjusted_rand_score(truth.members[k], model.communities_[r] >= 0)
    for k, r in zip(planted, found, strict=True)
]
subjects = [
    roc_auc_score(truth.active_subjects[k], model.subject_loadings_[:, r])
    for k, r in zip(planted, found, strict=True)
]
print(f"members: adjusted Rand index {np.mean(rand):.2f}")
print(f"frames: area {areas[planted, found].mean():.2f}; subjects: area {np.mean(subjects):.2f}")
assert np.mean(rand) > 0.7 and areas[planted, found].mean() > 0.9

# %%
# Could it be chance?
# -------------------
#
# Turning every neuron's trace around by a time of its own leaves it as it is, but related to no
# other. The whole pipeline is fitted anew to such cohorts; nine of them let p fall to 0.1 at best,
# so take 99 or more in earnest.

tested = surrogate_test(model, truth.X, n_surrogates=9, random_state=0)
print(tested.round(2).to_string(index=False))
assert (tested["contrast_p"][found] == 0.1).all()

# %%
# A time course can be compared with what happened: here, the interval of the first community.
# Blocks of 30 frames change places, so that slow courses do not look like effects.

table = association(model.time_courses_, truth.active_frames[0], block=30, random_state=0)
print(table.round(3).to_string(index=False))
assert table["correlation"].idxmax() == found[0]

# %%
# Figures
# -------
#
# There are four frames a second.

from neuroml.plotting import plot_motifs

times = np.arange(len(model.time_courses_)) / 4.0
figure = plot_motifs(model, times=times, time_label="time (s)")
