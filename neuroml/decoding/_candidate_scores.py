"""Scores of candidates given decoded samples: by cosine, by likelihood, and both combined.

A decoder's output is treated as a measurement of the truth with known gain and noise, both learned
from leave-one-out predictions. The score of a candidate is the log-likelihood of the measurement.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.preprocessing import normalize

__all__ = ["cosine_scores", "measurement_scores", "mixing_weights"]


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
