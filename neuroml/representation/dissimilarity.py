"""How far apart conditions are in the space of units."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from neuroml._core.estimator import check_option
from neuroml._core.validation import check_labels
from neuroml.exceptions import DataError
from neuroml.representation._checks import as_table, codes_of, condition_means

__all__ = ["crossnobis", "representational_dissimilarity"]


def representational_dissimilarity(
    X: ArrayLike,
    y: ArrayLike,
    *,
    metric: str = "euclidean",
    sessions: ArrayLike | None = None,
    precision: ArrayLike | None = None,
) -> np.ndarray:
    r"""Dissimilarity of every two conditions.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_units)
    y : array-like of shape (n_samples,)
        The condition of each sample.
    metric : {"euclidean", "correlation", "crossnobis"}, default="euclidean"
        "euclidean": mean over units of the squared difference of the conditions' means. Noise of
        the means makes it too large. "correlation": 1 minus the correlation of the two means over
        units. "crossnobis": the squared difference as the product of the differences in two
        independent parts of the data, the mean over all sessions k and the rest,

        .. math:: d_{ij} = \frac{1}{K p} \sum_k (m_i^k - m_j^k)^T P (m_i^{-k} - m_j^{-k}),

        which is zero on average where conditions do not differ [1]_, and so can be negative.
    sessions : array-like of shape (n_samples,), optional
        For "crossnobis", independent parts of the data, in each of which every condition occurs.
        Without them, samples take turns within their condition.
    precision : array-like of shape (n_units, n_units), optional
        P, the inverse of the noise's covariance, for "crossnobis"; the identity by default.

    Returns
    -------
    ndarray of shape (n_conditions, n_conditions)
        Symmetric with zeros on the diagonal; conditions in sorted order.

    Raises
    ------
    DataError
        If there is one condition, or a session lacks one.

    References
    ----------
    .. [1] A. Walther, H. Nili, N. Ejaz, A. Alink, N. Kriegeskorte, J. Diedrichsen (2016).
       Reliability of dissimilarity measures for multi-voxel pattern analysis. NeuroImage 137.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.representation import representational_dissimilarity
    >>> X = [[0.0, 0.0], [2.0, 0.0], [0.0, 0.0], [2.0, 0.0]]
    >>> representational_dissimilarity(X, ["a", "b", "a", "b"])
    array([[0., 2.],
           [2., 0.]])
    """
    check_option(metric, ("euclidean", "correlation", "crossnobis"), "metric")
    table = as_table(X)
    names, codes = codes_of(y, len(table))
    for field, given in {"precision": precision, "sessions": sessions}.items():
        if given is not None and metric != "crossnobis":
            raise DataError(
                f"only metric='crossnobis' takes {field}",
                expected=f"{field}=None",
                found=f"metric={metric!r}",
                field=field,
            )
    if metric == "crossnobis":
        parts = parts_of_samples(codes, names, sessions)
        means, counts = part_means(table, codes, parts)
        weight = None if precision is None else _square(precision, table.shape[1])
        return crossnobis(means, counts, weight)
    means = condition_means(table, codes)
    if metric == "euclidean":
        means = means - means.mean(axis=0)  # large offsets would cancel the digits of differences
        return _distances(means @ means.T, means.shape[1])
    centered = means - means.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(centered, axis=1)
    flat = np.flatnonzero(norms <= 1e-12 * np.abs(means).max(initial=1e-300))
    if len(flat):
        raise DataError(
            "a condition is the same in all units, so it correlates with nothing",
            expected="means that vary over units",
            found=f"condition {names[flat[0]].item()!r}",
            field="X",
        )
    centered /= norms[:, None]
    found = 1 - centered @ centered.T
    np.fill_diagonal(found, 0.0)
    return found


def _square(precision: ArrayLike, n_units: int) -> np.ndarray:
    given = as_table(precision, "precision")
    if given.shape != (n_units, n_units):
        raise DataError(
            "the precision is of other units",
            expected=f"shape ({n_units}, {n_units})",
            found=f"shape {given.shape}",
            field="precision",
        )
    largest = np.abs(given).max()
    asymmetry = np.abs(given - given.T).max()
    lowest = np.linalg.eigvalsh((given + given.T) / 2)[0]
    if asymmetry > 1e-6 * largest or lowest < -1e-6 * largest:
        raise DataError(
            "this is no inverse of a covariance",
            expected="a symmetric matrix without negative eigenvalues",
            found=f"entries that differ by {asymmetry:.3g}, smallest eigenvalue {lowest:.3g}",
            field="precision",
        )
    return given


def parts_of_samples(
    codes: np.ndarray, names: np.ndarray, sessions: ArrayLike | None
) -> np.ndarray:
    """Independent parts 0, 1, ... of the samples, in each of which every condition occurs."""
    n_conditions = len(names)
    if sessions is None:
        fewest = int(np.bincount(codes).min())
        if fewest < 2:
            raise DataError(
                "conditions with one sample have no second part to be compared with",
                expected="two or more samples of each condition",
                found=f"{fewest} of {names[np.bincount(codes).argmin()].item()!r}",
                field="y",
            )
        parts = np.empty(len(codes), dtype=int)
        for c in range(n_conditions):
            own = np.flatnonzero(codes == c)
            parts[own] = np.arange(len(own)) % min(fewest, 5)
        return parts
    labels = check_labels(sessions, len(codes), "sessions")
    found, parts = np.unique(labels, return_inverse=True)
    parts = parts.ravel()
    table = np.zeros((len(found), n_conditions), dtype=int)
    np.add.at(table, (parts, codes), 1)
    if len(found) < 2 or (table == 0).any():
        session, condition = np.argwhere(table == 0)[0] if (table == 0).any() else (0, 0)
        raise DataError(
            "sessions are the independent parts that distances are products of",
            expected="two or more sessions with every condition in each",
            found=f"{len(found)} session(s)"
            + (
                f", none of condition {names[condition].item()!r} in {found[session].item()!r}"
                if (table == 0).any()
                else ""
            ),
            fix="Leave those conditions or sessions out, or give no sessions, where trials that "
            "follow each other are independent (PopulationGeometry(parts='trials')).",
            field="sessions",
        )
    return parts


def part_means(
    X: np.ndarray, codes: np.ndarray, parts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Means (n_parts, n_conditions, n_units) and numbers of samples of each condition and part."""
    n_parts, n_conditions = int(parts.max()) + 1, int(codes.max()) + 1
    cells = parts * n_conditions + codes  # every one has samples, as `parts_of_samples` saw to
    means = condition_means(X, cells).reshape(n_parts, n_conditions, -1)
    return means, np.bincount(cells).reshape(n_parts, n_conditions)


def rest_means(means: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Means of all samples outside each part, from what `part_means` returns."""
    weights = counts[:, :, None]
    sums = means * weights
    return (sums.sum(axis=0) - sums) / (weights.sum(axis=0) - weights)


def crossnobis(
    means: np.ndarray, counts: np.ndarray, precision: np.ndarray | None = None
) -> np.ndarray:
    """Cross-validated squared distances per unit, from the means of each part.

    Parameters
    ----------
    means : ndarray of shape (n_parts, n_conditions, n_units)
    counts : ndarray of int of shape (n_parts, n_conditions)
        Samples behind each mean.
    precision : ndarray of shape (n_units, n_units), optional
    """
    n_parts, _, n_units = means.shape
    means = means - means.mean(axis=(0, 1))  # large offsets would cancel the digits of differences
    products = np.zeros((means.shape[1], means.shape[1]))
    for own, rest in zip(means, rest_means(means, counts), strict=True):
        products += own @ (rest if precision is None else rest @ precision).T
    products /= n_parts
    return _distances((products + products.T) / 2, n_units)


def _distances(products: np.ndarray, n_units: int) -> np.ndarray:
    """Squared distances per unit from inner products."""
    own = np.diag(products)
    found = (own[:, None] + own - 2 * products) / n_units
    np.fill_diagonal(found, 0.0)
    return found
