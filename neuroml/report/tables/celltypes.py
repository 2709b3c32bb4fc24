"""Tables of functional cell types."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from neuroml.report.context import Context
from neuroml.report.elements import TABLE_COLUMNS, last_step

__all__ = ["clusters", "facets", "training", "types"]


def facets(model: BaseEstimator, context: Context) -> pd.DataFrame:  # noqa: ARG001
    """Responses to the facets of a cell."""
    responses = enumerate(last_step(model).responses_)
    rows = [("response", str(k), "facet", str(k), float(value)) for k, value in responses]
    return pd.DataFrame(rows, columns=TABLE_COLUMNS)


def clusters(model: BaseEstimator, context: Context) -> pd.DataFrame:
    """Clusters, their objective and their responses."""
    model = last_step(model)
    names = _names(context, len(model.labels_))
    rows = [("objective", str(k), "", "", float(v)) for k, v in enumerate(model.objective_)]
    rows += [
        ("cells", str(k), "", "", float(np.sum(model.labels_ == k)))
        for k in range(model.n_clusters_)
    ]
    rows += [
        ("cluster", "", "unit", name, float(label))
        for name, label in zip(names, model.labels_, strict=True)
    ]
    rows += [
        ("confusion", str(k), "cluster", str(j), float(value))
        for k, row in enumerate(model.confusion_)
        for j, value in enumerate(row)
    ]
    return pd.DataFrame(rows, columns=TABLE_COLUMNS)


def types(model: BaseEstimator, context: Context) -> pd.DataFrame:  # noqa: ARG001
    """Types with their share of the cells and mean features, and the type of each cell."""
    model = last_step(model)
    rows = []
    for row in model.to_frame().itertuples():
        where = {
            "mean": (str(row.type), "feature", str(row.feature)),
            "type": ("", "unit", str(row.cell)),
            "weight": ("", f"input of {row.feature}", str(row.input)),
        }.get(row.quantity, (str(row.type), "", ""))
        rows.append((row.quantity, *where, float(row.value)))
    return pd.DataFrame(rows, columns=TABLE_COLUMNS)


def training(model: BaseEstimator, context: Context) -> pd.DataFrame:
    """Errors over epochs, and places of receptive fields."""
    model = last_step(model)
    rows = [
        (name, "", "epoch", str(int(entry["epoch"])), float(value))
        for entry in model.history_
        for name, value in entry.items()
        if name != "epoch"
    ]
    if hasattr(model, "rf_centers_"):
        names = _names(context, model.n_cells_)
        rows += [
            (f"receptive field {axis}", "", "unit", name, float(value))
            for name, place in zip(names, model.rf_centers_, strict=True)
            for axis, value in zip(("row", "column"), place, strict=True)
        ]
    return pd.DataFrame(rows, columns=TABLE_COLUMNS)


def _names(context: Context, n_cells: int) -> list[str]:
    """Names of the cells, or their numbers where the context does not know them."""
    outputs = [str(name) for name in context.outputs]
    return outputs if len(outputs) == n_cells else [str(i) for i in range(n_cells)]
