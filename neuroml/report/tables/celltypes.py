"""Tables of functional cell types."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from neuroml.celltypes import MostDiscriminativeStimuli, ResponseModel
from neuroml.report.context import Context
from neuroml.report.present import TABLE_COLUMNS
from neuroml.report.presenters import last_step

__all__ = ["tabulate"]


def tabulate(model: BaseEstimator, context: Context) -> pd.DataFrame:
    """Clusters and their objective, or training and places; facets of a cell."""
    model = last_step(model)
    if isinstance(model, MostDiscriminativeStimuli):
        rows = _clusters(model, context)
    elif isinstance(model, ResponseModel):
        rows = _training(model, context)
    else:
        rows = [
            ("response", str(k), "facet", str(k), float(value))
            for k, value in enumerate(model.responses_)
        ]
    return pd.DataFrame(rows, columns=TABLE_COLUMNS)


def _clusters(model: MostDiscriminativeStimuli, context: Context) -> list[tuple]:
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
    return rows


def _training(model: ResponseModel, context: Context) -> list[tuple]:
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
    return rows


def _names(context: Context, n_cells: int) -> list[str]:
    """Names of the cells, or their numbers where the context does not know them."""
    outputs = [str(name) for name in context.outputs]
    return outputs if len(outputs) == n_cells else [str(i) for i in range(n_cells)]
