"""Figures of communities: sorted matrices, connectograms, traces grouped by community."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from neuroml.connectome import DynamicConnectome, WeightedSBM
from neuroml.report.context import Context
from neuroml.report.figures.style import MAP, color, new_figure, tidy
from neuroml.report.present import Panel
from neuroml.report.tables.connectome import subject_names

__all__ = [
    "draw_blocks",
    "draw_connectome",
    "plot_blocks",
    "plot_brain",
    "plot_connectogram",
    "plot_motifs",
    "plot_traces",
]

_MOST_EDGES = 150
_MOST_NAMES = 80


def draw_blocks(model: WeightedSBM) -> list[Panel]:
    """How often the starts agree, nodes sorted by block."""
    figure = new_figure(4.6, 3.8)
    image = plot_blocks(figure.subplots(), np.asarray(model.coassignment_), model.labels_)
    figure.colorbar(image, ax=figure.axes[0], label="share of starts")
    caption = "Share of the starts that put two nodes into one block; lines part the kept blocks."
    return [Panel("consensus", figure, caption)]


def draw_connectome(model: DynamicConnectome, context: Context) -> list[Panel]:
    """When, in which subjects and between whom; the strongest edges; the traces behind them."""
    first = int(np.argmax(model.communities_.max(axis=1)))
    return [
        Panel(
            "components",
            plot_motifs(model, context),
            "For each component, when it is active (shaded), in which subjects, and between which "
            "units, sorted by community; lines part the communities.",
        ),
        Panel(
            "connectogram",
            plot_connectogram(model.motifs_[first], model.communities_[first], context.columns),
            f"The strongest connections of component {first}. Colors are communities, gray units "
            "belong to none.",
        ),
        _traces_panel(model, context, first),
        _brain_panel(model, context, first),
    ]


def _traces_panel(model: DynamicConnectome, context: Context, component: int) -> Panel:
    if context.X is None or not context.rows_of_subjects():
        return Panel(
            "traces", None, "The traces are not drawn: they did not come along with the model."
        )
    return Panel(
        "traces",
        plot_traces(model, context, component),
        f"Traces of the subject with the largest loading on component {component}, sorted by "
        "community; white lines are the borders of its active intervals.",
    )


def _brain_panel(model: DynamicConnectome, context: Context, component: int) -> Panel:
    places = _places(context)
    if places is None:
        return Panel(
            "brain", None, "The brain is not drawn: not all units have coordinates in an MNI space."
        )
    return Panel(
        "brain",
        plot_brain(model.motifs_[component], model.communities_[component], places),
        f"The strongest connections of component {component} in the brain. Colors of regions are "
        "communities, gray ones belong to none.",
    )


def by_community(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Units sorted by community with those in none at the end, and where communities end."""
    last = np.where(labels < 0, labels.max() + 1, labels)
    order = np.argsort(last, kind="stable")
    return order, np.flatnonzero(np.diff(last[order])) + 1


def plot_blocks(axes: Axes, matrix: np.ndarray, labels: np.ndarray) -> AxesImage:
    """A matrix between units, sorted by community, with lines between communities.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    matrix : ndarray of shape (n_units, n_units)
    labels : ndarray of int of shape (n_units,)
        -1 for units in no community.

    Returns
    -------
    matplotlib.image.AxesImage
    """
    order, borders = by_community(labels)
    image = axes.imshow(matrix[np.ix_(order, order)], cmap=MAP, vmin=0, interpolation="nearest")
    for border in borders:
        axes.axhline(border - 0.5, color="white", linewidth=0.8)
        axes.axvline(border - 0.5, color="white", linewidth=0.8)
    axes.set(xticks=[], yticks=[], xlabel="unit, sorted", ylabel="unit, sorted")
    return image


def plot_motifs(model: DynamicConnectome, context: Context) -> Figure:
    """One row per component: time course with active intervals, subjects, sorted motif."""
    n_times = len(model.time_courses_)
    time = context.running_time[: n_times * model.stride : model.stride]
    figure = new_figure(9.0, 2.0 * model.n_components + 0.4)
    grid = figure.subplots(
        model.n_components, 3, squeeze=False, width_ratios=[3, 1.5, 1.6], sharex="col"
    )
    for r, (left, middle, right) in enumerate(grid):
        course = model.time_courses_[:, r] / model.time_courses_[:, r].max()
        left.fill_between(time, 0, 1.05, where=course > model.activity, color="0.88", linewidth=0)
        left.plot(time, course, color=color(r))
        tidy(left, y="loading (share)", title=f"component {r}").set_ylim(0, 1.05)
        _mark_events(left, context)
        loading = model.subject_loadings_[:, r]
        middle.bar(range(len(loading)), loading, color=color(r))
        tidy(middle, y="loading")
        image = plot_blocks(right, model.motifs_[r], model.communities_[r])
        figure.colorbar(image, ax=right, label="motif")
    grid[-1, 0].set_xlabel(context.time_label)
    names = subject_names(model, context)
    step = -(-len(names) // 12)
    grid[-1, 1].set_xticks(range(0, len(names), step), names[::step], rotation=90, fontsize=7)
    grid[-1, 1].set_xlabel("subject")
    return figure


def _mark_events(axes: Axes, context: Context) -> None:
    """Bars above a time course while something happened, one color for each type of trial."""
    events = context.events[0]
    if events is None or not len(events):
        return
    for k, (_, one) in enumerate(events.groupby("trial_type", sort=True)):
        spans = list(zip(one["onset"], one["duration"], strict=True))
        axes.broken_barh(spans, (1.01, 0.04), facecolors=color(k + 1), linewidth=0)


def _places(context: Context) -> np.ndarray | None:
    """Coordinates of the units in MNI space (n_units, 3) in mm, if they have them."""
    units = context.recordings[0]["unit"].coords
    if not {"x", "y", "z", "space"} <= set(units) or len(context.columns) != units["unit"].size:
        return None
    space = np.atleast_1d(units["space"].values)
    if not all(str(name).startswith("MNI") for name in space):
        return None
    return np.column_stack([units[axis].values for axis in "xyz"])


def plot_brain(matrix: np.ndarray, labels: np.ndarray, places: np.ndarray) -> Figure:
    """The strongest connections on a glass brain, by nilearn.

    Parameters
    ----------
    matrix : ndarray of shape (n_units, n_units)
        NaN for pairs that were left out.
    labels : ndarray of int of shape (n_units,)
        -1 for units in no community.
    places : ndarray of shape (n_units, 3)
        MNI coordinates, mm.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from nilearn.plotting import plot_connectome

    values = np.nan_to_num(matrix)
    strongest = min(1.0, 2 * _MOST_EDGES / values.size)
    figure = new_figure(8.0, 2.8)
    figure.set_layout_engine("none")
    plot_connectome(
        values,
        places,
        node_color=[color(k) if k >= 0 else "0.7" for k in labels],
        node_size=12,
        edge_cmap=MAP,
        edge_vmin=0.0,
        edge_vmax=float(values.max()),
        edge_threshold=f"{100 * (1 - strongest):.3f}%",
        colorbar=True,
        figure=figure,
    )
    return figure


def plot_connectogram(matrix: np.ndarray, labels: np.ndarray, names: object) -> Figure:
    """Units on a circle, sorted by community, with their strongest connections as arcs."""
    names = np.asarray(names)
    order, _ = by_community(labels)
    angle = np.empty(len(order))
    angle[order] = np.linspace(0, 2 * np.pi, len(order), endpoint=False)
    places = np.column_stack([np.cos(angle), np.sin(angle)])
    colors = [color(k) if k >= 0 else "0.7" for k in labels]
    i, j = np.triu_indices(len(matrix), 1)
    weights = np.nan_to_num(matrix[i, j])
    figure = new_figure(5.6, 5.6)
    axes = figure.subplots()
    for edge in np.argsort(weights)[-_MOST_EDGES:]:
        a, b = i[edge], j[edge]
        arc = Path([places[a], (0.0, 0.0), places[b]], [Path.MOVETO, Path.CURVE3, Path.CURVE3])
        same = labels[a] == labels[b] and labels[a] >= 0
        strength = weights[edge] / max(weights.max(), 1e-300)
        axes.add_patch(
            PathPatch(arc, fill=False, edgecolor=colors[a] if same else "0.6", alpha=strength)
        )
    axes.scatter(places[:, 0], places[:, 1], c=colors, s=18, zorder=2)
    for k in range(0, len(names), -(-len(names) // _MOST_NAMES)):
        unit = order[k]
        x, y = 1.05 * places[unit]
        turn = np.degrees(angle[unit])
        left = 90 < turn < 270
        axes.text(
            x, y, str(names[unit]), fontsize=6, rotation=turn - 180 * left,
            rotation_mode="anchor", ha="right" if left else "left", va="center",
        )  # fmt: skip
    axes.set(xlim=(-1.4, 1.4), ylim=(-1.4, 1.4), aspect="equal")
    axes.set_axis_off()
    return figure


def plot_traces(model: DynamicConnectome, context: Context, component: int) -> Figure:
    """Traces of the subject that has most of a component, units sorted by community."""
    labels = model.communities_[component]
    subject = int(model.subject_loadings_[:, component].argmax())
    rows = list(context.rows_of_subjects().values())[subject]
    order, borders = by_community(labels)
    shown = context.X[rows][:, order]
    z = (shown - shown.mean(axis=0)) / np.where(shown.std(axis=0) > 0, shown.std(axis=0), 1)
    time = context.running_time[: len(rows)]
    figure = new_figure(8.0, 3.6)
    axes = figure.subplots()
    extent = (float(time[0]), float(time[-1]), len(order) - 0.5, -0.5)
    image = axes.imshow(z.T, cmap=MAP, vmin=-2, vmax=2, aspect="auto", extent=extent)
    for border in borders:
        axes.axhline(border - 0.5, color="white", linewidth=0.8)
    active = model.table_[model.table_.component == component]
    for edge in np.unique(active[["start", "stop"]].to_numpy(dtype=int)):
        axes.axvline(time[min(edge, len(rows) - 1)], color="white", linestyle="--")
    axes.set(xlabel=context.time_label, ylabel="unit, sorted by community")
    figure.colorbar(image, ax=axes, label="signal (z)")
    return figure
