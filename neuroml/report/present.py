"""The way from a model to its family's tables and figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from neuroml.report.context import Context
from neuroml.report.presenters import last_step, presenter, without_figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["TABLE_COLUMNS", "Panel", "draw", "facts", "tabulate"]

TABLE_COLUMNS = ["quantity", "component", "axis", "label", "value"]


@dataclass(frozen=True)
class Panel:
    """A figure with the name of its file and the caption under it.

    Where ``figure`` is None it cannot be drawn, and the caption says why.
    """

    name: str
    figure: Figure | None
    caption: str


def facts(model: BaseEstimator) -> dict[str, Any]:
    """Fitted attributes of a model that are single numbers, words or truth values."""
    found = {}
    for name, value in vars(last_step(model)).items():
        plain = value.item() if isinstance(value, np.generic) else value
        if (
            name.endswith("_")
            and name != "n_features_in_"
            and isinstance(plain, bool | int | float | str)
        ):
            found[name.rstrip("_")] = plain
    return found


def tabulate(model: BaseEstimator, context: Context) -> pd.DataFrame:
    """Scores and parameters of a model as one tidy table.

    Parameters
    ----------
    model : BaseEstimator
        A fitted estimator, or a Pipeline that ends in one.
    context : Context
        What the model was fitted to.

    Returns
    -------
    DataFrame
        One value per row: ``quantity``, ``component`` (state, cluster, ...), ``axis`` and ``label``
        (what it belongs to: a unit, a time, ...), ``value``.
    """
    scores = pd.DataFrame(
        [
            (name, "", "", "", float(value))
            for name, value in facts(model).items()
            if not isinstance(value, str)
        ],
        columns=TABLE_COLUMNS,
    )
    tables = presenter("tables", model)
    if tables is None:
        return scores
    return pd.concat([scores, tables.tabulate(model, context)], ignore_index=True)


def draw(model: BaseEstimator, context: Context) -> list[Panel]:
    """The family's figures of a model, in the house style.

    Parameters
    ----------
    model : BaseEstimator
        A fitted estimator, or a Pipeline that ends in one.
    context : Context
        What the model was fitted to.

    Returns
    -------
    list of Panel
        Each with a name, a matplotlib figure and a caption. A panel without figure says what
        cannot be drawn, and why.
    """
    from neuroml.report.figures.style import styled

    figures, name = presenter("figures", model), type(last_step(model)).__name__
    with styled():
        panels = [] if figures is None else figures.draw(model, context)
    said = without_figures(name) or f"No figure of {name} applies to this model's parameters."
    return panels or [Panel("figures", None, said)]
