"""Figures of the theory of dendritic segments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from neuroml.dendrites import false_match, false_negative
from neuroml.exceptions import DataError
from neuroml.plotting._style import axes_for, canvas_for, color, in_house_style, tidy

__all__ = ["Comparison", "plot_comparisons", "plot_threshold_design"]

_FLOOR = 1e-30
"""Where the axis of probabilities ends: what is rarer never happens in a recording."""


@dataclass(frozen=True)
class Comparison:
    """One panel: curves, published points on them, and points that are wrong.

    Attributes
    ----------
    title, x_label, y_label : str
    curves, points, misprints : mapping of str to (x, y)
        Curves and points of one name share their color.
    log_y : bool
    """

    title: str
    x_label: str
    y_label: str
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]]
    points: Mapping[str, tuple[ArrayLike, ArrayLike]] = field(default_factory=dict)
    misprints: Mapping[str, tuple[ArrayLike, ArrayLike]] = field(default_factory=dict)
    log_y: bool = True


@in_house_style
def plot_comparisons(panels: Sequence[Comparison], *, figure: Figure | None = None) -> Figure:
    """Draw curves with published points (dots) and misprints (crosses), two panels in a row.

    Parameters
    ----------
    panels : sequence of Comparison
    figure : matplotlib.figure.Figure, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        If there is no panel, or points belong to a curve that is not there.

    Examples
    --------
    >>> from neuroml.plotting import Comparison, plot_comparisons
    >>> panel = Comparison("Errors", "synapses", "probability", {"n = 100": ([1, 2], [0.1, 0.01])})
    >>> plot_comparisons([panel]).axes[0].get_yscale()
    'log'
    """
    for panel in panels:
        _check_points(panel)
    if not len(panels):
        raise DataError("there is nothing to draw", expected="one panel or more", field="panels")
    n_rows = -(-len(panels) // 2)
    figure = canvas_for(figure, 7.5, 3 * n_rows)
    grid = figure.subplots(n_rows, 2, squeeze=False).ravel()
    for axes, panel in zip(grid, panels, strict=False):
        colors = {name: color(k) for k, name in enumerate(panel.curves)}
        for name, (x, y) in panel.curves.items():
            axes.plot(x, y, color=colors[name], label=name)
        for name, (x, y) in panel.points.items():
            axes.plot(x, y, "o", ms=4, mfc="none", color=colors[name])
        for name, (x, y) in panel.misprints.items():
            axes.plot(x, y, "x", ms=8, mew=2, color=colors[name])
        if panel.log_y:
            axes.set_yscale("log")
        tidy(axes, x=panel.x_label, y=panel.y_label, title=panel.title)
        axes.legend(frameon=False, fontsize=7)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    return figure


def _check_points(panel: Comparison) -> None:
    strange = [name for name in (*panel.points, *panel.misprints) if name not in panel.curves]
    if strange:
        raise DataError(
            f"points of the panel {panel.title!r} belong to no curve",
            expected=f"names among {list(panel.curves)}",
            found=strange,
            field="panels",
        )


@in_house_style
def plot_threshold_design(
    n: int,
    s: int,
    a: int,
    v: int,
    *,
    max_false_match: float,
    max_false_negative: float,
    ax: Axes | None = None,
) -> Axes:
    """Draw both errors against the threshold, and shade the thresholds that keep both limits.

    Parameters
    ----------
    n : int
        Number of cells.
    s : int
        Number of synapses of the segment.
    a : int
        Number of active cells.
    v : int
        Number of active cells that are swapped for others in a noisy pattern.
    max_false_match : float
        Greatest acceptable probability that a random pattern is taken for the stored one.
    max_false_negative : float
        Greatest acceptable probability that a noisy copy of the stored pattern is missed.
    ax : matplotlib.axes.Axes, optional
        Where to draw; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        If the numbers cannot be together, as in `neuroml.dendrites.false_match`.

    Examples
    --------
    >>> from neuroml.plotting import plot_threshold_design
    >>> ax = plot_threshold_design(
    ...     10_000, 30, 200, 40, max_false_match=1e-9, max_false_negative=1e-3
    ... )
    >>> ax.get_xlabel()
    'threshold (active synapses)'
    """
    theta = np.arange(1, s + 1)
    false, missed = false_match(theta, n, s, a), false_negative(theta, s, a, v)
    fine = theta[(false <= max_false_match) & (missed <= max_false_negative)]
    ax = axes_for(ax, 5, 3.2)
    errors = (("false match", false, max_false_match), ("miss", missed, max_false_negative))
    for i, (name, rate, limit) in enumerate(errors):
        ax.semilogy(theta, np.maximum(rate, _FLOOR), "o-", ms=3, color=color(i), label=name)
        ax.axhline(limit, color=color(i), ls=":", lw=1)
    if len(fine):
        ax.axvspan(fine[0] - 0.5, fine[-1] + 0.5, color="0.9", zorder=0, label="both kept")
    ax.set_ylim(_FLOOR, 3)
    title = f"{n} cells, {a} active, {s} synapses, {v} swapped"
    tidy(ax, x="threshold (active synapses)", y="probability", title=title)
    ax.legend(frameon=False)
    return ax
