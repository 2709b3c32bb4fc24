"""Figures of the switching population model."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from neuroml._core.recording import break_points
from neuroml.report.context import Context
from neuroml.report.figures.style import color, new_figure, tidy
from neuroml.report.present import Panel
from neuroml.switching import SwitchingPopulationGLM

__all__ = ["plot_couplings", "plot_filters", "plot_raster", "population_panels"]

_MOST_BINS = 2000


def population_panels(model: SwitchingPopulationGLM, context: Context) -> list[Panel]:
    """States over spikes, couplings per state, and filters."""
    return [
        Panel(
            "states",
            plot_raster(model, np.asarray(context.X, dtype=np.float64), context),
            f"Posterior of the states over the spikes of the first {_MOST_BINS} bins at most, "
            "units sorted by their rate. Gray lines: borders of sessions.",
        ),
        Panel(
            "couplings",
            plot_couplings(model),
            "Coupling from every unit (column) to every unit (row) in each state.",
        ),
        Panel(
            "filters",
            plot_filters(model),
            "How a spike acts on later bins, per sending unit (gray, if they were learned) and on "
            "average; every filter has a sum of one.",
        ),
    ]


def plot_raster(model: SwitchingPopulationGLM, counts: np.ndarray, context: Context) -> Figure:
    """Posterior of the states above a raster of the spikes.

    Parameters
    ----------
    model : SwitchingPopulationGLM
    counts : ndarray of shape (n_bins, n_units)
    context : Context
        Recordings are drawn one after the other.
    """
    shown = slice(0, min(_MOST_BINS, len(counts)))
    posterior = model.predict_proba(counts, sessions=context.sessions)[shown]
    time = context.running_time[shown]
    figure = new_figure(8.0, 4.0)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[1, 2])
    top.stackplot(time, posterior.T, colors=[color(k) for k in range(model.n_states)], step="mid")
    tidy(top, y="P(state)").set_ylim(0, 1)
    order = np.argsort(counts.mean(axis=0))
    at, unit = np.nonzero(counts[shown][:, order])
    bottom.plot(time[at], unit, "|", color="black", markersize=3)
    tidy(bottom, x=context.running_label, y="unit, sorted")
    for start in break_points(context.sessions[shown])[1:]:
        for axes in (top, bottom):
            axes.axvline(time[start], color="0.5", linewidth=0.8)
    handles = [
        figure.axes[0].plot([], [], "s", color=color(k), label=f"state {k}")[0]
        for k in range(model.n_states)
    ]
    figure.legend(handles=handles, loc="outside right upper", frameon=False)
    return figure


def plot_couplings(model: SwitchingPopulationGLM) -> Figure:
    """One matrix per state, on one scale."""
    n_states = model.n_states
    figure = new_figure(2.4 * n_states + 0.9, 2.7)
    largest = np.quantile(np.abs(model.weights_), 0.995) or 1.0
    every = figure.subplots(1, n_states, squeeze=False)[0]
    for k, axes in enumerate(every):
        image = axes.imshow(
            model.weights_[k], cmap="PuOr", vmin=-largest, vmax=largest, interpolation="nearest"
        )
        axes.set(title=f"state {k}", xlabel="from unit")
    every[0].set_ylabel("to unit")
    figure.colorbar(image, ax=list(every), label="weight", extend="both")
    return figure


def plot_filters(model: SwitchingPopulationGLM) -> Figure:
    """The filter of every sending unit, and their mean."""
    figure = new_figure(4.0, 2.6)
    axes = tidy(figure.subplots(), x="lag (bins)", y="filter (share per bin)")
    lags = np.arange(1, model.n_lags + 1)
    if len(model.filter_mix_[0]) > 1:
        axes.plot(lags, model.filters_.T, color="0.7", linewidth=0.8)
    axes.plot(lags, model.filters_.mean(axis=0), "o-", color=color(0), markersize=3)
    axes.set_ylim(bottom=0)
    return figure
