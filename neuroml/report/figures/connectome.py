"""Figures of dynamic connectomes."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform
from sklearn.base import BaseEstimator

from neuroml._core.recording import break_points
from neuroml.connectome import AffinityTensor, DynamicConnectome, RankSelection, WeightedSBM
from neuroml.report.context import Context
from neuroml.report.figures.communities import draw_blocks, draw_connectome
from neuroml.report.figures.style import MAP, color, new_figure, tidy
from neuroml.report.present import Panel
from neuroml.report.presenters import last_step
from neuroml.report.tables.connectome import affinity_of, mode_labels

__all__ = [
    "draw",
    "plot_cohort",
    "plot_components",
    "plot_convergence",
    "plot_groups",
    "plot_rank_selection",
]


def draw(model: BaseEstimator, context: Context) -> list[Panel]:
    """Components over time, groups of units or subjects, and how the fit converged."""
    last = last_step(model)
    if isinstance(last, WeightedSBM):
        return draw_blocks(last)
    if isinstance(last, DynamicConnectome):
        return draw_connectome(last, context)
    convergence = Panel(
        "convergence",
        plot_convergence(model),
        "Relative reconstruction error after each sweep of the kept start (line) and at the "
        "end of every start (dots). A wide spread of dots means local minima.",
    )
    affinity = affinity_of(model)
    if affinity is not None:
        cohort = Panel(
            "components",
            plot_cohort(model, affinity, context),
            "For each component, when it is active, in which subjects, and between which units, "
            "sorted by their place in the hierarchy of the strongest component's affinities.",
        )
        return [cohort, convergence]
    return [
        Panel(
            "components",
            plot_components(model, context),
            "Left: strength of each component over time, as a share of the largest value of all. "
            "Right: the pattern that the component stands for, units sorted by the component on "
            "which they load most (a matrix between units, or the loadings of units or pairs).",
        ),
        Panel(
            "groups",
            plot_groups(model, context),
            "Loading of every unit or pair on every component, as a share of its largest.",
        ),
        convergence,
    ]


def unit_order(loadings: np.ndarray) -> np.ndarray:
    """Units sorted by the component they load on most, then by falling loading (n_units,)."""
    strongest = loadings.argmax(axis=1)
    return np.lexsort((-loadings.max(axis=1), strongest))


def plot_components(model: BaseEstimator, context: Context) -> Figure:
    """One row per component: its time course and the pattern that it stands for.

    Parameters
    ----------
    model : Pipeline or NonnegativeCP
        Fitted to an array whose first mode is time.
    context : Context

    Returns
    -------
    matplotlib.figure.Figure
    """
    weights, factors = last_step(model).cp_
    axes = mode_labels(model, context)
    timed = len(factors[0]) == len(context.sessions)
    x = context.running_time if timed else axes[0][1]
    starts = break_points(context.sessions) if timed else np.array([0])
    courses = factors[0] * weights
    share = courses / courses.max()
    figure = new_figure(8.0, 1.7 * len(weights) + 0.4)
    grid = figure.subplots(len(weights), 2, squeeze=False, width_ratios=[3, 1.3], sharex="col")
    for r, (left, right) in enumerate(grid):
        for first, last in zip(starts, [*starts[1:], len(x)], strict=True):
            left.plot(x[first:last], share[first:last, r], color=color(r))
        tidy(left, y="share of largest", title=f"component {r}")
        left.set_ylim(0, 1.05)
        _plot_pattern(right, [factor[:, r] for factor in factors[1:]], unit_order(factors[1]), r)
    name = axes[0][0].replace(context.time_label, context.running_label) if timed else axes[0][0]
    grid[-1, 0].set_xlabel(name)
    grid[-1, 1].set_xlabel(f"{axes[1][0]}, sorted")
    return figure


def _plot_pattern(axes: Axes, loadings: list[np.ndarray], order: np.ndarray, r: int) -> None:
    """What a component stands for: a matrix of two modes, or the loadings on a single one."""
    if len(loadings) == 1:
        axes.plot(loadings[0][order] / loadings[0].max(), color=color(r))
        tidy(axes, y="share of largest").set_ylim(0, 1.05)
        return
    pattern = loadings[0][order, None] * loadings[-1][order]
    image = axes.imshow(pattern / pattern.max(), cmap=MAP, vmin=0, vmax=1)
    axes.set(xticks=[], yticks=[], ylabel="unit, sorted")
    axes.figure.colorbar(image, ax=axes, label="share")


def plot_groups(model: BaseEstimator, context: Context) -> Figure:
    """Heat map of units by components."""
    loadings = last_step(model).cp_.factors[1]
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
    cp = last_step(model)
    figure = new_figure(4.5, 2.6)
    axes = tidy(figure.subplots(), x="sweep", y="relative error")
    axes.plot(cp.objective_trace_, color=color(0))
    axes.plot(
        np.full(len(cp.restart_objectives_), cp.n_iter_),
        cp.restart_objectives_,
        "o",
        color=color(1),
    )
    return figure


def pair_matrix(loadings: np.ndarray, affinity: AffinityTensor, sign: int = 1) -> np.ndarray:
    """Loadings of pairs as a symmetric matrix (n_units, n_units); NaN where there is no pair."""
    matrix = np.full((affinity.n_features_in_,) * 2, np.nan)
    chosen = affinity.signs_ == sign
    i, j = affinity.pairs_[chosen].T
    matrix[i, j] = matrix[j, i] = loadings[chosen]
    return matrix


def plot_cohort(model: BaseEstimator, affinity: AffinityTensor, context: Context) -> Figure:
    """One row per component: when, in which subjects, between which units.

    Parameters
    ----------
    model : Pipeline of AffinityTensor and NonnegativeCP
    affinity : AffinityTensor
        The fitted one in it.
    context : Context

    Returns
    -------
    matplotlib.figure.Figure
    """
    weights, (pairs, subjects, courses) = last_step(model).cp_
    _, (_, names), (x_name, x) = mode_labels(model, context)
    order = _clustered(np.nan_to_num(pair_matrix(pairs[:, 0], affinity)))
    figure = new_figure(9.0, 1.8 * len(weights) + 0.4)
    grid = figure.subplots(len(weights), 3, squeeze=False, width_ratios=[3, 1.5, 1.5], sharex="col")
    for r, (left, middle, right) in enumerate(grid):
        tidy(left, y="loading (share)", title=f"component {r}, weight {weights[r]:.3g}")
        left.plot(x, courses[:, r] / courses[:, r].max(), color=color(r))
        left.set_ylim(0, 1.05)
        middle.bar(range(len(names)), subjects[:, r] / subjects[:, r].max(), color=color(r))
        tidy(middle, y="loading (share)")
        matrix = pair_matrix(pairs[:, r] / pairs[:, r].max(), affinity)[np.ix_(order, order)]
        image = right.imshow(matrix, cmap=MAP, vmin=0, vmax=1)
        right.set(xticks=[], yticks=[], ylabel="unit, sorted")
        figure.colorbar(image, ax=right, label="share")
    grid[-1, 0].set_xlabel(x_name)
    step = -(-len(names) // 12)
    grid[-1, 1].set_xticks(range(0, len(names), step), names[::step], rotation=90, fontsize=7)
    grid[-1, 1].set_xlabel("subject")
    grid[-1, 2].set_xlabel("unit, sorted")
    return figure


def _clustered(affinity: np.ndarray) -> np.ndarray:
    """Units in the order of a hierarchy of their affinities (average linkage)."""
    distance = affinity.max() - affinity
    np.fill_diagonal(distance, 0)
    return leaves_list(linkage(squareform(distance, checks=False), "average"))


def plot_rank_selection(selection: RankSelection) -> Figure:
    """Held-out error, agreement of starts and core consistency against the rank.

    Parameters
    ----------
    selection : RankSelection
        From `neuroml.connectome.select_rank`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    table = selection.table
    figure = new_figure(9.0, 2.6)
    left, middle, right = figure.subplots(1, 3, sharex=True)
    left.errorbar(table["rank"], table["held_out"], table["held_out_se"], color=color(0), capsize=2)
    left.plot(table["rank"], table["error"], "--", color=color(1))
    tidy(left, x="rank", y="relative error", title="held out (line), all data (dashed)")
    middle.plot(table["rank"], table["match"], "o-", color=color(2))
    tidy(middle, x="rank", y="factor match", title="agreement of starts").set_ylim(0, 1.05)
    right.plot(table["rank"], table["core_consistency"], "o-", color=color(3))
    tidy(right, x="rank", y="core consistency (%)", title="core consistency").set_ylim(-5, 105)
    for axes in (left, middle, right):
        axes.axvline(selection.best_rank, color="0.7", zorder=0)
        axes.set_xticks(table["rank"])
    return figure
