"""Choosing settings by the likelihood of held-out sessions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import sklearn
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.utils.metadata_routing import get_routing_for_object

from neuroml.data import SessionKFold
from neuroml.exceptions import DataError

__all__ = ["one_standard_error", "select_by_sessions"]


def one_standard_error(cv_results: Mapping[str, Any]) -> int:
    """Return the first candidate that is within one standard error of the best.

    For ``GridSearchCV(refit=one_standard_error)``: list candidates from simple to complex.

    Parameters
    ----------
    cv_results : mapping
        As `sklearn.model_selection.GridSearchCV` keeps it.

    Returns
    -------
    int
        Index of the candidate.

    Raises
    ------
    DataError
        If a candidate has no finite score in some fold, or there are fewer than two folds.
    """
    mean = np.asarray(cv_results["mean_test_score"], dtype=np.float64)
    names = [name for name in cv_results if re.fullmatch(r"split\d+_test_score", name)]
    if len(names) < 2:
        raise DataError(
            "a standard error needs folds", expected="at least 2", found=len(names), field="cv"
        )
    folds = np.stack([np.broadcast_to(cv_results[name], mean.shape) for name in names], axis=1)
    _refuse_unscored(folds, mean, cv_results.get("params"))
    best = int(mean.argmax())
    error = cv_results["std_test_score"][best] / np.sqrt(len(names) - 1)
    return int(np.argmax(mean >= mean[best] - error))


def _refuse_unscored(folds: np.ndarray, mean: np.ndarray, params: Any) -> None:
    """Refuse candidates without a finite score in some fold (n_candidates, n_folds)."""
    unscored = ~np.isfinite(folds)
    failed = np.flatnonzero(unscored.any(axis=1) | ~np.isfinite(mean))
    if not len(failed):
        return
    names = [str(k if params is None else params[k]) for k in failed[:5]]
    names = [
        f"{name} in folds {np.flatnonzero(unscored[k]).tolist()}"
        for name, k in zip(names, failed, strict=False)
    ]
    raise DataError(
        "some candidates have no finite score in some folds, so they cannot be compared",
        expected=f"a finite score of each of {len(mean)} candidates in each fold",
        found=f"{len(failed)} without: {', '.join(names)}",
        fix="Leave these candidates out; if all of them fail, a session may hold a unit or class "
        "that the others lack: use fewer folds, or leave it out.",
        field="cv_results",
    )


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

    The choice is the first candidate within one standard error of the best: list values from simple
    to complex, such as ``{"n_states": [1, 2, 3, 4]}``. Candidates that differ in several
    settings follow scikit-learn's order of names.

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
