"""Ridge regression from voxels to targets, one decoder per subject."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from neuroml._core.cohort import Subject, check_cohort, map_subjects, sessions_by_subject
from neuroml._core.estimator import Estimator, Interval, StrOptions, validated_fit
from neuroml._core.frames import Quantity, long_frame
from neuroml.decoding._candidate_scores import Readout, fit_readout
from neuroml.decoding._held_out_folds import CV_OPTIONS, held_out_folds
from neuroml.decoding._retrieval import RetrievalMixin
from neuroml.decoding._ridge_path import RidgeFit, Spectrum, Voxels, check_penalties
from neuroml.decoding._subjects import CohortRegressorMixin, affine_quantities, warn_constant
from neuroml.exceptions import DataError

__all__ = ["Problem", "RidgeDecoder"]


@dataclass(frozen=True)
class Problem:
    """One subject's regression: decomposed voxels and the targets."""

    voxels: Voxels
    y: np.ndarray

    @property
    def spectrum(self) -> Spectrum:
        """The decomposition of the voxels."""
        return self.voxels.spectrum

    @property
    def targets(self) -> np.ndarray:
        """The targets as a matrix (n_samples, n_targets) in the type of X."""
        return self.y.reshape(len(self.y), -1).astype(self.spectrum.X.dtype, copy=False)


class RidgeDecoder(RetrievalMixin, CohortRegressorMixin, Estimator):
    r"""Ridge regression per subject, the penalty chosen by the error of left-out samples.

    :math:`\hat W = \operatorname{argmin}_W \|Y - XW\|^2 + \alpha \|W\|^2` with centered
    :math:`Y` and standardized :math:`X`. One decomposition of the training data serves all
    penalties, and the exact error of left-out samples, in closed form as well, chooses among them
    [1]_. Neighbors in time are alike, so that a sample which is left out alone is known from them:
    sessions or blocks of time are left out as a whole. This is the baseline for every
    cross-subject model.

    Parameters
    ----------
    alphas : array-like of shape (n_alphas,) or None, default=None
        Penalties to choose from, the same one for all targets of a subject. None: twenty, from a
        thousandth to a thousand times the mean eigenvalue of the covariance of the voxels, and more
        where the best one lies at an end.
    rank : int or None, default=None
        Reduced-rank regression: number of dimensions of the predictions that are kept, those with
        the largest fitted variance.
    standardize : bool, default=True
        Divide voxels by their standard deviation in the training data of the subject.
    cv : {"auto", "sessions", "blocks", "loo"}, default="auto"
        What is left out to choose the penalty: each session; five contiguous blocks of time (of
        each value of the targets, where these are a few that come back, such as codes of classes);
        or each sample. "auto" takes sessions where there are two or more, of which none holds more
        than half of the samples; else blocks where the autocorrelation time of the targets exceeds
        one sample by more than chance; else samples.

    Attributes
    ----------
    coef_ : dict of ndarray of shape (n_targets, n_voxels)
        By subject, for the voxels as they came; (n_voxels,) where y was 1-D.
    intercept_ : dict of ndarray of shape (n_targets,)
    alpha_ : dict of float
        The penalty chosen, on the scale of the standardized voxels.
    cv_errors_ : dict of ndarray of shape (n_alphas,)
        Mean squared error of every penalty, of left-out samples.
    alphas_ : dict of ndarray of shape (n_alphas,)
        The penalties that were tried.
    readouts_ : dict of dict of ndarray
        By subject: mean and axes of the components of the targets that the brain carries, and gain
        and whitener (of the noise) of predictions, from left-out samples. Candidates are scored by
        them; below some 100 samples the cosine finds more.
    n_constant_ : dict of int
        Constant voxels by subject: they get no weight.
    n_voxels_ : dict of int
    voxel_names_ : dict of (list of str or None)
        Names of the columns of X, by subject; absent where no subject has names.
    target_names_ : list of str
        Names of the columns of y; absent where they have none.
    n_features_in_ : int
        Only if fitted to one 2-D array, which is then subject 0.

    References
    ----------
    .. [1] T. Hastie, R. Tibshirani, J. Friedman (2009). The Elements of Statistical Learning,
       section 7.10.1.

    Examples
    --------
    >>> from neuroml.decoding import RidgeDecoder
    >>> from neuroml.simulate import make_cohort
    >>> cohort = make_cohort(2, n_stimuli=200, n_test=50, n_voxels=(80, 100), random_state=0)
    >>> model = RidgeDecoder().fit(cohort.X, cohort.y)
    >>> model.predict(cohort.X_test["s2"], subject="s2").shape
    (50, 128)
    """

    _parameter_constraints = {
        "alphas": ["array-like", None],
        "rank": [Interval(Integral, 1, None, closed="left"), None],
        "standardize": ["boolean"],
        "cv": [StrOptions(set(CV_OPTIONS))],
    }

    def __init__(
        self,
        alphas: ArrayLike | None = None,
        *,
        rank: int | None = None,
        standardize: bool = True,
        cv: str = "auto",
    ) -> None:
        self.alphas = alphas
        self.rank = rank
        self.standardize = standardize
        self.cv = cv

    @validated_fit
    def fit(
        self, X: Any, y: Any, *, sessions: Any = None, groups: ArrayLike | None = None
    ) -> RidgeDecoder:
        """Fit one decoder for each subject.

        Parameters
        ----------
        X : dict, list, 2-D array or object array of rows
            An array, DataFrame, DataArray, recording or torch tensor; masked entries are NaN.
            A list has one for each subject; a dict one, or a list of sessions, for each subject.
            ``{subject: (n_samples_s, n_voxels_s)}``; the subjects of a list are 0, 1, ..., one
            array is the subject 0, or has several with ``groups``.
        y : like X
            Targets (n_samples_s, n_targets) or (n_samples_s,).
        sessions : array-like of shape (n_rows,), or dict or list of such, optional
            Session of each row, in the form of X; a subject's list of sessions, and recordings with
            gaps, say it themselves. Used where samples are left out to choose the penalty.
        groups : array-like of shape (n_rows,), optional
            The subject of each row of one array.

        Returns
        -------
        self

        Raises
        ------
        DataError
            If subjects, rows or values of X and y do not fit together.

        Warns
        -----
        UserWarning
            If voxels are constant.
        """
        data, targets = check_cohort(self, X, y, groups=groups, needs_y=True)
        self.n_constant_ = warn_constant(data)
        self.coef_: dict[Subject, np.ndarray] = {}
        self.intercept_: dict[Subject, np.ndarray] = {}
        self.alpha_: dict[Subject, float] = {}
        self.cv_errors_: dict[Subject, np.ndarray] = {}
        self.alphas_: dict[Subject, np.ndarray] = {}
        self.readouts_: dict[Subject, dict[str, np.ndarray]] = {}
        n_rows = {s: len(part) for s, part in data.items()}
        known = sessions_by_subject(X, sessions, groups, n_rows)
        problems = {s: self._problem(part, targets[s], known[s]) for s, part in data.items()}
        self._learn_cohort(list(problems.values()))
        for subject, problem in problems.items():
            self._fit_subject(subject, problem)
        return self

    def adapt(
        self, X: ArrayLike, y: ArrayLike, *, subject: Subject, sessions: Any = None
    ) -> RidgeDecoder:
        """Return a new model that also knows another subject, or knows one from other data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_voxels)
        y : array-like of shape (n_samples, n_targets) or (n_samples,)
        subject : hashable
        sessions : array-like of shape (n_samples,), optional

        Returns
        -------
        RidgeDecoder
            This model stays as it is.

        Raises
        ------
        DataError
            If X and y do not fit together or with the targets of fit.
        """
        check_is_fitted(self)
        extended = copy.copy(self)
        data, targets = check_cohort(
            extended, {subject: X}, {subject: y}, needs_y=True, extend=True
        )
        self._check_same_targets(targets[subject], subject)
        for name in ("coef_", "intercept_", "alpha_", "alphas_", "cv_errors_", "readouts_"):
            setattr(extended, name, dict(getattr(self, name)))
        extended.n_constant_ = self.n_constant_ | warn_constant(data)
        given = None if sessions is None else {subject: sessions}
        known = sessions_by_subject({subject: X}, given, None, {subject: len(data[subject])})
        problem = self._problem(data[subject], targets[subject], known[subject])
        extended._fit_subject(subject, problem)
        return extended

    def _check_same_targets(self, y: np.ndarray, subject: Subject) -> None:
        expected = self._target_shape
        if y.shape[1:] != expected:
            raise DataError(
                "other targets than in fit",
                expected=f"{expected[0]} columns" if expected else "one target, 1-D",
                found=f"shape {y.shape}",
                subject=subject,
                field="y",
            )

    def _problem(self, X: np.ndarray, y: np.ndarray, sessions: np.ndarray) -> Problem:
        folds = held_out_folds(self.cv, y, sessions)
        return Problem(Voxels.of(X, folds, standardize=self.standardize), y)

    def _learn_cohort(self, problems: list[Problem]) -> None:
        """Learn what subjects share, in decoders with a cohort prior."""

    def _fit_subject(self, subject: Subject, problem: Problem) -> None:
        fit, center = self._solve(subject, problem)
        weights, intercept = problem.voxels.affine(fit.weights, center)
        coef = weights.T
        flat = problem.y.ndim == 1
        self.coef_[subject] = coef[0] if flat else coef
        self.intercept_[subject] = intercept[0] if flat else intercept
        self.alpha_[subject] = fit.alpha
        self.alphas_[subject] = fit.alphas
        self.cv_errors_[subject] = fit.errors
        self.readouts_[subject] = vars(fit_readout(fit.left_out, problem.targets))

    def _solve(
        self,
        subject: Subject,  # noqa: ARG002
        problem: Problem,
    ) -> tuple[RidgeFit, np.ndarray]:
        """The fit for standardized voxels, and its prediction for the mean voxel pattern."""
        fit = problem.spectrum.solve(problem.targets, check_penalties(self.alphas))
        if self.rank is not None:
            kept = _leading_directions(problem.spectrum.X @ fit.weights, self.rank)
            mean = problem.targets.mean(axis=0)
            left_out = mean + (fit.left_out - mean) @ kept @ kept.T
            fit = replace(fit, weights=fit.weights @ kept @ kept.T, left_out=left_out)
        return fit, problem.targets.mean(axis=0)

    @property
    def _target_shape(self) -> tuple[int, ...]:
        return next(iter(self.coef_.values())).shape[:-1]

    def _score_gallery(
        self, X: np.ndarray, gallery: np.ndarray, subject: Subject, by: str
    ) -> np.ndarray:
        predicted = X @ np.atleast_2d(self.coef_[subject]).T + self.intercept_[subject]
        return Readout(**self.readouts_[subject]).score(predicted, gallery, by)

    def predict(
        self,
        X: Any,
        *,
        subject: Subject | None = None,
        groups: ArrayLike | None = None,
    ) -> Any:
        """Predict the targets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_voxels), or dict, or rows with groups
        subject : hashable, optional
            Whose data one array is; not needed if the model knows only one.
        groups : array-like of shape (n_rows,), optional
            The subject of each row of one array.

        Returns
        -------
        ndarray of shape (n_samples, n_targets) or (n_samples,), or a dict of such
            A dict (or list) of subjects gives a dict.

        Raises
        ------
        DataError
            If the subject is not known (the message names those that are) or has other voxels.
        """
        return map_subjects(
            self,
            X,
            lambda s, part: part @ self.coef_[s].T + self.intercept_[s],
            subject=subject,
            groups=groups,
        )

    def to_frame(self) -> pd.DataFrame:
        """Return the weights of all subjects as one tidy table.

        Returns
        -------
        DataFrame
            One value per row: ``quantity``, ``subject``, ``unit`` and ``target`` (names of the
            columns of X and y, or their numbers), ``value``. Quantities: "weight" in the units of
            X and y, "intercept", "alpha" (the penalty). A decoder with a cohort has
            "cohort_weight" of each subject and "decodability" of each ``component`` too.
        """
        check_is_fitted(self)
        found: list[Quantity] = []
        for subject, coef in self.coef_.items():
            found += affine_quantities(
                self, subject, np.atleast_2d(coef).T, self.intercept_[subject]
            )
            found.append(Quantity("alpha", self.alpha_[subject], fixed={"subject": subject}))
        return long_frame([*found, *self._cohort_quantities()])

    def _cohort_quantities(self) -> list[Quantity]:
        """What subjects share, in decoders with a cohort prior."""
        return []

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _leading_directions(fitted: np.ndarray, rank: int) -> np.ndarray:
    """The ``rank`` strongest directions (n_targets, rank) of fitted targets."""
    # reduced-rank regression: project on the leading eigenvectors of the fitted targets' covariance
    return np.linalg.eigh(fitted.T @ fitted)[1][:, -rank:]
