"""The way from a model to its family's tables and figures."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from neuroml.report.context import Context

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["TABLE_COLUMNS", "Panel", "draw", "facts", "tabulate"]

TABLE_COLUMNS = ["quantity", "component", "axis", "label", "value"]


@dataclass(frozen=True)
class Panel:
    """A figure with the name of its file and the caption under it."""

    name: str
    figure: Figure
    caption: str


def _family(kind: str, model: BaseEstimator) -> ModuleType:
    last = model.steps[-1][1] if isinstance(model, Pipeline) else model
    return importlib.import_module(f"neuroml.report.{kind}.{type(last).__module__.split('.')[1]}")


def facts(model: BaseEstimator) -> dict[str, Any]:
    """Fitted attributes of a model that are single numbers, words or truth values."""
    last = model.steps[-1][1] if isinstance(model, Pipeline) else model
    found = {}
    for name, value in vars(last).items():
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
        A fitted estimator of neuroml, or a Pipeline that ends in one.
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
    return pd.concat([scores, _family("tables", model).tabulate(model, context)], ignore_index=True)


def draw(model: BaseEstimator, context: Context) -> list[Panel]:
    """The family's figures of a model, in the house style.

    Parameters
    ----------
    model : BaseEstimator
        A fitted estimator of neuroml, or a Pipeline that ends in one.
    context : Context
        What the model was fitted to.

    Returns
    -------
    list of Panel
        Each with a name, a matplotlib figure and a caption.
    """
    from neuroml.report.figures.style import styled

    with styled():
        return _family("figures", model).draw(model, context)
