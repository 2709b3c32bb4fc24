"""Decoders of several subjects into one space of targets: what the estimators have in common."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassNamePrefixFeaturesOutMixin
from sklearn.utils import Tags, check_array
from sklearn.utils.validation import check_is_fitted

from neuroml._core.cohort import (
    Subject,
    check_cohort,
    check_known,
    map_subjects,
    sessions_by_subject,
)
from neuroml._core.estimator import Estimator, TableOutputMixin, check_option, validated_fit
from neuroml._core.validation import one_array
from neuroml.decoding._candidate_scores import cosine_scores
from neuroml.decoding._held_out_folds import held_out_folds
from neuroml.decoding._retrieval import RetrievalMixin
from neuroml.decoding._subjects import CohortRegressorMixin, warn_constant
from neuroml.exceptions import DataError

__all__ = ["CrossSubjectBase", "TargetSpace", "fit_target_space"]


class CrossSubjectBase(
    RetrievalMixin,
    CohortRegressorMixin,
    ClassNamePrefixFeaturesOutMixin,
    TableOutputMixin,
    Estimator,
    ABC,
):
    """Fitting, adapting, predicting and retrieving, around a model of the targets' coordinates.

    An estimator says how subjects are fitted (`_fit_subjects`), and what one subject's voxels give:
    coordinates of the targets, latents, scores of candidates.
    """

    cv: str = "auto"
    heads: dict[str, int] | None
    target_rank: int | None
    center_targets: bool
    n_voxels_: dict[Subject, int]

    def _check_settings(self) -> None:
        """Refuse settings that cannot be used here, before anything is changed."""

    @abstractmethod
    def _fit_subjects(
        self,
        X: dict[Subject, np.ndarray],
        y: dict[Subject, np.ndarray],
        folds: dict[Subject, np.ndarray | None],
    ) -> None:
        """Fit all subjects' voxels (n_samples_s, n_voxels_s) to coordinates of the targets.

        ``folds`` has the samples that are left out together, as `held_out_folds` gives them.
        """

    @abstractmethod
    def _predict_coordinates(self, X: np.ndarray, subject: Subject) -> np.ndarray:
        """Expected coordinates (n_samples, n_coordinates) of the targets."""

    @abstractmethod
    def _transform_subject(self, X: np.ndarray, subject: Subject) -> np.ndarray:
        """Shared latents (n_samples, n_latents)."""

    @abstractmethod
    def _build_voxels(self, latents: np.ndarray, subject: Subject) -> np.ndarray:
        """Expected voxels (n_samples, n_voxels) of a subject, in their own units."""

    @abstractmethod
    def _score_coordinates(
        self, X: np.ndarray, gallery: np.ndarray, subject: Subject
    ) -> np.ndarray:
        """Log-likelihoods (n_samples, n_candidates) given candidates' coordinates."""

    @validated_fit
    def fit(self, X: Any, y: Any, *, sessions: Any = None, groups: ArrayLike | None = None) -> Self:
        """Fit the part that subjects share and the part that each has alone.

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
            gaps, say it themselves. Used where samples are left out to choose penalties.
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
        self._check_settings()
        data, targets = check_cohort(self, X, y, groups=groups, needs_y=True)
        self.n_constant_ = warn_constant(data)
        columns = {s: part.reshape(len(part), -1) for s, part in targets.items()}
        pooled = np.concatenate(list(columns.values())).astype(np.float64, copy=False)
        self.target_ndim_ = next(iter(targets.values())).ndim
        space = fit_target_space(
            pooled,
            head_sizes(self.heads, pooled.shape[1]),
            self.target_rank,
            center=self.center_targets,
        )
        self.target_space_ = vars(space)
        n_rows = {s: len(part) for s, part in data.items()}
        known = sessions_by_subject(X, sessions, groups, n_rows)
        folds = {s: held_out_folds(self.cv, columns[s], known[s]) for s in data}
        self._fit_subjects(data, {s: space.encode(part) for s, part in columns.items()}, folds)
        return self

    def _extended(
        self,
        X: ArrayLike,
        y: ArrayLike,
        subject: Subject,
        strategy: str,
        strategies: tuple[str, ...],
        sessions: Any,
    ) -> tuple[Self, np.ndarray, np.ndarray, np.ndarray | None]:
        """A copy that knows the subject's voxels, checked data, coordinates of targets, folds."""
        check_is_fitted(self)
        self._check_settings()
        check_option(strategy, strategies, "strategy")
        extended = copy.copy(self)
        data, targets = check_cohort(
            extended, {subject: X}, {subject: y}, needs_y=True, extend=True
        )
        extended.n_constant_ = self.n_constant_ | warn_constant(data)
        given = None if sessions is None else {subject: sessions}
        known = sessions_by_subject({subject: X}, given, None, {subject: len(data[subject])})
        folds = held_out_folds(self.cv, targets[subject], known[subject])
        return extended, data[subject], self._encode_targets(targets[subject]), folds

    def predict(
        self, X: Any, *, subject: Subject | None = None, groups: ArrayLike | None = None
    ) -> Any:
        """Predict the expected targets.

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

        Raises
        ------
        DataError
            If the subject is not known (the message names those that are) or has other voxels.
        """

        def one(s: Subject, part: np.ndarray) -> np.ndarray:
            decoded = self._space.decode(self._predict_coordinates(part, s))
            return decoded if self.target_ndim_ == 2 else decoded[:, 0]

        return map_subjects(self, X, one, subject=subject, groups=groups)

    def transform(
        self, X: Any, *, subject: Subject | None = None, groups: ArrayLike | None = None
    ) -> Any:
        """Map voxels to the latents that all subjects share.

        Parameters
        ----------
        X, subject, groups
            As in `predict`.

        Returns
        -------
        ndarray of shape (n_samples, n_latents), or a dict of such
        """
        return map_subjects(
            self,
            X,
            lambda s, part: self._transform_subject(part, s),
            subject=subject,
            groups=groups,
        )

    def inverse_transform(self, latents: ArrayLike, *, subject: Subject) -> np.ndarray:
        """Predict a subject's voxels from latents.

        Parameters
        ----------
        latents : array-like of shape (n_samples, n_latents)
            From `transform`.
        subject : hashable

        Returns
        -------
        ndarray of shape (n_samples, n_voxels)
            In the units of the subject's training data.

        Raises
        ------
        DataError
            If the subject is not known or its builder was not trained.
        """
        check_is_fitted(self)
        known = check_known(self.n_voxels_, subject)
        return self._build_voxels(check_array(one_array(latents, "latents")), known)

    def synthesize(self, X: ArrayLike, *, source: Subject, target: Subject) -> np.ndarray:
        """Predict the voxels of one subject from those of another one.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_voxels_of_source)
            Voxels of the source.
        source, target : hashable
            Known subjects.

        Returns
        -------
        ndarray of shape (n_samples, n_voxels_of_target)
        """
        return self.inverse_transform(self.transform(X, subject=source), subject=target)

    @property
    def _target_shape(self) -> tuple[int, ...]:
        return (len(self._space.mean),) if self.target_ndim_ == 2 else ()

    def _score_gallery(
        self, X: np.ndarray, gallery: np.ndarray, subject: Subject, by: str
    ) -> np.ndarray:
        candidates = self._encode_targets(gallery)
        if by == "cosine":
            return cosine_scores(self._predict_coordinates(X, subject), candidates)
        return self._score_coordinates(X, candidates, subject)

    def _encode_targets(self, targets: np.ndarray) -> np.ndarray:
        """Coordinates of targets, which must have the columns of fit."""
        columns = targets.reshape(len(targets), -1)
        if columns.shape[1] != len(self._space.mean):
            raise DataError(
                "other targets than in fit",
                expected=f"{len(self._space.mean)} columns",
                found=columns.shape[1],
                field="y",
            )
        return self._space.encode(columns)

    @property
    def _space(self) -> TargetSpace:
        return TargetSpace(**self.target_space_)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


@dataclass(frozen=True)
class TargetSpace:
    """Affine map between targets and their coordinates.

    Attributes
    ----------
    mean : ndarray of shape (n_targets,)
    basis : ndarray of shape (n_targets, n_coordinates) or None
        Orthonormal columns, block by block for the heads; None for the identity.
    sizes : list of int
        Coordinates of each head.
    """

    mean: np.ndarray
    basis: np.ndarray | None
    sizes: list[int]

    def encode(self, targets: np.ndarray) -> np.ndarray:
        """Coordinates (n_samples, n_coordinates) of targets (n_samples, n_targets)."""
        centered = targets - self.mean
        return centered if self.basis is None else centered @ self.basis

    def decode(self, coordinates: np.ndarray) -> np.ndarray:
        """Targets of coordinates."""
        full = coordinates if self.basis is None else coordinates @ self.basis.T
        return full + self.mean


def head_sizes(heads: dict[str, int] | None, n_targets: int) -> list[int]:
    """Number of columns of each head, checked to add up to all of them."""
    if heads is None:
        return [n_targets]
    sizes = [int(size) for size in heads.values()]
    if sum(sizes) != n_targets or min(sizes, default=0) < 1:
        raise DataError(
            "heads do not cover the targets",
            expected=f"sizes that add up to the {n_targets} columns of y",
            found=heads,
            field="heads",
        )
    return sizes


def fit_target_space(
    targets: np.ndarray, sizes: list[int], rank: int | None, *, center: bool
) -> TargetSpace:
    """Mean and, with a rank, the principal components of each head's training targets.

    Parameters
    ----------
    targets : ndarray of shape (n_samples, n_targets)
        The training targets of all subjects.
    sizes : list of int
        Columns of each head.
    rank : int or None
        Maximum number of coordinates of a head; None for the targets as they are.
    center : bool
        Whether to subtract the mean.
    """
    mean = targets.mean(axis=0) if center else np.zeros(targets.shape[1], targets.dtype)
    if rank is None:
        return TargetSpace(mean, None, list(sizes))
    blocks, starts = [], np.cumsum([0, *sizes])
    for first, size in zip(starts, sizes, strict=False):
        # the leading right singular vectors of the head's targets are their principal components
        part = targets[:, first : first + size] - mean[first : first + size]
        rows = np.linalg.svd(part, full_matrices=False)[2][:rank]
        block = np.zeros((targets.shape[1], len(rows)), targets.dtype)
        block[first : first + size] = rows.T
        blocks.append(block)
    return TargetSpace(mean, np.hstack(blocks), [block.shape[1] for block in blocks])
