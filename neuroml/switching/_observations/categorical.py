"""Choices among several alternatives: multinomial logistic regression per state."""

from __future__ import annotations

import numpy as np
from scipy.special import log_softmax

from neuroml.switching._observations.base import Design, Emissions, NewtonFamily

__all__ = ["Categorical"]


class Categorical(NewtonFamily):
    """One output 0, 1, ..., C - 1; weights (K, C - 1, F) of all classes but 0, against class 0."""

    max_outputs = 1

    def __init__(self, ridge: float = 0.0, n_classes: int = 2) -> None:
        super().__init__(ridge)
        self.n_classes = n_classes

    def start(self, design: Design) -> Emissions:
        labels = design.targets[0][design.observed].astype(int)
        counts = np.bincount(labels, minlength=self.n_classes) + 0.5
        weights = np.zeros((1, self.n_classes - 1, len(design.inputs)))
        if design.has_intercept:
            weights[0, :, -1] = np.log(counts[1:] / counts[0])
        return Emissions(weights, np.empty((1, 0)))

    def log_prob(self, emissions: Emissions, design: Design) -> np.ndarray:
        labels, seen = self._labels(design), design.observed
        out = np.zeros((len(emissions.weights), len(seen)))
        for k, weights in enumerate(emissions.weights):
            log_probabilities = _log_probabilities(weights, design.inputs)
            out[k] = np.where(seen, log_probabilities[labels, np.arange(len(seen))], 0.0)
        return out

    def curvature(
        self, emissions: Emissions, design: Design, resp: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        gradient, _ = self.gradient(emissions, design, resp)
        n_states, n_free, n_inputs = emissions.weights.shape
        observed = resp * design.observed
        hessian = np.empty((n_states, n_free, n_inputs, n_free, n_inputs))
        for k in range(n_states):
            probabilities = np.exp(_log_probabilities(emissions.weights[k], design.inputs))[1:]
            # Block (a, b) of the Hessian: X diag(p_a (1[a = b] - p_b)) X^T; then the prior.
            for a in range(n_free):
                for b in range(n_free):
                    of_bins = probabilities[a] * (float(a == b) - probabilities[b])
                    hessian[k, a, :, b] = (
                        design.inputs * (observed[k] * of_bins)
                    ) @ design.inputs.T
        blocks = hessian.reshape(n_states, 1, n_free * n_inputs, n_free * n_inputs)
        return gradient, blocks + self.ridge_blocks(emissions, design)

    def ridge_blocks(self, emissions: Emissions, design: Design) -> np.ndarray:
        n_states, n_free, _ = emissions.weights.shape
        blocks = np.diag(np.tile(self.precision(design), n_free))
        return np.broadcast_to(blocks, (n_states, 1, *blocks.shape))

    def gradient(
        self, emissions: Emissions, design: Design, resp: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        labels, observed = self._labels(design), resp * design.observed
        gradient = -self.precision(design) * emissions.weights
        for k, weights in enumerate(emissions.weights):
            residual = -np.exp(_log_probabilities(weights, design.inputs))
            residual[labels, np.arange(len(labels))] += 1.0
            gradient[k] += (residual[1:] * observed[k]) @ design.inputs.T
        return gradient, np.empty(0)

    def mean(self, emissions: Emissions, design: Design) -> np.ndarray:
        every = [_log_probabilities(weights, design.inputs) for weights in emissions.weights]
        return np.exp(np.stack(every))

    def draw(
        self,
        emissions: Emissions,
        states: np.ndarray,
        design: Design,
        rng: np.random.Generator,
    ) -> np.ndarray:
        eta = np.einsum("tcf,ft->ct", emissions.weights[states], design.inputs)
        eta = np.vstack([np.zeros(len(states)), eta])
        return (eta + rng.gumbel(size=eta.shape)).argmax(axis=0)[None].astype(np.float64)

    def given_noise(self, noise: np.ndarray | None, weights: np.ndarray) -> np.ndarray:
        return np.empty((len(weights), 0)) if noise is None else noise

    def unit(self, design: Design) -> np.ndarray:  # noqa: ARG002
        return np.ones(self.n_classes - 1)

    def _labels(self, design: Design) -> np.ndarray:
        return np.nan_to_num(design.targets[0]).astype(int)


def _log_probabilities(weights: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """Log-probability of every class (C, T)."""
    return log_softmax(np.vstack([np.zeros(inputs.shape[1]), weights @ inputs]), axis=0)
