"""Tables of the switching population model."""

from __future__ import annotations

import numpy as np
import pandas as pd

from neuroml.report.context import Context
from neuroml.report.present import TABLE_COLUMNS
from neuroml.switching import SwitchingPopulationGLM

__all__ = ["tabulate"]

_SIGNS = ("inhibitory", "none", "excitatory")


def tabulate(model: SwitchingPopulationGLM, context: Context) -> pd.DataFrame:
    """Transitions, baselines, couplings and, with the one-hot prior, signs of connections."""
    units = [str(unit) for unit in context.columns]
    rows: list[tuple[str, str, str, str, float]] = []
    for k, onward in enumerate(model.transition_matrix_):
        rows += [("transition", str(k), "to state", str(j), float(p)) for j, p in enumerate(onward)]
        values = zip(units, model.baseline_[k], strict=True)
        rows += [("baseline", str(k), "unit", unit, float(value)) for unit, value in values]
        for to, fan_in in zip(units, model.weights_[k], strict=True):
            pairs = zip(units, fan_in, strict=True)
            rows += [
                ("weight", str(k), "from -> to", f"{unit} -> {to}", float(w)) for unit, w in pairs
            ]
    signs = getattr(model, "connection_probability_", None)
    if signs is not None:
        for i, j in np.ndindex(signs.shape[:2]):
            label = f"{units[j]} -> {units[i]}"
            named = zip(_SIGNS, signs[i, j], strict=True)
            rows += [(f"P({name})", "", "from -> to", label, float(p)) for name, p in named]
    return pd.DataFrame(rows, columns=TABLE_COLUMNS)
