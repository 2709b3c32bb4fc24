"""Choosing a model, matching states between models, and trying a design out before collecting."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import sklearn
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import GridSearchCV
from sklearn.utils.metadata_routing import get_routing_for_object

from neuroml._core.estimator import check_kind
from neuroml._core.parallel import RandomState, run_parallel, spawn_generators
from neuroml.data import SessionKFold
from neuroml.exceptions import DataError
from neuroml.switching.switching_glm import SwitchingGLM
from neuroml.switching.switching_population_glm import SwitchingPopulationGLM

__all__ = [
    "match_states",
    "match_weights",
    "one_standard_error",
    "recovery_study",
    "select_by_sessions",
]


def match_states(reference: ArrayLike, other: ArrayLike) -> np.ndarray:
    """Find which states of two models go together, from what they say about the same bins.

    Parameters
    ----------
    reference, other : array-like of shape (n_bins,) or (n_bins, n_states)
        State labels 0, 1, ..., or posterior probabilities.

    Returns
    -------
    ndarray of int of shape (n_states,)
        Entry k is the state of ``other`` that shares the most bins with state k of ``reference``,
        each used once; -1 where ``other`` has no state left. With as many states in both,
        ``model.weights_[order]`` has its states in the order of the reference; with fewer in
        ``other``, leave the -1 out first, since -1 as an index would take the last state.

    Raises
    ------
    DataError
        If the two are about different numbers of bins.

    Examples
    --------
    >>> from neuroml.switching import match_states
    >>> match_states([0, 0, 1, 1, 2], [2, 2, 0, 0, 1]).tolist()
    [2, 0, 1]
    """
    first, second = _shares(reference), _shares(other)
    if len(first) != len(second):
        raise DataError(
            "the states are about different bins",
            expected=f"{len(first)} bins",
            found=f"{len(second)}",
            field="other",
        )
    return _assign(-(first.T @ second))


def match_weights(reference: ArrayLike, other: ArrayLike) -> np.ndarray:
    """Find which states of two models go together, from their weights: for other subjects' data.

    Parameters
    ----------
    reference, other : array-like of shape (n_states, ...)
        Weights, of equal shapes but for the number of states.

    Returns
    -------
    ndarray of int of shape (n_states,)
        As for `match_states`, with the smallest sum of squared differences.
    """
    first, second = (np.asarray(weights, dtype=np.float64) for weights in (reference, other))
    first, second = first.reshape(len(first), -1), second.reshape(len(second), -1)
    return _assign(((first[:, None] - second) ** 2).sum(axis=2))


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


def recovery_study(
    truth: BaseEstimator,
    X: ArrayLike | None = None,
    *,
    sessions: ArrayLike,
    estimator: BaseEstimator | None = None,
    n_repeats: int = 10,
    n_jobs: int | None = None,
    random_state: RandomState = None,
) -> pd.DataFrame:
    """Simulate a design many times, fit each data set, and say what came back.

    Parameters
    ----------
    truth : SwitchingGLM or SwitchingPopulationGLM
        Fitted to a pilot, or from ``SwitchingGLM.from_parameters``.
    X : array-like of shape (n_bins, n_features), optional
        Inputs of the design; none for models without.
    sessions : array-like of shape (n_bins,)
        Sessions of the design.
    estimator : estimator, optional
        What to fit; as ``truth``, if not given.
    n_repeats : int
    n_jobs : int or None
        Processes over repeats.
    random_state : int, RandomState, Generator or None

    Returns
    -------
    DataFrame
        One row per repeat: ``state_accuracy``, the share of bins whose most probable state is the
        true one after matching, and ``oracle_accuracy``, that of the true model, which nothing
        beats in expectation; ``weight_correlation`` and ``weight_rmse``;
        ``transition_rmse``; ``log_likelihood`` and ``true_log_likelihood`` in nats per bin.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.switching import SwitchingGLM, recovery_study
    >>> truth = SwitchingGLM.from_parameters(
    ...     np.zeros((2, 1, 0)), [[-1.0], [1.5]], [[0.95, 0.05], [0.05, 0.95]], n_init=2
    ... )
    >>> study = recovery_study(
    ...     truth, sessions=np.repeat([0, 1], 500), n_repeats=3, random_state=0
    ... )
    >>> bool((study["state_accuracy"] > 0.7).all())
    True
    """
    models = (SwitchingGLM, SwitchingPopulationGLM)
    check_kind(truth, models, "truth")
    fitted = clone(truth) if estimator is None else check_kind(estimator, models, "estimator")
    tasks = [
        (truth, fitted, X, np.asarray(sessions), rng)
        for rng in spawn_generators(random_state, n_repeats)
    ]
    return pd.DataFrame(run_parallel(_recover, tasks, n_jobs=n_jobs))


def _recover(
    truth: BaseEstimator,
    estimator: BaseEstimator,
    X: ArrayLike | None,
    sessions: np.ndarray,
    rng: np.random.Generator,
) -> dict[str, float]:
    if isinstance(truth, SwitchingGLM):
        y, states = truth.sample(X, sessions=sessions, random_state=rng)
        data: tuple[Any, Any] = (X, y)
    else:
        spikes, states = truth.sample(sessions=sessions, random_state=rng)
        data = (spikes, None)
    model = clone(estimator)
    if "random_state" in model.get_params():
        model.set_params(random_state=int(rng.integers(2**31)))
    model.fit(*data, sessions=sessions)
    posterior = model.predict_proba(*data, sessions=sessions)
    order = match_states(np.eye(len(truth.weights_))[states], posterior)
    kept = order >= 0
    true_weights, weights = truth.weights_[kept].ravel(), model.weights_[order[kept]].ravel()
    matched = model.transition_matrix_[np.ix_(order[kept], order[kept])]
    transition_error = matched - truth.transition_matrix_[np.ix_(kept, kept)]
    oracle = truth.predict_proba(*data, sessions=sessions)
    varied = min(np.ptp(true_weights), np.ptp(weights)) > 0 if len(weights) else False
    return {
        "state_accuracy": float((order[states] == posterior.argmax(axis=1)).mean()),
        "oracle_accuracy": float((states == oracle.argmax(axis=1)).mean()),
        "weight_correlation": float(np.corrcoef(true_weights, weights)[0, 1]) if varied else np.nan,
        "weight_rmse": float(np.sqrt(((weights - true_weights) ** 2).mean()))
        if len(weights)
        else np.nan,
        "transition_rmse": float(np.sqrt((transition_error**2).mean())),
        "log_likelihood": model.score(*data, sessions=sessions),
        "true_log_likelihood": truth.score(*data, sessions=sessions),
    }


def _shares(states: ArrayLike) -> np.ndarray:
    table = np.asarray(states)
    return np.eye(int(table.max()) + 1)[table] if table.ndim == 1 else table


def _assign(cost: np.ndarray) -> np.ndarray:
    rows, columns = linear_sum_assignment(cost)
    order = np.full(len(cost), -1)
    order[rows] = columns
    return order
