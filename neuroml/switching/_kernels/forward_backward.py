r"""Recursions over hidden paths: forward-backward, filtering, the best path and random paths.

Likelihoods enter as :math:`b_t(k) = \exp(\log p(y_t|k) - \max_j \log p(y_t|j))`. The messages

.. math::
    \alpha_t(j) = b_t(j) \sum_i \alpha_{t-1}(i) A_{ij}, \qquad
    \beta_t(i) = \sum_j A_{ij} b_{t+1}(j) \beta_{t+1}(j)

are rescaled only when their sum has become small, and run towards each other in one loop, which
hides most of the latency of their dependent sums. As long as every transition has a probability of
at least `TINY`, whatever mass underflows in a state is negligible against what any other state
regains by a single transition. Sessions with rarer (or impossible) transitions run on logarithms;
these loops are compiled only when there is such a session.

Arrays: ``log_emissions (T, K)``, fastest as the transpose of a contiguous array; ``transition
(1, K, K)`` or ``(T - 1, K, K)``, entry t leading from bin t to t + 1; ``initial (K,)``; ``starts
(S + 1,)``, the first bin of every session, and T.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import cache

import numpy as np

from neuroml.switching._kernels.compiled import compiled
from neuroml.switching._kernels.links import exp_in_place

__all__ = ["TINY", "best_paths", "filter_forward", "random_paths", "smooth"]

# Squared, it is still far above the smallest normal number (2e-308), so that a sum that has just
# escaped rescaling survives one more transition of this probability.
TINY = 1e-60
# Bins that are smoothed together: their messages then stay in a core's cache (0.4 MB of 3 states).
_BLOCK = 8192
# Loops over more states gain less than the seconds that compiling them for their number takes.
_UNROLLED = 4


def _likelihoods(log_emissions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """B (T, K), and the row maxima (T,) taken out of it."""
    top = log_emissions.max(axis=1)
    # A bin that is impossible in every state has a b of 0, and its session runs on logarithms.
    b = log_emissions - np.maximum(top, np.finfo(np.float64).min)[:, None]
    exp_in_place(b.ravel(order="K"))  # a view, as b has the layout of log_emissions without gaps
    return np.ascontiguousarray(b), top


def _regular_sessions(
    b: np.ndarray, top: np.ndarray, transition: np.ndarray, initial: np.ndarray, starts: np.ndarray
) -> np.ndarray:
    """Whether the rescaled recursion is safe, for every session (S,)."""
    possible = b[starts[:-1]] @ initial >= TINY
    if not (top > -np.inf).all():
        possible &= np.logical_and.reduceat(top > -np.inf, starts[:-1])
    if transition.min() >= TINY:
        return possible
    if len(transition) == 1:
        return possible & (np.diff(starts) == 1)
    # The transition from a session's last bin leads nowhere, so that it may be anything.
    rarest = np.full(len(b), np.inf)
    rarest[:-1] = transition.min(axis=(1, 2))
    rarest[starts[1:] - 1] = np.inf
    return possible & (np.minimum.reduceat(rarest, starts[:-1]) >= TINY)


@compiled(inline=True)
def _messages(
    n_states: int,
    b: np.ndarray,
    transition: np.ndarray,
    initial: np.ndarray,
    starts: np.ndarray,
    regular: np.ndarray,
    alpha: np.ndarray,
    beta: np.ndarray,
    log_norms: np.ndarray,
) -> None:
    """Fill both messages of regular sessions, and the logs of the sums of their last alpha."""
    step = 1 if len(transition) > 1 else 0
    ahead = np.empty(n_states)
    for s in range(len(starts) - 1):
        if not regular[s]:
            continue
        first, last = starts[s], starts[s + 1]
        log_scale, alpha_sum = 0.0, 0.0
        for k in range(n_states):
            ahead[k] = b[last - 1, k]
            alpha[first, k] = initial[k] * b[first, k]
            alpha_sum += alpha[first, k]
            beta[last - 1, k] = 1.0
        for t in range(first + 1, last):
            # Forward, from t - 1 to t.
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
            # Backward, from r + 1 to r; `ahead` is b * beta of the bin after r.
            r = last - 1 - (t - first)
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
        log_norms[s] = log_scale + math.log(alpha_sum)


@compiled(inline=True)
def _combine(
    n_states: int,
    b: np.ndarray,
    transition: np.ndarray,
    starts: np.ndarray,
    regular: np.ndarray,
    alpha: np.ndarray,
    beta: np.ndarray,
    weights: np.ndarray,
    expected: np.ndarray,
) -> None:
    """Turn beta into the posterior, and add the weighted expected transitions to ``expected``.

    With a constant transition matrix its factor is left out of the sums.
    """
    step = 1 if len(transition) > 1 else 0
    plain = len(weights) == 1
    before, ahead = np.empty(n_states), np.empty(n_states)
    for s in range(len(starts) - 1):
        if not regular[s]:
            continue
        for t in range(starts[s], starts[s + 1]):
            mass, total = 0.0, 0.0
            for i in range(n_states):
                mass += beta[t, i]
                total += alpha[t, i] * beta[t, i]
            scale = 1.0 / mass if mass < TINY else 1.0
            norm = 1.0 / total
            # The posterior of bin t.
            for i in range(n_states):
                ahead[i] = b[t, i] * beta[t, i] * scale
                beta[t, i] *= alpha[t, i] * norm
            # The joint posterior of bins t - 1 and t.
            if t > starts[s]:
                for f in range(expected.shape[0]):
                    weight = weights[0 if plain else t, f]
                    for i in range(n_states):
                        for j in range(n_states):
                            joint = weight * before[i] * ahead[j]
                            expected[f, i, j] += joint * transition[t - 1, i, j] if step else joint
            for i in range(n_states):
                before[i] = alpha[t, i] * norm


@cache
def _smoothing_loops(n_states: int) -> tuple[Callable[..., None], Callable[..., None]]:
    """`_messages` and `_combine` for one number of states, or for any (0).

    The compiler unrolls loops over two to four states, which halves their time.
    """

    @compiled()
    def messages(b: np.ndarray, *arrays: np.ndarray) -> None:
        _messages(n_states if n_states > 0 else b.shape[1], b, *arrays)

    @compiled()
    def combine(b: np.ndarray, *arrays: np.ndarray) -> None:
        _combine(n_states if n_states > 0 else b.shape[1], b, *arrays)

    return messages, combine


@compiled()
def _forward(
    b: np.ndarray,
    transition: np.ndarray,
    initial: np.ndarray,
    starts: np.ndarray,
    regular: np.ndarray,
    alpha: np.ndarray,
    log_norms: np.ndarray,
) -> None:
    """Fill alpha alone, normalized in every bin, and the logarithms of its norms."""
    n_states = b.shape[1]
    step = 1 if len(transition) > 1 else 0
    for s in range(len(starts) - 1):
        if not regular[s]:
            continue
        total, product = 0.0, 1.0
        for t in range(starts[s], starts[s + 1]):
            norm = 0.0
            for j in range(n_states):
                mass = initial[j] if t == starts[s] else 0.0
                if t > starts[s]:
                    for i in range(n_states):
                        mass += alpha[t - 1, i] * transition[(t - 1) * step, i, j]
                alpha[t, j] = mass * b[t, j]
                norm += alpha[t, j]
            for j in range(n_states):
                alpha[t, j] /= norm
            # One logarithm for many norms.
            product *= norm
            if product < TINY:
                total += math.log(product)
                product = 1.0
        log_norms[s] = total + math.log(product)


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
    expected: np.ndarray,
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
        for f in range(expected.shape[0]):
            weight = weights[0 if plain else t + 1, f]
            for i in range(n_states):
                for j in range(n_states):
                    expected[f, i, j] += weight * math.exp(joint[i * n_states + j] - norm)
    for t in range(n_bins):
        for k in range(n_states):
            beta[t, k] += alpha[t, k]
        norm = _log_sum_exp(beta[t])
        for k in range(n_states):
            beta[t, k] = math.exp(beta[t, k] - norm)


def smooth(
    log_emissions: np.ndarray,
    transition: np.ndarray,
    initial: np.ndarray,
    starts: np.ndarray,
    weights: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Smooth every session.

    Parameters
    ----------
    log_emissions, transition, initial, starts
        As at the top of this module.
    weights : ndarray of shape (T, F) or (1, 1)
        Weights of the transition from bin t - 1 to t in the expected transitions, or 1.

    Returns
    -------
    posterior : ndarray of shape (T, K)
        P(z_t = k | y).
    expected_transitions : ndarray of shape (F, K, K)
        Posterior of successive states, weighted and summed over bins and sessions.
    log_likelihoods : ndarray of shape (S,)
        One for every session, -inf where no path is possible.
    """
    if len(initial) == 1:
        return _smooth_one_state(log_emissions, starts, weights)
    posterior = np.empty(log_emissions.shape)
    expected = np.zeros((weights.shape[1], len(initial), len(initial)))
    log_likelihoods = np.empty(len(starts) - 1)
    for block in _blocks(starts):
        bounds = starts[block.start : block.stop + 1]
        first, last = bounds[0], bounds[-1]
        log_likelihoods[block] = _smooth_block(
            log_emissions[first:last],
            transition[min(first, len(transition) - 1) : last]
            if len(transition) > 1
            else transition,
            initial,
            bounds - first,
            weights[first:last] if len(weights) > 1 else weights,
            posterior[first:last],
            expected,
        )
    return posterior, expected, log_likelihoods


def _smooth_one_state(
    log_emissions: np.ndarray, starts: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What `smooth` returns of a chain that is always in its only state."""
    follows = np.ones(len(log_emissions), dtype=bool)
    follows[starts[:-1]] = False
    expected = np.broadcast_to(weights, (len(follows), weights.shape[1]))[follows].sum(axis=0)
    log_likelihoods = np.add.reduceat(log_emissions[:, 0], starts[:-1])
    return np.ones(log_emissions.shape), expected[:, None, None], log_likelihoods


def _blocks(starts: np.ndarray) -> list[slice]:
    """Sessions in runs of about `_BLOCK` bins, or of one session that is longer."""
    numbers = starts[:-1] // _BLOCK
    borders = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(starts) - 1]
    return [slice(a, b) for a, b in itertools.pairwise(borders)]


def _smooth_block(
    log_emissions: np.ndarray,
    transition: np.ndarray,
    initial: np.ndarray,
    starts: np.ndarray,
    weights: np.ndarray,
    posterior: np.ndarray,
    expected: np.ndarray,
) -> np.ndarray:
    """Fill ``posterior``, add to ``expected``, and return the sessions' log-likelihoods."""
    b, top = _likelihoods(log_emissions)
    regular = _regular_sessions(b, top, transition, initial, starts)
    log_likelihoods = np.zeros(len(starts) - 1)
    alpha = np.empty_like(b)
    if regular.any():
        found = np.zeros_like(expected)
        messages, combine = _smoothing_loops(b.shape[1] if b.shape[1] <= _UNROLLED else 0)
        messages(b, transition, initial, starts, regular, alpha, posterior, log_likelihoods)
        combine(b, transition, starts, regular, alpha, posterior, weights, found)
        log_likelihoods += np.add.reduceat(top, starts[:-1])
        expected += found * transition if len(transition) == 1 else found
    for s in np.flatnonzero(~regular):
        bins = slice(starts[s], starts[s + 1])
        log_b = np.ascontiguousarray(log_emissions[bins])
        onward, step = transition[_onward(transition, starts[s])], int(len(transition) > 1)
        weight = weights if len(weights) == 1 else weights[bins]
        log_likelihoods[s] = _log_messages(
            log_b, onward, step, initial, alpha[bins], posterior[bins]
        )
        if log_likelihoods[s] > -np.inf:
            _log_combine(log_b, onward, step, alpha[bins], posterior[bins], weight, expected)
    return log_likelihoods


def _onward(transition: np.ndarray, first: int) -> slice:
    """The transitions of a session that begins in bin ``first``."""
    return slice(first, None) if len(transition) > 1 else slice(None)


def filter_forward(
    log_emissions: np.ndarray, transition: np.ndarray, initial: np.ndarray, starts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """P(z_t | y_0..t) (T, K), and every session's log-likelihood (S,)."""
    b, top = _likelihoods(log_emissions)
    regular = _regular_sessions(b, top, transition, initial, starts)
    filtered, log_likelihoods = np.empty_like(b), np.zeros(len(starts) - 1)
    if regular.any():
        _forward(b, transition, initial, starts, regular, filtered, log_likelihoods)
        log_likelihoods += np.add.reduceat(top, starts[:-1])
    for s in np.flatnonzero(~regular):
        bins = slice(starts[s], starts[s + 1])
        log_b = np.ascontiguousarray(log_emissions[bins])
        onward, step = transition[_onward(transition, starts[s])], int(len(transition) > 1)
        log_likelihoods[s] = _log_messages(log_b, onward, step, initial, filtered[bins], b[bins])
        filtered[bins] = np.exp(filtered[bins])
    return filtered, log_likelihoods


@compiled()
def best_paths(
    log_emissions: np.ndarray,
    log_transition: np.ndarray,
    log_initial: np.ndarray,
    starts: np.ndarray,
    paths: np.ndarray,
    log_probabilities: np.ndarray,
) -> None:
    """Fill ``paths (T,)`` with every session's most probable path (Viterbi 1967).

    Arrays as in this module. Among equals the lowest state wins.
    """
    n_states = len(log_initial)
    step = int(len(log_transition) > 1)
    longest = 0
    for s in range(len(starts) - 1):
        longest = max(longest, starts[s + 1] - starts[s])
    came_from = np.zeros((longest, n_states), dtype=np.int32)
    score, following = np.empty(n_states), np.empty(n_states)
    for s in range(len(starts) - 1):
        first, last = starts[s], starts[s + 1]
        for k in range(n_states):
            score[k] = log_initial[k] + log_emissions[first, k]
        for t in range(first + 1, last):
            for j in range(n_states):
                best, origin = -np.inf, 0
                for i in range(n_states):
                    value = score[i] + log_transition[(t - 1) * step, i, j]
                    if value > best:
                        best, origin = value, i
                following[j] = best + log_emissions[t, j]
                came_from[t - first, j] = origin
            for j in range(n_states):
                score[j] = following[j]
        state = 0
        for k in range(1, n_states):
            if score[k] > score[state]:
                state = k
        log_probabilities[s] = score[state]
        for t in range(last - 1, first - 1, -1):
            paths[t] = state
            state = came_from[t - first, state]


@compiled()
def random_paths(
    filtered: np.ndarray,
    transition: np.ndarray,
    starts: np.ndarray,
    uniforms: np.ndarray,
    paths: np.ndarray,
) -> None:
    """Fill ``paths (T,)`` with one draw from P(z | y) per session, from its end to its start.

    Parameters
    ----------
    filtered : ndarray of shape (T, K)
        P(z_t | y_0..t), from ``filter_forward``.
    transition, starts
        As at the top of this module.
    uniforms : ndarray of shape (T,)
        Draws from [0, 1).
    paths : ndarray of int of shape (T,)
    """
    n_states = filtered.shape[1]
    step = int(len(transition) > 1)
    weights = np.empty(n_states)
    for s in range(len(starts) - 1):
        for t in range(starts[s + 1] - 1, starts[s] - 1, -1):
            total = 0.0
            for i in range(n_states):
                weights[i] = filtered[t, i]
                if t < starts[s + 1] - 1:
                    weights[i] *= transition[t * step, i, paths[t + 1]]
                total += weights[i]
            left = uniforms[t] * total
            state = 0
            while state < n_states - 1 and left >= weights[state]:
                left -= weights[state]
                state += 1
            while weights[state] == 0.0:  # rounding may have carried us past the last possible one
                state -= 1
            paths[t] = state
