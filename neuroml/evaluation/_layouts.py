"""Data as an evaluation takes them apart: rows of samples, or subjects with rows of their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from neuroml._core.cohort import Subject, pair_by_subject, sessions_by_subject
from neuroml._core.covariates import check_covariates
from neuroml._core.estimator import n_samples_of, safe_indexing
from neuroml._core.samples import as_labeled_samples
from neuroml._core.validation import as_given, check_labels, check_sessions
from neuroml.connectome import FiberTensor
from neuroml.exceptions import DataError

__all__ = [
    "Rows",
    "read_array",
    "read_cells",
    "read_samples",
    "read_subjects",
    "take_samples",
]


@dataclass(frozen=True)
class Rows:
    """Samples in the order of time.

    Attributes
    ----------
    X : array, table, FiberTensor (whose last mode is time) or None
    y : ndarray or None
    sessions : ndarray of int of shape (n_samples,)
        Contiguous stretches of time, which estimators compute across.
    groups : ndarray of shape (n_samples,) or None
        Subject of each sample.
    recorded : ndarray of int of shape (n_samples,) or None
        The session in which each sample was recorded, where samples in between were left out; by
        default ``sessions``.
    covariates : array or table of shape (n_samples, n_covariates), or None
    """

    X: Any
    y: Any
    sessions: np.ndarray
    groups: np.ndarray | None = None
    recorded: np.ndarray | None = None
    covariates: Any = None

    def __len__(self) -> int:
        return len(self.sessions)

    def take(self, rows: np.ndarray) -> Rows:
        """Some of the samples, in order; what is no longer contiguous becomes sessions of its own.

        Estimators compute across neighboring samples of a session. Where samples in between were
        left out, the two sides are no neighbors.
        """
        rows = np.sort(rows)
        broken = np.diff(rows, prepend=rows[:1] - 1) != 1
        broken |= np.diff(self.sessions[rows], prepend=self.sessions[rows[:1]]) != 0
        return Rows(
            take_samples(self.X, rows),
            None if self.y is None else safe_indexing(self.y, rows),
            np.cumsum(broken),
            None if self.groups is None else self.groups[rows],
            self.whole_sessions[rows],
            None if self.covariates is None else safe_indexing(self.covariates, rows),
        )

    @property
    def whole_sessions(self) -> np.ndarray:
        """Session of each sample, whatever was left out of it."""
        return self.sessions if self.recorded is None else self.recorded

    def by_subject(self) -> Iterator[tuple[Subject, Rows]]:
        """Each subject's samples; all of them under the name "" where subjects are not known."""
        if self.groups is None:
            yield "", self
            return
        for subject in dict.fromkeys(self.groups.tolist()):
            yield subject, self.take(np.flatnonzero(self.groups == subject))

    def with_covariates(self, covariates: Any, X: Any) -> Rows:
        """The same samples with covariates, which come in the parts of X."""
        holder = SimpleNamespace()  # takes the names, as an estimator does
        table = check_covariates(holder, covariates, X, len(self), reset=True)
        names = getattr(holder, "covariate_names_", None)
        named = table if table is None or names is None else pd.DataFrame(table, columns=names)
        return replace(self, covariates=named)

    def with_y(self, y: Any) -> Rows:
        """The same samples with other targets."""
        return replace(self, y=y)


def take_samples(X: Any, rows: np.ndarray) -> Any:
    """Some of the samples of an array, a table, or a tensor whose last mode is time."""
    if X is None:
        return None
    if isinstance(X, FiberTensor):
        times = X.labels[-1] if X.labels else None
        labels = (*X.labels[:-1], None if times is None else np.asarray(times)[rows])
        shape = (*X.shape[:-1], len(rows))
        return replace(X, values=X.values[:, rows], shape=shape, labels=labels)
    return safe_indexing(X, rows)


def read_samples(X: Any, y: Any, sessions: ArrayLike | None, groups: ArrayLike | None) -> Rows:
    """Data whose units agree, in any form that estimators take."""
    given = as_labeled_samples(X, y, sessions, groups)
    n_samples = n_samples_of(given.y if given.X is None else given.X)
    targets = given.y
    if targets is not None and len(targets) != n_samples:
        raise DataError(
            "X and y differ in their rows", expected=n_samples, found=len(targets), field="y"
        )
    return Rows(given.X, targets, check_sessions(given.sessions, n_samples), given.groups)


def read_array(X: Any, y: Any, sessions: ArrayLike | None, groups: ArrayLike | None) -> Rows:
    """One array of any number of axes, samples first, or a tensor whose last mode is time."""
    if isinstance(X, FiberTensor):
        if not isinstance(X.values, np.ndarray):
            raise DataError(
                "a tensor that is not in memory cannot be split",
                expected="a FiberTensor of an array",
                found=type(X.values).__name__,
                fix="Evaluate a Pipeline that starts from the traces.",
                field="X",
            )
        n_samples = X.shape[-1]
    else:
        X = as_given(X)
        n_samples = n_samples_of(X)
    if y is not None:
        y = as_given(y, "y")
        if len(y) != n_samples:
            raise DataError(
                "X and y differ in their rows", expected=n_samples, found=len(y), field="y"
            )
    labels = None if groups is None else check_labels(groups, n_samples, "groups")
    return Rows(X, y, check_sessions(sessions, n_samples), labels)


def read_cells(cells: Any, types: Any) -> Rows:
    """A model of cells, with the type of each."""
    known = np.asarray(as_given(types, "y"))
    return Rows(cells, known, np.zeros(len(known), dtype=int))


def read_subjects(X: Any, y: Any, sessions: Any, groups: ArrayLike | None) -> dict[Subject, Rows]:
    """Each subject's rows, where units may differ between subjects.

    ``sessions`` are labels of one array's rows, or a dict of labels of each subject's rows; a list
    of arrays within a subject is its sessions.
    """
    if y is None:
        raise DataError("decoders are compared on targets", expected="y=", found="None", field="y")
    data, targets = pair_by_subject(X, y, groups)
    n_rows = {s: n_samples_of(part) for s, part in data.items()}
    labels = sessions_by_subject(X, sessions, groups, n_rows)
    return {s: Rows(data[s], np.asarray(targets[s]), labels[s]) for s in data}
