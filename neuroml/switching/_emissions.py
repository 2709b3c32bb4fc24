"""What observations have in common, whichever family they come from.

Inputs and observations have units first and bins second, so that loops run over contiguous bins.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

from neuroml.exceptions import DataError

__all__ = ["Design", "Emissions", "Family", "NewtonFamily", "refuse_targets"]

_MOST_HALVINGS = 25


class Design(NamedTuple):
    """Inputs (F, T), with the constant 1 last if there is an intercept; targets (M, T) or NaN."""

    inputs: np.ndarray
    targets: np.ndarray
    has_intercept: bool

    @property
    def observed(self) -> np.ndarray:
        """Whether a bin holds any observation (T,)."""
        return ~np.isnan(self.targets).all(axis=0)


class Emissions(NamedTuple):
    """Weights (K, M, F), and what else a family has per state (K, ...), possibly nothing (K, 0)."""

    weights: np.ndarray
    spread: np.ndarray

    def of_states(self, states: np.ndarray) -> Emissions:
        """These states alone, in this order."""
        return Emissions(self.weights[states], self.spread[states])


class Family(ABC):
    """One kind of observation. Log-probabilities include their normalizing constants.

    Parameters
    ----------
    ridge : float
        Precision of the normal prior of every weight but the intercept's.
    """

    def __init__(self, ridge: float = 0.0) -> None:
        self.ridge = ridge

    @abstractmethod
    def check(self, targets: np.ndarray) -> None:
        """Refuse targets (M, T) that the family cannot have."""

    @abstractmethod
    def start(self, design: Design) -> Emissions:
        """Emissions of one state that depend on no input."""

    @abstractmethod
    def values(self, emissions: Emissions, design: Design) -> np.ndarray:
        """Log-probability of every bin in every state (K, T); 0 where all is missing."""

    @abstractmethod
    def m_step(
        self, emissions: Emissions, design: Design, posterior: np.ndarray, values: np.ndarray
    ) -> tuple[Emissions, np.ndarray]:
        """Emissions that are no worse under the posterior (K, T), and their `values`."""

    @abstractmethod
    def gradient(
        self, emissions: Emissions, design: Design, posterior: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Derivative of the expected log-probability and prior by weights and `free_spread`."""

    @abstractmethod
    def draw(
        self,
        emissions: Emissions,
        states: np.ndarray,
        inputs: np.ndarray,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Random targets (M, T) given states (T,) and inputs (F, T)."""

    def free_spread(self, spread: np.ndarray) -> np.ndarray:  # noqa: ARG002
        """The spread as a vector without constraints: none, for most families."""
        return np.empty(0)

    def spread_from_free(self, vector: np.ndarray, like: np.ndarray) -> np.ndarray:  # noqa: ARG002
        """The inverse of `free_spread`."""
        return like

    def precision(self, design: Design) -> np.ndarray:
        """Prior precision of each input's weight (F,)."""
        precision = np.full(len(design.inputs), self.ridge)
        if design.has_intercept:
            precision[-1] = 0.0
        return precision

    def log_prior(self, emissions: Emissions, design: Design) -> np.ndarray:
        """Log-density of the prior of every state (K,), without its constant."""
        return -0.5 * (emissions.weights**2 @ self.precision(design)).sum(axis=1)

    def unit(self, design: Design) -> np.ndarray:
        """By how much random starts vary the predictor of each output (M,)."""
        return np.ones(len(design.targets))


class NewtonFamily(Family):
    """A family without a closed form for its weights: one damped Newton step per M-step."""

    @abstractmethod
    def direction(self, emissions: Emissions, design: Design, posterior: np.ndarray) -> Emissions:
        """Where weights and log-spread should go under the posterior (K, T)."""

    def m_step(
        self, emissions: Emissions, design: Design, posterior: np.ndarray, values: np.ndarray
    ) -> tuple[Emissions, np.ndarray]:
        """Go in `direction`, for every state as far as its expected log-probability gains."""
        direction = self.direction(emissions, design, posterior)
        before = np.einsum("kt,kt->k", posterior, values) + self.log_prior(emissions, design)
        step = np.ones(len(before))
        for _ in range(_MOST_HALVINGS):
            trial = _moved(emissions, direction, step)
            reached = self.values(trial, design)
            after = np.einsum("kt,kt->k", posterior, reached) + self.log_prior(trial, design)
            worse = ~(after >= before) & (step > 0)
            if not worse.any():
                return trial, reached
            step[worse] *= 0.5
        step[worse] = 0.0
        trial = _moved(emissions, direction, step)
        return trial, self.values(trial, design)


def refuse_targets(problem: str, expected: str, bad: np.ndarray, targets: np.ndarray) -> None:
    """Raise a DataError that counts the bad entries (M, T) and shows the first, if there is one."""
    if not bad.any():
        return
    unit, t = (int(index[0]) for index in np.nonzero(bad))
    raise DataError(
        problem,
        expected=f"{expected}, or NaN where missing",
        found=f"{int(bad.sum())} others, the first {targets[unit, t]:g} at bin {t}, output {unit}",
        field="y",
    )


def _moved(emissions: Emissions, direction: Emissions, step: np.ndarray) -> Emissions:
    return Emissions(
        emissions.weights + step[:, None, None] * direction.weights,
        emissions.spread * np.exp(step[:, None] * direction.spread),
    )
