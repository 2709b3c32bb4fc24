"""Linear discriminants of many dichotomies at once.

The discriminant between two groups of conditions is Fisher's, :math:`S^{-1} (m_+ - m_-)` with the
covariance S of samples around the mean of their group. Up to its length it is also
:math:`T^{-1} (m_+ - m_-)` with the covariance T around the mean of all, since T and S differ by a
multiple of :math:`(m_+ - m_-)(m_+ - m_-)^T`. T is the noise N around the mean of each condition,
shrunk as Ledoit and Wolf say, and the scatter of conditions; no dichotomy changes either. So N is
decomposed once, then one system of the size of the number of conditions is solved for all
dichotomies, and samples are known by their products with the conditions' means,
:math:`x^T N^{-1} m_c`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from neuroml.representation.dissimilarity import part_means

__all__ = ["Noise", "accuracy_of", "discriminants"]

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


def discriminants(
    products: np.ndarray, sides: np.ndarray, kept: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Discriminants as combinations of conditions' means, and their thresholds.

    Parameters
    ----------
    products : ndarray of shape (..., n_conditions, n_conditions)
        M N^-1 M^T of the conditions' means M and the noise's covariance N.
    sides : ndarray of bool of shape (n_dichotomies, n_conditions)
    kept : ndarray of bool of shape (n_conditions,), optional
        Conditions that the discriminants may use.

    Returns
    -------
    weights : ndarray of shape (..., n_conditions, n_dichotomies)
        W, for the directions N^-1 M^T W.
    cuts : ndarray of shape (..., 1, n_dichotomies)
        Halfway between the two sides.
    """
    n_conditions = sides.shape[1]
    used = np.ones(n_conditions) if kept is None else kept.astype(float)
    n_kept = used.sum()
    # C takes the mean over the kept conditions off: T = N + M^T C M / n
    center = np.diag(used) - np.outer(used, used / n_kept)
    targets = center @ np.where(sides, 1.0, -1.0).T
    # T^-1 M^T C s = N^-1 M^T z with (I + C M N^-1 M^T C / n) z = C s
    system = np.eye(n_conditions) + center @ products @ center / n_kept
    found = np.linalg.solve(system, np.broadcast_to(targets, (*system.shape[:-2], *targets.shape)))
    # times 2 / s^T z, the length that Fisher's direction with S has
    found *= 2 / (targets * found).sum(axis=-2, keepdims=True)
    plus, minus = (side * used for side in (sides, ~sides))
    middles = plus / plus.sum(axis=1, keepdims=True) + minus / minus.sum(axis=1, keepdims=True)
    return found, ((products @ middles.T) * found).sum(axis=-2, keepdims=True) / 2


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


def accuracy_of(
    scores: np.ndarray, codes: np.ndarray, sides: np.ndarray, parts: np.ndarray
) -> np.ndarray:
    """Share of samples on their own side (n_dichotomies,), the mean over conditions of each side.

    Guesses are right half of the time: sides count alike, and what lies on the line counts half.

    Parameters
    ----------
    scores : ndarray of shape (n_samples, n_dichotomies)
        Positive on the side of conditions that are True.
    codes : ndarray of int of shape (n_samples,)
    sides : ndarray of bool of shape (n_dichotomies, n_conditions)
    parts : ndarray of int of shape (n_samples,)
        They count alike, and have samples of each condition.
    """
    balance = part_means(np.sign(scores), codes, parts)[0].mean(axis=0).T
    plus, minus = (side / side.sum(axis=1, keepdims=True) for side in (sides, ~sides))
    return 0.5 + ((plus - minus) * balance).sum(axis=1) / 4
