"""Cross-validation that keeps sessions whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.model_selection import BaseCrossValidator, GroupKFold

from neuroml.exceptions import DataError

__all__ = ["SessionKFold"]


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
