"""Figures of communities: sorted matrices, connectograms, traces grouped by community."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from numpy.typing import ArrayLike

from neuroml.connectome import DynamicConnectome
from neuroml.exceptions import DataError
from neuroml.plotting._checks import check_array, check_columns, check_times, fitted, names_for
from neuroml.plotting._style import (
    MAP,
    axes_for,
    canvas_for,
    color,
    colorbar,
    in_house_style,
    thin_ticks,
    tidy,
)

__all__ = ["plot_blocks", "plot_brain", "plot_connectogram", "plot_motifs", "plot_unit_traces"]

_MOST_EDGES = 150
_MOST_NAMES = 80
_MOST_SUBJECTS = 12


def _by_community(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Units sorted by community with those in none at the end, and where communities end."""
    last = np.where(labels < 0, labels.max() + 1, labels)
    order = np.argsort(last, kind="stable")
    return order, np.flatnonzero(np.diff(last[order])) + 1


def _check_pairs(matrix: ArrayLike, labels: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """A matrix between units and the community of each unit."""
    matrix = check_array(matrix, ["n_units", "n_units"], "matrix")
    return matrix, _check_communities(labels, len(matrix))


def _check_communities(labels: ArrayLike, n_units: int) -> np.ndarray:
    labels = check_array(labels, [n_units], "labels")
    if not (np.isfinite(labels).all() and (labels == np.round(labels)).all()):
        raise DataError(
            "labels are not numbers of communities",
            expected="0, 1, ... for every unit, -1 for units in no community",
            found=np.unique(labels)[:5].tolist(),
            field="labels",
        )
    return labels.astype(int)


@in_house_style
def plot_blocks(
    matrix: ArrayLike,
    labels: ArrayLike,
    *,
    value_label: str = "connectivity",
    ax: Axes | None = None,
) -> Axes:
    """Draw a matrix between units, sorted by community, with lines between communities.

    Parameters
    ----------
    matrix : array-like of shape (n_units, n_units)
        Not negative; NaN for pairs that were left out.
    labels : array-like of int of shape (n_units,)
        Community of each unit; -1 for units in no community.
    value_label : str, default="connectivity"
        What the matrix holds, beside the bar of colors.
    ax : matplotlib.axes.Axes, optional
        Where to draw; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        If shapes do not fit.

    Examples
    --------
    >>> from neuroml.plotting import plot_blocks
    >>> ax = plot_blocks([[0, 1, 5], [1, 0, 2], [5, 2, 0]], [0, 1, 0])
    >>> ax.images[0].get_array()[0].tolist()  # units 0 and 2 stand side by side
    [0, 5, 1]
    """
    ax = axes_for(ax, 4.6, 3.8)
    colorbar(ax, _draw_blocks(ax, *_check_pairs(matrix, labels)), value_label)
    return ax


def _draw_blocks(ax: Axes, matrix: np.ndarray, labels: np.ndarray) -> AxesImage:
    order, borders = _by_community(labels)
    image = ax.imshow(matrix[np.ix_(order, order)], cmap=MAP, vmin=0, interpolation="nearest")
    for border in borders:
        ax.axhline(border - 0.5, color="white", linewidth=0.8)
        ax.axvline(border - 0.5, color="white", linewidth=0.8)
    ax.set(xticks=[], yticks=[], xlabel="unit, sorted", ylabel="unit, sorted")
    return image


@in_house_style
def plot_motifs(
    model: DynamicConnectome,
    *,
    times: ArrayLike | None = None,
    time_label: str = "sample",
    subject_names: Sequence[str] | None = None,
    events: pd.DataFrame | None = None,
    figure: Figure | None = None,
) -> Figure:
    """Draw when each component is active, in which subjects, and between which units.

    Active intervals are shaded, motifs are sorted by community.

    Parameters
    ----------
    model : DynamicConnectome
        Fitted.
    times : array-like of shape (n_times,), optional
        Time of each row of ``model.time_courses_``; the number of its first sample by default.
    time_label : str, default="sample"
        Label of the axis of time.
    subject_names : sequence of str, optional
        Numbers by default.
    events : DataFrame, optional
        Columns ``onset``, ``duration`` (in the unit of ``times``) and ``trial_type``: bars above
        the time courses, with one color for each type.
    figure : matplotlib.figure.Figure, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        If shapes do not fit, or events lack a column.

    Examples
    --------
    >>> from neuroml.connectome import DynamicConnectome
    >>> from neuroml.plotting import plot_motifs
    >>> from neuroml.simulate import make_dynamic_communities
    >>> truth = make_dynamic_communities(20, 5, 100, n_communities=1, n_active_subjects=4,
    ...                                  random_state=0)
    >>> model = DynamicConnectome(1, n_init=1, random_state=0).fit(truth.X)
    >>> [ax.get_xlabel() for ax in plot_motifs(model).axes[:3]]
    ['sample', 'subject', 'unit, sorted']
    """
    courses = fitted(model, "motifs_").time_courses_
    loadings = model.subject_loadings_
    samples = model.stride * np.arange(len(courses))
    times = samples if times is None else check_times(times, len(courses))
    names = names_for(subject_names, len(loadings), "", "subject_names")
    if events is not None and len(events):
        check_columns(events, ["onset", "duration", "trial_type"], "events")
    n_components = courses.shape[1]
    figure = canvas_for(figure, 9.0, 2.0 * n_components + 0.4)
    grid = figure.subplots(n_components, 3, squeeze=False, width_ratios=[3, 1.5, 1.6], sharex="col")
    for r, (left, middle, right) in enumerate(grid):
        course = courses[:, r] / courses[:, r].max()
        left.fill_between(times, 0, 1.05, where=course > model.activity, color="0.88", linewidth=0)
        left.plot(times, course, color=color(r))
        tidy(left, y="loading (share)", title=f"component {r}").set_ylim(0, 1.05)
        _mark_events(left, events)
        middle.bar(range(len(loadings)), loadings[:, r], color=color(r))
        tidy(middle, y="loading")
        colorbar(right, _draw_blocks(right, model.motifs_[r], model.communities_[r]), "motif")
    grid[-1, 0].set_xlabel(time_label)
    shown = thin_ticks(len(names), _MOST_SUBJECTS)
    grid[-1, 1].set_xticks(shown, [names[i] for i in shown], rotation=90, fontsize=7)
    grid[-1, 1].set_xlabel("subject")
    return figure


def _mark_events(ax: Axes, events: pd.DataFrame | None) -> None:
    """Bars above a time course while something happened, one color for each type of trial."""
    if events is None or not len(events):
        return
    for k, (_, one) in enumerate(events.groupby("trial_type", sort=True)):
        spans = list(zip(one["onset"], one["duration"], strict=True))
        ax.broken_barh(spans, (1.01, 0.04), facecolors=color(k + 1), linewidth=0)


@in_house_style
def plot_brain(
    matrix: ArrayLike,
    labels: ArrayLike,
    coordinates: ArrayLike,
    *,
    figure: Figure | None = None,
) -> Figure:
    """Draw the strongest connections on a glass brain, by `nilearn.plotting.plot_connectome`.

    Parameters
    ----------
    matrix : array-like of shape (n_units, n_units)
        Symmetric, not negative; NaN for pairs that were left out.
    labels : array-like of int of shape (n_units,)
        Community of each unit, which gives its color; -1 (gray) for units in no community.
    coordinates : array-like of shape (n_units, 3)
        Of the units in MNI space, mm.
    figure : matplotlib.figure.Figure, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        If shapes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.plotting import plot_brain
    >>> figure = plot_brain(np.ones((3, 3)), [0, 0, 1], [[-30, 0, 0], [30, 0, 0], [0, 40, 20]])
    >>> len(figure.axes) > 3
    True
    """
    from nilearn.plotting import plot_connectome

    matrix, labels = _check_pairs(matrix, labels)
    coordinates = check_array(coordinates, [len(matrix), 3], "coordinates")
    values = np.nan_to_num(matrix)
    edges = np.sort(values[np.tril_indices_from(values, k=-1)])[-_MOST_EDGES:]
    edges = edges[edges > 0]  # nilearn's bar of colors needs an edge
    if figure is None:
        figure = canvas_for(None, 8.0, 2.8)
        figure.set_layout_engine("none")  # nilearn places its axes by itself
    plot_connectome(
        values,
        coordinates,
        node_color=[color(k) if k >= 0 else "0.7" for k in labels],
        node_size=12,
        edge_cmap=MAP,
        edge_vmin=0.0,
        edge_vmax=float(edges.max(initial=0.0)) or 1.0,
        edge_threshold=float(edges[0]) if len(edges) else None,
        colorbar=bool(len(edges)),
        figure=figure,
    )
    return figure


@in_house_style
def plot_connectogram(
    matrix: ArrayLike,
    labels: ArrayLike,
    *,
    unit_names: Sequence[str] | np.ndarray | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw units on a circle, sorted by community, with their strongest connections as arcs.

    Parameters
    ----------
    matrix : array-like of shape (n_units, n_units)
        Symmetric, not negative; NaN for pairs that were left out.
    labels : array-like of int of shape (n_units,)
        Community of each unit, which gives its color; -1 (gray) for units in no community.
    unit_names : sequence of str, optional
        Numbers by default.
    ax : matplotlib.axes.Axes, optional
        Where to draw; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        If shapes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.plotting import plot_connectogram
    >>> ax = plot_connectogram(np.ones((3, 3)), [0, 1, 0], unit_names=["V1", "M1", "V2"])
    >>> [text.get_text() for text in ax.texts]
    ['V1', 'V2', 'M1']
    """
    matrix, labels = _check_pairs(matrix, labels)
    names = names_for(unit_names, len(matrix), "", "unit_names")
    order, _ = _by_community(labels)
    angle = np.empty(len(order))
    angle[order] = np.linspace(0, 2 * np.pi, len(order), endpoint=False)
    places = np.column_stack([np.cos(angle), np.sin(angle)])
    colors = [color(k) if k >= 0 else "0.7" for k in labels]
    ax = axes_for(ax, 5.6, 5.6)
    _draw_arcs(ax, np.nan_to_num(matrix), labels, places, colors)
    ax.scatter(places[:, 0], places[:, 1], c=colors, s=18, zorder=2)
    for k in thin_ticks(len(names), _MOST_NAMES):
        unit = order[k]
        x, y = 1.05 * places[unit]
        turn = np.degrees(angle[unit])
        left = 90 < turn < 270
        ax.text(
            x, y, names[unit], fontsize=6, rotation=turn - 180 * left,
            rotation_mode="anchor", ha="right" if left else "left", va="center",
        )  # fmt: skip
    ax.set(xlim=(-1.4, 1.4), ylim=(-1.4, 1.4), aspect="equal")
    ax.set_axis_off()
    return ax


def _draw_arcs(
    ax: Axes, matrix: np.ndarray, labels: np.ndarray, places: np.ndarray, colors: Sequence[str]
) -> None:
    """The strongest connections, in the community's color within one and gray between two."""
    i, j = np.triu_indices(len(matrix), 1)
    weights = matrix[i, j]
    for edge in np.argsort(weights)[-_MOST_EDGES:]:
        a, b = i[edge], j[edge]
        arc = Path([places[a], (0.0, 0.0), places[b]], [Path.MOVETO, Path.CURVE3, Path.CURVE3])
        same = labels[a] == labels[b] and labels[a] >= 0
        strength = max(weights[edge], 0.0) / max(weights.max(), 1e-300)
        ax.add_patch(
            PathPatch(arc, fill=False, edgecolor=colors[a] if same else "0.6", alpha=strength)
        )


@in_house_style
def plot_unit_traces(
    traces: ArrayLike,
    labels: ArrayLike,
    *,
    intervals: ArrayLike | None = None,
    times: ArrayLike | None = None,
    time_label: str = "sample",
    ax: Axes | None = None,
) -> Axes:
    """Draw standardized traces, units sorted by community, with lines between communities.

    Parameters
    ----------
    traces : array-like of shape (n_samples, n_units)
    labels : array-like of int of shape (n_units,)
        Community of each unit; -1 for units in no community.
    intervals : array-like of int of shape (n_intervals, 2), optional
        First sample and sample after the last of active intervals, such as the columns ``start``
        and ``stop`` of ``table_`` of a `DynamicConnectome`; dashed lines.
    times : array-like of shape (n_samples,), optional
        Time of each sample; its number by default.
    time_label : str, default="sample"
        Label of the axis of time.
    ax : matplotlib.axes.Axes, optional
        Where to draw; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        If shapes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.plotting import plot_unit_traces
    >>> ax = plot_unit_traces(np.random.default_rng(0).normal(size=(50, 4)), [1, 0, 1, 0])
    >>> ax.images[0].get_array().shape
    (4, 50)
    """
    traces = check_array(traces, ["n_samples", "n_units"], "traces")
    n_samples = len(traces)
    order, borders = _by_community(_check_communities(labels, traces.shape[1]))
    times = check_times(times, n_samples)
    shown = traces[:, order]
    z = (shown - shown.mean(axis=0)) / np.where(shown.std(axis=0) > 0, shown.std(axis=0), 1)
    ax = axes_for(ax, 8.0, 3.6)
    extent = (float(times[0]), float(times[-1]), len(order) - 0.5, -0.5)
    image = ax.imshow(z.T, cmap=MAP, vmin=-2, vmax=2, aspect="auto", extent=extent)
    for border in borders:
        ax.axhline(border - 0.5, color="white", linewidth=0.8)
    if intervals is not None and len(np.asarray(intervals)):
        for edge in np.unique(check_array(intervals, ["n_intervals", 2], "intervals").astype(int)):
            ax.axvline(times[min(edge, n_samples - 1)], color="white", linestyle="--")
    ax.set(xlabel=time_label, ylabel="unit, sorted by community")
    colorbar(ax, image, "signal (z)")
    return ax
