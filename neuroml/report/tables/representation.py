"""Tables of the geometry of population codes."""

from __future__ import annotations

import pandas as pd
from sklearn.base import BaseEstimator

from neuroml.report.context import Context
from neuroml.report.elements import TABLE_COLUMNS, last_step

__all__ = ["geometry"]


def geometry(model: BaseEstimator, context: Context) -> pd.DataFrame:  # noqa: ARG001
    """Every quantity, what it is by chance, its p-value and its interval."""
    model = last_step(model)
    rows = [
        (str(row.quantity), "", "", name, float(getattr(row, name)))
        for row in model.to_frame().itertuples()
        for name in ("value", "null_mean", "p", "ci_low", "ci_high")
    ]
    names = [str(name) for name in model.conditions_]
    rows += [
        ("distance of conditions", a, "condition", b, float(model.dissimilarity_[i, j]))
        for i, a in enumerate(names)
        for j, b in enumerate(names)
        if i < j
    ]
    return pd.DataFrame(rows, columns=TABLE_COLUMNS)
