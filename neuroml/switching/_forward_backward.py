r"""Forward-backward recursions over hidden paths, exact and without underflow.

Likelihoods enter as :math:`b_t(k) = \exp(\log p(y_t|k) - \max_j \log p(y_t|j))`. The messages

.. math::
    \alpha_t(j) = b_t(j) \sum_i \alpha_{t-1}(i) A_{ij}, \qquad
    \beta_t(i) = \sum_j A_{ij} b_{t+1}(j) \beta_{t+1}(j)

are rescaled only when their sum has become small, and run towards each other in one loop, which
hides most of the latency of their dependent sums. As long as every transition has a probability of
at least `TINY`, whatever mass underflows in a state is negligible against what any other state
regains by a single transition. Chains with rarer (or impossible) transitions run on logarithms.

Arrays: ``log_emissions (T, K)``; ``transition (1, K, K)`` or ``(T - 1, K, K)``, entry t leading
from bin t to t + 1, and ``step`` 0 or 1 to match; ``initial (K,)``; ``starts (S + 1,)``, the first
bin of every session, and T.
"""

from __future__ import annotations

import math

import numpy as np

from neuroml.switching._compiled import compiled
from neuroml.switching._elementary import exp

__all__ = ["TINY", "filter_forward", "smooth"]

TINY = 1e-60


@compiled()
def _likelihoods(log_emissions: np.ndarray, likelihoods: np.ndarray) -> float:
    """Fill ``likelihoods`` with b; return the sum of the row maxima taken out of it."""
    total = 0.0
    n_bins, n_states = log_emissions.shape
    for t in range(n_bins):
        top = log_emissions[t, 0]
        for k in range(1, n_states):
            top = max(top, log_emissions[t, k])
        total += top
        for k in range(n_states):
            likelihoods[t, k] = log_emissions[t, k] - top
    flat = likelihoods.reshape(-1)
    for i in range(flat.size):
        flat[i] = exp(flat[i])
    return total


@compiled()
def _is_regular(b: np.ndarray, transition: np.ndarray, step: int, initial: np.ndarray) -> bool:
    """Whether the rescaled recursion is safe for a session."""
    n_bins, n_states = b.shape
    mass = 0.0
    for k in range(n_states):
        mass += initial[k] * b[0, k]
    rarest = 1.0
    for t in range(n_bins - 1 if step else min(n_bins - 1, 1)):
        for i in range(n_states):
            for j in range(n_states):
                rarest = min(rarest, transition[t, i, j])
    return mass >= TINY and rarest >= TINY


@compiled()
def _messages(
    b: np.ndarray,
    transition: np.ndarray,
    step: int,
    initial: np.ndarray,
    alpha: np.ndarray,
    beta: np.ndarray,
) -> float:
    """Fill both messages of one session; return the log of the sum of the last alpha."""
    n_bins, n_states = b.shape
    ahead = b[n_bins - 1].copy()
    log_scale, alpha_sum = 0.0, 0.0
    for k in range(n_states):
        alpha[0, k] = initial[k] * b[0, k]
        alpha_sum += alpha[0, k]
        beta[n_bins - 1, k] = 1.0
    for t in range(1, n_bins):
        alpha_scale = 1.0
        if alpha_sum < TINY:
            log_scale += math.log(alpha_sum)
            alpha_scale = 1.0 / alpha_sum
        alpha_sum = 0.0
        for j in range(n_states):
            mass = 0.0
            for i in range(n_states):
                mass += alpha[t - 1, i] * transition[(t - 1) * step, i, j]
            alpha[t, j] = mass * b[t, j] * alpha_scale
            alpha_sum += alpha[t, j]
        r = n_bins - 1 - t
        beta_sum = 0.0
        for i in range(n_states):
            mass = 0.0
            for j in range(n_states):
                mass += transition[r * step, i, j] * ahead[j]
            beta[r, i] = mass
            beta_sum += mass
        beta_scale = 1.0 / beta_sum if beta_sum < TINY else 1.0
        for i in range(n_states):
            ahead[i] = beta[r, i] * b[r, i] * beta_scale
    return log_scale + math.log(alpha_sum)


@compiled()
def _combine(
    b: np.ndarray,
    transition: np.ndarray,
    step: int,
    alpha: np.ndarray,
    beta: np.ndarray,
    weights: np.ndarray,
    pairs: np.ndarray,
) -> None:
    """Turn beta into the posterior of one session, and add its weighted pairs to ``pairs``.

    With a constant transition matrix its factor is left out of the sums.
    """
    n_bins, n_states = b.shape
    plain = len(weights) == 1
    before = np.zeros(n_states)
    ahead = np.empty(n_states)
    for t in range(n_bins):
        mass, total = 0.0, 0.0
        for i in range(n_states):
            mass += beta[t, i]
            total += alpha[t, i] * beta[t, i]
        scale = 1.0 / mass if mass < TINY else 1.0
        norm = 1.0 / total
        for i in range(n_states):
            ahead[i] = b[t, i] * beta[t, i] * scale
            beta[t, i] *= alpha[t, i] * norm
        if t > 0:
            for f in range(pairs.shape[0]):
                weight = weights[0 if plain else t, f]
                for i in range(n_states):
                    for j in range(n_states):
                        pair = weight * before[i] * ahead[j]
                        pairs[f, i, j] += pair * transition[t - 1, i, j] if step else pair
        for i in range(n_states):
            before[i] = alpha[t, i] * norm


@compiled()
def _log_sum_exp(values: np.ndarray) -> float:
    top = -np.inf
    for value in values:
        top = max(top, value)
    if top == -np.inf:
        return top
    total = 0.0
    for value in values:
        total += math.exp(value - top)
    return top + math.log(total)


@compiled()
def _log_messages(
    log_b: np.ndarray,
    transition: np.ndarray,
    step: int,
    initial: np.ndarray,
    alpha: np.ndarray,
    beta: np.ndarray,
) -> float:
    """The same as `_messages` on logarithms; alpha sums to one in every bin."""
    n_bins, n_states = log_b.shape
    parts = np.empty(n_states)
    total = 0.0
    for t in range(n_bins):
        for j in range(n_states):
            if t == 0:
                alpha[0, j] = np.log(initial[j]) + log_b[0, j]
                continue
            for i in range(n_states):
                parts[i] = alpha[t - 1, i] + np.log(transition[(t - 1) * step, i, j])
            alpha[t, j] = _log_sum_exp(parts) + log_b[t, j]
        norm = _log_sum_exp(alpha[t])
        if norm == -np.inf:
            return norm
        total += norm
        for j in range(n_states):
            alpha[t, j] -= norm
    for k in range(n_states):
        beta[n_bins - 1, k] = 0.0
    for t in range(n_bins - 2, -1, -1):
        top = -np.inf
        for i in range(n_states):
            for j in range(n_states):
                parts[j] = np.log(transition[t * step, i, j]) + log_b[t + 1, j] + beta[t + 1, j]
            beta[t, i] = _log_sum_exp(parts)
            top = max(top, beta[t, i])
        for i in range(n_states):
            beta[t, i] -= top
    return total


@compiled()
def _log_combine(
    log_b: np.ndarray,
    transition: np.ndarray,
    step: int,
    alpha: np.ndarray,
    beta: np.ndarray,
    weights: np.ndarray,
    pairs: np.ndarray,
) -> None:
    """The same as `_combine` on logarithms, with the factor of a constant matrix."""
    n_bins, n_states = log_b.shape
    plain = len(weights) == 1
    joint = np.empty(n_states * n_states)
    for t in range(n_bins - 1):
        for i in range(n_states):
            for j in range(n_states):
                joint[i * n_states + j] = (
                    alpha[t, i]
                    + np.log(transition[t * step, i, j])
                    + log_b[t + 1, j]
                    + beta[t + 1, j]
                )
        norm = _log_sum_exp(joint)
        for f in range(pairs.shape[0]):
            weight = weights[0 if plain else t + 1, f]
            for i in range(n_states):
                for j in range(n_states):
                    pairs[f, i, j] += weight * math.exp(joint[i * n_states + j] - norm)
    for t in range(n_bins):
        for k in range(n_states):
            beta[t, k] += alpha[t, k]
        norm = _log_sum_exp(beta[t])
        for k in range(n_states):
            beta[t, k] = math.exp(beta[t, k] - norm)


@compiled()
def _forward(
    b: np.ndarray, transition: np.ndarray, step: int, initial: np.ndarray, alpha: np.ndarray
) -> float:
    """Fill alpha alone, normalized in every bin; return the logarithm of its norms."""
    n_bins, n_states = b.shape
    total, product = 0.0, 1.0
    for t in range(n_bins):
        norm = 0.0
        for j in range(n_states):
            mass = initial[j] if t == 0 else 0.0
            if t > 0:
                for i in range(n_states):
                    mass += alpha[t - 1, i] * transition[(t - 1) * step, i, j]
            alpha[t, j] = mass * b[t, j]
            norm += alpha[t, j]
        for j in range(n_states):
            alpha[t, j] /= norm
        product *= norm
        if product < TINY:
            total += math.log(product)
            product = 1.0
    return total + math.log(product)


@compiled()
def smooth(
    log_emissions: np.ndarray,
    transition: np.ndarray,
    initial: np.ndarray,
    starts: np.ndarray,
    weights: np.ndarray,
    posterior: np.ndarray,
    pairs: np.ndarray,
    log_likelihoods: np.ndarray,
) -> None:
    """Smooth every session.

    Parameters
    ----------
    log_emissions, transition, initial, starts
        As at the top of this module.
    weights : ndarray of shape (T, F) or (1, 1)
        Weights of the pair of bins (t - 1, t) in the sums, or 1.
    posterior : ndarray of shape (T, K)
        Filled with P(z_t = k | y).
    pairs : ndarray of shape (F, K, K)
        The weighted pair probabilities of all sessions are added to it.
    log_likelihoods : ndarray of shape (S,)
        Filled with every session's log-likelihood, -inf where no path is possible.
    """
    longest = 0
    for s in range(len(starts) - 1):
        longest = max(longest, starts[s + 1] - starts[s])
    workspace = np.empty((2, longest, len(initial)))
    products = np.zeros_like(pairs)
    step, plain = int(len(transition) > 1), len(weights) == 1
    for s in range(len(starts) - 1):
        first, last = starts[s], starts[s + 1]
        onward = transition[first * step :]
        weight = weights if plain else weights[first:last]
        log_b, beta = log_emissions[first:last], posterior[first:last]
        b, a = workspace[0, : last - first], workspace[1, : last - first]
        tops = _likelihoods(log_b, b)
        if _is_regular(b, onward, step, initial):
            log_likelihoods[s] = tops + _messages(b, onward, step, initial, a, beta)
            _combine(b, onward, step, a, beta, weight, products)
        else:
            log_likelihoods[s] = _log_messages(log_b, onward, step, initial, a, beta)
            if log_likelihoods[s] > -np.inf:
                _log_combine(log_b, onward, step, a, beta, weight, pairs)
    for f in range(len(pairs)):
        for i in range(len(initial)):
            for j in range(len(initial)):
                factor = 1.0 if step else transition[0, i, j]
                pairs[f, i, j] += products[f, i, j] * factor


@compiled()
def filter_forward(
    log_emissions: np.ndarray,
    transition: np.ndarray,
    initial: np.ndarray,
    starts: np.ndarray,
    filtered: np.ndarray,
    log_likelihoods: np.ndarray,
) -> None:
    """Fill ``filtered (T, K)`` with P(z_t = k | y_0..t), and every session's log-likelihood."""
    step = int(len(transition) > 1)
    for s in range(len(starts) - 1):
        first, last = starts[s], starts[s + 1]
        onward = transition[first * step :]
        log_b, alpha = log_emissions[first:last], filtered[first:last]
        b = np.empty_like(log_b)
        tops = _likelihoods(log_b, b)
        if _is_regular(b, onward, step, initial):
            log_likelihoods[s] = tops + _forward(b, onward, step, initial, alpha)
        else:
            log_likelihoods[s] = _log_messages(log_b, onward, step, initial, alpha, b)
            for t in range(last - first):
                for k in range(len(initial)):
                    alpha[t, k] = math.exp(alpha[t, k])
