"""Figures of the theory of dendritic segments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from neuroml.dendrites import false_match, false_negative
from neuroml.report.figures.style import color, new_figure, styled, tidy

__all__ = ["Comparison", "plot_comparisons", "plot_threshold_design"]

_FLOOR = 1e-30


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


def plot_comparisons(panels: Sequence[Comparison]) -> Figure:
    """Draw curves with published points (dots) and misprints (crosses), two panels in a row.

    Parameters
    ----------
    panels : sequence of Comparison

    Returns
    -------
    matplotlib.figure.Figure
    """
    with styled():
        n_rows = -(-len(panels) // 2)
        figure = new_figure(7.5, 3 * n_rows)
        grid = figure.subplots(n_rows, 2, squeeze=False).ravel()
        for axes, panel in zip(grid, panels, strict=False):
            names = list(panel.curves)
            for name, (x, y) in panel.curves.items():
                axes.plot(x, y, color=color(names.index(name)), label=name)
            for name, (x, y) in panel.points.items():
                axes.plot(x, y, "o", ms=4, mfc="none", color=color(names.index(name)))
            for name, (x, y) in panel.misprints.items():
                axes.plot(x, y, "x", ms=8, mew=2, color=color(names.index(name)))
            if panel.log_y:
                axes.set_yscale("log")
            tidy(axes, x=panel.x_label, y=panel.y_label, title=panel.title)
            axes.legend(frameon=False, fontsize=7)
        for axes in grid[len(panels) :]:
            axes.set_visible(False)
    return figure


def plot_threshold_design(
    n: int, s: int, a: int, v: int, *, max_false_match: float, max_false_negative: float
) -> Figure:
    """Draw both errors against the threshold, and shade the thresholds that keep both limits.

    Parameters
    ----------
    n, s, a, v : int
        Cells, synapses, active cells, swapped cells.
    max_false_match, max_false_negative : float

    Returns
    -------
    matplotlib.figure.Figure
    """
    theta = np.arange(1, s + 1)
    false, missed = false_match(theta, n, s, a), false_negative(theta, s, a, v)
    fine = theta[(false <= max_false_match) & (missed <= max_false_negative)]
    with styled():
        figure = new_figure(5, 3.2)
        axes = figure.subplots()
        errors = (
            ("false match", false, max_false_match),
            ("miss", missed, max_false_negative),
        )
        for i, (name, rate, limit) in enumerate(errors):
            axes.semilogy(theta, np.maximum(rate, _FLOOR), "o-", ms=3, color=color(i), label=name)
            axes.axhline(limit, color=color(i), ls=":", lw=1)
        if len(fine):
            axes.axvspan(fine[0] - 0.5, fine[-1] + 0.5, color="0.9", zorder=0, label="both kept")
        axes.set_ylim(_FLOOR, 3)
        title = f"{n} cells, {a} active, {s} synapses, {v} swapped"
        tidy(axes, x="threshold (active synapses)", y="probability", title=title)
        axes.legend(frameon=False)
    return figure
