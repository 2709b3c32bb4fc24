"""
Hidden states of a spiking population
=====================================

The same neurons, wired differently from one moment to the next: can their spikes tell when the
state changes, and which connections it changes? Here the truth is simulated, so we can check.
"""

# %%
# A population with three states
# ------------------------------
#
# Fifteen units fire as Poisson processes whose rates depend on the recent spikes of the others. In
# each hidden state the couplings have another strength.

import numpy as np
from scipy.optimize import linear_sum_assignment

from neuroml.simulate import make_switching_spikes
from neuroml.switching import SwitchingPopulationGLM

data = make_switching_spikes(
    15,
    3,
    n_sessions=20,
    n_bins=500,
    strength=8.0,
    connected=0.3,
    sign_concentration=0.0,
    random_state=0,
)
train = data.sessions < 15
print(data.spikes.shape, "bins x units;", f"{data.spikes.mean():.2f} spikes per bin")

# %%
# Fit
# ---
#
# Sessions are passed by name, so that history never crosses a border. With the one-hot prior a
# connection is inhibitory, absent or excitatory, here with one sign in all states, as the data have
# it. Several random starts guard against poor optima; what they reached is kept.

model = SwitchingPopulationGLM(
    3,
    link="sigmoid",
    shared_intercept=True,
    prior="one-hot",
    sign_sharing="signs",
    n_init=5,
    random_state=0,
)
model.fit(data.spikes[train], sessions=data.sessions[train])
print(f"converged: {model.converged_} after {model.n_iter_} iterations")
print("nats per bin that every start reached:", np.round(np.sort(model.restart_objectives_), 4))

# %%
# Does it predict new sessions?
# -----------------------------
#
# In bits per spike, against the GLM with a single state, and against the same model with its
# knowledge of *when* each state occurs shuffled.

held_out = {"spikes": data.spikes[~train], "sessions": data.sessions[~train]}
gain = model.score_bits(**held_out)
timing = model.score_bits(**held_out, null="shuffled", random_state=0)
print(f"{gain:.3f} bits/spike over one state, {timing:.3f} from knowing when")

# %%
# Are the states the true ones?
# -----------------------------
#
# States have no names, so they are matched by their overlap first.

states = model.predict(**held_out)
overlap = np.zeros((3, 3))
np.add.at(overlap, (data.states[~train], states), 1)
_, match = linear_sum_assignment(-overlap)
accuracy = (match[data.states[~train]] == states).mean()
correlation = np.corrcoef(model.weights_[match].ravel(), data.weights.ravel())[0, 1]
print(f"state right in {accuracy:.0%} of held-out bins, weights correlate {correlation:.2f}")

# %%
# Which connections are there?
# ----------------------------

found = model.connection_probability_.argmax(axis=-1) - 1
truth = np.sign(data.weights.sum(axis=0))
print(f"sign (inhibitory, none, excitatory) right for {(found == truth).mean():.0%} of pairs")
assert gain > 0 and timing > 0 and accuracy > 0.8 and (found == truth).mean() > 0.85

# %%
# Figures
# -------

from neuroml.plotting import plot_couplings

figure = plot_couplings(model)
