"""Ridge regression for many penalties at once, with exact predictions of left-out samples."""

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


# A penalty at the end of the default grid goes on for three decades, six penalties, at most twice:
# a billion times the mean eigenvalue leaves the mean, and a billionth plain least squares.
_EXTENSION, _MAX_EXTENSIONS = 6, 2
# Numbers in the matrices of folds that are solved together: two megabytes, which caches hold. With
# more, a solve costs far more than its call, and copies of all folds would take memory.
_MOST_TOGETHER = 2**18


@dataclass(frozen=True)
class RidgeFit:
    """The ridge regression with the smallest error of left-out samples.

    Attributes
    ----------
    weights : ndarray of shape (n_features, n_targets)
        For centered features.
    alpha : float
        The chosen penalty.
    alphas : ndarray of shape (n_alphas,)
        The penalties that were tried, in ascending order unless they were given.
    errors : ndarray of shape (n_alphas,)
        Mean squared error of every penalty, of left-out samples.
    left_out : ndarray of shape (n_samples, n_targets)
        Prediction for every sample from the samples of other folds, the mean of the targets
        included.
    """

    weights: np.ndarray
    alpha: float
    alphas: np.ndarray
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
    folds : tuple of ndarray of int
        Rows that are left out together; empty where each is left out alone.
    """

    X: np.ndarray
    left: np.ndarray
    values: np.ndarray
    folds: tuple[np.ndarray, ...] = ()

    def default_alphas(self) -> np.ndarray:
        """Twenty penalties, from a thousandth to a thousand times the mean eigenvalue."""
        # sum(s^2) / n is the trace of the covariance: with standardized features their number, and
        # so a penalty that halves the weights along an average direction lies inside the range
        return np.geomspace(1e-3, 1e3, 20) * max(self.values.sum() / len(self.X), 1e-12)

    def solve(
        self, Y: np.ndarray, alphas: np.ndarray | None = None, odds: np.ndarray | float = 1.0
    ) -> RidgeFit:
        r"""Choose the penalty by the error of left-out samples, the same for all targets.

        With the intercept fitted anew without them, samples B that are left out together miss by
        :math:`(I - H_{BB})^{-1} (Y_B - \hat Y_B)`, where :math:`H = 1/n + U \,\mathrm{diag}(s^2 /
        (s^2 + \alpha)) U^T`; one by itself misses by :math:`(y_i - \hat y_i) / (1 - h_{ii})` [1]_.

        Parameters
        ----------
        Y : ndarray of shape (n_samples, n_targets)
        alphas : ndarray of shape (n_alphas,), optional
            None: `default_alphas`, and more beyond an end at which the best one lies.
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
        path = _Path(self, Y, np.atleast_1d(odds))
        grid = self.default_alphas() if alphas is None else alphas
        errors = np.array([path.consider(float(alpha)) for alpha in grid])
        for _ in range(_MAX_EXTENSIONS if alphas is None else 0):
            at = int(np.searchsorted(grid, path.alpha))
            if 0 < at < len(grid) - 1:
                break
            more = grid[at] * np.geomspace(1e-3, 1, _EXTENSION, endpoint=False)
            more = more if at == 0 else grid[at] ** 2 / more[::-1]
            found = np.array([path.consider(float(alpha)) for alpha in more])
            grid = np.sort(np.r_[grid, more])
            errors = np.r_[found, errors] if at == 0 else np.r_[errors, found]
        if not np.isfinite(path.error):
            raise DataError(
                "no penalty has a finite error of left-out samples",
                expected="values whose squares are finite",
                found=f"targets up to {np.abs(Y).max():.3g}, features up to "
                f"{np.abs(self.X).max():.3g}",
                fix="Rescale the data.",
            )
        # W = X^T (X X^T + alpha)^-1 Y = X^T U (s^2 + alpha)^-1 U^T Y
        penalties = path.alpha * np.atleast_1d(odds)
        dual = self.left @ (path.projected / (self.values[:, None] + penalties))
        weights = self.X.T @ dual
        return RidgeFit(weights, path.alpha, np.asarray(grid), errors, Y - path.missed)


class _Path:
    """One regression as its penalty changes: the best one so far, and what left-out samples miss.

    Attributes
    ----------
    projected : ndarray of shape (m, n_targets)
        The centered targets along the left singular vectors.
    alpha, error : float
    missed : ndarray of shape (n_samples, n_targets)
    """

    def __init__(self, spectrum: Spectrum, Y: np.ndarray, odds: np.ndarray) -> None:
        self.spectrum, self.odds = spectrum, odds
        self.centered = Y - Y.mean(axis=0)
        self.projected = spectrum.left.T @ self.centered  # U^T Y
        self.alpha, self.error, self.missed = 1.0, np.inf, self.centered
        # H_BB = A diag(shrinkage, 1) A^T with A = (U_B, 1/sqrt(n)); A^T A serves all penalties
        ones = np.full((len(Y), 1), len(Y) ** -0.5, dtype=spectrum.left.dtype)
        with_mean = np.hstack([spectrum.left, ones]) if spectrum.folds else spectrum.left
        # small folds of one size are solved together, where a solve costs little but its call
        sizes = np.array([len(rows) for rows in spectrum.folds])
        self.rows: list[np.ndarray] = []
        for size in np.unique(sizes):
            alike = np.stack([spectrum.folds[k] for k in np.flatnonzero(sizes == size)])
            step = max(1, _MOST_TOGETHER // (size * with_mean.shape[1]))
            self.rows += [alike[k : k + step] for k in range(0, len(alike), step)]
        self.blocks = [with_mean[rows] for rows in self.rows]
        self.grams = [
            A.swapaxes(1, 2) @ A if A.shape[1] > A.shape[2] else None for A in self.blocks
        ]

    def consider(self, alpha: float) -> float:
        """The mean squared error of left-out samples with a penalty, which is kept if best."""
        values, left = self.spectrum.values[:, None], self.spectrum.left
        shrinkage = values / (values + alpha * self.odds)
        residual = self.centered - left @ (shrinkage * self.projected)
        if not self.spectrum.folds:
            kept = 1 - 1 / len(residual) - left**2 @ shrinkage  # 1 - h_ii
            # a sample that its own prediction follows exactly has kept = 0 up to rounding
            missed = residual / np.maximum(kept, 1e-10)
        else:
            missed = np.empty_like(residual)
            for rows, A, gram in zip(self.rows, self.blocks, self.grams, strict=True):
                missed[rows] = self._without(shrinkage, residual[rows], A, gram)
        error = float(np.mean(missed**2))
        if error < self.error:
            self.alpha, self.error, self.missed = alpha, error, missed
        return error

    @staticmethod
    def _without(
        shrinkage: np.ndarray, residual: np.ndarray, A: np.ndarray, gram: np.ndarray | None
    ) -> np.ndarray:
        """(I - H_BB)^-1 times the residuals of folds of one size, by the smaller of two systems.

        ``A`` (n_folds, n_rows, m + 1), ``gram`` (n_folds, m + 1, m + 1), ``residual`` (n_folds,
        n_rows, n_targets).
        """
        missed = np.empty_like(residual)
        # all targets at once where they share the penalty
        shared = shrinkage.shape[1] == 1
        for k in range(shrinkage.shape[1]):
            own = slice(None) if shared else slice(k, k + 1)
            roots = np.sqrt(np.append(shrinkage[:, k], 1.0).astype(A.dtype))
            left = residual[..., own]
            if gram is None:
                W = A * roots
                missed[..., own] = _solve_near_identity(W @ W.swapaxes(1, 2), left)
                continue
            # (I - W W^T)^-1 = I + W (I - W^T W)^-1 W^T
            right = roots[:, None] * (A.swapaxes(1, 2) @ left)
            inner = _solve_near_identity(roots[:, None] * gram * roots, right)
            missed[..., own] = left + A @ (roots[:, None] * inner)
        return missed


def _solve_near_identity(H: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(I - H)^-1 right; what H follows exactly is singular up to rounding, and stays finite."""
    return np.linalg.solve((1 + 1e-12) * np.eye(H.shape[-1], dtype=H.dtype) - H, right)


def decompose(X: np.ndarray, folds: np.ndarray | None = None) -> Spectrum:
    """Decompose centered features (n_samples, n_features) by their smaller Gram matrix.

    ``folds`` (n_samples,) says which samples are left out together; None leaves out one at a time.
    """
    groups: tuple[np.ndarray, ...] = ()
    if folds is not None and np.bincount(folds).max() > 1:
        groups = tuple(np.flatnonzero(folds == k) for k in np.unique(folds))
    n_samples, n_features = X.shape
    if n_samples <= n_features:
        # X X^T = U s^2 U^T gives the left vectors directly
        values, left = eigh(X @ X.T)
        return Spectrum(X, left, np.maximum(values, 0.0), groups)
    # X^T X = V s^2 V^T, then U = X V / s
    values, right = eigh(X.T @ X)
    values = np.maximum(values, 0.0)
    # squared singular values below 1e-14 of the largest are rounding: their vectors would be noise
    scale = np.sqrt(np.where(values > values[-1] * 1e-14, values, np.inf))
    return Spectrum(X, X @ (right / scale), values, groups)


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
    def of(
        cls, X: np.ndarray, folds: np.ndarray | None = None, *, standardize: bool = True
    ) -> Voxels:
        """Center (n_samples, n_voxels), divide by standard deviations if asked, and decompose.

        ``folds`` (n_samples,) as in `decompose`.
        """
        mean, scale = voxel_scaling(X)
        scale = scale if standardize else np.ones_like(scale)
        return cls(decompose((X - mean) / scale, folds), mean, scale)

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


def check_penalties(alphas: ArrayLike | None) -> np.ndarray | None:
    """Penalties (n_alphas,), refused unless all are positive; None stays."""
    if alphas is None:
        return None
    values = np.atleast_1d(np.asarray(alphas, dtype=float))
    if not (np.isfinite(values) & (values > 0)).all() or values.ndim > 1 or not values.size:
        raise DataError(
            "penalties must be positive", expected="alphas > 0", found=values, field="alphas"
        )
    return values


def stacking_weights(
    predictions: Sequence[np.ndarray], targets: np.ndarray, prior: np.ndarray | None = None
) -> np.ndarray:
    r"""Weigh several decoders' predictions of left-out samples by least squares, not below 0 [1]_.

    With a prior :math:`w_0`, the weights minimize :math:`\|t - P w\|^2 + \sigma^2 \|w - w_0\|^2`
    with the mean squared error :math:`\sigma^2` of the prior's own prediction: a Gaussian of unit
    variance around it, which few samples do not outweigh.

    Parameters
    ----------
    predictions : sequence of ndarray of shape (n_samples, n_targets)
        Centered; of samples that the decoders were not fitted to.
    targets : ndarray of shape (n_samples, n_targets)
        Centered like the predictions.
    prior : ndarray of shape (n_decoders,), optional

    Returns
    -------
    ndarray of shape (n_decoders,)

    References
    ----------
    .. [1] L. Breiman (1996). Stacked regressions. Machine Learning 24.
    """
    design = np.column_stack([one.ravel() for one in predictions])
    wanted = targets.ravel()
    if prior is not None:
        scale = float(np.sqrt(np.mean((wanted - design @ prior) ** 2)))
        design = np.vstack([design, scale * np.eye(len(prior))])
        wanted = np.r_[wanted, scale * prior]
    return nnls(design, wanted)[0]
