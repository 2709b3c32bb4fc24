"""Figures of aligned and decoded cohorts, and of decoders that take on new subjects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from neuroml.decoding.metrics import Interval, subject_interval
from neuroml.exceptions import DataError
from neuroml.plotting._checks import check_array, check_columns, check_times, fitted, names_for
from neuroml.plotting._style import axes_for, canvas_for, color, count, in_house_style, tidy

__all__ = [
    "plot_adaptation_curves",
    "plot_agreement",
    "plot_decodability",
    "plot_gains",
    "plot_penalties",
    "plot_shared_response",
]


@in_house_style
def plot_agreement(
    correlations: ArrayLike | pd.Series,
    *,
    subject_names: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the correlation of every subject with the mean of the others, sorted.

    Parameters
    ----------
    correlations : array-like of shape (n_subjects,)
        One value for each subject, such as
        ``neuroml.decoding.metrics.intersubject_correlation(aligned).mean(axis=1)``.
    subject_names : sequence of str, optional
        By default the index of a Series, or numbers.
    ax : matplotlib.axes.Axes, optional
        Where to draw; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        If there is not one name for each subject.

    Examples
    --------
    >>> from neuroml.plotting import plot_agreement
    >>> ax = plot_agreement([0.4, 0.1, 0.3], subject_names=["anna", "ben", "cleo"])
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['ben', 'cleo', 'anna']
    """
    if subject_names is None and isinstance(correlations, pd.Series):
        subject_names = list(correlations.index)
    values = check_array(correlations, ["n_subjects"], "correlations")
    names = names_for(subject_names, len(values), "subject", "subject_names")
    order = np.argsort(values, kind="stable")
    ax = axes_for(ax, 4.6, 0.9 + 0.15 * len(values))
    tidy(ax, x="correlation with the mean of the others", y="subject")
    ax.plot(values[order], np.arange(len(values)), "o", color=color(0), markersize=4)
    ax.set_yticks(np.arange(len(values)), [names[i] for i in order], fontsize=7)
    ax.axvline(0, color="0.5", linewidth=1)
    return ax


@in_house_style
def plot_shared_response(
    shared_response: ArrayLike,
    *,
    n_columns: int = 4,
    times: ArrayLike | None = None,
    time_label: str = "sample",
    figure: Figure | None = None,
) -> Figure:
    """Draw what aligned subjects have in common: the columns with most variance.

    Parameters
    ----------
    shared_response : array-like of shape (n_samples, n_features)
        ``shared_response_`` of a `SharedResponseModel` or ``template_`` of a `ProcrustesAligner`.
    n_columns : int, default=4
        Maximum number of columns that are drawn.
    times : array-like of shape (n_samples,), optional
        Time of each sample; its number by default.
    time_label : str, default="sample"
        Label of the axis of time.
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
    >>> from neuroml.plotting import plot_shared_response
    >>> figure = plot_shared_response(np.arange(5.0)[:, None] * [1, 3, 2], n_columns=2)
    >>> [ax.get_title(loc="left") for ax in figure.axes]
    ['column 1', 'column 2']
    """
    courses = check_array(shared_response, ["n_samples", "n_features"], "shared_response")
    times = check_times(times, len(courses))
    chosen = np.argsort(-courses.var(axis=0), kind="stable")[:n_columns]
    figure = canvas_for(figure, 8.0, 1.2 * len(chosen) + 0.4)
    grid = figure.subplots(len(chosen), 1, squeeze=False, sharex=True)[:, 0]
    for i, (axes, column) in enumerate(zip(grid, chosen, strict=True)):
        axes.plot(times, courses[:, column], color=color(i), linewidth=1)
        tidy(axes, y="a.u.", title=f"column {column}")
    grid[-1].set_xlabel(time_label)
    return figure


@in_house_style
def plot_decodability(model: BaseEstimator, *, ax: Axes | None = None) -> Axes:
    """Draw the share of variance of every shared component that brains explain.

    Parameters
    ----------
    model : CrossSubjectDecoder
        Fitted; any estimator whose ``components_["decodability"]`` has one value for each
        component.
    ax : matplotlib.axes.Axes, optional
        Where to draw; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        If the model has no components.

    Examples
    --------
    >>> from neuroml.decoding import CrossSubjectDecoder
    >>> from neuroml.plotting import plot_decodability
    >>> from neuroml.simulate import make_cohort
    >>> data = make_cohort(2, n_stimuli=40, n_voxels=(20, 30), random_state=0)
    >>> ax = plot_decodability(CrossSubjectDecoder().fit(data.X, data.y))
    >>> ax.get_xlabel()
    'shared component'
    """
    shares = fitted(model, "components_").components_["decodability"]
    ax = axes_for(ax, 4.6, 2.6)
    tidy(ax, x="shared component", y="share of variance explained")
    count(ax.xaxis)
    ax.plot(np.arange(1, len(shares) + 1), shares, "o-", color=color(0), markersize=4)
    ax.set_ylim(bottom=0)
    return ax


@in_house_style
def plot_penalties(model: BaseEstimator, *, ax: Axes | None = None) -> Axes:
    """Draw each subject's error of left-out samples over penalties, as a multiple of the smallest.

    Parameters
    ----------
    model : RidgeDecoder or HierarchicalRidgeDecoder
        Fitted; any estimator whose ``cv_errors_`` has one curve for each subject.
    ax : matplotlib.axes.Axes, optional
        Where to draw; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        If the model keeps no errors.

    Examples
    --------
    >>> from neuroml.decoding import RidgeDecoder
    >>> from neuroml.plotting import plot_penalties
    >>> from neuroml.simulate import make_cohort
    >>> data = make_cohort(2, n_stimuli=40, n_voxels=(20, 30), random_state=0)
    >>> ax = plot_penalties(RidgeDecoder().fit(data.X, data.y))
    >>> ax.get_ylabel()
    'error / smallest error'
    """
    curves = fitted(model, "cv_errors_").cv_errors_
    ax = axes_for(ax, 4.6, 2.6)
    tidy(ax, x="penalty, from small to large", y="error / smallest error")
    count(ax.xaxis)
    for errors in curves.values():
        places = np.arange(1, len(errors) + 1)
        ax.plot(places, errors / errors.min(), color=color(0), alpha=0.4, linewidth=1)
        ax.plot(errors.argmin() + 1, 1.0, "o", color=color(1), markersize=4)
    ax.set_yscale("log")
    return ax


@in_house_style
def plot_adaptation_curves(
    table: pd.DataFrame,
    *,
    chance: float | None = None,
    score_label: str = "top-1 retrieval",
    ax: Axes | None = None,
) -> Axes:
    """Draw the score against the samples of the new subject, one line for each method.

    Lines are means over subjects with 95 % intervals over subjects.

    Parameters
    ----------
    table : DataFrame
        Columns ``method``, ``subject``, ``n_adapt`` and ``score``; several rows of a subject are
        averaged first.
    chance : float, optional
        Drawn as a dashed line.
    score_label : str, default="top-1 retrieval"
        What the score is.
    ax : matplotlib.axes.Axes, optional
        Where to draw; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        If the table lacks columns or rows.

    Examples
    --------
    >>> import pandas as pd
    >>> from neuroml.plotting import plot_adaptation_curves
    >>> table = pd.DataFrame(
    ...     {"method": "ridge", "subject": list("abab"), "n_adapt": [10, 10, 50, 50],
    ...      "score": [0.1, 0.2, 0.3, 0.5]}
    ... )
    >>> plot_adaptation_curves(table, chance=0.01).lines[0].get_ydata().round(2).tolist()
    [0.15, 0.4]
    """
    check_columns(table, ["method", "subject", "n_adapt", "score"])
    by_subject = table.pivot_table(index="subject", columns=["method", "n_adapt"], values="score")
    ax = axes_for(ax, 4.6, 3.2)
    for i, method in enumerate(table.method.unique()):
        sizes = sorted(table.n_adapt[table.method == method].unique())
        found = [_interval(by_subject[(method, n)].dropna()) for n in sizes]
        mean, low, high = np.array(found).T
        ax.plot(sizes, mean, "o-", color=color(i), label=method, markersize=4)
        ax.fill_between(sizes, low, high, color=color(i), alpha=0.2, linewidth=0)
    if chance is not None:
        ax.axhline(chance, color="0.5", linestyle="--", linewidth=1, label="chance")
    every = sorted(table.n_adapt.unique())
    ax.set_xscale("log")
    ax.set_xticks(every, [str(n) for n in every], minor=False)
    ax.set_xticks([], minor=True)
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False)
    n_subjects = table.subject.nunique()
    title = f"{n_subjects} subjects, each new once (mean, 95 % interval)"
    return tidy(ax, x="samples of the new subject", y=score_label, title=title)


@in_house_style
def plot_gains(
    table: pd.DataFrame,
    *,
    baseline: str,
    n_adapt: int,
    score_label: str = "top-1 retrieval",
    ax: Axes | None = None,
) -> Axes:
    """Draw the gain of every method over a baseline, for each new subject and for all.

    A subject's 95 % interval is over its repeats, that of all subjects over subjects.

    Parameters
    ----------
    table : DataFrame
        As in `plot_adaptation_curves`, with a column ``repeat``: differences are taken between
        methods that saw the same samples.
    baseline : str
        A method of the table.
    n_adapt : int
        Which number of samples of the new subject.
    score_label : str, default="top-1 retrieval"
        What the score is.
    ax : matplotlib.axes.Axes, optional
        Where to draw; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        If the table lacks columns, rows, or the baseline.

    Examples
    --------
    >>> import pandas as pd
    >>> from neuroml.plotting import plot_gains
    >>> table = pd.DataFrame(
    ...     {"method": ["ridge", "cohort"] * 2, "subject": list("aabb"), "n_adapt": 10,
    ...      "repeat": 0, "score": [0.1, 0.3, 0.2, 0.3]}
    ... )
    >>> ax = plot_gains(table, baseline="ridge", n_adapt=10)
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['a', 'b', 'all']
    """
    check_columns(table, ["method", "subject", "n_adapt", "repeat", "score"])
    chosen = table[table.n_adapt == n_adapt]
    wide = chosen.pivot_table(index=["subject", "repeat"], columns="method", values="score")
    if baseline not in wide:
        raise DataError(
            "the baseline is not in the table",
            expected=f"one of {list(wide)} at n_adapt={n_adapt}",
            found=repr(baseline),
            field="baseline",
        )
    gains = wide.drop(columns=baseline).sub(wide[baseline], axis=0)
    subjects = list(dict.fromkeys(chosen.subject))
    ax = axes_for(ax, 4.6, 1.2 + 0.28 * (len(subjects) + 1))
    for i, method in enumerate(gains):
        values = gains[method]
        rows = [_interval(values[s]) for s in subjects]
        rows.append(_interval(values.groupby("subject").mean()))
        mean, low, high = np.array(rows).T
        places = np.arange(len(rows)) + 0.15 * (i - (gains.shape[1] - 1) / 2)
        bars = np.clip([mean - low, high - mean], 0, None)
        ax.errorbar(
            mean, places, xerr=bars, fmt="o", color=color(i + 1), label=method, markersize=4
        )
    ax.axvline(0, color="0.5", linewidth=1)
    ax.axhline(len(subjects) - 0.5, color="0.8", linewidth=0.8)
    ax.set_yticks(range(len(subjects) + 1), [*map(str, subjects), "all"])
    ax.set_ylim(len(subjects) + 0.5, -0.5)
    if gains.shape[1] > 1:
        ax.legend(frameon=False)
    title = f"{n_adapt} samples of the new subject (95 % intervals)"
    return tidy(ax, x=f"{score_label}: gain over {baseline}", y="new subject", title=title)


def _interval(values: pd.Series) -> Interval:
    """Mean and interval; of a single value, that value."""
    scores = values.to_numpy()
    if len(scores) < 2:
        return Interval(*[float(scores[0])] * 3)
    return subject_interval(scores, random_state=0)
