"""Expectation-maximization for a chain with any family of observations."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.cluster import kmeans_plusplus

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
from neuroml.switching._emissions import Design, Emissions, Family
from neuroml.switching._gaussian import Gaussian

__all__ = [
    "Model",
    "Problem",
    "climb_from",
    "fit_from_random_start",
    "fit_glm",
    "penalized_log_likelihood",
    "smooth_model",
]

_MOST_BINS_TO_SEED = 20_000


class Problem(NamedTuple):
    """What is fitted to what: transition inputs (T, U), first bins of sessions and T (S + 1,)."""

    family: Family
    design: Design
    transition_inputs: np.ndarray
    starts: np.ndarray
    prior: ChainPrior

    @property
    def n_observed(self) -> int:
        """Bins with any observation."""
        return int(self.design.observed.sum())


class Model(NamedTuple):
    """Parameters of a switching model."""

    emissions: Emissions
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


class _Ascent(NamedTuple):
    """A model with all that the next step of EM needs: log-probabilities (K, T), posterior."""

    model: Model
    values: np.ndarray
    smoothed: Smoothed


def smooth_model(problem: Problem, model: Model, values: np.ndarray | None = None) -> Smoothed:
    """E-step; ``values`` are the log-probabilities (K, T) if they are known."""
    if values is None:
        values = problem.family.values(model.emissions, problem.design)
    log_emissions = np.ascontiguousarray(values.T)
    return smooth_chain(model.chain, log_emissions, problem.transition_inputs, problem.starts)


def penalized_log_likelihood(problem: Problem, model: Model, log_likelihood: float) -> float:
    """Log-likelihood and log-prior, which EM never lowers."""
    emissions = problem.family.log_prior(model.emissions, problem.design).sum()
    return log_likelihood + float(emissions) + log_prior(model.chain, problem.prior)


def _assess(problem: Problem, model: Model, values: np.ndarray) -> tuple[_Ascent, float]:
    smoothed = smooth_model(problem, model, values)
    total = penalized_log_likelihood(problem, model, smoothed.log_likelihood)
    return _Ascent(model, values, smoothed), total / problem.n_observed


def climb_from(problem: Problem, model: Model, max_iter: int, tol: float) -> FitTrace[Model]:
    """Maximize the penalized log-likelihood per observed bin, from a given model."""

    def step(state: _Ascent) -> tuple[_Ascent, float]:
        posterior = np.ascontiguousarray(state.smoothed.posterior.T)
        chain = update_chain(
            state.model.chain,
            state.smoothed,
            problem.transition_inputs,
            problem.starts,
            problem.prior,
        )
        emissions, values = problem.family.m_step(
            state.model.emissions, problem.design, posterior, state.values
        )
        return _assess(problem, Model(emissions, chain), values)

    state, objective = _assess(
        problem, model, problem.family.values(model.emissions, problem.design)
    )
    ended = iterate(step, state, objective, max_iter=max_iter, tol=tol)
    return FitTrace(ended.state.model, ended.trace, ended.converged, ended.stop_reason)


def fit_glm(problem: Problem) -> Emissions:
    """The one-state model: an ordinary generalized linear model of all bins."""
    start = Model(problem.family.start(problem.design), start_chain(1))
    alone = problem._replace(transition_inputs=problem.transition_inputs[:, :0])
    return climb_from(alone, start, max_iter=200, tol=1e-12).state.emissions


def fit_from_random_start(
    problem: Problem,
    glm: Emissions,
    n_states: int,
    rng: np.random.Generator,
    max_iter: int,
    tol: float,
) -> FitTrace[Model]:
    """Fit from the one-state model with noise on its weights.

    Normal observations without inputs start from distant observations as the states' means.
    """
    chain = start_chain(n_states, problem.transition_inputs.shape[1])
    if n_states == 1:
        return climb_from(problem, Model(glm, chain), max_iter, tol)
    if isinstance(problem.family, Gaussian) and len(problem.design.inputs) == 1:
        emissions = _seeded(problem, glm, n_states, rng)
    else:
        emissions = _perturbed(problem, glm, n_states, rng)
    return climb_from(problem, Model(emissions, chain), max_iter, tol)


def _repeated(glm: Emissions, n_states: int) -> Emissions:
    return glm.of_states(np.zeros(n_states, dtype=int))


def _perturbed(
    problem: Problem, glm: Emissions, n_states: int, rng: np.random.Generator
) -> Emissions:
    emissions = _repeated(glm, n_states)
    rms = np.sqrt((problem.design.inputs**2).mean(axis=1))
    size = problem.family.unit(problem.design)[:, None] / np.where(rms > 0, rms, 1.0)
    noise = rng.uniform(0.3, 1.5) * rng.normal(size=emissions.weights.shape)
    return emissions._replace(weights=emissions.weights + noise * size)


def _seeded(problem: Problem, glm: Emissions, n_states: int, rng: np.random.Generator) -> Emissions:
    whole = np.flatnonzero(~np.isnan(problem.design.targets).any(axis=0))
    some = rng.permutation(whole)[:_MOST_BINS_TO_SEED]
    if len(some) <= n_states:
        return _perturbed(problem, glm, n_states, rng)
    scale = problem.family.unit(problem.design)[:, None]
    points = (problem.design.targets / scale).T
    centers, _ = kmeans_plusplus(points[some], n_states, random_state=int(rng.integers(2**31)))
    distance = ((np.nan_to_num(points)[:, None] - centers) ** 2).sum(axis=2)
    nearest = distance.argmin(axis=1)
    posterior = np.full((n_states, len(points)), 0.1 / n_states)
    posterior[nearest, np.arange(len(points))] += 0.9
    emissions = _repeated(glm, n_states)
    values = problem.family.values(emissions, problem.design)
    return problem.family.m_step(emissions, problem.design, posterior, values)[0]
