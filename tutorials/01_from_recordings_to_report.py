"""
From recordings to a report
===========================

One resting subject, 28 brain regions: which regions belong together, and when? The data ship with
neuroml, so this runs as it stands, in a few seconds.

Everything in neuroml follows one order: bytes become *recordings*, recordings become *arrays*,
arrays go into an *estimator*, and its results become a *report*.
"""

# %%
# Recordings
# ----------
#
# A recording is an :class:`xarray.Dataset` with the variable ``signal (time, unit)``: time in
# seconds, units with names, and whatever else was recorded beside it.

import tempfile
from pathlib import Path

import numpy as np

from neuroml.data import clean, load_dataset, stack

data = load_dataset("nitime_fmri")
recording = data.recordings[0]
print(recording)

# %%
# The confounds (white matter, ventricles, whole brain) are a variable of their own, so they cannot
# be mistaken for regions. :func:`neuroml.data.clean` regresses them out, removes the trend and
# keeps slow fluctuations.

cleaned = clean(recording, detrend=True, high_pass_hz=0.01, low_pass_hz=0.15, confounds=True)

# %%
# Arrays
# ------
#
# Estimators take what :func:`neuroml.data.stack` gives: samples by units, and one session label per
# sample so that nothing is computed across a gap.

arrays = stack([cleaned])
print(arrays.X.shape, "samples x regions, sessions:", np.unique(arrays.sessions))

# %%
# Estimators
# ----------
#
# Correlations in windows of 32 samples (one minute) give a tensor of windows x regions x regions.
# Its non-negative factorization finds groups of regions whose mutual connectivity rises and falls
# together. The diagonal is marked as missing: a region's correlation with itself is no observation.

from neuroml.connectome import NonnegativeCP, SlidingWindowConnectivity

windows = SlidingWindowConnectivity(
    window=32, stride=2, taper="gaussian", negative="zero", vectorize=False, discard_diagonal=True
)
tensor = windows.fit_transform(arrays.X, sessions=arrays.sessions)
model = NonnegativeCP(n_components=4, n_init=10, background="mean", random_state=0).fit(tensor)
print(f"tensor {tensor.shape}, relative error {model.reconstruction_err_:.3f}")
print(f"converged: {model.converged_} after {model.n_iter_} sweeps")
print("final error of every start:", np.round(np.sort(model.restart_objectives_), 3))

# %%
# Do the groups mean anything?
# ----------------------------
#
# The factorization knows nothing of anatomy. If its groups are real, a region and its mirror image
# in the other hemisphere should fall into the same one; shuffled labels give the rate by chance.

names = list(recording["unit"].values)
group = model.cp_.factors[1].argmax(axis=1)
pairs = [(names.index("L" + name[1:]), i) for i, name in enumerate(names) if name[0] == "R"]


def share_of_pairs_together(labels):
    return np.mean([labels[left] == labels[right] for left, right in pairs])


rng = np.random.default_rng(0)
observed = share_of_pairs_together(group)
chance = np.array([share_of_pairs_together(rng.permutation(group)) for _ in range(5000)])
p_value = (1 + np.sum(chance >= observed)) / (1 + len(chance))
print(f"{observed:.0%} of {len(pairs)} left/right pairs share a group")
print(f"by chance {chance.mean():.0%}, p = {p_value:.4f}")
assert observed > 0.6 and p_value < 0.01

for r in range(4):
    print(f"component {r}:", ", ".join(names[i] for i in np.flatnonzero(group == r)))

# %%
# Figures
# -------

from neuroml.plotting import plot_components

centers = cleaned["time"].values[windows.windows_.mean(axis=1).astype(int)]
figure = plot_components(model, times=centers, time_label="window center (s)", unit_label="region")

# %%
# The same as a batch
# -------------------
#
# A recipe says all of this in a few lines, for one recording or a thousand. On the command line it
# is ``neuroml run nitime_fmri --out results``; a second call finds nothing left to do.

from neuroml.batch import read_recipe, report, run

out = Path(tempfile.mkdtemp())
recipe = read_recipe("nitime_fmri")
for attempt in range(2):
    for record in run(recipe, out):
        print(f"call {attempt + 1}: {record['job']} {record['status']}")
print(report(out).name, "holds figures, convergence and provenance on one page")
