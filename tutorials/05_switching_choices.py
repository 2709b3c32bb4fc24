"""
Strategies of a rat over 80 days
================================

A rat compares the loudness of two tones and goes left or right. Does it follow one strategy with
lapses, or switch between several? 20,000 choices of one rat (Akrami et al. 2018) that come with
the library, fitted with a GLM-HMM (Ashwood et al. 2022): a logistic regression whose weights depend
on a hidden state.
"""

# %%
# Choices, inputs, days
# ---------------------
#
# A choice is 0 (left) or 1 (right); inputs are the two tones and what happened on the trial before.
# Every day is a session: states never run on from one day to the next.

import numpy as np

from neuroml.data import load_dataset, stack
from neuroml.plotting import plot_psychometric, plot_states, plot_weights
from neuroml.switching import SwitchingGLM, recovery_study, select_by_sessions

recording = load_dataset("psytrack_rat").recordings[0]
inputs = ["s1", "s2", "previous_choice", "previous_answer", "previous_stimulus"]
rat = stack([recording], target="choice", inputs=inputs)
print(f"{len(rat.y)} trials on {len(np.unique(rat.sessions))} days")

# %%
# How many states?
# ----------------
#
# Whole days are held out. Likelihood alone tends to rise with every state, so the first number
# within one standard error of the best is chosen. ``n_states=1`` is the logistic regression.

template = SwitchingGLM(family="bernoulli", ridge=0.1, n_init=2, tol=1e-5, random_state=0)
search = select_by_sessions(
    template, {"n_states": [1, 2, 3, 4, 5]}, rat.X, rat.y, sessions=rat.sessions, cv=4
)
scores = search.cv_results_["mean_test_score"]
gain = (scores - scores[0]) / np.log(2)
for n_states, bits in zip([1, 2, 3, 4, 5], gain, strict=True):
    print(f"{n_states} states: {bits:+.4f} bits per held-out trial over one state")
print("chosen:", search.best_params_)
assert gain[1] > 0.01 and gain[2] > gain[1] + 0.005

# %%
# What are the strategies?
# ------------------------
#
# Three states already have most of the gain, and can be looked at. Intervals (95 %, Wald) come from
# the observed information of the marginal likelihood. In two states the rat subtracts the tones as
# it should, in one of them twice as sharply; in the third it hardly listens, and repeats itself.

model = SwitchingGLM(3, ridge=0.1, n_init=4, tol=1e-6, random_state=0)
model.fit(rat.X, rat.y, sessions=rat.sessions)
errors = model.standard_errors(rat.X, rat.y, sessions=rat.sessions)
for k in range(3):
    weights = ", ".join(
        f"{name} {w:+.2f}±{1.96 * e:.2f}"
        for name, w, e in zip(inputs, model.weights_[k, 0], errors.weights[k, 0], strict=True)
    )
    share, stay = model.occupancy_[k], model.transition_matrix_[k, k]
    print(f"state {k}: {share:.0%} of trials, stays with {stay:.3f}; {weights}")

engaged = np.abs(model.weights_[:, 0, 0]).argmax()
assert model.weights_[engaged, 0, 0] > 1 and model.weights_[engaged, 0, 1] < -1

# %%
# Figures: when the states occur, what they weigh, how they answer
# ----------------------------------------------------------------

posterior = model.predict_proba(rat.X, rat.y, sessions=rat.sessions)
states = plot_states(posterior, sessions=rat.sessions, time_label="trial")

# %%

weights = plot_weights(model, standard_errors=errors, input_names=inputs)

# %%

difference = rat.X[:, 0] - rat.X[:, 1]
psychometric = plot_psychometric(
    difference, rat.y, posterior, stimulus_label="first minus second tone (standard units)"
)

# %%
# Would ten days be enough?
# -------------------------
#
# Before collecting data: simulate the design from a pilot's model, fit it, and see what comes back.
# Here the weights do. The state of a single trial is found in about three trials of four, and
# hardly more often by a model that knows the true parameters (the oracle): more data would not
# help, these states last too few trials. So ask for weights and shares of states rather than for
# the strategy behind one choice.

ten = rat.sessions < 10
study = recovery_study(
    model,
    rat.X[ten],
    sessions=rat.sessions[ten],
    estimator=SwitchingGLM(3, ridge=0.1, n_init=4, tol=1e-5),
    n_repeats=5,
    random_state=0,
)
print(study[["state_accuracy", "oracle_accuracy", "weight_correlation"]].round(2).to_string())
assert study["weight_correlation"].mean() > 0.9
assert study["state_accuracy"].mean() > study["oracle_accuracy"].mean() - 0.05
