r"""Expectation-maximization of the switching population model.

The objective is the marginal log-likelihood of the counts plus the log-densities of the priors. A
step updates transitions, weights (one Newton step per unit, halved until it does not lower the
unit's own objective), filters where they are learned, and the prior's shares; all against the same
posterior of the states, so that the objective never falls.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from scipy.special import gammaln

from neuroml._core.iteration import iterate
from neuroml._core.recording import break_points
from neuroml.switching._chain import (
    Chain,
    ChainPrior,
    Smoothed,
    log_prior,
    smooth_chain,
    start_chain,
    update_chain,
)
from neuroml.switching._filters import improve_filters
from neuroml.switching._one_hot import Prior, gaussian_prior, one_hot_prior, update_sign_mix
from neuroml.switching._population_emissions import Design, ascent, derivatives, emissions

__all__ = [
    "Parameters",
    "Problem",
    "State",
    "em_step",
    "evaluate",
    "log_emissions_of",
    "pooled_fit",
    "under_prior",
    "warm_up",
]

_WARM_UP = 20

_NEGLIGIBLE = 1e-3
_HALVINGS = 10
_ROUNDINGS = {"float32": 1e-6, "float64": 1e-12}
_NO_INPUTS = np.zeros((0, 0))


@dataclass(frozen=True)
class Problem:
    """What is fitted, and how: everything that stays the same while it is.

    Attributes
    ----------
    kind : int
        Of the link, from ``_pointwise.KINDS``.
    counts : ndarray of shape (n_units, n_bins)
    histories : ndarray of shape (n_basis, n_bins, n_units)
    sessions : ndarray of int of shape (n_bins,)
    prior : {"none", "gaussian", "one-hot"}
    scale : float
        Standard deviation of the Gaussian prior, or typical strength of the one-hot prior.
    ridge : float
        Precision of a further Gaussian prior on weights, around zero.
    shared_intercept : bool
    chain_prior : ChainPrior
    starts : ndarray of int
        First bins of sessions, and the number of bins.
    constant : float
        The sum of -log(y!).
    """

    kind: int
    counts: np.ndarray
    histories: np.ndarray
    sessions: np.ndarray
    prior: str
    scale: float
    ridge: float
    shared_intercept: bool
    chain_prior: ChainPrior
    starts: np.ndarray = field(init=False)
    constant: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "starts", np.append(break_points(self.sessions), self.n_bins))
        values, repeats = np.unique(self.counts, return_counts=True)
        constant = -float(repeats @ gammaln(values.astype(np.float64) + 1.0))
        object.__setattr__(self, "constant", constant)

    @property
    def n_bins(self) -> int:
        return self.counts.shape[1]

    @property
    def rounding(self) -> float:
        """What products in the precision of the features cannot resolve, in nats per bin."""
        spikes_per_bin = float(self.counts.mean(axis=1, dtype=np.float64).sum())
        return _ROUNDINGS[self.histories.dtype.name] * max(1.0, spikes_per_bin)

    def design(self, filters: np.ndarray) -> Design:
        """The features that filters (n_units, n_basis) make of the histories."""
        mixed = self.histories[0]
        if len(self.histories) > 1:
            mixed = np.einsum("btn,nb->tn", self.histories, filters.astype(mixed.dtype))
        ones = np.ones((len(mixed), 1), dtype=mixed.dtype)
        return Design(self.kind, self.counts, np.concatenate([ones, mixed], axis=1))


@dataclass(frozen=True)
class Parameters:
    """Of the model.

    Attributes
    ----------
    coefficients : ndarray of shape (n_states, n_units, 1 + n_units)
        Baseline, then the weight from every unit.
    chain : Chain
    filters : ndarray of shape (n_units, n_basis)
        Shares of the basis functions in every unit's filter.
    sign_mix : ndarray of shape (3,)
    """

    coefficients: np.ndarray
    chain: Chain
    filters: np.ndarray
    sign_mix: np.ndarray

    @property
    def weights(self) -> np.ndarray:
        """Couplings (n_states, n_units, n_units)."""
        return self.coefficients[:, :, 1:]


@dataclass(frozen=True)
class State:
    """Parameters and what follows from them."""

    parameters: Parameters
    design: Design
    prior: Prior
    smoothed: Smoothed
    objective: float


def prior_of(problem: Problem, parameters: Parameters) -> Prior:
    """The prior of the weights at the parameters, the ridge included."""
    weights = parameters.weights
    if problem.prior == "gaussian":
        main = gaussian_prior(weights, problem.scale)
    elif problem.prior == "one-hot":
        main = one_hot_prior(weights, parameters.sign_mix, problem.scale)
    else:
        main = Prior(0.0, np.zeros_like(weights), np.zeros_like(weights))
    log_density = main.log_density - 0.5 * problem.ridge * float((weights**2).sum())
    precision = main.precision + problem.ridge
    pull = np.divide(
        main.precision * main.center, precision, out=np.zeros(weights.shape), where=precision > 0
    )
    return Prior(log_density, precision, pull, main.sign_probabilities)


def evaluate(
    problem: Problem, parameters: Parameters, design: Design, log_emissions: np.ndarray
) -> State:
    """The E-step: posterior of the states, and the objective in nats per bin."""
    prior = prior_of(problem, parameters)
    smoothed = smooth_chain(parameters.chain, log_emissions, _NO_INPUTS, problem.starts)
    log_priors = prior.log_density + log_prior(parameters.chain, problem.chain_prior)
    total = smoothed.log_likelihood + problem.constant + log_priors
    return State(parameters, design, prior, smoothed, total / problem.n_bins)


def em_step(problem: Problem, state: State) -> tuple[State, float]:
    """One iteration; the pair that `iterate` asks for.

    Bins in which a state's posterior is at most 0.001 are left out of its update of the weights.
    Should that cost more than the step gains, the step is repeated with every bin. Where a step
    cannot gain more than rounding, nothing changes.
    """
    following = _step(problem, state, _NEGLIGIBLE)
    if following.objective < state.objective:
        following = _step(problem, state, 0.0)
    if 0.0 < state.objective - following.objective <= problem.rounding:
        following = state
    return following, following.objective


def _step(problem: Problem, state: State, negligible: float) -> State:
    before, posterior = state.parameters, state.smoothed.posterior
    shares = np.where(posterior > negligible, posterior, 0.0)
    chain = update_chain(
        before.chain, state.smoothed, _NO_INPUTS, problem.starts, problem.chain_prior
    )
    parameters = replace(before, chain=chain)
    if state.prior.sign_probabilities is not None:
        mix = update_sign_mix(state.prior.sign_probabilities)
        parameters = replace(parameters, sign_mix=mix)
    coefficients, log_emissions = _update_coefficients(problem, state, shares)
    parameters = replace(parameters, coefficients=coefficients)
    design = state.design
    if len(problem.histories) > 1:
        filters = improve_filters(
            problem.kind, problem.counts, problem.histories, before.filters, coefficients, shares
        )
        parameters, design = replace(parameters, filters=filters), problem.design(filters)
        log_emissions, _ = emissions(design, coefficients, shares)
    return evaluate(problem, parameters, design, log_emissions)


def _update_coefficients(
    problem: Problem, state: State, shares: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return better coefficients and their log-emissions."""
    old, prior = state.parameters.coefficients, state.prior
    found = [
        derivatives(state.design, own, np.ascontiguousarray(share))
        for own, share in zip(old, shares.T, strict=True)
    ]
    gradient = np.stack([one.gradient for one in found])
    curvature = np.stack([one.curvature for one in found])
    gradient[:, :, 1:] -= prior.precision * (old[:, :, 1:] - prior.center)
    np.einsum("knii->kni", curvature)[:, :, 1:] += prior.precision
    direction = ascent(gradient, curvature, shared_intercept=problem.shared_intercept)
    least = np.stack([one.value for one in found]) + _penalties(prior, old)
    if problem.shared_intercept:
        least = least.sum(axis=0, keepdims=True)
    least = least - 0.01 * problem.rounding * problem.n_bins
    length = np.ones_like(least)
    for halving in range(_HALVINGS + 1):
        new = old + length[:, :, None] * direction
        log_emissions, values = emissions(state.design, new, shares)
        values = values + _penalties(prior, new)
        if problem.shared_intercept:
            values = values.sum(axis=0, keepdims=True)
        failed = ~(values >= least)
        if not failed.any():
            break
        length[failed] *= 0.25 if halving < _HALVINGS - 1 else 0.0
    return new, log_emissions


def _penalties(prior: Prior, coefficients: np.ndarray) -> np.ndarray:
    """The prior's quadratic (n_states, n_units), up to a constant."""
    return -0.5 * (prior.precision * (coefficients[:, :, 1:] - prior.center) ** 2).sum(axis=-1)


def log_emissions_of(problem: Problem, coefficients: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """Log-likelihoods (n_bins, n_states) without the constants."""
    unweighted = np.zeros((problem.n_bins, len(coefficients)))
    return emissions(problem.design(filters), coefficients, unweighted)[0]


def _started(problem: Problem, coefficients: np.ndarray, filters: np.ndarray) -> State:
    """The state of EM at given coefficients, with nothing known of the chain."""
    parameters = Parameters(
        coefficients, start_chain(len(coefficients)), filters, np.full(3, 1.0 / 3.0)
    )
    log_emissions = log_emissions_of(problem, coefficients, filters)
    return evaluate(problem, parameters, problem.design(filters), log_emissions)


def pooled_fit(problem: Problem) -> Parameters:
    """The GLM of a single state."""
    single = replace(problem, prior="none")
    n_units, n_basis = len(problem.counts), len(problem.histories)
    coefficients = np.zeros((1, n_units, 1 + n_units))
    start = _started(single, coefficients, np.full((n_units, n_basis), 1.0 / n_basis))
    step = partial(em_step, single)
    return iterate(step, start, start.objective, max_iter=100, tol=1e-8).state.parameters


def warm_up(
    problem: Problem, pooled: Parameters, n_states: int, rng: np.random.Generator, tol: float
) -> State:
    """A short climb from near the GLM of a single state, under a Gaussian prior around zero.

    A prior on signs is of no use before the states have parted: it would take the weights of
    mixtures of states for absent.
    """
    loose = replace(problem, prior="none", ridge=max(problem.ridge, 1.0))
    features = problem.design(pooled.filters).features[:, 1:]
    spread = 0.5 / np.sqrt(max(float(features.var(axis=0).sum()), 1e-6))
    coefficients = np.repeat(pooled.coefficients, n_states, axis=0)
    if n_states > 1:
        coefficients[:, :, 1:] += rng.normal(0.0, spread, coefficients[:, :, 1:].shape)
    start = _started(loose, coefficients, pooled.filters)
    step = partial(em_step, loose)
    return iterate(step, start, start.objective, max_iter=_WARM_UP, tol=tol).state


def under_prior(problem: Problem, state: State) -> State:
    """The same parameters under the problem's own prior."""
    found = state.parameters
    log_emissions = log_emissions_of(problem, found.coefficients, found.filters)
    return evaluate(problem, found, state.design, log_emissions)
