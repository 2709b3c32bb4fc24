"""Figures of how fits went: of one model, and of all jobs of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.base import BaseEstimator

from neuroml.exceptions import DataError
from neuroml.plotting._checks import fitted
from neuroml.plotting._style import axes_for, canvas_for, color, count, in_house_style, tidy
from neuroml.switching import SwitchingPopulationGLM

__all__ = ["plot_convergence", "plot_jobs"]


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
    ax.plot(iterations, trace, color=color(0))
    ends = getattr(model, "restart_objectives_", None)
    if ends is not None and not isinstance(model, SwitchingPopulationGLM):
        ax.plot(np.full(len(ends), last), ends, "o", color=color(1))
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
        tidy(axes, x=name).set_ylim(-3, 3)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
    return figure
