"""Choosing settings by the likelihood of held-out sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import sklearn
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.utils.metadata_routing import get_routing_for_object

from neuroml._core.estimator import n_samples_of
from neuroml._core.samples import as_labeled_samples
from neuroml._core.statistics import one_standard_error
from neuroml._core.validation import check_sessions
from neuroml.data import SessionKFold
from neuroml.exceptions import DataError

__all__ = ["select_by_sessions"]


def select_by_sessions(
    estimator: BaseEstimator,
    grid: Mapping[str, Sequence[Any]],
    X: Any,
    y: Any = None,
    *,
    sessions: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    cv: int = 5,
    n_jobs: int | None = None,
) -> GridSearchCV:
    """Choose settings by the held-out likelihood of whole sessions, and refit with them.

    The choice is the first candidate whose mean shortfall to the best, fold by fold, is within its
    standard error (`neuroml.evaluation.one_standard_error`): list values from simple to complex,
    such as ``{"n_states": [1, 2, 3, 4]}``. Candidates that differ in several settings follow
    scikit-learn's order of names.

    A single session is cut into ``cv`` blocks of time, which stand in for sessions: each is held
    out once. The model that is returned is fitted to the session as it was recorded.

    Parameters
    ----------
    estimator : SwitchingGLM, SwitchingPopulationGLM or Pipeline that ends in one
    grid : mapping of str to sequence
        Values to try of each setting, with the names that ``set_params`` of the estimator takes,
        such as ``switchingglm__n_states`` in a Pipeline.
    X, y
        As for the estimator's ``fit``: an array, table or recording, a list of sessions or a dict
        of subjects. To choose among models without inputs, give a column of zeros, and
        ``emission_columns=[]`` to the estimator.
    sessions : array-like of shape (n_bins,), optional
        Not with a list, which has one array for each session.
    groups : array-like of shape (n_bins,), optional
        Subject of each bin, as for ``fit``. Sessions are held out, and not subjects.
    cv : int
        Folds, at most the number of sessions if there are several.
    n_jobs : int or None
        Processes over candidates and folds.

    Returns
    -------
    sklearn.model_selection.GridSearchCV
        Fitted: ``best_estimator_``, ``best_params_`` and ``cv_results_`` (nats per bin).

    Raises
    ------
    DataError
        If the estimator does not take sessions, there are fewer sessions than folds, or a candidate
        has no finite score in some fold.
    Exception
        Whatever stops the fit, or the score, of a candidate in a fold.
    """
    given = as_labeled_samples(X, y, sessions, groups)
    if given.X is None:
        raise DataError(
            "scikit-learn's search needs an X",
            expected="an array",
            found="None",
            fix="Give a column of zeros, and emission_columns=[] to the estimator.",
            field="X",
        )
    n_bins = n_samples_of(given.X)
    whole = {"sessions": check_sessions(given.sessions, n_bins)}
    single = whole["sessions"][-1] == 0
    if single:
        _check_blocks(n_bins, cv)
    with sklearn.config_context(enable_metadata_routing=True):
        routing = get_routing_for_object(estimator)
        for method in ("fit", "score"):
            if not routing.consumes(method, ["sessions"]):
                raise DataError(
                    f"the sessions would not reach {method} of this estimator",
                    expected="an estimator, or a Pipeline of one, that asks for sessions",
                    found=repr(estimator),
                    fix=f"Take back its set_{method}_request(sessions=False), if there is one.",
                    field="estimator",
                )
        if given.groups is not None and routing.consumes("fit", ["groups"]):
            whole["groups"] = given.groups
        # of equal length, to a bin; kept apart in training too, so that no chain or history runs
        # across what is held out
        blocks = {"sessions": np.arange(n_bins) * cv // n_bins} if single else {}
        search = GridSearchCV(
            estimator,
            dict(grid),
            cv=SessionKFold(cv),
            refit=one_standard_error,
            n_jobs=n_jobs,
            error_score="raise",
        )
        search.fit(given.X, given.y, **(whole | blocks))
        if single:
            search.best_estimator_.fit(given.X, given.y, **whole)
    return search


def _check_blocks(n_bins: int, cv: int) -> None:
    if not 2 <= cv <= n_bins:
        raise DataError(
            "a session cannot be cut into so many blocks",
            expected=f"cv from 2 to {n_bins}",
            found=cv,
            fix="Pass sessions= if there are several.",
            field="cv",
        )
