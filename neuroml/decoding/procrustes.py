"""Hyperalignment: rotations of every brain's voxels to a template."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval

from neuroml._core.em import best_climb, climb
from neuroml.decoding._alignment import CohortAligner
from neuroml.decoding._subjects import Subject
from neuroml.exceptions import DataError

__all__ = ["ProcrustesAligner"]


class ProcrustesAligner(CohortAligner):
    r"""Generalised Procrustes alignment of brains with different voxels to a common template.

    Every subject's voxels are rotated, and scaled, to fit the mean of all rotated subjects:
    :math:`\min \sum_i \|c_i X_i R_i - T\|^2` with orthonormal rows or columns in :math:`R_i`,
    alternately for the maps and the template [1]_ [2]_. The template lives in the voxels of the
    reference subject. With fewer samples than voxels, directions in which there are no data are
    dropped rather than rotated arbitrarily.

    Parameters
    ----------
    scaling : bool, default=True
        Whether a subject may be scaled as a whole.
    parcels : dict of array-like of shape (n_voxels,), array-like, or None, default=None
        Region of every voxel, by subject (or for all subjects, or for one 2-D array): voxels are
        then mixed within their region only, and the output is sorted by region.
    reference : hashable or None, default=None
        Subject in whose voxels the template starts; None takes the first.
    standardize : bool, default=True
        Divide voxels by their standard deviation in the training data.
    max_iter : int, default=20
        Most rounds over subjects for one template.
    tol : float, default=1e-4
        Converged when a round raises the mean similarity to the template by no more than this.

    Attributes
    ----------
    basis_ : dict of ndarray of shape (n_voxels, n_out)
        The map of each subject, scale included.
    template_ : ndarray of shape (n_samples, n_out)
    mean_, scale_ : dict of ndarray of shape (n_voxels,)
        What is subtracted from voxels, and what they are then divided by.
    held_out_r_ : dict of float
        For subjects added later: correlation with the template on the half of the samples that the
        map was not fitted to, mean over columns and halves.
    parcel_names_ : ndarray of shape (n_parcels,)
    parcel_sizes_ : ndarray of int of shape (n_parcels,)
        Columns of the output that belong to each region.
    n_constant_, n_voxels_ : dict of int
    converged_ : bool
        Whether the templates of all regions converged.
    n_iter_ : int
        The most rounds that a region took.

    References
    ----------
    .. [1] J. C. Gower (1975). Generalized Procrustes analysis. Psychometrika 40(1).
    .. [2] J. V. Haxby et al. (2011). A common, high-dimensional model of the representational space
       in human ventral temporal cortex. Neuron 72(2).

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.decoding import ProcrustesAligner
    >>> rng = np.random.default_rng(0)
    >>> S = rng.standard_normal((100, 10))
    >>> X = {name: S @ rng.standard_normal((10, v)) for name, v in [("a", 20), ("b", 30)]}
    >>> aligned = ProcrustesAligner().fit(X).transform(X)
    >>> aligned["b"].shape
    (100, 20)
    """

    _parameter_constraints = {
        "scaling": ["boolean"],
        "parcels": [dict, "array-like", None],
        "reference": "no_validation",
        "standardize": ["boolean"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        *,
        scaling: bool = True,
        parcels: dict[Subject, ArrayLike] | ArrayLike | None = None,
        reference: Subject | None = None,
        standardize: bool = True,
        max_iter: int = 20,
        tol: float = 1e-4,
    ) -> None:
        self.scaling = scaling
        self.parcels = parcels
        self.reference = reference
        self.standardize = standardize
        self.max_iter = max_iter
        self.tol = tol

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> ProcrustesAligner:
        """Find the template and every subject's map to it.

        Parameters
        ----------
        X : dict or list of array-like of shape (n_samples, n_voxels_s), or one such array
            The same samples in the same order for all; rows that a subject missed are NaN.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        DataError
            If there is one subject in a dict, samples are not shared, the reference is not among
            the subjects or missed samples, or a region is missing in a subject.

        Warns
        -----
        NotConvergedWarning
            If a template did not converge in ``max_iter`` rounds.
        """
        data, seen = self._check_and_scale(X)
        first = next(iter(data)) if self.reference is None else self.reference
        if first not in data or not seen[first].all():
            raise DataError(
                "the reference must be a subject that saw all samples",
                expected="one of the subjects of X, without NaN",
                found=repr(first),
                field="reference",
            )
        names = np.unique(self._labels(first))
        fits = []
        for name in names:
            blocks = {s: part[:, self._columns(s, name)] for s, part in data.items()}
            parts, start = list(blocks.values()), blocks[first]
            norm = max(float(np.linalg.norm(start)), 1e-30)
            found = climb(
                partial(_round, parts), start / norm, -1.0, max_iter=self.max_iter, tol=self.tol
            )
            fits.append((found, norm))
        climbs = [found for found, _ in fits]
        best_climb([min(climbs, key=lambda one: one.converged)], name=type(self).__name__)
        self.parcel_names_ = names
        self.parcel_sizes_ = np.array([found.state.shape[1] for found in climbs])
        self.template_ = np.hstack([found.state * norm for found, norm in fits])
        self.basis_ = {
            s: self._fit_basis(part[seen[s]], self.template_[seen[s]], s)
            for s, part in data.items()
        }
        self.converged_ = all(found.converged for found in climbs)
        self.n_iter_ = max(found.n_iter for found in climbs)
        self._n_features_out = self.template_.shape[1]
        return self

    def _labels(self, subject: Subject) -> np.ndarray:
        """Region of each voxel of a subject."""
        if self.parcels is None:
            return np.zeros(self.n_voxels_[subject], dtype=int)
        given = self.parcels
        labels = np.asarray(given.get(subject, []) if isinstance(given, dict) else given)
        if labels.shape != (self.n_voxels_[subject],):
            raise DataError(
                "regions do not match the voxels",
                expected=f"one region for each of {self.n_voxels_[subject]} voxels",
                found=f"shape {labels.shape}",
                subject=subject,
                field="parcels",
            )
        return labels

    def _columns(self, subject: Subject, name: Any) -> np.ndarray:
        columns = np.flatnonzero(self._labels(subject) == name)
        if not len(columns):
            raise DataError(
                "a region is missing", expected=f"voxels in region {name!r}", subject=subject
            )
        return columns

    @property
    def _target(self) -> np.ndarray:
        return self.template_

    def _fit_basis(self, X: np.ndarray, target: np.ndarray, subject: Subject) -> np.ndarray:
        basis = np.zeros((X.shape[1], target.shape[1]), dtype=X.dtype)
        stop = 0
        for name, size in zip(self.parcel_names_, self.parcel_sizes_, strict=True):
            columns, start, stop = self._columns(subject, name), stop, stop + size
            block, wanted = X[:, columns], target[:, start:stop]
            rotation = product_polar(block, wanted)
            rotated = block @ rotation
            power = np.vdot(rotated, rotated)
            scale = np.vdot(rotated, wanted) / power if self.scaling and power > 0 else 1.0
            basis[columns, start:stop] = scale * rotation
        return basis


def product_polar(X: np.ndarray, T: np.ndarray) -> np.ndarray:
    """The polar factor (n_voxels, n_out) of X^T T, by way of the samples if these are fewer."""
    if len(X) >= min(X.shape[1], T.shape[1]):
        left, values, right = np.linalg.svd(X.T @ T, full_matrices=False)
        return _product(left, values, right)
    (q_x, r_x), (q_t, r_t) = np.linalg.qr(X.T), np.linalg.qr(T.T)
    left, values, right = np.linalg.svd(r_x @ r_t.T)
    return q_x @ _product(left, values, right) @ q_t.T


def _product(left: np.ndarray, values: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The orthonormal part, without directions in which the product is zero."""
    keep = values > values[:1].max(initial=0.0) * 10 * len(values) * np.finfo(values.dtype).eps
    return left[:, keep] @ right[keep]


def _round(parts: Sequence[np.ndarray], T: np.ndarray) -> tuple[np.ndarray, float]:
    """Rotate all parts to a template of unit norm; the next template and the mean similarity.

    With maps and template in turn, the sum of the inner products of the template with the rotated
    parts, each of unit power, cannot fall.
    """
    total = np.zeros_like(T)
    for X in parts:
        total += X @ product_polar(X, T) / max(np.linalg.norm(X), 1e-30)
    norm = float(np.linalg.norm(total))
    return total / max(norm, 1e-30), norm / len(parts)
