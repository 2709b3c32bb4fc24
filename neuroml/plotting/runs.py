"""Figures of how fits went: of one model, and of all jobs of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from neuroml.exceptions import DataError
from neuroml.plotting._checks import check_array, fitted, names_for
from neuroml.plotting._style import (
    DIVERGING,
    axes_for,
    canvas_for,
    color,
    colorbar,
    count,
    in_house_style,
    thin_ticks,
    tidy,
    without_noise,
)
from neuroml.switching import SwitchingPopulationGLM

__all__ = [
    "plot_component_agreement",
    "plot_component_parameters",
    "plot_convergence",
    "plot_jobs",
]


@in_house_style
def plot_convergence(
    model: BaseEstimator, *, label: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the objective after each iteration, and at the end of every start.

    A wide spread of the dots at the end means local optima. The starts of a
    `SwitchingPopulationGLM` are compared under a prior of their own, so that their values do not
    belong on this axis.

    Parameters
    ----------
    model : BaseEstimator
        Fitted, with ``objective_trace_`` (and ``restart_objectives_``, if it has several starts)
        or ``loss_curve_``.
    label : str, optional
        What the objective is; "objective" or "loss" by default.
    ax : matplotlib.axes.Axes, optional
        Where to draw; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        If the model keeps neither.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.connectome import NonnegativeCP
    >>> from neuroml.plotting import plot_convergence
    >>> X = np.random.default_rng(0).uniform(size=(6, 5, 4))
    >>> model = NonnegativeCP(2, n_init=3, random_state=0).fit(X)
    >>> ax = plot_convergence(model, label="relative error")
    >>> len(ax.lines[1].get_xdata())  # one dot for each start
    3
    """
    kept = "loss_curve_" if hasattr(model, "loss_curve_") else "objective_trace_"
    trace = np.asarray(getattr(fitted(model, kept), kept))
    by_epoch = kept == "loss_curve_"
    ax = axes_for(ax, 4.5, 2.6)
    tidy(ax, x="epoch" if by_epoch else "iteration", y="loss" if by_epoch else "objective")
    count(ax.xaxis)
    if label is not None:
        ax.set_ylabel(label)
    # a trace may begin before the first iteration; its last value belongs to the last one
    last = int(getattr(model, "n_iter_", len(trace)))
    iterations = last - len(trace) + 1 + np.arange(len(trace))
    ax.plot(iterations, trace, color=color(0), marker="o" if len(trace) == 1 else "")
    ends = getattr(model, "restart_objectives_", None)
    if ends is not None and not isinstance(model, SwitchingPopulationGLM):
        ax.plot(np.full(len(ends), last), ends, "o", color=color(1))
    without_noise(ax, "y")
    return ax


@in_house_style
def plot_jobs(facts: Sequence[dict[str, Any]], *, figure: Figure | None = None) -> Figure:
    """Draw how the jobs of a run compare: a panel for each number that varies, a dot for each job.

    Parameters
    ----------
    facts : sequence of dict
        What `neuroml.report.facts` returns for the model of each job.
    figure : matplotlib.figure.Figure, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        If no number differs between the jobs.

    Examples
    --------
    >>> from neuroml.plotting import plot_jobs
    >>> figure = plot_jobs([{"n_iter": 10, "error": 0.2}, {"n_iter": 12, "error": 0.2}])
    >>> [ax.get_xlabel() for ax in figure.axes]
    ['n_iter']
    """
    table = pd.DataFrame(list(facts)).select_dtypes(include=["number"])
    varying = [str(name) for name in table if table[name].nunique() > 1]
    if not varying:
        raise DataError(
            "nothing to compare: no number differs between the jobs",
            expected="two or more jobs whose facts differ",
            found=f"{len(facts)} jobs",
            field="facts",
        )
    figure = canvas_for(figure, min(2.6 * len(varying) + 0.4, 10.4), 2.2)
    rng = np.random.default_rng(0)
    for axes, name in zip(figure.subplots(1, len(varying), squeeze=False)[0], varying, strict=True):
        values = table[name].dropna()
        axes.plot(values, rng.uniform(-1, 1, len(values)), ".", color=color(0), alpha=0.6)
        axes.axvline(values.median(), color=color(1))
        without_noise(axes, "x")
        tidy(axes, x=name).set_ylim(-3, 3)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
    return figure


@in_house_style
def plot_component_parameters(
    values: ArrayLike,
    *,
    label_names: Sequence[str] | None = None,
    component: str = "component",
    value_label: str = "value",
    figure: Figure | None = None,
) -> Figure:
    """Draw the parameters of a cohort: a panel for each component, a dot for each job.

    Parameters
    ----------
    values : array-like of shape (n_jobs, n_components, n_labels)
        Components of all jobs in the same order.
    label_names : sequence of str, optional
        Names of the last axis; numbers by default.
    component, value_label : str
        What a component and a value are called.
    figure : matplotlib.figure.Figure, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        If values have other axes.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.plotting import plot_component_parameters
    >>> weights = np.random.default_rng(0).normal(size=(8, 3, 2))
    >>> figure = plot_component_parameters(
    ...     weights, label_names=["contrast", "bias"], component="state", value_label="weight"
    ... )
    >>> [ax.get_title(loc="left") for ax in figure.axes]
    ['state 0', 'state 1', 'state 2']
    """
    table = check_array(values, ("n_jobs", "n_components", "n_labels"), "values")
    n_labels = table.shape[2]
    names = names_for(label_names, n_labels, "", "label_names")
    width = min(0.9 + table.shape[1] * (0.5 + 0.35 * n_labels), 8.8)
    figure = canvas_for(figure, width, 3.0)
    grid = figure.subplots(1, table.shape[1], sharey=True, squeeze=False)[0]
    spread = np.random.default_rng(0).uniform(-0.15, 0.15, size=len(table))
    for k, axes in enumerate(grid):
        tidy(axes, y=value_label if k == 0 else "", title=f"{component} {k}")
        axes.axhline(0, color="0.8", linewidth=1)
        for m in range(n_labels):
            axes.plot(m + spread, table[:, k, m], ".", color=color(k), alpha=0.6)
            middle = np.median(table[:, k, m])
            axes.plot([m - 0.3, m + 0.3], [middle, middle], color="0.2", linewidth=2)
        axes.set_xticks(range(n_labels), names, rotation=90)
        axes.set_xlim(-0.6, n_labels - 0.4)
    return figure


@in_house_style
def plot_component_agreement(
    values: ArrayLike,
    *,
    job_names: Sequence[str] | None = None,
    component: str = "component",
    ax: Axes | None = None,
) -> Axes:
    """Draw how alike the components of a cohort are: each job's against the mean of the others.

    Parameters
    ----------
    values : array-like of shape (n_jobs, n_components, n_labels)
        Components of all jobs in the same order.
    job_names : sequence of str, optional
        Numbers by default.
    component : str
        What a component is called.
    ax : matplotlib.axes.Axes, optional
        Where to draw; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        If values have other axes, or there is one job.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.plotting import plot_component_agreement
    >>> pattern = np.random.default_rng(0).normal(size=(1, 2, 30))
    >>> ax = plot_component_agreement(np.repeat(pattern, 4, axis=0))
    >>> ax.images[0].get_array().round(6).min() == 1.0
    np.True_
    """
    table = check_array(values, ("n_jobs", "n_components", "n_labels"), "values")
    n_jobs, n_components, _ = table.shape
    if n_jobs < 2:
        raise DataError("one job agrees with no other", expected="two or more", found=n_jobs)
    others = (table.sum(axis=0) - table) / (n_jobs - 1)
    centered, mean = (part - part.mean(axis=2, keepdims=True) for part in (table, others))
    scale = np.sqrt((centered**2).sum(axis=2) * (mean**2).sum(axis=2))
    # a component that is the same for all labels is like nothing
    likeness = (centered * mean).sum(axis=2) / np.where(scale > 0, scale, np.inf)
    names = names_for(job_names, n_jobs, "", "job_names")
    ax = axes_for(ax, 3.0 + 0.4 * n_components, 1.4 + 0.18 * min(n_jobs, 30))
    image = ax.imshow(likeness, cmap=DIVERGING, vmin=-1, vmax=1, aspect="auto")
    shown = thin_ticks(n_jobs, 30)
    ax.set_yticks(shown, [names[i] for i in shown])
    count(ax.xaxis)
    colorbar(ax, image, "correlation")
    ax.set(xlabel=component, ylabel="")
    return ax
