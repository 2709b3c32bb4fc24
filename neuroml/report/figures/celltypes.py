"""Figures of functional cell types."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from neuroml.celltypes import FacetedStimuli, MostDiscriminativeStimuli, ResponseModel
from neuroml.report.context import Context
from neuroml.report.figures.style import MAP, color, new_figure, tidy
from neuroml.report.present import Panel
from neuroml.report.presenters import last_step

__all__ = ["draw", "plot_confusion", "plot_map", "plot_stimuli", "plot_training"]

_DIVERGING = "PuOr"
_MAX_FRAMES = 8


def draw(model: BaseEstimator, context: Context) -> list[Panel]:  # noqa: ARG001
    """Stimuli, confusion and map of a clustering; training of a model; facets of a cell."""
    model = last_step(model)
    if isinstance(model, ResponseModel):
        return [
            Panel(
                "training",
                plot_training(model),
                "Loss on training clips and share of the deviance that is left on held-out blocks.",
            )
        ]
    if isinstance(model, FacetedStimuli):
        caption = "The stimuli that one cell responds to; brightness about the mean stimulus."
        return [Panel("facets", plot_stimuli(model.facets_, model.stimulus_axes_), caption)]
    return [
        Panel(
            "stimuli",
            plot_stimuli(model.stimuli_, model.stimulus_axes_),
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
            plot_map(model),
            "Cells by the two main directions of their standardized responses to the stimuli.",
        ),
    ]


def plot_stimuli(
    stimuli: np.ndarray, axes: str, *, rate_hz: float | None = None, names: ArrayLike | None = None
) -> Figure:
    """One row per stimulus: a waveform, an image, or frames of a film per channel.

    Parameters
    ----------
    stimuli : ndarray of shape (n_stimuli, ...)
    axes : str
        One of the letters T, H, W, C for each axis of a stimulus.
    rate_hz : float, optional
        Frames per second, for time in seconds.
    names : array-like of str, optional
        Of the stimuli; "cluster 0", ... by default.

    Returns
    -------
    matplotlib.figure.Figure
    """
    labels = [f"cluster {k}" for k in range(len(stimuli))] if names is None else np.asarray(names)
    if "H" not in axes:
        return _plot_waveforms(stimuli, axes, rate_hz, labels)
    order = [axes.find(name) for name in "TCHW"]
    films = stimuli.transpose(0, *[i + 1 for i in order if i >= 0])
    films = films.reshape(
        len(films), *[stimuli.shape[i + 1] if i >= 0 else 1 for i in order[:2]], *films.shape[-2:]
    )
    frames = np.unique(np.linspace(0, films.shape[1] - 1, _MAX_FRAMES).round().astype(int))
    panels = [(t, c) for c in range(films.shape[2]) for t in frames]
    figure = new_figure(1.3 + 0.85 * len(panels), 0.5 + 0.85 * len(films))
    grid = figure.subplots(len(films), len(panels), squeeze=False)
    low, high = films.min(), films.max()
    middle = 0.0 if low < 0 < high else (low + high) / 2
    norm = TwoSlopeNorm(middle, middle - max(middle - low, high - middle, 1e-12),
                        middle + max(middle - low, high - middle, 1e-12))  # fmt: skip
    for row, film, label in zip(grid, films, labels, strict=True):
        for axis, (t, c) in zip(row, panels, strict=True):
            image = axis.imshow(film[t, c], cmap=_DIVERGING, norm=norm)
            axis.set(xticks=[], yticks=[])
        row[0].set_ylabel(label, rotation=0, ha="right", va="center")
    for axis, (t, c) in zip(grid[0], panels, strict=True):
        time = f"frame {t}" if rate_hz is None else f"{t / rate_hz:.2f} s"
        axis.set_title(time if films.shape[2] == 1 else f"{time}\nchannel {c}", fontsize=7)
    figure.colorbar(image, ax=grid, label="intensity", shrink=0.6)
    return figure


def _plot_waveforms(
    stimuli: np.ndarray, axes: str, rate_hz: float | None, labels: ArrayLike
) -> Figure:
    waves = stimuli[..., None] if "C" not in axes else np.moveaxis(stimuli, axes.find("C") + 1, -1)
    time = np.arange(waves.shape[1]) / (rate_hz or 1.0)
    figure = new_figure(5.0, 0.5 + 0.9 * len(waves))
    rows = figure.subplots(len(waves), 1, squeeze=False, sharex=True, sharey=True)[:, 0]
    for axis, wave, label in zip(rows, waves, np.asarray(labels), strict=True):
        for c in range(wave.shape[1]):
            axis.plot(time, wave[:, c], color=color(c), label=f"channel {c}")
        tidy(axis, y="intensity", title=str(label))
    rows[-1].set_xlabel("time (frames)" if rate_hz is None else "time (s)")
    if waves.shape[2] > 1:
        rows[0].legend(frameon=False, fontsize=7, ncols=waves.shape[2])
    return figure


def plot_confusion(model: MostDiscriminativeStimuli, types: pd.DataFrame | None = None) -> Figure:
    """Responses of clusters to stimuli and, if given, shares of known types in clusters.

    Parameters
    ----------
    model : MostDiscriminativeStimuli
        Fitted.
    types : DataFrame, optional
        From `neuroml.celltypes.type_confusion`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    n = model.n_clusters_
    figure = new_figure(4.2 if types is None else 9.0, 3.6)
    left, *right = figure.subplots(1, 1 if types is None else 2, squeeze=False)[0]
    image = left.imshow(model.confusion_, cmap=MAP)
    left.set(xlabel="cluster", ylabel="stimulus of cluster", xticks=range(n), yticks=range(n))
    figure.colorbar(image, ax=left, label="response (s.d. above ordinary stimuli)")
    if types is not None:
        image = right[0].imshow(types.to_numpy(), cmap=MAP, vmin=0, vmax=1, aspect="auto")
        right[0].set(xlabel="cluster", ylabel="known type")
        right[0].set_xticks(range(types.shape[1]), types.columns)
        right[0].set_yticks(range(types.shape[0]), types.index)
        figure.colorbar(image, ax=right[0], label="share of the type's cells")
    return figure


def plot_map(model: MostDiscriminativeStimuli) -> Figure:
    """Cells in the plane of the first two principal components of their responses to the stimuli.

    Parameters
    ----------
    model : MostDiscriminativeStimuli
        Fitted.

    Returns
    -------
    matplotlib.figure.Figure
    """
    known = model.labels_ >= 0
    responses = model.responses_[:, known]
    scores = responses - responses.mean(axis=0)
    scores = scores / np.maximum(scores.std(axis=0), 1e-12)
    centered = scores - scores.mean(axis=1, keepdims=True)
    directions, spread, _ = np.linalg.svd(centered, full_matrices=False)
    places = directions[:, :2].T @ centered
    share = spread[:2] ** 2 / (spread**2).sum()
    figure = new_figure(4.6, 3.8)
    axes = tidy(
        figure.subplots(),
        x=f"component 1 ({share[0]:.0%} of variance)",
        y=f"component 2 ({share[1]:.0%} of variance)",
    )
    labels = model.labels_[known]
    for k in range(model.n_clusters_):
        of_cluster = places[:, labels == k]
        axes.plot(*of_cluster, "o", color=color(k), ms=4, alpha=0.7)
        if of_cluster.size:
            axes.annotate(str(k), of_cluster.mean(axis=1), weight="bold", ha="center", va="center")
    return figure


def plot_training(model: ResponseModel) -> Figure:
    """Loss and validation over epochs."""
    epochs = [entry["epoch"] for entry in model.history_]
    figure = new_figure(4.5, 2.6)
    axes = tidy(figure.subplots(), x="epoch", y="error (share of the mean's)")
    for i, (name, label) in enumerate((("loss", "training"), ("validation", "held-out blocks"))):
        if name in model.history_[0]:
            axes.plot(
                epochs, [entry[name] for entry in model.history_], color=color(i), label=label
            )
    axes.legend(frameon=False)
    return figure
