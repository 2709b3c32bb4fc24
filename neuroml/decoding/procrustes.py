"""Hyperalignment: rotations of every subject's voxels to a template."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from neuroml._core.cohort import Subject
from neuroml._core.estimator import Interval, StrOptions, validated_fit
from neuroml._core.iteration import FitTrace, iterate, select_restart
from neuroml.decoding._alignment import CohortAligner
from neuroml.exceptions import DataError

__all__ = ["ProcrustesAligner"]


class ProcrustesAligner(CohortAligner):
    r"""Generalized Procrustes alignment of subjects with different voxels to a common template.

    Every subject's voxels are rotated, and scaled, to fit the mean of all rotated subjects:
    :math:`\min \sum_i \|c_i X_i R_i - T\|^2` with orthonormal rows or columns in :math:`R_i`,
    alternately for the maps and the template [1]_ [2]_. The template lives in the voxels of the
    reference subject. With fewer samples than voxels, directions in which there are no data are
    dropped rather than rotated arbitrarily. Where units correspond roughly (after anatomical
    alignment, or regions of an atlas), ``prior`` keeps the rotations near the identity, the
    most probable ones under a matrix von Mises-Fisher distribution around it [3]_, or the map of a
    new subject, then a weighted mean with the others', near theirs.

    Parameters
    ----------
    scaling : bool, default=True
        Whether a subject may be scaled as a whole.
    prior : float or {"none", "pooled"}, default="none"
        "pooled" where voxels correspond between subjects (an atlas, or a common space): the map of
        a subject added later is drawn to the mean of the maps found in ``fit``, as strongly as
        blocks left out of its samples allow. A number draws all maps, those of ``fit`` too, to the
        identity with that weight, in samples of training data.
        With "none", or 0, voxels are not compared.
    parcels : dict of array-like of shape (n_voxels,), array-like, or None, default=None
        Region of every voxel, by subject (or for all subjects, or for one 2-D array): voxels are
        then mixed within their region only, and the output is sorted by region.
    reference : hashable or None, default=None
        Subject in whose voxels the template starts; None takes the first.
    standardize : bool, default=True
        Divide voxels by their standard deviation in the training data.
    max_iter : int, default=20
        Maximum number of passes over subjects for one template.
    tol : float, default=1e-4
        Converged when a pass raises the mean similarity to the template by no more than this.

    Attributes
    ----------
    basis_ : dict of ndarray of shape (n_voxels, n_out)
        The map of each subject, scale included.
    template_ : ndarray of shape (n_samples, n_out)
    mean_, scale_ : dict of ndarray of shape (n_voxels,)
        Subtracted from voxels, and divisors afterwards.
    held_out_r_ : dict of float
        For subjects added later: correlation with the template on the half of the samples that the
        map was not fitted to, mean over columns and halves.
    pooled_basis_ : ndarray of shape (n_voxels, n_out)
        With ``prior="pooled"``: the mean of the maps found in ``fit``.
    pooled_scale_ : ndarray of shape (n_voxels,)
        With ``prior="pooled"``: the mean of the divisors found in ``fit``, to which those of a
        subject added later are drawn as far as its samples are few.
    pooled_memory_ : float
        With ``prior="pooled"``: the autocorrelation time of voxels in ``fit``, in samples.
    prior_weight_ : dict of float
        With ``prior="pooled"``, for subjects added later: the weight of the others' map, from 0,
        their own map alone, to 1.
    parcel_names_ : ndarray of shape (n_parcels,)
    parcel_sizes_ : ndarray of int of shape (n_parcels,)
        Columns of the output that belong to each region.
    n_constant_, n_voxels_ : dict of int
    voxel_names_ : dict of (list of str or None)
        Names of the columns of X, by subject; absent where no subject has names.
    converged_ : bool
        Whether the templates of all regions converged.
    n_iter_ : int
        Maximum number of passes over regions.

    References
    ----------
    .. [1] J. C. Gower (1975). Generalized Procrustes analysis. Psychometrika 40(1).
    .. [2] J. V. Haxby et al. (2011). A common, high-dimensional model of the representational space
       in human ventral temporal cortex. Neuron 72(2).
    .. [3] A. Andreella and L. Finos (2022). Procrustes analysis for high-dimensional data.
       Psychometrika 87(4).

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
        "prior": [Interval(Real, 0, None, closed="left"), StrOptions({"none", "pooled"})],
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
        prior: float | str = "none",
        parcels: dict[Subject, ArrayLike] | ArrayLike | None = None,
        reference: Subject | None = None,
        standardize: bool = True,
        max_iter: int = 20,
        tol: float = 1e-4,
    ) -> None:
        self.scaling = scaling
        self.prior = prior
        self.parcels = parcels
        self.reference = reference
        self.standardize = standardize
        self.max_iter = max_iter
        self.tol = tol

    @validated_fit
    def fit(self, X: Any, y: Any = None) -> ProcrustesAligner:
        """Find the template and every subject's map to it.

        Parameters
        ----------
        X : dict or list of array-like of shape (n_samples, n_voxels_s), or one such array
            An array, DataFrame, DataArray, recording or torch tensor; masked entries are NaN.
            A list has one for each subject; a dict one, or a list of sessions, for each subject.
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
            If a template did not converge in ``max_iter`` passes.
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
        labels = {s: self._labels(s, part.shape[1]) for s, part in data.items()}
        names = np.unique(labels[first])
        fits, templates = [], []
        for name in names:
            blocks = {s: part[:, _columns(labels[s], name, s)] for s, part in data.items()}
            template, found = self._build_template(blocks, first)
            templates.append(template)
            fits.append(found)
        select_restart([min(fits, key=lambda one: one.converged)], name=type(self).__name__)
        self.parcel_names_ = names
        self.parcel_sizes_ = np.array([template.shape[1] for template in templates])
        self.template_ = np.hstack(templates)
        self.basis_ = {
            s: self._fit_basis(part[seen[s]], self.template_[seen[s]], s)
            for s, part in data.items()
        }
        self._pool_maps(data)
        self.converged_ = all(found.converged for found in fits)
        self.n_iter_ = max(found.n_iter for found in fits)
        self._n_features_out = self.template_.shape[1]
        return self

    def _build_template(
        self, blocks: dict[Subject, np.ndarray], first: Subject
    ) -> tuple[np.ndarray, FitTrace[np.ndarray]]:
        """The template of one region, by way of the samples if these are fewer than voxels."""
        few = not self._identity_weight and len(blocks[first]) < min(
            block.shape[1] for block in blocks.values()
        )
        # rotated into the span of the samples, where n_samples x n_samples matrices suffice
        if few:
            back = np.linalg.qr(blocks[first].T)[0].T
            blocks = {s: np.linalg.qr(block.T)[1].T for s, block in blocks.items()}
        found = iterate(
            partial(_rotate_to, list(blocks.values()), prior=self._identity_weight),
            blocks[first],
            -1.0,
            max_iter=self.max_iter,
            tol=self.tol,
            rounding=_rounding(blocks[first]),
        )
        return (found.state @ back if few else found.state), found

    def _labels(self, subject: Subject, n_voxels: int) -> np.ndarray:
        """Region of each voxel of a subject."""
        if self.parcels is None:
            return np.zeros(n_voxels, dtype=int)
        given = self.parcels
        labels = np.asarray(given.get(subject, []) if isinstance(given, dict) else given)
        if labels.shape != (n_voxels,):
            raise DataError(
                "regions do not match the voxels",
                expected=f"one region for each of {n_voxels} voxels",
                found=f"shape {labels.shape}",
                subject=subject,
                field="parcels",
            )
        return labels

    @property
    def _target(self) -> np.ndarray:
        return self.template_

    def _inverse_basis(self, subject: Subject) -> np.ndarray:
        """Region by region, B^T / c^2 for B = c R, as all singular values of R are one or zero."""
        basis = self.basis_[subject]
        if subject in self.prior_weight_:  # a mean of rotations is none
            return np.linalg.pinv(basis)
        inverse = np.zeros_like(basis.T)
        ends = np.cumsum(self.parcel_sizes_)
        for start, stop in zip(ends - self.parcel_sizes_, ends, strict=True):
            block = basis[:, start:stop]
            power = np.vdot(block, block)  # c^2 times the rank; that of B^T B is c^4 times it
            if power > 0:
                inverse[start:stop] = block.T * (power / np.linalg.norm(block.T @ block) ** 2)
        return inverse

    @property
    def _identity_weight(self) -> float:
        return 0.0 if isinstance(self.prior, str) else float(self.prior)

    def _fit_basis(self, X: np.ndarray, target: np.ndarray, subject: Subject) -> np.ndarray:
        basis = np.zeros((X.shape[1], target.shape[1]), dtype=X.dtype)
        labels = self._labels(subject, X.shape[1])
        stop = 0
        for name, size in zip(self.parcel_names_, self.parcel_sizes_, strict=True):
            columns, start, stop = _columns(labels, name, subject), stop, stop + size
            block, wanted = X[:, columns], target[:, start:stop]
            # the rotation R, then the scale c = <X R, T> / |X R|^2
            rotation = product_polar(block, wanted, self._identity_weight)
            rotated = block @ rotation
            power = np.vdot(rotated, rotated)
            scale = np.vdot(rotated, wanted) / power if self.scaling and power > 0 else 1.0
            # a prior's rotation may not fit the samples: a negative scale would turn it round
            scale = scale if scale > 0 else 1.0
            basis[columns, start:stop] = scale * rotation
        return basis


def _columns(labels: np.ndarray, name: Any, subject: Subject) -> np.ndarray:
    columns = np.flatnonzero(labels == name)
    if not len(columns):
        raise DataError(
            "a region is missing",
            expected=f"voxels in region {name}",
            subject=subject,
            field="parcels",
        )
    return columns


def _rounding(template: np.ndarray) -> float:
    """The share of the similarity, a sum over a template's values, that may be lost to rounding."""
    # errors of eps each, of random sign, add up to eps x sqrt(size); ten times that for the factors
    return max(1e-9, 10 * float(np.finfo(template.dtype).eps) * template.size**0.5)


def product_polar(X: np.ndarray, T: np.ndarray, prior: float = 0.0) -> np.ndarray:
    """The polar factor (n_voxels, n_out) of X^T T + prior * I, without its null space."""
    if prior or len(X) >= min(X.shape[1], T.shape[1]):
        product = X.T @ T + (prior * np.eye(X.shape[1]) if prior else 0.0)
        return _orthonormal(*np.linalg.svd(product, full_matrices=False))
    # with fewer samples than columns, X^T = Q_x R_x and T^T = Q_t R_t: the polar factor of X^T T is
    # that of the small R_x R_t^T, between the bases
    (q_x, r_x), (q_t, r_t) = np.linalg.qr(X.T), np.linalg.qr(T.T)
    return q_x @ _orthonormal(*np.linalg.svd(r_x @ r_t.T)) @ q_t.T


def _orthonormal(left: np.ndarray, values: np.ndarray, right: np.ndarray) -> np.ndarray:
    # singular values of rounding size have arbitrary vectors: directions without data are dropped
    keep = values > values[:1].max(initial=0.0) * 10 * len(values) * np.finfo(values.dtype).eps
    return left[:, keep] @ right[keep]


def _rotate_to(
    parts: Sequence[np.ndarray], T: np.ndarray, *, prior: float
) -> tuple[np.ndarray, float]:
    """Rotate all parts to a template; return the next one, of the same norm, and the similarity.

    With maps and template in turn, the sum over parts of the inner products of the rotated part
    with the template and of the map with the prior cannot fall.
    """
    power = max(float(np.vdot(T, T)), 1e-30)
    total, agreement = np.zeros_like(T), 0.0
    for X in parts:
        rotation = product_polar(X, T, prior)
        total += X @ rotation
        agreement += prior * np.trace(rotation) if prior else 0.0
    norm = float(np.linalg.norm(total))
    template = total * np.sqrt(power) / max(norm, 1e-30)
    return template, float((np.vdot(total, template) + agreement) / (len(parts) * power))
