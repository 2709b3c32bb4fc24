"""Whether states say what a subject does, or only who it is."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd

from neuroml._core.validation import check_labels, list_some
from neuroml._core.warn import warn_caller
from neuroml.exceptions import DataError
from neuroml.switching._labels import of_sessions

__all__ = [
    "add_subject",
    "check_subjects",
    "code_subjects",
    "fitted_subjects",
    "needed_subjects",
    "occupancy_by_subject",
    "warn_of_subjects",
]

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


def needed_subjects(groups: np.ndarray | None, pooling: str) -> np.ndarray:
    """Subject of every bin, which must be known where subjects have weights of their own.

    Raises
    ------
    DataError
        If groups are None.
    """
    if groups is None:
        raise DataError(
            "the subject of each bin is not known",
            expected=f"groups=, as subjects have weights of their own with pooling={pooling!r}",
            found="None",
            fix="Pass groups= (one label for each bin), or a dict with one entry per subject.",
            field="groups",
        )
    return groups


def fitted_subjects(
    groups: np.ndarray | None, pooling: str, family: str, poolable: Sequence[str]
) -> np.ndarray:
    """Subjects that a fit gives weights of their own, in the order in which they come.

    Parameters
    ----------
    groups : ndarray of shape (n_bins,), or None
    pooling : {"partial", "none"}
    family : str
    poolable : sequence of str
        Families that can be pooled partially.

    Raises
    ------
    DataError
        If subjects are not known, or how they differ cannot be learned.
    """
    if pooling == "partial" and family not in poolable:
        raise DataError(
            f"the family {family!r} cannot be pooled partially",
            expected=f"one of {list(poolable)}",
            found=family,
            fix="Use pooling='complete' or 'none', or family='poisson'.",
            field="pooling",
        )
    subjects = pd.unique(needed_subjects(groups, pooling))
    if pooling == "partial" and len(subjects) < 2:
        raise DataError(
            "how subjects differ cannot be learned from one",
            expected="two subjects or more with pooling='partial'",
            found=subjects.tolist(),
            fix="Use pooling='complete'.",
            field="groups",
        )
    return np.asarray(subjects)


def add_subject(known: np.ndarray, subject: Hashable) -> np.ndarray:
    """The known subjects and a new one.

    Raises
    ------
    DataError
        If it is known already, or its name is of another kind.
    """
    index = pd.Index(known)
    if subject in index:
        raise DataError(
            "the subject is known already",
            expected=f"another name than {list_some(index.tolist())}",
            found=repr(subject),
            field="subject",
        )
    grown = index.append(pd.Index([subject])).to_numpy()
    check_labels(grown, len(grown), "subject")
    return np.asarray(grown)


def code_subjects(groups: np.ndarray | None, known: np.ndarray, pooling: str) -> np.ndarray:
    """Place of every bin's subject among those that were fitted (T,).

    Raises
    ------
    DataError
        If groups are None, or some subjects were not fitted.
    """
    places = pd.Index(known).get_indexer(pd.Index(needed_subjects(groups, pooling)))
    if (places < 0).any():
        others = pd.unique(np.asarray(groups)[places < 0]).tolist()
        raise DataError(
            "some subjects are not among those that were fitted",
            expected=list_some(known.tolist()),
            found=list_some(others),
            fix="Give each new subject weights of its own with adapt(X, y, subject=...)"
            if pooling == "partial"
            else "Fit with them, or with pooling='partial' and then adapt(X, y, subject=...)",
            field="groups",
        )
    return np.asarray(places)


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
