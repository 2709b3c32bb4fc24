"""Candidates scored, and retrieved, given one subject's samples."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_array

from neuroml._core.cohort import Subject, align_targets, check_subject
from neuroml._core.estimator import check_option
from neuroml._core.validation import one_array
from neuroml.exceptions import DataError

__all__ = ["RetrievalMixin"]


class RetrievalMixin:
    """``score_candidates`` and ``retrieve`` of decoders of several subjects.

    An estimator says what targets look like, and how it scores those of a gallery.
    """

    @property
    @abstractmethod
    def _target_shape(self) -> tuple[int, ...]:
        """(n_targets,), or () where y was 1-D."""

    @abstractmethod
    def _score_gallery(
        self, X: np.ndarray, gallery: np.ndarray, subject: Subject, by: str
    ) -> np.ndarray:
        """Scores (n_samples, n_candidates) of candidates (n_candidates, n_targets)."""

    def score_candidates(
        self,
        X: ArrayLike,
        gallery: ArrayLike,
        *,
        subject: Subject | None = None,
        by: Literal["likelihood", "cosine"] = "likelihood",
    ) -> np.ndarray:
        """Score every candidate against every sample.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_voxels)
        gallery : array-like of shape (n_candidates, n_targets) or (n_candidates,)
            Candidates, as y was in fit.
        subject : hashable, optional
            Not needed if the model knows only one.
        by : {"likelihood", "cosine"}, default="likelihood"
            "likelihood": log-likelihood of what is decoded, up to a constant per row, given the
            candidate, with gains and noise learned from left-out samples. "cosine": cosine of the
            expected targets with the candidate, both centered on the training targets.

        Returns
        -------
        ndarray of shape (n_samples, n_candidates)
            Larger is better.

        Raises
        ------
        DataError
            If there is no such way to score, or the gallery has other columns than y had.
        """
        check_option(by, ("likelihood", "cosine"), "by")
        known, checked = check_subject(self, X, subject)
        shape = self._target_shape
        given: Any = one_array(align_targets(self, gallery, field="gallery"), "gallery")
        candidates = check_array(given, ensure_2d=len(shape) == 1)
        if candidates.shape[1:] != shape:
            raise DataError(
                "other targets than in fit",
                expected=f"{shape[0]} columns" if shape else "one target, 1-D",
                found=f"shape {candidates.shape}",
                field="gallery",
            )
        return self._score_gallery(checked, candidates.reshape(len(candidates), -1), known, by)

    def retrieve(
        self,
        X: ArrayLike,
        gallery: ArrayLike,
        *,
        subject: Subject | None = None,
        k: int = 1,
        by: Literal["likelihood", "cosine"] = "likelihood",
    ) -> np.ndarray:
        """Find the k best candidates of each sample, best first.

        Parameters
        ----------
        X, gallery, subject, by
            As in `score_candidates`.
        k : int, default=1

        Returns
        -------
        ndarray of int of shape (n_samples, k)
            Rows of the gallery.
        """
        scores = self.score_candidates(X, gallery, subject=subject, by=by)
        if not 1 <= k <= scores.shape[1]:
            raise ValueError(f"k must lie between 1 and the {scores.shape[1]} candidates, got {k}.")
        return np.argsort(-scores, axis=1, kind="stable")[:, :k]
