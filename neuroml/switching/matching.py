"""Matching the states of two models: the same states come in any order."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from neuroml._core.statistics import match_rows
from neuroml.exceptions import DataError

__all__ = ["match_states", "match_weights"]


def match_states(reference: ArrayLike, other: ArrayLike) -> np.ndarray:
    """Find which states of two models go together, from what they say about the same bins.

    Parameters
    ----------
    reference, other : array-like of shape (n_bins,) or (n_bins, n_states)
        State labels 0, 1, ..., or posterior probabilities.

    Returns
    -------
    ndarray of int of shape (n_states,)
        Entry k is the state of ``other`` that shares the most bins with state k of ``reference``,
        each used once; -1 where ``other`` has no state left. With as many states in both,
        ``model.weights_[order]`` has its states in the order of the reference; with fewer in
        ``other``, leave the -1 out first, since -1 as an index would take the last state.

    Raises
    ------
    DataError
        If the two are about different numbers of bins.

    Examples
    --------
    >>> from neuroml.switching import match_states
    >>> match_states([0, 0, 1, 1, 2], [2, 2, 0, 0, 1]).tolist()
    [2, 0, 1]
    """
    first, second = _as_table(reference), _as_table(other)
    if len(first) != len(second):
        raise DataError(
            "the states are about different bins",
            expected=f"{len(first)} bins",
            found=f"{len(second)}",
            field="other",
        )
    return match_rows(first.T @ second)


def match_weights(reference: ArrayLike, other: ArrayLike) -> np.ndarray:
    """Find which states of two models go together, from their weights: for other subjects' data.

    Parameters
    ----------
    reference, other : array-like of shape (n_states, ...)
        Weights, of equal shapes but for the number of states.

    Returns
    -------
    ndarray of int of shape (n_states,)
        As for `match_states`, with the smallest sum of squared differences.
    """
    first, second = (np.asarray(weights, dtype=np.float64) for weights in (reference, other))
    first, second = first.reshape(len(first), -1), second.reshape(len(second), -1)
    return match_rows(-((first[:, None] - second) ** 2).sum(axis=2))


def _as_table(states: ArrayLike) -> np.ndarray:
    """Probabilities (n_bins, n_states), of labels zeros and ones."""
    table = np.asarray(states)
    return np.eye(int(table.max()) + 1)[table] if table.ndim == 1 else table
