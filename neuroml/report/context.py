"""What tables and figures need to know about the data a model was fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

__all__ = ["Context"]


@dataclass(frozen=True)
class Context:
    """The data behind a fitted model.

    Attributes
    ----------
    recordings : sequence of Dataset
        In the order in which they were stacked.
    events : sequence of DataFrame or None
        One per recording.
    columns : sequence of str
        Names of the columns of X.
    sessions : ndarray of int of shape (n_samples,)
        As `neuroml.data.stack` numbers them.
    """

    recordings: Sequence[xr.Dataset]
    events: Sequence[pd.DataFrame | None]
    columns: Sequence[str]
    sessions: np.ndarray

    @property
    def time(self) -> np.ndarray:
        """Time of each stacked sample (n_samples,) on its own recording's clock."""
        return np.concatenate([recording["time"].values for recording in self.recordings])

    @property
    def time_label(self) -> str:
        """Axis label for `time`."""
        axis = self.recordings[0].attrs["time_axis"]
        return "time (s)" if axis == "seconds" else axis.removesuffix("s")
