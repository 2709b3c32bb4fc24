"""Ridge decoders with a prior on the directions of the targets that a cohort's brains carry."""

from __future__ import annotations

from dataclasses import replace
from numbers import Integral, Real

import numpy as np
from numpy.typing import ArrayLike

from neuroml._core.cohort import Subject
from neuroml._core.estimator import Interval, StrOptions
from neuroml._core.frames import Quantity
from neuroml.decoding._components import Components, explained, shared_components
from neuroml.decoding._held_out_folds import CV_OPTIONS
from neuroml.decoding._ridge_path import RidgeFit, check_penalties, stacking_weights
from neuroml.decoding.ridge import Problem, RidgeDecoder

__all__ = ["HierarchicalRidgeDecoder"]


class HierarchicalRidgeDecoder(RidgeDecoder):
    r"""Ridge decoders with a cohort prior: directions that brains carry weakly are shrunk more.

    Voxels differ between subjects, but the targets do not: some directions of their space can be
    decoded from brains and others cannot. The cohort gives uncorrelated directions :math:`a_k` and
    the share :math:`\lambda_k` of variance that left-out predictions explain, the mean over
    subjects. A subject's decoder predicts these components with the prior
    :math:`w_k \sim N(0, \tau_k^2)`, in which a component with a larger :math:`\lambda_k` may have
    larger weights: its penalty is :math:`\alpha (1 - \lambda_k) / \lambda_k`, and :math:`\alpha` is
    chosen for each subject. The covariance of the cohort's targets maps components to targets. The
    result is averaged with the subject's plain ridge decoder, by weights that are fitted to the
    left-out predictions of both. A subject that shares nothing with the cohort is decoded by
    plain ridge.

    Parameters
    ----------
    alphas : array-like of shape (n_alphas,) or None, default=None
        As in `RidgeDecoder`; here in units of the penalty of a component of median decodability.
    n_components : int, default=60
        Maximum number of directions of the targets.
    shrinkage : float, default=0.01
        Fraction of the mean variance of the targets below which a direction counts as noise.
    standardize : bool, default=True
        Divide voxels by their standard deviation in the training data of the subject.
    cv : {"auto", "sessions", "blocks", "loo"}, default="auto"
        As in `RidgeDecoder`; of the penalties and of the weights of both decoders.

    Attributes
    ----------
    coef_, intercept_, alpha_, alphas_, cv_errors_, n_constant_, n_voxels_, voxel_names_ : dict
        By subject, as in `RidgeDecoder`.
    target_names_ : list of str
        Names of the columns of y; absent where they have none.
    cohort_weight_ : dict of float
        Weight of the cohort's part in the average, as a share of both weights.
    decodability_ : ndarray of shape (n_components,)
        Share of the variance of each component that brains explain, in descending order.
    axes_, patterns_ : ndarray of shape (n_targets, n_components)
        Map centered targets to components of about unit variance, and back.
    target_mean_ : ndarray of shape (n_targets,)

    See Also
    --------
    RidgeDecoder : The same without a cohort.

    Examples
    --------
    >>> from neuroml.decoding import HierarchicalRidgeDecoder
    >>> from neuroml.simulate import make_cohort
    >>> cohort = make_cohort(3, n_stimuli=200, n_test=50, n_voxels=(80, 100), random_state=0)
    >>> seen = {s: cohort.X[s] for s in ("s1", "s2")}, {s: cohort.y[s] for s in ("s1", "s2")}
    >>> model = HierarchicalRidgeDecoder().fit(*seen)
    >>> new = model.adapt(cohort.X["s3"][:40], cohort.y["s3"][:40], subject="s3")
    >>> sorted(new.coef_), sorted(model.coef_)
    (['s1', 's2', 's3'], ['s1', 's2'])
    """

    _parameter_constraints = {
        "alphas": ["array-like", None],
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "shrinkage": [Interval(Real, 0, None, closed="neither")],
        "standardize": ["boolean"],
        "cv": [StrOptions(set(CV_OPTIONS))],
    }
    _former_parameters = {"rank": None}

    def __init__(
        self,
        alphas: ArrayLike | None = None,
        *,
        n_components: int = 60,
        shrinkage: float = 0.01,
        standardize: bool = True,
        cv: str = "auto",
    ) -> None:
        self.alphas = alphas
        self.standardize = standardize
        self.cv = cv
        self.n_components = n_components
        self.shrinkage = shrinkage

    def _learn_cohort(self, problems: list[Problem]) -> None:
        fits = [p.spectrum.solve(p.targets, check_penalties(self.alphas)) for p in problems]
        found = shared_components(
            [p.targets for p in problems],
            [explained(p.targets, fit.left_out) for p, fit in zip(problems, fits, strict=True)],
            self.n_components,
            self.shrinkage,
        )
        self.target_mean_, self.axes_ = found.mean, found.axes
        self.patterns_, self.decodability_ = found.patterns, found.decodability
        self.cohort_weight_: dict[Subject, float] = {}

    def _cohort_quantities(self) -> list[Quantity]:
        shares, weights = self.decodability_, self.cohort_weight_
        return [
            Quantity("decodability", shares, {"component": range(len(shares))}),
            Quantity("cohort_weight", list(weights.values()), {"subject": list(weights)}),
        ]

    def _solve(self, subject: Subject, problem: Problem) -> tuple[RidgeFit, np.ndarray]:
        shared = Components(self.target_mean_, self.axes_, self.patterns_, self.decodability_)
        # errors count in units of the targets: components are scaled by their patterns' norms
        norms = np.maximum(np.linalg.norm(shared.patterns, axis=0), 1e-12)
        # penalty of each component: noise over signal, (1 - lambda) / lambda, divided by the median
        odds = (1 - shared.decodability) / shared.decodability
        alphas, Y = check_penalties(self.alphas), problem.targets
        plain = problem.spectrum.solve(Y, alphas)
        parts = shared.encode(Y) * norms
        prior = problem.spectrum.solve(parts, alphas, odds / max(np.median(odds), 1e-12))
        # both decoders' left-out predictions, stacked
        center = shared.decode(parts.mean(axis=0) / norms)
        by_cohort = shared.decode(prior.left_out / norms)
        own, cohort = stacking_weights(
            [plain.left_out - Y.mean(axis=0), by_cohort - center], Y - Y.mean(axis=0)
        )
        # the weights are made to add up to one, so that predictions are not shrunk twice
        weight = cohort / (own + cohort) if cohort > 0 else 0.0  # plain ridge if both are useless
        self.cohort_weight_ = {**self.cohort_weight_, subject: float(weight)}
        mapped_back = (prior.weights / norms) @ shared.patterns.T
        weights = (1 - weight) * plain.weights + weight * mapped_back
        left_out = (1 - weight) * plain.left_out + weight * by_cohort
        mixed = replace(plain, weights=weights, left_out=left_out)
        return mixed, weight * center + (1 - weight) * Y.mean(axis=0)
