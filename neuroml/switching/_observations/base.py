"""What EM asks of observations, and what the families of `SwitchingGLM` have in common.

One orientation holds for all arrays: states, units, outputs or inputs first, and bins last, so that
loops run over contiguous bins.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, NamedTuple, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from neuroml._core.validation import as_numbers
from neuroml.exceptions import DataError

__all__ = [
    "Design",
    "Emissions",
    "Family",
    "NewtonFamily",
    "Observations",
    "check_columns",
    "check_targets",
    "count_columns",
    "refuse_targets",
    "solve_damped",
    "without_weightless",
]

_MAX_BACKTRACKS = 25  # 2^-25 is 3e-8: a smaller part of a Newton step changes nothing
# Relative damping of a Hessian's diagonal (and absolute, a thousandth of it, for inputs that are
# silent): enough for float64 to invert it, too little to change a step.
_JITTER = 1e-9
# Random starts: the standard deviation of a weight's noise, relative to one that moves the
# predictor by one unit, is itself drawn from here, so that starts differ in how far they are from
# the one-state model. A choice, not tuned; `restart_objectives_` shows how it fares.
_START_DEVIATIONS = (0.3, 1.5)


class StateParameters(Protocol):
    """Parameters of which each state has its own."""

    def of_states(self, states: np.ndarray) -> Self:
        """These states alone, in this order."""


class ObservedBins(Protocol):
    """Data that know how many of their bins are observed."""

    @property
    def n_observed(self) -> int:
        """Bins with any observation."""


Params = TypeVar("Params", bound=StateParameters)
Data = TypeVar("Data", bound=ObservedBins)


class Observations(ABC, Generic[Params, Data]):
    """One kind of observations with their priors. Log-probabilities include all constants."""

    @abstractmethod
    def start(self, design: Data) -> Params:
        """Parameters of one state that depend on no input."""

    @abstractmethod
    def random_start(
        self, glm: Params, design: Data, n_states: int, rng: np.random.Generator
    ) -> Params:
        """Parameters of several states near those of the one-state model."""

    @abstractmethod
    def log_prob(self, emissions: Params, design: Data) -> np.ndarray:
        """Log-probability of every bin in every state (K, T); 0 where all is missing."""

    @abstractmethod
    def log_prior(self, emissions: Params, design: Data) -> float:
        """Log-density of the prior of all states, without its constant."""

    @abstractmethod
    def m_step(
        self, emissions: Params, design: Data, resp: np.ndarray, log_prob: np.ndarray
    ) -> tuple[Params, np.ndarray]:
        """Parameters that are no worse under the responsibilities (K, T), and their `log_prob`."""


@dataclass(frozen=True, eq=False)
class Design:
    """Inputs (F, T), with the constant 1 last if there is an intercept; targets (M, T) or NaN."""

    inputs: np.ndarray
    targets: np.ndarray
    has_intercept: bool

    @cached_property
    def observed(self) -> np.ndarray:
        """Whether a bin holds any observation (T,)."""
        return ~np.isnan(self.targets).all(axis=0)

    @property
    def n_observed(self) -> int:
        """Bins with any observation."""
        return int(self.observed.sum())

    @cached_property
    def n_seen(self) -> np.ndarray:
        """Bins in which each output is observed (M,)."""
        return np.asarray((~np.isnan(self.targets)).sum(axis=1))

    @cached_property
    def mean_targets(self) -> np.ndarray:
        """Mean of each output (M,); 0 where it is never observed."""
        return np.asarray(np.nansum(self.targets, axis=1) / np.maximum(self.n_seen, 1))

    @cached_property
    def mean_inputs(self) -> np.ndarray:
        """Mean of each input over the bins with any observation (F,)."""
        return np.asarray(self.inputs[:, self.observed].sum(axis=1) / max(self.n_observed, 1))


class Emissions(NamedTuple):
    """Weights (K, M, F), and the noise that a family has per state.

    The noise is covariances (K, M, M), dispersions (K, M), or ones (K, M) that mean nothing.
    """

    weights: np.ndarray
    noise: np.ndarray

    def of_states(self, states: np.ndarray) -> Emissions:
        """These states alone, in this order."""
        return Emissions(self.weights[states], self.noise[states])


class Family(Observations[Emissions, Design]):
    """Observations that a linear predictor of inputs drives.

    Parameters
    ----------
    ridge : float
        Precision of the normal prior of every weight but the intercept's.
    """

    max_outputs: int | None = None
    held: frozenset[str] = frozenset()  # of "weights", "intercept" and "noise": not fitted

    def __init__(self, ridge: float = 0.0) -> None:
        self.ridge = ridge

    def without_prior(self) -> Self:
        """The same likelihood alone."""
        flat = copy(self)
        flat.ridge = 0.0
        return flat

    def of_subjects(self) -> Self:
        """What every subject of a cohort has by itself: the likelihood, and priors of its bins."""
        flat = copy(self)
        flat.ridge = 0.0
        return flat

    def of_cohort(self) -> Self:
        """What is left of the prior for what subjects share."""
        return copy(self)

    def pooled_noise(
        self,
        emissions: Emissions,
        parts: list[tuple[np.ndarray, Design, np.ndarray]],  # noqa: ARG002
        mean: np.ndarray,  # noqa: ARG002
        whole: Design,  # noqa: ARG002
    ) -> np.ndarray:
        """M-step of the noise that subjects share: that of most families is nothing.

        Parameters
        ----------
        emissions : Emissions
        parts : list of (weights (K, M, F), Design, responsibilities (K, T))
            Of every subject.
        mean : ndarray of shape (K, M, F)
            The weights that the ridge holds.
        whole : Design
            Of all subjects.
        """
        return emissions.noise

    def check(self, targets: np.ndarray) -> None:
        """Refuse targets (M, T) that the family cannot have."""

    @abstractmethod
    def gradient(
        self, emissions: Emissions, design: Design, resp: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Derivative of the expected log-probability and prior by weights and `free_noise`."""

    @abstractmethod
    def mean(self, emissions: Emissions, design: Design) -> np.ndarray:
        """Expected targets (K, M, T); probabilities of all classes (K, C, T) where there are."""

    @abstractmethod
    def draw(
        self,
        emissions: Emissions,
        states: np.ndarray,
        design: Design,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Random targets (M, T) given states (T,) and those of a design."""

    def random_start(
        self, glm: Emissions, design: Design, n_states: int, rng: np.random.Generator
    ) -> Emissions:
        """The one-state model with noise on its weights."""
        emissions = glm.of_states(np.zeros(n_states, dtype=int))
        rms = np.sqrt((design.inputs**2).mean(axis=1))
        size = self.unit(design)[:, None] / np.where(rms > 0, rms, 1.0)
        noise = rng.uniform(*_START_DEVIATIONS) * rng.normal(size=emissions.weights.shape)
        return emissions._replace(weights=emissions.weights + noise * size)

    def given_noise(self, noise: np.ndarray | None, weights: np.ndarray) -> np.ndarray:
        """The noise of a model with given weights (K, M, F); families without one ignore it."""
        return np.ones(weights.shape[:2]) if noise is None else noise

    def free_noise(self, noise: np.ndarray) -> np.ndarray:  # noqa: ARG002
        """The noise as a vector without constraints: none, for most families."""
        return np.empty(0)

    def noise_from_free(self, vector: np.ndarray, like: np.ndarray) -> np.ndarray:  # noqa: ARG002
        """The inverse of `free_noise`."""
        return like

    @abstractmethod
    def curvature(
        self, emissions: Emissions, design: Design, resp: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Gradient (K, M, F) and negative Hessian (K, B, n, n) by the weights, with the prior.

        Weights of a state fall into B blocks of n that do not change each other's gradient.
        """

    def ridge_blocks(self, emissions: Emissions, design: Design) -> np.ndarray:
        """What the ridge adds to the blocks of `curvature`: (K, B, n, n)."""
        n_states, n_outputs, _ = emissions.weights.shape
        blocks = np.diag(self.precision(design))
        return np.broadcast_to(blocks, (n_states, n_outputs, *blocks.shape))

    def precision(self, design: Design) -> np.ndarray:
        """Prior precision of each input's weight (F,)."""
        precision = np.full(len(design.inputs), self.ridge)
        if design.has_intercept:
            precision[-1] = 0.0
        return precision

    def holding(self, held: frozenset[str]) -> Self:
        """The same family, of which fits leave these parameters as they are."""
        holding = copy(self)
        holding.held = held
        return holding

    def free_part(
        self, gradient: np.ndarray, hessian: np.ndarray, design: Design
    ) -> tuple[np.ndarray, np.ndarray]:
        """Gradients (..., n) and Hessians (..., n, n) whose steps leave out what is held."""
        is_intercept = np.zeros(len(design.inputs), dtype=bool)
        is_intercept[-1:] = design.has_intercept
        free = np.where(is_intercept, "intercept" not in self.held, "weights" not in self.held)
        free = np.tile(free, hessian.shape[-1] // len(free))
        return gradient * free, hessian * free * free[:, None] + np.diag(~free)

    def log_prior(self, emissions: Emissions, design: Design) -> float:
        return float(self.log_priors(emissions, design).sum())

    def log_priors(self, emissions: Emissions, design: Design) -> np.ndarray:
        """Log-density of the prior of every state (K,), without its constant."""
        return -0.5 * (emissions.weights**2 @ self.precision(design)).sum(axis=1)

    def unit(self, design: Design) -> np.ndarray:
        """By how much random starts vary the predictor of each output (M,)."""
        return np.ones(len(design.targets))


class NewtonFamily(Family):
    """A family without a closed form for its weights: one damped Newton step per M-step."""

    def newton_direction(self, emissions: Emissions, design: Design, resp: np.ndarray) -> Emissions:
        """Where weights and the logarithm of the noise should go under resp (K, T)."""
        gradient, hessian = self.curvature(emissions, design, resp)
        flat, hessian = self.free_part(gradient.reshape(hessian.shape[:-1]), hessian, design)
        steps = solve_damped(hessian, flat)
        return Emissions(steps.reshape(gradient.shape), np.zeros_like(emissions.noise))

    def m_step(
        self, emissions: Emissions, design: Design, resp: np.ndarray, log_prob: np.ndarray
    ) -> tuple[Emissions, np.ndarray]:
        """Backtracking line search along `newton_direction`, for every state by itself."""
        direction = self.newton_direction(emissions, design, resp)
        before = np.einsum("kt,kt->k", resp, log_prob) + self.log_priors(emissions, design)
        step_size = np.ones(len(before))
        for _ in range(_MAX_BACKTRACKS):
            trial = _moved(emissions, direction, step_size)
            reached = self.log_prob(trial, design)
            after = np.einsum("kt,kt->k", resp, reached) + self.log_priors(trial, design)
            worse = ~(after >= before) & (step_size > 0)
            if not worse.any():
                return trial, reached
            step_size[worse] *= 0.5
        # No step of this direction gains, to rounding: the state stays where it is.
        step_size[worse] = 0.0
        trial = _moved(emissions, direction, step_size)
        return trial, self.log_prob(trial, design)


def check_targets(
    family: Family, y: ArrayLike | None, n_bins: int, n_outputs: int | None
) -> np.ndarray:
    """Check observations and return them as (M, T); all are missing if y is None.

    Parameters
    ----------
    family : Family
    y : array-like of shape (n_bins,) or (n_bins, n_outputs), or None
    n_bins : int
    n_outputs : int or None
        As in the fit; None in the fit itself, where each output must be observed.
    """
    if y is None:
        return np.full((n_outputs or 1, n_bins), np.nan)
    table = as_numbers(y, "y").astype(np.float64)
    table = table[:, None] if table.ndim == 1 else table
    if table.ndim != 2 or len(table) != n_bins or not table.shape[1]:
        raise DataError(
            "y does not match X",
            expected=f"shape ({n_bins},) or ({n_bins}, n_outputs)",
            found=f"shape {np.shape(y)}",
            field="y",
        )
    allowed = family.max_outputs or n_outputs or table.shape[1]
    if table.shape[1] != allowed:
        raise DataError(
            "y has another number of outputs",
            expected=f"{allowed} column(s)",
            found=f"{table.shape[1]}",
            field="y",
        )
    targets = np.ascontiguousarray(table.T)
    family.check(targets)
    missing = np.isnan(targets).all(axis=1)
    if n_outputs is None and missing.any():
        raise DataError(
            "an output is missing in every bin",
            expected="at least one observation of each output",
            found=f"outputs {np.flatnonzero(missing).tolist()} all NaN",
            field="y",
        )
    return targets


def without_weightless(values: np.ndarray | None, weights: np.ndarray | None) -> np.ndarray | None:
    """Observations (n_bins,) or (n_bins, n_outputs), missing where a bin has no weight."""
    if values is None or weights is None or len(values) != len(weights) or weights.all():
        return values
    return np.where((weights > 0).reshape(-1, *[1] * (values.ndim - 1)), values, np.nan)


def check_columns(
    n_weights: int,
    n_features: int | None,
    emission_columns: ArrayLike | None,
    transition_columns: ArrayLike | None,
) -> int:
    """Number of columns of X, which the columns for emissions and transitions must be among."""
    used = {
        "emission_columns": emission_columns,
        "transition_columns": transition_columns,
    }
    chosen = {name: np.asarray(columns) for name, columns in used.items() if columns is not None}
    if n_features is None and emission_columns is not None:
        raise DataError(
            "the number of columns of X is not known",
            expected="n_features=, as emission_columns choose among the columns",
            found=emission_columns,
            field="n_features",
        )
    n_columns = n_weights if n_features is None else int(n_features)
    n_used = (
        count_columns(chosen["emission_columns"]) if "emission_columns" in chosen else n_columns
    )
    if n_used != n_weights:
        raise DataError(
            "weights do not match the columns of X",
            expected=f"{n_used} weights for each output",
            found=n_weights,
            field="weights",
        )
    for name, columns in chosen.items():
        if np.issubdtype(columns.dtype, np.integer) and columns.max(initial=-1) >= n_columns:
            raise DataError(
                f"{name} lie outside of X",
                expected=f"columns of the {n_columns} of X",
                found=columns.tolist(),
                field=name,
            )
    return n_columns


def count_columns(columns: ArrayLike | None) -> int:
    """How many columns numbers, names or a mask choose."""
    chosen = np.asarray([] if columns is None else columns)
    return int(chosen.sum()) if chosen.dtype == bool else chosen.size


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


def solve_damped(hessian: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Newton steps (..., n) of negative Hessians (..., n, n), which may be singular."""
    n = hessian.shape[-1]
    diagonal = np.einsum("...ii->...i", hessian)
    damping = (_JITTER * (1e-3 + diagonal))[..., None] * np.eye(n)
    return np.asarray(np.linalg.solve(hessian + damping, gradient[..., None])[..., 0])


def _moved(emissions: Emissions, direction: Emissions, step_size: np.ndarray) -> Emissions:
    return Emissions(
        emissions.weights + step_size[:, None, None] * direction.weights,
        emissions.noise * np.exp(step_size[:, None] * direction.noise),
    )
