"""Figures of dynamic connectomes."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from sklearn.base import BaseEstimator

from neuroml._core.recording import break_points
from neuroml.report.context import Context
from neuroml.report.figures.style import MAP, colour, new_figure, tidy
from neuroml.report.present import Panel
from neuroml.report.tables.connectome import cp_of, mode_labels, windows_of

__all__ = ["draw", "plot_components", "plot_convergence", "plot_groups"]


def draw(model: BaseEstimator, context: Context) -> list[Panel]:
    """Components over time, groups of units, and how the fit converged."""
    return [
        Panel(
            "components",
            plot_components(model, context),
            "Left: strength of each component over time, as a share of the largest value of all. "
            "Right: the pattern of connectivity that the component stands for, units sorted by the "
            "component on which they load most.",
        ),
        Panel(
            "groups",
            plot_groups(model, context),
            "Loading of every unit on every component, as a share of the component's largest.",
        ),
        Panel(
            "convergence",
            plot_convergence(model),
            "Relative reconstruction error after each sweep of the kept start (line) and at the "
            "end of every start (dots). A wide spread of dots means local minima.",
        ),
    ]


def unit_order(loadings: np.ndarray) -> np.ndarray:
    """Units sorted by the component they load on most, then by falling loading (n_units,)."""
    strongest = loadings.argmax(axis=1)
    return np.lexsort((-loadings.max(axis=1), strongest))


def plot_components(model: BaseEstimator, context: Context) -> Figure:
    """One row per component: its time course and its pattern of connectivity.

    Parameters
    ----------
    model : Pipeline or NonnegativeCP
        Fitted to a tensor whose first mode is time.
    context : Context

    Returns
    -------
    matplotlib.figure.Figure
    """
    weights, factors = cp_of(model).cp_
    (x_name, x), *_ = mode_labels(model, context)
    windows = windows_of(model)
    firsts = windows.windows_[:, 0] if windows is not None else np.arange(len(x))
    starts = break_points(context.sessions[firsts]) if windows is not None else np.array([0])
    courses = factors[0] * weights
    share = courses / courses.max()
    order = unit_order(factors[1])
    figure = new_figure(8.0, 1.7 * len(weights) + 0.4)
    grid = figure.subplots(len(weights), 2, squeeze=False, width_ratios=[3, 1.3], sharex="col")
    for r, (left, right) in enumerate(grid):
        for first, last in zip(starts, [*starts[1:], len(x)], strict=True):
            left.plot(x[first:last], share[first:last, r], color=colour(r))
        tidy(left, y="share of largest", title=f"component {r}")
        left.set_ylim(0, 1.05)
        pattern = factors[1][order, r, None] * factors[-1][order, r]
        image = right.imshow(pattern / pattern.max(), cmap=MAP, vmin=0, vmax=1)
        right.set(xticks=[], yticks=[], ylabel="unit, sorted")
        figure.colorbar(image, ax=right, label="share")
    grid[-1, 0].set_xlabel(x_name)
    grid[-1, 1].set_xlabel("unit, sorted")
    return figure


def plot_groups(model: BaseEstimator, context: Context) -> Figure:
    """Heat map of units by components."""
    loadings = cp_of(model).cp_.factors[1]
    _, labels = mode_labels(model, context)[1]
    order = unit_order(loadings)
    figure = new_figure(max(3.2, 1.6 + 0.45 * loadings.shape[1]), 0.9 + 0.15 * min(len(order), 80))
    axes = figure.subplots()
    share = loadings[order] / loadings.max(axis=0)
    image = axes.imshow(share, cmap=MAP, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    axes.set(xlabel="component", xticks=range(loadings.shape[1]))
    step = -(-len(order) // 80)
    axes.set_yticks(range(0, len(order), step), labels[order][::step], fontsize=7)
    figure.colorbar(image, ax=axes, label="loading (share of largest)")
    return figure


def plot_convergence(model: BaseEstimator) -> Figure:
    """Error against sweeps, with the final error of every start."""
    cp = cp_of(model)
    figure = new_figure(4.5, 2.6)
    axes = tidy(figure.subplots(), x="sweep", y="relative error")
    axes.plot(cp.error_trace_, color=colour(0))
    axes.plot(
        np.full(len(cp.restart_errors_), cp.n_iter_), cp.restart_errors_, "o", color=colour(1)
    )
    return figure
