"""Monte Carlo of the theory: patterns and segments are drawn, not the law of their overlap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import beta

from neuroml._core.parallel import RandomState, spawn_generators
from neuroml.dendrites import _monte_carlo
from neuroml.dendrites._counts import check_counts, check_matching, check_missing
from neuroml.exceptions import DataError

__all__ = [
    "SimulatedRate",
    "simulate_bank_false_match",
    "simulate_false_match",
    "simulate_false_negative",
    "simulate_union_false_match",
]


@dataclass(frozen=True)
class SimulatedRate:
    """Number of independent trials in which an event happened.

    Attributes
    ----------
    counts : ndarray of int64
        Number of trials with the event, one count per threshold. All thresholds are evaluated in
        the same trials.
    n_trials : int
        Number of trials.
    """

    counts: np.ndarray
    n_trials: int

    @property
    def rate(self) -> np.ndarray:
        """Share of the trials."""
        return self.counts / self.n_trials

    def interval(self, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Compute Clopper-Pearson limits, which cover the true probability at least this often.

        Parameters
        ----------
        confidence : float, default=0.95

        Returns
        -------
        low, high : ndarray
            Valid also with no event, or one in every trial.
        """
        outside = (1 - confidence) / 2
        hits, misses = self.counts, self.n_trials - self.counts
        low = np.where(hits > 0, beta.ppf(outside, np.maximum(hits, 1), misses + 1), 0.0)
        high = np.where(misses > 0, beta.isf(outside, hits + 1, np.maximum(misses, 1)), 1.0)
        return low, high


def simulate_false_match(
    theta: ArrayLike,
    n: int,
    s: int,
    a: int,
    *,
    n_trials: int = 100_000,
    random_state: RandomState = None,
) -> SimulatedRate:
    """Match random patterns with a random segment.

    Parameters
    ----------
    theta : int or array-like of int
        Thresholds.
    n, s, a : int
        Cells, synapses, active cells.
    n_trials : int, default=100_000
        Independent pairs of a segment and a pattern.
    random_state : int, RandomState, Generator or None

    Returns
    -------
    SimulatedRate

    Raises
    ------
    DataError
        If an argument is no count, s > n, a > n, or theta > s.

    See Also
    --------
    false_match : the exact probability.

    Examples
    --------
    >>> from neuroml.dendrites import false_match, simulate_false_match
    >>> found = simulate_false_match(12, n=500, s=24, a=128, n_trials=20_000, random_state=0)
    >>> low, high = found.interval(0.9999)
    >>> bool(low <= false_match(12, n=500, s=24, a=128) <= high)
    True
    """
    theta, *counts = check_matching(theta, n, s, a)
    return _simulate(_monte_carlo.tally_overlaps, theta, counts, n_trials, random_state)


def simulate_false_negative(
    theta: ArrayLike,
    s: int,
    a: int,
    v: int,
    *,
    n_trials: int = 100_000,
    random_state: RandomState = None,
) -> SimulatedRate:
    """Match a segment with its own pattern after ``v`` of the pattern's cells were swapped.

    Parameters
    ----------
    theta : int or array-like of int
        Thresholds.
    s, a, v : int
        Synapses, active cells, swapped cells.
    n_trials : int, default=100_000
    random_state : int, RandomState, Generator or None

    Returns
    -------
    SimulatedRate

    Raises
    ------
    DataError
        If an argument is no count, s > a, v > a, or theta > s.

    See Also
    --------
    false_negative : the exact probability.
    """
    theta, *counts = check_missing(theta, s, a, v)
    kept = _simulate(_monte_carlo.tally_kept_synapses, theta, counts, n_trials, random_state)
    return SimulatedRate(n_trials - kept.counts, n_trials)


def simulate_bank_false_match(
    theta: ArrayLike,
    n: int,
    s: int,
    a: int,
    M: int,
    *,
    n_trials: int = 10_000,
    random_state: RandomState = None,
) -> SimulatedRate:
    """Match random patterns with a bank of ``M`` segments, a new bank in every trial.

    Parameters
    ----------
    theta : int or array-like of int
        Thresholds.
    n, s, a, M : int
        Cells, synapses, active cells, segments.
    n_trials : int, default=10_000
    random_state : int, RandomState, Generator or None

    Returns
    -------
    SimulatedRate

    Raises
    ------
    DataError
        If an argument is no count, s > n, a > n, or theta > s.

    See Also
    --------
    bank_false_match : the exact probability.
    SegmentBank : one bank, many patterns.
    """
    theta, *counts = check_matching(theta, n, s, a, M=M)
    return _simulate(_monte_carlo.tally_banks, theta, counts, n_trials, random_state)


def simulate_union_false_match(
    theta: ArrayLike,
    n: int,
    s: int,
    a: int,
    M: int,
    *,
    n_trials: int = 100_000,
    random_state: RandomState = None,
) -> SimulatedRate:
    """Match random patterns with a segment that stores ``M`` patterns, new ones in every trial.

    Parameters
    ----------
    theta : int or array-like of int
        Thresholds.
    n, s, a, M : int
        Cells, synapses per pattern, active cells, stored patterns.
    n_trials : int, default=100_000
    random_state : int, RandomState, Generator or None

    Returns
    -------
    SimulatedRate

    Raises
    ------
    DataError
        If an argument is no count, s > n, a > n, or theta > s.

    See Also
    --------
    union_false_match : the exact probability.
    """
    theta, *counts = check_matching(theta, n, s, a, M=M)
    return _simulate(_monte_carlo.tally_unions, theta, counts, n_trials, random_state)


def _simulate(
    kernel: Callable[..., None],
    theta: np.ndarray,
    counts: Sequence[np.ndarray],
    n_trials: int,
    random_state: RandomState,
) -> SimulatedRate:
    """Run a kernel of `_monte_carlo` and count the trials whose overlap reaches each threshold."""
    if any(np.ptp(count) for count in counts):
        raise DataError("only theta can be an array here", expected="the other counts as integers")
    (trials,) = check_counts(n_trials=n_trials)
    if trials < 1:
        raise DataError("nothing to simulate", expected="n_trials >= 1", found=n_trials)
    numbers = [int(count.flat[0]) for count in counts]
    tally = np.zeros(max(numbers) + 2, dtype=np.int64)
    kernel(spawn_generators(random_state, 1)[0], *numbers, tally, n_trials)
    # trials with an overlap of b or more
    at_least = tally[::-1].cumsum()[::-1]
    return SimulatedRate(at_least[theta], n_trials)
