"""Figures of how the units of a switching population act on one another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neuroml.plotting._checks import check_array, fitted, names_for
from neuroml.plotting._style import (
    DIVERGING,
    axes_for,
    canvas_for,
    clustered,
    color,
    count,
    in_house_style,
    tidy,
)
from neuroml.switching import SwitchingPopulationGLM

__all__ = ["plot_couplings", "plot_filters"]

_MOST_UNITS = 50  # whose names fit beside a matrix
_WIDEST = 9.0  # inches: what is wider is shrunk on the page until its letters cannot be read


@in_house_style
def plot_couplings(
    model: SwitchingPopulationGLM,
    *,
    unit_names: Sequence[str] | None = None,
    figure: Figure | None = None,
) -> Figure:
    """Draw the couplings between units, one matrix for each state on one scale.

    Units that are coupled stand beside one another: they have the order of a hierarchy (average
    linkage) of the absolute couplings, in both directions and all states.

    Parameters
    ----------
    model : SwitchingPopulationGLM
        Fitted.
    unit_names : sequence of str, optional
        Numbers by default. Of more than 50 units none are written.
    figure : matplotlib.figure.Figure, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        If the model has no couplings, or there is not one name for each unit.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.plotting import plot_couplings
    >>> from neuroml.switching import SwitchingPopulationGLM
    >>> spikes = np.random.default_rng(0).poisson(0.5, (200, 3))
    >>> model = SwitchingPopulationGLM(1, n_init=1, random_state=0).fit(spikes)
    >>> plot_couplings(model).axes[0].get_xlabel()
    'from unit, sorted'
    """
    weights = check_array(
        fitted(model, "weights_").weights_, ["n_states", "n_units", "n_units"], "model.weights_"
    )
    n_states, n_units, _ = weights.shape
    names = np.array(names_for(unit_names, n_units, "", "unit_names"), dtype=object)
    strength = np.abs(weights).sum(axis=0)
    order = clustered(strength + strength.T)
    named = n_units <= _MOST_UNITS
    side = max(2.6, 0.9 + 0.13 * n_units) if named else 2.9
    n_columns = min(n_states, max(1, int(_WIDEST // side)))
    n_rows = -(-n_states // n_columns)
    figure = canvas_for(figure, side * n_columns + 0.9, side * n_rows)
    # a few extreme couplings would leave all others pale
    largest = np.quantile(np.abs(weights), 0.995) or 1.0
    every = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for axes in every[n_states:]:
        axes.set_axis_off()
    for k, axes in enumerate(every[:n_states]):
        image = axes.imshow(
            weights[k][np.ix_(order, order)],
            cmap=DIVERGING,
            vmin=-largest,
            vmax=largest,
            interpolation="nearest",
        )
        axes.set(title=f"state {k}", xlabel="from unit, sorted", xticks=[], yticks=[])
        if named:
            axes.set_xticks(range(n_units), names[order], rotation=90, fontsize=7)
            axes.set_yticks(range(n_units), names[order], fontsize=7)
        axes.set_ylabel("to unit, sorted" if k % n_columns == 0 else "")
    figure.colorbar(image, ax=list(every), label="weight", extend="both")
    return figure


@in_house_style
def plot_filters(model: SwitchingPopulationGLM, *, ax: Axes | None = None) -> Axes:
    """Draw the coupling filter of every sending unit if they were learned, and their mean.

    Parameters
    ----------
    model : SwitchingPopulationGLM
        Fitted.
    ax : matplotlib.axes.Axes, optional
        Where to draw; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        If the model has no filters.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.plotting import plot_filters
    >>> from neuroml.switching import SwitchingPopulationGLM
    >>> spikes = np.random.default_rng(0).poisson(0.5, (200, 3))
    >>> model = SwitchingPopulationGLM(1, n_lags=4, n_init=1, random_state=0).fit(spikes)
    >>> plot_filters(model).lines[-1].get_xdata().tolist()
    [1, 2, 3, 4]
    """
    filters = fitted(model, "filters_").filters_
    ax = tidy(axes_for(ax, 4.0, 2.6), x="lag (bins)", y="filter (share per bin)")
    count(ax.xaxis)
    lags = np.arange(1, model.n_lags + 1)
    if len(model.filter_mix_[0]) > 1:
        ax.plot(lags, filters.T, color="0.7", linewidth=0.8)
    ax.plot(lags, filters.mean(axis=0), "o-", color=color(0), markersize=3)
    ax.set_ylim(bottom=0)
    return ax
