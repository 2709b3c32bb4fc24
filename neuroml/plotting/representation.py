"""Figures of the geometry of population codes."""

from __future__ import annotations

from matplotlib.axes import Axes

from neuroml.plotting._checks import fitted
from neuroml.plotting._style import axes_for, color, in_house_style, tidy
from neuroml.representation import PopulationGeometry

__all__ = ["plot_geometry"]

# Accuracies and cosines share an axis; distances and dimensions have units of their own.
_SHOWN = ("decoding", "ccgp", "parallelism", "reliability")


@in_house_style
def plot_geometry(model: PopulationGeometry, *, ax: Axes | None = None) -> Axes:
    """Draw what can be read out of a population, and how it generalizes, beside its null.

    Dots are the means over dichotomies with their 95 % intervals over units, small dots single
    dichotomies, and ticks the mean of the null.

    Parameters
    ----------
    model : PopulationGeometry
        Fitted.
    ax : matplotlib.axes.Axes, optional
        Where to draw; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        If the model has no table of quantities.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.plotting import plot_geometry
    >>> from neuroml.representation import PopulationGeometry
    >>> X, y = np.random.default_rng(0).normal(size=(40, 5)), np.arange(40) % 4
    >>> model = PopulationGeometry(5, n_bootstrap=3, random_state=0).fit(X, y)
    >>> [label.get_text() for label in plot_geometry(model).get_yticklabels()]
    ['decoding', 'ccgp', 'parallelism', 'reliability']
    """
    table = fitted(model, "table_").table_.set_index("quantity")
    names = [name for name in _SHOWN if name in table.index]
    ax = axes_for(ax, 5.0, 0.9 + 0.4 * len(names))
    for place, name in enumerate(names):
        row = table.loc[name]
        single = table.loc[[one for one in table.index if one.startswith(f"{name}[")], "value"]
        ax.plot(single, [place] * len(single), ".", color=color(0), alpha=0.3)
        ax.plot([row["ci_low"], row["ci_high"]], [place, place], color=color(0))
        ax.plot(row["value"], place, "o", color=color(0))
        ax.plot(row["null_mean"], place, "|", color="0.35", markersize=11, markeredgewidth=2)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    return tidy(ax, x="accuracy, cosine or correlation")
