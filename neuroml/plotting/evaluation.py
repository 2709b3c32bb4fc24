"""Figures of models beside their baselines."""

from __future__ import annotations

from textwrap import fill

import numpy as np
from matplotlib.axes import Axes

from neuroml._core.estimator import check_kind
from neuroml.evaluation import Evaluation
from neuroml.plotting._style import axes_for, color, in_house_style, tidy

__all__ = ["plot_evaluation"]


@in_house_style
def plot_evaluation(
    evaluation: Evaluation,
    *,
    scoring: str | None = None,
    score_label: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the score of every model and baseline, the best on top.

    Dots are subjects, or folds where there is one subject; the large dot is their mean. A model's
    bar is the 95 % interval of its difference to the best baseline, whose mean is the vertical
    line: a bar that does not reach the line is a difference. With a null, a tick marks what each
    model scores by chance: the mean over its permutations.

    Parameters
    ----------
    evaluation : Evaluation
        What `neuroml.evaluation.evaluate` returned.
    scoring : str, optional
        One of its scores; the first by default.
    score_label : str, optional
        What the score is called; its name by default.
    ax : matplotlib.axes.Axes, optional
        Where to draw; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        If this is no evaluation, or it has no such score.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from neuroml.evaluation import evaluate
    >>> from neuroml.plotting import plot_evaluation
    >>> X = np.random.default_rng(0).normal(size=(60, 2))
    >>> ax = plot_evaluation(evaluate(Ridge(), X, X[:, 0]), score_label="share of variance")
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['Ridge', 'baseline: mean']
    """
    check_kind(evaluation, (Evaluation,), "evaluation")
    summary = evaluation.summary(scoring)
    table = evaluation.table_
    name = table["scoring"].iloc[0] if scoring is None else scoring
    table = table[table["scoring"] == name]
    unit = "subject" if table["subject"].nunique() > 1 else "fold"
    points = table.groupby(["model", unit])["value"].mean()
    plain = summary["model"].str.startswith("baseline: ")
    # as narrow as a phone's screen, on which the letters can then be read
    ax = axes_for(ax, 4.6, 0.9 + 0.3 * len(summary))
    if plain.any():
        reference = summary["mean"] - summary["difference"]
        ax.axvline(float(reference.dropna().iloc[0]), color="0.5", linewidth=1)
    null = evaluation.null_.get(name, {})
    for place, row in enumerate(summary.to_dict("records")):
        if row["model"] in null:
            chance = float(np.nanmean(null[row["model"]]))
            ax.plot(chance, place, "|", color="0.35", markersize=11, markeredgewidth=2)
        shade = color(1) if plain[place] else color(0)
        own = points[row["model"]].to_numpy()
        ax.plot(own, np.full(len(own), place), ".", color=shade, alpha=0.5)
        ax.plot(row["mean"], place, "o", color=shade)
        if not plain[place]:  # that of a poor baseline would be all there is to see
            ends = row["mean"] - row["difference"] + np.array([row["ci_low"], row["ci_high"]])
            ax.plot(ends, [place, place], color=shade)
    ax.set_yticks(range(len(summary)), summary["model"])
    ax.set_ylim(len(summary) - 0.5, -0.5)
    label = name if score_label is None else score_label
    return tidy(
        ax, x=fill(label, 30), title=f"{points.index.get_level_values(unit).nunique()} {unit}s"
    )
