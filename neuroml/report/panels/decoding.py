"""Panels of aligned and decoded cohorts."""

from __future__ import annotations

from typing import Any

from neuroml.plotting import (
    plot_agreement,
    plot_decodability,
    plot_penalties,
    plot_shared_response,
)
from neuroml.report.context import Context
from neuroml.report.elements import Panel, last_step
from neuroml.report.tables.decoding import agreement

__all__ = ["draw"]


def draw(model: Any, context: Context) -> list[Panel]:
    """What the fitted model has: its alignment, its shared components, or its penalties."""
    model = last_step(model)
    panels = []
    if hasattr(model, "basis_"):
        panels += [
            _agreement(model, context),
            Panel(
                "shared_response",
                plot_shared_response(model._target),
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


def _agreement(model: Any, context: Context) -> Panel:
    values = agreement(model, context)
    if not len(values):
        return Panel(
            "agreement", None, "Agreement between subjects is not drawn: it needs two or more."
        )
    caption = "Every aligned subject against the mean of the others, on the data of the fit."
    return Panel("agreement", plot_agreement(values), caption)
