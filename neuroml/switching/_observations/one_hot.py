r"""Priors of coupling weights :math:`w_{kij}` (state, to, from), as quadratics that touch them.

The one-hot prior says that a connection is inhibitory, absent or excitatory in all states alike,
with a strength that depends on the state. Its sign :math:`s_{ij}` is summed out exactly:

.. math::
    \log p(w) = \sum_{ij} \log \sum_{s \in \{-, 0, +\}} \pi_s \prod_k
        N(w_{kij} | \mu_s, \sigma_s^2)

with :math:`\mu = (-m, 0, m)`. By Jensen's inequality every :math:`\log \sum_s` is at least
:math:`\sum_s q_s \log(\cdot) - \sum_s q_s \log q_s`, with equality for the posterior q of the sign,
so that maximizing the bound in turn over q, w and :math:`\pi` never lowers the sum.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

__all__ = ["Prior", "gaussian_prior", "one_hot_prior", "update_sign_mix"]

# In units of the typical strength: present connections are 1 with a deviation of half of it, absent
# ones 0 with a tenth: narrow enough that absent means weak, wide enough for EM to change a sign.
_WIDTHS = np.array([0.5, 0.1, 0.5])
_CENTERS = np.array([-1.0, 0.0, 1.0])
_PSEUDO_CONNECTIONS = 1.0  # of every sign (Laplace), so that no proportion becomes zero


class Prior(NamedTuple):
    """A log-density of weights, and a quadratic that touches it at the weights from below.

    Attributes
    ----------
    log_density : float
        Up to a constant.
    precision : ndarray of shape (n_states, n_units, n_units)
        Minus the Hessian of the quadratic.
    center : ndarray of shape (n_states, n_units, n_units)
        Where the quadratic is largest; any number where the precision is zero.
    sign_probabilities : ndarray of shape (n_units, n_units, 3) or None
    """

    log_density: float
    precision: np.ndarray
    center: np.ndarray
    sign_probabilities: np.ndarray | None = None


def gaussian_prior(weights: np.ndarray, scale: float) -> Prior:
    """Weights of all states around a common mean, which takes its best value."""
    center = np.broadcast_to(weights.mean(axis=0), weights.shape)
    log_density = -0.5 * float(((weights - center) ** 2).sum()) / scale**2
    return Prior(log_density, np.full_like(weights, scale**-2.0), center)


def one_hot_prior(weights: np.ndarray, sign_mix: np.ndarray, strength: float) -> Prior:
    """One sign per connection, shared by all states and summed out.

    Parameters
    ----------
    weights : ndarray of shape (n_states, n_units, n_units)
    sign_mix : ndarray of shape (3,)
        Proportions of inhibitory, absent and excitatory connections.
    strength : float
        The typical strength m of a connection. Present ones have a standard deviation of m / 2
        around it, absent ones of m / 10 around 0.
    """
    centers, widths = _CENTERS * strength, _WIDTHS * strength
    scaled = (weights[..., None] - centers) / widths
    # Log-joint of a sign and the weights of all states; summed over signs, their log-density.
    log_joint = np.log(sign_mix) - 0.5 * (scaled**2).sum(axis=0) - len(weights) * np.log(widths)
    log_density = logsumexp(log_joint, axis=-1)
    signs = np.exp(log_joint - log_density[..., None])
    # The quadratic that touches it (Jensen): normal densities averaged by the signs' posterior.
    precision = signs @ widths**-2.0
    center = (signs @ (centers * widths**-2.0)) / precision
    total = float(log_density.sum()) + _PSEUDO_CONNECTIONS * float(np.log(sign_mix).sum())
    shape = weights.shape
    return Prior(total, np.broadcast_to(precision, shape), np.broadcast_to(center, shape), signs)


def update_sign_mix(sign_probabilities: np.ndarray) -> np.ndarray:
    """The best proportions of signs (3,), with one pseudo-connection of each."""
    totals = sign_probabilities.sum(axis=(0, 1)) + _PSEUDO_CONNECTIONS
    return totals / totals.sum()
