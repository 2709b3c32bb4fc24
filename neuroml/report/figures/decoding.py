"""Figures of aligned and decoded cohorts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from neuroml.report.context import Context
from neuroml.report.figures.style import color, new_figure, tidy
from neuroml.report.present import Panel
from neuroml.report.presenters import last_step
from neuroml.report.tables.decoding import agreement

__all__ = ["draw", "plot_agreement", "plot_decodability", "plot_penalties", "plot_shared_response"]

_N_COURSES = 4


def draw(model: Any, context: Context) -> list[Panel]:
    """What the fitted model has: its alignment, its shared components, or its penalties."""
    model = last_step(model)
    panels = []
    if hasattr(model, "basis_"):
        panels += [
            _agreement_panel(model, context),
            Panel(
                "shared_response",
                plot_shared_response(model),
                "What the subjects have in common: the columns with most variance.",
            ),
        ]
    if hasattr(model, "components_"):
        panels.append(
            Panel(
                "decodability",
                plot_decodability(model),
                "How well brains carry the shared components of the targets, by leave-one-out "
                "predictions of the subjects' own ridge regressions.",
            )
        )
    if hasattr(model, "cv_errors_"):
        panels.append(
            Panel(
                "penalties",
                plot_penalties(model),
                "Leave-one-out error of every subject's ridge regression over the penalties.",
            )
        )
    return panels


def _agreement_panel(model: Any, context: Context) -> Panel:
    values = agreement(model, context)
    if not len(values):
        return Panel(
            "agreement", None, "Agreement between subjects is not drawn: it needs two or more."
        )
    caption = "Every aligned subject against the mean of the others, on the data of the fit."
    return Panel("agreement", plot_agreement(values), caption)


def plot_agreement(values: pd.Series) -> Figure:
    """Correlation with the others (indexed by subject), sorted."""
    values = values.sort_values()
    figure = new_figure(4.6, 0.9 + 0.15 * len(values))
    axes = tidy(figure.subplots(), x="correlation with the mean of the others", y="subject")
    axes.plot(values, np.arange(len(values)), "o", color=color(0), markersize=4)
    axes.set_yticks(np.arange(len(values)), [str(s) for s in values.index], fontsize=7)
    axes.axvline(0, color="0.5", linewidth=1)
    return figure


def plot_shared_response(model: Any) -> Figure:
    """The strongest columns of the shared response or the template, over samples."""
    courses = model._target
    chosen = np.argsort(-courses.var(axis=0), kind="stable")[:_N_COURSES]
    figure = new_figure(8.0, 1.2 * len(chosen) + 0.4)
    grid = figure.subplots(len(chosen), 1, squeeze=False, sharex=True)[:, 0]
    for i, (axes, column) in enumerate(zip(grid, chosen, strict=True)):
        axes.plot(courses[:, column], color=color(i), linewidth=1)
        tidy(axes, y="a.u.", title=f"column {column}")
    grid[-1].set_xlabel("sample")
    return figure


def plot_decodability(model: Any) -> Figure:
    """Share of variance that brains explain, component by component."""
    shares = model.components_["decodability"]
    figure = new_figure(4.6, 2.6)
    axes = tidy(figure.subplots(), x="shared component", y="share of variance explained")
    axes.plot(np.arange(1, len(shares) + 1), shares, "o-", color=color(0), markersize=4)
    axes.set_ylim(bottom=0)
    return figure


def plot_penalties(model: Any) -> Figure:
    """Leave-one-out error over penalties, relative to the smallest of each subject."""
    figure = new_figure(4.6, 2.6)
    axes = tidy(figure.subplots(), x="penalty, from small to large", y="error / smallest error")
    for errors in model.cv_errors_.values():
        places = np.arange(1, len(errors) + 1)
        axes.plot(places, errors / errors.min(), color=color(0), alpha=0.4, linewidth=1)
        axes.plot(errors.argmin() + 1, 1.0, "o", color=color(1), markersize=4)
    axes.set_yscale("log")
    return figure
