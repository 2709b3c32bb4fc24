r"""Families whose outputs are independent given the state, each with one linear predictor.

Bernoulli with a logistic link, Poisson with a logarithmic one, and the negative binomial with mean
:math:`\mu = e^\eta` and variance :math:`\mu + d \mu^2`, where d is the dispersion. Its formulas are
written with :math:`r = 1 / d`, as textbooks have them.

Rates of counts have a gamma prior, written as what its pseudo-observations would add to the
log-likelihood: in each of the K states c bins of :math:`\bar y` spikes at the mean input
:math:`\bar x`,

.. math::
    \log p(w, b) = \sum_k c \big[\bar y\, \eta_k - e^{\eta_k}\big] + \text{const},
    \qquad \eta_k = b_k + w_k \cdot \bar x, \quad c = \text{rate\_prior} \cdot n / K .

Without inputs this is a gamma density of the rate, of shape :math:`c \bar y` on the logarithmic
scale, and the M-step's rate is (spikes + c ybar) / (bins + c). At the mean input, and not at zero,
the prior does not change if a constant is added to an input. It is concave in the weights, so that
it adds to the gradient :math:`c (\bar y - e^\eta)\, \bar x` and to the Hessian of a Newton step
:math:`c\, e^\eta\, \bar x \bar x^T`.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Self

import numpy as np
from scipy.special import digamma, expit, gammaln, polygamma

from neuroml.exceptions import DataError
from neuroml.switching._kernels.links import LIKELIHOODS, Kernels, kernels
from neuroml.switching._observations.base import Design, Emissions, NewtonFamily, refuse_targets

__all__ = ["Bernoulli", "NegativeBinomial", "Poisson"]

_LARGEST_DRAWN_MEAN = 1e12  # numpy draws no Poisson number above 9e18; float64 counts end at 9e15
# At 1e-6 the distribution is a Poisson distribution for every mean that data can tell (the variance
# of a mean of 1000 is 1001); at 1e3 nearly all counts are zero.
_SMALLEST_DISPERSION, _LARGEST_DISPERSION = 1e-6, 1e3
# Where r may start, whatever the moments of the data say: within it a few Newton steps, each at
# most by a factor of e, reach any dispersion that data can tell.
_START_SIZES = (0.1, 100.0)
_LARGEST_LOG_RATE = 600.0  # exp(600) times any number of bins is still finite


class _ScalarFamily(NewtonFamily):
    """Weights by Newton steps, for each state and output by itself."""

    likelihood: str

    @abstractmethod
    def intercept(self, mean: np.ndarray, n: np.ndarray) -> np.ndarray:
        """Predictor for a mean over n observations, kept away from the border of the possible."""

    @abstractmethod
    def constants(self, noise: np.ndarray, targets: np.ndarray) -> np.ndarray | float:
        """The part of the log-probability (K or 1, T) that the predictor does not change."""

    @property
    def _kernels(self) -> Kernels:
        return kernels(LIKELIHOODS[self.likelihood])

    def start(self, design: Design) -> Emissions:
        n_outputs = len(design.targets)
        weights = np.zeros((1, n_outputs, len(design.inputs)))
        if design.has_intercept:
            weights[0, :, -1] = self.intercept(design.mean_targets, design.n_seen)
        return Emissions(weights, np.ones((1, n_outputs)))

    def at_mean_input(
        self,
        emissions: Emissions,
        design: Design,  # noqa: ARG002
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Log-prior of the predictor at the mean input, and two derivatives, each (K, M).

        The second has its sign turned. Zero for families without such a prior.
        """
        nothing = np.zeros(emissions.weights.shape[:2])
        return nothing, nothing, nothing

    def log_priors(self, emissions: Emissions, design: Design) -> np.ndarray:
        of_rates, *_ = self.at_mean_input(emissions, design)
        return super().log_priors(emissions, design) + of_rates.sum(axis=1)

    def log_prob(self, emissions: Emissions, design: Design) -> np.ndarray:
        n_states, _, n_inputs = emissions.weights.shape
        eta = emissions.weights.reshape(-1, n_inputs) @ design.inputs
        out = np.zeros((n_states, design.inputs.shape[1]))
        self._kernels.add_values(design.targets, eta, 1.0 / emissions.noise, out)
        out += self.constants(emissions.noise, design.targets)
        return out

    def curvature(
        self, emissions: Emissions, design: Design, resp: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        of_weights = np.diag(self.precision(design))
        _, by_mean, hessian_by_mean = self.at_mean_input(emissions, design)
        gradient = by_mean[:, :, None] * design.mean_inputs - emissions.weights @ of_weights
        at_mean = np.outer(design.mean_inputs, design.mean_inputs)
        hessian = of_weights + hessian_by_mean[:, :, None, None] * at_mean
        for k in range(len(gradient)):
            # Derivatives by the predictor of every bin, then by the weights.
            by_eta, of_bins = self._derivatives(emissions, design, resp, k)
            gradient[k] += by_eta @ design.inputs.T
            for m, of_output in enumerate(of_bins):
                hessian[k, m] += (design.inputs * of_output) @ design.inputs.T
        return gradient, hessian

    def gradient(
        self, emissions: Emissions, design: Design, resp: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        gradients = [
            self._derivatives(emissions, design, resp, k)[0] @ design.inputs.T
            for k in range(len(emissions.weights))
        ]
        _, by_mean, _ = self.at_mean_input(emissions, design)
        by_priors = by_mean[:, :, None] * design.mean_inputs
        by_priors -= self.precision(design) * emissions.weights
        return np.stack(gradients) + by_priors, np.empty(0)

    def _derivatives(
        self, emissions: Emissions, design: Design, resp: np.ndarray, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        eta = emissions.weights[k] @ design.inputs
        by_eta, hessians = np.empty_like(eta), np.empty_like(eta)
        self._kernels.weighted_derivatives(
            design.targets,
            eta,
            1.0 / emissions.noise[k],
            resp[k],
            by_eta,
            hessians,
        )
        return by_eta, hessians


class Bernoulli(_ScalarFamily):
    """Outputs 0 or 1."""

    likelihood = "bernoulli"

    def intercept(self, mean: np.ndarray, n: np.ndarray) -> np.ndarray:
        rate = (mean * n + 0.5) / (n + 1.0)
        return np.log(rate / (1.0 - rate))

    def constants(self, noise: np.ndarray, targets: np.ndarray) -> np.ndarray | float:  # noqa: ARG002
        return 0.0

    def mean(self, emissions: Emissions, design: Design) -> np.ndarray:
        return np.asarray(expit(emissions.weights @ design.inputs))

    def draw(
        self,
        emissions: Emissions,
        states: np.ndarray,
        design: Design,
        rng: np.random.Generator,
    ) -> np.ndarray:
        rate = expit(_predictor(emissions, states, design.inputs))
        return (rng.random(rate.shape) < rate).astype(np.float64)


class Poisson(_ScalarFamily):
    """Counts whose variance is their mean.

    Parameters
    ----------
    ridge : float
    rate_prior : float
        Weight of the rates' prior: its share of the observed bins, which the states divide.
    """

    likelihood = "poisson exp"

    def __init__(self, ridge: float = 0.0, rate_prior: float = 0.0) -> None:
        super().__init__(ridge)
        self.rate_prior = rate_prior

    def without_prior(self) -> Self:
        flat = super().without_prior()
        flat.rate_prior = 0.0
        return flat

    def of_cohort(self) -> Self:
        shared = super().of_cohort()
        shared.rate_prior = 0.0  # bins of every subject have their own
        return shared

    def at_mean_input(
        self, emissions: Emissions, design: Design
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        bins = self.rate_prior * design.n_seen / len(emissions.weights)
        mean_rate = np.exp(self.intercept(design.mean_targets, np.maximum(design.n_seen, 1)))
        eta = np.minimum(emissions.weights @ design.mean_inputs, _LARGEST_LOG_RATE)
        predicted = bins * np.exp(eta)
        return bins * mean_rate * eta - predicted, bins * mean_rate - predicted, predicted

    def check(self, targets: np.ndarray) -> None:
        bad = ~(np.isnan(targets) | ((targets >= 0) & (targets == np.floor(targets))))
        refuse_targets("y is not made of counts", "whole numbers >= 0", bad, targets)

    def intercept(self, mean: np.ndarray, n: np.ndarray) -> np.ndarray:
        return np.log(mean + 0.5 / n)

    def mean(self, emissions: Emissions, design: Design) -> np.ndarray:
        return np.asarray(np.exp(np.minimum(emissions.weights @ design.inputs, _LARGEST_LOG_RATE)))

    def constants(self, noise: np.ndarray, targets: np.ndarray) -> np.ndarray | float:  # noqa: ARG002
        return -np.nan_to_num(gammaln(targets + 1.0)).sum(axis=0)

    def draw(
        self,
        emissions: Emissions,
        states: np.ndarray,
        design: Design,
        rng: np.random.Generator,
    ) -> np.ndarray:
        return rng.poisson(_mean_count(emissions, states, design.inputs)).astype(np.float64)


class NegativeBinomial(Poisson):
    """Counts that vary more than their mean; the noise is the dispersion (K, M)."""

    likelihood = "negative_binomial"

    def start(self, design: Design) -> Emissions:
        emissions = super().start(design)
        mean, variance = np.nanmean(design.targets, axis=1), np.nanvar(design.targets, axis=1)
        # From variance = mean + mean^2 / r.
        r = mean**2 / np.maximum(variance - mean, 0.01 * mean**2 + 1e-9)
        return emissions._replace(noise=1.0 / np.clip(r, *_START_SIZES)[None])

    def given_noise(self, noise: np.ndarray | None, weights: np.ndarray) -> np.ndarray:
        noise = super().given_noise(noise, weights)
        if not (noise > 0).all():
            raise DataError(
                "dispersions are not positive",
                expected="> 0",
                found=f"minimum {noise.min():.4g}",
                field="dispersions",
            )
        return noise

    def constants(self, noise: np.ndarray, targets: np.ndarray) -> np.ndarray | float:
        total = np.zeros((len(noise), targets.shape[1]))
        for m, y in enumerate(targets):
            counts, where = np.unique(y, return_inverse=True)
            r = 1.0 / noise[:, m, None]
            table = gammaln(counts + r) - gammaln(r) - gammaln(counts + 1.0) - counts * np.log(r)
            total += np.nan_to_num(table)[:, where]
        return total

    def newton_direction(self, emissions: Emissions, design: Design, resp: np.ndarray) -> Emissions:
        weights = super().newton_direction(emissions, design, resp).weights
        if "noise" in self.held:
            return Emissions(weights, np.zeros_like(emissions.noise))
        gradient, hessian = self._log_dispersion_derivatives(emissions, design, resp)
        # Newton where the objective is concave, uphill elsewhere; at most by a factor of e.
        step = np.where(hessian < 0, -gradient / np.minimum(hessian, -1e-12), np.sign(gradient))
        before = np.log(emissions.noise)
        reached = np.clip(
            before + np.clip(step, -1.0, 1.0),
            np.log(_SMALLEST_DISPERSION),
            np.log(_LARGEST_DISPERSION),
        )
        return Emissions(weights, reached - before)

    def gradient(
        self, emissions: Emissions, design: Design, resp: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        weights, _ = super().gradient(emissions, design, resp)
        by_log_dispersion, _ = self._log_dispersion_derivatives(emissions, design, resp)
        return weights, by_log_dispersion.ravel()

    def free_noise(self, noise: np.ndarray) -> np.ndarray:
        return np.log(noise).ravel()

    def noise_from_free(self, vector: np.ndarray, like: np.ndarray) -> np.ndarray:
        return np.exp(vector).reshape(like.shape)

    def draw(
        self,
        emissions: Emissions,
        states: np.ndarray,
        design: Design,
        rng: np.random.Generator,
    ) -> np.ndarray:
        r = 1.0 / emissions.noise[states].T
        rate = rng.gamma(r, _mean_count(emissions, states, design.inputs) / r)
        return rng.poisson(np.minimum(rate, _LARGEST_DRAWN_MEAN)).astype(np.float64)

    def _log_dispersion_derivatives(
        self, emissions: Emissions, design: Design, resp: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """First and second derivative by the logarithm of the dispersion (K, M)."""
        gradient, hessian = np.zeros_like(emissions.noise), np.zeros_like(emissions.noise)
        for m, y in enumerate(design.targets):
            seen = ~np.isnan(y)
            counts, where = np.unique(y[seen], return_inverse=True)
            for k, weight in enumerate(resp[:, seen]):
                r = 1.0 / emissions.noise[k, m]
                mean = np.exp(np.minimum(emissions.weights[k, m] @ design.inputs[:, seen], 700.0))
                ratio = (y[seen] + r) / (mean + r)
                # By r: the gamma functions once for every count that occurs, then the mean's part.
                first = (digamma(counts + r) - digamma(r))[where]
                first += np.log(r) - np.log(mean + r) + 1.0 - ratio
                second = (polygamma(1, counts + r) - polygamma(1, r))[where]
                second += 1.0 / r - (2.0 - ratio) / (mean + r)
                # By log d = -log r: the sign of the first derivative turns.
                gradient[k, m] = -r * (weight @ first)
                hessian[k, m] = -gradient[k, m] + r * r * (weight @ second)
        return gradient, hessian


def _predictor(emissions: Emissions, states: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """Linear predictor (M, T) in the state that each bin is in."""
    return np.einsum("tmf,ft->mt", emissions.weights[states], inputs)


def _mean_count(emissions: Emissions, states: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    eta = _predictor(emissions, states, inputs)
    return np.exp(np.minimum(eta, np.log(_LARGEST_DRAWN_MEAN)))
