r"""History filters learned with the weights.

Unit j acts on the others through :math:`h_j = \sum_b c_{jb} \phi_b`, where the shares
:math:`c_{jb} \ge 0` add up to one: the filter has a sum of one, so that size and sign of a
connection are its weight's alone.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.special import softmax

from neuroml.switching._population_emissions import Design, slopes

__all__ = ["filter_value_and_gradient", "improve_filters"]

_STEPS = 3
_LEAST = 1e-8


def filter_value_and_gradient(
    logits: np.ndarray,
    kind: int,
    counts: np.ndarray,
    histories: np.ndarray,
    coefficients: np.ndarray,
    shares: np.ndarray,
) -> tuple[float, np.ndarray]:
    """The expected log-likelihood as a function of ``log c``, with c normalized, and its slope.

    Parameters
    ----------
    logits : ndarray of shape (n_units, n_basis)
    kind, counts, histories
        As in ``Problem``.
    coefficients : ndarray of shape (n_states, n_units, 1 + n_units)
    shares : ndarray of shape (n_bins, n_states)
        Posterior probabilities; zero where a bin is to be left out.
    """
    mix = softmax(logits, axis=1)
    mixed = np.einsum("btn,nb->tn", histories, mix.astype(histories.dtype))
    features = np.concatenate([np.ones((len(mixed), 1), mixed.dtype), mixed], axis=1)
    value, by_feature = slopes(Design(kind, counts, features), coefficients, shares)
    by_mix = np.einsum("btn,tn->nb", histories, by_feature, dtype=np.float64)
    inner = (by_mix * mix).sum(axis=1, keepdims=True)
    return value, mix * (by_mix - inner)


def improve_filters(
    kind: int,
    counts: np.ndarray,
    histories: np.ndarray,
    filters: np.ndarray,
    coefficients: np.ndarray,
    shares: np.ndarray,
) -> np.ndarray:
    """A few steps of L-BFGS from ``filters (n_units, n_basis)``; never worse than these."""
    n_bins = counts.shape[1]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = filter_value_and_gradient(
            flat.reshape(filters.shape), kind, counts, histories, coefficients, shares
        )
        return -value / n_bins, -gradient.ravel() / n_bins

    start = np.log(np.maximum(filters, _LEAST)).ravel()
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": _STEPS})
    if not found.fun < loss(start)[0]:
        return filters
    return softmax(found.x.reshape(filters.shape), axis=1)
