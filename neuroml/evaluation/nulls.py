"""Data without the effect: what a score is worth where there is nothing to find."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from neuroml._core.estimator import safe_indexing
from neuroml._core.validation import as_numbers, session_slices
from neuroml._core.warn import warn_caller
from neuroml.connectome import surrogate as of_traces
from neuroml.evaluation._layouts import Rows, take_samples
from neuroml.exceptions import DataError

__all__ = ["KINDS", "n_orders", "reorder", "surrogate", "unpair", "warn_of_few_orders"]

KINDS = ("permutation", "circular-shift", "matched-covariance")


def n_orders(kind: str, sessions: np.ndarray) -> float:
    """Number of different orders that `reorder` draws from; infinite where it is beyond floats."""
    sizes = [part.stop - part.start for part in session_slices(sessions)]
    if kind == "permutation":
        logs = [math.lgamma(n + 1) for n in sizes]
    else:
        logs = [math.log(len(_turns(n))) for n in sizes]
    return math.exp(sum(logs)) if sum(logs) < 700 else math.inf


def warn_of_few_orders(kind: str, sessions: Sequence[np.ndarray], n_permutations: int) -> None:
    """Warn where data have fewer orders than permutations are asked for."""
    if kind not in ("permutation", "circular-shift"):
        return
    n = math.prod(n_orders(kind, of_part) for of_part in sessions)
    if n <= n_permutations:
        warn_caller(
            f"the sessions have only {n:.0f} orders by null={kind!r}: p cannot be much below "
            f"{1 / n:.2g}, whatever n_permutations is.",
            UserWarning,
        )


def _turns(n: int) -> np.ndarray:
    """How far a session of n samples is turned: not at all, or by at least a tenth of its length.

    No turn has its fair share among them. Without it, the data as they are would pass for better
    than all of more permutations than there are turns.
    """
    least = max(1, n // 10)
    return np.concatenate([[0], np.arange(least, n - least + 1)])


def reorder(kind: str, sessions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return an order of samples that breaks the pairing of inputs and targets.

    Parameters
    ----------
    kind : {"permutation", "circular-shift"}
        Samples change places within their session, where they are exchangeable; or each session is
        turned by at least a tenth of its length, or stays, which keeps its autocorrelation.
    sessions : ndarray of int of shape (n_samples,)
        Contiguous.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of int of shape (n_samples,)
    """
    order = np.arange(len(sessions))
    for part in session_slices(sessions):
        n = part.stop - part.start
        if kind == "permutation":
            order[part] = part.start + rng.permutation(n)
        else:
            order[part] = part.start + np.roll(np.arange(n), rng.choice(_turns(n)))
    return order


def unpair(kind: str, rows: Rows, order: np.ndarray) -> Rows:
    """Give samples the targets of others, by an order from `reorder`.

    Targets are dealt anew, but inputs are turned: a turn joins the end of a session to its start.
    Targets of a model that follows them in time (states, positions) would have a jump there that
    the data as they are do not have, and would be harder to predict for that alone: of 200 data
    sets without effect, 9.5 % had p <= .05.
    """
    if kind == "circular-shift":
        return replace(rows, X=take_samples(rows.X, order))
    return rows.with_y(safe_indexing(rows.y, order))


def surrogate(kind: str, rows: Rows, rng: np.random.Generator) -> Rows:
    """Return data in which what a model looks for is gone.

    Parameters
    ----------
    kind : {"permutation", "circular-shift", "matched-covariance"}
        "permutation" deals the samples of each session anew: no order in time is left.
        "circular-shift" turns each unit by a time of its own: units know nothing of each other, and
        keep their autocorrelation. "matched-covariance" adds the same random phases to the spectra
        of all units: a stationary process with the covariance, auto- and cross-correlations of the
        data, in which nothing switches (`neuroml.connectome.surrogate`).
    rows : Rows
        With X of shape (n_samples, n_units); NaN throughout a session for units that it lacks.
        Where there are inputs and targets, their pairing is broken, as `unpair` says.
    rng : numpy.random.Generator

    Returns
    -------
    Rows
    """
    if rows.y is not None and (rows.X is not None or kind == "permutation"):
        return unpair(kind, rows, reorder(kind, rows.whole_sessions, rng))
    if kind == "permutation":
        return replace(rows, X=take_samples(rows.X, reorder(kind, rows.whole_sessions, rng)))
    if rows.X is None or np.ndim(rows.X) != 2:
        raise DataError(
            f"null={kind!r} makes surrogates of units' traces",
            expected="X of shape (n_samples, n_units)",
            found="no X" if rows.X is None else f"shape {np.shape(rows.X)}",
            fix="Evaluate a Pipeline that starts from the traces, or use null='permutation'.",
            field="null",
        )
    values = as_numbers(rows.X, "X")
    form = "shift" if kind == "circular-shift" else kind
    values = of_traces(values, form, sessions=rows.whole_sessions, random_state=rng)
    if isinstance(rows.X, pd.DataFrame):
        return replace(rows, X=pd.DataFrame(values, rows.X.index, rows.X.columns))
    return replace(rows, X=values)
