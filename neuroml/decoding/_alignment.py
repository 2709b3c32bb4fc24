"""The base of the aligners: one linear map per subject from voxels to a common space."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import ClassNamePrefixFeaturesOutMixin
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from neuroml._core.cohort import Subject, check_cohort, check_subject, map_subjects
from neuroml._core.estimator import Estimator, TableOutputMixin
from neuroml._core.frames import Quantity, long_frame
from neuroml._core.mutation import all_or_nothing
from neuroml._core.validation import one_array
from neuroml._core.warn import warn_caller
from neuroml.decoding._pooled_map import map_near, memory, memory_of_seen, scale_near
from neuroml.decoding._subjects import (
    check_correspondence,
    check_same_rows,
    unit_labels,
    voxel_scaling,
    warn_constant,
)
from neuroml.decoding.metrics import feature_correlation
from neuroml.exceptions import DataError

__all__ = ["CohortAligner"]

# Two samples for each of the halves, of which one tests the map that the other gave.
_MIN_ADDED = 4
# Lower bound of the correlation that is asked for: from 22 500 values on, three standard errors are
# less than this, and 0.02 is 0.04 % of the variance, which is no sign of shared samples.
_MIN_CORRELATION = 0.02


class CohortAligner(ClassNamePrefixFeaturesOutMixin, TableOutputMixin, Estimator, ABC):
    """Scaling, transforming and adding subjects, around ``basis_`` of shape (n_voxels, n_out)."""

    standardize: bool
    prior: float | str
    n_voxels_: dict[Subject, int]
    basis_: dict[Subject, np.ndarray]

    @property
    @abstractmethod
    def _target(self) -> np.ndarray:
        """The response or template that subjects are aligned to (n_samples, n_out)."""

    @abstractmethod
    def _fit_basis(self, X: np.ndarray, target: np.ndarray, subject: Subject) -> np.ndarray:
        """The map (n_voxels, n_out) of one subject's scaled data to the target."""

    def _check_seen(self, X: np.ndarray, subject: Subject) -> None:
        """Refuse a subject whose seen rows (n_seen, n_voxels) are too few, or narrow, for a map."""
        if len(X) < 2:
            raise _too_few_samples(len(X), 2, subject)

    def _center_and_scale(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return voxel_scaling(X)

    def _inverse_basis(self, subject: Subject) -> np.ndarray:
        """The pseudo-inverse (n_out, n_voxels) of a subject's map."""
        return self.basis_[subject].T

    def _project(self, X: np.ndarray, subject: Subject) -> np.ndarray:
        return X @ self.basis_[subject]

    def _check_and_scale(
        self, X: Any
    ) -> tuple[dict[Subject, np.ndarray], dict[Subject, np.ndarray]]:
        """Scaled data, zero in rows that were not seen, and which rows were seen, by subject."""
        data, _ = check_cohort(self, X, min_subjects=2, missing_rows=True)
        check_same_rows(data)
        seen = {s: ~np.isnan(part[:, 0]) for s, part in data.items()}
        if not np.any(list(seen.values()), axis=0).all():
            raise DataError("some samples were seen by no subject", fix="Leave them out.")
        self.mean_: dict[Subject, np.ndarray] = {}
        self.scale_: dict[Subject, np.ndarray] = {}
        self.held_out_r_: dict[Subject, float] = {}
        self.prior_weight_: dict[Subject, float] = {}
        self.__dict__.pop("pooled_basis_", None)
        if self.prior not in ("none", 0):
            check_correspondence(self)
        self.n_constant_ = warn_constant(data)
        return {s: self._learn_scaling(part, seen[s], s) for s, part in data.items()}, seen

    def _learn_scaling(self, X: np.ndarray, seen: np.ndarray, subject: Subject) -> np.ndarray:
        rows = X if seen.all() else X[seen]
        self._check_seen(rows, subject)
        mean, scale = self._center_and_scale(rows)
        scale = scale if self.standardize else np.ones_like(scale)
        self.mean_, self.scale_ = self.mean_ | {subject: mean}, self.scale_ | {subject: scale}
        scaled = self._scaled(X, subject)
        scaled[~seen] = 0
        return scaled

    def _scaled(self, X: np.ndarray, subject: Subject) -> np.ndarray:
        centered = X - self.mean_[subject]
        if self.standardize:
            centered /= self.scale_[subject]
        return centered

    def add_subject(self, X: ArrayLike, *, subject: Subject) -> CohortAligner:
        """Learn a new subject's map from samples shared with the cohort; the others stay.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_voxels)
            Responses to the samples of ``fit``, in the same order; rows that were missed are NaN.
        subject : hashable

        Returns
        -------
        self

        Raises
        ------
        DataError
            If the rows are not those of ``fit``, fewer than four of them were seen, or the subject
            saw too few, or has too few voxels, for a map. The model then stays as it was.

        Warns
        -----
        UserWarning
            If a map fitted to one half of the samples says nothing about the other half (see
            ``held_out_r_``): then the samples are probably not the shared ones.
        """
        check_is_fitted(self)
        with all_or_nothing(self):
            self._add_subject(X, subject)
        return self

    def _add_subject(self, X: ArrayLike, subject: Subject) -> None:
        data, _ = check_cohort(self, {subject: X}, missing_rows=True, extend=True)
        check_same_rows(data, len(self._target))
        if self.prior not in ("none", 0):
            check_correspondence(self)
        constant = warn_constant(data)
        seen = ~np.isnan(data[subject][:, 0])
        if seen.sum() < _MIN_ADDED:
            raise _too_few_samples(int(seen.sum()), _MIN_ADDED, subject)
        scaled = self._learn_scaling(data[subject], seen, subject)[seen]
        if self.prior == "pooled":
            scaled = self._rescaled(scaled, seen, subject)
        target = self._target[seen]
        tau = memory_of_seen(memory(self._target), seen)
        r = self._held_out_r(scaled, target, subject, tau)
        # three standard errors of the correlation of as many unrelated values
        if not r >= max(_MIN_CORRELATION, 3 / np.sqrt(target.size)):
            warn_caller(
                f"subject {subject!r}: on samples left out of its map, its correlation with the "
                f"cohort is {r:.3f}. Are these the shared samples, in the same order?",
                UserWarning,
            )
        self.held_out_r_ = self.held_out_r_ | {subject: r}
        basis, weight = self._added_basis(scaled, target, subject, tau)
        self.basis_ = self.basis_ | {subject: basis}
        if self.prior == "pooled":
            self.prior_weight_ = self.prior_weight_ | {subject: weight}
        self.n_constant_ = self.n_constant_ | constant

    def _rescaled(self, X: np.ndarray, seen: np.ndarray, subject: Subject) -> np.ndarray:
        """Scaled samples (n_seen, n_voxels) of a new subject, by divisors drawn to the others'."""
        own = self.scale_[subject]
        tau = memory_of_seen(self.pooled_memory_, seen)
        near = scale_near(own, self.pooled_scale_, len(X) / tau)
        self.scale_ = self.scale_ | {subject: near}
        return X * (own / near)

    def _pool_maps(self, scaled: dict[Subject, np.ndarray]) -> None:
        if self.prior == "pooled":
            self.pooled_memory_ = float(np.median([memory(part) for part in scaled.values()]))
            self.pooled_basis_ = np.mean(list(self.basis_.values()), axis=0)
            self.pooled_scale_ = np.mean(list(self.scale_.values()), axis=0)

    def _added_basis(
        self, X: np.ndarray, target: np.ndarray, subject: Subject, tau: float
    ) -> tuple[np.ndarray, float]:
        """The map of a subject added later, and the weight of the others' in it.

        ``tau`` is the autocorrelation time of the target.
        """
        if self.prior != "pooled":
            return self._fit_basis(X, target, subject), 0.0
        return map_near(
            lambda X, T: self._fit_basis(X, T, subject),
            self._mixed,
            X,
            target,
            self.pooled_basis_,
            tau,
        )

    def _mixed(self, own: np.ndarray, pooled: np.ndarray, weight: float) -> np.ndarray:
        """A subject's own map and that of the others, which has this weight."""
        return (1 - weight) * own + weight * pooled

    def _held_out_r(self, X: np.ndarray, target: np.ndarray, subject: Subject, tau: float) -> float:
        half = len(X) // 2
        first, second = slice(None, half), slice(half, None)
        return float(
            np.mean(
                [
                    feature_correlation(
                        X[test] @ self._added_basis(X[train], target[train], subject, tau)[0],
                        target[test],
                    ).mean()
                    for train, test in ((first, second), (second, first))
                ]
            )
        )

    def transform(
        self, X: Any, *, subject: Subject | None = None, groups: ArrayLike | None = None
    ) -> Any:
        """Map responses to the common space, after scaling the voxels as in training.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_voxels), or dict, or rows with groups
        subject : hashable, optional
            Whose data one array is; not needed if the model knows only one.
        groups : array-like of shape (n_rows,), optional
            The subject of each row of one array.

        Returns
        -------
        ndarray of shape (n_samples, n_out), or a dict of such for a dict or list

        Raises
        ------
        DataError
            If the subject is not known, or has other voxels than in training.
        """
        return map_subjects(
            self,
            X,
            lambda s, part: self._project(self._scaled(part, s), s),
            subject=subject,
            groups=groups,
        )

    def to_frame(self) -> pd.DataFrame:
        """Return the maps of all subjects as one tidy table.

        Returns
        -------
        DataFrame
            One value per row: ``quantity``, ``subject``, ``unit`` (name or number of the column of
            X), ``component`` (column of what `transform` returns) and ``value``. Quantities:
            "basis" (the map), "mean" and "scale" (what is subtracted from a unit, and the divisor
            afterwards).
        """
        check_is_fitted(self)
        found: list[Quantity] = []
        for subject, basis in self.basis_.items():
            units, own = {"unit": unit_labels(self, subject)}, {"subject": subject}
            components = {"component": range(basis.shape[1])}
            found += [
                Quantity("basis", basis, {**units, **components}, fixed=own),
                Quantity("mean", self.mean_[subject], units, fixed=own),
                Quantity("scale", self.scale_[subject], units, fixed=own),
            ]
        return long_frame(found)

    def inverse_transform(self, Z: ArrayLike, *, subject: Subject | None = None) -> np.ndarray:
        """Return the responses of a subject, with the smallest norm, that `transform` maps to Z.

        Directions that the subject's map cannot reach (more columns than it has voxels or had
        samples) are left out: ``transform(inverse_transform(Z))`` is Z for every Z that came from
        `transform`.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_out)
        subject : hashable, optional
            In whose voxels; not needed if the model knows only one.

        Returns
        -------
        ndarray of shape (n_samples, n_voxels)
        """
        name = next(iter(self.basis_)) if subject is None and len(self.basis_) == 1 else subject
        empty = np.zeros((1, self.n_voxels_.get(name, 1)))
        name, _ = check_subject(self, empty, name)
        columns = check_array(one_array(Z, "Z"), dtype=(np.float64, np.float32), input_name="Z")
        inverse = self._inverse_basis(name)
        if columns.shape[1] != len(inverse):
            raise DataError(
                "Z has other columns than the common space",
                expected=f"{len(inverse)} columns, as transform gives them",
                found=columns.shape[1],
                field="Z",
            )
        return columns @ inverse * self.scale_[name] + self.mean_[name]


def _too_few_samples(n_seen: int, minimum: int, subject: Subject) -> DataError:
    return DataError(
        "too few samples were seen",
        expected=f"at least {minimum} rows that are not NaN",
        found=n_seen,
        subject=subject,
        field="X",
    )
