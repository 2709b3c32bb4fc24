"""Which samples are left out together where penalties and mixing weights are chosen."""

from __future__ import annotations

import numpy as np

from neuroml._core.dependence import autocorrelation_time
from neuroml.exceptions import DataError

__all__ = ["CV_OPTIONS", "autocorrelation", "block_folds", "held_out_folds", "session_folds"]

CV_OPTIONS = ("auto", "blocks", "loo", "sessions")
N_BLOCKS = 5


def held_out_folds(cv: str, y: np.ndarray, sessions: np.ndarray) -> np.ndarray | None:
    """The fold (n_samples,) in which each sample is left out; None leaves out one at a time.

    Parameters
    ----------
    cv : {"auto", "sessions", "blocks", "loo"}
        "auto" is "sessions" where there are two or more, of which none holds more than half of the
        samples; otherwise "blocks" where the autocorrelation time of the targets exceeds one
        sample; otherwise "loo".
    y : ndarray of shape (n_samples, ...)
    sessions : ndarray of int of shape (n_samples,)
        Contiguous, numbered from 0.

    Raises
    ------
    DataError
        If sessions are asked for where there is only one.
    """
    n_samples = len(y)
    several = sessions[-1] > 0
    if cv == "sessions" and not several:
        raise DataError(
            "there is only one session",
            expected="sessions= of two or more",
            found="one",
            fix='Use cv="blocks" to leave out blocks of time.',
            field="sessions",
        )
    if cv == "auto":
        # a fit to less than half of the samples says little about the penalty of all
        several = several and np.bincount(sessions).max() <= 0.5 * n_samples
        cv = "sessions" if several else "blocks" if autocorrelation(y, sessions) > 1 else "loo"
    if cv == "loo" or n_samples < 4:
        return None
    return sessions if cv == "sessions" else block_folds(y, N_BLOCKS)


def autocorrelation(y: np.ndarray, sessions: np.ndarray) -> float:
    """Autocorrelation time of few samples, in samples; 1 where they are independent."""
    # independent samples correlate by 1/sqrt(n); two such standard errors are no memory
    noise = max(0.05, 2 / np.sqrt(len(y)))
    return autocorrelation_time(y, sessions, negligible=noise)


def block_folds(y: np.ndarray, n_blocks: int) -> np.ndarray:
    """Contiguous blocks (n_samples,) of about equal size.

    Where the targets are a few values that come back, such as the codes of classes, each value's
    samples are cut into blocks of their own, so that none is left out altogether.

    Parameters
    ----------
    y : ndarray of shape (n_samples, ...)
    n_blocks : int
    """
    n_samples = len(y)
    n_blocks = max(2, min(n_blocks, n_samples // 2))
    rows = y.reshape(n_samples, -1)
    _, value, counts = np.unique(rows, axis=0, return_inverse=True, return_counts=True)
    if len(counts) * n_blocks > n_samples:
        return np.arange(n_samples) * n_blocks // n_samples
    value = value.reshape(-1)
    order = np.argsort(value, kind="stable")
    rank = np.empty(n_samples, dtype=int)
    rank[order] = np.arange(n_samples) - np.repeat(np.cumsum(counts) - counts, counts)
    return rank * n_blocks // counts[value]


def session_folds(sessions: np.ndarray, n_folds: int) -> np.ndarray:
    """Sessions dealt, in order, into at most as many folds (n_samples,) of whole sessions."""
    n_sessions = sessions[-1] + 1
    return sessions * min(n_folds, n_sessions) // n_sessions
