"""What spikes of a population must be."""

from __future__ import annotations

import numpy as np

from neuroml._core.validation import session_slices
from neuroml.exceptions import DataError

__all__ = ["check_counts", "check_fittable"]


def check_counts(counts: np.ndarray, family: str = "poisson") -> None:
    """Refuse spikes (n_bins, n_units) that are no counts, or no 0 and 1 of a Bernoulli family."""
    rates = "Give spikes per bin, not rates or scores."
    for problem, wrong, fix in (
        ("Negative values in data that should be spike counts", counts < 0, rates),
        (
            "fractional values in data that should be spike counts",
            counts != np.floor(counts),
            rates,
        ),
        (
            "several spikes in a bin",
            (counts > 1) & (family == "bernoulli"),
            "Use family='poisson', or shorter bins.",
        ),
    ):
        if wrong.any():
            t, unit = np.argwhere(wrong)[0]
            raise DataError(
                problem,
                expected="0 or 1" if family == "bernoulli" else "whole numbers of at least 0",
                found=f"{int(wrong.sum())} others; the first is {counts[t, unit]:g} in bin {t}, "
                f"unit {unit}",
                fix=fix,
                field="spikes",
            )


def check_fittable(counts: np.ndarray, sessions: np.ndarray, n_lags: int) -> None:
    """Refuse sessions that are all history, and units of which nothing can be learned."""
    lengths = [rows.stop - rows.start for rows in session_slices(sessions)]
    if min(lengths) <= n_lags:
        raise DataError(
            "a session is not longer than the history",
            expected=f"more than n_lags={n_lags} bins in every session",
            found=f"n_samples={min(lengths)} in session {int(np.argmin(lengths))}",
            fix="Lower n_lags, or leave short sessions out.",
            field="sessions",
        )
    silent = np.flatnonzero(~counts.any(axis=0))
    if len(silent):
        raise DataError(
            "units never fire",
            expected="at least one spike of every unit",
            found=f"no spike of {len(silent)} of {counts.shape[1]} units, the first is {silent[0]}",
            fix="Leave these units out: nothing can be learned about them.",
            field="spikes",
        )
