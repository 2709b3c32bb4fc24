"""
Moments of coupling in a single brain
=====================================

One resting subject, 28 brain regions, in the terms of a cohort of one: which pairs of regions move
together, and at which moments? The data ship with neuroml.

Subjects at rest share no time axis: what happens in one at minute two has nothing to do with what
happens in another. So each is a tensor of its own, and only what does not depend on time, such as
motifs, may be compared between subjects.
"""

# %%
# Affinities
# ----------
#
# :class:`neuroml.connectome.AffinityTensor` knows seven ways to say how strongly two regions act
# together at a moment. Regions and their mirror images in the other hemisphere are known to do so,
# more than other pairs; that is the test here, of which the factorization knows nothing.

import numpy as np
from sklearn.metrics import roc_auc_score

from neuroml.connectome import DynamicConnectome, surrogate
from neuroml.data import clean, load_dataset

data = load_dataset("nitime_fmri")
recording = clean(
    data.recordings[0], detrend=True, high_pass_hz=0.01, low_pass_hz=0.15, confounds=True
)
names = [str(name) for name in recording["unit"].values]
rows, columns = np.triu_indices(len(names), k=1)
mirrored = np.array([names[i][1:] == names[j][1:] for i, j in zip(rows, columns, strict=True)])


def area_of_mirrored_pairs(model):
    """How well the sum of all components tells mirror images from other pairs; chance is 0.5."""
    strength = np.einsum("r,rij->ij", model.subject_loadings_.sum(axis=0), model.motifs_)
    return roc_auc_score(mirrored, strength[rows, columns])


areas = {}
for method in ("unsigned", "same_sign", "ratio", "mtd", "correlation"):
    fitted = DynamicConnectome(n_components=4, method=method, random_state=0).fit([recording])
    areas[method] = area_of_mirrored_pairs(fitted)
    print(f"{method:12s} {areas[method]:.2f}")

# %%
# Taking the absolute value of derivatives ("unsigned") throws away who moves with whom. The others
# all find the mirror images.

assert areas["unsigned"] < min(area for name, area in areas.items() if name != "unsigned")
assert areas["mtd"] > 0.8

# %%
# Could slow signals do the same by chance?
# -----------------------------------------
#
# Surrogates with random phases keep the spectrum of each region, and with it how slowly it moves.

model = DynamicConnectome(n_components=4, random_state=0).fit([recording])
X = recording["signal"].values
chance = [
    area_of_mirrored_pairs(
        DynamicConnectome(n_components=4, random_state=0).fit(
            surrogate(X, "phase", random_state=seed)
        )
    )
    for seed in range(9)
]
print(f"observed {areas['mtd']:.2f}, by chance {np.mean(chance):.2f}, at most {max(chance):.2f}")
assert max(chance) < areas["mtd"]

# %%
# What was found
# --------------

for r, labels in enumerate(model.communities_):
    for k in range(labels.max() + 1):
        print(f"component {r}, community {k}:", *np.array(names)[labels == k])

# %%
# Figures
# -------

from neuroml.plotting import plot_connectogram

ax = plot_connectogram(model.motifs_[0], model.communities_[0], unit_names=names)
