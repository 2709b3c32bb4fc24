"""How long a time series remembers, and whether a split tests on what it has trained on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from neuroml._core.dependence import autocorrelation_time
from neuroml._core.validation import as_numbers, session_slices
from neuroml._core.warn import warn_caller
from neuroml.evaluation._layouts import Rows

__all__ = ["memory_of", "warn_of_neighbors"]

# Contiguous blocks have a few such samples at their ends; interleaved folds have nearly all.
_TOLERATED = 0.2


def memory_of(rows: Rows) -> float:
    """The autocorrelation time of X, or of the targets if that is shorter.

    A held-out sample is known from its neighbors only if both its inputs and its target are like
    theirs. What are no numbers, such as class names, counts by whether it changes.
    """
    times = []
    for values in (rows.X, rows.y):
        if values is None or not hasattr(values, "shape") or values.shape[0] != len(rows):
            continue
        times.append(autocorrelation_time(_codes(values), rows.sessions))
    return min(times, default=1.0)


def _codes(values: Any) -> np.ndarray:
    if hasattr(values, "toarray"):
        values = values.toarray()
    array = np.asarray(values)
    if array.dtype.kind in "OUSMm":
        try:
            return as_numbers(values, "X")
        except ValueError:
            return np.unique(array.astype(str), return_inverse=True)[1].reshape(array.shape)
    return array


def warn_of_neighbors(rows: Rows, folds: Iterable[tuple[np.ndarray, np.ndarray]]) -> None:
    """Warn where much of the test data lies within the memory of training data.

    Warns
    -----
    UserWarning
        With the autocorrelation time and the split to use.
    """
    memory = memory_of(rows)
    if memory < 2:
        return
    reach = max(1, int(memory / 2))  # the integrated time counts both directions
    near, n_test = 0, 0
    for train, test in folds:
        # distance in samples to the nearest training sample of the same session
        known = np.zeros(len(rows), dtype=bool)
        known[train] = True
        for part in session_slices(rows.sessions):
            own = np.flatnonzero(known[part])
            asked = test[(test >= part.start) & (test < part.stop)] - part.start
            n_test += len(asked)
            if len(own) and len(asked):
                after = np.searchsorted(own, asked)
                below = np.abs(asked - own[np.maximum(after - 1, 0)])
                above = np.abs(own[np.minimum(after, len(own) - 1)] - asked)
                near += int((np.minimum(below, above) <= reach).sum())
    if n_test and near > _TOLERATED * n_test:
        several = rows.sessions[-1] > 0
        split = "SessionKFold()" if several else f"BlockedKFold(gap={int(np.ceil(memory))})"
        warn_caller(
            f"{near / n_test:.0%} of the test samples lie within {reach} samples of training "
            f"samples of the same session, and samples resemble their neighbors (autocorrelation "
            f"time {memory:.1f} samples): scores will be too good. Use cv={split}.",
            UserWarning,
        )
