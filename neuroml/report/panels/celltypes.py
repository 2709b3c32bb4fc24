"""Panels of functional cell types."""

from __future__ import annotations

from sklearn.base import BaseEstimator

from neuroml.plotting import (
    plot_candidates,
    plot_confusion,
    plot_response_map,
    plot_stimuli,
    plot_training,
)
from neuroml.report.context import Context
from neuroml.report.elements import Panel, last_step

__all__ = ["clusters", "facets", "training", "types"]


def training(model: BaseEstimator, context: Context) -> list[Panel]:  # noqa: ARG001
    """Training of a model of responses."""
    caption = "Loss on training clips and share of the deviance that is left on held-out blocks."
    return [Panel("training", plot_training(last_step(model)), caption)]


def facets(model: BaseEstimator, context: Context) -> list[Panel]:  # noqa: ARG001
    """Facets of one cell."""
    model = last_step(model)
    caption = "The stimuli that one cell responds to; brightness about the mean stimulus."
    drawn = plot_stimuli(model.facets_, stimulus_axes=model.stimulus_axes_)
    return [Panel("facets", drawn, caption)]


def types(model: BaseEstimator, context: Context) -> list[Panel]:  # noqa: ARG001
    """BIC of the numbers of types that were tried."""
    caption = (
        "Bayesian information criterion of mixtures with each number of types and kind of "
        "covariance; the lowest one is kept."
    )
    return [Panel("bic", plot_candidates(last_step(model)), caption)]


def clusters(model: BaseEstimator, context: Context) -> list[Panel]:  # noqa: ARG001
    """Stimuli, confusion and map of a clustering."""
    model = last_step(model)
    return [
        Panel(
            "stimuli",
            plot_stimuli(model.stimuli_, stimulus_axes=model.stimulus_axes_),
            "The most discriminative stimulus of each cluster, as frames over time.",
        ),
        Panel(
            "confusion",
            plot_confusion(model),
            "Mean response of each cluster's cells (columns) to each stimulus (rows), above the "
            "response to ordinary stimuli. The diagonal should stand out in its column.",
        ),
        Panel(
            "map",
            plot_response_map(model),
            "Cells by the two main directions of their standardized responses to the stimuli.",
        ),
    ]
