"""A bank of dendritic segments that have learned patterns."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any

import numba
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
)
from sklearn.utils.validation import check_is_fitted

from neuroml._core.estimator import (
    RANDOM_STATE,
    Estimator,
    Interval,
    StrOptions,
    TableOutputMixin,
    validated_fit,
)
from neuroml._core.frames import Quantity, feature_labels, long_frame
from neuroml._core.mutation import all_or_nothing
from neuroml._core.parallel import spawn_generators
from neuroml._core.validation import check_table
from neuroml.dendrites._hypergeometric import log1mexp, log_tail
from neuroml.dendrites._overlaps import BACKENDS, cheapest
from neuroml.exceptions import DataError
from neuroml.simulate.dendrites import draw_subset, unite_patterns

__all__ = ["SegmentBank", "active_cells"]

_OVERLAPS_AT_ONCE = 1 << 22  # counts of four bytes: 16 MiB


def active_cells(estimator: BaseEstimator, X: Any, *, reset: bool) -> sparse.csr_array:
    """Validate activity and return it as binary rows, one where X is above zero."""
    X = check_table(estimator, X, reset=reset, accept_sparse="csr")
    rows = sparse.csr_array(X > 0, dtype=np.uint8)
    rows.sort_indices()
    return rows


@numba.njit(cache=True, nogil=True)
def _choose(
    rng: np.random.Generator,
    starts: np.ndarray,
    cells: np.ndarray,
    chosen_starts: np.ndarray,
    chosen: np.ndarray,
) -> None:
    for row in range(len(starts) - 1):
        active = cells[starts[row] : starts[row + 1]].copy()
        first, last = chosen_starts[row], chosen_starts[row + 1]
        draw_subset(rng, active, last - first)
        chosen[first:last] = np.sort(active[: last - first])


def choose_synapses(
    patterns: sparse.csr_array, n_synapses: int, rng: np.random.Generator
) -> sparse.csr_array:
    """Keep a random subset of at most ``n_synapses`` active cells of every pattern."""
    sizes = np.minimum(np.diff(patterns.indptr), n_synapses)
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(patterns.indptr.dtype)
    chosen = np.empty(starts[-1], dtype=patterns.indices.dtype)
    _choose(rng, patterns.indptr, patterns.indices, starts, chosen)
    return sparse.csr_array((np.ones(len(chosen), np.uint8), chosen, starts), shape=patterns.shape)


def expected_false_match(theta: int, n: int, sizes: np.ndarray, active: np.ndarray) -> float:
    """Probability that a random pattern matches some segment of a bank (eq. 8).

    Parameters
    ----------
    theta, n : int
        Threshold and cells.
    sizes : ndarray of int of shape (n_segments,)
        Synapses of each segment.
    active : ndarray of int of shape (n_patterns,)
        Active cells of patterns like those expected; the probability is their mean.
    """
    s, n_segments = np.unique(sizes, return_counts=True)
    a, n_patterns = np.unique(active, return_counts=True)
    # ln P(no match) of one segment, for each number of synapses and of active cells; segments are
    # independent, so P(any) = 1 - exp(sum over segments), averaged over patterns
    log_none = log1mexp(log_tail(np.int64(theta), np.int64(n), s[:, None], a))
    return float(np.average(-np.expm1(n_segments @ log_none), weights=n_patterns))


class SegmentBank(ClassNamePrefixFeaturesOutMixin, TableOutputMixin, Estimator):
    """Segments with synapses on some active cells of a pattern, which detect it by its overlap.

    A cell is active where ``X > 0``. The segment made for a pattern has synapses on a random
    subset of its active cells; it matches activity in which at least ``threshold`` of them are
    active (Ahmad and Hawkins 2016, eqs. 1, 7 and 10).

    Parameters
    ----------
    n_synapses : int, default=24
        Number of synapses per pattern; all active cells of a pattern that has fewer.
    threshold : int or "auto", default=12
        Minimum number of active synapses of a match; "auto" is the lowest one whose
        ``false_match_`` is at most ``max_false_match``.
    patterns_per_segment : int, default=1
        Number of consecutive rows that share a segment, which holds the union of their synapses.
    max_false_match : float, default=1e-6
        Maximum of ``false_match_``, for ``threshold="auto"``.
    backend : {"auto", "inverted", "bits", "csr", "dense"}, default="auto"
        How overlaps are counted; the result is the same. "inverted" lists the segments of every
        cell, "bits" packs 64 cells in a word, "csr" and "dense" are matrix products. "auto" takes
        the one that is expected to be fastest for batches of patterns as active as those in fit.
    random_state : int, RandomState, Generator or None, default=None
        Chooses the synapses.

    Attributes
    ----------
    n_segments_ : int
    n_calls_ : int
        Number of calls of fit and partial_fit that made them.
    threshold_ : int
    false_match_ : float
        Probability, by the theory, that a random pattern as active as those in fit matches any
        segment. Cells with unequal rates or correlations match more often; see
        `recorded_false_match`.
    backend_ : str
        The backend in use.
    n_features_in_ : int
        Number of cells.

    See Also
    --------
    ActiveDendriteClassifier : classifies by labeled segments.
    simulate_bank_false_match : simulates a new random bank in every trial.

    Examples
    --------
    >>> from neuroml.dendrites import SegmentBank
    >>> from neuroml.simulate import add_pattern_noise, make_patterns
    >>> patterns = make_patterns(1000, n=2048, a=40, random_state=0)
    >>> bank = SegmentBank(n_synapses=24, threshold=12, random_state=0).fit(patterns)
    >>> noisy = add_pattern_noise(patterns, 10, random_state=0)
    >>> others = make_patterns(1000, n=2048, a=40, random_state=1)
    >>> print(f"{bank.predict(noisy).mean():.3f} {bank.predict(others).mean():.3f}")
    1.000 0.000
    """

    _parameter_constraints = {
        "n_synapses": [Interval(Integral, 1, None, closed="left")],
        "threshold": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "patterns_per_segment": [Interval(Integral, 1, None, closed="left")],
        "max_false_match": [Interval(Real, 0, 1, closed="both")],
        "backend": [StrOptions({"auto", *BACKENDS})],
        "random_state": RANDOM_STATE,
    }

    def __init__(
        self,
        n_synapses: int = 24,
        threshold: int | str = 12,
        *,
        patterns_per_segment: int = 1,
        max_false_match: float = 1e-6,
        backend: str = "auto",
        random_state: Any = None,
    ) -> None:
        self.n_synapses = n_synapses
        self.threshold = threshold
        self.patterns_per_segment = patterns_per_segment
        self.max_false_match = max_false_match
        self.backend = backend
        self.random_state = random_state

    @validated_fit
    def fit(self, X: ArrayLike | sparse.csr_array, y: Any = None) -> SegmentBank:
        """Make a segment for every pattern, forgetting earlier ones.

        Parameters
        ----------
        X : array-like or sparse array of shape (n_patterns, n_cells)
            An array, DataFrame, DataArray, recording or torch tensor; masked entries are NaN.
            Active where above zero.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        DataError
            If no segment has as many synapses as the threshold.
        """
        with all_or_nothing(self):
            return self._learn(active_cells(self, X, reset=True), first=True)

    @validated_fit
    def partial_fit(self, X: ArrayLike | sparse.csr_array, y: Any = None) -> SegmentBank:
        """Add segments for further patterns; those there already stay as they are.

        Parameters
        ----------
        X : array-like or sparse array of shape (n_patterns, n_cells)
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        DataError
            As `fit`; the bank then stays as it was.
        """
        first = not hasattr(self, "n_segments_")
        with all_or_nothing(self):
            return self._learn(active_cells(self, X, reset=first), first=first)

    def _learn(self, patterns: sparse.csr_array, *, first: bool) -> SegmentBank:
        n_calls = 0 if first else self.n_calls_
        rng = spawn_generators(self.random_state, n_calls + 1)[-1]
        synapses = choose_synapses(patterns, self.n_synapses, rng)
        if self.patterns_per_segment > 1:
            synapses = unite_patterns(synapses, self.patterns_per_segment)
        active = np.diff(patterns.indptr).astype(np.int64)
        if not first:
            synapses = sparse.vstack([self.synapses_, synapses], format="csr")
            active = np.concatenate([self._active, active])
        sizes = np.diff(synapses.indptr).astype(np.int64)
        self.threshold_ = self._choose_threshold(sizes, active)
        if sizes.max() < self.threshold_:
            raise DataError(
                "no segment can ever match",
                expected=f"a segment with >= {self.threshold_} synapses",
                found=f"at most {sizes.max()} synapses, {active.max()} active cells in a pattern",
                fix="Lower the threshold, or raise n_synapses.",
                field="X",
            )
        n = self.n_features_in_
        self.false_match_ = expected_false_match(self.threshold_, n, sizes, active)
        self.n_segments_ = len(sizes)
        self.n_calls_: int = n_calls + 1
        self._active: np.ndarray = active
        self.backend_ = self.backend
        if self.backend == "auto":
            self.backend_ = cheapest(n, sizes.mean(), active.mean(), len(sizes))
        self._synapses = {"starts": synapses.indptr, "cells": synapses.indices}
        self._index = BACKENDS[self.backend_].build(synapses)
        return self

    @property
    def synapses_(self) -> sparse.csr_array:
        """Binary csr_array of shape (n_segments, n_cells): which cells each segment samples."""
        check_is_fitted(self)
        starts, cells = self._synapses["starts"], self._synapses["cells"]
        shape = (self.n_segments_, self.n_features_in_)
        return sparse.csr_array((np.ones(len(cells), np.uint8), cells, starts), shape=shape)

    def transform(self, X: ArrayLike | sparse.csr_array) -> np.ndarray:
        """Count the active synapses of every segment.

        Parameters
        ----------
        X : array-like or sparse array of shape (n_samples, n_cells)

        Returns
        -------
        ndarray of int32 of shape (n_samples, n_segments)
        """
        check_is_fitted(self)
        queries = active_cells(self, X, reset=False)
        return BACKENDS[self.backend_].overlaps(self._index, queries)

    def matches(self, X: ArrayLike | sparse.csr_array) -> sparse.csr_array:
        """Return which segments match.

        Parameters
        ----------
        X : array-like or sparse array of shape (n_samples, n_cells)

        Returns
        -------
        csr_array of bool of shape (n_samples, n_segments)
        """
        parts = []
        for overlaps in self._overlaps(X):
            # coordinates of the few that match: scipy would pass over all segments several times
            matching = np.nonzero(overlaps >= self.threshold_)
            values = np.ones(len(matching[0]), dtype=bool)
            parts.append(sparse.csr_array((values, matching), shape=overlaps.shape))
        return sparse.vstack(parts, format="csr")

    def predict(self, X: ArrayLike | sparse.csr_array) -> np.ndarray:
        """Predict whether a pattern is a stored one: whether any segment matches it (eq. 7).

        Parameters
        ----------
        X : array-like or sparse array of shape (n_samples, n_cells)

        Returns
        -------
        ndarray of bool of shape (n_samples,)
        """
        return np.concatenate([part.max(axis=1) >= self.threshold_ for part in self._overlaps(X)])

    def _overlaps(self, X: ArrayLike | sparse.csr_array) -> Iterator[np.ndarray]:
        """Yield the overlaps of a few samples at a time, so that memory does not grow with X."""
        check_is_fitted(self)
        queries = active_cells(self, X, reset=False)
        step = max(1, _OVERLAPS_AT_ONCE // self.n_segments_)
        for first in range(0, queries.shape[0], step):
            yield BACKENDS[self.backend_].overlaps(self._index, queries[first : first + step])

    def to_frame(self) -> pd.DataFrame:
        """Return all synapses as one tidy table.

        Returns
        -------
        DataFrame
            One synapse per row: ``quantity`` ("synapse"), ``segment``, ``cell`` (name or number of
            the column of X that it is on) and ``value``, 1.
        """
        rows, cells = self.synapses_.nonzero()
        labels = feature_labels(self)
        axes = {"segment": rows.tolist(), "cell": [labels[j] for j in cells]}
        return long_frame([Quantity("synapse", np.ones(len(rows), int), axes, paired=True)])

    def _choose_threshold(self, sizes: np.ndarray, active: np.ndarray) -> int:
        if self.threshold != "auto":
            return int(self.threshold)
        # false matches become rarer with the threshold: bisection
        low, high = 1, int(sizes.max()) + 1
        while low < high:
            middle = (low + high) // 2
            rate = expected_false_match(middle, self.n_features_in_, sizes, active)
            low, high = (low, middle) if rate <= self.max_false_match else (middle + 1, high)
        return low

    @property
    def _n_features_out(self) -> int:
        return self.n_segments_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = []
        return tags
