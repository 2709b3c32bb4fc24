"""Expectation-maximization for a Markov chain of states with any kind of observations."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from neuroml._core.iteration import FitTrace, iterate
from neuroml.switching._chain import (
    Chain,
    ChainPrior,
    Smoothed,
    log_prior,
    smooth_chain,
    start_chain,
    update_chain,
)
from neuroml.switching._observations.base import Observations

__all__ = [
    "EMState",
    "Model",
    "Problem",
    "assess",
    "em_step",
    "fit_em",
    "fit_from_random_start",
    "fit_single_state",
    "penalized_log_likelihood",
    "smooth_model",
]


class Problem(NamedTuple):
    """What is fitted to what.

    Attributes
    ----------
    observations : Observations
        The family, with its priors.
    design : Design or PopulationData
        The data, as the observations take them.
    transition_inputs : ndarray of shape (n_bins, n_inputs)
    starts : ndarray of int of shape (n_sessions + 1,)
        First bins of sessions, and the number of bins.
    prior : ChainPrior
    held : frozenset of str
        Parameters of the chain (fields of `Chain`) that fits leave as they are.
    known : ndarray of int of shape (n_bins,), optional
        States that are known; -1 is unknown.
    weights : ndarray of shape (n_bins,), optional
        What the log-probabilities of the bins' observations are multiplied by.
    """

    observations: Observations[Any, Any]
    design: Any
    transition_inputs: np.ndarray
    starts: np.ndarray
    prior: ChainPrior
    held: frozenset[str] = frozenset()
    known: np.ndarray | None = None
    weights: np.ndarray | None = None

    @property
    def n_observed(self) -> float:
        """Bins with any observation, or the sum of their weights."""
        if self.weights is None:
            return float(self.design.n_observed)
        return float(self.weights[self.design.observed].sum())

    def responsibilities(self, posterior: np.ndarray) -> np.ndarray:
        """Weight (K, T) of every bin in every state's likelihood, of a posterior (T, K)."""
        if self.weights is None:
            return np.ascontiguousarray(posterior.T)
        return np.ascontiguousarray(posterior.T * self.weights)


class Model(NamedTuple):
    """Parameters of a switching model: those of the observations, and the chain."""

    emissions: Any
    chain: Chain

    def of_states(self, states: np.ndarray) -> Model:
        """The same model with its states in another order."""
        grid = (states[:, None], states)
        chain = Chain(
            self.chain.initial[states],
            self.chain.matrix[grid],
            self.chain.weights[:, states[:, None], states],
        )
        return Model(self.emissions.of_states(states), chain)


class EMState(NamedTuple):
    """A model with all that the next step needs: log-probabilities (K, T), and the posterior."""

    model: Model
    log_prob: np.ndarray
    smoothed: Smoothed


def smooth_model(problem: Problem, model: Model, log_prob: np.ndarray | None = None) -> Smoothed:
    """E-step; ``log_prob`` are the log-probabilities (K, T) if they are known."""
    if log_prob is None:
        log_prob = problem.observations.log_prob(model.emissions, problem.design)
    if problem.weights is not None:
        log_prob = log_prob * problem.weights
    if problem.known is not None:
        others = problem.known != np.arange(len(log_prob))[:, None]
        log_prob = np.where(others & (problem.known >= 0), -np.inf, log_prob)
    return smooth_chain(model.chain, log_prob, problem.transition_inputs, problem.starts)


def penalized_log_likelihood(problem: Problem, model: Model, log_likelihood: float) -> float:
    """Log-likelihood and log-prior, which EM never lowers."""
    emissions = problem.observations.log_prior(model.emissions, problem.design)
    return log_likelihood + emissions + log_prior(model.chain, problem.prior)


def assess(
    problem: Problem, model: Model, log_prob: np.ndarray | None = None
) -> tuple[EMState, float]:
    """E-step, and the objective in nats per observed bin, or per unit of weight."""
    if log_prob is None:
        log_prob = problem.observations.log_prob(model.emissions, problem.design)
    smoothed = smooth_model(problem, model, log_prob)
    total = penalized_log_likelihood(problem, model, smoothed.log_likelihood)
    return EMState(model, log_prob, smoothed), total / problem.n_observed


def em_step(problem: Problem, state: EMState) -> tuple[EMState, float]:
    """M-step of chain and observations under the same posterior, then the next E-step."""
    resp = problem.responsibilities(state.smoothed.posterior)
    chain = update_chain(
        state.model.chain,
        state.smoothed,
        problem.transition_inputs,
        problem.starts,
        problem.prior,
        problem.held,
    )
    chain = chain._replace(**{name: getattr(state.model.chain, name) for name in problem.held})
    emissions, log_prob = problem.observations.m_step(
        state.model.emissions, problem.design, resp, state.log_prob
    )
    return assess(problem, Model(emissions, chain), log_prob)


def fit_em(problem: Problem, model: Model, max_iter: int, tol: float) -> FitTrace[Model]:
    """Maximize the penalized log-likelihood per observed bin, from a given model."""
    state, objective = assess(problem, model)
    ended = iterate(
        lambda before: em_step(problem, before), state, objective, max_iter=max_iter, tol=tol
    )
    return FitTrace(ended.state.model, ended.trace, ended.converged, ended.stop_reason)


def fit_single_state(problem: Problem, max_iter: int, tol: float) -> Any:
    """Parameters of the one-state model: a generalized linear model of all bins."""
    start = Model(problem.observations.start(problem.design), start_chain(1))
    prior = problem.prior._replace(allowed=None)
    inputs = problem.transition_inputs[:, :0]
    alone = problem._replace(transition_inputs=inputs, prior=prior, known=None)
    return fit_em(alone, start, max_iter, tol).state.emissions


def fit_from_random_start(
    problem: Problem,
    glm: Any,
    n_states: int,
    rng: np.random.Generator,
    max_iter: int,
    tol: float,
) -> FitTrace[Model]:
    """Fit from near the one-state model, whose parameters are ``glm``."""
    emissions = glm
    if n_states > 1:
        emissions = problem.observations.random_start(glm, problem.design, n_states, rng)
    n_inputs, allowed = problem.transition_inputs.shape[1], problem.prior.allowed
    chain = start_chain(n_states, n_inputs, allowed=allowed)
    return fit_em(problem, Model(emissions, chain), max_iter, tol)
