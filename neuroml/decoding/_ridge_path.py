"""Ridge regression for many penalties at once, with exact leave-one-out predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import eigh
from scipy.optimize import nnls

from neuroml.decoding._subjects import voxel_scaling
from neuroml.exceptions import DataError

__all__ = [
    "RidgeFit",
    "Spectrum",
    "Voxels",
    "check_penalties",
    "decompose",
    "stacking_weights",
]


@dataclass(frozen=True)
class RidgeFit:
    """The ridge regression with the smallest leave-one-out error.

    Attributes
    ----------
    weights : ndarray of shape (n_features, n_targets)
        For centered features.
    alpha : float
        The chosen penalty.
    errors : ndarray of shape (n_alphas,)
        Mean squared leave-one-out error of every penalty.
    left_out : ndarray of shape (n_samples, n_targets)
        Prediction for every sample from all others, the mean of the targets included.
    """

    weights: np.ndarray
    alpha: float
    errors: np.ndarray
    left_out: np.ndarray


@dataclass(frozen=True)
class Spectrum:
    """Singular values and left vectors of centered features: decomposed once, solved often.

    Attributes
    ----------
    X : ndarray of shape (n_samples, n_features)
        Centered.
    left : ndarray of shape (n_samples, m), m = min(n_samples, n_features)
    values : ndarray of shape (m,)
        Squared singular values.
    """

    X: np.ndarray
    left: np.ndarray
    values: np.ndarray

    def default_alphas(self) -> np.ndarray:
        """Twenty penalties, from a thousandth to a thousand times the mean eigenvalue."""
        # sum(s^2) / n is the trace of the covariance: with standardized features their number, and
        # so a penalty that halves the weights along an average direction lies inside the range
        return np.geomspace(1e-3, 1e3, 20) * max(self.values.sum() / len(self.X), 1e-12)

    def solve(self, Y: np.ndarray, alphas: np.ndarray, odds: np.ndarray | float = 1.0) -> RidgeFit:
        r"""Choose the penalty by leave-one-out error, the same for all targets.

        The leave-one-out error of sample i, with the intercept fitted anew without it, is
        :math:`(y_i - \hat y_i) / (1 - h_{ii})` with :math:`h_{ii} = 1/n + \sum_k u_{ik}^2
        s_k^2 / (s_k^2 + \alpha)` [1]_.

        Parameters
        ----------
        Y : ndarray of shape (n_samples, n_targets)
        alphas : ndarray of shape (n_alphas,)
        odds : ndarray of shape (n_targets,) or float, default=1.0
            Factors on the penalty, one for each target.

        Returns
        -------
        RidgeFit

        References
        ----------
        .. [1] T. Hastie, R. Tibshirani, J. Friedman (2009). The Elements of Statistical Learning,
           section 7.10.1.
        """
        centered = Y - Y.mean(axis=0)
        projected = self.left.T @ centered  # U^T Y
        values, squares = self.values[:, None], self.left**2
        best = np.inf
        errors = np.empty(len(alphas))
        for i, alpha in enumerate(alphas):
            # the hat matrix is 1/n + U diag(shrinkage) U^T
            shrinkage = values / (values + alpha * np.atleast_1d(odds))
            kept = 1 - 1 / len(Y) - squares @ shrinkage  # 1 - h_ii
            # a sample that its own prediction follows exactly has kept = 0 up to rounding
            missed = (centered - self.left @ (shrinkage * projected)) / np.maximum(kept, 1e-10)
            errors[i] = np.mean(missed**2)
            if errors[i] < best:
                best, chosen, residual = errors[i], float(alpha), missed
        if not np.isfinite(best):
            raise DataError(
                "no penalty has a finite leave-one-out error",
                expected="values whose squares are finite",
                found=f"targets up to {np.abs(Y).max():.3g}, features up to "
                f"{np.abs(self.X).max():.3g}",
                fix="Rescale the data.",
            )
        # W = X^T (X X^T + alpha)^-1 Y = X^T U (s^2 + alpha)^-1 U^T Y
        dual = self.left @ (projected / (values + chosen * np.atleast_1d(odds)))
        return RidgeFit(self.X.T @ dual, chosen, errors, Y - residual)


def decompose(X: np.ndarray) -> Spectrum:
    """Decompose centered features (n_samples, n_features) by their smaller Gram matrix."""
    n_samples, n_features = X.shape
    if n_samples <= n_features:
        # X X^T = U s^2 U^T gives the left vectors directly
        values, left = eigh(X @ X.T)
        return Spectrum(X, left, np.maximum(values, 0.0))
    # X^T X = V s^2 V^T, then U = X V / s
    values, right = eigh(X.T @ X)
    values = np.maximum(values, 0.0)
    # squared singular values below 1e-14 of the largest are rounding: their vectors would be noise
    scale = np.sqrt(np.where(values > values[-1] * 1e-14, values, np.inf))
    return Spectrum(X, X @ (right / scale), values)


@dataclass(frozen=True)
class Voxels:
    """Standardized voxels, decomposed, and what standardized them.

    Attributes
    ----------
    spectrum : Spectrum
    mean, scale : ndarray of shape (n_voxels,)
    """

    spectrum: Spectrum
    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, X: np.ndarray, *, standardize: bool = True) -> Voxels:
        """Center (n_samples, n_voxels), divide by standard deviations if asked, and decompose."""
        mean, scale = voxel_scaling(X)
        scale = scale if standardize else np.ones_like(scale)
        return cls(decompose((X - mean) / scale), mean, scale)

    def affine(self, weights: np.ndarray, center: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients (n_voxels, n_targets) and intercept for voxels in their own units.

        Parameters
        ----------
        weights : ndarray of shape (n_voxels, n_targets)
            For standardized voxels.
        center : ndarray of shape (n_targets,)
            The prediction for the mean of the voxels.
        """
        coef = weights / self.scale[:, None]
        return coef, center - self.mean @ coef


def check_penalties(alphas: ArrayLike) -> np.ndarray:
    """Penalties (n_alphas,), refused unless all are positive."""
    values = np.atleast_1d(np.asarray(alphas, dtype=float))
    if not (np.isfinite(values) & (values > 0)).all() or values.ndim > 1 or not values.size:
        raise DataError(
            "penalties must be positive", expected="alphas > 0", found=values, field="alphas"
        )
    return values


def stacking_weights(predictions: Sequence[np.ndarray], targets: np.ndarray) -> np.ndarray:
    """Non-negative least-squares weights of several decoders' leave-one-out predictions [1]_.

    Parameters
    ----------
    predictions : sequence of ndarray of shape (n_samples, n_targets)
        Centered; of samples that the decoders were not fitted to.
    targets : ndarray of shape (n_samples, n_targets)
        Centered like the predictions.

    Returns
    -------
    ndarray of shape (n_decoders,)

    References
    ----------
    .. [1] L. Breiman (1996). Stacked regressions. Machine Learning 24.
    """
    design = np.column_stack([one.ravel() for one in predictions])
    return nnls(design, targets.ravel())[0]
