"""Figures of factorized connectivity."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from neuroml.connectome import AffinityTensor, NonnegativeCP, RankSelection
from neuroml.exceptions import DataError
from neuroml.plotting._checks import check_times, fitted, names_for, segments
from neuroml.plotting._style import (
    MAP,
    axes_for,
    canvas_for,
    clustered,
    color,
    colorbar,
    in_house_style,
    thin_ticks,
    tidy,
)

__all__ = ["plot_cohort_components", "plot_components", "plot_loadings", "plot_rank_selection"]

_MOST_NAMES = 50
_MOST_SUBJECTS = 12


def _unit_order(loadings: np.ndarray) -> np.ndarray:
    """Units sorted by the component they load on most, then by falling loading (n_units,)."""
    strongest = loadings.argmax(axis=1)
    return np.lexsort((-loadings.max(axis=1), strongest))


@in_house_style
def plot_components(
    model: NonnegativeCP,
    *,
    times: ArrayLike | None = None,
    time_label: str = "sample",
    sessions: ArrayLike | None = None,
    unit_label: str = "unit",
    figure: Figure | None = None,
) -> Figure:
    """Draw the time course of each component, and the pattern that it stands for.

    Units are sorted by the component on which they load most. The pattern is a matrix between
    units, or the loadings of units (or pairs of units) where the array has two modes.

    Parameters
    ----------
    model : NonnegativeCP
        Fitted to an array whose first mode is time.
    times : array-like of shape (n_times,), optional
        Time of each place of the first mode; its number by default.
    time_label : str, default="sample"
        Label of the axis of time.
    sessions : array-like of shape (n_times,), optional
        Time courses are interrupted between sessions.
    unit_label : str, default="unit"
        What the second mode holds.
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
    >>> from neuroml.connectome import NonnegativeCP
    >>> from neuroml.plotting import plot_components
    >>> X = np.random.default_rng(0).uniform(size=(20, 5, 5))
    >>> model = NonnegativeCP(2, n_init=1, random_state=0).fit(X)
    >>> figure = plot_components(model, times=np.arange(20) / 2.0, time_label="time (s)")
    >>> figure.axes[2].get_xlabel()
    'time (s)'
    """
    weights, factors = fitted(model, "cp_").cp_
    courses = factors[0] * weights
    times = check_times(times, len(courses))
    parts = segments(sessions, len(courses))
    share = courses / courses.max()
    figure = canvas_for(figure, 8.0, 1.7 * len(weights) + 0.4)
    grid = figure.subplots(len(weights), 2, squeeze=False, width_ratios=[3, 1.3], sharex="col")
    for r, (left, right) in enumerate(grid):
        for part in parts:
            left.plot(times[part], share[part, r], color=color(r))
        tidy(left, y="share of largest", title=f"component {r}")
        left.set_ylim(0, 1.05)
        _draw_pattern(right, [factor[:, r] for factor in factors[1:]], _unit_order(factors[1]), r)
    grid[-1, 0].set_xlabel(time_label)
    grid[-1, 1].set_xlabel(f"{unit_label}, sorted")
    return figure


def _draw_pattern(ax: Axes, loadings: list[np.ndarray], order: np.ndarray, r: int) -> None:
    """What a component stands for: a matrix of two modes, or the loadings on a single one."""
    if len(loadings) == 1:
        ax.plot(loadings[0][order] / loadings[0].max(), color=color(r))
        tidy(ax, y="share of largest").set_ylim(0, 1.05)
        return
    pattern = loadings[0][order, None] * loadings[-1][order]
    image = ax.imshow(pattern / pattern.max(), cmap=MAP, vmin=0, vmax=1)
    ax.set(xticks=[], yticks=[], ylabel="unit, sorted")
    colorbar(ax, image, "share")


@in_house_style
def plot_loadings(
    model: NonnegativeCP,
    *,
    unit_names: Sequence[str] | np.ndarray | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the loadings of units (or pairs of units) on every component as a heat map.

    Loadings are those of the second mode, as a share of the component's largest. Of more than 50
    units those are drawn that load most on each component, so that all of them bear their names.

    Parameters
    ----------
    model : NonnegativeCP
        Fitted to an array whose second mode holds units or pairs.
    unit_names : sequence of str, optional
        Names along the second mode; numbers by default.
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
    >>> from neuroml.connectome import NonnegativeCP
    >>> from neuroml.plotting import plot_loadings
    >>> X = np.random.default_rng(0).uniform(size=(20, 3))
    >>> model = NonnegativeCP(2, n_init=1, random_state=0).fit(X)
    >>> ax = plot_loadings(model, unit_names=["V1", "V2", "M1"])
    >>> sorted(label.get_text() for label in ax.get_yticklabels())
    ['M1', 'V1', 'V2']
    """
    loadings = fitted(model, "cp_").cp_.factors[1]
    names = names_for(unit_names, len(loadings), "", "unit_names")
    order = _strongest(loadings, _unit_order(loadings))
    n_components = loadings.shape[1]
    ax = axes_for(ax, max(3.2, 1.6 + 0.45 * n_components), max(2.2, 0.9 + 0.15 * len(order)))
    share = loadings[order] / loadings.max(axis=0)
    image = ax.imshow(share, cmap=MAP, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    ax.set(xlabel="component", xticks=range(n_components))
    ax.set_yticks(range(len(order)), [names[i] for i in order], fontsize=7)
    if len(order) < len(names):
        ax.set_title(f"the strongest {len(order)} of {len(names)}")
    colorbar(ax, image, "loading (share of largest)")
    return ax


def _strongest(loadings: np.ndarray, order: np.ndarray) -> np.ndarray:
    """As many units as can be named, in the same order: the first of each component in turn."""
    blocks = loadings[order].argmax(axis=1)
    _, starts, which = np.unique(blocks, return_index=True, return_inverse=True)
    rank = np.arange(len(order)) - starts[which]
    return order[np.sort(np.argsort(rank, kind="stable")[:_MOST_NAMES])]


def _pair_matrix(loadings: np.ndarray, affinity: AffinityTensor, sign: int = 1) -> np.ndarray:
    """Loadings of pairs (n_units, n_units), from rows to columns; NaN where there is no pair."""
    matrix = np.full((affinity.n_features_in_,) * 2, np.nan)
    chosen = affinity.signs_ == sign
    i, j = affinity.pairs_[chosen].T
    matrix[i, j] = loadings[chosen]
    return np.where(np.isnan(matrix), matrix.T, matrix)  # pairs without a direction are both


@in_house_style
def plot_cohort_components(
    model: NonnegativeCP,
    affinity: AffinityTensor,
    *,
    times: ArrayLike | None = None,
    time_label: str = "sample",
    subject_names: Sequence[str] | np.ndarray | None = None,
    figure: Figure | None = None,
) -> Figure:
    """Draw when each component is active, in which subjects, and between which units.

    Units are sorted by their place in a hierarchy (average linkage) of the strongest component's
    affinities.

    Parameters
    ----------
    model : NonnegativeCP
        Fitted to the tensor of pairs x subjects x times that ``affinity`` returned.
    affinity : AffinityTensor
        Fitted.
    times : array-like of shape (n_times,), optional
        Time of each place of the third mode; its number by default.
    time_label : str, default="sample"
        Label of the axis of time.
    subject_names : sequence of str, optional
        Numbers by default.
    figure : matplotlib.figure.Figure, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        If the model was fitted to another tensor, or shapes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.connectome import AffinityTensor, NonnegativeCP
    >>> from neuroml.plotting import plot_cohort_components
    >>> worms = [np.random.default_rng(seed).normal(size=(50, 4)) for seed in range(3)]
    >>> affinity = AffinityTensor()
    >>> model = NonnegativeCP(1, n_init=1, random_state=0).fit(affinity.fit_transform(worms))
    >>> figure = plot_cohort_components(model, affinity)
    >>> [ax.get_xlabel() for ax in figure.axes[:3]]
    ['sample', 'subject', 'unit, sorted']
    """
    weights, factors = fitted(model, "cp_").cp_
    n_pairs = len(fitted(affinity, "pairs_").pairs_)
    if len(factors) != 3 or len(factors[0]) != n_pairs:
        raise DataError(
            "the model was not fitted to what this affinity returned",
            expected=f"{n_pairs} pairs x subjects x times",
            found=" x ".join(str(len(factor)) for factor in factors),
            field="model",
        )
    pairs, subjects, courses = factors
    names = names_for(subject_names, len(subjects), "", "subject_names")
    times = check_times(times, len(courses))
    strongest = np.nan_to_num(_pair_matrix(pairs[:, 0], affinity))
    order = clustered((strongest + strongest.T) / 2)
    figure = canvas_for(figure, 9.0, 1.8 * len(weights) + 0.4)
    grid = figure.subplots(len(weights), 3, squeeze=False, width_ratios=[3, 1.5, 1.5], sharex="col")
    for r, (left, middle, right) in enumerate(grid):
        tidy(left, y="loading (share)", title=f"component {r}, weight {weights[r]:.3g}")
        left.plot(times, courses[:, r] / courses[:, r].max(), color=color(r))
        left.set_ylim(0, 1.05)
        middle.bar(range(len(names)), subjects[:, r] / subjects[:, r].max(), color=color(r))
        tidy(middle, y="loading (share)")
        matrix = _pair_matrix(pairs[:, r] / pairs[:, r].max(), affinity)[np.ix_(order, order)]
        image = right.imshow(matrix, cmap=MAP, vmin=0, vmax=1)
        right.set(xticks=[], yticks=[], ylabel="unit, sorted")
        colorbar(right, image, "share")
    grid[-1, 0].set_xlabel(time_label)
    shown = thin_ticks(len(names), _MOST_SUBJECTS)
    grid[-1, 1].set_xticks(shown, [names[i] for i in shown], rotation=90, fontsize=7)
    grid[-1, 1].set_xlabel("subject")
    grid[-1, 2].set_xlabel("unit, sorted")
    return figure


@in_house_style
def plot_rank_selection(selection: RankSelection, *, figure: Figure | None = None) -> Figure:
    """Draw held-out error, agreement of starts and core consistency against the rank.

    Parameters
    ----------
    selection : RankSelection
        From `neuroml.connectome.select_rank`.
    figure : matplotlib.figure.Figure, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        If it is something else.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.connectome import NonnegativeCP, select_rank
    >>> from neuroml.plotting import plot_rank_selection
    >>> X = np.random.default_rng(0).uniform(size=(8, 6, 7))
    >>> quick = NonnegativeCP(n_init=2, tol=1e-3)
    >>> selection = select_rank(X, [1, 2], n_folds=2, model=quick, random_state=0)
    >>> [ax.get_title(loc="left") for ax in plot_rank_selection(selection).axes[1:]]
    ['agreement of starts', 'core consistency']
    """
    if not isinstance(selection, RankSelection):
        raise DataError(
            "this figure is drawn from a choice of rank",
            expected="what neuroml.connectome.select_rank returns",
            found=type(selection).__name__,
            field="selection",
        )
    table = selection.table
    figure = canvas_for(figure, 9.0, 2.6)
    left, middle, right = figure.subplots(1, 3, sharex=True)
    left.errorbar(table["rank"], table["held_out"], table["held_out_se"], color=color(0), capsize=2)
    left.plot(table["rank"], table["error"], "--", color=color(1))
    tidy(left, x="rank", y="relative error", title="held out (line), all data (dashed)")
    middle.plot(table["rank"], table["match"], "o-", color=color(2))
    tidy(middle, x="rank", y="factor match", title="agreement of starts").set_ylim(0, 1.05)
    right.plot(table["rank"], table["core_consistency"], "o-", color=color(3))
    tidy(right, x="rank", y="core consistency (%)", title="core consistency").set_ylim(-5, 105)
    for axes in (left, middle, right):
        axes.axvline(selection.best_rank, color="0.7", zorder=0)
        axes.set_xticks(table["rank"])
    return figure
