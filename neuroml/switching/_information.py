r"""Observed information of the marginal likelihood, from its analytic gradient.

By Fisher's identity the gradient of :math:`\log p(y|\theta)` is that of the expected complete-data
log-likelihood at the same :math:`\theta`. Its central differences give the Hessian, in parameters
without constraints: weights, free spreads, and the logits of A against its diagonal and V.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from neuroml.switching._chain import Chain, chain_gradient
from neuroml.switching._emissions import Emissions
from neuroml.switching._fit import Model, Problem, smooth_model

__all__ = ["ErrorBars", "error_bars", "free_vector", "from_free_vector", "gradient"]

_STEP = 1e-4
_RAREST_FREE = 1e-6
"""Transitions less probable than this lie on the border; they are held fixed."""


class ErrorBars(NamedTuple):
    """Standard errors of weights (K, M, F), A (K, K) and V (U, K, K)."""

    weights: np.ndarray
    matrix: np.ndarray
    chain_weights: np.ndarray


def _free_transitions(chain: Chain) -> np.ndarray:
    """Which entries of A have a logit of their own (K, K): all but the diagonal and the rare."""
    free = chain.matrix > _RAREST_FREE
    np.fill_diagonal(free, False)
    return free


def free_vector(problem: Problem, model: Model) -> np.ndarray:
    """All parameters without constraints; the first-state probabilities are left out."""
    logits = np.log(model.chain.matrix) - np.log(np.diag(model.chain.matrix))[:, None]
    return np.concatenate(
        [
            model.emissions.weights.ravel(),
            problem.family.free_spread(model.emissions.spread),
            logits[_free_transitions(model.chain)],
            model.chain.weights.ravel(),
        ]
    )


def from_free_vector(problem: Problem, vector: np.ndarray, like: Model) -> Model:
    """The inverse of `free_vector`."""
    free = _free_transitions(like.chain)
    n_weights, n_free = like.emissions.weights.size, int(free.sum())
    n_logits = n_free + like.chain.weights.size
    spread = vector[n_weights : len(vector) - n_logits]
    emissions = Emissions(
        vector[:n_weights].reshape(like.emissions.weights.shape),
        problem.family.spread_from_free(spread, like.emissions.spread),
    )
    logits = np.log(like.chain.matrix) - np.log(np.diag(like.chain.matrix))[:, None]
    tail = vector[len(vector) - n_logits :]
    logits[free] = tail[:n_free]
    chain = Chain(
        like.chain.initial,
        softmax(logits, axis=1),
        tail[n_free:].reshape(like.chain.weights.shape),
    )
    return Model(emissions, chain)


def gradient(problem: Problem, model: Model) -> np.ndarray:
    """Of log-likelihood and log-prior by `free_vector`."""
    smoothed = smooth_model(problem, model)
    by_weights, by_spread = problem.family.gradient(
        model.emissions, problem.design, np.ascontiguousarray(smoothed.posterior.T)
    )
    by_chain = chain_gradient(
        model.chain, smoothed, problem.transition_inputs, problem.starts, problem.prior
    )
    free = _free_transitions(model.chain)
    return np.concatenate([by_weights.ravel(), by_spread, by_chain[0][free], by_chain[1:].ravel()])


def error_bars(problem: Problem, model: Model) -> ErrorBars:
    """Standard errors from the inverse of the observed information; NaN where it has none."""
    at = free_vector(problem, model)
    information = np.empty((len(at), len(at)))
    for i, value in enumerate(at):
        step = np.zeros(len(at))
        step[i] = _STEP * max(1.0, abs(value))
        above, below = (
            gradient(problem, from_free_vector(problem, at + shift, model))
            for shift in (step, -step)
        )
        information[i] = (below - above) / (2.0 * step[i])
    covariance = _inverse(0.5 * (information + information.T), model.chain.weights.size)
    errors = np.sqrt(np.diag(covariance))
    n_weights, n_inputs = model.emissions.weights.size, model.chain.weights.size
    free = _free_transitions(model.chain)
    logits = slice(len(at) - n_inputs - int(free.sum()), len(at) - n_inputs)
    return ErrorBars(
        errors[:n_weights].reshape(model.emissions.weights.shape),
        _matrix_errors(model.chain.matrix, free, covariance[logits, logits]),
        errors[len(at) - n_inputs :].reshape(model.chain.weights.shape),
    )


def _inverse(information: np.ndarray, n_gauge: int) -> np.ndarray:
    """Inverse, or NaN; input weights of the chain are defined up to a constant over states."""
    values, vectors = np.linalg.eigh(information)
    flat = values < 1e-8 * values.max()
    if n_gauge == 0 and flat.any():
        warnings.warn(
            "The observed information is not positive definite: the fit is no strict maximum "
            "(too few data for so many states, or not converged). Standard errors are NaN.",
            RuntimeWarning,
            stacklevel=4,
        )
        return np.full_like(information, np.nan)
    return (vectors[:, ~flat] / values[~flat]) @ vectors[:, ~flat].T


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
        errors[i] = np.sqrt(np.einsum("ja,ab,jb->j", jacobian, block, jacobian))
    return errors
