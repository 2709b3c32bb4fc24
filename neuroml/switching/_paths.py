"""Single paths through the hidden states: the most probable one, and random ones."""

from __future__ import annotations

import numpy as np

from neuroml.switching._compiled import compiled

__all__ = ["best_paths", "random_paths"]


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

    Arrays as in ``_forward_backward``. Among equals the lowest state wins.
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
        As in ``_forward_backward``.
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
