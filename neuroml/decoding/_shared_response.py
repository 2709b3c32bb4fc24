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

__all__ = [
    "Posterior",
    "RobustState",
    "View",
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
    """Least noise as a share of the variance, and what the objective may lose to rounding.

    Noise is a difference of sums of squares, with an error of the order of eps, and divides them
    after that: at the root of eps both errors are alike.
    """
    return 3 * float(np.sqrt(np.finfo(dtype).eps))


@dataclass(frozen=True)
class View:
    """What the fits need of one subject.

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
    views: Sequence[View], n_components: int, rng: np.random.Generator, n_rounds: int = 20
) -> np.ndarray:
    """Where fits start (n_samples, k): the main directions of the subjects' mean Gram matrix."""
    S = rng.standard_normal((len(views[0].seen), n_components)).astype(views[0].seen.dtype)
    mean_product = _mean_product(views)
    for _ in range(n_rounds):
        S = np.linalg.qr(mean_product(S))[0]
    _, vectors = eigh(S.T @ mean_product(S))
    return _mean_over_seen(views, [aligned(one, S @ vectors[:, ::-1]) for one in views])


def _mean_product(views: Sequence[View]) -> Callable[[np.ndarray], np.ndarray]:
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
        Of the shared response given all subjects.
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
    """One round of expectation maximization, and the log-likelihood per observed value.

    The maximization updates bases, noise and prior in this order, each given the ones before; the
    prior stays diagonal because the components are rotated to its axes.
    """
    parts = [aligned(one, state.mean) for one in views]
    expected = state.mean**2 + state.variance
    noise = np.array(
        [
            one.power - 2 * np.vdot(a, state.mean) + np.vdot(one.seen, expected.sum(axis=1))
            for one, a in zip(views, parts, strict=True)
        ]
    )
    values = np.array([one.n_voxels * one.seen.sum() for one in views])
    least = resolution(state.mean.dtype) * sum(one.power for one in views) / values.sum()
    noise = np.maximum(noise / values, least)
    moment = state.mean.T @ state.mean + np.diag(state.variance.sum(axis=0))
    prior, axes = eigh(moment / len(state.mean))
    prior, axes = np.maximum(prior[::-1], 0.0), axes[:, ::-1]
    evidence = np.sum([a / v for a, v in zip(parts, noise, strict=True)], axis=0) @ axes
    precision = np.sum([one.seen / v for one, v in zip(views, noise, strict=True)], axis=0)
    variance = prior / (1 + precision * prior)
    mean = evidence * variance
    powers = np.array([one.power for one in views])
    value = -0.5 * (
        values @ np.log(2 * np.pi * noise)
        + (powers / noise).sum()
        + np.log1p(precision * prior).sum()
        - np.vdot(mean, evidence)
    )
    return Posterior(mean, variance, prior, noise), float(value / values.sum())


def deterministic_step(views: Sequence[View], S: np.ndarray) -> tuple[np.ndarray, float]:
    """One round of least squares, and minus the share of the variance that is not explained."""
    parts = [aligned(one, S) for one in views]
    S = _mean_over_seen(views, parts)
    error = sum(
        one.power - 2 * np.vdot(a, S) + np.vdot(one.seen * S, S)
        for one, a in zip(views, parts, strict=True)
    )
    return S, float(-error / sum(one.power for one in views))


class RobustState(NamedTuple):
    """Shared response (n_samples, k) and what each subject has alone, like its data."""

    mean: np.ndarray
    own: list[np.ndarray]


def robust_step(
    data: Sequence[np.ndarray], seen: Sequence[np.ndarray], state: RobustState, gamma: float
) -> tuple[RobustState, float]:
    r"""One round of block descent on a sum over subjects, returned negative and per value.

    :math:`\frac12 \|X_i - S W_i^T - E_i\|^2 + \gamma \|E_i\|_1`.
    """
    rests = [X - E for X, E in zip(data, state.own, strict=True)]
    crosses = [rest.T @ state.mean for rest in rests]
    # whole bases, even where a subject lacks directions: S is the best one for orthonormal columns
    bases = [polar_factor(C) for C in crosses]
    counts = np.sum(seen, axis=0)
    S = np.sum([rest @ W for rest, W in zip(rests, bases, strict=True)], axis=0) / counts
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
