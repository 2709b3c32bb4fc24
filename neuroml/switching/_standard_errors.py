r"""Standard errors from the gradient of the marginal likelihood, observed and clustered.

By Fisher's identity the gradient of :math:`\log p(y|\theta)` is that of the expected complete-data
log-likelihood at the same :math:`\theta`. Its central differences give the Hessian, in parameters
without constraints: weights, free noise, and the logits of A against the largest of its row and
V. The observed information H (with priors) has errors of a model that is right; where sessions
differ beyond their states, the sandwich has them,

.. math::
    H^{-1} \Big[\tfrac{G}{G - 1} \sum_g (s_g - \bar s)(s_g - \bar s)^T\Big] H^{-1},

with the exact gradient :math:`s_g` of each cluster's log-likelihood (without priors) at the
estimate. It is centered, since priors keep the sum from zero.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import null_space
from scipy.special import softmax

from neuroml._core.validation import session_slices
from neuroml._core.warn import warn_caller
from neuroml.exceptions import DataError
from neuroml.switching._chain import Chain, ChainPrior, chain_gradient, log_probabilities
from neuroml.switching._em import Model, Problem, smooth_model
from neuroml.switching._labels import of_sessions
from neuroml.switching._observations.base import Design, Emissions, Family

__all__ = [
    "ErrorBars",
    "cluster_scores",
    "error_bars",
    "free_vector",
    "from_free_vector",
    "gradient",
    "session_clusters",
]

# Central differences of a gradient in float64: the step that balances truncation (step^2) and
# rounding (1e-16 / step) is about the cube root of 1e-16, some 1e-5; ten times that, since sums
# over many bins round more.
_STEP = 1e-4
# Transitions less probable than this lie on the border; they are held fixed.
_RAREST_FREE = 1e-6
# An eigenvalue of the information this far below the largest is zero to the accuracy of the
# differences (the square of their step).
_SMALLEST_EIGENVALUE = 1e-8
# With fewer clusters their spread is not known well enough to be preferred unasked; with fewer than
# the second number it is used with a warning. Both are conventions, see Cameron and Miller (2015),
# A practitioner's guide to cluster-robust inference, J. Human Resources 50:317-372.
_FEWEST_BY_DEFAULT, _FEW_CLUSTERS = 10, 20
_FLAT = ChainPrior(concentration=1.0, stickiness=0.0, ridge=0.0)


class ErrorBars(NamedTuple):
    """Standard errors of weights (K, M, F), free noise (n,), A (K, K) and V (U, K, K)."""

    weights: np.ndarray
    free_noise: np.ndarray
    matrix: np.ndarray
    chain_weights: np.ndarray


def _free_transitions(chain: Chain) -> np.ndarray:
    """Which entries of A have a logit of their own (K, K): all but the largest and the rare."""
    free = chain.matrix > _RAREST_FREE
    free[np.arange(len(free)), chain.matrix.argmax(axis=1)] = False
    return free


def _logits(chain: Chain) -> np.ndarray:
    """Logits of A, against the largest of its row."""
    return log_probabilities(chain.matrix) - np.log(chain.matrix.max(axis=1))[:, None]


def free_vector(family: Family, model: Model) -> np.ndarray:
    """All parameters without constraints; the first-state probabilities are left out."""
    return np.concatenate(
        [
            model.emissions.weights.ravel(),
            family.free_noise(model.emissions.noise),
            _logits(model.chain)[_free_transitions(model.chain)],
            model.chain.weights.ravel(),
        ]
    )


def from_free_vector(family: Family, vector: np.ndarray, like: Model) -> Model:
    """The inverse of `free_vector`."""
    free = _free_transitions(like.chain)
    n_weights, n_free = like.emissions.weights.size, int(free.sum())
    n_logits = n_free + like.chain.weights.size
    noise = vector[n_weights : len(vector) - n_logits]
    emissions = Emissions(
        vector[:n_weights].reshape(like.emissions.weights.shape),
        family.noise_from_free(noise, like.emissions.noise),
    )
    logits = _logits(like.chain)
    tail = vector[len(vector) - n_logits :]
    logits[free] = tail[:n_free]
    chain = Chain(
        like.chain.initial,
        softmax(logits, axis=1),
        tail[n_free:].reshape(like.chain.weights.shape),
    )
    return Model(emissions, chain)


def gradient(family: Family, problem: Problem, model: Model) -> np.ndarray:
    """Gradient of log-likelihood and log-prior by `free_vector`."""
    smoothed = smooth_model(problem, model)
    by_weights, by_noise = family.gradient(
        model.emissions, problem.design, problem.responsibilities(smoothed.posterior)
    )
    by_chain = chain_gradient(
        model.chain, smoothed, problem.transition_inputs, problem.starts, problem.prior
    )
    free = _free_transitions(model.chain)
    return np.concatenate([by_weights.ravel(), by_noise, by_chain[0][free], by_chain[1:].ravel()])


def session_clusters(
    starts: np.ndarray, cov: str | None, clusters: np.ndarray | None
) -> np.ndarray | None:
    """Cluster of every session, numbered from 0; None where errors are of the observed kind.

    Parameters
    ----------
    starts : ndarray of int of shape (n_sessions + 1,)
    cov : {"observed", "sandwich"} or None
        None: "sandwich" if clusters are given or there are ten sessions.
    clusters : ndarray of shape (n_bins,), or None
        None: each session is one.
    """
    n_sessions = len(starts) - 1
    if cov == "observed" and clusters is not None:
        raise ValueError("clusters= has no meaning with cov='observed': give cov='sandwich'.")
    if cov == "observed" or (cov is None and clusters is None and n_sessions < _FEWEST_BY_DEFAULT):
        return None
    of_session = (
        np.arange(n_sessions)
        if clusters is None
        else of_sessions(starts, clusters, "clusters", "cluster")
    )
    n_clusters = len(np.unique(of_session))
    if n_clusters < 2:
        raise DataError(
            "one cluster has no spread",
            expected="two clusters or more, better twenty",
            found="1",
            fix="Pass sessions= or clusters=, or use cov='observed'.",
            field="clusters",
        )
    if n_clusters < _FEW_CLUSTERS:
        warn_caller(
            f"Standard errors from {n_clusters} clusters tend to be too small: from fewer than "
            f"{_FEW_CLUSTERS} their own spread is uncertain (clusters are the sessions, unless "
            "clusters= names others). Compare with standard_errors(cov='observed'), which "
            "assumes that sessions differ by their states alone.",
            UserWarning,
        )
    return of_session


def cluster_scores(
    family: Family, problem: Problem, model: Model, clusters: np.ndarray
) -> np.ndarray:
    """Gradient of each cluster's log-likelihood by `free_vector` (G, n), without the priors.

    Sessions are independent, so that the gradient of one needs its own posterior alone.
    """
    scores = np.zeros((clusters.max() + 1, len(free_vector(family, model))))
    flat = family.without_prior()
    sessions = np.repeat(np.arange(len(clusters)), np.diff(problem.starts))
    for cluster, rows in zip(clusters, session_slices(sessions), strict=True):
        design = Design(
            np.ascontiguousarray(problem.design.inputs[:, rows]),
            np.ascontiguousarray(problem.design.targets[:, rows]),
            problem.design.has_intercept,
        )
        starts = np.array([0, rows.stop - rows.start])
        weights = None if problem.weights is None else problem.weights[rows]
        inputs = problem.transition_inputs[rows]
        alone = Problem(flat, design, inputs, starts, _FLAT, weights=weights)
        scores[cluster] += gradient(flat, alone, model)
    return scores


def error_bars(
    family: Family, problem: Problem, model: Model, clusters: np.ndarray | None = None
) -> ErrorBars:
    """Standard errors, observed or by the clusters of sessions; NaN where there is no maximum."""
    at = free_vector(family, model)
    # Minus the Hessian, one row for each parameter: central differences of the gradient.
    information = np.empty((len(at), len(at)))
    for i, value in enumerate(at):
        step = np.zeros(len(at))
        step[i] = _STEP * max(1.0, abs(value))
        above, below = (
            gradient(family, problem, from_free_vector(family, at + shift, model))
            for shift in (step, -step)
        )
        information[i] = (below - above) / (2.0 * step[i])
    # Averaged with its transpose, as differences are symmetric only to rounding; then inverted.
    covariance = _inverse(0.5 * (information + information.T), _undetermined(model.chain))
    if clusters is not None:
        scores = cluster_scores(family, problem, model, clusters)
        # numpy's covariance is centered and divides by G - 1: G times it estimates the sum's.
        spread = len(scores) * np.atleast_2d(np.cov(scores, rowvar=False))
        covariance = covariance @ spread @ covariance
    errors = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    n_weights, n_inputs = model.emissions.weights.size, model.chain.weights.size
    free = _free_transitions(model.chain)
    logits = slice(len(at) - n_inputs - int(free.sum()), len(at) - n_inputs)
    return ErrorBars(
        errors[:n_weights].reshape(model.emissions.weights.shape),
        errors[n_weights : logits.start],
        _matrix_errors(model.chain.matrix, free, covariance[logits, logits]),
        errors[len(at) - n_inputs :].reshape(model.chain.weights.shape),
    )


def _undetermined(chain: Chain) -> np.ndarray:
    """Directions of the input weights (n, U K K) that change no transition.

    They are a constant over the states that a row may lead to, and the weights of those that it
    cannot lead to.
    """
    possible = chain.matrix > _RAREST_FREE
    size = possible.size
    constants = np.zeros((len(possible), size))
    for i, row in enumerate(possible):
        constants[i, i * len(row) : (i + 1) * len(row)] = row
    by_input = np.vstack([constants, np.eye(size)[~possible.ravel()]])
    return np.kron(np.eye(len(chain.weights)), by_input)


def _inverse(information: np.ndarray, undetermined: np.ndarray) -> np.ndarray:
    """Inverse among the directions that the last parameters determine; NaN if there is none."""
    before = len(information) - undetermined.shape[1]
    kept = np.eye(len(information))
    if undetermined.size:
        held = np.pad(undetermined, ((0, 0), (before, 0)))
        kept = null_space(held)
    values, vectors = np.linalg.eigh(kept.T @ information @ kept)
    if not values.min(initial=np.inf) > _SMALLEST_EIGENVALUE * np.abs(values).max(initial=0.0):
        warn_caller(
            "The observed information is not positive definite: the fit is no strict maximum "
            "(too few data for so many states, or not converged). Standard errors are NaN.",
            RuntimeWarning,
        )
        return np.full_like(information, np.nan)
    directions = kept @ vectors
    return (directions / values) @ directions.T


def _matrix_errors(matrix: np.ndarray, free: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Delta method from free logits to A; 0 where it is held fixed."""
    errors = np.zeros_like(matrix)
    of_row, of_column = np.nonzero(free)
    for i, row in enumerate(matrix):
        mine = of_row == i
        columns = of_column[mine]
        jacobian = -np.outer(row, row[columns])
        jacobian[columns, np.arange(len(columns))] += row[columns]
        block = covariance[np.ix_(mine, mine)]
        # a variance of zero may come out just below it
        variances = np.einsum("ja,ab,jb->j", jacobian, block, jacobian)
        errors[i] = np.sqrt(np.where(variances < 0, 0.0, variances))
    return errors
