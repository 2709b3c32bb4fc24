"""Connectivity in sliding windows."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.covariance import EmpiricalCovariance, LedoitWolf
from sklearn.utils.validation import check_is_fitted

from neuroml._core.estimator import (
    Estimator,
    Interval,
    StrOptions,
    TableOutputMixin,
    check_input_names,
    validated_fit,
)
from neuroml._core.samples import check_samples
from neuroml.connectome._windows import taper_weights, window_bounds, windowed_connectivity

__all__ = ["SlidingWindowConnectivity"]

_COVARIANCES = {"empirical": EmpiricalCovariance, "ledoit-wolf": LedoitWolf}


class SlidingWindowConnectivity(TableOutputMixin, Estimator):
    """Correlation or partial correlation between units in windows that slide over time.

    Windows never cross the border of a session. Neighboring windows share samples, so their
    values are not independent: judge fluctuations against surrogate data, not by eye.

    Parameters
    ----------
    window : int, default=30
        Length in samples.
    stride : int, default=1
        Number of samples from one window to the next.
    kind : {"correlation", "partial correlation"}, default="correlation"
    covariance : {"ledoit-wolf", "empirical"}, default="ledoit-wolf"
        Estimator inside a window. The empirical one has no inverse, so no partial correlation,
        where a window has fewer samples than units.
    taper : {"boxcar", "gaussian", "hamming", "hann"}, default="boxcar"
        Weights over the samples of a window; "gaussian" has a standard deviation of window / 6.
    negative : {"keep", "zero", "absolute"}, default="keep"
        Whether negative connectivity stays, is set to zero or to its absolute value; non-negative
        factorizations need one of the last two.
    edges : {"drop", "shrink"}, default="drop"
        "drop" keeps whole windows only. "shrink" centers a window on every ``stride``-th sample and
        cuts it at the edges of a session; with ``stride=1`` there is one row per sample, so that
        the output lines up with labels of the samples.
    vectorize : bool, default=True
        One column per pair i < j, or whole matrices.
    discard_diagonal : bool, default=False
        Mark the diagonal of whole matrices as missing (NaN), since a unit's correlation with itself
        is no observation.

    Attributes
    ----------
    windows_ : ndarray of int of shape (n_windows, 2)
        First and one-past-last sample of each window of the data seen in fit.
    n_features_in_ : int
        Number of units.

    See Also
    --------
    nilearn.connectome.ConnectivityMeasure : does the estimation inside a window.
    NonnegativeCP : factorizes the resulting tensor.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.connectome import SlidingWindowConnectivity
    >>> X = np.random.default_rng(0).normal(size=(100, 4))
    >>> SlidingWindowConnectivity(window=20, stride=10).fit_transform(X).shape
    (9, 6)
    >>> SlidingWindowConnectivity(window=20, stride=10, vectorize=False).fit_transform(X).shape
    (9, 4, 4)
    """

    _parameter_constraints = {
        "window": [Interval(Integral, 2, None, closed="left")],
        "stride": [Interval(Integral, 1, None, closed="left")],
        "kind": [StrOptions({"correlation", "partial correlation"})],
        "covariance": [StrOptions(set(_COVARIANCES))],
        "taper": [StrOptions({"boxcar", "gaussian", "hamming", "hann"})],
        "negative": [StrOptions({"keep", "zero", "absolute"})],
        "edges": [StrOptions({"drop", "shrink"})],
        "vectorize": ["boolean"],
        "discard_diagonal": ["boolean"],
    }

    def __init__(
        self,
        window: int = 30,
        stride: int = 1,
        *,
        kind: str = "correlation",
        covariance: str = "ledoit-wolf",
        taper: str = "boxcar",
        negative: str = "keep",
        edges: str = "drop",
        vectorize: bool = True,
        discard_diagonal: bool = False,
    ) -> None:
        self.window = window
        self.stride = stride
        self.kind = kind
        self.covariance = covariance
        self.taper = taper
        self.negative = negative
        self.edges = edges
        self.vectorize = vectorize
        self.discard_diagonal = discard_diagonal

    @validated_fit
    def fit(
        self, X: ArrayLike, y: Any = None, *, sessions: ArrayLike | None = None
    ) -> SlidingWindowConnectivity:
        """Check the data and place the windows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_units) or list of such
            An array, DataFrame, DataArray, recording or torch tensor; masked entries are NaN.
            A list has one for each session; a dict one, or a list of sessions, for each subject.
            Time first.
        y : ignored
        sessions : array-like of shape (n_samples,), optional
            Session label of each sample.

        Returns
        -------
        self

        Raises
        ------
        DataError
            If a session is shorter than the window, or sessions are not contiguous.
        """
        given: Any = check_samples(self, X, sessions=sessions, reset=True)
        self.windows_ = window_bounds(given.sessions, self.window, self.stride, self.edges)[:, :2]
        return self

    def transform(self, X: ArrayLike, *, sessions: ArrayLike | None = None) -> np.ndarray:
        """Return the connectivity of each window.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_units) or list of such
        sessions : array-like of shape (n_samples,), optional

        Returns
        -------
        ndarray of shape (n_windows, n_pairs) or (n_windows, n_units, n_units)
            Pairs i < j in row order: (0, 1), (0, 2), ...

        Raises
        ------
        DataError
            As in `fit`, if a unit is constant within a window, and for partial correlation if units
            of a window depend linearly on each other.
        """
        check_is_fitted(self)
        given: Any = check_samples(self, X, sessions=sessions, reset=False)
        bounds = window_bounds(given.sessions, self.window, self.stride, self.edges)
        values = windowed_connectivity(
            given.X,
            bounds,
            taper_weights(self.taper, self.window),
            self.kind,
            _COVARIANCES[self.covariance](assume_centered=True),
        )
        if self.negative == "zero":
            values = np.maximum(values, 0.0)
        elif self.negative == "absolute":
            values = np.abs(values)
        if self.discard_diagonal:
            np.einsum("wii->wi", values)[:] = np.nan
        if self.vectorize:
            first, second = np.triu_indices(self.n_features_in_, k=1)
            values = values[:, first, second]
        return values

    @property
    def _rows_are_samples(self) -> bool:
        """True only with a window around each sample."""
        return self.edges == "shrink" and self.stride == 1

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> np.ndarray:
        """Return the names of the pairs, ``unit_i--unit_j``."""
        check_is_fitted(self)
        names = check_input_names(self, input_features)
        first, second = np.triu_indices(self.n_features_in_, k=1)
        return np.array(
            [f"{names[i]}--{names[j]}" for i, j in zip(first, second, strict=True)], object
        )
