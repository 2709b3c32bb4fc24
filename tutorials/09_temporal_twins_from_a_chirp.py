"""
Temporal twins from a chirp
===========================

A full-field chirp is often all that was shown. It carries no information about space, but enough
about time for a model of each cell's temporal filter, and for stimuli that separate ON from OFF and
transient from sustained cells. The recording is simulated; put your own chirp in its place.
"""

# %%
# A chirp and responses to it
# ---------------------------
#
# Four types, ten cells each, at 30 frames per second: a filter over time, a threshold, noise.

import numpy as np
from sklearn.metrics import adjusted_rand_score

from neuroml.simulate import make_chirp

RATE_HZ, N_LAGS = 30.0, 15
rng = np.random.default_rng(0)
one_sweep = 2 * make_chirp(RATE_HZ) - 1
chirp = np.tile(one_sweep, 2)
sessions = np.repeat([0, 1], len(one_sweep))
types = np.repeat(["ON sustained", "OFF sustained", "ON transient", "OFF transient"], 10)


def temporal_filter(kind, stretch):
    lag = np.arange(N_LAGS) / stretch
    fast, slow = (lag + 0.5) * np.exp(-lag / 1.5), (lag + 0.5) * np.exp(-lag / 3)
    wave = fast if "sustained" in kind else fast - slow * fast.sum() / slow.sum()
    return (1 if kind.startswith("ON") else -1) * wave / np.linalg.norm(wave)


drive = np.stack(
    [
        np.convolve(chirp, temporal_filter(kind, np.exp(0.1 * rng.standard_normal())))[: len(chirp)]
        for kind in types
    ],
    axis=1,
)
clean = np.log1p(np.exp(2 * drive))
responses = clean + 0.5 * clean.std(axis=0) * rng.standard_normal(clean.shape)
print("stimulus", chirp.shape, "responses", responses.shape)

# %%
# Twins, and how good they are
# ----------------------------
#
# A chirp repeats nothing within a sweep, so what counts is the prediction of blocks of time that
# the model has not seen in either sweep.

from neuroml.celltypes import ResponseModel

twin = ResponseModel("conv2d", n_lags=N_LAGS, n_filters=8, n_features=8, loss="gaussian",
                     nonlinearity="identity", clip_length=30, max_epochs=150,
                     random_state=0)  # fmt: skip

frames = np.arange(len(one_sweep))
held_out = np.tile((frames // 96) % 5 == 4, 2)
pieces = np.cumsum(np.r_[0, np.diff(held_out.astype(int)) != 0]) + 1000 * sessions
seen = ~held_out
twin.fit(chirp[seen], responses[seen], sessions=pieces[seen])
predicted = twin.predict(chirp, sessions=sessions)
tested = held_out & np.isfinite(predicted[:, 0])
correlation = [
    np.corrcoef(predicted[tested, i], responses[tested, i])[0, 1] for i in range(len(types))
]
left = ((responses - predicted)[tested] ** 2).mean(axis=0) / responses[tested].var(axis=0)
print(f"held-out correlation {np.mean(correlation):.2f}, R2 {np.mean(1 - left):.2f}")
assert np.mean(correlation) > 0.7

# %%
# Stimuli that tell the types apart
# ---------------------------------
#
# One second of full-field light, no brighter or darker than the chirp.

from neuroml.celltypes import MostDiscriminativeStimuli, type_confusion

mds = MostDiscriminativeStimuli(4, stimulus_shape=(30,), smooth_time=1.0, random_state=0)
mds.fit(twin)
score = adjusted_rand_score(types, mds.labels_)
print(f"agreement with the true types (adjusted Rand index): {score:.2f}")
print(type_confusion(types, mds.labels_).round(2))
assert score > 0.8

# %%
from neuroml.plotting import plot_confusion, plot_stimuli

majority = type_confusion(types, mds.labels_).idxmax().sort_index()
figure = plot_stimuli(
    mds.stimuli_,
    stimulus_axes=mds.stimulus_axes_,
    rate_hz=RATE_HZ,
    stimulus_names=list(majority),
)

# %%
figure = plot_confusion(mds, type_shares=type_confusion(types, mds.labels_))
