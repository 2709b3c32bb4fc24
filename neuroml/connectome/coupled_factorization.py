"""Coupled factorization of subjects whose units do not correspond."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import ClassNamePrefixFeaturesOutMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from neuroml._core.cohort import Subject
from neuroml._core.estimator import (
    RANDOM_STATE,
    Estimator,
    Interval,
    TableOutputMixin,
    validated_fit,
)
from neuroml._core.frames import Quantity, long_frame, names_or_numbers
from neuroml._core.iteration import FitTrace, select_restart
from neuroml._core.parallel import RandomState, spawn_generators
from neuroml._core.samples import is_mapping
from neuroml._core.validation import (
    check_sample_weight,
    list_some,
    names_of,
    session_slices,
    set_or_forget,
)
from neuroml.connectome._coupled import Coupled, full_norm, model_of, stack_subjects, take_apart
from neuroml.connectome._coupled_input import (
    check_part,
    check_shared,
    is_list_of_subjects,
    parts_of_cohort,
    shared_sessions,
)
from neuroml.connectome._factors import factor_match, nonnegative_loadings, random_factors
from neuroml.connectome._hals import Iterate, Penalty, Problem, factorize, normal_equations
from neuroml.connectome._packed import pack
from neuroml.connectome._problem import build_problem, kernels_for
from neuroml.exceptions import DataError

__all__ = ["CoupledFactorization"]

# Stretches of time that `score` leaves out by turns, where there are no sessions to leave out.
_N_BLOCKS = 4


class CoupledFactorization(ClassNamePrefixFeaturesOutMixin, TableOutputMixin, Estimator):
    r"""Non-negative components that subjects share in time, each with units of its own.

    Cells of two animals do not correspond, but a stimulus, a track or the course of a trial does.
    With :math:`x^{(s)}_{ktu}` the activity of unit :math:`u` of subject :math:`s` at sample
    :math:`t` of trial :math:`k`,

    .. math::
        x^{(s)}_{ktu} \approx n_s \sum_r l_{sr}\, w_{tr}\, a^{(s)}_{ur}\, b^{(s)}_{kr}, \qquad
        \text{nothing negative:}

    time courses :math:`w` are shared; unit factors :math:`a^{(s)}`, and with trials the factors of
    trials :math:`b^{(s)}`, are those of one subject; columns of all factors have unit norm.
    Loadings :math:`l` carry the scale, and :math:`n_s` is the norm of a subject's data (see
    ``balance``), so that :math:`l_{sr}^2` compares between subjects: it is about the share of a
    subject's squared activity that the component makes up, whatever its number of cells.

    Parameters
    ----------
    n_components : int, default=3
    balance : bool, default=True
        Divide every subject's data by their norm, :math:`n_s`, so that each counts the same for
        the shared time courses. Otherwise :math:`n_s = 1`, and subjects with more or more active
        units dominate. The norm is that which the data would have if what is missing were as
        large, on average, as what is observed: a subject counts less for what it misses.
    n_init : int, default=5
        Number of random starts, iterated together; the one with the smallest objective is kept.
    max_iter : int, default=500
        Maximum number of iterations.
    tol : float, default=1e-6
        A fit has converged when an iteration lowers the relative error by no more than this.
    ridge : float, default=1e-3
        As in `NonnegativeCP`: it determines what the data do not, such as a unit observed in fewer
        samples than there are components.
    random_state : int, RandomState, Generator or None, default=None

    Attributes
    ----------
    time_courses_ : ndarray of shape (n_samples, n_components)
        Of unit norm; components by falling root mean square of their loadings over subjects.
    unit_factors_ : dict of ndarray of shape (n_units_s, n_components)
        By subject, columns of unit norm, or zero where a subject does not have the component.
    trial_factors_ : dict of ndarray of shape (n_trials_s, n_components)
        The same for trials, NaN for trials that are missing throughout; empty without trials.
    subject_loadings_ : ndarray of shape (n_subjects, n_components)
    subject_norms_ : ndarray of shape (n_subjects,)
        :math:`n_s`.
    subjects_ : list
        The subjects, in the order of the rows of the two.
    unit_names_ : dict of (list of str or None)
        Absent where no subject has named units.
    sessions_ : ndarray of int of shape (n_samples,)
        Session of every sample.
    reconstruction_err_ : float
        Norm of the residual over norm of the data, on observed entries, after balancing.
    explained_ : ndarray of shape (n_subjects,)
        Share of each subject's squared activity that is explained.
    objective_trace_ : ndarray of shape (n_iter + 1,)
        Root of the objective over the norm of the data; lower is better.
    restart_objectives_ : ndarray of shape (n_init,)
        Its last value for every start.
    restart_matches_ : ndarray of shape (n_init,)
        `factor_match` of every start with the kept one: components that only some starts find are
        not to be interpreted.
    converged_ : bool
    n_iter_ : int

    Warns
    -----
    NotConvergedWarning
        If the best start had not converged after ``max_iter`` iterations.

    See Also
    --------
    NonnegativeCP : for one subject, or units that correspond.

    Notes
    -----
    Without trials this is a non-negative matrix factorization of the units of all subjects side by
    side, balanced, and with what is missing left out. It determines the time courses no further
    than any such factorization does: units that have one component alone help, and so do times at
    which components are silent; without both, other time courses may fit as well. With trials,
    it is a non-negative CP decomposition of every subject, coupled in the time courses (coupled
    tensor factorization [1]_), which components that vary differently over trials determine.
    PARAFAC2 [2]_ couples subjects by a further constraint, equal cross products of all unit
    factors, that populations of different cells do not meet in general, and that is not made here.

    References
    ----------
    .. [1] E. Acar, T. G. Kolda and D. M. Dunlavy (2011). All-at-once optimization for coupled
       matrix and tensor factorizations. arXiv:1105.3422.
    .. [2] R. A. Harshman (1972). PARAFAC2: mathematical and technical notes. UCLA Working Papers
       in Phonetics 22.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.connectome import CoupledFactorization
    >>> rng = np.random.default_rng(0)
    >>> courses = rng.gamma(0.5, size=(100, 2))
    >>> X = {s: courses @ rng.gamma(0.5, size=(2, n)) for s, n in [("anna", 20), ("ben", 90)]}
    >>> model = CoupledFactorization(2, random_state=0).fit(X)
    >>> model.time_courses_.shape, model.unit_factors_["ben"].shape, model.subject_loadings_.shape
    ((100, 2), (90, 2), (2, 2))
    >>> model.transform(courses @ rng.gamma(0.5, size=(2, 7))).shape
    (7, 2)
    """

    _parameter_constraints = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "balance": ["boolean"],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "ridge": [Interval(Real, 0, None, closed="left")],
        "random_state": RANDOM_STATE,
    }

    def __init__(
        self,
        n_components: int = 3,
        *,
        balance: bool = True,
        n_init: int = 5,
        max_iter: int = 500,
        tol: float = 1e-6,
        ridge: float = 1e-3,
        random_state: RandomState = None,
    ) -> None:
        self.n_components = n_components
        self.balance = balance
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.ridge = ridge
        self.random_state = random_state

    @validated_fit
    def fit(self, X: Any, y: Any = None, *, sessions: Any = None) -> CoupledFactorization:
        """Find the shared time courses, and every subject's factors and loadings.

        Parameters
        ----------
        X : dict or list, one item for each of two or more subjects
            Of shape (n_samples, n_units_s), or (n_trials_s, n_samples, n_units_s), not negative.
            An array, DataFrame, DataArray, recording or torch tensor; masked entries are NaN.
            A list has one for each subject; a dict one, or a list of sessions, for each subject.
            Samples are those of one stimulus or, with trials, moments of a trial or places of a
            track, the same for all; NaN is missing: a lap, a unit in a lap, a stretch. A silent
            unit is 0.
        y : ignored
        sessions : array-like of shape (n_samples,), or dict or list of such, optional
            Session of every sample, the same for all subjects; `score` leaves them out by turns.

        Returns
        -------
        self

        Raises
        ------
        DataError
            If there is one subject, subjects differ in their samples or sessions, or in whether
            they have trials, entries are negative or infinite, a unit or a sample is never
            observed, a subject is silent throughout, or there are more components than the data
            can determine.
        """
        parts, has_trials = parts_of_cohort(X)
        data = {s: check_part(part, s) for s, part in parts.items()}
        if len(data) < 2:
            raise DataError(
                "there is one subject, so nothing is shared",
                expected="a dict or list of two or more subjects",
                found=f"{len(data)}: {list_some(list(data))}",
                fix="NonnegativeCP factorizes the data of one subject.",
                field="X",
            )
        n_samples = check_shared(data, self.n_components)
        marks = shared_sessions(X, sessions, list(data), n_samples, has_trials=has_trials)
        names = {s: names_of(part) for s, part in parts.items()}
        norms = {s: full_norm(part) if self.balance else 1.0 for s, part in data.items()}
        scaled = {s: part / norms[s] for s, part in data.items()}
        best, every = self._factorized(scaled)
        found, *others = (take_apart(one.state.factors, scaled) for one in [best, *every])
        # only now, after all that can fail or be interrupted: until then an earlier fit is whole
        self.time_courses_, self.subject_loadings_ = found.time_courses, found.loadings
        self.unit_factors_ = found.units
        self.trial_factors_: dict[Subject, np.ndarray] = found.trials if has_trials else {}
        self.subjects_, self.subject_norms_ = list(data), np.array(list(norms.values()))
        self.sessions_ = marks
        set_or_forget(self, "unit_names_", names if any(names.values()) else None)
        left = np.array([_squares(x - y) for x, y in _with_models(scaled, found)])
        total = np.array([_squares(part) for part in scaled.values()])
        self.explained_ = 1 - left / total
        self.reconstruction_err_ = float(np.sqrt(left.sum() / total.sum()))
        self.objective_trace_ = -np.array(best.trace)
        self.restart_objectives_ = np.array([-one.objective for one in every])
        self.restart_matches_ = np.array([factor_match(found.as_cp(), o.as_cp()) for o in others])
        self.converged_, self.n_iter_ = best.converged, best.n_iter
        self._n_features_out = self.n_components
        return self

    def transform(self, X: Any) -> Any:
        """Compute the unit factors of subjects, new ones or those of fit, given the time courses.

        Parameters
        ----------
        X : dict or list of subjects as in `fit`, or the data of one subject
            On the samples of `fit`. Any units, any number of trials.

        Returns
        -------
        ndarray of shape (n_units, n_components), or a dict of such for a dict or list
            In the units of the data: without trials, their product with the time courses
            approximates the data, and for a subject of `fit` they are its norm times its loadings
            times its unit factors. Without trials the non-negative least-squares solution; with
            trials the best of ``n_init`` starts, for factors of trials that have unit norm. NaN for
            units that were never observed.

        Raises
        ------
        DataError
            If samples are not as many as in `fit`, subjects have trials and those of `fit` had
            none or the other way round, or entries are negative or infinite.
        """
        data = self._new_data(X)
        everyone = slice(None)
        found = {s: self._unit_factors(part, everyone)[0] for s, part in data.items()}
        return found if is_mapping(X) or is_list_of_subjects(X) else next(iter(found.values()))

    def score(
        self,
        X: Any,
        y: Any = None,
        *,
        sessions: Any = None,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Return the share of left-out activity that is explained, mean over subjects.

        Every stretch of time is left out by turns: each session if there are several, otherwise
        each quarter of the samples. Unit (and trial) factors are learned from the other stretches,
        given the time courses, and predict the one left out; in comparison, each unit's mean over
        the others does (in every trial), which has score 0. A score is free of what was fitted only
        for subjects that are not those of `fit`: their time courses saw all stretches.

        Parameters
        ----------
        X : as in `transform`
        y : ignored
        sessions : as in `fit`, optional
            By default those of `fit`.
        sample_weight : array-like of shape (n_subjects,), optional
            Weights of the subjects in the mean.

        Returns
        -------
        float
            At most 1; negative where predictions are worse than the means. NaN where the left-out
            activity of a subject does not differ from its means, so that nothing is to explain.
        """
        data = self._new_data(X)
        marks = self.sessions_
        if sessions is not None:
            has_trials = bool(self.trial_factors_)
            marks = shared_sessions(X, sessions, list(data), len(marks), has_trials=has_trials)
        stretches = session_slices(marks)
        if len(stretches) == 1:
            edges = np.linspace(0, len(marks), min(_N_BLOCKS, len(marks)) + 1).astype(int)
            stretches = [slice(a, b) for a, b in pairwise(edges)]
        weights = None
        if sample_weight is not None:
            weights = check_sample_weight(sample_weight, len(data))
        shares = [self._explained(part, stretches) for part in data.values()]
        return float(np.average(shares, weights=weights))

    def to_frame(self) -> pd.DataFrame:
        """Return all factors as one tidy table.

        Returns
        -------
        DataFrame
            One value per row: ``quantity`` ("time_course", "loading", "unit_factor" or
            "trial_factor"), ``label`` (number of the sample or trial, name or number
            of the unit; missing for loadings), ``component``, ``subject`` (missing for time
            courses) and ``value``.
        """
        check_is_fitted(self)
        names, courses = getattr(self, "unit_names_", {}), self.time_courses_
        components = {"component": range(courses.shape[1])}
        found = [
            Quantity("time_course", courses, {"label": range(len(courses)), **components}),
            Quantity("loading", self.subject_loadings_, {"subject": self.subjects_, **components}),
        ]
        for name, factors in (
            ("unit_factor", self.unit_factors_),
            ("trial_factor", self.trial_factors_),
        ):
            for subject, factor in factors.items():
                known = names.get(subject) if name == "unit_factor" else None
                axes = {"label": names_or_numbers(known, len(factor)), **components}
                found.append(Quantity(name, factor, axes, fixed={"subject": subject}))
        return long_frame(found)

    @property
    def _rows_are_samples(self) -> bool:
        return False  # they are units

    def _problem(self, data: Mapping[Subject, np.ndarray]) -> Problem:
        packed = pack(stack_subjects(data), None, check_unseen=False)
        return build_problem(
            packed, Penalty(self.ridge), dtype="float64", kernels=kernels_for("cpu")
        )

    def _factorized(
        self, data: Mapping[Subject, np.ndarray], courses: np.ndarray | None = None
    ) -> tuple[FitTrace[Iterate], list[FitTrace[Iterate]]]:
        """The best start and all of them; time courses stay as they are where they are given."""
        problem = self._problem(data)
        shape = (*problem.fibers.shape, problem.rows.shape[1])
        norm = float(np.sqrt(problem.squared_norm))
        starts = [
            random_factors(shape, self.n_components, norm, rng)
            for rng in spawn_generators(self.random_state, self.n_init)
        ]
        if courses is not None:
            problem = replace(problem, n_held=self.n_components)
            starts = [[*start[:-1], courses] for start in starts]
        return select_restart(
            factorize(problem, starts, max_iter=self.max_iter, tol=self.tol),
            name=type(self).__name__,
        )

    def _unit_factors(
        self, part: np.ndarray, samples: slice | np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """A subject's units with the scale, and its trials, given the courses at some samples."""
        courses, shown = self.time_courses_[samples], part[:, samples]
        units = np.full((part.shape[2], self.n_components), np.nan)
        known = ~np.isnan(shown).all(axis=(0, 1))
        trials = np.ones((len(part), self.n_components))
        if not known.any():
            return units, trials
        own: dict[Subject, np.ndarray] = {0: shown[:, :, known]}
        if len(part) > 1:
            best, _ = self._factorized(own, courses)
            found = take_apart(best.state.factors, own, in_order=False)
            size = np.linalg.norm(courses, axis=0)
            units[known] = found.units[0] * found.loadings[0] / np.where(size > 0, size, 1.0)
            return units, found.trials[0]
        problem = replace(self._problem(own), penalty=Penalty())
        wanted, gram = normal_equations(problem, [np.ones_like(units[known]), courses], 0)
        units[known] = nonnegative_loadings(wanted, gram + self.ridge * np.eye(gram.shape[-1]))
        return units, trials

    def _explained(self, part: np.ndarray, stretches: list[slice]) -> float:
        """The share of one subject's left-out activity that is explained."""
        left = total = 0.0
        for stretch in stretches:
            others = np.ones(part.shape[1], dtype=bool)
            others[stretch] = False
            units, trials = self._unit_factors(part, others)
            model = model_of(units, trials, self.time_courses_[stretch])
            with np.errstate(invalid="ignore", divide="ignore"):
                counts = (~np.isnan(part[:, others])).sum(axis=1, keepdims=True)
                mean = np.nansum(part[:, others], axis=1, keepdims=True) / counts
            # what was never shown beside this stretch can be predicted by neither
            known = ~np.isnan(part[:, stretch] + model + mean)
            left += float(((part[:, stretch] - model)[known] ** 2).sum())
            total += float(((part[:, stretch] - mean)[known] ** 2).sum())
        return 1 - left / total if total > 0 else np.nan

    def _new_data(self, X: Any) -> dict[Subject, np.ndarray]:
        """The checked data of subjects, on the samples of fit."""
        check_is_fitted(self)
        parts, has_trials = parts_of_cohort(X)
        data = {s: check_part(part, s, new=True) for s, part in parts.items()}
        known = len(self.time_courses_)
        for subject, part in data.items():
            if part.shape[1] != known or has_trials != bool(self.trial_factors_):
                raise DataError(
                    "new data must have the samples of those seen in fit",
                    expected=f"{known} samples, {'with' if self.trial_factors_ else 'no'} trials",
                    found=f"{part.shape[1]} samples, {'with' if has_trials else 'no'} trials",
                    fix='The trials of one subject are given as {"its name": X}.',
                    subject=subject,
                    field="X",
                )
        return data

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.positive_only = True
        tags.input_tags.three_d_array = True
        return tags


def _squares(part: np.ndarray) -> float:
    return float(np.nansum(part**2))


def _with_models(
    data: Mapping[Subject, np.ndarray], found: Coupled
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Each subject's data with the sum of the components."""
    for (subject, part), loading in zip(data.items(), found.loadings, strict=True):
        units, trials = found.units[subject] * loading, found.trials[subject]
        yield part, model_of(units, trials, found.time_courses)
