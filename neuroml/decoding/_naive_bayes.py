"""Tuning curves of independent units, their log-likelihood, and a chain of states over time."""

from __future__ import annotations

import numpy as np

__all__ = ["chain_posterior", "gaussian_log_likelihood", "poisson_log_likelihood", "tuning_curves"]


def tuning_curves(totals: np.ndarray, occupancy: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Mean of every unit in every state (n_states, n_units), with one sample more at its mean.

    That sample keeps curves finite in states without samples, and rates above zero.

    Parameters
    ----------
    totals : ndarray of shape (n_states, n_units)
        Sum of the units over the samples of each state.
    occupancy : ndarray of shape (n_states,)
        Number of samples of each state.
    mean : ndarray of shape (n_units,)
        Over all samples.
    """
    return (totals + mean) / (occupancy[:, None] + 1.0)


def poisson_log_likelihood(X: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """Log-likelihood (n_samples, n_states) of counts, without the term that no state changes.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_units)
    rates : ndarray of shape (n_states, n_units)
        Expected counts of a sample, above zero.
    """
    # sum over units of k log(rate) - rate; log(k!) is the same for all states
    return X @ np.log(rates).T - rates.sum(axis=1)


def gaussian_log_likelihood(
    X: np.ndarray, means: np.ndarray, variances: np.ndarray, center: np.ndarray
) -> np.ndarray:
    """Log-likelihood (n_samples, n_states) of values, without the terms that no state changes.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_units)
    means : ndarray of shape (n_states, n_units)
    variances : ndarray of shape (n_units,)
        Shared by the states.
    center : ndarray of shape (n_units,)
        Subtracted from both first, so that large offsets do not cancel digits.
    """
    # -(x - m)^2 / 2v = x m / v - m^2 / 2v - x^2 / 2v, of which the last is the same for all states
    precise = (means - center) / variances
    return (X - center) @ precise.T - 0.5 * (precise * (means - center)).sum(axis=1)


def chain_posterior(
    log_likelihood: np.ndarray, start: np.ndarray, transitions: np.ndarray
) -> np.ndarray:
    """Probability (n_samples, n_states) of each state of one session, given all its samples.

    Parameters
    ----------
    log_likelihood : ndarray of shape (n_samples, n_states)
    start : ndarray of shape (n_states,)
    transitions : ndarray of shape (n_states, n_states)
        A column is zero throughout, or above zero throughout.
    """
    # relative to each sample's likeliest state among those that can be: that state stays possible
    # under the chain, so that no sum below is zero, however small the other likelihoods are
    possible = np.where(start > 0, log_likelihood, -np.inf)
    likelihood = np.exp(possible - possible.max(axis=1, keepdims=True))
    forward, message = np.empty_like(likelihood), start
    for t, here in enumerate(likelihood):
        filtered = message * here
        forward[t] = filtered / filtered.sum()
        message = forward[t] @ transitions
    later = np.ones(len(start))
    for t in range(len(likelihood) - 2, -1, -1):
        later = transitions @ (likelihood[t + 1] * later)
        later /= later.max()
        forward[t] *= later
    return forward / forward.sum(axis=1, keepdims=True)
