"""Figures of decoders that take on new subjects: scores over data, gains over a baseline."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from neuroml.decoding.metrics import Interval, subject_interval
from neuroml.exceptions import DataError
from neuroml.report.figures.style import color, new_figure, tidy

__all__ = ["plot_gains", "plot_retrieval_curves"]


def plot_retrieval_curves(
    table: pd.DataFrame, *, chance: float | None = None, label: str = "top-1 retrieval"
) -> Figure:
    """Score against the samples of the new subject, one line per method.

    Parameters
    ----------
    table : DataFrame
        Columns ``method``, ``subject``, ``n_adapt`` and ``score``; several rows of a subject are
        averaged first.
    chance : float, optional
        Drawn as a dashed line.
    label : str
        What the score is.

    Returns
    -------
    matplotlib.figure.Figure
        Means over subjects with 95 % intervals over subjects.
    """
    _check_columns(table, ["method", "subject", "n_adapt", "score"])
    by_subject = table.pivot_table(index="subject", columns=["method", "n_adapt"], values="score")
    figure = new_figure(4.6, 3.2)
    axes = figure.add_subplot()
    for i, method in enumerate(table.method.unique()):
        sizes = sorted(table.n_adapt[table.method == method].unique())
        found = [_interval(by_subject[(method, n)].dropna()) for n in sizes]
        mean, low, high = np.array(found).T
        axes.plot(sizes, mean, "o-", color=color(i), label=method, markersize=4)
        axes.fill_between(sizes, low, high, color=color(i), alpha=0.2, linewidth=0)
    if chance is not None:
        axes.axhline(chance, color="0.5", linestyle="--", linewidth=1, label="chance")
    every = sorted(table.n_adapt.unique())
    axes.set_xscale("log")
    axes.set_xticks(every, [str(n) for n in every], minor=False)
    axes.set_xticks([], minor=True)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    n_subjects = table.subject.nunique()
    title = f"{n_subjects} subjects, each new once (mean, 95 % interval)"
    tidy(axes, x="samples of the new subject", y=label, title=title)
    return figure


def plot_gains(
    table: pd.DataFrame, *, baseline: str, n_adapt: int, label: str = "top-1 retrieval"
) -> Figure:
    """Gain of every method over the baseline, subject by subject and for all.

    Parameters
    ----------
    table : DataFrame
        As in `plot_retrieval_curves`, with a column ``repeat``: differences are taken between
        methods that saw the same samples.
    baseline : str
        A method of the table.
    n_adapt : int
        Which of the sizes.
    label : str
        What the score is.

    Returns
    -------
    matplotlib.figure.Figure
        A subject's interval is over its repeats, that of all subjects over subjects.
    """
    _check_columns(table, ["method", "subject", "n_adapt", "repeat", "score"])
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
    figure = new_figure(4.6, 1.2 + 0.28 * (len(subjects) + 1))
    axes = figure.add_subplot()
    for i, method in enumerate(gains):
        values = gains[method]
        rows = [_interval(values[s]) for s in subjects]
        rows.append(_interval(values.groupby("subject").mean()))
        mean, low, high = np.array(rows).T
        places = np.arange(len(rows)) + 0.15 * (i - (gains.shape[1] - 1) / 2)
        spread = np.clip([mean - low, high - mean], 0, None)
        axes.errorbar(
            mean, places, xerr=spread, fmt="o", color=color(i + 1), label=method, markersize=4
        )
    axes.axvline(0, color="0.5", linewidth=1)
    axes.axhline(len(subjects) - 0.5, color="0.8", linewidth=0.8)
    axes.set_yticks(range(len(subjects) + 1), [*map(str, subjects), "all"])
    axes.invert_yaxis()
    if gains.shape[1] > 1:
        axes.legend(frameon=False)
    title = f"{n_adapt} samples of the new subject (95 % intervals)"
    tidy(axes, x=f"{label}: gain over {baseline}", y="new subject", title=title)
    return figure


def _interval(values: pd.Series) -> Interval:
    """Mean and interval; of a single value, that value."""
    scores = values.to_numpy()
    if len(scores) < 2:
        return Interval(*[float(scores[0])] * 3)
    return subject_interval(scores, random_state=0)


def _check_columns(table: pd.DataFrame, needed: list[str]) -> None:
    missing = [name for name in needed if name not in table]
    if missing or not len(table):
        raise DataError(
            "the table lacks columns or rows", expected=needed, found=list(table), field="table"
        )
