r"""Priors of coupling weights :math:`w_{kij}` (state, to, from), as quadratics that touch them.

The one-hot prior says that a connection is inhibitory, absent or excitatory, with a strength that
depends on the state: given its sign s, a weight is :math:`N(\mu_s, \sigma_s^2)` with
:math:`\mu = (-m, 0, m)`. Every state draws the sign of a pair from probabilities :math:`\pi_{ij}`
that all states share (Li et al. 2024). They come from a Dirichlet distribution with proportions
:math:`\rho`, which are learned, and total c. Signs and probabilities are summed out exactly:

.. math::
    \log p(w) = \sum_{ij} \log \sum_{s_1 \dots s_K} \frac{\Gamma(c)}{\Gamma(c + K)}
        \prod_s \frac{\Gamma(c \rho_s + n_s)}{\Gamma(c \rho_s)}
        \prod_k N(w_{kij} | \mu_{s_k}, \sigma_{s_k}^2)

where :math:`n_s` counts the states with sign s. As c goes to zero all states share one sign.

By Jensen's inequality every :math:`\log \sum` is at least the mean of the logarithm under any q of
the signs plus q's entropy, with equality for their posterior, so that maximizing the bound in turn
over q, w and :math:`\rho` never lowers the sum.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import gammaln, logsumexp

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
        Posterior of a pair's signs, averaged over states.
    sign_draws : ndarray of shape (n_units, n_units, 3) or None
        How often each sign was drawn from the proportions, in expectation, for `update_sign_mix`.
    """

    log_density: float
    precision: np.ndarray
    center: np.ndarray
    sign_probabilities: np.ndarray | None = None
    sign_draws: np.ndarray | None = None


def gaussian_prior(weights: np.ndarray, scale: float) -> Prior:
    """Weights of all states around a common mean, which takes its best value."""
    center = np.broadcast_to(weights.mean(axis=0), weights.shape)
    log_density = -0.5 * float(((weights - center) ** 2).sum()) / scale**2
    return Prior(log_density, np.full_like(weights, scale**-2.0), center)


def one_hot_prior(
    weights: np.ndarray, sign_mix: np.ndarray, strength: float, *, concentration: float = 0.0
) -> Prior:
    """A sign for each connection and state, summed out with the probabilities that states share.

    Parameters
    ----------
    weights : ndarray of shape (n_states, n_units, n_units)
    sign_mix : ndarray of shape (3,)
        Proportions of inhibitory, absent and excitatory connections.
    strength : float
        The typical strength m of a connection. Present ones have a standard deviation of m / 2
        around it, absent ones of m / 10 around 0.
    concentration : float, default=0.0
        Total c of the Dirichlet distribution of a pair's probabilities. 0 is one sign per pair in
        all states.
    """
    centers, widths = _CENTERS * strength, _WIDTHS * strength
    scaled = (weights[..., None] - centers) / widths
    log_normal = -0.5 * scaled**2 - np.log(widths)
    if concentration > 0:
        log_density, by_state, counts = _sum_over_signs(log_normal, concentration * sign_mix)
        signs, updates = by_state.mean(axis=0), _expected_tables(counts, concentration * sign_mix)
    else:
        # Log-joint of a sign and the weights of all states; summed over signs, their log-density.
        log_joint = np.log(sign_mix) + log_normal.sum(axis=0)
        log_density = logsumexp(log_joint, axis=-1)
        signs = updates = np.exp(log_joint - log_density[..., None])
        by_state = signs[None]
    # The quadratic that touches it (Jensen): normal densities averaged by the signs' posterior.
    precision = by_state @ widths**-2.0
    center = (by_state @ (centers * widths**-2.0)) / precision
    total = float(log_density.sum()) + _PSEUDO_CONNECTIONS * float(np.log(sign_mix).sum())
    shape = weights.shape
    return Prior(
        total,
        np.broadcast_to(precision, shape),
        np.broadcast_to(center, shape),
        signs,
        updates,
    )


def _sum_over_signs(
    log_normal: np.ndarray, alpha: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sum over the signs of all states, given the densities of every weight under every sign.

    Signs are exchangeable, so that a table over how many states were inhibitory and how many
    excitatory so far replaces the 3^K sequences: forward over states, then backward for the
    posterior of every state's sign.

    Parameters
    ----------
    log_normal : ndarray of shape (n_states, n_units, n_units, 3)
    alpha : ndarray of shape (3,)
        Of the Dirichlet distribution.

    Returns
    -------
    log_density : ndarray of shape (n_units, n_units)
    signs : ndarray of shape (n_states, n_units, n_units, 3)
        Posterior of the sign in each state.
    counts : ndarray of shape (n_units, n_units, n_states + 1, n_states + 1)
        Posterior of the numbers of inhibitory and of excitatory states.
    """
    n_states = len(log_normal)
    # Relative to the most likely sign, whose product over states is then 1: nothing underflows but
    # what is negligible beside it.
    largest = log_normal.max(axis=-1, keepdims=True)
    relative = np.exp(log_normal - largest)
    forward = np.zeros((n_states + 1, *log_normal.shape[1:3], n_states + 1, n_states + 1))
    forward[0, ..., 0, 0] = 1.0
    for k, density in enumerate(relative):
        down, none, up = (density[..., s, None, None] for s in range(3))
        forward[k + 1] = none * forward[k]
        forward[k + 1][..., 1:, :] += down * forward[k][..., :-1, :]
        forward[k + 1][..., 1:] += up * forward[k][..., :-1]
    weight = _count_weights(n_states, alpha)
    joint = forward[-1] * weight
    density = joint.sum(axis=(-2, -1))
    signs = np.empty_like(relative)
    onward = np.broadcast_to(weight, joint.shape)
    for k in range(n_states - 1, -1, -1):
        after_down, after_up = np.zeros_like(joint), np.zeros_like(joint)
        after_down[..., :-1, :], after_up[..., :-1] = onward[..., 1:, :], onward[..., 1:]
        branches = [
            relative[k, ..., s, None, None] * after
            for s, after in enumerate((after_down, onward, after_up))
        ]
        for s, branch in enumerate(branches):
            signs[k, ..., s] = (forward[k] * branch).sum(axis=(-2, -1))
        onward = branches[0] + branches[1] + branches[2]
    signs /= density[..., None]
    log_density = np.log(density) + largest.sum(axis=(0, -1))
    return log_density, signs, joint / density[..., None, None]


def _sign_counts(n_states: int) -> np.ndarray:
    """Numbers of inhibitory, absent and excitatory states (n_states + 1, n_states + 1, 3)."""
    down, up = np.meshgrid(np.arange(n_states + 1), np.arange(n_states + 1), indexing="ij")
    return np.stack([down, n_states - down - up, up], axis=-1)


def _count_weights(n_states: int, alpha: np.ndarray) -> np.ndarray:
    """Probability of one sequence of signs with these counts (Dirichlet-multinomial)."""
    counts = _sign_counts(n_states)
    possible = counts[..., 1] >= 0
    counts = np.maximum(counts, 0)
    log_weight = (gammaln(counts + alpha) - gammaln(alpha)).sum(axis=-1)
    log_weight += gammaln(alpha.sum()) - gammaln(alpha.sum() + n_states)
    return np.where(possible, np.exp(log_weight), 0.0)


def _expected_tables(posterior: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    r"""What the Dirichlet's proportions are updated with (n_units, n_units, 3).

    A sign that n states share was drawn anew, and not repeated, :math:`\sum_{i<n} \alpha_s /
    (\alpha_s + i)` times in expectation (Antoniak 1974): given these draws, the likelihood of the
    proportions is multinomial, so that EM has a closed form.
    """
    n_states = posterior.shape[-1] - 1
    steps = alpha[:, None] / (alpha[:, None] + np.arange(n_states))
    tables = np.concatenate([np.zeros((3, 1)), np.cumsum(steps, axis=1)], axis=1)
    counts = np.maximum(_sign_counts(n_states), 0)
    by_count = np.stack([tables[s][counts[..., s]] for s in range(3)], axis=-1)
    return np.tensordot(posterior, by_count, axes=2)


def update_sign_mix(sign_draws: np.ndarray) -> np.ndarray:
    """The best proportions of signs (3,), with one pseudo-connection of each."""
    totals = sign_draws.sum(axis=(0, 1)) + _PSEUDO_CONNECTIONS
    return totals / totals.sum()
