"""Figures of functional cell types."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from neuroml.celltypes import FunctionalTypes, MostDiscriminativeStimuli, ResponseModel
from neuroml.exceptions import DataError
from neuroml.plotting._checks import check_array, fitted, names_for
from neuroml.plotting._style import (
    DIVERGING,
    MAP,
    axes_for,
    canvas_for,
    color,
    colorbar,
    count,
    in_house_style,
    tidy,
)

__all__ = [
    "plot_candidates",
    "plot_confusion",
    "plot_response_map",
    "plot_stimuli",
    "plot_training",
]

_MAX_FRAMES = 8


@in_house_style
def plot_stimuli(
    stimuli: ArrayLike,
    *,
    stimulus_axes: str,
    rate_hz: float | None = None,
    stimulus_names: Sequence[str] | np.ndarray | None = None,
    figure: Figure | None = None,
) -> Figure:
    """Draw one row per stimulus: a waveform, an image, or frames of a film for each channel.

    Parameters
    ----------
    stimuli : array-like of shape (n_stimuli, ...)
        ``stimuli_`` of `MostDiscriminativeStimuli`, ``facets_`` of `FacetedStimuli`, or any others.
    stimulus_axes : str
        One of the letters T (time), H, W (height, width) and C (channel) for each axis of a
        stimulus, as ``stimulus_axes_`` of these estimators; H and W go together.
    rate_hz : float, optional
        Frames per second, for time in seconds.
    stimulus_names : sequence of str, optional
        "cluster 0", ... by default.
    figure : matplotlib.figure.Figure, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        If the axes do not fit the stimuli.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.plotting import plot_stimuli
    >>> flashes = np.sin(np.linspace(0, 6, 60)) * [[1.0], [-1.0]]
    >>> figure = plot_stimuli(flashes, stimulus_axes="T", rate_hz=30, stimulus_names=["on", "off"])
    >>> figure.axes[1].get_xlabel()
    'time (s)'
    """
    stimuli = _check_stimuli(stimuli, stimulus_axes)
    labels = names_for(stimulus_names, len(stimuli), "cluster", "stimulus_names")
    if "H" not in stimulus_axes:
        return _plot_waveforms(stimuli, stimulus_axes, rate_hz, labels, figure)
    films = _as_films(stimuli, stimulus_axes)
    frames = np.unique(np.linspace(0, films.shape[1] - 1, _MAX_FRAMES).round().astype(int))
    panels = [(t, c) for c in range(films.shape[2]) for t in frames]
    figure = canvas_for(figure, 1.3 + 0.85 * len(panels), 0.5 + 0.85 * len(films))
    grid = figure.subplots(len(films), len(panels), squeeze=False)
    norm = _centered_norm(films)
    for row, film, label in zip(grid, films, labels, strict=True):
        for axes, (t, c) in zip(row, panels, strict=True):
            image = axes.imshow(film[t, c], cmap=DIVERGING, norm=norm)
            axes.set(xticks=[], yticks=[])
        row[0].set_ylabel(label, rotation=0, ha="right", va="center")
    for axes, (t, c) in zip(grid[0], panels, strict=True):
        time = f"frame {t}" if rate_hz is None else f"{t / rate_hz:.2f} s"
        axes.set_title(time if films.shape[2] == 1 else f"{time}\nchannel {c}", fontsize=7)
    figure.colorbar(image, ax=grid, label="intensity", shrink=0.6)
    return figure


def _check_stimuli(stimuli: ArrayLike, stimulus_axes: str) -> np.ndarray:
    """Stimuli as an array with one axis for each letter, after that of the stimuli."""
    known = isinstance(stimulus_axes, str) and set(stimulus_axes) <= set("THWC")
    letters = len(set(stimulus_axes)) if known else 0
    if (
        not letters
        or letters != len(stimulus_axes)
        or ("H" in stimulus_axes) != ("W" in stimulus_axes)
    ):
        raise DataError(
            "stimulus_axes does not name the axes of a stimulus",
            expected="letters among T, H, W and C, each once, H and W together",
            found=repr(stimulus_axes),
            field="stimulus_axes",
        )
    return check_array(stimuli, ["n_stimuli", *stimulus_axes], "stimuli")


def _as_films(stimuli: np.ndarray, stimulus_axes: str) -> np.ndarray:
    """Stimuli as (n_stimuli, time, channel, height, width); absent axes have length 1."""
    order = [stimulus_axes.find(letter) for letter in "TCHW"]
    films = stimuli.transpose(0, *[i + 1 for i in order if i >= 0])
    lengths = [stimuli.shape[i + 1] if i >= 0 else 1 for i in order]
    return films.reshape(len(films), *lengths)


def _centered_norm(values: np.ndarray) -> TwoSlopeNorm:
    """Colors that are neutral at zero, or at the middle of values on one side of it."""
    low, high = values.min(), values.max()
    middle = 0.0 if low < 0 < high else (low + high) / 2
    reach = max(middle - low, high - middle, 1e-12)
    return TwoSlopeNorm(middle, middle - reach, middle + reach)


def _plot_waveforms(
    stimuli: np.ndarray,
    stimulus_axes: str,
    rate_hz: float | None,
    labels: Sequence[str],
    figure: Figure | None,
) -> Figure:
    channel = stimulus_axes.find("C") + 1
    waves = np.moveaxis(stimuli, channel, -1) if channel else stimuli[..., None]
    if waves.ndim == 2:  # colors without time: a single frame
        waves = waves[:, None]
    time = np.arange(waves.shape[1]) / (rate_hz or 1.0)
    figure = canvas_for(figure, 5.0, 0.5 + 0.9 * len(waves))
    rows = figure.subplots(len(waves), 1, squeeze=False, sharex=True, sharey=True)[:, 0]
    for axes, wave, label in zip(rows, waves, labels, strict=True):
        for c in range(wave.shape[1]):
            axes.plot(time, wave[:, c], color=color(c), label=f"channel {c}")
        tidy(axes, y="intensity", title=label)
    rows[-1].set_xlabel("time (frames)" if rate_hz is None else "time (s)")
    if waves.shape[2] > 1:
        rows[0].legend(frameon=False, fontsize=7, ncols=waves.shape[2])
    return figure


@in_house_style
def plot_candidates(model: FunctionalTypes, *, ax: Axes | None = None) -> Axes:
    """Draw the BIC of each number of types, one line for each kind of covariance.

    Parameters
    ----------
    model : FunctionalTypes
        Fitted.
    ax : matplotlib.axes.Axes, optional
        Where to draw; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        If the model is not fitted, or is of another kind.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.celltypes import FunctionalTypes
    >>> from neuroml.plotting import plot_candidates
    >>> X = np.random.default_rng(0).normal(size=(30, 8))
    >>> plot_candidates(FunctionalTypes(max_types=4, random_state=0).fit(X)).get_xlabel()
    'number of types'
    """
    candidates = fitted(model, "n_types_").candidates_
    ax = tidy(axes_for(ax, 4.5, 2.6), x="number of types", y="BIC")
    count(ax.xaxis)
    for i, (kind, rows) in enumerate(candidates.groupby("covariance", sort=False)):
        ax.plot(rows["n_types"], rows["bic"], "o-", color=color(i), ms=3, label=kind)
    ax.axvline(model.n_types_, color="0.6", lw=0.8, ls=":")
    ax.legend(frameon=False)
    return ax


@in_house_style
def plot_confusion(
    model: MostDiscriminativeStimuli,
    *,
    type_shares: pd.DataFrame | None = None,
    figure: Figure | None = None,
) -> Figure:
    """Draw responses of clusters to stimuli and, if given, shares of known types in clusters.

    Parameters
    ----------
    model : MostDiscriminativeStimuli
        Fitted.
    type_shares : DataFrame, optional
        Known types by clusters, from `neuroml.celltypes.type_confusion`.
    figure : matplotlib.figure.Figure, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        If the model has no clusters.

    Examples
    --------
    >>> from neuroml.celltypes import MostDiscriminativeStimuli
    >>> from neuroml.plotting import plot_confusion
    >>> from neuroml.simulate import make_retina
    >>> retina = make_retina(["on_sustained", "off_sustained"], 3, n_frames=50, random_state=0)
    >>> mds = MostDiscriminativeStimuli(2, n_steps=10, random_state=0).fit(retina.module)
    >>> plot_confusion(mds).axes[0].get_ylabel()
    'stimulus of cluster'
    """
    confusion = fitted(model, "confusion_").confusion_
    n_panels, places = 1 + (type_shares is not None), range(len(confusion))
    figure = canvas_for(figure, 4.2 if n_panels == 1 else 9.0, 3.6)
    left, *right = figure.subplots(1, n_panels, squeeze=False)[0]
    image = left.imshow(confusion, cmap=MAP)
    left.set(xlabel="cluster", ylabel="stimulus of cluster", xticks=places, yticks=places)
    colorbar(left, image, "response (s.d. above ordinary stimuli)")
    if type_shares is not None:
        image = right[0].imshow(type_shares.to_numpy(), cmap=MAP, vmin=0, vmax=1, aspect="auto")
        right[0].set(xlabel="cluster", ylabel="known type")
        right[0].set_xticks(range(type_shares.shape[1]), type_shares.columns)
        right[0].set_yticks(range(type_shares.shape[0]), type_shares.index)
        colorbar(right[0], image, "share of the type's cells")
    return figure


@in_house_style
def plot_response_map(model: MostDiscriminativeStimuli, *, ax: Axes | None = None) -> Axes:
    """Draw cells in the plane of the first two principal components of their responses.

    Responses are those to the stimuli of the clusters, standardized for each cell.

    Parameters
    ----------
    model : MostDiscriminativeStimuli
        Fitted.
    ax : matplotlib.axes.Axes, optional
        Where to draw; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        If the model has no responses to the stimuli of two clusters or more.

    Examples
    --------
    >>> from neuroml.celltypes import MostDiscriminativeStimuli
    >>> from neuroml.plotting import plot_response_map
    >>> from neuroml.simulate import make_retina
    >>> retina = make_retina(["on_sustained", "off_sustained"], 3, n_frames=50, random_state=0)
    >>> mds = MostDiscriminativeStimuli(2, n_steps=10, random_state=0).fit(retina.module)
    >>> plot_response_map(mds).get_xlabel()
    'component 1 (100% of variance)'
    """
    known = fitted(model, "responses_").labels_ >= 0
    responses = model.responses_[:, known]
    # cells differ in gain, which says nothing about their type
    scores = responses - responses.mean(axis=0)
    scores = scores / np.maximum(scores.std(axis=0), 1e-12)
    centered = scores - scores.mean(axis=1, keepdims=True)
    directions, lengths, _ = np.linalg.svd(centered, full_matrices=False)
    places = directions[:, :2].T @ centered
    share = lengths[:2] ** 2 / (lengths**2).sum()
    x, y = (f"component {i + 1} ({part:.0%} of variance)" for i, part in enumerate(share))
    ax = tidy(axes_for(ax, 4.6, 3.8), x=x, y=y)
    labels = model.labels_[known]
    for k in range(model.n_clusters_):
        of_cluster = places[:, labels == k]
        ax.plot(*of_cluster, "o", color=color(k), ms=4, alpha=0.7)
        if of_cluster.size:
            ax.annotate(str(k), of_cluster.mean(axis=1), weight="bold", ha="center", va="center")
    return ax


@in_house_style
def plot_training(model: ResponseModel, *, ax: Axes | None = None) -> Axes:
    """Draw the error on training clips and held-out blocks over epochs.

    Parameters
    ----------
    model : ResponseModel
        Fitted; any estimator whose ``history_`` has an entry for each epoch.
    ax : matplotlib.axes.Axes, optional
        Where to draw; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        If the model keeps no history.

    Examples
    --------
    >>> from neuroml.celltypes import ResponseModel
    >>> from neuroml.plotting import plot_training
    >>> from neuroml.simulate import make_retina
    >>> retina = make_retina(["on_transient"], n_cells=2, n_frames=400, random_state=0)
    >>> model = ResponseModel("linear", n_lags=5, max_epochs=30, patience=3, random_state=0)
    >>> plot_training(model.fit(retina.stimuli, retina.responses)).get_xlabel()
    'epoch'
    """
    history = fitted(model, "history_").history_
    epochs = [entry["epoch"] for entry in history]
    ax = tidy(axes_for(ax, 4.5, 2.6), x="epoch", y="error (share of the mean's)")
    count(ax.xaxis)
    for i, (name, label) in enumerate((("loss", "training"), ("validation", "held-out blocks"))):
        if name in history[0]:
            ax.plot(epochs, [entry[name] for entry in history], color=color(i), label=label)
    ax.legend(frameon=False)
    return ax
