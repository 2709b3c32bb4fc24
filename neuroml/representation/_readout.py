"""Linear discriminants of many dichotomies at once.

The discriminant between two groups of conditions is Fisher's, :math:`S^{-1} (m_+ - m_-)` with the
covariance S of samples around the mean of their group. It is the noise N around the mean of each
condition, shrunk as Ledoit and Wolf say, which all dichotomies share, and the scatter of a group's
conditions, which has few dimensions: once N is decomposed, a dichotomy costs a system of the size
of the number of conditions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from neuroml.representation._checks import condition_means

__all__ = ["Discriminant", "Noise", "accuracy_of", "fit_discriminant"]

# Of the mean variance, added to S so that units that never vary can be divided by; and the noise
# where there is none, of data whose largest deviation is 1.
_LEAST = 1e-9
# Of the square of the largest deviation, which is 1 (`standardized`): rounding of means.
_NO_NOISE = 1e-24


@dataclass(frozen=True)
class Noise:
    """The covariance of samples around their condition's mean, ready to divide by.

    Attributes
    ----------
    residuals : ndarray of shape (n_samples, n_units)
    share : float
        Of the covariance that is replaced by its mean variance.
    ridge : float
        What is added to its diagonal.
    factor : tuple or None
        Cholesky factor of the covariance, or of the Gram matrix of samples if that is smaller.
    """

    residuals: np.ndarray
    share: float
    ridge: float
    factor: Any

    @classmethod
    def of(cls, residuals: np.ndarray) -> Noise:
        """Shrink and decompose."""
        n, n_units = residuals.shape
        lengths = np.einsum("nu,nu->n", residuals, residuals)
        scale = float(lengths.sum()) / residuals.size
        if scale <= _NO_NOISE:
            return cls(residuals, 1.0, _LEAST, None)
        # the smaller product; both have the same norm, which is all that the share needs of them
        product = residuals.T @ residuals if n_units <= n else residuals @ residuals.T
        share = _shrinkage(product, lengths, n_units)
        ridge = (share + _LEAST) * scale
        if share >= 1:
            return cls(residuals, 1.0, ridge, None)
        product *= (1 - share) / n if n_units <= n else 1.0
        product.flat[:: len(product) + 1] += ridge if n_units <= n else ridge * n / (1 - share)
        return cls(residuals, share, ridge, cho_factor(product, overwrite_a=True))

    def divide(self, means: np.ndarray) -> np.ndarray:
        """S^-1 applied to rows (n_rows, n_units)."""
        if self.factor is None:  # all directions alike
            return means / self.ridge
        if self.residuals.shape[1] <= len(self.residuals):
            return cho_solve(self.factor, means.T).T
        # (a N^T N + r I)^-1 = (I - N^T (N N^T + r/a I)^-1 N) / r
        inner = cho_solve(self.factor, self.residuals @ means.T)
        return (means - inner.T @ self.residuals) / self.ridge


@dataclass(frozen=True)
class Discriminant:
    """Condition means (n_conditions, n_units), and the same divided by the noise's covariance."""

    means: np.ndarray
    divided: np.ndarray

    def project(
        self, sides: np.ndarray, kept: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Weights (n_units, n_dichotomies) and thresholds (n_dichotomies,).

        Parameters
        ----------
        sides : ndarray of bool of shape (n_dichotomies, n_conditions)
        kept : ndarray of bool of shape (n_conditions,), optional
            Conditions that the discriminants may use.
        """
        plus, minus = sides.astype(float), (~sides).astype(float)
        if kept is not None:
            plus, minus = plus * kept, minus * kept
        # D takes the mean of each side off what is given for its conditions: S = N + M^T D M / n,
        # and S^-1 M^T d = N^-1 M^T a with (I + D M N^-1 M^T / n) a = d, as both sides times S agree
        products = self.means @ self.divided.T
        n_kept = (plus + minus).sum(axis=1)[:, None, None]
        inner = (plus + minus)[:, :, None] * products
        for side in (plus, minus):
            own = side.copy()
            side /= side.sum(axis=1, keepdims=True)
            inner -= own[:, :, None] * (side @ products)[:, None, :]
        inner /= n_kept
        inner += np.eye(sides.shape[1])
        weighed = np.linalg.solve(inner, (plus - minus)[:, :, None])[:, :, 0]
        weights = (weighed @ self.divided).T
        return weights, np.einsum("du,ud->d", (plus + minus) / 2 @ self.means, weights)


def _shrinkage(product: np.ndarray, lengths: np.ndarray, n_units: int) -> float:
    """Share of Ledoit and Wolf (2004), for samples of mean zero.

    `sklearn.covariance.ledoit_wolf_shrinkage` sums the squares of all pairs of units; they are the
    squares of the samples' squared lengths, which costs as much as reading the samples once.

    Parameters
    ----------
    product : ndarray
        X^T X or X X^T.
    lengths : ndarray of shape (n_samples,)
        Squared norms of the samples.
    n_units : int
    """
    n = len(lengths)
    squares = float((product**2).sum()) / n**2
    # how far covariances of single samples are from the mean one, and that from the identity's
    beta = ((lengths**2).sum() / n - squares) / n
    delta = squares - (lengths.sum() / n) ** 2 / n_units
    return float(min(beta, delta) / delta) if min(beta, delta) > 0 else 0.0


def fit_discriminant(X: np.ndarray, codes: np.ndarray, n_conditions: int) -> Discriminant:
    """Means of conditions and noise of samples; conditions without samples have a mean of zero."""
    present, place = np.unique(codes, return_inverse=True)
    means = np.zeros((n_conditions, X.shape[1]))
    means[present] = condition_means(X, place.ravel())
    return Discriminant(means, Noise.of(X - means[codes]).divide(means))


def accuracy_of(
    X: np.ndarray, codes: np.ndarray, sides: np.ndarray, weights: np.ndarray, cut: np.ndarray
) -> np.ndarray:
    """Share of samples on their own side (n_dichotomies,), the mean over conditions of each side.

    Guesses are right half of the time: sides count alike, and what lies on the line counts half.
    """
    own = sides[:, codes].T
    right = 0.5 * (1 + np.sign(X @ weights - cut) * np.where(own, 1.0, -1.0))
    counts = np.bincount(codes, minlength=sides.shape[1])
    there = sides[:, counts > 0]
    # each sample's share in the mean over its condition, of the conditions of its side, of both
    share = 0.5 / np.where(own, there.sum(axis=1), (~there).sum(axis=1)) / counts[codes][:, None]
    return (right * share).sum(axis=0)
