"""Sparse binary codes of ordinary features."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.base import (
    ClassNamePrefixFeaturesOutMixin,
)
from sklearn.utils.validation import check_is_fitted

from neuroml._core.estimator import (
    RANDOM_STATE,
    Estimator,
    Interval,
    TableOutputMixin,
    validated_fit,
)
from neuroml._core.frames import Quantity, feature_labels, long_frame
from neuroml._core.parallel import spawn_generators
from neuroml._core.validation import check_table
from neuroml.exceptions import DataError

__all__ = ["KWinnersEncoder"]


class KWinnersEncoder(ClassNamePrefixFeaturesOutMixin, TableOutputMixin, Estimator):
    r"""Random projection onto many cells, of which the few most strongly driven are active.

    The drive of cell j is :math:`w_j \cdot (x - \mu) + b_j r` with standard normal :math:`w_j` and
    :math:`b_j`, the mean :math:`\mu` of the training data and their root mean square distance
    :math:`r` from it. The ``n_active`` most strongly driven cells are active, never more or fewer,
    so similar samples share active cells. Without the term in r, samples in the same direction
    from the mean would all have one code.

    Parameters
    ----------
    n_cells : int, default=4096
    n_active : int, default=80
        Number of active cells per sample.
    random_state : int, RandomState, Generator or None, default=None
        Draws the projection.

    Attributes
    ----------
    projection_ : ndarray of shape (n_features, n_cells)
    offset_ : ndarray of shape (n_cells,)
        The part of the drive that is the same for all samples, :math:`b_j r - w_j \cdot \mu`.
    n_features_in_ : int

    References
    ----------
    S. Dasgupta, C. F. Stevens, S. Navlakha (2017). A neural algorithm for a fundamental computing
    problem. Science 358, 793-796.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.dendrites import KWinnersEncoder
    >>> X = np.random.default_rng(0).normal(size=(10, 3))
    >>> codes = KWinnersEncoder(n_cells=100, n_active=5, random_state=0).fit_transform(X)
    >>> codes.shape, set(codes.sum(axis=1).tolist())
    ((10, 100), {5})
    """

    _parameter_constraints = {
        "n_cells": [Interval(Integral, 1, None, closed="left")],
        "n_active": [Interval(Integral, 1, None, closed="left")],
        "random_state": RANDOM_STATE,
    }

    def __init__(
        self, n_cells: int = 4096, n_active: int = 80, *, random_state: Any = None
    ) -> None:
        self.n_cells = n_cells
        self.n_active = n_active
        self.random_state = random_state

    @validated_fit
    def fit(self, X: ArrayLike | sparse.csr_array, y: Any = None) -> KWinnersEncoder:
        """Center on the training data and draw the projection.

        Parameters
        ----------
        X : array-like or sparse array of shape (n_samples, n_features)
            An array, DataFrame, DataArray, recording or torch tensor; masked entries are NaN.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        DataError
            If there are more winners than cells.
        """
        if self.n_active > self.n_cells:
            raise DataError(
                "more winners than cells",
                expected=f"n_active <= n_cells = {self.n_cells}",
                found=self.n_active,
                field="n_active",
            )
        X = check_table(self, X, accept_sparse="csr", dtype=np.float64)
        rng = spawn_generators(self.random_state, 1)[0]
        # root mean square distance from the mean: r^2 = E|x|^2 - |E x|^2
        mean = np.asarray(X.mean(axis=0)).ravel()
        squares = X.multiply(X).sum() if sparse.issparse(X) else np.vdot(X, X)
        radius = np.sqrt(max(squares / X.shape[0] - mean @ mean, 0.0))
        self.projection_ = rng.standard_normal((self.n_features_in_, self.n_cells))
        self.offset_ = radius * rng.standard_normal(self.n_cells) - mean @ self.projection_
        return self

    def transform(self, X: ArrayLike | sparse.csr_array) -> sparse.csr_array:
        """Return which cells each sample activates.

        Parameters
        ----------
        X : array-like or sparse array of shape (n_samples, n_features)

        Returns
        -------
        csr_array of uint8 of shape (n_samples, n_cells)
            Binary, with exactly ``n_active`` ones in a row.
        """
        check_is_fitted(self)
        X = check_table(self, X, reset=False, accept_sparse="csr", dtype=np.float64)
        drive = X @ self.projection_ + self.offset_
        winners = np.argpartition(drive, -self.n_active, axis=1)[:, -self.n_active :]
        winners = np.sort(winners, axis=1).astype(np.int32)
        starts = np.arange(0, winners.size + 1, self.n_active, dtype=np.int32)
        ones = np.ones(winners.size, dtype=np.uint8)
        return sparse.csr_array((ones, winners.ravel(), starts), shape=drive.shape)

    @property
    def _n_features_out(self) -> int:
        return self.n_cells

    def to_frame(self) -> pd.DataFrame:
        """Return all weights as one tidy table.

        Returns
        -------
        DataFrame
            One value per row: ``quantity`` ("weight" or "offset"), ``feature`` (name or number of
            the column of X; none for offsets), ``cell`` and ``value``.
        """
        check_is_fitted(self)
        cells = range(self.projection_.shape[1])
        return long_frame(
            [
                Quantity(
                    "weight", self.projection_, {"feature": feature_labels(self), "cell": cells}
                ),
                Quantity("offset", self.offset_, {"cell": cells}),
            ]
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = []
        return tags
