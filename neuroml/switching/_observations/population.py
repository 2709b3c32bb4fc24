r"""Spike counts of a population given its own history and a hidden state.

In state k, unit i fires :math:`y_{ti} \sim \mathrm{Poisson}(f(\eta_{kit}))` with
:math:`\eta_k = X C_k^\top`, where X holds a column of ones, the filtered history of every unit, and
covariates in standard deviations from their means.
Unit j acts on the others through the filter :math:`h_j = \sum_b c_{jb} \phi_b`, where
:math:`c_{jb} \ge 0` add up to one: every filter has a sum of one, so that size and sign of a
connection are its weight's alone.

Products run in the precision of X over chunks of bins that fit the cache; sums over chunks are
float64. Counts and responsibilities have units or states first and bins second; features have bins
first, since the bins that a state is responsible for are gathered from them.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import gammaln, softmax

from neuroml.switching._kernels.links import count_kernels
from neuroml.switching._observations.base import Observations
from neuroml.switching._observations.one_hot import (
    Prior,
    gaussian_prior,
    one_hot_prior,
    update_sign_mix,
)

__all__ = [
    "CountDesign",
    "Couplings",
    "Derivatives",
    "PopulationCounts",
    "PopulationData",
    "filter_value_and_gradient",
    "gradient_by_history",
    "improve_filters",
    "log_likelihoods",
    "newton_direction",
    "weighted_derivatives",
]

# Bins of a product: 2048 bins of 50 units in float32 are 400 kB, which stays in a core's cache.
_CHUNK = 2048
# Bins that the off-diagonal Hessian is summed over, per feature: with 32 the eigenvalues of the
# sampled Hessian relative to the exact one stay within 0.6 to 1.6 (a test holds this).
_SAMPLED_BINS_PER_FEATURE = 32
# A responsibility at most this large leaves its bin out of the state's update: in the benchmark
# 1.5 of 3 states are left per bin ("speed-S"), or 1.9 of 5 ("speed-M"): what an M-step costs.
_NEGLIGIBLE = 1e-3
# Backtracking line search: every trial costs an evaluation of all bins, so the step shrinks to a
# quarter rather than to a half; 0.25^9 is 4e-6, after which it is zero. A choice, not tuned.
_MAX_BACKTRACKS = 10
_BACKTRACK_FACTOR = 0.25
# What a sum of products can resolve, in nats per bin and spike: for float32 some ten units in the
# last place (6e-8); for float64 (1e-16) far more, as the recursions over time round as well.
_ROUNDINGS = {"float32": 1e-6, "float64": 1e-12}
# The part of it that one unit in one state may lose in a line search, so that a hundred of them
# (20 units, 5 states: the size of Li et al. 2024) together lose no more than the rounding.
_SHARE_OF_ROUNDING = 0.01
# L-BFGS steps of the filters in one M-step. EM repeats them with better responsibilities, so more
# are spent on a bound that is about to change.
_FILTER_STEPS = 3
_SMALLEST_MIX = 1e-8  # keeps the logits of the filters finite
# Random starts: standard deviation over bins of what the noise adds to a unit's predictor. A
# choice, not tuned: less than the unit range over which the links curve, so that rates do not
# saturate.
_START_DEVIATION = 0.5


class CountDesign(NamedTuple):
    """Data in the layout of the loops.

    Attributes
    ----------
    likelihood : int
        From ``_kernels.links.LIKELIHOODS``.
    counts : ndarray of shape (n_units, n_bins)
    features : ndarray of shape (n_bins, n_features)
        A column of ones, then histories, then covariates.
    """

    likelihood: int
    counts: np.ndarray
    features: np.ndarray


class Derivatives(NamedTuple):
    """Derivatives of every unit's weighted log-likelihood by its coefficients in one state.

    Attributes
    ----------
    value : ndarray of shape (n_units,)
    gradient : ndarray of shape (n_units, n_features)
    hessian : ndarray of shape (n_units, n_features, n_features)
        Close to minus the second derivative, and positive semi-definite.
    """

    value: np.ndarray
    gradient: np.ndarray
    hessian: np.ndarray


class Couplings(NamedTuple):
    """Parameters of the observations.

    Attributes
    ----------
    coefficients : ndarray of shape (n_states, n_units, 1 + n_units + n_covariates)
        Intercept, then the weight from every unit, then that of every covariate.
    filters : ndarray of shape (n_units, n_basis)
        Proportions of the basis functions in every unit's filter.
    sign_mix : ndarray of shape (3,)
        Proportions of inhibitory, absent and excitatory connections, for the one-hot prior.
    """

    coefficients: np.ndarray
    filters: np.ndarray
    sign_mix: np.ndarray

    @property
    def weights(self) -> np.ndarray:
        """Couplings (n_states, n_units, n_units)."""
        return self.coefficients[:, :, 1 : 1 + self.coefficients.shape[1]]

    @property
    def covariate_weights(self) -> np.ndarray:
        """Weights of covariates (n_states, n_units, n_covariates)."""
        return self.coefficients[:, :, 1 + self.coefficients.shape[1] :]

    def of_states(self, states: np.ndarray) -> Couplings:
        """These states alone, in this order."""
        return self._replace(coefficients=self.coefficients[states])


@dataclass
class PopulationData:
    """Counts (n_units, n_bins), their histories (n_basis, n_bins, n_units), and covariates.

    The last (n_bins, n_covariates) are in the precision of the histories.
    """

    counts: np.ndarray
    histories: np.ndarray
    covariates: np.ndarray
    constants: np.ndarray = field(init=False)
    _latest: tuple[np.ndarray, np.ndarray] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        # The part of the Poisson log-probability of every bin that no parameter changes.
        self.constants = -gammaln(self.counts.astype(np.float64) + 1.0).sum(axis=0)

    @property
    def n_observed(self) -> int:
        """Bins, none of which may be missing."""
        return self.counts.shape[1]

    @property
    def observed(self) -> np.ndarray:
        """Whether a bin is observed (n_bins,)."""
        return np.ones(self.n_observed, dtype=bool)

    @property
    def rounding(self) -> float:
        """What products in the precision of the features cannot resolve, in nats."""
        spikes = float(self.counts.sum(dtype=np.float64))
        return _ROUNDINGS[self.histories.dtype.name] * max(self.n_observed, spikes)

    def features(self, filters: np.ndarray) -> np.ndarray:
        """Ones, filtered histories and covariates; those of the last filters are kept."""
        if self._latest is None or not np.array_equal(self._latest[0], filters):
            mixed = self.histories[0]
            if len(self.histories) > 1:
                mixed = np.einsum("btn,nb->tn", self.histories, filters.astype(mixed.dtype))
            self._latest = filters, with_ones(mixed, self.covariates)
        return self._latest[1]


def with_ones(mixed: np.ndarray, covariates: np.ndarray) -> np.ndarray:
    """Features (n_bins, n_features) of a constant, filtered histories, and covariates."""
    ones = np.ones((len(mixed), 1), dtype=mixed.dtype)
    return np.concatenate([ones, mixed, covariates], axis=1)


class PopulationCounts(Observations[Couplings, PopulationData]):
    """Poisson counts of all units, with the priors of their couplings.

    Parameters
    ----------
    likelihood : int
        From ``_kernels.links.LIKELIHOODS``.
    prior : {"none", "gaussian", "one-hot"}
    scale : float
        Standard deviation of the Gaussian prior, or typical strength of the one-hot prior.
    sign_concentration : float
        Of the one-hot prior, see `one_hot_prior`.
    ridge : float
        Precision of a further Gaussian prior on couplings, around zero.
    covariate_ridge : float
        Precision of the Gaussian prior of covariates' weights, around zero.
    shared_intercept : bool
        Whether a unit has one intercept for all states.
    """

    def __init__(
        self,
        likelihood: int,
        *,
        prior: str,
        scale: float,
        ridge: float,
        shared_intercept: bool,
        sign_concentration: float = 0.0,
        covariate_ridge: float = 0.0,
    ) -> None:
        self.likelihood = likelihood
        self.prior = prior
        self.scale = scale
        self.sign_concentration = sign_concentration
        self.ridge = ridge
        self.covariate_ridge = covariate_ridge
        self.shared_intercept = shared_intercept

    def without_prior(self, ridge: float | None = None) -> PopulationCounts:
        """The same likelihood with a ridge alone, for starts."""
        plain = self.with_ridge(self.ridge if ridge is None else ridge)
        plain.prior = "none"
        return plain

    def with_ridge(self, ridge: float) -> PopulationCounts:
        """The same likelihood and prior with another ridge."""
        other = copy(self)
        other.ridge = ridge
        return other

    def start(self, design: PopulationData) -> Couplings:
        n_units, n_basis = len(design.counts), len(design.histories)
        return Couplings(
            np.zeros((1, n_units, 1 + n_units + design.covariates.shape[1])),
            np.full((n_units, n_basis), 1.0 / n_basis),
            np.full(3, 1.0 / 3.0),
        )

    def random_start(
        self, glm: Couplings, design: PopulationData, n_states: int, rng: np.random.Generator
    ) -> Couplings:
        # Independent weights of this deviation give the predictor one of _START_DEVIATION.
        n_units, n_covariates = len(design.counts), design.covariates.shape[1]
        variance = design.features(glm.filters)[:, 1 : 1 + n_units].var(axis=0).sum()
        deviation = _START_DEVIATION / np.sqrt(max(float(variance), 1e-6))
        start = glm._replace(coefficients=np.repeat(glm.coefficients, n_states, axis=0))
        start.weights[...] += rng.normal(0.0, deviation, start.weights.shape)
        # covariates have a deviation of one each
        deviation = _START_DEVIATION / np.sqrt(max(n_covariates, 1))
        start.covariate_weights[...] += rng.normal(0.0, deviation, start.covariate_weights.shape)
        return start

    def log_prob(self, emissions: Couplings, design: PopulationData) -> np.ndarray:
        unweighted = np.zeros((len(emissions.coefficients), design.n_observed))
        counts = self._counts(emissions.filters, design)
        return log_likelihoods(counts, emissions.coefficients, unweighted)[0] + design.constants

    def log_prior(self, emissions: Couplings, design: PopulationData) -> float:  # noqa: ARG002
        return self.weight_prior(emissions).log_density

    def weight_prior(self, emissions: Couplings) -> Prior:
        """The prior of all weights at their values, ridges included: couplings, then covariates."""
        weights, by_covariates = emissions.weights, emissions.covariate_weights
        if self.prior == "gaussian":
            main = gaussian_prior(weights, self.scale)
        elif self.prior == "one-hot":
            main = one_hot_prior(
                weights, emissions.sign_mix, self.scale, concentration=self.sign_concentration
            )
        else:
            main = Prior(0.0, np.zeros_like(weights), np.zeros_like(weights))
        # The product of two normal densities: precisions add up, centers are averaged by them.
        log_density = main.log_density - 0.5 * self.ridge * float((weights**2).sum())
        precision = main.precision + self.ridge
        center = np.divide(
            main.precision * main.center,
            precision,
            out=np.zeros(weights.shape),
            where=precision > 0,
        )
        # weights of covariates are normal around zero
        log_density -= 0.5 * self.covariate_ridge * float((by_covariates**2).sum())
        flat = np.full_like(by_covariates, self.covariate_ridge)
        return main._replace(
            log_density=log_density,
            precision=np.concatenate([precision, flat], axis=2),
            center=np.concatenate([center, np.zeros_like(flat)], axis=2),
        )

    def m_step(
        self, emissions: Couplings, design: PopulationData, resp: np.ndarray, log_prob: np.ndarray
    ) -> tuple[Couplings, np.ndarray]:
        """One Newton step of every unit, a few steps of the filters, and the sign mix.

        Bins of negligible responsibility are left out. Should what they lose be more than what the
        others gain, the step is repeated with every bin. Where a step cannot gain more than
        rounding, nothing changes.
        """
        before = self._expected(emissions, design, resp, log_prob)
        for negligible in (_NEGLIGIBLE, 0.0):
            kept = np.where(resp > negligible, resp, 0.0)
            updated, reached = self._update(emissions, design, kept)
            after = self._expected(updated, design, resp, reached)
            if after >= before:
                return updated, reached
        if before - after <= design.rounding:
            return emissions, log_prob
        return updated, reached  # a fall that is no rounding must show in the objective

    def _expected(
        self, emissions: Couplings, design: PopulationData, resp: np.ndarray, log_prob: np.ndarray
    ) -> float:
        """Expected log-probability and log-prior: what an M-step must not lower."""
        return float(np.vdot(resp, log_prob)) + self.log_prior(emissions, design)

    def _update(
        self, emissions: Couplings, design: PopulationData, resp: np.ndarray
    ) -> tuple[Couplings, np.ndarray]:
        prior = self.weight_prior(emissions)
        if prior.sign_draws is not None:
            emissions = emissions._replace(sign_mix=update_sign_mix(prior.sign_draws))
        coefficients, log_prob = self._newton_step(emissions, design, resp, prior)
        emissions = emissions._replace(coefficients=coefficients)
        if len(design.histories) > 1:
            filters = improve_filters(
                self.likelihood,
                design.counts,
                design.histories,
                emissions.filters,
                coefficients,
                resp,
                design.covariates,
            )
            emissions = emissions._replace(filters=filters)
            log_prob, _ = log_likelihoods(self._counts(filters, design), coefficients, resp)
        return emissions, log_prob + design.constants

    def _newton_step(
        self, emissions: Couplings, design: PopulationData, resp: np.ndarray, prior: Prior
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return better coefficients, and log-likelihoods without constants (K, T)."""
        old, counts = emissions.coefficients, self._counts(emissions.filters, design)
        # Gradient and Hessian of the likelihood, then of the prior's quadratic.
        found = [
            weighted_derivatives(counts, *of_state) for of_state in zip(old, resp, strict=True)
        ]
        gradient = np.stack([one.gradient for one in found])
        hessian = np.stack([one.hessian for one in found])
        gradient[:, :, 1:] -= prior.precision * (old[:, :, 1:] - prior.center)
        np.einsum("knii->kni", hessian)[:, :, 1:] += prior.precision
        direction = newton_direction(gradient, hessian, shared_intercept=self.shared_intercept)
        # What every line search must reach: a unit's own objective in one state, or, if states
        # share its intercept and hence its step size, in all of them.
        target = self._by_search(np.stack([one.value for one in found]) + _penalties(prior, old))
        target = target - _SHARE_OF_ROUNDING * design.rounding
        step_size = np.ones_like(target)
        for n_backtracks in range(_MAX_BACKTRACKS + 1):
            new = old + step_size[:, :, None] * direction
            log_prob, values = log_likelihoods(counts, new, resp)
            failed = ~(self._by_search(values + _penalties(prior, new)) >= target)
            if not failed.any():
                break
            step_size[failed] *= _BACKTRACK_FACTOR if n_backtracks < _MAX_BACKTRACKS - 1 else 0.0
        return new, log_prob

    def _by_search(self, values: np.ndarray) -> np.ndarray:
        """Objectives (K, n_units), summed over the states whose steps have one size."""
        return values.sum(axis=0, keepdims=True) if self.shared_intercept else values

    def _counts(self, filters: np.ndarray, design: PopulationData) -> CountDesign:
        return CountDesign(self.likelihood, design.counts, design.features(filters))


def _penalties(prior: Prior, coefficients: np.ndarray) -> np.ndarray:
    """The prior's quadratic (n_states, n_units), up to a constant."""
    return -0.5 * (prior.precision * (coefficients[:, :, 1:] - prior.center) ** 2).sum(axis=-1)


def _chunks(n: int) -> Iterator[slice]:
    for first in range(0, n, _CHUNK):
        yield slice(first, min(first + _CHUNK, n))


def log_likelihoods(
    design: CountDesign, coefficients: np.ndarray, resp: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Log-likelihoods of all bins in all states, without the constants -log(y!).

    Parameters
    ----------
    design : CountDesign
    coefficients : ndarray of shape (n_states, n_units, n_features)
    resp : ndarray of shape (n_states, n_bins)

    Returns
    -------
    log_prob : ndarray of shape (n_states, n_bins)
        Summed over units.
    sums : ndarray of shape (n_states, n_units)
        Summed over bins with the responsibilities as weights.
    """
    n_states, n_units, n_features = coefficients.shape
    table = coefficients.reshape(-1, n_features).astype(design.features.dtype)
    log_prob = np.empty((n_states, len(design.features)))
    sums = np.zeros((n_states, n_units))
    add_values = count_kernels(design.likelihood).add_values
    for rows in _chunks(len(design.features)):
        eta = table @ design.features[rows].T
        counts = np.ascontiguousarray(design.counts[:, rows])
        out = np.zeros((n_states, counts.shape[1]))
        add_values(counts, eta, np.ascontiguousarray(resp[:, rows]), out, sums)
        log_prob[:, rows] = out
    return log_prob, sums


def weighted_derivatives(
    design: CountDesign, coefficients: np.ndarray, resp: np.ndarray
) -> Derivatives:
    """Value, gradient and Hessian in one state; bins of weight zero cost nothing.

    The diagonal of the Hessian is summed over all bins, and the correlations beside it over evenly
    spaced ones: that gives as good a Newton direction at a fraction of the products.

    Parameters
    ----------
    design : CountDesign
    coefficients : ndarray of shape (n_units, n_features)
    resp : ndarray of shape (n_bins,)
    """
    table = coefficients.astype(design.features.dtype)
    n_units, n_features = table.shape
    value, gradient = np.zeros(n_units), np.zeros(table.shape)
    diagonal = np.zeros(table.shape)
    responsible = np.flatnonzero(resp)
    stride = max(1, len(responsible) // (_SAMPLED_BINS_PER_FEATURE * n_features))
    samples = [(design.features[:0].T, np.empty((n_units, 0), table.dtype))]
    for part in _chunks(len(responsible)):
        rows = responsible[part]
        features = design.features[rows]
        counts = np.ascontiguousarray(design.counts[:, rows])
        eta = table @ features.T
        # Derivatives by the predictor of every bin, then by the coefficients (chain rule).
        by_eta, hessians = np.empty_like(eta), np.empty_like(eta)
        count_kernels(design.likelihood).add_derivatives(
            counts, eta, resp[rows].astype(eta.dtype), by_eta, hessians, value
        )
        gradient += by_eta @ features
        diagonal += hessians @ (features * features)
        samples.append((features[::stride].T, hessians[:, ::stride]))
    # X^T diag(h) X over the sampled bins, brought to the scale of the exact diagonal.
    sampled, hessians = (np.concatenate(parts, axis=1) for parts in zip(*samples, strict=True))
    matrices = np.stack([(sampled * own) @ sampled.T for own in hessians]).astype(np.float64)
    return Derivatives(value, gradient, _with_diagonal(matrices, diagonal))


def gradient_by_history(
    design: CountDesign, coefficients: np.ndarray, resp: np.ndarray
) -> tuple[float, np.ndarray]:
    """The weighted log-likelihood, and its gradient by the histories in every bin.

    Parameters
    ----------
    design, coefficients, resp
        As for `log_likelihoods`.

    Returns
    -------
    value : float
    by_feature : ndarray of shape (n_bins, n_features - 1)
    """
    by_feature = np.zeros((resp.shape[1], coefficients.shape[2] - 1), design.features.dtype)
    sums = np.zeros(coefficients.shape[1])
    add_derivatives = count_kernels(design.likelihood).add_derivatives
    for own, weights in zip(coefficients.astype(design.features.dtype), resp, strict=True):
        responsible = np.flatnonzero(weights)
        for part in _chunks(len(responsible)):
            rows = responsible[part]
            eta = own @ design.features[rows].T
            by_eta, unused = np.empty_like(eta), np.empty_like(eta)
            counts = np.ascontiguousarray(design.counts[:, rows])
            add_derivatives(counts, eta, weights[rows].astype(eta.dtype), by_eta, unused, sums)
            by_feature[rows] += by_eta.T @ own[:, 1:]
    return float(sums.sum()), by_feature


def _with_diagonal(matrices: np.ndarray, diagonal: np.ndarray) -> np.ndarray:
    """Matrices with their correlations kept and their diagonal replaced."""
    own = np.einsum("nii->ni", matrices)
    scale = np.sqrt(np.divide(diagonal, own, out=np.zeros_like(own), where=own > 0))
    scaled = matrices * scale[:, :, None] * scale[:, None, :]
    np.einsum("nii->ni", scaled)[:] = diagonal
    return scaled


def newton_direction(
    gradient: np.ndarray, hessian: np.ndarray, *, shared_intercept: bool
) -> np.ndarray:
    """Newton's direction for every state and unit.

    Parameters
    ----------
    gradient : ndarray of shape (n_states, n_units, n_features)
    hessian : ndarray of shape (n_states, n_units, n_features, n_features)
        Hessian of minus the objective.
    shared_intercept : bool
        Whether the first coefficient of a unit is one number for all states. The others are then
        eliminated from its equation (Schur complement).

    Returns
    -------
    ndarray of shape (n_states, n_units, n_features)
    """
    n_features = gradient.shape[-1]
    # Damping: relative to each feature, to the largest one (for features that are silent), and
    # absolute (for states that no bin belongs to). It changes the way, not the maximum.
    diagonal = np.einsum("knii->kni", hessian)
    damping = 1e-6 * diagonal + 1e-8 * diagonal.max(axis=-1, keepdims=True) + 1e-12
    damped = hessian + damping[..., None] * np.eye(n_features)
    if not shared_intercept:
        return np.linalg.solve(damped, gradient[..., None])[..., 0]
    # Weights for a fixed intercept, and how they answer to a unit change of it.
    by_weights, mixed = gradient[..., 1:], damped[..., 1:, 0]
    both = np.linalg.solve(damped[..., 1:, 1:], np.stack([by_weights, mixed], axis=-1))
    alone, answer = both[..., 0], both[..., 1]
    # The equation that is left for the intercept, summed over the states that share it.
    rest = (gradient[..., 0] - (mixed * alone).sum(axis=-1)).sum(axis=0)
    schur = (damped[..., 0, 0] - (mixed * answer).sum(axis=-1)).sum(axis=0)
    change = rest / np.maximum(schur, 1e-12)
    direction = np.empty_like(gradient)
    direction[..., 0] = change
    direction[..., 1:] = alone - answer * change[None, :, None]
    return direction


def filter_value_and_gradient(
    logits: np.ndarray,
    likelihood: int,
    counts: np.ndarray,
    histories: np.ndarray,
    coefficients: np.ndarray,
    resp: np.ndarray,
    covariates: np.ndarray,
) -> tuple[float, np.ndarray]:
    """The expected log-likelihood as a function of ``log c``, with c normalized, and its gradient.

    Parameters
    ----------
    logits : ndarray of shape (n_units, n_basis)
    likelihood, counts, histories
        As in `PopulationCounts` and `PopulationData`.
    coefficients : ndarray of shape (n_states, n_units, 1 + n_units + n_covariates)
    resp : ndarray of shape (n_states, n_bins)
        Zero where a bin is to be left out.
    covariates : ndarray of shape (n_bins, n_covariates)
    """
    mix = softmax(logits, axis=1)
    mixed = np.einsum("btn,nb->tn", histories, mix.astype(histories.dtype))
    features = with_ones(mixed, covariates)
    value, by_feature = gradient_by_history(
        CountDesign(likelihood, counts, features), coefficients, resp
    )
    # From features to proportions, and from these to logits (the Jacobian of softmax).
    by_history = by_feature[:, : histories.shape[2]]
    by_mix = np.einsum("btn,tn->nb", histories, by_history, dtype=np.float64)
    inner = (by_mix * mix).sum(axis=1, keepdims=True)
    return value, mix * (by_mix - inner)


def improve_filters(
    likelihood: int,
    counts: np.ndarray,
    histories: np.ndarray,
    filters: np.ndarray,
    coefficients: np.ndarray,
    resp: np.ndarray,
    covariates: np.ndarray,
) -> np.ndarray:
    """A few steps of L-BFGS from ``filters (n_units, n_basis)``; never worse than these."""
    n_bins = counts.shape[1]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = filter_value_and_gradient(
            flat.reshape(filters.shape),
            likelihood,
            counts,
            histories,
            coefficients,
            resp,
            covariates,
        )
        return -value / n_bins, -gradient.ravel() / n_bins

    start = np.log(np.maximum(filters, _SMALLEST_MIX)).ravel()
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": _FILTER_STEPS})
    if not found.fun < loss(start)[0]:
        return filters
    return softmax(found.x.reshape(filters.shape), axis=1)
