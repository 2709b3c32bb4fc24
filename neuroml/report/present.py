"""The way from a model to its facts, its table and its figures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from neuroml.report.context import Context
from neuroml.report.elements import TABLE_COLUMNS, Panel, last_step
from neuroml.report.presenters import presenter, without_figures

__all__ = ["draw", "facts", "tabulate"]


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
    known = presenter(type(last_step(model)))
    if known is None:
        return scores
    return pd.concat([scores, known.tabulate(model, context)], ignore_index=True)


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
    kind = type(last_step(model))
    known = presenter(kind)
    panels = [] if known is None else known.draw(model, context)
    from neuroml.report.panels.brain import brain_maps  # with matplotlib, which tables do without

    panels = [*panels, *brain_maps(model, context)]
    said = without_figures(kind) or (
        f"No figure of {kind.__name__} applies to this model's parameters."
    )
    return panels or [Panel("figures", None, said)]
