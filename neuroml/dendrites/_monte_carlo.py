"""Compiled Monte Carlo trials: draw, count the overlap, tally.

By symmetry one of two random sets may be held fixed, and only the other one is drawn. Where only
the size of the overlap matters, the cells need no identity: it is enough to count how many of the
remaining ones belong to the fixed set.
"""

from __future__ import annotations

import numba
import numpy as np

from neuroml.simulate.dendrites import draw_subset

__all__ = ["tally_banks", "tally_kept_synapses", "tally_overlaps", "tally_unions"]


@numba.njit(cache=True, nogil=True)
def _draw_overlap(rng: np.random.Generator, n: int, size: int, marked: int) -> int:
    """Draw ``size`` of n cells without replacement and count how many of the marked are drawn."""
    left = marked
    for i in range(size):
        # the next of n - i remaining cells is a marked one with probability left / (n - i)
        left -= rng.random() * (n - i) < left
    return marked - left


@numba.njit(cache=True, nogil=True)
def tally_overlaps(
    rng: np.random.Generator, n: int, s: int, a: int, tally: np.ndarray, n_trials: int
) -> None:
    """Add to ``tally[b]`` the trials whose pattern overlaps the segment in b synapses."""
    for _ in range(n_trials):
        tally[_draw_overlap(rng, n, min(s, a), max(s, a))] += 1


@numba.njit(cache=True, nogil=True)
def tally_kept_synapses(
    rng: np.random.Generator, s: int, a: int, v: int, tally: np.ndarray, n_trials: int
) -> None:
    """Add to ``tally[b]`` the trials in which b synapses stay active after v cells are swapped."""
    for _ in range(n_trials):
        tally[s - _draw_overlap(rng, a, v, s)] += 1


@numba.njit(cache=True, nogil=True)
def tally_banks(
    rng: np.random.Generator, n: int, s: int, a: int, M: int, tally: np.ndarray, n_trials: int
) -> None:
    """Add to ``tally[b]`` the trials in which the best of M fresh segments overlaps in b."""
    for _ in range(n_trials):
        best = 0
        for _segment in range(M):
            best = max(best, _draw_overlap(rng, n, min(s, a), max(s, a)))
        tally[best] += 1


@numba.njit(cache=True, nogil=True)
def tally_unions(
    rng: np.random.Generator, n: int, s: int, a: int, M: int, tally: np.ndarray, n_trials: int
) -> None:
    """Add to ``tally[b]`` the trials in which the union of M fresh patterns overlaps in b."""
    # a cell counts once per trial: the trial in which it was counted last is kept
    cells = np.arange(n)
    last_counted = np.full(n, -1)
    for trial in range(n_trials):
        overlap = 0
        for _pattern in range(M):
            draw_subset(rng, cells, s)
            for cell in cells[:s]:
                if cell < a and last_counted[cell] != trial:
                    last_counted[cell] = trial
                    overlap += 1
        tally[overlap] += 1
