"""Choices among several alternatives: multinomial logistic regression per state."""

from __future__ import annotations

import numpy as np
from scipy.special import log_softmax

from neuroml._core.validation import list_some
from neuroml.exceptions import DataError
from neuroml.switching._emissions import Design, Emissions, NewtonFamily, refuse_targets

__all__ = ["Categorical"]

_JITTER = 1e-9


class Categorical(NewtonFamily):
    """One output 0, 1, ..., C - 1; weights (K, C - 1, F) of all classes but 0, against class 0."""

    def __init__(self, ridge: float = 0.0, n_classes: int | None = None) -> None:
        super().__init__(ridge)
        self.n_classes = n_classes

    def check(self, targets: np.ndarray) -> None:
        top = np.inf if self.n_classes is None else self.n_classes
        known = (targets >= 0) & (targets < top) & (targets == np.floor(targets))
        classes = "0, 1, ..." if self.n_classes is None else f"0 to {self.n_classes - 1}"
        refuse_targets(
            "y is not made of class labels", classes, ~(np.isnan(targets) | known), targets
        )
        if self.n_classes is None and known.any():
            _check_no_gap(targets[known])

    def start(self, design: Design) -> Emissions:
        n_classes = self._n_classes(design)
        labels = design.targets[0][design.observed].astype(int)
        counts = np.bincount(labels, minlength=n_classes) + 0.5
        weights = np.zeros((1, n_classes - 1, len(design.inputs)))
        if design.has_intercept:
            weights[0, :, -1] = np.log(counts[1:] / counts[0])
        return Emissions(weights, np.empty((1, 0)))

    def values(self, emissions: Emissions, design: Design) -> np.ndarray:
        labels, seen = self._labels(design), design.observed
        out = np.zeros((len(emissions.weights), len(seen)))
        for k, weights in enumerate(emissions.weights):
            log_shares = _log_shares(weights, design.inputs)
            out[k] = np.where(seen, log_shares[labels, np.arange(len(seen))], 0.0)
        return out

    def direction(self, emissions: Emissions, design: Design, posterior: np.ndarray) -> Emissions:
        gradient, _ = self.gradient(emissions, design, posterior)
        n_states, n_free, n_inputs = emissions.weights.shape
        steps = np.empty_like(emissions.weights)
        owned = posterior * design.observed
        for k in range(n_states):
            shares = np.exp(_log_shares(emissions.weights[k], design.inputs))[1:]
            hessian = np.empty((n_free, n_inputs, n_free, n_inputs))
            for a in range(n_free):
                for b in range(n_free):
                    bend = owned[k] * shares[a] * (float(a == b) - shares[b])
                    hessian[a, :, b] = (design.inputs * bend) @ design.inputs.T
            flat = hessian.reshape(n_free * n_inputs, -1)
            diagonal = np.einsum("ff->f", flat)
            diagonal += np.tile(self.precision(design), n_free) + _JITTER * (1e-3 + diagonal)
            steps[k] = np.linalg.solve(flat, gradient[k].ravel()).reshape(n_free, n_inputs)
        return Emissions(steps, np.zeros_like(emissions.spread))

    def gradient(
        self, emissions: Emissions, design: Design, posterior: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        labels, owned = self._labels(design), posterior * design.observed
        gradient = -self.precision(design) * emissions.weights
        for k, weights in enumerate(emissions.weights):
            residual = -np.exp(_log_shares(weights, design.inputs))
            residual[labels, np.arange(len(labels))] += 1.0
            gradient[k] += (residual[1:] * owned[k]) @ design.inputs.T
        return gradient, np.empty(0)

    def draw(
        self,
        emissions: Emissions,
        states: np.ndarray,
        inputs: np.ndarray,
        rng: np.random.Generator,
    ) -> np.ndarray:
        eta = np.einsum("tcf,ft->ct", emissions.weights[states], inputs)
        eta = np.vstack([np.zeros(len(states)), eta])
        return (eta + rng.gumbel(size=eta.shape)).argmax(axis=0)[None].astype(np.float64)

    def unit(self, design: Design) -> np.ndarray:
        return np.ones(self._n_classes(design) - 1)

    def _n_classes(self, design: Design) -> int:
        if self.n_classes is not None:
            return self.n_classes
        return max(int(np.nanmax(design.targets)) + 1, 2)

    def _labels(self, design: Design) -> np.ndarray:
        return np.nan_to_num(design.targets[0]).astype(int)


def _check_no_gap(labels: np.ndarray) -> None:
    """Refuse codes of which some never occur: they would be classes of which nothing is known."""
    seen = np.unique(labels).astype(int)
    if seen[-1] >= len(seen):
        raise DataError(
            "some classes never occur in y",
            expected=f"0, 1, ... {len(seen) - 1} for {len(seen)} classes, each at least once",
            found=f"classes {list_some(seen.tolist())}",
            fix="Code them with sklearn.preprocessing.LabelEncoder.",
            field="y",
        )


def _log_shares(weights: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """Log-probability of every class (C, T)."""
    return log_softmax(np.vstack([np.zeros(inputs.shape[1]), weights @ inputs]), axis=0)
