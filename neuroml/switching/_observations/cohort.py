r"""Observations of several subjects, each with weights of its own in states that all share.

Partial pooling: the weights of subject s in state k are normal around the cohort's,

.. math::
    w_{sk} = \mu_k + d_{sk}, \qquad d_{skj} \sim \mathcal N(0, v_{kj}),

and the variances v are learned (empirical Bayes). With the gradient g and negative Hessian H of a
subject's expected log-likelihood at w, :math:`P = \mathrm{diag}(1 / v)` and the ridge R of
:math:`\mu`, the joint Newton step under given variances has

.. math::
    \Sigma_s = (H_s + P)^{-1}, \quad d_s = \Sigma_s [g_s + H_s (w_s - \mu)], \quad
    \Big[R + \sum_s P \Sigma_s H_s\Big] \mu = \sum_s P \Sigma_s (g_s + H_s w_s) .

For the variances H is the observed information, of all states of a subject together: that of the
expected log-likelihood takes states for known, and what is then noise for differences between
subjects. With C the inverse of the bracket, deviations have the posterior covariance
:math:`D_s = \Sigma_s + \Sigma_s H_s C H_s \Sigma_s`, and v is where
:math:`v = \sum_s d_s^2 / \sum_s (1 - \mathrm{diag}(D_s) / v)` (MacKay's iteration for the fixed
point of v = mean of squared deviation and posterior variance, which EM would reach slowly).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.linalg import block_diag

from neuroml.switching._observations.base import (
    Design,
    Emissions,
    Family,
    Observations,
    solve_damped,
)
from neuroml.switching._observations.variance_posterior import mean_squared_error

__all__ = [
    "CohortDesign",
    "CohortEmissions",
    "Learned",
    "Part",
    "PartialPooling",
    "Separate",
    "spread",
]

_MAX_BACKTRACKS = 25  # 2^-25 is 3e-8: a smaller part of a Newton step changes nothing
# Variances start at a deviation of one half, and stay between deviations of .001 and 100, in units
# of what moves the predictor by one: below, subjects are the same; above, nothing holds them.
_START_VARIANCE, _SMALLEST_VARIANCE, _LARGEST_VARIANCE = 0.25, 1e-6, 1e4
# An iteration changes a variance at most so much: it is made before the weights have settled.
_LARGEST_CHANGE = 10.0
# A coefficient's variance in one state is held to its variance over all states with the weight of
# so many subjects (a scaled inverse chi-squared prior): few subjects say little of a variance.
_PRIOR_SUBJECTS = 2.0
_LEAST_DECIDED = 1e-12  # subjects' worth of information, below which there is none


class Part(NamedTuple):
    """Data of one subject: its place among the fitted ones, its bins, and its design."""

    subject: int
    bins: np.ndarray
    design: Design


@dataclass(frozen=True, eq=False)
class CohortDesign:
    """The design of all bins, and the subject (T,) of each, numbered as the fitted ones are."""

    whole: Design
    subjects: np.ndarray

    @property
    def observed(self) -> np.ndarray:
        """Whether a bin holds any observation (T,)."""
        return self.whole.observed

    @property
    def n_observed(self) -> int:
        """Bins with any observation."""
        return self.whole.n_observed

    @property
    def inputs(self) -> np.ndarray:
        """Inputs (F, T)."""
        return self.whole.inputs

    @property
    def targets(self) -> np.ndarray:
        """Targets (M, T), NaN where missing."""
        return self.whole.targets

    @cached_property
    def parts(self) -> list[Part]:
        """The data by subject."""
        return [
            Part(int(s), bins, Design(
                np.ascontiguousarray(self.inputs[:, bins]),
                np.ascontiguousarray(self.targets[:, bins]),
                self.whole.has_intercept,
            ))
            for s in np.unique(self.subjects)
            for bins in [np.flatnonzero(self.subjects == s)]
        ]  # fmt: skip


class CohortEmissions(NamedTuple):
    """Emissions of subjects (S, K, ...), the cohort's weights and their variances (K, M, F).

    ``std`` (S, K, M, F) are the posterior standard deviations of subjects' weights, 0 if unknown.
    """

    subjects: Emissions
    mean: np.ndarray
    variance: np.ndarray
    std: np.ndarray

    def of(self, subject: int) -> Emissions:
        """Emissions of one subject."""
        return Emissions(self.subjects.weights[subject], self.subjects.noise[subject])

    def of_states(self, states: np.ndarray) -> CohortEmissions:
        """These states alone, in this order."""
        return CohortEmissions(
            Emissions(self.subjects.weights[:, states], self.subjects.noise[:, states]),
            self.mean[states],
            self.variance[states],
            self.std[:, states],
        )


def spread(emissions: Emissions, n_subjects: int) -> CohortEmissions:
    """The same emissions for every subject."""
    every = Emissions(*(np.repeat(values[None], n_subjects, axis=0) for values in emissions))
    nothing = np.zeros_like(every.weights)
    return CohortEmissions(every, emissions.weights, nothing[0], nothing)


class Learned(NamedTuple):
    """Variances (K, M, F) for the next step, and what the present ones say.

    ``log_volume`` is what uncertainty adds to the logarithm of the evidence; ``std`` (S, K, M, F)
    the posterior standard deviations of the subjects' weights.
    """

    variance: np.ndarray
    log_volume: float
    std: np.ndarray


class _Cohort(Observations[CohortEmissions, CohortDesign]):
    """What both ways of giving subjects their own weights have in common."""

    def __init__(self, family: Family) -> None:
        self.family = family

    def start(self, design: CohortDesign) -> CohortEmissions:
        return spread(self.family.start(design.whole), 1 + int(design.subjects.max()))

    def random_start(
        self, glm: CohortEmissions, design: CohortDesign, n_states: int, rng: np.random.Generator
    ) -> CohortEmissions:
        emissions = self.family.random_start(glm.of(0), design.whole, n_states, rng)
        return spread(emissions, len(glm.subjects.weights))

    def log_prob(self, emissions: CohortEmissions, design: CohortDesign) -> np.ndarray:
        out = np.empty((emissions.subjects.weights.shape[1], len(design.subjects)))
        for subject, bins, own in design.parts:
            out[:, bins] = self.family.log_prob(emissions.of(subject), own)
        return out

    def mean(self, emissions: CohortEmissions, design: CohortDesign) -> np.ndarray:
        """Expected targets (K, M, T), as the family's."""
        parts = [self.family.mean(emissions.of(part.subject), part.design) for part in design.parts]
        out = np.empty((*parts[0].shape[:2], len(design.subjects)))
        for part, found in zip(design.parts, parts, strict=True):
            out[:, :, part.bins] = found
        return out

    def draw(
        self,
        emissions: CohortEmissions,
        states: np.ndarray,
        design: CohortDesign,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Random targets (M, T) given states (T,) and inputs."""
        out = np.empty_like(design.targets)
        for subject, bins, own in design.parts:
            drawn = self.family.draw(emissions.of(subject), states[bins], own, rng)
            out[:, bins] = drawn
        return out


class Separate(_Cohort):
    """Subjects have nothing in common but the chain; the cohort's weights are their mean."""

    def log_prior(self, emissions: CohortEmissions, design: CohortDesign) -> float:
        return sum(
            self.family.log_prior(emissions.of(part.subject), part.design) for part in design.parts
        )

    def m_step(
        self,
        emissions: CohortEmissions,
        design: CohortDesign,
        resp: np.ndarray,
        log_prob: np.ndarray,
    ) -> tuple[CohortEmissions, np.ndarray]:
        weights, noise = (values.copy() for values in emissions.subjects)
        reached = np.empty_like(log_prob)
        for subject, bins, own in design.parts:
            of_bins = np.ascontiguousarray(resp[:, bins]), np.ascontiguousarray(log_prob[:, bins])
            one, reached[:, bins] = self.family.m_step(emissions.of(subject), own, *of_bins)
            weights[subject], noise[subject] = one
        updated = emissions._replace(subjects=Emissions(weights, noise), mean=weights.mean(axis=0))
        return updated, reached


class PartialPooling(_Cohort):
    """Weights of subjects vary around the cohort's, by variances that are learned.

    Parameters
    ----------
    family : Family
    learns : bool
        Whether the cohort is learned: its weights, variances and noise. False: only subjects are.
    """

    def __init__(self, family: Family, *, learns: bool = True) -> None:
        super().__init__(family)
        self.learns = learns

    def begin(self, emissions: Emissions, design: CohortDesign) -> CohortEmissions:
        """Subjects that are all alike, with the variance from which learning begins."""
        start = spread(emissions, 1 + int(design.subjects.max()))
        return start._replace(variance=_START_VARIANCE * self.unit(design, start.mean))

    def log_prior(self, emissions: CohortEmissions, design: CohortDesign) -> float:
        return float(self._log_priors(emissions, design).sum())

    def m_step(
        self,
        emissions: CohortEmissions,
        design: CohortDesign,
        resp: np.ndarray,
        log_prob: np.ndarray,
    ) -> tuple[CohortEmissions, np.ndarray]:
        resps = [np.ascontiguousarray(resp[:, part.bins]) for part in design.parts]
        step = self._newton_step(emissions, design, resps)
        before = np.einsum("kt,kt->k", resp, log_prob) + self._log_priors(emissions, design)
        size = np.ones(len(before))
        for _ in range(_MAX_BACKTRACKS):
            trial = _moved(emissions, step, size)
            reached = self.log_prob(trial, design)
            after = np.einsum("kt,kt->k", resp, reached) + self._log_priors(trial, design)
            worse = ~(after >= before - 1e-12 * abs(before)) & (size > 0)
            if not worse.any():
                break
            size[worse] *= 0.5
        else:  # no step of this direction gains, to rounding: the state stays where it is
            size[worse] = 0.0
            trial = _moved(emissions, step, size)
            reached = self.log_prob(trial, design)
        if not self.learns:
            return trial, reached
        parts = [
            (trial.subjects.weights[part.subject], part.design, of_part)
            for part, of_part in zip(design.parts, resps, strict=True)
        ]
        alike = trial.of(0)
        noise = self.family.pooled_noise(alike, parts, trial.mean, design.whole)
        if noise is not alike.noise:
            shared = np.broadcast_to(noise, trial.subjects.noise.shape).copy()
            trial = trial._replace(subjects=trial.subjects._replace(noise=shared))
            reached = self.log_prob(trial, design)
        return trial, reached

    def _log_priors(self, emissions: CohortEmissions, design: CohortDesign) -> np.ndarray:
        """Log-density of weights and noise (K,)."""
        flat, shared = self.family.of_subjects(), self.family.of_cohort()
        total = np.zeros(len(emissions.mean))
        if self.learns:
            mean = Emissions(emissions.mean, emissions.subjects.noise[0])
            total += shared.log_priors(mean, design.whole)
        for part in design.parts:
            own = emissions.of(part.subject)
            total += flat.log_priors(own, part.design)
            away = (own.weights - emissions.mean) ** 2 / emissions.variance
            total -= 0.5 * away.sum(axis=(1, 2))
        return total

    def _newton_step(
        self, emissions: CohortEmissions, design: CohortDesign, resps: list[np.ndarray]
    ) -> _Step:
        flat, shared = self.family.of_subjects(), self.family.of_cohort()
        derivatives = [
            flat.curvature(emissions.of(part.subject), part.design, resp)
            for part, resp in zip(design.parts, resps, strict=True)
        ]
        H = np.stack([hessian for _, hessian in derivatives])
        shape = H.shape[:-1]
        P = (1.0 / emissions.variance).reshape(shape[1:])
        eye = np.eye(shape[-1])
        covariance = np.linalg.inv(H + P[..., None] * eye)
        shrunk = covariance @ H  # how far data, and not the cohort, decide a deviation
        present = [part.subject for part in design.parts]
        weights = emissions.subjects.weights[present]
        away = (weights - emissions.mean).reshape(shape)
        gradient = np.stack([one for one, _ in derivatives]).reshape(shape)
        # d with the cohort's weights where they are; they then move d and are moved by it.
        toward = _times(covariance, gradient) + _times(shrunk, away)
        information = (P[..., None] * shrunk).sum(axis=0)
        by_mean = np.zeros(shape[1:])
        if self.learns:
            at = Emissions(emissions.mean, emissions.subjects.noise[0])
            ridge = shared.ridge_blocks(at, design.whole)
            information = information + ridge
            pull = (P * toward).sum(axis=0) - _times(ridge, emissions.mean.reshape(shape[1:]))
            by_mean = solve_damped(information, pull)
        deviation = toward - _times(shrunk, np.broadcast_to(by_mean, shape))
        moved = np.zeros_like(emissions.subjects.weights)
        moved[present] = (by_mean + deviation - away).reshape(weights.shape)
        return _Step(moved, by_mean.reshape(emissions.mean.shape))

    def learn(
        self, emissions: CohortEmissions, design: CohortDesign, information: np.ndarray
    ) -> Learned:
        """One step of the variances toward their fixed point.

        Parameters
        ----------
        emissions : CohortEmissions
            The best ones under the present variances.
        design : CohortDesign
        information : ndarray of shape (n_subjects, n, n)
            Observed information of all weights of a subject, in the order of (K, M, F).
        """
        before = emissions.variance.ravel()
        eye = np.eye(len(before))
        covariance = np.linalg.inv(information + eye / before)
        shrunk = covariance @ information  # how far data, and not the cohort, decide a deviation
        at = Emissions(emissions.mean, emissions.subjects.noise[0])
        ridge = self.family.of_cohort().ridge_blocks(at, design.whole)
        ridge = block_diag(*ridge.reshape(-1, *ridge.shape[-2:]))
        of_mean = shrunk.sum(axis=0) / before[:, None] + ridge
        # a state that no one visits says nothing of the cohort's weights there
        of_mean = np.linalg.inv(of_mean + np.diag(1e-12 * (1e-3 + np.diag(of_mean))))
        by_mean = np.einsum("sij,jk,sik->si", shrunk, of_mean, shrunk)
        decided = (np.einsum("sii->si", shrunk) - by_mean / before).sum(axis=0)
        deviations = emissions.subjects.weights - emissions.mean
        squares = (deviations**2).sum(axis=0).ravel()
        squares, decided = _shared_by_states(squares, decided, len(emissions.mean))
        factor = np.ones_like(before)  # where nothing is decided, variances stay
        known = decided > _LEAST_DECIDED
        factor[known] = squares[known] / (decided * before)[known]
        factor = np.clip(factor, 1.0 / _LARGEST_CHANGE, _LARGEST_CHANGE)
        unit = self.unit(design, emissions.mean)
        variance = np.clip(
            (before * factor).reshape(unit.shape),
            _SMALLEST_VARIANCE * unit, _LARGEST_VARIANCE * unit,
        )  # fmt: skip
        # |P Sigma| = |I - Sigma H|, and the volume of the cohort's weights.
        volume = np.linalg.slogdet(eye - shrunk).logabsdet.sum()
        volume += np.linalg.slogdet(of_mean).logabsdet
        std = np.sqrt(mean_squared_error(
            deviations.reshape(len(deviations), -1), np.einsum("sii->si", covariance), before,
            unit.ravel(),
        ))  # fmt: skip
        return Learned(variance, 0.5 * float(volume), std.reshape(deviations.shape))

    def unit(self, design: CohortDesign, mean: np.ndarray) -> np.ndarray:
        """Squares of the weights (K, M, F) that move the predictor by one unit."""
        square = (design.inputs**2).mean(axis=1)
        unit = self.family.unit(design.whole)[:, None] ** 2 / np.where(square > 0, square, 1.0)
        return np.broadcast_to(unit, mean.shape)


def _shared_by_states(
    squares: np.ndarray, decided: np.ndarray, n_states: int
) -> tuple[np.ndarray, np.ndarray]:
    """Add to a state's squares and subjects' worth some of the coefficient's over all states."""
    of_states = squares.reshape(n_states, -1).sum(axis=0), decided.reshape(n_states, -1).sum(axis=0)
    typical = of_states[0] / np.maximum(of_states[1], _LEAST_DECIDED)
    share = np.minimum(_PRIOR_SUBJECTS, of_states[1])  # no more than what is known at all
    return squares + np.tile(share * typical, n_states), decided + np.tile(share, n_states)


class _Step(NamedTuple):
    """Where subjects (S, K, M, F) and cohort (K, M, F) go."""

    subjects: np.ndarray
    mean: np.ndarray


def _times(matrices: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    return np.asarray((matrices @ vectors[..., None])[..., 0])


def _moved(emissions: CohortEmissions, step: _Step, size: np.ndarray) -> CohortEmissions:
    by_state = size[:, None, None]
    weights = emissions.subjects.weights + by_state * step.subjects
    return emissions._replace(
        subjects=emissions.subjects._replace(weights=weights),
        mean=emissions.mean + by_state * step.mean,
    )
