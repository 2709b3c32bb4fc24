"""Whether states say what a subject does, or only who it is."""

from __future__ import annotations

import numpy as np
import pandas as pd

from neuroml._core.warn import warn_caller
from neuroml.switching._labels import of_sessions

__all__ = ["check_subjects", "occupancy_by_subject", "warn_of_subjects"]

# A state is one subject's if that subject spends at least this share of its bins there, and has at
# least this share of the state where all subjects count alike. A convention, not tuned: lower, and
# a state that one subject only prefers is told; higher, and a few stray bins of others hide it.
_MOSTLY = 0.9


def check_subjects(groups: np.ndarray | None, starts: np.ndarray) -> np.ndarray | None:
    """Subject of every bin (T,), the same one throughout a session.

    Parameters
    ----------
    groups : ndarray of shape (n_bins,) or None
    starts : ndarray of int of shape (n_sessions + 1,)
        First bins of sessions, and the number of bins.

    Raises
    ------
    DataError
        If a session has several subjects.
    """
    if groups is not None:
        of_sessions(starts, groups, "groups", "subject")
    return groups


def occupancy_by_subject(posterior: np.ndarray, groups: np.ndarray) -> pd.DataFrame:
    """Share of every subject's bins in every state.

    Parameters
    ----------
    posterior : ndarray of shape (n_bins, n_states)
    groups : ndarray of shape (n_bins,)

    Returns
    -------
    DataFrame of shape (n_subjects, n_states)
        Rows sum to one; subjects in the order in which they come.
    """
    columns = pd.RangeIndex(posterior.shape[1], name="state")
    table = pd.DataFrame(posterior, columns=columns)
    return table.groupby(pd.Index(groups, name="subject"), sort=False).mean()


def warn_of_subjects(occupancy: pd.DataFrame) -> None:
    """Warn of states that tell one of several subjects from the others.

    Parameters
    ----------
    occupancy : DataFrame of shape (n_subjects, n_states)
    """
    n_subjects, n_states = occupancy.shape
    if n_subjects < 2 or n_states < 2:
        return
    of_state = occupancy / occupancy.sum(axis=0).clip(lower=np.finfo(float).tiny)
    mine = (occupancy >= _MOSTLY) & (of_state >= _MOSTLY)
    found = [f"state {k} (subject {mine[k].idxmax()!r})" for k in mine if mine[k].any()]
    if found:
        warn_caller(
            f"{', '.join(found)}: nearly all of the state is one subject's, who is nearly always "
            "in it. It says who was recorded, and may say nothing of what the subject did. Fit "
            "subjects by themselves, or give inputs that take up how they differ.",
            UserWarning,
        )
