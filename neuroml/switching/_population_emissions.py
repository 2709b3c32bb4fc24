r"""Spike counts of a population given its own history and a hidden state.

In state k, unit i fires :math:`y_{ti} \sim \mathrm{Poisson}(f(\eta_{kit}))` with
:math:`\eta_k = X C_k^\top`, where X holds a column of ones and the history of every unit. Products
run in the precision of X over chunks of bins that fit the cache; sums over chunks are float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

import numpy as np

from neuroml.switching._compiled import compiled
from neuroml.switching._pointwise import _derivatives, _value

__all__ = ["Derivatives", "Design", "ascent", "derivatives", "emissions", "slopes"]

_CHUNK = 2048
_SAMPLED_BINS_PER_FEATURE = 32


class Design(NamedTuple):
    """Data in the layout of the loops.

    Attributes
    ----------
    kind : int
        Of the link, from ``_pointwise.KINDS``.
    counts : ndarray of shape (n_units, n_bins)
    features : ndarray of shape (n_bins, n_features)
        A column of ones, then histories.
    """

    kind: int
    counts: np.ndarray
    features: np.ndarray


class Derivatives(NamedTuple):
    """Of every unit's weighted log-likelihood by its coefficients in one state.

    Attributes
    ----------
    value : ndarray of shape (n_units,)
    gradient : ndarray of shape (n_units, n_features)
    curvature : ndarray of shape (n_units, n_features, n_features)
        Close to minus the second derivative, and positive semi-definite.
    """

    value: np.ndarray
    gradient: np.ndarray
    curvature: np.ndarray


class _Loops(NamedTuple):
    """Compiled for one link."""

    add_values: Callable[..., None]
    add_derivatives: Callable[..., None]


@cache
def _loops(kind: int) -> _Loops:
    @compiled()
    def add_values(
        y: np.ndarray, eta: np.ndarray, weights: np.ndarray, out: np.ndarray, sums: np.ndarray
    ) -> None:
        n_units, n_bins = y.shape
        for k in range(len(out)):
            for m in range(n_units):
                row, total = k * n_units + m, 0.0
                for t in range(n_bins):
                    value = _value(kind, np.float64(y[m, t]), np.float64(eta[row, t]), 0.0)
                    out[k, t] += value
                    total += weights[k, t] * value
                sums[k, m] += total

    @compiled()
    def add_derivatives(
        y: np.ndarray,
        eta: np.ndarray,
        weights: np.ndarray,
        slopes: np.ndarray,
        curvatures: np.ndarray,
        sums: np.ndarray,
    ) -> None:
        n_units, n_bins = y.shape
        for m in range(n_units):
            total = 0.0
            for t in range(n_bins):
                value, slope, curvature = _derivatives(
                    kind, np.float64(y[m, t]), np.float64(eta[m, t]), 0.0
                )
                total += weights[t] * value
                slopes[m, t] = weights[t] * slope
                curvatures[m, t] = weights[t] * max(curvature, 0.0)
            sums[m] += total

    return _Loops(add_values, add_derivatives)


def _chunks(n: int) -> Iterator[slice]:
    for first in range(0, n, _CHUNK):
        yield slice(first, min(first + _CHUNK, n))


def emissions(
    design: Design, coefficients: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Log-likelihoods of all bins in all states, without the constants -log(y!).

    Parameters
    ----------
    design : Design
    coefficients : ndarray of shape (n_states, n_units, n_features)
    weights : ndarray of shape (n_bins, n_states)

    Returns
    -------
    log_emissions : ndarray of shape (n_bins, n_states)
        Summed over units.
    sums : ndarray of shape (n_states, n_units)
        Summed over bins with the weights.
    """
    n_states, n_units, n_features = coefficients.shape
    table = coefficients.reshape(-1, n_features).astype(design.features.dtype)
    log_emissions = np.empty((len(design.features), n_states))
    sums = np.zeros((n_states, n_units))
    add_values = _loops(design.kind).add_values
    for rows in _chunks(len(design.features)):
        eta = table @ design.features[rows].T
        counts = np.ascontiguousarray(design.counts[:, rows])
        out = np.zeros((n_states, counts.shape[1]))
        add_values(counts, eta, np.ascontiguousarray(weights[rows].T), out, sums)
        log_emissions[rows] = out.T
    return log_emissions, sums


def derivatives(design: Design, coefficients: np.ndarray, weights: np.ndarray) -> Derivatives:
    """Value, gradient and curvature in one state; bins of weight zero cost nothing.

    The diagonal of the curvature is summed over all bins, and the correlations beside it over
    evenly spaced ones: that is as good a direction of ascent at a fraction of the products.

    Parameters
    ----------
    design : Design
    coefficients : ndarray of shape (n_units, n_features)
    weights : ndarray of shape (n_bins,)
    """
    table = coefficients.astype(design.features.dtype)
    n_units, n_features = table.shape
    value, gradient = np.zeros(n_units), np.zeros(table.shape)
    diagonal = np.zeros(table.shape)
    owned = np.flatnonzero(weights)
    stride = max(1, len(owned) // (_SAMPLED_BINS_PER_FEATURE * n_features))
    samples = [(design.features[:0].T, np.empty((n_units, 0), table.dtype))]
    for part in _chunks(len(owned)):
        rows = owned[part]
        features = design.features[rows]
        counts = np.ascontiguousarray(design.counts[:, rows])
        eta = table @ features.T
        slopes, curvatures = np.empty_like(eta), np.empty_like(eta)
        _loops(design.kind).add_derivatives(counts, eta, weights[rows], slopes, curvatures, value)
        gradient += slopes @ features
        diagonal += curvatures @ (features * features)
        samples.append((features[::stride].T, curvatures[:, ::stride]))
    sampled, curvatures = (np.concatenate(parts, axis=1) for parts in zip(*samples, strict=True))
    matrices = np.stack([(sampled * bend) @ sampled.T for bend in curvatures]).astype(np.float64)
    return Derivatives(value, gradient, _with_diagonal(matrices, diagonal))


def slopes(
    design: Design, coefficients: np.ndarray, weights: np.ndarray
) -> tuple[float, np.ndarray]:
    """The weighted log-likelihood, and its slope by the histories in every bin.

    Parameters
    ----------
    design, coefficients, weights
        As for `emissions`.

    Returns
    -------
    value : float
    by_feature : ndarray of shape (n_bins, n_features - 1)
    """
    by_feature = np.zeros((len(weights), coefficients.shape[2] - 1), design.features.dtype)
    sums = np.zeros(coefficients.shape[1])
    for own, share in zip(coefficients.astype(design.features.dtype), weights.T, strict=True):
        owned = np.flatnonzero(share)
        for part in _chunks(len(owned)):
            rows = owned[part]
            eta = own @ design.features[rows].T
            by_eta, unused = np.empty_like(eta), np.empty_like(eta)
            counts = np.ascontiguousarray(design.counts[:, rows])
            _loops(design.kind).add_derivatives(counts, eta, share[rows], by_eta, unused, sums)
            by_feature[rows] += by_eta.T @ own[:, 1:]
    return float(sums.sum()), by_feature


def _with_diagonal(matrices: np.ndarray, diagonal: np.ndarray) -> np.ndarray:
    """Matrices with their correlations kept and their diagonal replaced."""
    own = np.einsum("nii->ni", matrices)
    scale = np.sqrt(np.divide(diagonal, own, out=np.zeros_like(own), where=own > 0))
    scaled = matrices * scale[:, :, None] * scale[:, None, :]
    np.einsum("nii->ni", scaled)[:] = diagonal
    return scaled


def ascent(gradient: np.ndarray, curvature: np.ndarray, *, shared_intercept: bool) -> np.ndarray:
    """Newton's direction for every state and unit.

    Parameters
    ----------
    gradient : ndarray of shape (n_states, n_units, n_features)
    curvature : ndarray of shape (n_states, n_units, n_features, n_features)
    shared_intercept : bool
        Whether the first coefficient of a unit is one number for all states. The others are then
        eliminated from its equation (Schur complement).

    Returns
    -------
    ndarray of shape (n_states, n_units, n_features)
    """
    n_features = gradient.shape[-1]
    diagonal = np.einsum("knii->kni", curvature)
    padding = 1e-6 * diagonal + 1e-8 * diagonal.max(axis=-1, keepdims=True) + 1e-12
    padded = curvature + padding[..., None] * np.eye(n_features)
    if not shared_intercept:
        return np.linalg.solve(padded, gradient[..., None])[..., 0]
    slopes, bend = gradient[..., 1:], padded[..., 1:, 0]
    both = np.linalg.solve(padded[..., 1:, 1:], np.stack([slopes, bend], axis=-1))
    free, coupled = both[..., 0], both[..., 1]
    rest = (gradient[..., 0] - (bend * free).sum(axis=-1)).sum(axis=0)
    stiffness = (padded[..., 0, 0] - (bend * coupled).sum(axis=-1)).sum(axis=0)
    step = rest / np.maximum(stiffness, 1e-12)
    direction = np.empty_like(gradient)
    direction[..., 0] = step
    direction[..., 1:] = free - coupled * step[None, :, None]
    return direction
