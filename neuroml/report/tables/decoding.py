"""Tables of aligned and decoded cohorts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from neuroml.data import stack
from neuroml.decoding.metrics import intersubject_correlation
from neuroml.report.context import Context
from neuroml.report.present import TABLE_COLUMNS

__all__ = ["agreement", "tabulate"]


def agreement(model: Any, context: Context) -> pd.Series:
    """Correlation of every aligned subject with the mean of the others, mean over columns."""
    parts: dict[str, list] = {}
    for recording in context.recordings:
        parts.setdefault(recording.attrs["subject"], []).append(recording)
    aligned = model.transform({s: stack(recordings).X for s, recordings in parts.items()})
    return pd.Series(intersubject_correlation(aligned).mean(axis=1), index=list(aligned))


def tabulate(model: Any, context: Context) -> pd.DataFrame:
    """What is known of every subject, and how well brains carry the shared components."""
    rows: list[tuple[str, str, str, str, float]] = []
    if hasattr(model, "components_"):
        shares = model.components_["decodability"]
        rows += [("decodability", str(k), "", "", float(v)) for k, v in enumerate(shares)]
    by_subject = {
        "constant voxels": getattr(model, "n_constant_", {}),
        "penalty": getattr(model, "alpha_", {}),
        "leave-one-out error": {
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
