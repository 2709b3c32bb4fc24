"""Scores of candidates given decoded samples: by cosine, by likelihood, and both combined.

A decoder's output is treated as a measurement of the truth with known gain and noise, both learned
from leave-one-out predictions. The score of a candidate is the log-likelihood of the measurement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.preprocessing import normalize

from neuroml.decoding._components import explained, shared_components
from neuroml.decoding._ridge_path import decompose

__all__ = [
    "Readout",
    "cosine_scores",
    "fit_readout",
    "gains",
    "measurement_model",
    "measurement_scores",
    "mixing_weights",
]

# Measured: `constants` in tests/benchmarks/decoding/cross_subject.py (worlds 1234 and 1235, small).
# Weight of the cohort's profile of gains, in rows. Top-1 retrieval of a new subject from 70 rows is
# 23.7 % with 0, 24.9 % with 10, 25.2 % with 30, 25.7 % with 100 and 25.4 % with 300 rows; from 200
# rows on it is the same within 0.1 points.
_PRIOR_ROWS = 30.0
# Shrinkage of the noise's covariance towards its diagonal. From 70 rows, top-1 is 10.1 % with 0,
# 23.6 % with 0.4, 25.2 % with 0.6, 26.0 % with 0.8 and 25.6 % with 1; from 540 rows, 64.8 % with 0
# and 67.2 to 68.6 % from 0.4 to 1: what matters is that it is at least about one half.
_DIAGONAL_SHARE = 0.6
# Principal components of the targets in which a decoder's own likelihood is found, at most.
_MAX_COMPONENTS = 200
# Components of a likelihood without a cohort. On four worlds of `make_cohort`, top-1 of 150 from
# 540 rows is 54.3, 51.5 and 51.7 % with 20, 40 and 60 (36.2 % by the cosine); from 200 rows 27.7,
# 25.3 and 23.7 % (22.2 %); from 70 rows, too few to know their own noise, 5.2, 3.7 and 3.7 %
# (8.8 %).
_OWN = 20


def measurement_scores(decoded: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Log-likelihood, up to a constant, of every row as a measurement of every candidate.

    Parameters
    ----------
    decoded : ndarray of shape (n_samples, n_components)
        In units of the noise.
    expected : ndarray of shape (n_candidates, n_components)
        The noiseless measurement of each candidate, in the same units.

    Returns
    -------
    ndarray of shape (n_samples, n_candidates)
    """
    # -|d - e|^2 / 2 = d.e - |e|^2 / 2 - |d|^2 / 2, of which the last is the same for all candidates
    return decoded @ expected.T - 0.5 * (expected**2).sum(axis=1)


def cosine_scores(decoded: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Cosine of every row with every candidate (n_samples, n_candidates)."""
    return normalize(decoded) @ normalize(gallery).T


def mixing_weights(
    scores: Sequence[np.ndarray], own: np.ndarray, prior: np.ndarray, precision: float
) -> np.ndarray:
    r"""Non-negative weights of several scores under which the right candidates are likeliest.

    Maximizes :math:`\sum_i \log \mathrm{softmax}(\sum_e w_e S_e)_{i, own_i} - \frac{p}{2}
    \|w - w_0\|^2` with the prior :math:`w_0` and its precision p: concave, so that the maximum is
    the only one.

    Parameters
    ----------
    scores : sequence of ndarray of shape (n_samples, n_candidates)
        From decoders that were not fitted to these samples.
    own : ndarray of int of shape (n_samples,)
        The right candidate of each sample.
    prior : ndarray of shape (n_scores,)
    precision : float
        Precision of the prior.

    Returns
    -------
    ndarray of shape (n_scores,)
    """
    stack = np.stack(scores)
    rows = np.arange(len(own))
    right = stack[:, rows, own]

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        mixed = np.tensordot(weights, stack, axes=1)
        # minus the log posterior of the weights
        departure = weights - prior
        value = -log_softmax(mixed, axis=1)[rows, own].sum()
        value += 0.5 * precision * departure @ departure
        # its gradient: each score's expectation under the softmax minus its value at the truth
        expected = (softmax(mixed, axis=1) * stack).sum(axis=2)
        gradient = (expected - right).sum(axis=1) + precision * departure
        return value, gradient

    bounds = [(0.0, None)] * len(stack)
    return minimize(loss, prior, jac=True, bounds=bounds, method="L-BFGS-B").x


def measurement_model(
    left_out: np.ndarray, truth: np.ndarray, decodability: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Gains of the decoded components, and the whitener of their noise.

    Parameters
    ----------
    left_out, truth : ndarray of shape (n_samples, n_components)
        Leave-one-out predictions and the truth, both centered.
    decodability : ndarray of shape (n_components,)
    """
    # the subject's own gains, and the multiple of the cohort's profile that is nearest to them
    own = gains(left_out, truth)
    profile = decodability * (own @ decodability) / (decodability @ decodability)
    # posterior mean of each gain: least squares with _PRIOR_ROWS further rows that have the
    # profile's gain, since components have about unit variance
    power = (truth**2).sum(axis=0)
    gain = (power * own + _PRIOR_ROWS * profile) / (power + _PRIOR_ROWS)
    # covariance of the noise, shrunk towards its diagonal; variances near zero are lifted to 1e-6
    # of the largest, and to 1e-12 where all are zero, so that the inverse exists
    residual = left_out - gain * truth
    noise = residual.T @ residual / len(truth)
    level = np.diag(np.maximum(np.diag(noise), 1e-6 * np.diag(noise).max() + 1e-12))
    shrunk = (1 - _DIAGONAL_SHARE) * noise + _DIAGONAL_SHARE * level
    return gain, np.linalg.cholesky(np.linalg.inv(shrunk))


def gains(decoded: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Gain (n_components,), not below zero, of decoded = gain * truth + noise, by least squares.

    Parameters
    ----------
    decoded, truth : ndarray of shape (n_samples, n_components)
        Samples that the decoder was not fitted to.
    """
    power = np.maximum((truth**2).sum(axis=0), 1e-12)
    return np.maximum((decoded * truth).sum(axis=0) / power, 0.0)


@dataclass(frozen=True)
class Readout:
    """A decoder's predictions as measurements of the components of the targets that brains carry.

    Attributes
    ----------
    mean : ndarray of shape (n_targets,)
    axes : ndarray of shape (n_targets, n_components)
        Map centered targets to components of about unit variance.
    gain : ndarray of shape (n_components,)
        Ratio of predicted to true components.
    whitener : ndarray of shape (n_components, n_components)
        ``whitener @ whitener.T`` is the precision of the noise of the predictions.
    """

    mean: np.ndarray
    axes: np.ndarray
    gain: np.ndarray
    whitener: np.ndarray

    def score(self, predicted: np.ndarray, gallery: np.ndarray, by: str) -> np.ndarray:
        """Scores (n_samples, n_candidates) of candidates given predicted targets."""
        centered, candidates = predicted - self.mean, gallery - self.mean
        if by == "cosine":
            return cosine_scores(centered, candidates)
        expected = (candidates @ self.axes * self.gain) @ self.whitener
        return measurement_scores(centered @ self.axes @ self.whitener, expected)


def fit_readout(left_out: np.ndarray, y: np.ndarray) -> Readout:
    """Gains and noise of a decoder, from its predictions of left-out samples.

    Parameters
    ----------
    left_out, y : ndarray of shape (n_samples, n_targets)
        Predictions and the truth.
    """
    left_out, y = left_out.astype(np.float64), y.astype(np.float64)
    mean = y.mean(axis=0)
    # principal components by the smaller Gram matrix, for targets of any number of columns
    spectrum = decompose(y - mean)
    kept = np.flatnonzero(spectrum.values > 1e-10 * spectrum.values.max(initial=0.0))
    kept = kept[-_MAX_COMPONENTS:]
    basis = (y - mean).T @ (spectrum.left[:, kept] / np.sqrt(spectrum.values[kept]))
    truth, decoded = (y - mean) @ basis, (left_out - mean) @ basis
    if not len(kept):  # constant targets: nothing tells candidates apart
        return Readout(mean, basis, np.zeros(0), np.zeros((0, 0)))
    # the directions that this brain carries
    found = shared_components([truth], [explained(truth, decoded)], min(_OWN, len(kept)), 0.1)
    decoded, truth = decoded @ found.axes, truth @ found.axes
    # no cohort says which gains to expect: the subject's own are their profile
    gain, whitener = measurement_model(decoded, truth, np.maximum(gains(decoded, truth), 1e-12))
    return Readout(mean, basis @ found.axes, gain, whitener)
