"""False matches in recorded activity, where cells have unequal rates and correlations."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.utils.validation import check_array

from neuroml._core.parallel import RandomState, spawn_generators
from neuroml._core.validation import one_array
from neuroml.dendrites._counts import check_counts, check_matching
from neuroml.dendrites._hypergeometric import log_tail
from neuroml.dendrites.theory import false_match
from neuroml.exceptions import DataError

__all__ = ["recorded_false_match"]

_PAIRS_AT_ONCE = 2_000_000  # 16 MB of overlaps


def recorded_false_match(
    X: ArrayLike | sparse.csr_array,
    theta: ArrayLike,
    s: int,
    *,
    labels: ArrayLike | None = None,
    min_lag: int = 1,
    n_shuffles: int = 10,
    random_state: RandomState = None,
) -> pd.DataFrame:
    """Compute how often segments made for one sample of a recording match another sample.

    A segment has synapses on ``s`` of the cells active at one moment and meets the activity at
    another. Given the number m of cells that are active at both moments, its overlap is
    hypergeometric: s of the a active cells are drawn, m of which are active again. Averaging that
    law over all pairs of moments gives the probability of a match over all possible segments
    without sampling any.

    Parameters
    ----------
    X : array-like or sparse array of shape (n_samples, n_cells)
        Active where above zero.
    theta : int or array-like of int
        Thresholds.
    s : int
        Number of synapses; no segment is made for moments with fewer active cells.
    labels : array-like of shape (n_samples,), optional
        Condition of every moment; only pairs from different conditions count, since a match with
        the same condition is not a false one.
    min_lag : int, default=1
        Pairs closer than this in samples do not count.
    n_shuffles : int, default=10
        Number of surrogates in which every cell is shuffled over time, independently.
    random_state : int, RandomState, Generator or None, default=None

    Returns
    -------
    DataFrame
        Indexed by ``theta``, with the probability of a match under fewer and fewer assumptions:
        ``constant_activity`` (the theory at the mean number of active cells), ``varying_activity``
        (the theory, averaged over the recorded numbers), ``unequal_rates`` (every cell shuffled:
        its rate is kept, correlations are not) and ``recorded``; and ``n_pairs``, the pairs behind
        the last.

    Raises
    ------
    DataError
        If theta > s, no moment has s active cells, or no pair of moments is admitted.

    Examples
    --------
    >>> from neuroml.dendrites import recorded_false_match
    >>> from neuroml.simulate import make_patterns
    >>> patterns = make_patterns(300, n=200, a=20, random_state=0)
    >>> table = recorded_false_match(patterns, 3, s=10, random_state=0)
    >>> print(f"{table.constant_activity[3]:.4f} {table.recorded[3]:.4f}")
    0.0653 0.0649
    """
    X = check_array(X if sparse.issparse(X) else one_array(X), accept_sparse="csr")
    active = sparse.csr_array(X > 0, dtype=np.float32)
    n_samples, n = active.shape
    theta, s_ = check_counts(theta=np.ravel(theta), s=s)
    check_matching(theta, n, s_, s_)
    groups = np.arange(n_samples) if labels is None else np.unique(labels, return_inverse=True)[1]
    if len(groups) != n_samples:
        raise DataError(
            "labels do not match the samples",
            expected=f"{n_samples} labels",
            found=len(groups),
            field="labels",
        )
    shared, met = _count_pairs(active, s, groups, min_lag)
    shuffled = [
        _match(theta, s, _count_pairs(_shuffle_cells(active, rng), s, groups, min_lag)[0])
        for rng in spawn_generators(random_state, n_shuffles)
    ]
    sizes = np.arange(n + 1)
    varying = np.exp(log_tail(theta[:, None], np.int64(n), np.int64(s), sizes))
    constant = int(np.rint(np.average(sizes, weights=met)))
    return pd.DataFrame(
        {
            "constant_activity": false_match(theta, n, s, constant),
            "varying_activity": np.average(varying, axis=1, weights=met),
            "unequal_rates": np.mean(shuffled, axis=0),
            "recorded": _match(theta, s, shared),
            "n_pairs": met.sum(),
        },
        index=pd.Index(theta, name="theta"),
    )


def _shuffle_cells(active: sparse.csr_array, rng: np.random.Generator) -> sparse.csr_array:
    """Permute every cell over time, each in its own way."""
    return sparse.csr_array(rng.permuted(active.toarray(), axis=0))


def _count_pairs(
    active: sparse.csr_array, s: int, groups: np.ndarray, min_lag: int
) -> tuple[np.ndarray, np.ndarray]:
    """Tally the admitted pairs of a moment with a segment and another moment.

    Returns
    -------
    shared : ndarray of int64 of shape (n_cells + 1, n_cells + 1)
        Pairs by the active cells of the first moment and the cells active in both.
    met : ndarray of int64 of shape (n_cells + 1,)
        Pairs by the active cells of the second moment.
    """
    n_samples, n = active.shape
    # pairs are tallied by (a, m), which is all that the probability of a match depends on
    sizes = active.sum(axis=1).astype(np.int64)
    makes_segment = np.flatnonzero(sizes >= s)
    shared, met = np.zeros((n + 1) ** 2, np.int64), np.zeros(n + 1, np.int64)
    moments = np.arange(n_samples)
    step = max(1, _PAIRS_AT_ONCE // n_samples)
    for first in range(0, len(makes_segment), step):
        rows = makes_segment[first : first + step]
        admitted = (groups[rows, None] != groups) & (abs(rows[:, None] - moments) >= min_lag)
        common = (active[rows] @ active.T).toarray().astype(np.int64)
        keys = sizes[rows, None] * (n + 1) + common
        shared += np.bincount(keys[admitted], minlength=len(shared))
        met += admitted.sum(axis=0) @ (sizes[:, None] == np.arange(n + 1))
    if not met.any():
        raise DataError(
            "no pair of moments is admitted",
            expected=f"moments with >= s = {s} active cells, and others to compare them with",
            found=f"at most {sizes.max()} active cells in {n_samples} moments",
            fix="Lower s or min_lag, or check the labels.",
        )
    return shared.reshape(n + 1, n + 1), met


def _match(theta: np.ndarray, s: int, shared: np.ndarray) -> np.ndarray:
    """Probability of a match over the tallied pairs, at each threshold."""
    a, m = np.nonzero(shared)
    # mean over pairs of P(X >= theta), X ~ H(a, s, m)
    chance = np.exp(log_tail(theta[:, None], a, np.int64(s), m))
    return np.average(chance, axis=1, weights=shared[a, m])
