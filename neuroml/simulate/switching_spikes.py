"""Spikes of a population whose couplings switch with a hidden state."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import expit
from sklearn.utils import Bunch

from neuroml._core.estimator import check_option
from neuroml._core.parallel import RandomState, spawn_generators
from neuroml.exceptions import DataError

__all__ = ["LINKS", "draw_counts", "draw_states", "make_switching_spikes"]


def _softplus(eta: np.ndarray) -> np.ndarray:
    return np.logaddexp(0.0, eta)


LINKS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "softplus": _softplus,
    "exp": np.exp,
    "sigmoid": expit,
}
_INVERSES: dict[str, Callable[[float], float]] = {
    "softplus": lambda rate: float(np.log(np.expm1(rate))),
    "exp": lambda rate: float(np.log(rate)),
    "sigmoid": lambda rate: float(np.log(rate / (1.0 - rate))),
}
_HIGHEST_RATE = 1e6  # spikes per bin, beyond which feedback has made the rates explode


def draw_counts(
    states: np.ndarray,
    intercept: np.ndarray,
    weights: np.ndarray,
    filters: np.ndarray,
    link: str,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw the spikes of one session, bin by bin, with feedback through their history.

    Parameters
    ----------
    states : ndarray of int of shape (n_bins,)
    intercept : ndarray of shape (n_bins, n_units)
        In every bin, with all that drives the units but their history.
    weights : ndarray of shape (n_states, n_units, n_units)
        Entry k, i, j acts from unit j on unit i.
    filters : ndarray of shape (n_units, n_lags)
        Filters of the sending units; column l is lag l + 1.
    link : {"softplus", "exp", "sigmoid", "bernoulli"}
        The last draws 0 or 1, by the sigmoid.
    rng : Generator

    Returns
    -------
    ndarray of shape (n_bins, n_units)

    Raises
    ------
    DataError
        If rates explode.
    """
    n_units, n_lags = filters.shape
    recent = np.zeros((n_lags, n_units))
    counts = np.empty((len(states), n_units))
    rate_of = LINKS["sigmoid" if link == "bernoulli" else link]
    for t, k in enumerate(states):
        drive = (filters.T * recent).sum(axis=0)
        # exp overflows above 709
        rates = rate_of(np.minimum(intercept[t] + weights[k] @ drive, 700.0))
        if not (rates <= _HIGHEST_RATE).all():
            raise DataError(
                f"firing rates explode in bin {t}",
                expected="couplings under which activity stays bounded",
                found=f"a rate of {rates.max():.3g} spikes per bin",
                fix="Use weaker couplings, or the sigmoid link.",
                field="weights",
            )
        counts[t] = rng.random(n_units) < rates if link == "bernoulli" else rng.poisson(rates)
        recent = np.concatenate([counts[t : t + 1], recent[:-1]])
    return counts


def make_switching_spikes(  # noqa: PLR0913 - one keyword per part of the design
    n_units: int = 20,
    n_states: int = 5,
    *,
    n_sessions: int = 20,
    n_bins: int = 1000,
    connected: float = 0.2,
    excitatory: float = 0.5,
    sign_concentration: float = 2.0,
    strength: float = 3.0,
    link: str = "sigmoid",
    rate: float = 0.5,
    n_lags: int = 5,
    stay: float = 0.98,
    random_state: RandomState = None,
) -> Bunch:
    r"""Simulate a population with one coupling matrix per hidden state.

    .. math::
        y_{ti} \sim \mathrm{Poisson}\Big(f\big(b_i + \sum_j w_{z_t ij}
            \sum_{l=1}^{L} h_l\, y_{t-l,j}\big)\Big), \qquad h_l \propto e^{-l}

    The design is that of Li et al. (2024, ICLR), the authors of the one-hot GLM: every pair has
    probabilities of being inhibitory, absent or excitatory, drawn from a Dirichlet distribution;
    every state draws the pair's sign from them and a strength :math:`\log(1 + 3u)`, u uniform.

    Parameters
    ----------
    n_units, n_states : int, default=20, 5
    n_sessions, n_bins : int, default=20, 1000
        Number of sessions, and of bins in each.
    connected : float, default=0.2
        Expected share of pairs with a connection.
    excitatory : float, default=0.5
        Expected share of these that are excitatory.
    sign_concentration : float, default=2.0
        Total of the Dirichlet distribution's parameters: 0 gives a pair the same sign in all
        states, large values independent signs.
    strength : float, default=3.0
        Strengths are log(1 + strength * u).
    link : {"softplus", "exp", "sigmoid"}, default="sigmoid"
    rate : float, default=0.5
        Spikes per bin of a unit without input; what the link takes for it varies over units, by
        at most 0.05.
    n_lags : int, default=5
    stay : float, default=0.98
        Probability that the state stays the same from one bin to the next.
    random_state : int, RandomState, Generator or None

    Returns
    -------
    Bunch
        ``spikes (n_sessions * n_bins, n_units)``, ``sessions`` and ``states`` (one per bin),
        ``weights (n_states, n_units, n_units)`` from column to row, ``intercept (n_units,)``,
        ``transition_matrix (n_states, n_states)``, ``filters (n_units, n_lags)``.

    Raises
    ------
    DataError
        If couplings make the rates explode.

    Examples
    --------
    >>> from neuroml.simulate import make_switching_spikes
    >>> data = make_switching_spikes(5, 2, n_sessions=3, n_bins=100, random_state=0)
    >>> data.spikes.shape, data.weights.shape
    ((300, 5), (2, 5, 5))
    """
    check_option(link, _INVERSES, "link")
    design_rng, *session_rngs = spawn_generators(random_state, 1 + n_sessions)
    weights = _draw_weights(
        (n_states, n_units, n_units),
        np.array([connected * (1.0 - excitatory), 1.0 - connected, connected * excitatory]),
        sign_concentration,
        strength,
        design_rng,
    )
    intercept = _INVERSES[link](rate) + design_rng.uniform(-0.05, 0.05, n_units)  # as the authors
    transition = np.full((n_states, n_states), (1.0 - stay) / max(n_states - 1, 1))
    np.fill_diagonal(transition, stay if n_states > 1 else 1.0)
    falling = np.exp(-np.arange(1, n_lags + 1))
    filters = np.tile(falling / falling.sum(), (n_units, 1))
    every = np.tile(intercept, (n_bins, 1))
    states = [draw_states(transition, n_bins, rng) for rng in session_rngs]
    spikes = [
        draw_counts(path, every, weights, filters, link, rng)
        for path, rng in zip(states, session_rngs, strict=True)
    ]
    return Bunch(
        spikes=np.concatenate(spikes),
        sessions=np.repeat(np.arange(n_sessions), n_bins),
        states=np.concatenate(states),
        weights=weights,
        intercept=intercept,
        transition_matrix=transition,
        filters=filters,
    )


def _draw_weights(
    shape: tuple[int, int, int],
    mix: np.ndarray,
    concentration: float,
    strength: float,
    rng: np.random.Generator,
) -> np.ndarray:
    n_states, n_units, _ = shape
    if concentration > 0:
        chances = rng.dirichlet(concentration * np.maximum(mix, 1e-9), size=(n_units, n_units))
    else:
        chances = rng.multinomial(1, mix, size=(n_units, n_units)).astype(np.float64)
    draws = rng.random((n_states, n_units, n_units, 1))
    signs = (draws > np.cumsum(chances, axis=-1)[..., :2]).sum(axis=-1) - 1
    return signs * np.log1p(strength * rng.random(shape))


def draw_states(
    transition: np.ndarray,
    n_bins: int,
    rng: np.random.Generator,
    initial: np.ndarray | None = None,
) -> np.ndarray:
    """Draw a path (n_bins,) of a Markov chain; its first state is uniform without ``initial``."""
    bounds = np.cumsum(transition, axis=1)[:, :-1]
    draws = rng.random(n_bins)
    first = np.full(len(transition), 1.0 / len(transition)) if initial is None else initial
    states = np.empty(n_bins, dtype=np.int64)
    state = int((draws[0] > np.cumsum(first)[:-1]).sum())
    for t in range(n_bins):
        if t > 0:
            state = int((draws[t] > bounds[state]).sum())
        states[t] = state
    return states
