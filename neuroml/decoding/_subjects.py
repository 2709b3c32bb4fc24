"""Voxels of several subjects: scores, scaling and checks that decoders and aligners share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score

from neuroml._core.cohort import (
    Subject,
    align_targets,
    by_subject,
    is_cohort,
    looks_transposed,
    pair_by_subject,
)
from neuroml._core.frames import Quantity, names_or_numbers
from neuroml._core.validation import check_sample_weight, list_some
from neuroml._core.warn import warn_caller
from neuroml.exceptions import DataError

__all__ = [
    "CohortRegressorMixin",
    "check_correspondence",
    "check_same_rows",
    "voxel_scaling",
    "warn_constant",
    "weights_by_subject",
]


class CohortRegressorMixin(RegressorMixin):
    """The score of regressors whose ``predict`` takes ``subject=``."""

    def score(
        self,
        X: Any,
        y: Any,
        *,
        subject: Subject | None = None,
        groups: ArrayLike | None = None,
        sample_weight: Any = None,
    ) -> float:
        """Coefficient of determination, the mean over targets and then over subjects.

        Parameters
        ----------
        X : dict, list, 2-D array or object array of rows
            As in ``fit``.
        y : like X
        subject : hashable, optional
            Whose data one 2-D array is.
        groups : array-like of shape (n_rows,), optional
            The subject of each row of one array.
        sample_weight : array-like of shape (n_rows,), or dict or list of such, optional
            Weights of the samples, in the form of X; every subject counts alike in the mean.

        Returns
        -------
        float

        Raises
        ------
        DataError
            If weights do not fit the samples, are not finite or negative, or are all zero for a
            subject.
        """
        data, targets = pair_by_subject(X, y, groups)
        weights = weights_by_subject(sample_weight, data, X, groups)
        one = groups is None and not is_cohort(X)
        return float(
            np.mean(
                [
                    r2_score(
                        align_targets(self, targets[s], s),
                        self.predict(part, subject=subject if one else s),
                        sample_weight=weights[s],
                    )
                    for s, part in data.items()
                ]
            )
        )


def weights_by_subject(
    sample_weight: Any, data: dict[Subject, Any], X: Any, groups: ArrayLike | None
) -> dict[Subject, np.ndarray | None]:
    """Checked weights of each subject's samples, or None for each."""
    if sample_weight is None:
        return dict.fromkeys(data)
    if not is_cohort(X):
        n_rows = sum(len(part) for part in data.values())
        parts = by_subject(check_sample_weight(sample_weight, n_rows), groups)
    else:
        parts = sample_weight if isinstance(sample_weight, dict) else dict(enumerate(sample_weight))
    if parts.keys() != data.keys():
        raise DataError(
            "the weights are of other subjects than X",
            expected=list_some(list(data)),
            found=list_some(list(parts)),
            field="sample_weight",
        )
    return {s: check_sample_weight(parts[s], len(part)) for s, part in data.items()}


def check_same_rows(data: dict[Subject, np.ndarray], n_rows: int | None = None) -> int:
    """Number of rows of every subject, which must be the same: shared stimuli in the same order.

    Parameters
    ----------
    data : dict of arrays of shape (n_samples, n_voxels_s)
    n_rows : int, optional
        The number expected; None takes that of the first subject.
    """
    first = len(next(iter(data.values()))) if n_rows is None else n_rows
    for subject, part in data.items():
        if len(part) != first:
            same_columns = len(data) > 1 and len({other.shape[1] for other in data.values()}) == 1
            hint = " (are the arrays transposed?)" if same_columns else ""
            raise DataError(
                "subjects do not share their samples",
                expected=f"{first} rows, one per shared time point or stimulus",
                found=f"shape {part.shape}{hint or looks_transposed(part, first, axis=0)}",
                fix="Give rows that a subject did not see as NaN if the model takes them.",
                subject=subject,
                field="X",
            )
    return first


def check_correspondence(model: Any) -> None:
    """Refuse a prior that compares voxels where subjects have other ones."""
    names = {s: list(n) for s, n in getattr(model, "voxel_names_", {}).items() if n is not None}
    first = next(iter(names.values()), None)
    if len(set(model.n_voxels_.values())) > 1 or any(n != first for n in names.values()):
        raise DataError(
            "a prior needs voxels that correspond between subjects",
            expected="the same columns in all subjects, or prior='none'",
            found=f"{model.n_voxels_} columns, of the same names: "
            f"{all(n == first for n in names.values())}",
            field="prior",
        )


def voxel_scaling(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (n_voxels,) of every voxel; the latter is 1 where constant."""
    mean, deviation = X.mean(axis=0), X.std(axis=0)
    # the deviation of equal values is not zero but their rounding, of the order of eps x |mean|
    flat = deviation <= 10 * np.finfo(X.dtype).eps * np.abs(mean)
    return mean, np.where(flat, 1, deviation).astype(X.dtype)


def warn_constant(data: dict[Subject, np.ndarray]) -> dict[Subject, int]:
    """Count constant voxels by subject, and say so where there are any: they carry nothing."""
    counts = {s: _n_constant(part) for s, part in data.items()}
    if any(counts.values()):
        found = ", ".join(f"{s!r}: {n}" for s, n in counts.items() if n)
        warn_caller(f"Constant voxels get no weight ({found}).", UserWarning)
    return counts


def _n_constant(X: np.ndarray) -> int:
    """Number of constant columns; most are cleared by their first rows."""
    start = X[:8]
    rest = X[:, ~(np.fmax.reduce(start) > np.fmin.reduce(start))]
    return int((np.fmax.reduce(rest) == np.fmin.reduce(rest)).sum())


def unit_labels(decoder: Any, subject: Subject) -> list[Any]:
    """Names of a subject's voxels, or their numbers."""
    names = getattr(decoder, "voxel_names_", {}).get(subject)
    return names_or_numbers(names, decoder.n_voxels_[subject])


def affine_quantities(
    decoder: Any, subject: Subject, weights: np.ndarray, intercept: ArrayLike
) -> list[Quantity]:
    """Weights (n_voxels, n_targets) and intercepts (n_targets,) of one subject, by name."""
    targets = names_or_numbers(getattr(decoder, "target_names_", None), weights.shape[1])
    axes, own = {"unit": unit_labels(decoder, subject), "target": targets}, {"subject": subject}
    return [
        Quantity("weight", weights, axes, fixed=own),
        Quantity("intercept", np.atleast_1d(intercept), {"target": targets}, fixed=own),
    ]
