"""From what users give to what the fit takes, and back to attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from neuroml._core.recording import break_points
from neuroml._core.samples import align_outputs, as_samples
from neuroml._core.validation import as_numbers, check_sessions, check_table, column_indices
from neuroml.exceptions import DataError
from neuroml.switching._categorical import Categorical
from neuroml.switching._chain import ChainPrior
from neuroml.switching._emissions import Design, Emissions, Family
from neuroml.switching._fit import Problem
from neuroml.switching._gaussian import Gaussian
from neuroml.switching._scalar_families import Bernoulli, NegativeBinomial, Poisson

if TYPE_CHECKING:
    from neuroml.switching.switching_glm import SwitchingGLM

__all__ = ["FAMILIES", "arrange", "join_weights", "required", "split_weights"]

FAMILIES = ("bernoulli", "categorical", "gaussian", "poisson", "negative_binomial")


def required(model: SwitchingGLM, y: Any) -> Any:
    """Return y, which must not be None."""
    if y is None:
        raise ValueError(
            f"This {type(model).__name__} estimator requires y to be passed, but the target y is "
            "None."
        )
    return y


def arrange(
    model: SwitchingGLM,
    X: Any,
    y: Any,
    sessions: ArrayLike | None,
    *,
    reset: bool,
) -> Problem:
    """Check arguments and lay them out; ``reset`` is True in fit."""
    given = as_samples(X, y, sessions)
    if X is None:
        X = np.empty((len(required(model, given.y)), 0))
        _check_no_inputs(model, reset=reset)
    else:
        X = check_table(model, given.X, reset=reset, dtype=np.float64)
    labels = check_sessions(given.sessions, len(X))
    family = _family(model, None if reset else getattr(model, "n_classes_", None))
    observed = align_outputs(model, y, given.y, reset=reset)
    targets = _targets(model, family, observed, len(X), reset=reset)
    driving = _columns(model, X, "emission_columns")
    inputs = X if driving is None else driving
    if model.fit_intercept:
        inputs = np.column_stack([inputs, np.ones(len(X))])
    onward = _columns(model, X, "transition_columns")
    return Problem(
        family,
        Design(np.ascontiguousarray(inputs.T), targets, model.fit_intercept),
        np.empty((len(X), 0)) if onward is None else onward,
        np.append(break_points(labels), len(X)).astype(np.int64),
        ChainPrior(model.concentration, model.stickiness, model.transition_ridge),
    )


def _columns(model: SwitchingGLM, X: np.ndarray, name: str) -> np.ndarray | None:
    """The columns of X that a parameter selects, or None if it selects none in particular."""
    selected = getattr(model, name)
    if selected is None:
        return None
    names = getattr(model, "feature_names_in_", None)
    return np.ascontiguousarray(X[:, column_indices(selected, X.shape[1], names, field=name)])


def split_weights(model: SwitchingGLM, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights (K, M, F) as weights of inputs and intercepts (K, M), which are 0 without one."""
    if model.fit_intercept:
        return weights[:, :, :-1], weights[:, :, -1]
    return weights, np.zeros(weights.shape[:2])


def join_weights(
    model: SwitchingGLM, weights: np.ndarray, intercept: np.ndarray, spread: np.ndarray
) -> Emissions:
    """The inverse of `split_weights`."""
    if model.fit_intercept:
        weights = np.concatenate([weights, intercept[:, :, None]], axis=2)
    return Emissions(weights, spread)


def _family(model: SwitchingGLM, n_classes: int | None) -> Family:
    families: dict[str, Family] = {
        "bernoulli": Bernoulli(model.ridge),
        "categorical": Categorical(model.ridge, n_classes),
        "gaussian": Gaussian(model.ridge, model.covariance_type, model.covariance_prior),
        "poisson": Poisson(model.ridge),
        "negative_binomial": NegativeBinomial(model.ridge),
    }
    return families[model.family]


def _check_no_inputs(model: SwitchingGLM, *, reset: bool) -> None:
    if not model.fit_intercept:
        raise DataError("there is neither an input nor an intercept", fix="Give X.", field="X")
    if reset:
        model.n_features_in_ = 0
    elif model.n_features_in_:
        raise DataError(
            "X is missing", expected=f"{model.n_features_in_} columns", found="None", field="X"
        )


def _targets(
    model: SwitchingGLM, family: Family, y: ArrayLike | None, n_bins: int, *, reset: bool
) -> np.ndarray:
    """Checked observations (M, T); all missing if y is None."""
    if y is None:
        return np.full((model.n_outputs_, n_bins), np.nan)
    table = as_numbers(y, "y").astype(np.float64)
    table = table[:, None] if table.ndim == 1 else table
    if table.ndim != 2 or len(table) != n_bins or not table.shape[1]:
        raise DataError(
            "y does not match X",
            expected=f"shape ({n_bins},) or ({n_bins}, n_outputs)",
            found=f"shape {np.shape(y)}",
            field="y",
        )
    if reset:
        model.n_outputs_ = table.shape[1]
    allowed = 1 if model.family == "categorical" else model.n_outputs_
    if table.shape[1] != allowed:
        raise DataError(
            "y has another number of outputs",
            expected=f"{allowed} column(s)",
            found=f"{table.shape[1]}",
            field="y",
        )
    targets = np.ascontiguousarray(table.T)
    family.check(targets)
    unseen = np.isnan(targets).all(axis=1)
    if reset and unseen.any():
        raise DataError(
            "an output is missing in every bin",
            expected="at least one observation of each output",
            found=f"outputs {np.flatnonzero(unseen).tolist()} all NaN",
            field="y",
        )
    return targets
