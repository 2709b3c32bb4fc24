"""Choosing the ridge of a population model by held-out spikes, inside its fit."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from neuroml._core.parallel import run_parallel
from neuroml.switching._chain import smooth_chain
from neuroml.switching._em import (
    Model,
    Problem,
    fit_em,
    fit_from_random_start,
    fit_single_state,
)
from neuroml.switching._observations.population import PopulationData

__all__ = ["RIDGES", "choose_ridge", "take_bins"]

# Precisions from a deviation of weights of 10, which is none at all, to one of .03, at which
# couplings are all but gone.
RIDGES = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)
# One fifth is held out, as in five folds; one split alone, as a fit should cost three times more at
# most. Sessions are held out where there are five, or else this many blocks of each are made, of
# which every fifth is held out: the held-out ones then stand apart in time.
_FOLDS, _BLOCKS = 5, 10
# Iterations of the one start, and then under every candidate, as many as a fit's own starts have: a
# choice between time and candidates that are judged too early; not tuned.
_ITERATIONS = 20
_GLM_MAX_ITER, _GLM_TOL = 50, 1e-6


def choose_ridge(
    problem: Problem,
    n_states: int,
    start_ridge: float,
    rng: np.random.Generator,
    tol: float,
    n_jobs: int | None,
) -> float:
    """The candidate under which held-out bins have the highest likelihood.

    Parameters
    ----------
    problem : Problem
        Of `PopulationCounts`, whose own ridge does not matter.
    n_states : int
    start_ridge : float
        Ridge of the iterations before candidates part.
    rng : Generator
    tol : float
    n_jobs : int or None
        Processes over candidates.
    """
    observations: Any = problem.observations
    held_out = _held_out(problem.starts)
    train, test = take_bins(problem, ~held_out), take_bins(problem, held_out)
    loose = train._replace(observations=observations.without_prior(start_ridge))
    glm = fit_single_state(loose, _GLM_MAX_ITER, _GLM_TOL)
    start = fit_from_random_start(loose, glm, n_states, rng, _ITERATIONS, tol).state
    tasks = [
        (train._replace(observations=observations.with_ridge(ridge)), test, start, tol)
        for ridge in RIDGES
    ]
    scores = np.array(list(run_parallel(_held_out_log_likelihood, tasks, n_jobs=n_jobs)))
    return RIDGES[int(np.argmax(np.where(np.isfinite(scores), scores, -np.inf)))]


def _held_out_log_likelihood(train: Problem, test: Problem, start: Model, tol: float) -> float:
    model = fit_em(train, start, _ITERATIONS, tol).state
    log_prob = test.observations.log_prob(model.emissions, test.design)
    # recursions that the fit has compiled anyway: those of filtering take another second
    chain = smooth_chain(model.chain, log_prob, test.transition_inputs, test.starts)
    return chain.log_likelihood


def _held_out(starts: np.ndarray) -> np.ndarray:
    """Which bins are held out: every fifth session, or every fifth block of each session."""
    borders = starts
    if len(starts) - 1 < _FOLDS:
        cuts = [
            np.linspace(first, last, _BLOCKS, endpoint=False).astype(np.int64)
            for first, last in pairwise(starts)
        ]
        borders = np.unique(np.concatenate([*cuts, starts]))
    pieces = np.repeat(np.arange(len(borders) - 1), np.diff(borders))
    # from the middle of a fold, as the first and last pieces have neighbors on one side only
    return np.asarray(pieces % _FOLDS == min(_FOLDS // 2, pieces[-1]))


def take_bins(problem: Problem, kept: np.ndarray) -> Problem:
    """The bins of a mask (T,); what is not contiguous in a session becomes sessions.

    Histories stay what they were: they hold what units did in the bins that are left out.
    """
    rows = np.flatnonzero(kept)
    first = np.isin(rows, problem.starts[:-1]) | (np.diff(rows, prepend=-2) > 1)
    design: PopulationData = problem.design
    return problem._replace(
        design=PopulationData(
            np.ascontiguousarray(design.counts[:, rows]),
            design.histories[:, rows],
            design.covariates[rows],
        ),
        transition_inputs=problem.transition_inputs[rows],
        starts=np.append(np.flatnonzero(first), len(rows)).astype(np.int64),
    )
