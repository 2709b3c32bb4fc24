"""Figures of models that switch between states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from neuroml._core.validation import check_states, column_indices, visits_of
from neuroml.exceptions import DataError
from neuroml.plotting._checks import check_array, check_times, fitted, names_for, segments
from neuroml.plotting._style import (
    DIVERGING,
    axes_for,
    canvas_for,
    color,
    colorbar,
    count,
    in_house_style,
    state_legend,
    thin_ticks,
    tidy,
)
from neuroml.switching import SwitchingGLM

__all__ = [
    "plot_dwell_times",
    "plot_intercepts",
    "plot_psychometric",
    "plot_state_raster",
    "plot_states",
    "plot_weights",
]

_N_BINS = 9
_MOST_LEVELS = 12  # of a stimulus, which are then drawn one by one
_MOST_INPUTS = 20
_MOST_VISITS = 40  # to states: more of them in one row of a figure are a bar code


def _legible(resp: np.ndarray) -> int:
    """How many samples from the first (n_samples, n_states) hold as many visits as can be seen."""
    ends = np.flatnonzero(np.diff(resp.argmax(axis=1))) + 1
    return len(resp) if len(ends) < _MOST_VISITS else int(ends[_MOST_VISITS - 1])


@in_house_style
def plot_states(
    posterior: ArrayLike,
    *,
    sessions: ArrayLike | None = None,
    times: ArrayLike | None = None,
    time_label: str = "sample",
    figure: Figure | None = None,
) -> Figure:
    """Draw the share of the states in every session, and their course in one session.

    The session shown is the one with the most balanced states, up to its 40th visit to a state.

    Parameters
    ----------
    posterior : array-like of shape (n_samples, n_states)
        Probability of the states, as `predict_proba` returns it.
    sessions : array-like of shape (n_samples,), optional
        Session of each sample; one session by default.
    times : array-like of shape (n_samples,), optional
        Time of each sample; its number by default.
    time_label : str, default="sample"
        Label of the axis of time.
    figure : matplotlib.figure.Figure, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        If shapes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.plotting import plot_states
    >>> figure = plot_states(np.full((6, 2), 0.5), sessions=[0, 0, 0, 1, 1, 1])
    >>> [ax.get_xlabel() for ax in figure.axes]
    ['session', 'sample']
    """
    resp = check_array(posterior, ["n_samples", "n_states"], "posterior")
    parts = segments(sessions, len(resp))
    time = check_times(times, len(resp))
    shares = np.array([resp[part].mean(axis=0) for part in parts])
    # the entropy of the shares is largest where the states are most balanced
    shown = int((-shares * np.log(shares + 1e-12)).sum(axis=1).argmax())
    inside = parts[shown]
    inside = slice(inside.start, inside.start + _legible(resp[inside]))
    figure = canvas_for(figure, 7.0, 4.2)
    above, below = figure.subplots(2)
    colors = [color(k) for k in range(resp.shape[1])]
    for k, shade in enumerate(colors):
        above.plot(shares[:, k], ".-", color=shade, label=f"state {k}")
    # bands: lines that jump between 0 and 1 would hide one another
    below.stackplot(time[inside], resp[inside].T, colors=colors, step="mid")
    tidy(above, x="session", y="share of session").set_ylim(0, 1)
    count(above.xaxis)
    above.legend(frameon=False, ncols=resp.shape[1], fontsize=8)
    tidy(below, x=time_label, y="P(state)", title=f"session {shown}").set_ylim(0, 1)
    return figure


@in_house_style
def plot_weights(
    model: SwitchingGLM,
    *,
    standard_errors: ArrayLike | Mapping[str, Any] | None = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    max_outputs: int = 6,
    figure: Figure | None = None,
) -> Figure:
    """Draw the weight of every input and the intercept in every state, a panel for each output.

    Parameters
    ----------
    model : SwitchingGLM
        Fitted, with inputs.
    standard_errors : Bunch, or array-like of shape (n_states, n_outputs, n_inputs), optional
        ``model.standard_errors(X, y)``, or its ``weights`` alone, where the intercepts' are not
        drawn; drawn as 95 % Wald intervals.
    input_names : sequence of str, optional
        Names of the columns of X; by default those that the model was fitted with, or numbers.
    output_names : sequence of str, optional
        Names of the outputs: of the classes after the first in a categorical model.
    max_outputs : int, default=6
        Maximum number of outputs that are drawn, from the first.
    figure : matplotlib.figure.Figure, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        If the model has no weights, or shapes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.plotting import plot_weights
    >>> from neuroml.switching import SwitchingGLM
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.normal(size=(100, 2)), rng.integers(0, 2, 100)
    >>> model = SwitchingGLM(1, random_state=0).fit(X, y)
    >>> figure = plot_weights(model, input_names=["tone", "light"])
    >>> [label.get_text() for label in figure.axes[0].get_xticklabels()]
    ['tone', 'light', 'intercept']
    """
    weights = fitted(model, "weights_").weights_
    n_states, every_output, n_inputs = weights.shape
    weights = check_array(weights, ["n_states", "n_outputs", "n_inputs"], "model.weights_")
    errors = _weight_errors(standard_errors, weights.shape)
    names = np.array(_input_names(model, input_names), dtype=object)
    if model.fit_intercept:
        # states may differ in their intercept alone
        weights = np.concatenate([weights, model.intercept_[..., None]], axis=-1)
        names, n_inputs = np.append(names, "intercept"), n_inputs + 1
    titles = _output_names(model, output_names)
    n_outputs = min(every_output, max_outputs)
    shown = thin_ticks(n_inputs, _MOST_INPUTS)
    figure = canvas_for(figure, 1.6 + 0.75 * (min(n_inputs, _MOST_INPUTS) + 1), 2.9 * n_outputs)
    for m, axes in enumerate(figure.subplots(n_outputs, 1, squeeze=False)[:, 0]):
        axes.axhline(0.0, color="0.7", linewidth=0.8)
        for k in range(n_states):
            at = np.arange(n_inputs) + 0.15 * (k - (n_states - 1) / 2)
            bars = None if errors is None else 1.96 * errors[k, m, :n_inputs]
            axes.errorbar(at, weights[k, m], bars, fmt="o", color=color(k), label=f"state {k}")
        axes.set_xticks(shown, names[shown], rotation=30, ha="right")
        tidy(axes, y="weight (log-odds per unit)", title=titles[m])
        if model.family in ("gaussian", "poisson", "negative_binomial"):
            axes.set_ylabel("weight")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", frameon=False)
    return figure


def _weight_errors(given: Any, shape: tuple[int, ...]) -> np.ndarray | None:
    """Errors (n_states, n_outputs, n_inputs + 1) of weights and intercepts, NaN if not known."""
    if given is None:
        return None
    by_name = given if isinstance(given, Mapping) else {"weights": given}
    weights = check_array(by_name["weights"], shape, "standard_errors")
    intercept = by_name.get("intercept", np.full(shape[:2], np.nan))
    last = check_array(intercept, shape[:2], "standard_errors.intercept")
    return np.concatenate([weights, last[..., None]], axis=-1)


def _input_names(model: SwitchingGLM, names: Sequence[str] | None) -> list[str]:
    """One name for each input of the emissions, which may be chosen columns of X."""
    chosen, n_columns = model.emission_columns, model.n_features_in_
    learned = getattr(model, "feature_names_in_", None)
    every = names_for(learned if names is None else names, n_columns, "input", "input_names")
    if chosen is None:
        return every
    return [every[i] for i in column_indices(chosen, n_columns, learned, field="emission_columns")]


def _output_names(model: SwitchingGLM, names: Sequence[str] | None) -> list[str]:
    """One name for each output: as given, its class, or "y", "y 0", ..."""
    n_outputs = model.intercept_.shape[1]
    if names is None and model.family == "categorical":
        return [f"class {label}" for label in model.classes_[1:]]
    if names is None and n_outputs == 1:
        return ["y"]
    return names_for(names, n_outputs, "y", "output_names")


@in_house_style
def plot_intercepts(
    model: SwitchingGLM,
    *,
    output_names: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the intercept of every output (columns) in every state (rows).

    Parameters
    ----------
    model : SwitchingGLM
        Fitted.
    output_names : sequence of str, optional
        Names of the outputs; numbers by default.
    ax : matplotlib.axes.Axes, optional
        Where to draw; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        If there is not one name for each output.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.plotting import plot_intercepts
    >>> from neuroml.switching import SwitchingGLM
    >>> y = np.random.default_rng(0).normal(size=(50, 2))
    >>> model = SwitchingGLM(1, "gaussian", random_state=0).fit(None, y)
    >>> plot_intercepts(model, output_names=["left", "right"]).get_xlabel()
    'output'
    """
    intercepts = fitted(model, "intercept_").intercept_
    n_states, n_outputs = intercepts.shape
    names = _output_names(model, output_names)
    ax = axes_for(ax, 7.0, 1.6 + 0.25 * n_states)
    largest = np.abs(intercepts).max() or 1.0
    image = ax.imshow(
        intercepts,
        cmap=DIVERGING,
        vmin=-largest,
        vmax=largest,
        aspect="auto",
        interpolation="nearest",
    )
    shown = thin_ticks(n_outputs, 30)
    ax.set_xticks(shown, [names[m] for m in shown], rotation=90, fontsize=7)
    ax.set_yticks(range(n_states))
    ax.set(xlabel="output", ylabel="state")
    colorbar(ax, image, "intercept")
    return ax


@in_house_style
def plot_psychometric(
    stimulus: ArrayLike,
    choices: ArrayLike,
    posterior: ArrayLike | None = None,
    *,
    predicted: ArrayLike | None = None,
    stimulus_label: str = "stimulus",
    choice_label: str = "1",
    ax: Axes | None = None,
) -> Axes:
    """Draw the share of choices 1 against a stimulus in each state, and what a model predicts.

    Stimuli of at most twelve levels stay apart, others fall into nine bins of equal size. Every
    trial counts with its probability of the state; bars are 95 % intervals from the
    effective number of trials. Lines join the means of the predictions over the same trials, or
    without predictions the shares themselves.

    Parameters
    ----------
    stimulus : array-like of shape (n_trials,)
        NaN where there was none: such trials are left out.
    choices : array-like of shape (n_trials,)
        0 or 1; NaN where there was none.
    posterior : array-like of shape (n_trials, n_states), optional
        Probability of the states, as `predict_proba` returns it; one state by default.
    predicted : array-like of shape (n_trials, n_states), optional
        Probability of a choice of 1 in each state, from all inputs of a fitted model.
    stimulus_label : str, default="stimulus"
    choice_label : str, default="1"
        What a choice of 1 was.
    ax : matplotlib.axes.Axes, optional
        Where to draw; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        If shapes do not fit, or choices are not 0 and 1.

    Examples
    --------
    >>> from neuroml.plotting import plot_psychometric
    >>> ax = plot_psychometric([-1, -1, 1, 1], [0, 1, 1, 1])
    >>> ax.lines[0].get_ydata().round(2).tolist()
    [0.5, 1.0]
    """
    at = check_array(stimulus, ["n_trials"], "stimulus")
    chosen = check_array(choices, [len(at)], "choices").astype(np.float64)
    every = np.ones((len(at), 1)) if posterior is None else posterior
    resp = check_array(every, [len(at), "n_states"], "posterior")
    told = None if predicted is None else check_array(predicted, resp.shape, "predicted")
    seen = ~(np.isnan(chosen) | np.isnan(at))
    _check_binary(chosen[seen])
    at, chosen, resp = at[seen], chosen[seen], resp[seen]
    levels, bins = np.unique(at, return_inverse=True)
    if len(levels) > _MOST_LEVELS:
        edges = np.quantile(at, np.linspace(0, 1, _N_BINS + 1)[1:-1])
        _, bins = np.unique(np.searchsorted(np.unique(edges), at), return_inverse=True)
    ax = tidy(axes_for(ax, 4.2, 3.0), x=stimulus_label, y=f"share of choices {choice_label}")
    for k in range(resp.shape[1]):
        weight = np.bincount(bins, resp[:, k]) + 1e-12
        share = np.bincount(bins, resp[:, k] * chosen) / weight
        center = np.bincount(bins, resp[:, k] * at) / weight
        # Kish's effective number of trials: that of equal weights with the same variance
        effective = weight**2 / (np.bincount(bins, resp[:, k] ** 2) + 1e-12)
        error = 1.96 * np.sqrt(share * (1.0 - share) / np.maximum(effective, 1.0))
        joined = "o-" if told is None else "o"
        ax.errorbar(center, share, error, fmt=joined, color=color(k), label=f"state {k}")
        if told is not None:
            curve = np.bincount(bins, resp[:, k] * told[seen, k]) / weight
            ax.plot(center, curve, color=color(k))
    ax.set_ylim(-0.02, 1.02)
    if resp.shape[1] > 1:
        ax.legend(frameon=False, fontsize=8)
    return ax


def _check_binary(choices: np.ndarray) -> None:
    if not len(choices) or not np.isin(choices, (0.0, 1.0)).all():
        found = np.unique(choices)[:5].tolist() if len(choices) else "no choice at all"
        raise DataError(
            "choices are not between two", expected="0, 1, or NaN", found=found, field="choices"
        )


@in_house_style
def plot_dwell_times(
    states: ArrayLike,
    transition_matrix: ArrayLike | None = None,
    *,
    sessions: ArrayLike | None = None,
    sample_label: str = "samples",
    ax: Axes | None = None,
) -> Axes:
    """Draw the share of visits to a state that last at least so long.

    Parameters
    ----------
    states : array-like of int of shape (n_samples,)
        The most probable states, as `predict` returns them.
    transition_matrix : array-like of shape (n_states, n_states), optional
        If given, the survival of visits in this chain is drawn beside the dots: p ** (d - 1) for
        a duration d, where p is the probability to stay.
    sessions : array-like of shape (n_samples,), optional
        A visit ends with its session.
    sample_label : str, default="samples"
        What durations are counted in.
    ax : matplotlib.axes.Axes, optional
        Where to draw; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        If shapes do not fit.

    Examples
    --------
    >>> from neuroml.plotting import plot_dwell_times
    >>> ax = plot_dwell_times([0, 0, 0, 1, 0])
    >>> ax.lines[0].get_xydata().tolist()
    [[1.0, 1.0], [3.0, 0.5]]
    """
    path = check_states(check_array(states, ["n_samples"], "states"))
    n_states = path.max() + 1
    if transition_matrix is not None:
        chain = check_array(transition_matrix, ["n_states", "n_states"], "transition_matrix")
        stay = np.diag(check_array(chain, [max(n_states, len(chain))] * 2, "transition_matrix"))
    visits = [visits_of(path[part]) for part in segments(sessions, len(path))]
    lengths, visited = (np.concatenate(each) for each in zip(*visits, strict=True))
    ax = axes_for(ax, 4.6, 3.0)
    tidy(ax, x=f"duration of a visit ({sample_label})", y="share at least as long")
    for k in range(n_states):
        mine = np.sort(lengths[visited == k])
        if not len(mine):
            continue
        seen, first = np.unique(mine, return_index=True)
        name = f"state {k}" if transition_matrix is None else None
        ax.plot(seen, 1.0 - first / len(mine), ".", color=color(k), label=name)
        if transition_matrix is not None:
            at = np.arange(1, mine[-1] + 1)
            ax.plot(at, stay[k] ** (at - 1.0), color=color(k), label=f"state {k}")
    ax.set(xscale="log", yscale="log")
    ax.set_ylim(bottom=0.5 / max(len(lengths), 1))
    ax.legend(frameon=False, fontsize=8)
    return ax


@in_house_style
def plot_state_raster(
    posterior: ArrayLike,
    spikes: ArrayLike,
    *,
    sessions: ArrayLike | None = None,
    times: ArrayLike | None = None,
    time_label: str = "bin",
    max_bins: int = 2000,
    figure: Figure | None = None,
) -> Figure:
    """Draw the posterior of the states above a raster of the spikes, units sorted by their rate.

    Parameters
    ----------
    posterior : array-like of shape (n_bins, n_states)
        Probability of the states, as `predict_proba` returns it.
    spikes : array-like of shape (n_bins, n_units)
        Counts.
    sessions : array-like of shape (n_bins,), optional
        Gray lines are drawn between sessions.
    times : array-like of shape (n_bins,), optional
        Time of each bin; its number by default.
    time_label : str, default="bin"
        Label of the axis of time.
    max_bins : int, default=2000
        Maximum number of bins that are drawn, from the first; fewer where there are more than 40
        visits to states in them.
    figure : matplotlib.figure.Figure, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        If shapes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.plotting import plot_state_raster
    >>> figure = plot_state_raster(np.full((10, 2), 0.5), np.eye(10))
    >>> len(figure.axes[1].lines[0].get_xdata())
    10
    """
    counts = check_array(spikes, ["n_bins", "n_units"], "spikes")
    resp = check_array(posterior, [len(counts), "n_states"], "posterior")
    time = check_times(times, len(counts))
    borders = [part.start for part in segments(sessions, len(counts))[1:]]
    n_shown = _legible(resp[:max_bins])
    shown = slice(0, n_shown)
    n_states = resp.shape[1]
    figure = canvas_for(figure, 8.0, 4.0)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[1, 2])
    colors = [color(k) for k in range(n_states)]
    top.stackplot(time[shown], resp[shown].T, colors=colors, step="mid")
    tidy(top, y="P(state)").set_ylim(0, 1)
    order = np.argsort(counts.mean(axis=0))
    at, unit = np.nonzero(counts[shown][:, order])
    bottom.plot(time[at], unit, "|", color="black", markersize=3)
    tidy(bottom, x=time_label, y="unit, sorted by rate")
    count(bottom.yaxis)
    for start in borders:
        if start < n_shown:
            for axes in (top, bottom):
                axes.axvline(time[start], color="0.5", linewidth=0.8)
    state_legend(figure, n_states)
    return figure
