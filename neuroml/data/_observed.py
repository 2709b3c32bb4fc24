"""When units were observed: time outside is not silence."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from neuroml.exceptions import DataError

__all__ = ["cut_to", "is_observed", "merged"]

_ROUNDING_S = 1e-9
"""Edges of bins are rounded to a nanosecond."""

Stretches = list[tuple[float, float]]


def merged(intervals: Iterable[Sequence[float]], *, field: str = "obs_intervals") -> Stretches:
    """Intervals (s) in order, those that overlap or touch as one.

    Raises
    ------
    DataError
        If one does not end after it starts.

    Examples
    --------
    >>> merged([(5, 6), (0, 1), (1, 2)])
    [(0.0, 2.0), (5.0, 6.0)]
    """
    whole: Stretches = []
    for start, stop in sorted((float(start), float(stop)) for start, stop in intervals):
        if not (math.isfinite(start) and math.isfinite(stop) and stop > start):
            raise DataError(
                "an interval does not end after it starts",
                expected="start < stop, in seconds",
                found=(start, stop),
                field=field,
            )
        if whole and start <= whole[-1][1] + _ROUNDING_S:
            whole[-1] = (whole[-1][0], max(stop, whole[-1][1]))
        else:
            whole.append((start, stop))
    return whole


def cut_to(
    stretches: Stretches, observed: Stretches, bin_s: float
) -> tuple[Stretches, list[tuple[float, float]]]:
    """What of the stretches was observed, and what of that is shorter than a bin.

    Examples
    --------
    >>> cut_to([(0.0, 10.0)], [(2.0, 4.0), (6.0, 6.5), (8.0, 12.0)], bin_s=1.0)
    ([(2.0, 4.0), (8.0, 10.0)], [(6.0, 6.5)])
    """
    parts = [
        (max(start, first), min(stop, last))
        for start, stop in stretches
        for first, last in observed
        if max(start, first) < min(stop, last)
    ]
    if not parts:
        raise DataError(
            "nothing was observed in the stretches to bin",
            expected=f"stretches within {observed[:3]} s",
            found=f"{stretches[:3]} s",
            field="epochs",
        )
    is_short = [(stop - start) / bin_s < 1 - 1e-6 for start, stop in parts]
    if all(is_short):
        return parts, []  # for the reader to refuse
    kept = [part for part, short in zip(parts, is_short, strict=True) if not short]
    return kept, [part for part, short in zip(parts, is_short, strict=True) if short]


def is_observed(edges: np.ndarray, observed: Stretches) -> np.ndarray:
    """Whether each bin (n_edges - 1 of them) lies in one of the intervals as a whole.

    Examples
    --------
    >>> is_observed(np.arange(5.0), [(0.5, 3.0)]).tolist()
    [False, True, True, False]
    """
    inside = np.zeros(len(edges) - 1, dtype=bool)
    for start, stop in observed:
        inside |= (edges[:-1] >= start - _ROUNDING_S) & (edges[1:] <= stop + _ROUNDING_S)
    return inside
