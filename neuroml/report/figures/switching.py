"""Figures of models that switch between states."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from sklearn.base import BaseEstimator

from neuroml._core.recording import break_points
from neuroml.report.context import Context
from neuroml.report.figures.style import color, new_figure, tidy
from neuroml.report.figures.switching_population import population_panels
from neuroml.report.present import Panel
from neuroml.report.presenters import last_step
from neuroml.report.tables.switching import output_names
from neuroml.switching import SwitchingGLM, SwitchingPopulationGLM

__all__ = [
    "draw",
    "plot_convergence",
    "plot_dwell_times",
    "plot_intercepts",
    "plot_psychometric",
    "plot_states",
    "plot_weights",
]

_N_BINS = 9
_MOST_INPUTS = 20
_MOST_OUTPUTS = 6


def draw(model: BaseEstimator, context: Context) -> list[Panel]:
    """States over time, weights, psychometric curves, dwell times, and how the fit converged."""
    switching = last_step(model)
    if isinstance(switching, SwitchingPopulationGLM):
        panels = _population(switching, context)
    else:
        panels = _glm(switching, context)
    return [*panels, _convergence_panel(switching)]


def _population(model: SwitchingPopulationGLM, context: Context) -> list[Panel]:
    if context.X is None:
        return [_without_data("States, couplings and visits")]
    path = model.predict(context.X, sessions=context.sessions)
    return [*population_panels(model, context), _dwell_panel(path, model, context)]


def _glm(model: SwitchingGLM, context: Context) -> list[Panel]:
    if context.y is None:
        return [_without_data("States, weights, visits and psychometric curves")]
    posterior = model.predict_proba(context.X, context.y, sessions=context.sessions)
    path = model.predict(context.X, context.y, sessions=context.sessions)
    return [
        Panel(
            "states",
            plot_states(posterior, context.sessions, context),
            "Above: share of every session that each state takes. Below: probability of the "
            "states given all data, in the session with the most balanced states.",
        ),
        _weights_panel(model, context),
        _dwell_panel(path, model, context),
        *_psychometric_panels(model, context, posterior),
    ]


def _without_data(what: str) -> Panel:
    caption = f"{what} are not drawn: the data did not come along with the model."
    return Panel("states", None, caption)


def _psychometric_panels(
    model: SwitchingGLM, context: Context, posterior: np.ndarray
) -> list[Panel]:
    """One panel for a model of choices between two; it needs an input."""
    if model.family != "bernoulli":
        return []
    if context.X is None:
        caption = "Psychometric curves are not drawn: the model has no inputs."
        return [Panel("psychometric", None, caption)]
    return [
        Panel(
            "psychometric",
            plot_psychometric(
                context.X[:, 0], np.ravel(context.y), posterior, context.input_label(0)
            ),
            "Share of choices 1 against the first input in bins of equal size, every trial "
            "weighted by its probability of the state. Bars: 95 % intervals.",
        )
    ]


def _weights_panel(model: SwitchingGLM, context: Context) -> Panel:
    if context.X is None:
        caption = "Intercept of every output in every state: its mean, on the scale of the link."
        return Panel("intercepts", plot_intercepts(model, context), caption)
    errors = model.standard_errors(context.X, context.y, sessions=context.sessions).weights
    known = bool(np.isfinite(errors).all())
    after = f" Inputs are those after {', '.join(context.through)}." if context.through else ""
    n_outputs = model.weights_.shape[1]
    first = f" on the first {_MOST_OUTPUTS} outputs" if n_outputs > _MOST_OUTPUTS else ""
    bars = (
        "with 95 % Wald intervals from the observed information."
        if known
        else "without intervals: the observed information does not determine all of them."
    )
    return Panel(
        "weights",
        plot_weights(model, context, errors if known else None),
        f"Weights of every state{first}, {bars}{after}",
    )


def _dwell_panel(path: np.ndarray, model: BaseEstimator, context: Context) -> Panel:
    return Panel(
        "dwell_times",
        plot_dwell_times(path, context.sessions, model.transition_matrix_, context),
        "Share of visits that last at least so long: of the most probable path (dots), and of "
        "the fitted chain (line), whose visits are geometric.",
    )


def _convergence_panel(model: BaseEstimator) -> Panel:
    line = "Objective (log-likelihood with the logarithm of the prior) after each iteration of the"
    dots = (
        "kept start. The other starts ended under another prior, so their values are not drawn."
        if isinstance(model, SwitchingPopulationGLM)
        else "kept start (line), and at the end of every start (dots). A wide spread of dots means "
        "local maxima."
    )
    return Panel("convergence", plot_convergence(model), f"{line} {dots}")


def plot_states(posterior: np.ndarray, sessions: np.ndarray, context: Context) -> Figure:
    """Share of the states in every session, and their course in one of them.

    Parameters
    ----------
    posterior : ndarray of shape (n_bins, n_states)
    sessions : ndarray of shape (n_bins,)
    context : Context

    Returns
    -------
    matplotlib.figure.Figure
    """
    starts = break_points(sessions)
    shares = np.array([part.mean(axis=0) for part in np.split(posterior, starts[1:])])
    shown = int((-shares * np.log(shares + 1e-12)).sum(axis=1).argmax())
    inside = slice(starts[shown], [*starts[1:], len(sessions)][shown])
    figure = new_figure(7.0, 4.2)
    above, below = figure.subplots(2)
    for k in range(posterior.shape[1]):
        above.plot(shares[:, k], ".-", color=color(k), label=f"state {k}")
        below.plot(context.time[inside], posterior[inside, k], color=color(k))
    tidy(above, x="session", y="share of session").set_ylim(0, 1)
    above.legend(frameon=False, ncols=posterior.shape[1], fontsize=8)
    tidy(below, x=context.time_label, y="probability", title=f"session {shown}").set_ylim(0, 1.02)
    return figure


def plot_weights(model: SwitchingGLM, context: Context, errors: np.ndarray | None = None) -> Figure:
    """One panel for each of the first outputs: the weight of every input in every state.

    Parameters
    ----------
    model : SwitchingGLM
        Fitted.
    context : Context
    errors : ndarray of shape (n_states, n_outputs, n_inputs), optional
        Standard errors.

    Returns
    -------
    matplotlib.figure.Figure
    """
    n_states, n_outputs, n_inputs = model.weights_.shape
    n_outputs = min(n_outputs, _MOST_OUTPUTS)
    names = np.asarray(context.columns)
    if model.emission_columns is not None:
        names = names[np.asarray(model.emission_columns, dtype=int)]
    shown = range(0, n_inputs, -(-n_inputs // _MOST_INPUTS))
    figure = new_figure(1.6 + 0.75 * (min(n_inputs, _MOST_INPUTS) + 1), 2.9 * n_outputs)
    for m, axes in enumerate(figure.subplots(n_outputs, 1, squeeze=False)[:, 0]):
        axes.axhline(0.0, color="0.7", linewidth=0.8)
        for k in range(n_states):
            at = np.arange(n_inputs) + 0.15 * (k - (n_states - 1) / 2)
            bars = None if errors is None else 1.96 * errors[k, m]
            axes.errorbar(
                at, model.weights_[k, m], bars, fmt="o", color=color(k), label=f"state {k}"
            )
        axes.set_xticks(shown, names[shown], rotation=30, ha="right")
        tidy(axes, y="weight (log-odds per unit)", title=output_names(model, context)[m])
        if model.family in ("gaussian", "poisson", "negative_binomial"):
            axes.set_ylabel("weight")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", frameon=False)
    return figure


def plot_intercepts(model: SwitchingGLM, context: Context) -> Figure:
    """One row per state, one column per output.

    Parameters
    ----------
    model : SwitchingGLM
        Fitted.
    context : Context

    Returns
    -------
    matplotlib.figure.Figure
    """
    n_states, n_outputs = model.intercept_.shape
    figure = new_figure(7.0, 1.6 + 0.25 * n_states)
    axes = figure.subplots()
    largest = np.abs(model.intercept_).max() or 1.0
    image = axes.imshow(
        model.intercept_,
        cmap="PuOr",
        vmin=-largest,
        vmax=largest,
        aspect="auto",
        interpolation="nearest",
    )
    shown = range(0, n_outputs, -(-n_outputs // 30))
    names = output_names(model, context)
    axes.set_xticks(shown, [names[m] for m in shown], rotation=90, fontsize=7)
    axes.set_yticks(range(n_states))
    axes.set(xlabel="output", ylabel="state")
    figure.colorbar(image, ax=axes, label="intercept")
    return figure


def plot_psychometric(
    stimulus: np.ndarray, y: np.ndarray, posterior: np.ndarray, name: str
) -> Figure:
    """Share of choices 1 against a stimulus, per state.

    Parameters
    ----------
    stimulus, y : ndarray of shape (n_trials,)
    posterior : ndarray of shape (n_trials, n_states)
    name : str
        Of the stimulus.

    Returns
    -------
    matplotlib.figure.Figure
    """
    seen = ~np.isnan(y)
    stimulus, y, posterior = stimulus[seen], y[seen], posterior[seen]
    edges = np.quantile(stimulus, np.linspace(0, 1, _N_BINS + 1)[1:-1])
    _, bins = np.unique(np.searchsorted(np.unique(edges), stimulus), return_inverse=True)
    figure = new_figure(4.2, 3.0)
    axes = tidy(figure.subplots(), x=name, y="share of choices 1")
    for k in range(posterior.shape[1]):
        weight = np.bincount(bins, posterior[:, k]) + 1e-12
        share = np.bincount(bins, posterior[:, k] * y) / weight
        center = np.bincount(bins, posterior[:, k] * stimulus) / weight
        effective = weight**2 / (np.bincount(bins, posterior[:, k] ** 2) + 1e-12)
        error = 1.96 * np.sqrt(share * (1.0 - share) / np.maximum(effective, 1.0))
        axes.errorbar(center, share, error, fmt="o-", color=color(k), label=f"state {k}")
    axes.set_ylim(-0.02, 1.02)
    axes.legend(frameon=False, fontsize=8)
    return figure


def plot_dwell_times(
    path: np.ndarray, sessions: np.ndarray, matrix: np.ndarray, context: Context
) -> Figure:
    """Survival of visits to every state, beside the chain's geometric law.

    Parameters
    ----------
    path : ndarray of int of shape (n_bins,)
        Most probable states.
    sessions : ndarray of shape (n_bins,)
    matrix : ndarray of shape (n_states, n_states)
        Transition matrix.
    context : Context

    Returns
    -------
    matplotlib.figure.Figure
    """
    starts = np.flatnonzero(np.diff(path, prepend=-1) | np.diff(sessions, prepend=sessions[0] - 1))
    lengths, states = np.diff(np.append(starts, len(path))), path[starts]
    figure = new_figure(4.6, 3.0)
    unit = context.time_label.removeprefix("time (").removesuffix(")")
    axes = tidy(figure.subplots(), x=f"duration of a visit ({unit}s)", y="share at least as long")
    if context.recordings[0].attrs["time_axis"] == "seconds":
        axes.set_xlabel("duration of a visit (bins)")
    for k, stay in enumerate(np.diag(matrix)):
        mine = np.sort(lengths[states == k])
        if not len(mine):
            continue
        seen, first = np.unique(mine, return_index=True)
        axes.plot(seen, 1.0 - first / len(mine), ".", color=color(k))
        at = np.arange(1, mine[-1] + 1)
        axes.plot(at, stay ** (at - 1.0), color=color(k), label=f"state {k}")
    axes.set(xscale="log", yscale="log")
    axes.set_ylim(bottom=0.5 / max(len(lengths), 1))
    axes.legend(frameon=False, fontsize=8)
    return figure


def plot_convergence(model: BaseEstimator) -> Figure:
    """Objective against iterations, with the end of every start that has the same objective.

    The starts of a `SwitchingPopulationGLM` are compared under a prior of their own, so that their
    values do not belong on this axis.
    """
    figure = new_figure(4.5, 2.6)
    axes = tidy(figure.subplots(), x="iteration", y="objective (nats per bin)")
    axes.plot(model.objective_trace_, color=color(0))
    if not isinstance(model, SwitchingPopulationGLM):
        ends = model.restart_objectives_
        axes.plot(np.full(len(ends), model.n_iter_), ends, "o", color=color(1))
    return figure
