r"""The hidden chain: its first state, its transitions, and how they are estimated.

.. math::
    P(z_t = j | z_{t-1} = i, u_t) \propto A_{ij} \exp\Big(\sum_f u_{tf} V_{fij}\Big)

With no inputs u this is the matrix A itself. The prior puts pseudo-transitions at zero input
(a Dirichlet distribution with extra weight on staying) and a normal distribution on V.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp, softmax, xlogy

from neuroml.exceptions import DataError
from neuroml.switching._kernels.forward_backward import filter_forward, smooth
from neuroml.switching.inference import check_distributions

__all__ = [
    "Chain",
    "ChainPrior",
    "Smoothed",
    "chain_gradient",
    "filter_chain",
    "given_array",
    "given_chain",
    "log_prior",
    "log_probabilities",
    "smooth_chain",
    "start_chain",
    "transitions",
    "update_chain",
]

# Lower bound of every probability that is learned: above `TINY` of the recursions (1e-60), so that
# their fast form stays safe, and too small to be seen in a likelihood.
_RAREST = 1e-50
# The same at zero input where inputs drive transitions: a bin may be far from there, so that only
# its own probabilities, which the recursions look at, are bound by what these can bear.
_RAREST_AT_ZERO = 1e-300
_MAX_BACKTRACKS = 20  # 2^-20 is 1e-6: a smaller part of a Newton step changes nothing


class Chain(NamedTuple):
    """First-state probabilities (K,), matrix A (K, K), input weights V (F, K, K)."""

    initial: np.ndarray
    matrix: np.ndarray
    weights: np.ndarray


class ChainPrior(NamedTuple):
    """Dirichlet concentration (>= 1), pseudo-counts of staying, precision of the input weights.

    ``allowed`` (K, K) are the transitions that exist; None is all of them.
    """

    concentration: float = 1.0
    stickiness: float = 0.0
    ridge: float = 1.0
    allowed: np.ndarray | None = None

    def pseudo_counts(self, n_states: int) -> np.ndarray:
        """Transitions (K, K) that the prior adds to those expected from the data."""
        counts = np.full((n_states, n_states), self.concentration - 1.0)
        counts += self.stickiness * np.eye(n_states)
        return counts if self.allowed is None else counts * self.allowed


class Smoothed(NamedTuple):
    """Posterior (T, K), log-likelihood, and expected transitions (1 + F, K, K).

    The latter are sums over bins, weighted by 1 and by every input.
    """

    posterior: np.ndarray
    expected_transitions: np.ndarray
    log_likelihood: float


def given_array(field: str, values: ArrayLike, shape: tuple[int | str, ...]) -> np.ndarray:
    """Check an array that a user gives as a parameter; letters stand for sizes that are free."""
    array = np.asarray(values, dtype=np.float64)
    fits = array.ndim == len(shape) and all(
        isinstance(wanted, str) or size == wanted
        for size, wanted in zip(array.shape, shape, strict=True)
    )
    if not fits:
        names = ", ".join(str(size) for size in shape)
        raise DataError(
            f"{field} has another shape",
            expected=f"({names})",
            found=f"shape {array.shape}",
            field=field,
        )
    if not np.isfinite(array).all():
        raise DataError(
            f"{field} is not finite",
            expected="finite numbers",
            found=f"{int((~np.isfinite(array)).sum())} NaN or infinite",
            field=field,
        )
    return array


def given_chain(
    n_states: int,
    n_inputs: int,
    matrix: ArrayLike,
    initial_proba: ArrayLike | None,
    weights: ArrayLike | None,
) -> Chain:
    """Check a chain that a user gives; without first-state probabilities they are uniform."""
    k = n_states
    checked = given_array("transition_matrix", matrix, (k, k))
    first = (
        np.full(k, 1.0 / k)
        if initial_proba is None
        else given_array("initial_proba", initial_proba, (k,))
    )
    if (weights is None) != (n_inputs == 0):
        raise DataError(
            "transition_weights and transition_columns go together",
            expected=f"transition_weights of shape ({n_inputs or 'n_inputs'}, {k}, {k}) with "
            f"{n_inputs or 'as many'} transition_columns, or neither",
            found=f"transition_weights={None if weights is None else np.shape(weights)}, "
            f"{n_inputs} transition_columns",
            field="transition_weights",
        )
    by_input = np.zeros((0, k, k)) if weights is None else weights
    return Chain(
        check_distributions("initial_proba", first),
        check_distributions("transition_matrix", checked),
        given_array("transition_weights", by_input, (n_inputs, k, k)),
    )


def start_chain(
    n_states: int, n_inputs: int = 0, stay: float = 0.95, allowed: np.ndarray | None = None
) -> Chain:
    """A chain that stays with probability ``stay`` and has no favorite state."""
    away = (1.0 - stay) / max(n_states - 1, 1)
    matrix = np.full((n_states, n_states), away)
    np.fill_diagonal(matrix, stay if n_states > 1 else 1.0)
    if allowed is not None:
        # a fit sees no transition where there is this floor, so that it stays where it is
        matrix = _normalized(matrix * allowed)
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
    chain: Chain, log_prob: np.ndarray, inputs: np.ndarray, starts: np.ndarray
) -> Smoothed:
    """E-step: log-probabilities (K, T), transition inputs (T, F), first bins of sessions and T."""
    n_inputs = len(chain.weights)
    weights = np.column_stack([np.ones(len(inputs)), inputs]) if n_inputs else np.ones((1, 1))
    posterior, expected, totals = smooth(
        log_prob.T, transitions(chain, inputs), chain.initial, starts, weights
    )
    return Smoothed(posterior, expected, float(totals.sum()))


def filter_chain(
    chain: Chain, log_prob: np.ndarray, inputs: np.ndarray, starts: np.ndarray
) -> tuple[np.ndarray, float]:
    """P(z_t | y up to t) (T, K) from log-probabilities (K, T), and the log-likelihood."""
    filtered, totals = filter_forward(log_prob.T, transitions(chain, inputs), chain.initial, starts)
    return filtered, float(totals.sum())


def log_prior(chain: Chain, prior: ChainPrior) -> float:
    """Log-density of the prior, without its constant."""
    counts = prior.pseudo_counts(len(chain.initial))
    penalty = 0.5 * prior.ridge * float((chain.weights**2).sum())
    initial = float(xlogy(prior.concentration - 1.0, chain.initial).sum())
    return float(xlogy(counts, chain.matrix).sum()) + initial - penalty


def update_chain(
    chain: Chain,
    smoothed: Smoothed,
    inputs: np.ndarray,
    starts: np.ndarray,
    prior: ChainPrior,
    held: frozenset[str] = frozenset(),
) -> Chain:
    """M-step: the best chain given expected transitions (with inputs, a better one).

    ``held`` are fields that stay as they are.
    """
    n_states = len(chain.initial)
    first = smoothed.posterior[starts[:-1]].sum(axis=0) + (prior.concentration - 1.0)
    initial = _normalized(first)
    if len(chain.weights):
        # the step of what is free depends on what is held, and may not be cut from a joint one
        free = np.repeat(["matrix" not in held, "weights" not in held], [1, len(chain.weights)])
        matrix, weights = _update_input_driven(chain, smoothed, inputs, starts, prior, free)
        return Chain(initial, matrix, weights)
    counts = smoothed.expected_transitions[0] + prior.pseudo_counts(n_states)
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


def _normalized(mass: np.ndarray, least: float = _RAREST) -> np.ndarray:
    probabilities = np.maximum(mass / mass.sum(axis=-1, keepdims=True), least)
    return probabilities / probabilities.sum(axis=-1, keepdims=True)


def _row_logits(chain: Chain, i: int) -> np.ndarray:
    return np.concatenate([log_probabilities(chain.matrix[i])[None], chain.weights[:, i]])


class _RowProblem(NamedTuple):
    """Multinomial regression of where one state leads: design (n, 1 + F), leaving (n,)."""

    counts: np.ndarray  # (1 + F, K), weighted sums of expected transitions and pseudo-transitions
    design: np.ndarray
    leaving: np.ndarray
    ridge: float

    def value(self, logits: np.ndarray) -> float:
        normalizers = self.leaving @ logsumexp(self.design @ logits, axis=1)
        penalty = 0.5 * self.ridge * (logits[1:] ** 2).sum()
        return float((self.counts * logits).sum() - normalizers - penalty)

    def gradient(self, logits: np.ndarray) -> np.ndarray:
        # Expected transitions less what the logits predict of them, then the prior.
        predicted = self.leaving[:, None] * softmax(self.design @ logits, axis=1)
        gradient = self.counts - self.design.T @ predicted
        gradient[1:] -= self.ridge * logits[1:]
        return gradient

    def newton_direction(self, logits: np.ndarray, free: np.ndarray) -> np.ndarray:
        """Step of the logits (1 + F, K), of which only the rows that are free (1 + F,) move."""
        n_inputs, n_states = logits.shape
        probabilities = softmax(self.design @ logits, axis=1)
        # Block (j, m) of the Hessian: U^T diag(n p_j (1[j = m] - p_m)) U.
        hessian = np.empty((n_inputs, n_states, n_inputs, n_states))
        for j in range(n_states):
            for m in range(n_states):
                of_bins = probabilities[:, j] * (float(j == m) - probabilities[:, m])
                hessian[:, j, :, m] = (self.design.T * (self.leaving * of_bins)) @ self.design
        size = n_inputs * n_states
        flat = hessian.reshape(size, size)
        damping = np.repeat(np.r_[0.0, np.full(n_inputs - 1, self.ridge)], n_states)
        # A constant over states changes no probability, so that the Hessian is singular without
        # this damping; at 1e-8 of its mean diagonal it slows no other direction.
        damping += 1e-8 * (1.0 + np.trace(flat) / size)
        moves = np.repeat(free, n_states)
        damped = (flat + np.diag(damping)) * moves * moves[:, None] + np.diag(~moves)
        step = np.linalg.solve(damped, self.gradient(logits).reshape(size) * moves)
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
    counts = smoothed.expected_transitions.copy()
    counts[0] += pseudo
    return [_RowProblem(counts[:, i], design, leaving[:, i], prior.ridge) for i in range(n_states)]


def _update_input_driven(
    chain: Chain,
    smoothed: Smoothed,
    inputs: np.ndarray,
    starts: np.ndarray,
    prior: ChainPrior,
    free: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """One Newton step for every row's regression, with backtracking line search."""
    matrix, weights = chain.matrix.copy(), chain.weights.copy()
    for i, row in enumerate(_row_problems(smoothed, inputs, starts, prior)):
        logits = _row_logits(chain, i)
        direction, before = row.newton_direction(logits, free), row.value(logits)
        step_size = 1.0
        for _ in range(_MAX_BACKTRACKS):
            trial = logits + step_size * direction
            # What is judged is the row as the chain holds it, whose probabilities have a bound.
            reached = _normalized(softmax(trial[0]), _RAREST_AT_ZERO)
            trial = np.vstack([np.log(reached), trial[1:] - trial[1:].mean(axis=1, keepdims=True)])
            if row.value(trial) >= before:
                matrix[i], weights[:, i] = reached, trial[1:]
                break
            step_size *= 0.5
    return matrix, weights
