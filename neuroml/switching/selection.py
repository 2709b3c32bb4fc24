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

from neuroml._core.statistics import one_standard_error
from neuroml.data import SessionKFold
from neuroml.exceptions import DataError

__all__ = ["select_by_sessions"]


def select_by_sessions(
    estimator: BaseEstimator,
    grid: Mapping[str, Sequence[Any]],
    X: ArrayLike,
    y: ArrayLike | None = None,
    *,
    sessions: ArrayLike,
    cv: int = 5,
    n_jobs: int | None = None,
) -> GridSearchCV:
    """Choose settings by the held-out likelihood of whole sessions, and refit with them.

    The choice is the first candidate whose mean shortfall to the best, fold by fold, is within its
    standard error (`neuroml.evaluation.one_standard_error`): list values from simple to complex,
    such as ``{"n_states": [1, 2, 3, 4]}``. Candidates that differ in several settings follow
    scikit-learn's order of names.

    Parameters
    ----------
    estimator : SwitchingGLM, SwitchingPopulationGLM or Pipeline that ends in one
    grid : mapping of str to sequence
        Values to try of each setting, with the names that ``set_params`` of the estimator takes,
        such as ``switchingglm__n_states`` in a Pipeline.
    X, y
        As for the estimator's ``fit``. To choose among models without inputs, give a column of
        zeros, and ``emission_columns=[]`` to the estimator.
    sessions : array-like of shape (n_bins,)
    cv : int
        Folds, at most the number of sessions.
    n_jobs : int or None
        Processes over candidates and folds.

    Returns
    -------
    sklearn.model_selection.GridSearchCV
        Fitted: ``best_estimator_``, ``best_params_`` and ``cv_results_`` (nats per bin).

    Raises
    ------
    DataError
        If the estimator does not take sessions, or a candidate has no finite score in some fold.
    Exception
        Whatever stops the fit, or the score, of a candidate in a fold.
    """
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
        search = GridSearchCV(
            estimator,
            dict(grid),
            cv=SessionKFold(cv),
            refit=one_standard_error,
            n_jobs=n_jobs,
            error_score="raise",
        )
        search.fit(X, y, sessions=np.asarray(sessions))
    return search
