r"""Families whose outputs are independent given the state, each with one linear predictor.

Bernoulli with a logistic link, Poisson with a logarithmic one, and the negative binomial with mean
:math:`\mu = e^\eta` and variance :math:`\mu + \mu^2 / r`.
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from scipy.special import digamma, expit, gammaln, polygamma

from neuroml.switching._emissions import Design, Emissions, NewtonFamily, refuse_targets
from neuroml.switching._pointwise import KINDS, Loops, loops

__all__ = ["Bernoulli", "NegativeBinomial", "Poisson"]

_JITTER = 1e-9
_LARGEST_DRAWN_MEAN = 1e12
_LEAST_DISPERSION, _LARGEST_DISPERSION = 1e-3, 1e6


class _ScalarFamily(NewtonFamily):
    """Weights by Newton steps, for each state and output by itself."""

    kind: str

    @abstractmethod
    def intercept(self, mean: np.ndarray, n: np.ndarray) -> np.ndarray:
        """Predictor for a mean over n observations, kept away from the border of the possible."""

    @abstractmethod
    def constants(self, spread: np.ndarray, targets: np.ndarray) -> np.ndarray | float:
        """The part of the log-probability (K or 1, T) that the predictor does not change."""

    @property
    def _loops(self) -> Loops:
        return loops(KINDS[self.kind])

    def start(self, design: Design) -> Emissions:
        n = (~np.isnan(design.targets)).sum(axis=1)
        mean = np.nansum(design.targets, axis=1) / n
        weights = np.zeros((1, len(mean), len(design.inputs)))
        if design.has_intercept:
            weights[0, :, -1] = self.intercept(mean, n)
        return Emissions(weights, np.ones((1, len(mean))))

    def values(self, emissions: Emissions, design: Design) -> np.ndarray:
        n_states, _, n_inputs = emissions.weights.shape
        eta = emissions.weights.reshape(-1, n_inputs) @ design.inputs
        out = np.zeros((n_states, design.inputs.shape[1]))
        self._loops.add_values(design.targets, eta, emissions.spread, out)
        out += self.constants(emissions.spread, design.targets)
        return out

    def direction(self, emissions: Emissions, design: Design, posterior: np.ndarray) -> Emissions:
        precision = self.precision(design)
        steps = np.empty_like(emissions.weights)
        for k in range(len(steps)):
            slopes, curvatures = self._derivatives(emissions, design, posterior, k)
            gradient = slopes @ design.inputs.T - precision * emissions.weights[k]
            for m, curvature in enumerate(curvatures):
                hessian = (design.inputs * curvature) @ design.inputs.T + np.diag(precision)
                diagonal = np.einsum("ff->f", hessian)
                diagonal += _JITTER * (1e-3 + diagonal)
                steps[k, m] = np.linalg.solve(hessian, gradient[m])
        return Emissions(steps, np.zeros_like(emissions.spread))

    def gradient(
        self, emissions: Emissions, design: Design, posterior: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        slopes = [
            self._derivatives(emissions, design, posterior, k)[0] @ design.inputs.T
            for k in range(len(emissions.weights))
        ]
        return np.stack(slopes) - self.precision(design) * emissions.weights, np.empty(0)

    def _derivatives(
        self, emissions: Emissions, design: Design, posterior: np.ndarray, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        eta = emissions.weights[k] @ design.inputs
        slopes, curvatures = np.empty_like(eta), np.empty_like(eta)
        self._loops.weighted_derivatives(
            design.targets,
            eta,
            emissions.spread[k],
            posterior[k],
            slopes,
            curvatures,
        )
        return slopes, curvatures


class Bernoulli(_ScalarFamily):
    """Outputs 0 or 1."""

    kind = "bernoulli"

    def check(self, targets: np.ndarray) -> None:
        bad = ~(np.isnan(targets) | (targets == 0) | (targets == 1))
        refuse_targets("y is not binary", "0 or 1", bad, targets)

    def intercept(self, mean: np.ndarray, n: np.ndarray) -> np.ndarray:
        share = (mean * n + 0.5) / (n + 1.0)
        return np.log(share / (1.0 - share))

    def constants(self, spread: np.ndarray, targets: np.ndarray) -> np.ndarray | float:  # noqa: ARG002
        return 0.0

    def draw(
        self,
        emissions: Emissions,
        states: np.ndarray,
        inputs: np.ndarray,
        rng: np.random.Generator,
    ) -> np.ndarray:
        share = expit(_predictor(emissions, states, inputs))
        return (rng.random(share.shape) < share).astype(np.float64)


class Poisson(_ScalarFamily):
    """Counts whose variance is their mean."""

    kind = "poisson exp"

    def check(self, targets: np.ndarray) -> None:
        bad = ~(np.isnan(targets) | ((targets >= 0) & (targets == np.floor(targets))))
        refuse_targets("y is not made of counts", "whole numbers >= 0", bad, targets)

    def intercept(self, mean: np.ndarray, n: np.ndarray) -> np.ndarray:
        return np.log(mean + 0.5 / n)

    def constants(self, spread: np.ndarray, targets: np.ndarray) -> np.ndarray | float:  # noqa: ARG002
        return -np.nan_to_num(gammaln(targets + 1.0)).sum(axis=0)

    def draw(
        self,
        emissions: Emissions,
        states: np.ndarray,
        inputs: np.ndarray,
        rng: np.random.Generator,
    ) -> np.ndarray:
        return rng.poisson(_mean_count(emissions, states, inputs)).astype(np.float64)


class NegativeBinomial(Poisson):
    """Counts that vary more than their mean; the spread is r (K, M), large for Poisson's."""

    kind = "negative_binomial"

    def start(self, design: Design) -> Emissions:
        emissions = super().start(design)
        mean, variance = np.nanmean(design.targets, axis=1), np.nanvar(design.targets, axis=1)
        r = mean**2 / np.maximum(variance - mean, 0.01 * mean**2 + 1e-9)
        return emissions._replace(spread=np.clip(r, 0.1, 100.0)[None])

    def constants(self, spread: np.ndarray, targets: np.ndarray) -> np.ndarray | float:
        total = np.zeros((len(spread), targets.shape[1]))
        for m, y in enumerate(targets):
            counts, where = np.unique(y, return_inverse=True)
            r = spread[:, m, None]
            table = gammaln(counts + r) - gammaln(r) - gammaln(counts + 1.0) - counts * np.log(r)
            total += np.nan_to_num(table)[:, where]
        return total

    def direction(self, emissions: Emissions, design: Design, posterior: np.ndarray) -> Emissions:
        weights = super().direction(emissions, design, posterior).weights
        slope, curvature = self._log_dispersion_derivatives(emissions, design, posterior)
        step = np.where(curvature < 0, -slope / np.minimum(curvature, -1e-12), np.sign(slope))
        log_r = np.log(emissions.spread)
        reached = np.clip(
            log_r + np.clip(step, -1.0, 1.0),
            np.log(_LEAST_DISPERSION),
            np.log(_LARGEST_DISPERSION),
        )
        return Emissions(weights, reached - log_r)

    def gradient(
        self, emissions: Emissions, design: Design, posterior: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        weights, _ = super().gradient(emissions, design, posterior)
        slope, _ = self._log_dispersion_derivatives(emissions, design, posterior)
        return weights, slope.ravel()

    def free_spread(self, spread: np.ndarray) -> np.ndarray:
        return np.log(spread).ravel()

    def spread_from_free(self, vector: np.ndarray, like: np.ndarray) -> np.ndarray:
        return np.exp(vector).reshape(like.shape)

    def draw(
        self,
        emissions: Emissions,
        states: np.ndarray,
        inputs: np.ndarray,
        rng: np.random.Generator,
    ) -> np.ndarray:
        r = emissions.spread[states].T
        rate = rng.gamma(r, _mean_count(emissions, states, inputs) / r)
        return rng.poisson(np.minimum(rate, _LARGEST_DRAWN_MEAN)).astype(np.float64)

    def _log_dispersion_derivatives(
        self, emissions: Emissions, design: Design, posterior: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """First and second derivative by log r (K, M)."""
        slope, curvature = np.zeros_like(emissions.spread), np.zeros_like(emissions.spread)
        for m, y in enumerate(design.targets):
            seen = ~np.isnan(y)
            counts, where = np.unique(y[seen], return_inverse=True)
            for k, weight in enumerate(posterior[:, seen]):
                r = emissions.spread[k, m]
                mean = np.exp(np.minimum(emissions.weights[k, m] @ design.inputs[:, seen], 700.0))
                share = (y[seen] + r) / (mean + r)
                first = (digamma(counts + r) - digamma(r))[where]
                first += np.log(r) - np.log(mean + r) + 1.0 - share
                second = (polygamma(1, counts + r) - polygamma(1, r))[where]
                second += 1.0 / r - (2.0 - share) / (mean + r)
                slope[k, m] = r * (weight @ first)
                curvature[k, m] = slope[k, m] + r * r * (weight @ second)
        return slope, curvature


def _predictor(emissions: Emissions, states: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """Of the state that each bin is in (M, T)."""
    return np.einsum("tmf,ft->mt", emissions.weights[states], inputs)


def _mean_count(emissions: Emissions, states: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    eta = _predictor(emissions, states, inputs)
    return np.exp(np.minimum(eta, np.log(_LARGEST_DRAWN_MEAN)))
