"""
From a pooled model to one per animal
=====================================

Several animals do the same task. One model of all of them misses how they differ; one model for
each has few trials. Laboratories fit the pooled model first, and then each animal from there.
Partial pooling does both at once: it learns how much animals differ, and lets each part from the
cohort only as far as its own trials say so.
"""

# %%
# Six simulated mice
# ------------------
#
# All switch between two strategies. In each, a mouse has a weight of the stimulus and a bias of its
# own. The third session of every mouse is held out.

import matplotlib.pyplot as plt
import numpy as np

from neuroml.data import load_dataset, stack
from neuroml.simulate import make_switching_cohort
from neuroml.switching import SwitchingGLM, match_weights

mice = make_switching_cohort(6, 3, 200, 2, deviation=(1.0, 0.2, 0.5), random_state=1)
held_out = mice.sessions % 3 == 2


def fit(data, kept, pooling, **settings):
    """A model of some trials; subjects are told by their names."""
    model = SwitchingGLM(2, pooling=pooling, n_init=3, tol=1e-5, random_state=0, **settings)
    return model.fit(
        data.X[kept], data.y[kept], sessions=data.sessions[kept], groups=data.groups[kept]
    )


def score(model, data, rows):
    """Nats per trial."""
    return model.score(
        data.X[rows], data.y[rows], sessions=data.sessions[rows], groups=data.groups[rows]
    )


models = {pooling: fit(mice, ~held_out, pooling) for pooling in ("complete", "none", "partial")}
for pooling, model in models.items():
    print(f"{pooling:9s} {score(model, mice, held_out):.4f} nats per held-out trial")

# %%
# Whose weights are they?
# -----------------------
#
# The weight of the stimulus in the state where it counts most. Dots are the mice's own fits (no
# pooling), diamonds with their 95 % intervals partial pooling, crosses the truth, and the line is
# the cohort's weight. Partial pooling draws a mouse toward the line as far as its trials are few.

partial, own = models["partial"], models["none"]
order = match_weights(mice.weights[:, 0, :1], partial.weights_[:, 0, :1])
first = int(mice.weights[:, 0, 0].argmax())
state = order[first]
truth = mice.subject_weights[:, first, 0, 0]
weight = partial.subject_weights_[:, state, 0, 0]
figure, ax = plt.subplots(figsize=(6, 3), layout="constrained")
place = np.arange(len(truth))
ax.axhline(partial.weights_[state, 0, 0], color="0.6", label="cohort")
ax.plot(place - 0.15, own.subject_weights_[:, state, 0, 0], "o", label="none")
ax.errorbar(
    place, weight, 1.96 * partial.subject_weights_std_[:, state, 0, 0], fmt="D", label="partial"
)
ax.plot(place + 0.15, truth, "kx", label="truth")
ax.set(xticks=place, xticklabels=partial.subjects_, xlabel="mouse", ylabel="weight of the stimulus")
ax.legend(ncols=4, fontsize="small")

ax.set_ylim(bottom=0)


# %%
# The last mouse is drawn further in than the truth allows, and its interval still holds it. Over
# all weights and biases in both states, partial pooling has the smallest root mean square error.


def parameters(model):
    """Weights of stimulus and previous choice, and bias (n_mice, n_states, 3)."""
    if model.pooling == "complete":
        both = np.concatenate([model.weights_, model.intercept_[..., None]], axis=2)[None]
    else:
        both = np.concatenate([model.subject_weights_, model.subject_intercept_[..., None]], axis=3)
    return both[..., 0, [0, 1, 3]]


both = [mice.subject_weights, mice.subject_intercept[..., None]]
every = np.concatenate(both, axis=3)[..., 0, [0, 1, 3]]
for pooling, model in models.items():
    error = parameters(model)[:, order] - every
    print(f"{pooling:9s} error {np.sqrt((error**2).mean()):.2f}")
assert score(partial, mice, held_out) > score(models["complete"], mice, held_out)

# %%
# A new mouse
# -----------
#
# ``adapt`` gives an animal weights of its own from few trials; what the cohort has learned stays.

few = (mice.groups == "s00") & (mice.sessions == 0)
grown = partial.adapt(mice.X[few], mice.y[few], subject="new", sessions=mice.sessions[few])
print("weights of the new mouse:", grown.subject_weights_[-1, state, 0].round(2))

# %%
# One rat, as if its weeks were animals
# -------------------------------------
#
# Thirty-two of a rat's days in four blocks of eight; every fourth day is held out.

inputs = ["s1", "s2", "previous_choice", "previous_answer", "previous_stimulus"]
rat = stack([load_dataset("psytrack_rat").recordings[0]], target="choice", inputs=inputs)
early = rat.sessions < 32
for name in ("X", "y", "sessions"):
    rat[name] = rat[name][early]
rat.groups = rat.sessions // 8
test = rat.sessions % 4 == 3
for pooling in ("complete", "none", "partial"):
    model = fit(rat, ~test, pooling, ridge=0.1)
    print(f"{pooling:9s} {score(model, rat, test):.4f} nats per held-out trial")
assert np.isfinite(score(model, rat, test))
