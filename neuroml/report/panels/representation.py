"""Panels of the geometry of population codes."""

from __future__ import annotations

from sklearn.base import BaseEstimator

from neuroml.plotting import plot_geometry
from neuroml.report.context import Context
from neuroml.report.elements import Panel, last_step

__all__ = ["geometry"]


def geometry(model: BaseEstimator, context: Context) -> list[Panel]:  # noqa: ARG001
    """What can be read out, and how it generalizes, beside the null."""
    caption = (
        "Accuracy of linear readouts on left-out trials (decoding) and on conditions that they "
        "have not seen (ccgp), how parallel the directions between conditions are, and how well "
        "their distances come again in other trials. Dots: means with 95 % intervals over units; "
        "small dots: single dichotomies; ticks: the mean by chance."
    )
    return [Panel("geometry", plot_geometry(last_step(model)), caption)]
