"""What the one-hot prior adds to the table of a switching population."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neuroml.switching import SwitchingPopulationGLM

__all__ = ["sign_rows"]

_SIGNS = ("inhibitory", "no connection", "excitatory")


def sign_rows(
    model: SwitchingPopulationGLM, units: Sequence[str]
) -> list[tuple[str, str, str, str, float]]:
    """Rows with the probability of every pair's sign; none without the one-hot prior."""
    signs = getattr(model, "connection_probability_", np.empty((0, 0, 3)))
    return [
        (f"P({name})", "", f"input of {units[i]}", str(units[j]), float(signs[i, j, s]))
        for i, j in np.ndindex(signs.shape[:2])
        for s, name in enumerate(_SIGNS)
    ]
