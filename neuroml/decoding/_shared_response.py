r"""Fits of shared responses: :math:`X_i \approx S W_i^T` with orthonormal :math:`W_i`.

All products with a subject's voxels go through :math:`X_i X_i^T S`, so that with fewer samples than
voxels a fit never touches the voxels again after one Gram matrix: the best orthonormal basis for a
given S is the polar factor of :math:`C = X_i^T S`, and :math:`X_i W_i = X_i X_i^T S (C^T C)^{-1/2}`
with :math:`C^T C = S^T X_i X_i^T S`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh
from sklearn.utils.extmath import svd_flip

__all__ = [
    "Posterior",
    "RobustState",
    "View",
    "balanced",
    "deterministic_step",
    "first_response",
    "polar_factor",
    "probabilistic_step",
    "resolution",
    "robust_step",
    "shrink",
    "view",
]


def resolution(dtype: np.dtype) -> float:
    """Minimum of the noise as a share of the variance, and loss of the objective to rounding.

    Noise is a difference of sums of squares, with an error of the order of eps, and divides them
    after that: at the root of eps both errors are alike.
    """
    return 3 * float(np.sqrt(np.finfo(dtype).eps))


@dataclass(frozen=True)
class View:
    """One subject's data, as far as the fits need them.

    Attributes
    ----------
    product : callable
        ``product(S)`` is X X^T S.
    seen : ndarray of shape (n_samples, 1)
        1.0 for samples that the subject saw; rows of X that it did not see are zero.
    n_voxels : int
    power : float
        Sum of squares of X.
    gram : ndarray of shape (n_samples, n_samples) or None
        X X^T, where there are no more samples than voxels.
    """

    product: Callable[[np.ndarray], np.ndarray]
    seen: np.ndarray
    n_voxels: int
    power: float
    gram: np.ndarray | None = None


def view(X: np.ndarray, seen: np.ndarray) -> View:
    """The view of centered data (n_samples, n_voxels), zero where not seen."""
    n_samples, n_voxels = X.shape
    if n_samples <= n_voxels:
        gram = X @ X.T
        mask, power = seen[:, None].astype(X.dtype), float(np.trace(gram))
        return View(lambda S: gram @ S, mask, n_voxels, power, gram)
    power = float(np.einsum("ij,ij->", X, X))
    return View(lambda S: X @ (X.T @ S), seen[:, None].astype(X.dtype), n_voxels, power)


def inverse_root(M: np.ndarray) -> np.ndarray:
    """M^(-1/2) of a positive semidefinite matrix, zero in its null space."""
    values, vectors = eigh(M)
    # eigenvalues of M = S^T X X^T S have rounding errors of about 1e-15 of the largest one
    keep = values > max(values[-1], 0.0) * 1e-13
    roots = np.where(keep, 1 / np.sqrt(np.where(keep, values, 1.0)), 0.0)
    return (vectors * roots) @ vectors.T


def aligned(one: View, S: np.ndarray) -> np.ndarray:
    """X W (n_samples, k) for the basis W that is best for a shared response S."""
    product = one.product(S)
    return product @ inverse_root(S.T @ product)


def polar_factor(C: np.ndarray) -> np.ndarray:
    """The matrix with orthonormal columns nearest to C (n_voxels, k), n_voxels >= k."""
    left, _, right = np.linalg.svd(C, full_matrices=False)
    return left @ right


def first_response(
    views: Sequence[View], n_components: int, rng: np.random.Generator, n_iter: int = 20
) -> np.ndarray:
    """The initial response (n_samples, k): leading directions of the subjects' mean Gram matrix."""
    # subspace iteration: each product shrinks other directions by a ratio of eigenvalues; a start
    # does not need more than 20, since the fit goes on from it
    S = rng.standard_normal((len(views[0].seen), n_components)).astype(views[0].seen.dtype)
    mean_product = _mean_product(views)
    for _ in range(n_iter):
        S = np.linalg.qr(mean_product(S))[0]
    # rotated to the principal directions within the subspace, in descending order
    _, vectors = eigh(S.T @ mean_product(S))
    return _mean_over_seen(views, [aligned(one, S @ vectors[:, ::-1]) for one in views])


def _mean_product(views: Sequence[View]) -> Callable[[np.ndarray], np.ndarray]:
    # by their sum of squares, subjects with many voxels or large values count as much as others
    weights = [1 / max(one.power, 1e-30) for one in views]
    grams = [one.gram for one in views if one.gram is not None]
    if len(grams) == len(views):
        pooled = np.sum([w * gram for w, gram in zip(weights, grams, strict=True)], axis=0)
        return lambda S: pooled @ S
    return lambda S: np.sum(
        [w * one.product(S) for w, one in zip(weights, views, strict=True)], axis=0
    )


def _mean_over_seen(views: Sequence[View], parts: Sequence[np.ndarray]) -> np.ndarray:
    counts = np.sum([one.seen for one in views], axis=0)
    return np.sum([a * one.seen for one, a in zip(views, parts, strict=True)], axis=0) / counts


class Posterior(NamedTuple):
    """State of the probabilistic fit.

    Attributes
    ----------
    mean, variance : ndarray of shape (n_samples, k)
        Mean and variance of the shared response given all subjects.
    prior : ndarray of shape (k,)
        Variance of every component.
    noise : ndarray of shape (n_subjects,)
        Variance of every voxel around the shared response.
    """

    mean: np.ndarray
    variance: np.ndarray
    prior: np.ndarray
    noise: np.ndarray


def probabilistic_step(views: Sequence[View], state: Posterior) -> tuple[Posterior, float]:
    r"""One iteration of expectation maximization, and the log-likelihood per observed value.

    The model is :math:`X_i = S W_i^T + \varepsilon_i` with :math:`\varepsilon_i \sim N(0, \rho_i^2
    I)` and rows :math:`s \sim N(0, \mathrm{diag}(\sigma^2))` [1]_. The maximization updates bases,
    noise and prior in this order, each given the ones before.

    References
    ----------
    .. [1] P.-H. Chen et al. (2015). A reduced-dimension fMRI shared response model. Advances in
       Neural Information Processing Systems 28.
    """
    # bases: X_i W_i for the polar factor W_i of X_i^T E[S]
    parts = [aligned(one, state.mean) for one in views]
    # noise: rho_i^2 is the mean over values of |X_i|^2 - 2 <X_i W_i, E[S]> + E|S|^2
    expected = state.mean**2 + state.variance
    noise = np.array(
        [
            one.power - 2 * np.vdot(a, state.mean) + np.vdot(one.seen, expected.sum(axis=1))
            for one, a in zip(views, parts, strict=True)
        ]
    )
    values = np.array([one.n_voxels * one.seen.sum() for one in views])
    minimum = resolution(state.mean.dtype) * sum(one.power for one in views) / values.sum()
    noise = np.maximum(noise / values, minimum)
    # prior: the second moment E[S^T S] / n, rotated to its axes so that it stays diagonal
    moment = state.mean.T @ state.mean + np.diag(state.variance.sum(axis=0))
    prior, axes = eigh(moment / len(state.mean))
    prior, axes = np.maximum(prior[::-1], 0.0), axes[:, ::-1]
    # expectation: with the precision sum_i 1 / rho_i^2 of the subjects that saw a sample, the
    # posterior's variance is 1 / (1 / sigma^2 + precision) and its mean is variance x evidence
    evidence = np.sum([a / v for a, v in zip(parts, noise, strict=True)], axis=0) @ axes
    precision = np.sum([one.seen / v for one, v in zip(views, noise, strict=True)], axis=0)
    variance = prior / (1 + precision * prior)
    mean = evidence * variance
    # log-likelihood, with the determinant and inverse of the marginal covariance in closed form
    powers = np.array([one.power for one in views])
    value = -0.5 * (
        values @ np.log(2 * np.pi * noise)
        + (powers / noise).sum()
        + np.log1p(precision * prior).sum()
        - np.vdot(mean, evidence)
    )
    return Posterior(mean, variance, prior, noise), float(value / values.sum())


def deterministic_step(views: Sequence[View], S: np.ndarray) -> tuple[np.ndarray, float]:
    """One iteration of least squares, and minus the share of the variance not explained."""
    # the bases that are best for S, then the S that is best for them: the mean over subjects
    parts = [aligned(one, S) for one in views]
    S = _mean_over_seen(views, parts)
    error = sum(
        one.power - 2 * np.vdot(a, S) + np.vdot(one.seen * S, S)
        for one, a in zip(views, parts, strict=True)
    )
    return S, float(-error / sum(one.power for one in views))


class RobustState(NamedTuple):
    """Shared response (n_samples, k) and each subject's individual part, shaped like its data."""

    mean: np.ndarray
    own: list[np.ndarray]


def robust_step(
    data: Sequence[np.ndarray], seen: Sequence[np.ndarray], state: RobustState, gamma: float
) -> tuple[RobustState, float]:
    r"""One iteration of block descent on a sum over subjects, returned negative and per value.

    The sum is over :math:`\frac12 \|X_i - S W_i^T - E_i\|^2 + \gamma \|E_i\|_1` [1]_.

    References
    ----------
    .. [1] J. S. Turek et al. (2018). Capturing shared and individual information in fMRI data.
       ICASSP 2018.
    """
    # bases W_i: polar factors of (X_i - E_i)^T S
    rests = [X - E for X, E in zip(data, state.own, strict=True)]
    crosses = [rest.T @ state.mean for rest in rests]
    # whole bases, even where a subject lacks directions: S is the best one for orthonormal columns
    bases = [polar_factor(C) for C in crosses]
    # S: the mean over the subjects that saw a sample
    counts = np.sum(seen, axis=0)
    S = np.sum([rest @ W for rest, W in zip(rests, bases, strict=True)], axis=0) / counts
    # E_i: the residual, soft-thresholded
    own, loss = [], 0.0
    for X, W, rows in zip(data, bases, seen, strict=True):
        left = X - rows * (S @ W.T)
        E = shrink(left, gamma)
        own.append(E)
        loss += 0.5 * np.sum((left - E) ** 2) + gamma * np.abs(E).sum()
    return RobustState(S, own), float(-loss / sum(X.size for X in data))


def shrink(X: np.ndarray, threshold: float) -> np.ndarray:
    """Soft threshold: towards zero by ``threshold``, entry by entry."""
    return np.sign(X) * np.maximum(np.abs(X) - threshold, 0.0)


def balanced(S: np.ndarray) -> np.ndarray:
    r"""A response (n_samples, k) turned to axes along which it has the same variance.

    Noise :math:`\rho_i^2 I` is alike along all axes of an orthonormal basis, so that with
    :math:`\mathrm{diag}(R^T \Lambda R) = \mathrm{tr}(\Lambda) / k` every axis has the same ratio
    of signal to noise. Standardizing them is then one factor for all; along principal axes it
    would raise the weakest components, which are mostly noise, to the size of the strongest.

    The axes start from the principal ones, with signs that the response decides: they do not
    depend on where a fit started. Each of k - 1 plane rotations gives one axis its variance [1]_.
    Axes are then turned round one after the other, so that the sum over components varies little:
    a correlation over components takes their mean off.

    References
    ----------
    .. [1] P. I. Davies and N. J. Higham (2000). Numerically stable generation of correlation
       matrices and their factors. BIT 40(4).
    """
    left, values, right = np.linalg.svd(S, full_matrices=False)
    right = svd_flip(left, right)[1]
    moment = np.diag(values.astype(np.float64) ** 2)
    axes, goal = right.T.astype(np.float64), np.trace(moment) / len(moment)
    for _ in range(len(moment) - 1):
        power = np.diag(moment)
        pair = [int(power.argmax()), int(power.argmin())]
        above, below = power[pair] - goal
        if above <= 1e-12 * goal:
            break
        # the smaller tangent with c^2 a + 2 c s m + s^2 b = goal: a real one exists, as the goal
        # lies between the variances a and b
        cross = moment[pair[0], pair[1]]
        root = np.sqrt(cross**2 - above * below)
        tangent = -above / (cross + root if cross >= 0 else cross - root)
        cosine = 1 / np.hypot(1, tangent)
        turn = cosine * np.array([[1, -tangent], [tangent, 1]])
        moment[:, pair] = moment[:, pair] @ turn
        moment[pair] = turn.T @ moment[pair]
        axes[:, pair] = axes[:, pair] @ turn
    signs = np.ones(len(moment))
    for j in range(1, len(moment)):
        signs[j] = -1.0 if moment[j, :j] @ signs[:j] > 0 else 1.0
    return S @ (axes * signs).astype(S.dtype)
