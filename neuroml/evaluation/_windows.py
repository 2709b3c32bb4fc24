"""Held-out entries of windowed connectivity: one readout for every model of it.

A model of connectivity over time says which patterns over pairs of units there are. In windows
that it has not seen, half of the pairs tell how strong each pattern is, and the other half is
predicted; then the halves change places. Both entries of a symmetric pair are one pair, so they
are held out together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import nnls
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.decomposition import NMF, PCA
from sklearn.pipeline import Pipeline

from neuroml.connectome import DynamicConnectome, FiberTensor, NonnegativeCP
from neuroml.evaluation._fitted import Fitted, call, last_step
from neuroml.evaluation._layouts import Rows
from neuroml.exceptions import DataError

__all__ = ["Patterns", "WindowPatterns", "explained_share", "pairs_by_windows"]


@dataclass(frozen=True)
class Patterns:
    """What a model of connectivity knows about pairs.

    Attributes
    ----------
    mean : ndarray of shape (n_pairs,)
        What is expected where no pattern is active.
    components : ndarray of shape (n_components, n_pairs)
    loadings : {"free", "nonnegative", "nearest"}
        How strong each component is in a window: by least squares, by non-negative least squares,
        or 1 for the component that is closest and 0 for the others.
    """

    mean: np.ndarray
    components: np.ndarray
    loadings: str

    def predict(self, windows: np.ndarray, shown: np.ndarray) -> np.ndarray:
        """Predict all pairs of windows (n_windows, n_pairs) from those in ``shown`` (n_pairs,)."""
        if not len(self.components):
            return np.broadcast_to(self.mean, windows.shape)
        rest = windows - self.mean
        found = np.empty((len(windows), len(self.components)))
        missing = np.isnan(windows)
        # windows with the same pairs missing (those of one subject) share their least squares
        kinds, which = np.unique(missing, axis=0, return_inverse=True)
        for kind, lacks in enumerate(kinds):
            rows, known = np.flatnonzero(which.ravel() == kind), shown & ~lacks
            found[rows] = self._load(rest[np.ix_(rows, np.flatnonzero(known))], known)
        return self.mean + found @ self.components

    def _load(self, rest: np.ndarray, known: np.ndarray) -> np.ndarray:
        own = self.components[:, known]
        if self.loadings == "free":
            return np.linalg.lstsq(own.T, rest.T, rcond=None)[0].T
        if self.loadings == "nearest":
            distance = (own**2).sum(axis=1) - 2 * rest @ own.T
            return np.eye(len(own))[distance.argmin(axis=1)]
        # ||own.T a - x|| with a >= 0 depends on x through its projection onto the components alone
        basis, square = np.linalg.qr(own.T)
        return np.array([nnls(square, projected)[0] for projected in rest @ basis])


class WindowPatterns(BaseEstimator):
    """Plain models of windowed connectivity, as baselines.

    Parameters
    ----------
    kind : {"mean", "static", "pca", "nmf", "kmeans"}
        The mean of the training windows; the same with a gain of its own in every window; principal
        components; non-negative matrix factorization; or co-activation patterns, the centers of
        k-means.
    n_components : int
        Of the last three.
    random_state : int or None
    """

    def __init__(
        self, kind: str = "mean", n_components: int = 3, *, random_state: int | None = None
    ) -> None:
        self.kind = kind
        self.n_components = n_components
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> WindowPatterns:
        """Learn patterns over pairs from windows.

        Parameters
        ----------
        X : ndarray of shape (n_windows, n_pairs) or (n_windows, n_units, n_units), or FiberTensor
        y : ignored
        """
        del y
        windows, _ = pairs_by_windows(X)
        mean = np.nanmean(windows, axis=0)
        windows = np.where(np.isnan(windows), mean, windows)
        n = min(self.n_components, *windows.shape)
        none = np.empty((0, windows.shape[1]))
        if self.kind == "mean":
            self.patterns_ = Patterns(mean, none, "free")
        elif self.kind == "static":
            self.patterns_ = Patterns(np.zeros_like(mean), mean[None], "free")
        elif self.kind == "pca":
            pca = PCA(n, random_state=self.random_state).fit(windows)
            self.patterns_ = Patterns(mean, pca.components_, "free")
        elif self.kind == "nmf":
            nmf = NMF(n, tol=1e-3, max_iter=5000, random_state=self.random_state).fit(
                np.maximum(windows, 0)
            )
            self.patterns_ = Patterns(np.zeros_like(mean), nmf.components_, "nonnegative")
        else:
            centers = KMeans(n, n_init=10, random_state=self.random_state).fit(windows)
            self.patterns_ = Patterns(
                np.zeros_like(mean), centers.cluster_centers_.astype(np.float64), "nearest"
            )
        self.level_ = float(mean.mean())
        return self


def pairs_by_windows(X: Any) -> tuple[np.ndarray, np.ndarray]:
    """Windowed connectivity as one row per window, and which of the subjects each row is of.

    Parameters
    ----------
    X : ndarray of shape (n_windows, n_pairs) or (n_windows, n_units, n_units), or FiberTensor
        A tensor of the modes pair, subject and time has one row for each subject and time; pairs
        that a subject does not show are NaN.
    """
    if isinstance(X, FiberTensor):
        n_pairs, n_subjects, n_times = X.shape
        values = X.values if isinstance(X.values, np.ndarray) else X.values.materialize()
        dense = np.full((n_subjects, n_times, n_pairs), np.nan)
        dense[X.index[:, 1], :, X.index[:, 0]] = values
        return dense.reshape(-1, n_pairs), np.repeat(np.arange(n_subjects), n_times)
    windows = np.asarray(X, dtype=np.float64)
    if windows.ndim == 3 and windows.shape[1] == windows.shape[2]:
        i, j = np.triu_indices(windows.shape[1], k=1)
        windows = windows[:, i, j]
    if windows.ndim != 2:
        raise DataError(
            "this is no connectivity over time",
            expected="(n_windows, n_pairs), (n_windows, n_units, n_units) or a FiberTensor",
            found=f"shape {windows.shape}",
            field="X",
        )
    return windows, np.zeros(len(windows), dtype=int)


def _windows_of(model: Any, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """What the last step of a model is given, for new data, and the piece of data of each pair."""
    last = last_step(model)
    if isinstance(last, DynamicConnectome):
        given = {} if rows.groups is None else {"groups": rows.groups}
        before = rows.X if last is model else call(model[:-1], "transform", rows.X, rows=rows)
        found = last.affinity_.transform(before, sessions=rows.sessions, **given)
    elif isinstance(model, Pipeline):
        found = call(model[:-1], "transform", rows.X, rows=rows)
    else:
        found = rows.X
    windows = pairs_by_windows(found)[0]
    pieces = getattr(found, "pieces", None)
    return windows, np.arange(windows.shape[1]) if pieces is None else np.asarray(pieces)


def _patterns_of(model: Any) -> Patterns:
    last = last_step(model)
    if isinstance(last, WindowPatterns):
        return last.patterns_
    if isinstance(last, DynamicConnectome | NonnegativeCP):
        fitted = last.factorization_ if isinstance(last, DynamicConnectome) else last
        factors, background = fitted.cp_.factors, fitted.background_
        if (
            isinstance(last, NonnegativeCP)
            and len(factors) == 3
            and len(factors[1]) == len(factors[2])
        ):  # windows, unit, unit: the outer product of the two, at each pair
            i, j = np.triu_indices(len(factors[1]), k=1)
            components = ((factors[1][i] * factors[2][j] + factors[1][j] * factors[2][i]) / 2).T
            mean = None if background is None else (background[i, j] + background[j, i]) / 2
        else:
            pairs = factors[0] if _pairs_first(last) else factors[1]
            components = pairs.T
            mean = background
            if background is not None and background.ndim == 2:
                # the mean over subjects: that of a new one is not known
                mean = np.nanmean(background, axis=1)
        mean = np.zeros(components.shape[1]) if mean is None else mean
        return Patterns(mean, components, "nonnegative")
    raise DataError(
        "this model has no patterns of connectivity",
        expected="a model that ends in NonnegativeCP or DynamicConnectome",
        found=type(last).__name__,
        field="scoring",
    )


def _pairs_first(last: Any) -> bool:
    """Whether the tensor's modes were pair, subject and time, and not window and pair."""
    return isinstance(last, DynamicConnectome) or len(last.cp_.factors) == 3


def explained_share(fitted: Fitted, rows: Rows) -> float:
    r"""Share of held-out entries that is explained.

    .. math:: 1 - \frac{\sum (v - \hat v)^2}{\sum (v - \bar v)^2}

    over all pairs of all windows, each pair predicted while it was held out; :math:`\bar v` is the
    mean of all entries, so the share that a constant map of means explains counts, too, and is in
    the table as a baseline. NaN where all entries are equal: there is nothing to explain.
    """
    windows, pieces = _windows_of(fitted.model, rows)
    patterns = _patterns_of(fitted.model)
    if windows.shape[1] != len(patterns.mean):
        raise DataError(
            "the held-out windows have other pairs than the fit",
            expected=f"{len(patterns.mean)} pairs",
            found=windows.shape[1],
            field="X",
        )
    # a fixed draw: every model and every fold predicts the same entries from the same ones
    # (both directions of a pair of units are on the same side, or one would tell the other)
    shown = (np.random.default_rng(0).permutation(pieces.max() + 1) % 2 == 0)[pieces]
    predicted = np.where(shown, patterns.predict(windows, ~shown), patterns.predict(windows, shown))
    known = ~np.isnan(windows)
    error = ((windows - predicted)[known] ** 2).sum()
    total = ((windows - windows[known].mean())[known] ** 2).sum()
    return float(1 - error / total) if total > 0 else np.nan
