"""Which candidate was it? Scores of candidates given what a decoder says, and how scores combine.

A decoder's output is treated as a measurement of the truth with known gain and noise, both learned
from predictions of held-out samples; a candidate's score is the log-likelihood of the measurement.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize, nnls
from scipy.special import log_softmax, softmax
from sklearn.preprocessing import normalize

__all__ = [
    "cosine_scores",
    "gains",
    "measurement_scores",
    "mix_predictions",
    "mix_scores",
]


def gains(decoded: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Gain (n_components,), not below zero, of decoded = gain * truth + noise.

    Parameters
    ----------
    decoded, truth : ndarray of shape (n_samples, n_components)
        Of samples that the decoder was not fitted to.
    """
    power = np.maximum((truth**2).sum(axis=0), 1e-12)
    return np.maximum((decoded * truth).sum(axis=0) / power, 0.0)


def measurement_scores(decoded: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Log-likelihood, up to a constant, that each row measures each candidate.

    Parameters
    ----------
    decoded : ndarray of shape (n_samples, n_components)
        In units of the noise.
    expected : ndarray of shape (n_candidates, n_components)
        What each candidate would give, in the same units.

    Returns
    -------
    ndarray of shape (n_samples, n_candidates)
    """
    return decoded @ expected.T - 0.5 * (expected**2).sum(axis=1)


def cosine_scores(decoded: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Cosine of every row with every candidate (n_samples, n_candidates)."""
    return normalize(decoded) @ normalize(gallery).T


def mix_scores(
    experts: Sequence[np.ndarray], own: np.ndarray, prior: np.ndarray, precision: float
) -> np.ndarray:
    """Non-negative weights under which the right candidate is likeliest.

    Maximises the sum over samples of log softmax of the weighted scores at the right candidate,
    minus a quadratic penalty around a prior: concave, so the maximum is the only one.

    Parameters
    ----------
    experts : sequence of ndarray of shape (n_samples, n_candidates)
        Scores of samples that the experts were not fitted to.
    own : ndarray of int of shape (n_samples,)
        The right candidate of each sample.
    prior : ndarray of shape (n_experts,)
    precision : float
        Of the prior.

    Returns
    -------
    ndarray of shape (n_experts,)
    """
    stack = np.stack(experts)
    rows = np.arange(len(own))
    right = stack[:, rows, own]

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        scores = np.tensordot(weights, stack, axes=1)
        departure = weights - prior
        value = -log_softmax(scores, axis=1)[rows, own].sum()
        expected = (softmax(scores, axis=1) * stack).sum(axis=2)
        gradient = (expected - right).sum(axis=1) + precision * departure
        return value + 0.5 * precision * departure @ departure, gradient

    bounds = [(0.0, None)] * len(stack)
    return minimize(loss, prior, jac=True, bounds=bounds, method="L-BFGS-B").x


def mix_predictions(experts: Sequence[np.ndarray], targets: np.ndarray) -> np.ndarray:
    """Non-negative least-squares weights of the experts' predictions.

    Parameters
    ----------
    experts : sequence of ndarray of shape (n_samples, n_targets)
        Centered predictions for samples that the experts were not fitted to.
    targets : ndarray of shape (n_samples, n_targets)
        Centered like the predictions.

    Returns
    -------
    ndarray of shape (n_experts,)
    """
    design = np.column_stack([expert.ravel() for expert in experts])
    return nnls(design, targets.ravel())[0]
