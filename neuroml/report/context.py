"""What the last step of a model was fitted to: it travels with the model to tables and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from sklearn.base import BaseEstimator

from neuroml.exceptions import DataError

__all__ = ["Context"]


@dataclass(frozen=True)
class Context:
    """The data behind a fitted model, as its last step got them.

    Attributes
    ----------
    recordings : sequence of Dataset
        In the order in which they were stacked.
    events : sequence of DataFrame or None
        One per recording.
    columns : sequence of str
        Names of the columns of X.
    sessions : ndarray of int of shape (n_rows,)
        Session of each row of X and y, as `neuroml.data.stack` numbers them.
    X : array of shape (n_rows, ...), FiberTensor, dict of arrays by subject, or None
        The last step's X; None for a model without inputs.
    y : ndarray of shape (n_rows,) or (n_rows, n_outputs), dict of such, or None
    outputs : sequence of str
        Names of the columns of y.
    groups : ndarray of str of shape (n_rows,), optional
        Subject of each row.
    rows : ndarray of int of shape (n_rows,), optional
        The stacked sample that each row stands for; by default every row is a sample.
    axes : sequence of (str, ndarray)
        Name and labels of every axis of X where it is a tensor; else empty.
    through : sequence of str
        Classes of the steps that X went through.
    covariates : DataFrame of n_rows rows, optional
        What the last step took beside X.
    errors : mapping of str to ndarray, optional
        Standard errors of the model's parameters, where they have been computed.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.preprocessing import StandardScaler
    >>> from neuroml.data import make_recording, stack
    >>> from neuroml.report import Context
    >>> recording = make_recording(np.arange(6.0)[:, None], modality="fmri", rate_hz=0.5)
    >>> context = Context.of([recording], [None], stack([recording]))
    >>> scaler = StandardScaler()
    >>> context = context.after(scaler, scaler.fit_transform(context.X))
    >>> context.X[:2, 0].round(2).tolist(), list(context.columns), context.through
    ([-1.46, -0.88], ['unit0'], ('StandardScaler',))
    """

    recordings: Sequence[xr.Dataset]
    events: Sequence[pd.DataFrame | None]
    columns: Sequence[str]
    sessions: np.ndarray
    X: Any = None
    y: Any = None
    outputs: Sequence[str] = ()
    groups: np.ndarray | None = None
    rows: np.ndarray | None = None
    axes: Sequence[tuple[str, np.ndarray]] = ()
    through: Sequence[str] = ()
    covariates: pd.DataFrame | None = None
    errors: Any = None

    @classmethod
    def of(
        cls,
        recordings: Sequence[xr.Dataset],
        events: Sequence[pd.DataFrame | None],
        arrays: Any,
        outputs: Sequence[str] = (),
    ) -> Context:
        """Return the context of what `neuroml.data.stack` made of recordings.

        Parameters
        ----------
        recordings : sequence of Dataset
        events : sequence of DataFrame or None
        arrays : Bunch
            What `neuroml.data.stack` returned; X without columns is a model without inputs.
        outputs : sequence of str
            Names of the columns of y.
        """
        X = arrays.X if arrays.X.shape[1] else None
        return cls(
            recordings, events, arrays.units, arrays.sessions, X, arrays.y, outputs, arrays.groups
        )

    def after(self, step: BaseEstimator, X: Any) -> Context:
        """Return the context of the step that follows a transformer.

        Parameters
        ----------
        step : BaseEstimator
            A fitted transformer.
        X : array or FiberTensor
            What it made of this context's X.

        Raises
        ------
        DataError
            If the rows of the new X are neither the old ones nor windows of them.
        """
        through = (*self.through, type(step).__name__)
        names = self.columns
        if hasattr(step, "windows_"):
            found = self._in_windows(step.windows_.mean(axis=1).astype(int))
            if X.ndim == 2:
                names = [str(name) for name in step.get_feature_names_out(np.array(names, object))]
            axes = _window_axes(found.time_label, found.time, names, X.ndim)
            return replace(found, X=X, columns=names, axes=axes, through=through)
        if hasattr(X, "labels"):
            names = [str(name) for name in step.get_feature_names_out(np.array(names, object))]
            return replace(
                self, X=X, columns=names, axes=self._tensor_axes(X, names), through=through
            )
        if X.shape[0] != len(self.sessions):
            raise DataError(
                f"what {through[-1]} returns has no row for each sample, so no step can follow it "
                "that needs sessions or times",
                expected=f"{len(self.sessions)} rows",
                found=f"shape {X.shape}",
                fix=f"Let {through[-1]} be the last step.",
                field="fit.steps",
            )
        names = [str(name) for name in step.get_feature_names_out(np.array(names, object))]
        return replace(self, X=X, columns=names, axes=(), through=through)

    def _in_windows(self, centers: np.ndarray) -> Context:
        """The same with one row for each window: the sample at its center."""
        return replace(
            self,
            sessions=self.sessions[centers],
            y=None if self.y is None else self.y[centers],
            groups=None if self.groups is None else self.groups[centers],
            covariates=None if self.covariates is None else self.covariates.iloc[centers],
            rows=centers if self.rows is None else self.rows[centers],
        )

    def _tensor_axes(self, tensor: Any, pairs: Sequence[str]) -> list[tuple[str, np.ndarray]]:
        """Axes of a tensor of pairs x subjects x times, whose times are the first subject's."""
        _, subjects, times = tensor.labels
        first = self.sessions if self.groups is None else self.groups
        samples = np.flatnonzero(first == first[0])[times]
        return [
            ("pair", np.asarray(pairs, dtype=object)),
            ("subject", np.asarray(subjects)),
            (self.time_label, self.time[samples]),
        ]

    def rows_of_subjects(self) -> dict[str, np.ndarray]:
        """Rows of every subject, in the order in which they first come."""
        if self.groups is None:
            return {}
        return {str(name): np.flatnonzero(self.groups == name) for name in pd.unique(self.groups)}

    @property
    def time(self) -> np.ndarray:
        """Time of each row of X (n_rows,) on its own recording's clock."""
        times = np.concatenate([recording["time"].values for recording in self.recordings])
        return times if self.rows is None else times[self.rows]

    @property
    def running_time(self) -> np.ndarray:
        """Time of each row of X (n_rows,), each recording beginning where the one before ends."""
        clocks, end = [], None
        for recording in self.recordings:
            clock = recording["time"].values
            step = float(np.median(np.diff(clock))) if len(clock) > 1 else 1.0
            clocks.append(clock if end is None else clock - clock[0] + end)
            end = clocks[-1][-1] + step
        times = np.concatenate(clocks)
        return times if self.rows is None else times[self.rows]

    @property
    def time_label(self) -> str:
        """Axis label for `time`."""
        axis = self.recordings[0].attrs["time_axis"]
        return "time (s)" if axis == "seconds" else axis.removesuffix("s")

    @property
    def running_label(self) -> str:
        """Axis label for `running_time`."""
        n = len(self.recordings)
        return self.time_label if n == 1 else f"{self.time_label}, {n} recordings end to end"

    def input_label(self, index: int) -> str:
        """Name of a column of X, with the steps that its values went through."""
        steps = f" after {', '.join(self.through)}" if self.through else ""
        return f"{self.columns[index]}{steps}"


def _window_axes(
    time_label: str, centers: np.ndarray, names: Sequence[str], n_axes: int
) -> list[tuple[str, np.ndarray]]:
    """Axes of windowed connectivity: windows x pairs, or windows x units x units."""
    labels = np.asarray(names, dtype=object)
    rest = [("pair", labels)] if n_axes == 2 else [("unit", labels), ("unit, second", labels)]
    return [(f"window center, {time_label}", centers), *rest]
