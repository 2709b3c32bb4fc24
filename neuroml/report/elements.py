"""What tables and figures of a report are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["TABLE_COLUMNS", "Panel", "last_step"]

TABLE_COLUMNS = ["quantity", "component", "axis", "label", "value"]


@dataclass(frozen=True)
class Panel:
    """What a plotting function drew on, with the name of its file and the caption under it.

    Where ``drawn`` is None it cannot be drawn, and the caption says why.
    """

    name: str
    drawn: Figure | Axes | None
    caption: str

    @property
    def figure(self) -> Figure | None:
        """The figure, or None if there is none."""
        return None if self.drawn is None else self.drawn.figure  # type: ignore[return-value]


def last_step(model: BaseEstimator) -> BaseEstimator:
    """The estimator at the end of a pipeline, or the model itself."""
    return model.steps[-1][1] if isinstance(model, Pipeline) else model
