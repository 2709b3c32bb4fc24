"""Tables of aligned and decoded cohorts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from neuroml.decoding.metrics import intersubject_correlation
from neuroml.report.context import Context
from neuroml.report.elements import TABLE_COLUMNS, last_step

__all__ = ["agreement", "tabulate"]


def agreement(model: Any, context: Context) -> pd.Series:
    """Correlation of every aligned subject with the mean of the others, mean over columns.

    Empty if the model was fitted to one array, which is one subject.
    """
    if not isinstance(context.X, Mapping) or len(context.X) < 2:
        return pd.Series(dtype=float)
    aligned = model.transform(context.X)
    return pd.Series(intersubject_correlation(aligned).mean(axis=1), index=list(aligned))


def tabulate(model: Any, context: Context) -> pd.DataFrame:
    """What is known of every subject, and how well brains carry the shared components."""
    model = last_step(model)
    rows: list[tuple[str, str, str, str, float]] = []
    if hasattr(model, "components_"):
        shares = model.components_["decodability"]
        rows += [("decodability", str(k), "", "", float(v)) for k, v in enumerate(shares)]
    by_subject = {
        "constant voxels": getattr(model, "n_constant_", {}),
        "penalty": getattr(model, "alpha_", {}),
        "left-out error": {
            s: np.min(errors) for s, errors in getattr(model, "cv_errors_", {}).items()
        },
        "noise variance": getattr(model, "noise_variance_", {}),
        "correlation with the others": agreement(model, context)
        if hasattr(model, "basis_")
        else {},
    }
    for name, values in by_subject.items():
        rows += [(name, "", "subject", str(s), float(v)) for s, v in values.items()]
    return pd.DataFrame(rows, columns=TABLE_COLUMNS)
