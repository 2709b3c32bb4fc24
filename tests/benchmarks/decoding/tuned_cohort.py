"""A second simulator of cohorts, built otherwise than `neuroml.simulate.make_cohort`.

What differs: stimuli are one heavy-tailed cloud, not clusters; a voxel has a bump of its own in the
space of stimuli and a saturating response, not linear weights of common features; places say
nothing, instead a share of the voxels' tuning is the same at the same index in all subjects; noise
is a gain of every trial, a drift over trials and voxels of unequal noise; there is one trial.
"""

import numpy as np
from scipy.signal import lfilter
from sklearn.utils import Bunch

N_LATENT, N_ABSENT, N_HIDDEN = 16, 10, 200


def tuned_cohort(
    n_subjects=5,
    *,
    n_stimuli=600,
    n_test=300,
    n_voxels=300,
    n_targets=96,
    own=0.5,
    snr=0.35,
    random_state=0,
):
    """X, y (dicts), X_test (dict) and y_test: other stimuli for every subject, the same test."""
    rng = np.random.default_rng(random_state)
    network = {
        "into": rng.standard_normal((N_LATENT, N_HIDDEN)) / 3,
        "out": rng.standard_normal((N_HIDDEN, n_targets)) / np.sqrt(N_HIDDEN),
        "absent": rng.standard_normal((N_ABSENT, n_targets)) / np.sqrt(N_ABSENT),
    }
    # what brains are tuned to: some dimensions of the stimuli much more sharply than others
    sharpness = np.arange(1, N_LATENT + 1) ** -0.4
    common = _tuning(rng, n_voxels)
    shown = _stimuli(rng, n_test)
    cohort = Bunch(X={}, y={}, X_test={}, y_test=_targets(shown, network))
    for i in range(n_subjects):
        subject, seen = f"s{i + 1}", _stimuli(rng, n_stimuli)
        brain = {
            name: np.where(rng.uniform(size=n_voxels) < own, private, common[name])
            for name, private in _tuning(rng, n_voxels).items()
        }
        brain["noise"] = rng.lognormal(0.0, 0.5, n_voxels)
        brain["drift"] = rng.standard_normal((4, n_voxels)) / 2
        cohort.X[subject] = _respond(rng, seen[:, :N_LATENT] * sharpness, brain, snr)
        cohort.X_test[subject] = _respond(rng, shown[:, :N_LATENT] * sharpness, brain, snr)
        cohort.y[subject] = _targets(seen, network)
    return cohort


def _stimuli(rng, n):
    """Points (n, latent + absent) of a t distribution with six degrees of freedom."""
    points = rng.standard_normal((n, N_LATENT + N_ABSENT))
    points[:, :N_LATENT] /= np.sqrt(rng.chisquare(6, (n, 1)) / 6)
    return points


def _targets(stimuli, network):
    visible, absent = np.split(stimuli, [N_LATENT], axis=1)
    return np.tanh(visible @ network["into"]) @ network["out"] + 0.3 * absent @ network["absent"]


def _tuning(rng, n_voxels):
    """Direction (latent, n_voxels) of each voxel's tuning, and place and width of its bump."""
    directions = rng.standard_normal((N_LATENT, n_voxels))
    return {
        "directions": directions / np.linalg.norm(directions, axis=0),
        "place": rng.normal(0.0, 1.0, n_voxels),
        "width": rng.uniform(0.5, 2.0, n_voxels),
    }


def _respond(rng, visible, brain, snr):
    n, n_voxels = len(visible), len(brain["place"])
    along = visible @ brain["directions"]
    # the root of a bump is a response that saturates
    signal = np.exp(-(((along - brain["place"]) / brain["width"]) ** 2) / 4)
    signal = (signal - signal.mean(axis=0)) / signal.std(axis=0)
    gain = rng.gamma(8.0, 1 / 8, (n, 1))
    drift = lfilter([0.3], [1, -0.95], rng.standard_normal((n, 4)), axis=0) @ brain["drift"]
    return snr * gain * signal + drift + brain["noise"] * rng.standard_normal((n, n_voxels))
