r"""The hidden chain: its first state, its transitions, and how they are estimated.

.. math::
    P(z_t = j | z_{t-1} = i, u_t) \propto A_{ij} \exp\Big(\sum_f u_{tf} V_{fij}\Big)

With no inputs u this is the matrix A itself. The prior puts pseudo-transitions at zero input
(a Dirichlet distribution with extra weight on staying) and a normal distribution on V.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp, softmax, xlogy

from neuroml.switching._forward_backward import filter_forward, smooth

__all__ = [
    "Chain",
    "ChainPrior",
    "Smoothed",
    "chain_gradient",
    "filter_chain",
    "log_prior",
    "log_probabilities",
    "smooth_chain",
    "start_chain",
    "transitions",
    "update_chain",
]

_RAREST = 1e-50
"""Lower bound of every probability, within which the fast recursions are safe."""
_MOST_HALVINGS = 20


class Chain(NamedTuple):
    """First-state probabilities (K,), matrix A (K, K), input weights V (F, K, K)."""

    initial: np.ndarray
    matrix: np.ndarray
    weights: np.ndarray


class ChainPrior(NamedTuple):
    """Dirichlet concentration (>= 1), pseudo-counts of staying, precision of the input weights."""

    concentration: float = 1.0
    stickiness: float = 0.0
    ridge: float = 1.0

    def pseudo_counts(self, n_states: int) -> np.ndarray:
        """Transitions (K, K) that the prior adds to those expected from the data."""
        return np.full((n_states, n_states), self.concentration - 1.0) + self.stickiness * np.eye(
            n_states
        )


class Smoothed(NamedTuple):
    """Posterior (T, K), pair sums weighted by (1, u) (1 + F, K, K), and the log-likelihood."""

    posterior: np.ndarray
    pairs: np.ndarray
    log_likelihood: float


def start_chain(n_states: int, n_inputs: int = 0, stay: float = 0.95) -> Chain:
    """A chain that stays with probability ``stay`` and has no favorite state."""
    away = (1.0 - stay) / max(n_states - 1, 1)
    matrix = np.full((n_states, n_states), away)
    np.fill_diagonal(matrix, stay if n_states > 1 else 1.0)
    return Chain(
        np.full(n_states, 1.0 / n_states), matrix, np.zeros((n_inputs, n_states, n_states))
    )


def log_probabilities(probabilities: np.ndarray) -> np.ndarray:
    """Logarithms, minus infinity for what is impossible."""
    with np.errstate(divide="ignore"):
        return np.log(probabilities)


def transitions(chain: Chain, inputs: np.ndarray) -> np.ndarray:
    """Transition matrices, (1, K, K) or (T - 1, K, K) for inputs (T, F)."""
    if not len(chain.weights) or len(inputs) < 2:
        return chain.matrix[None]
    logits = log_probabilities(chain.matrix) + np.tensordot(inputs[1:], chain.weights, axes=1)
    return softmax(logits, axis=2)


def smooth_chain(
    chain: Chain, log_emissions: np.ndarray, inputs: np.ndarray, starts: np.ndarray
) -> Smoothed:
    """E-step: log-emissions (T, K), transition inputs (T, F), first bins of sessions and T."""
    n_inputs, n_states = len(chain.weights), len(chain.initial)
    posterior = np.empty_like(log_emissions)
    pairs = np.zeros((1 + n_inputs, n_states, n_states))
    totals = np.empty(len(starts) - 1)
    weights = np.column_stack([np.ones(len(inputs)), inputs]) if n_inputs else np.ones((1, 1))
    smooth(
        log_emissions,
        transitions(chain, inputs),
        chain.initial,
        starts,
        weights,
        posterior,
        pairs,
        totals,
    )
    return Smoothed(posterior, pairs, float(totals.sum()))


def filter_chain(
    chain: Chain, log_emissions: np.ndarray, inputs: np.ndarray, starts: np.ndarray
) -> tuple[np.ndarray, float]:
    """P(z_t | y up to t) (T, K), and the log-likelihood."""
    filtered, totals = np.empty_like(log_emissions), np.empty(len(starts) - 1)
    filter_forward(
        log_emissions, transitions(chain, inputs), chain.initial, starts, filtered, totals
    )
    return filtered, float(totals.sum())


def log_prior(chain: Chain, prior: ChainPrior) -> float:
    """Log-density of the prior, without its constant."""
    counts = prior.pseudo_counts(len(chain.initial))
    penalty = 0.5 * prior.ridge * float((chain.weights**2).sum())
    initial = float(xlogy(prior.concentration - 1.0, chain.initial).sum())
    return float(xlogy(counts, chain.matrix).sum()) + initial - penalty


def update_chain(
    chain: Chain, smoothed: Smoothed, inputs: np.ndarray, starts: np.ndarray, prior: ChainPrior
) -> Chain:
    """M-step: the best chain given expected transitions (with inputs, a better one)."""
    n_states = len(chain.initial)
    first = smoothed.posterior[starts[:-1]].sum(axis=0) + (prior.concentration - 1.0)
    initial = _normalized(first)
    if len(chain.weights):
        matrix, weights = _update_input_driven(chain, smoothed, inputs, starts, prior)
        return Chain(initial, matrix, weights)
    counts = smoothed.pairs[0] + prior.pseudo_counts(n_states)
    left = counts.sum(axis=1) > 0  # a state that was never left keeps its row
    matrix = chain.matrix.copy()
    matrix[left] = _normalized(counts[left])
    return chain._replace(initial=initial, matrix=matrix)


def chain_gradient(
    chain: Chain, smoothed: Smoothed, inputs: np.ndarray, starts: np.ndarray, prior: ChainPrior
) -> np.ndarray:
    """Derivative of the expected log-probability and prior by (log A, V): (1 + F, K, K).

    By Fisher's identity it is also that of the log-likelihood and prior.
    """
    rows = _row_problems(smoothed, inputs, starts, prior)
    return np.stack([row.gradient(_row_logits(chain, i)) for i, row in enumerate(rows)], axis=1)


def _normalized(mass: np.ndarray) -> np.ndarray:
    shares = np.maximum(mass / mass.sum(axis=-1, keepdims=True), _RAREST)
    return shares / shares.sum(axis=-1, keepdims=True)


def _row_logits(chain: Chain, i: int) -> np.ndarray:
    return np.concatenate([log_probabilities(chain.matrix[i])[None], chain.weights[:, i]])


class _RowProblem(NamedTuple):
    """Multinomial regression of where one state leads: design (n, 1 + F), leaving (n,)."""

    counts: np.ndarray  # (1 + F, K), weighted sums of expected transitions and pseudo-transitions
    design: np.ndarray
    leaving: np.ndarray
    ridge: float

    def value(self, logits: np.ndarray) -> float:
        spent = self.leaving @ logsumexp(self.design @ logits, axis=1)
        penalty = 0.5 * self.ridge * (logits[1:] ** 2).sum()
        return float((self.counts * logits).sum() - spent - penalty)

    def gradient(self, logits: np.ndarray) -> np.ndarray:
        shares = self.leaving[:, None] * softmax(self.design @ logits, axis=1)
        gradient = self.counts - self.design.T @ shares
        gradient[1:] -= self.ridge * logits[1:]
        return gradient

    def newton_direction(self, logits: np.ndarray) -> np.ndarray:
        n_inputs, n_states = logits.shape
        shares = softmax(self.design @ logits, axis=1)
        curvature = np.empty((n_inputs, n_states, n_inputs, n_states))
        for j in range(n_states):
            for m in range(n_states):
                bend = self.leaving * shares[:, j] * (float(j == m) - shares[:, m])
                curvature[:, j, :, m] = (self.design.T * bend) @ self.design
        size = n_inputs * n_states
        flat = curvature.reshape(size, size)
        damping = np.repeat(np.r_[0.0, np.full(n_inputs - 1, self.ridge)], n_states)
        damping += 1e-8 * (1.0 + np.trace(flat) / size)  # a constant over states changes nothing
        step = np.linalg.solve(flat + np.diag(damping), self.gradient(logits).reshape(size))
        return step.reshape(logits.shape)


def _row_problems(
    smoothed: Smoothed, inputs: np.ndarray, starts: np.ndarray, prior: ChainPrior
) -> list[_RowProblem]:
    """One regression per state; the prior's transitions are a last row, at zero input."""
    n_states = smoothed.posterior.shape[1]
    arrivals = np.ones(len(smoothed.posterior), dtype=bool)
    arrivals[starts[:-1]] = False
    at = np.flatnonzero(arrivals)
    design = np.zeros((len(at) + 1, 1 + inputs.shape[1]))
    design[:, 0] = 1.0
    design[:-1, 1:] = inputs[at]
    pseudo = prior.pseudo_counts(n_states)
    leaving = np.vstack([smoothed.posterior[at - 1], pseudo.sum(axis=1)])
    counts = smoothed.pairs.copy()
    counts[0] += pseudo
    return [_RowProblem(counts[:, i], design, leaving[:, i], prior.ridge) for i in range(n_states)]


def _update_input_driven(
    chain: Chain, smoothed: Smoothed, inputs: np.ndarray, starts: np.ndarray, prior: ChainPrior
) -> tuple[np.ndarray, np.ndarray]:
    """One Newton step for every row's regression, halved until it gains."""
    matrix, weights = chain.matrix.copy(), chain.weights.copy()
    for i, row in enumerate(_row_problems(smoothed, inputs, starts, prior)):
        logits = _row_logits(chain, i)
        direction, before = row.newton_direction(logits), row.value(logits)
        for _ in range(_MOST_HALVINGS):
            trial = logits + direction
            if row.value(trial) >= before:
                matrix[i] = _normalized(softmax(trial[0]))
                weights[:, i] = trial[1:] - trial[1:].mean(axis=1, keepdims=True)
                break
            direction = 0.5 * direction
    return matrix, weights
