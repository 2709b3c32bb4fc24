"""Trying a design out before data are collected."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, clone

from neuroml._core.estimator import check_kind
from neuroml._core.parallel import RandomState, run_parallel, show_progress, spawn_generators
from neuroml.switching.matching import match_states
from neuroml.switching.switching_glm import SwitchingGLM
from neuroml.switching.switching_population_glm import SwitchingPopulationGLM

__all__ = ["recovery_study"]


def recovery_study(
    truth: BaseEstimator,
    X: ArrayLike | None = None,
    *,
    sessions: ArrayLike,
    estimator: BaseEstimator | None = None,
    n_repeats: int = 10,
    n_jobs: int | None = None,
    verbose: int = 0,
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
    verbose : int, default=0
        1 shows the progress.
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
    done = run_parallel(_recover, tasks, n_jobs=n_jobs)
    return pd.DataFrame(show_progress(done, n_repeats, "repeats", verbose))


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
