"""Cross-validation of time series: whole sessions, blocks of time, whole subjects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.model_selection import BaseCrossValidator, GroupKFold, LeaveOneGroupOut

from neuroml._core.validation import check_labels, check_sessions, session_slices
from neuroml.exceptions import DataError

__all__ = ["BlockedKFold", "LeaveOneSubjectOut", "SessionKFold"]


class SessionKFold(BaseCrossValidator):
    """K folds, each session wholly in one of them.

    Samples next to each other in time are alike, so a fold cut through a session lets a model see
    almost the same samples that it is tested on. The folds are those of
    `sklearn.model_selection.GroupKFold` over sessions: of about equal size.

    With scikit-learn's metadata routing the splitter asks for ``sessions`` by itself; without,
    give the sessions as ``groups``. To keep subjects whole, give the subjects in their place.

    Parameters
    ----------
    n_splits : int
        Number of folds, at least 2.
    shuffle : bool
        Whether sessions are dealt to folds at random, instead of by size.
    random_state : int, RandomState or None
        With ``shuffle``.

    Examples
    --------
    >>> import numpy as np, sklearn
    >>> from sklearn.linear_model import LinearRegression
    >>> from sklearn.model_selection import cross_val_score
    >>> from neuroml.data import SessionKFold
    >>> sessions = np.repeat([0, 1, 2, 3], 5)
    >>> X = np.random.default_rng(0).normal(size=(20, 2))
    >>> cv = SessionKFold(2)
    >>> [sorted(set(sessions[test].tolist())) for _, test in cv.split(X, sessions=sessions)]
    [[1, 3], [0, 2]]
    >>> with sklearn.config_context(enable_metadata_routing=True):
    ...     scores = cross_val_score(
    ...         LinearRegression(), X, X[:, 0], cv=cv, params={"sessions": sessions}
    ...     )
    >>> scores.round(6).tolist()
    [1.0, 1.0]
    """

    __metadata_request__split = {"sessions": True}

    def __init__(
        self,
        n_splits: int = 5,
        *,
        shuffle: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_splits = n_splits
        self.shuffle = shuffle
        self.random_state = random_state

    def split(
        self,
        X: Any,
        y: Any = None,
        groups: ArrayLike | None = None,
        *,
        sessions: ArrayLike | None = None,
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the indices of training and test samples of each fold.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
        y : array-like, optional
            Not used.
        groups : array-like of shape (n_samples,), optional
            The sessions, where scikit-learn passes them under this name.
        sessions : array-like of shape (n_samples,), optional
            A label per sample.

        Raises
        ------
        DataError
            If there are no labels, their number differs from the samples', or there are fewer
            sessions than folds.
        """
        labels = sessions if sessions is not None else groups
        if labels is None:
            raise DataError(
                "the sessions are not given",
                expected="one label per sample",
                fix="Pass params={'sessions': ...} with metadata routing, or groups=... without.",
                field="sessions",
            )
        labels, n_samples = np.asarray(labels), len(X)
        if labels.shape != (n_samples,):
            raise DataError(
                "sessions do not match the samples",
                expected=f"{n_samples} labels",
                found=f"shape {labels.shape}",
                field="sessions",
            )
        n_sessions = len(np.unique(labels))
        if n_sessions < self.n_splits:
            raise DataError(
                "there are fewer sessions than folds",
                expected=f"at least {self.n_splits} sessions",
                found=n_sessions,
                fix="Lower n_splits, or record more sessions.",
                field="sessions",
            )
        folds = GroupKFold(self.n_splits, shuffle=self.shuffle, random_state=self.random_state)
        yield from folds.split(np.zeros(n_samples), groups=labels)

    def get_n_splits(self, X: Any = None, y: Any = None, **metadata: Any) -> int:  # noqa: ARG002
        """Return the number of folds; the arguments, as scikit-learn passes them, are not used."""
        return self.n_splits


class BlockedKFold(BaseCrossValidator):
    """K folds, each a contiguous block of time of every session.

    For few or single sessions, which `SessionKFold` cannot leave out whole. Samples next to each
    other are alike, so ``gap`` samples on both sides of a test block are in no part of the fold:
    take at least the autocorrelation time of the data, and the window of what was computed in
    windows.

    With scikit-learn's metadata routing the splitter asks for ``sessions`` by itself. What is left
    for training then has holes: give an estimator that computes across time the stretches as
    sessions of their own, as `neuroml.evaluation.evaluate` does.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    gap : int, default=0
        Samples left out on each side of a test block.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.data import BlockedKFold
    >>> for train, test in BlockedKFold(3, gap=1).split(np.zeros((9, 2))):
    ...     print(train, test)
    [4 5 6 7 8] [0 1 2]
    [0 1 7 8] [3 4 5]
    [0 1 2 3 4] [6 7 8]
    """

    __metadata_request__split = {"sessions": True}

    def __init__(self, n_splits: int = 5, *, gap: int = 0) -> None:
        self.n_splits = n_splits
        self.gap = gap

    def split(
        self,
        X: Any,
        y: Any = None,
        groups: ArrayLike | None = None,  # noqa: ARG002 - scikit-learn's signature
        *,
        sessions: ArrayLike | None = None,
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the indices of training and test samples of each fold.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
        y, groups : array-like, optional
            Not used.
        sessions : array-like of shape (n_samples,), optional
            Session label of each sample; without, all samples are one session.

        Raises
        ------
        DataError
            If a session has fewer samples than folds, or a fold has nothing to train on.
        """
        if self.n_splits < 2 or self.gap < 0:
            raise DataError(
                "these are no folds",
                expected="n_splits >= 2 and gap >= 0",
                found=f"n_splits={self.n_splits}, gap={self.gap}",
                field="cv",
            )
        n_samples = len(X)
        slices = session_slices(check_sessions(sessions, n_samples))
        short = min(part.stop - part.start for part in slices)
        if short < self.n_splits:
            raise DataError(
                "a session has fewer samples than there are folds",
                expected=f"at least {self.n_splits} samples in every session",
                found=short,
                fix="Lower n_splits, or leave out whole sessions (SessionKFold).",
                field="sessions",
            )
        pieces = [
            np.array_split(np.arange(part.start, part.stop), self.n_splits) for part in slices
        ]
        for fold in range(self.n_splits):
            left_out = np.zeros(n_samples, dtype=bool)
            for part, blocks in zip(slices, pieces, strict=True):
                first, last = blocks[fold][0], blocks[fold][-1]
                left_out[
                    max(part.start, first - self.gap) : min(part.stop, last + self.gap + 1)
                ] = 1
            train = np.flatnonzero(~left_out)
            if not len(train):
                raise DataError(
                    "the gap leaves nothing to train on",
                    expected=f"sessions longer than a block and two gaps of {self.gap} samples",
                    found=f"sessions of at most {max(p.stop - p.start for p in slices)} samples",
                    fix="Lower gap or n_splits.",
                    field="cv",
                )
            yield train, np.concatenate([blocks[fold] for blocks in pieces])

    def get_n_splits(self, X: Any = None, y: Any = None, **metadata: Any) -> int:  # noqa: ARG002
        """Return the number of folds; the arguments, as scikit-learn passes them, are not used."""
        return self.n_splits


class LeaveOneSubjectOut(BaseCrossValidator):
    """One fold per subject, which is wholly left out.

    With scikit-learn's metadata routing the splitter asks for ``groups``, the subject of each
    sample, by itself.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.data import LeaveOneSubjectOut
    >>> subjects = np.array(["anna", "anna", "ben", "cleo", "cleo"])
    >>> [test.tolist() for _, test in LeaveOneSubjectOut().split(np.zeros(5), groups=subjects)]
    [[0, 1], [2], [3, 4]]
    """

    __metadata_request__split = {"groups": True}

    def split(
        self, X: Any, y: Any = None, groups: ArrayLike | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the indices of training and test samples of each fold, by subjects' names.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
        y : array-like, optional
            Not used.
        groups : array-like of shape (n_samples,)
            The subject of each sample.

        Raises
        ------
        DataError
            If subjects are not given, or there is only one.
        """
        labels = self._labels(groups, len(X))
        yield from LeaveOneGroupOut().split(np.zeros(len(labels)), groups=labels)

    def get_n_splits(
        self,
        X: Any = None,
        y: Any = None,
        groups: ArrayLike | None = None,
    ) -> int:
        """Return the number of subjects.

        Parameters
        ----------
        X, y : any
            Not used.
        groups : array-like of shape (n_samples,)
            The subject of each sample.
        """
        n_samples = len(np.asarray(groups)) if groups is not None else 0 if X is None else len(X)
        return len(np.unique(self._labels(groups, n_samples)))

    @staticmethod
    def _labels(groups: ArrayLike | None, n_samples: int) -> np.ndarray:
        if groups is None:
            raise DataError(
                "the subjects are not given",
                expected="groups=, one label per sample",
                found="None",
                field="groups",
            )
        labels = check_labels(groups, n_samples, "groups")
        if len(np.unique(labels)) < 2:
            raise DataError(
                "there is only one subject",
                expected="at least two, to leave one out",
                found=repr(labels[0].item() if len(labels) else None),
                fix="Leave out sessions (SessionKFold) or blocks of time (BlockedKFold).",
                field="groups",
            )
        return labels
