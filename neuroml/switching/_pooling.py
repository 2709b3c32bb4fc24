"""How subjects share the weights of a switching model: completely, partly, or not at all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from neuroml._core.iteration import FitTrace, iterate
from neuroml.switching._em import Model, Problem, fit_em, smooth_model
from neuroml.switching._observations.base import Emissions
from neuroml.switching._observations.cohort import (
    CohortDesign,
    CohortEmissions,
    Learned,
    PartialPooling,
    Separate,
    spread,
)

__all__ = ["POOLINGS", "WITHOUT_PARTIAL", "adapt_subject", "by_subject", "fit_cohort"]

POOLINGS = ("complete", "partial", "none")
# Differences of a gradient in float64, relative to a weight that moves the predictor by one: the
# error of truncation is about this share of the information, that of rounding far below.
_STEP = 1e-4
WITHOUT_PARTIAL = ("negative_binomial",)  # its dispersions have no pooled M-step


def by_subject(
    problem: Problem, pooling: str, subjects: np.ndarray, *, learns: bool = True
) -> Problem:
    """The problem of a pooled model with the bins of each subject apart.

    Parameters
    ----------
    problem : Problem
        Of a `Family`.
    pooling : {"partial", "none"}
    subjects : ndarray of int of shape (n_bins,)
        Place of each bin's subject among those fitted.
    learns : bool
        Whether a fit learns the cohort's weights and variances.
    """
    family: Any = problem.observations
    partly = pooling == "partial"
    return problem._replace(
        observations=PartialPooling(family, learns=learns) if partly else Separate(family),
        design=CohortDesign(problem.design, subjects),
    )


def fit_cohort(problem: Problem, pooled: Model, max_iter: int, tol: float) -> FitTrace[Model]:
    """Let subjects part from the pooled model, so that their states are the same ones.

    With partial pooling an iteration is a whole fit under given variances, which never falls, and a
    step of the variances. The trace holds the evidence by Laplace's approximation, which such a
    step may lower a little.
    """
    observations = problem.observations
    if not isinstance(observations, PartialPooling):
        emissions = spread(pooled.emissions, 1 + int(problem.design.subjects.max()))
        return fit_em(problem, pooled._replace(emissions=emissions), max_iter, tol)

    def settle(model: Model, variance: np.ndarray) -> tuple[tuple[Model, Learned], float]:
        emissions = model.emissions._replace(variance=variance)
        fit = fit_em(problem, model._replace(emissions=emissions), max_iter, tol)
        information = observed_information(problem, fit.state)
        learned = observations.learn(fit.state.emissions, problem.design, information)
        evidence = fit.objective + learned.log_volume / problem.n_observed
        return (fit.state, learned), evidence

    start = observations.begin(pooled.emissions, problem.design)
    state, evidence = settle(pooled._replace(emissions=start), start.variance)
    ended = iterate(
        lambda before: settle(before[0], before[1].variance), state, evidence,
        max_iter=max_iter, tol=tol, monotone=False,
    )  # fmt: skip
    model, learned = ended.state
    model = model._replace(emissions=model.emissions._replace(std=learned.std))
    return FitTrace(model, ended.trace, ended.converged, ended.stop_reason)


def observed_information(problem: Problem, model: Model) -> np.ndarray:
    """Observed information (S, n, n) of every subject's weights, with those of all its states.

    Differences of the gradient, which by Fisher's identity is that of the expected log-likelihood.
    Subjects do not change each other's, so that one difference serves all of them.
    """
    observations: Any = problem.observations
    design: CohortDesign = problem.design
    emissions: CohortEmissions = model.emissions
    log_prob = observations.log_prob(emissions, design)
    weights = emissions.subjects.weights
    n_subjects, n = len(weights), weights[0].size
    steps = _STEP * np.sqrt(observations.unit(design, emissions.mean)).ravel()
    at = _gradient(problem, model, log_prob)
    information = np.empty((n_subjects, n, n))
    for i, step in enumerate(steps):
        moved = weights.reshape(n_subjects, n).copy()
        moved[:, i] += step
        subjects = emissions.subjects._replace(weights=moved.reshape(weights.shape))
        shifted = emissions._replace(subjects=subjects)
        state = np.array([i * len(weights[0]) // n])
        log_shifted = log_prob.copy()
        log_shifted[state] = observations.log_prob(shifted.of_states(state), design)
        there = _gradient(problem, model._replace(emissions=shifted), log_shifted)
        information[:, i] = (at - there) / step
    symmetric = 0.5 * (information + information.transpose(0, 2, 1))
    # negative where a subject is not at its own maximum: there it tells nothing
    values, vectors = np.linalg.eigh(symmetric)
    return (vectors * np.maximum(values, 0.0)[:, None]) @ vectors.transpose(0, 2, 1)


def _gradient(problem: Problem, model: Model, log_prob: np.ndarray) -> np.ndarray:
    """Gradient of every subject's log-likelihood by its weights: (S, n)."""
    observations: Any = problem.observations
    family = observations.family.of_subjects()
    resp = problem.responsibilities(smooth_model(problem, model, log_prob).posterior)
    return np.stack([
        family.gradient(
            model.emissions.of(part.subject), part.design, np.ascontiguousarray(resp[:, part.bins])
        )[0].ravel()
        for part in problem.design.parts
    ])  # fmt: skip


def adapt_subject(problem: Problem, model: Model, max_iter: int, tol: float) -> FitTrace[Model]:
    """Weights of one subject more under what a cohort taught, which stays as it is.

    Parameters
    ----------
    problem : Problem
        The new subject's bins, as those of subject 0, of observations that do not learn.
    model : Model
        Of the cohort.
    """
    emissions: CohortEmissions = model.emissions
    noise = emissions.subjects.noise[0]
    start = spread(Emissions(emissions.mean, noise), 1)._replace(variance=emissions.variance)
    held = problem._replace(held=frozenset(model.chain._fields))
    fit = fit_em(held, Model(start, model.chain), max_iter, tol)
    information = observed_information(held, fit.state)
    precision = information + np.diag(1.0 / start.variance.ravel())
    std = np.sqrt(np.einsum("sii->si", np.linalg.inv(precision))).reshape(start.std.shape)
    found = fit.state._replace(emissions=fit.state.emissions._replace(std=std))
    return replace(fit, state=found)
