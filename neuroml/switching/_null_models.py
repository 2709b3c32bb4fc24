"""How much better a switching model predicts than models that know less."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import logsumexp

from neuroml.switching._chain import filter_chain, transitions
from neuroml.switching._em import Model, Problem

__all__ = ["NULLS", "bits_per_event", "log_predictive", "predicted_states"]

NULLS = ("glm", "shuffled")


def bits_per_event(
    problem: Problem, model: Model, glm: Any, n_events: float, rng: np.random.Generator
) -> float:
    """Gain in log2-likelihood over a null model, per event.

    Parameters
    ----------
    problem, model
    glm : emissions of one state, or None
        The null model. None: this model with its predicted states shuffled over bins.
    n_events : float
    rng : Generator
        For the shuffle.
    """
    log_prob = problem.observations.log_prob(model.emissions, problem.design)
    predicted = predicted_states(problem, model, log_prob)
    gain = _mixture(log_prob, predicted).sum()
    if glm is not None:
        gain -= problem.observations.log_prob(glm, problem.design).sum()
    else:
        gain -= _mixture(log_prob, rng.permutation(predicted)).sum()
    return float(gain / n_events / np.log(2.0))


def log_predictive(problem: Problem, model: Model) -> np.ndarray:
    """Log-probability of every bin's observations given those before it in the session (T,)."""
    log_prob = problem.observations.log_prob(model.emissions, problem.design)
    return _mixture(log_prob, predicted_states(problem, model, log_prob))


def predicted_states(problem: Problem, model: Model, log_prob: np.ndarray) -> np.ndarray:
    """Probability of every state given the past alone (T, K); log_prob is (K, T)."""
    filtered, _ = filter_chain(model.chain, log_prob, problem.transition_inputs, problem.starts)
    onward = transitions(model.chain, problem.transition_inputs)
    predicted = np.empty_like(filtered)
    # One transition ahead of the filter, and the first-state probabilities where sessions begin.
    predicted[1:] = np.einsum(
        "ti,tij->tj", filtered[:-1], np.broadcast_to(onward, (len(filtered) - 1, *onward.shape[1:]))
    )
    predicted[problem.starts[:-1]] = model.chain.initial
    return predicted


def _mixture(log_prob: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    return np.asarray(logsumexp(log_prob, axis=0, b=probabilities.T))
