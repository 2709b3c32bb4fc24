"""How much better a switching model predicts than models that know less."""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp

from neuroml._core.estimator import check_option
from neuroml.switching._chain import filter_chain, transitions
from neuroml.switching._emissions import Emissions
from neuroml.switching._fit import Model, Problem

__all__ = ["NULLS", "bits_per_event", "log_predictive", "predicted_states"]

NULLS = ("glm", "shuffled")


def predicted_states(problem: Problem, model: Model, values: np.ndarray) -> np.ndarray:
    """Probability of every state given the past alone (T, K); values are (K, T)."""
    filtered, _ = filter_chain(
        model.chain, np.ascontiguousarray(values.T), problem.transition_inputs, problem.starts
    )
    onward = transitions(model.chain, problem.transition_inputs)
    predicted = np.empty_like(filtered)
    predicted[1:] = np.einsum(
        "ti,tij->tj", filtered[:-1], np.broadcast_to(onward, (len(filtered) - 1, *onward.shape[1:]))
    )
    predicted[problem.starts[:-1]] = model.chain.initial
    return predicted


def bits_per_event(
    problem: Problem,
    model: Model,
    glm: Emissions | None,
    null: str,
    n_events: float,
    rng: np.random.Generator,
) -> float:
    """Gain in log2-likelihood over a null model, per event.

    Parameters
    ----------
    glm : Emissions
        Of one state; needed where it is the null.
    null : {"glm", "shuffled"}
    n_events : float
    rng : Generator
        For the shuffle.
    """
    check_option(null, NULLS, "null")
    values = problem.family.values(model.emissions, problem.design)
    predicted = predicted_states(problem, model, values)
    gain = _mixture(values, predicted).sum()
    if glm is not None:
        gain -= problem.family.values(glm, problem.design).sum()
    else:
        gain -= _mixture(values, rng.permutation(predicted)).sum()
    return float(gain / n_events / np.log(2.0))


def log_predictive(problem: Problem, model: Model) -> np.ndarray:
    """Log-probability of every bin's observations given those before it in the session (T,)."""
    values = problem.family.values(model.emissions, problem.design)
    return _mixture(values, predicted_states(problem, model, values))


def _mixture(values: np.ndarray, shares: np.ndarray) -> np.ndarray:
    return np.asarray(logsumexp(values, axis=0, b=shares.T))
