"""Panels of models that switch between states."""

from __future__ import annotations

import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator

from neuroml._core.validation import column_indices
from neuroml.plotting import (
    plot_convergence,
    plot_couplings,
    plot_dwell_times,
    plot_filters,
    plot_intercepts,
    plot_psychometric,
    plot_state_raster,
    plot_states,
    plot_weights,
)
from neuroml.report.context import Context
from neuroml.report.elements import Panel, last_step
from neuroml.report.tables.switching import class_names, fitted_to, output_names
from neuroml.report.tables.switching import errors as errors_of
from neuroml.switching import SwitchingGLM, SwitchingPopulationGLM

__all__ = ["glm", "population_glm"]

_MOST_OUTPUTS = 6
_MOST_BINS = 2000
_ERRORS = {"observed": "the observed information", "sandwich": "the spread over sessions"}
_OBJECTIVE = "objective (nats per sample)"
_TRACE = (
    "Objective (log-likelihood with the logarithm of the prior) after each iteration of the kept "
    "start"
)


def glm(model: BaseEstimator, context: Context) -> list[Panel]:
    """States over time, weights, psychometric curves, dwell times, and how the fit converged."""
    model = last_step(model)
    convergence = Panel(
        "convergence",
        plot_convergence(model, label=_OBJECTIVE),
        f"{_TRACE} (line), and at the end of every start (dots). A wide spread of dots means local "
        "maxima.",
    )
    if context.y is None:
        return [_without_data("States, weights, visits and psychometric curves"), convergence]
    given, whose = fitted_to(model, context)
    posterior, path = model.predict_proba(*given, **whose), model.predict(*given, **whose)
    return [
        Panel(
            "states",
            plot_states(
                posterior,
                sessions=context.sessions,
                times=context.time,
                time_label=context.time_label,
            ),
            "Above: share of every session that each state takes. Below: probability of the "
            "states given all data, in the session with the most balanced states, up to its 40th "
            "visit to a state.",
        ),
        _weights(model, context),
        _dwell_times(path, model, context),
        *_psychometric(model, context, posterior),
        convergence,
    ]


def population_glm(model: BaseEstimator, context: Context) -> list[Panel]:
    """States over spikes, couplings per state, filters, visits, and how the fit converged."""
    model = last_step(model)
    convergence = Panel(
        "convergence",
        plot_convergence(model, label=_OBJECTIVE),
        f"{_TRACE}. The other starts ended under another prior, so their values are not drawn.",
    )
    if context.X is None:
        return [_without_data("States, couplings and visits"), convergence]
    given, whose = fitted_to(model, context)
    path = model.predict(*given, **whose)
    return [
        _raster(model, context),
        Panel(
            "couplings",
            plot_couplings(model, unit_names=context.columns),
            "Coupling from every unit (column) to every unit (row) in each state, on the scale of "
            "the link; units that are coupled stand beside one another. The numbers are in the "
            "table of parameters.",
        ),
        Panel(
            "filters",
            plot_filters(model),
            "How a spike acts on later bins, per sending unit (gray, if they were learned) and on "
            "average; every filter has a sum of one.",
        ),
        _dwell_times(path, model, context),
        convergence,
    ]


def _without_data(what: str) -> Panel:
    caption = f"{what} are not drawn: the data did not come along with the model."
    return Panel("states", None, caption)


def _raster(model: SwitchingPopulationGLM, context: Context) -> Panel:
    counts = np.asarray(context.X, dtype=np.float64)
    return Panel(
        "states",
        plot_state_raster(
            model.predict_proba(counts, **fitted_to(model, context)[1]),
            counts,
            sessions=context.sessions,
            times=context.running_time,
            time_label=context.running_label,
            max_bins=_MOST_BINS,
        ),
        f"Posterior of the states over the spikes of the first {_MOST_BINS} bins at most, up to "
        "the 40th visit to a state; units sorted by their rate. Gray lines: borders of sessions.",
    )


def _psychometric(model: SwitchingGLM, context: Context, posterior: np.ndarray) -> list[Panel]:
    """One panel for a model of choices between two; it needs an input."""
    if model.family != "bernoulli":
        return []
    if context.X is None:
        caption = "Psychometric curves are not drawn: the model has no inputs."
        return [Panel("psychometric", None, caption)]
    chosen = class_names(model, context)[1]
    predicted = _choice_probability(model, np.asarray(context.X))
    lines = "the shares" if predicted is None else "what the model predicts of the same trials"
    return [
        Panel(
            "psychometric",
            plot_psychometric(
                context.X[:, 0],
                np.ravel(context.y),
                posterior,
                predicted=predicted,
                stimulus_label=context.input_label(0),
                choice_label=chosen,
            ),
            f"Share of choices {chosen} against the first input, at its levels where these are few "
            "and else in bins of equal size, every trial weighted by its probability of the state. "
            f"Bars: 95 % intervals. Lines: {lines}.",
        )
    ]


def _choice_probability(model: SwitchingGLM, X: np.ndarray) -> np.ndarray | None:
    """Probability of the second class in every state (n_trials, n_states)."""
    if model.pooling != "complete":  # subjects have weights of their own
        return None
    chosen, n_columns = model.emission_columns, model.n_features_in_
    if chosen is not None:
        learned = getattr(model, "feature_names_in_", None)
        X = X[:, column_indices(chosen, n_columns, learned, field="emission_columns")]
    return np.asarray(expit(X @ model.weights_[:, 0].T + model.intercept_[:, 0]))


def _weights(model: SwitchingGLM, context: Context) -> Panel:
    names = output_names(model, context)
    if context.X is None:
        caption = "Intercept of every output in every state: its mean, on the scale of the link."
        return Panel("intercepts", plot_intercepts(model, output_names=names), caption)
    errors = errors_of(model, context)
    known = errors is not None and bool(np.isfinite(errors.weights).all())
    after = f" Inputs are those after {', '.join(context.through)}." if context.through else ""
    n_outputs = model.weights_.shape[1]
    first = f" on the first {_MOST_OUTPUTS} outputs" if n_outputs > _MOST_OUTPUTS else ""
    bars = (
        f"with 95 % Wald intervals from {_ERRORS[errors.cov]}."
        if errors is not None and known
        else "without intervals: the observed information does not determine all of them."
    )
    if model.pooling != "complete":
        bars = "of the cohort; those of every subject are in the table of parameters."
    return Panel(
        "weights",
        plot_weights(
            model,
            standard_errors=errors if known else None,
            input_names=context.columns,
            output_names=names,
            max_outputs=_MOST_OUTPUTS,
        ),
        f"Weights and intercept of every state{first}, {bars}{after}",
    )


def _dwell_times(path: np.ndarray, model: BaseEstimator, context: Context) -> Panel:
    # durations are counted in rows, which are bins where time is in seconds
    axis = context.recordings[0].attrs["time_axis"]
    return Panel(
        "dwell_times",
        plot_dwell_times(
            path,
            model.transition_matrix_,
            sessions=context.sessions,
            sample_label="bins" if axis == "seconds" else axis,
        ),
        "Share of visits that last at least so long: of the most probable path (dots), and of "
        "the fitted chain (line), whose visits are geometric. The path passes over short visits, "
        "so dots lie above the line even where the chain is right.",
    )
