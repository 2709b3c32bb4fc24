"""Factors of a CP decomposition: starts, normal form, comparison, loadings of new data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import nnls
from tensorly.cp_tensor import CPTensor

from neuroml._core.statistics import match_rows

__all__ = ["factor_match", "nonnegative_loadings", "normalize_cp", "random_factors"]


def random_factors(
    shape: Sequence[int], n_components: int, norm: float, rng: np.random.Generator
) -> list[np.ndarray]:
    """Draw uniform factors whose tensor has the given norm."""
    factors = [rng.uniform(size=(size, n_components)) for size in shape]
    # squared norm of the tensor: sum over r, q of the product over modes of (A^T A)_rq
    gram = np.prod([factor.T @ factor for factor in factors], axis=0)
    scale = (norm / np.sqrt(gram.sum())) ** (1 / len(shape))
    return [factor * scale for factor in factors]


def normalize_cp(cp: CPTensor) -> CPTensor:
    """Unit-norm factor columns, components sorted by falling weight."""
    weights, factors = cp
    norms = [np.linalg.norm(factor, axis=0) for factor in factors]
    weights = (1.0 if weights is None else weights) * np.prod(norms, axis=0)
    order = np.argsort(-weights, kind="stable")
    scaled = [
        (factor / np.where(norm > 0, norm, 1.0))[:, order]
        for factor, norm in zip(factors, norms, strict=True)
    ]
    return CPTensor((weights[order], scaled))


def factor_match(first: CPTensor, second: CPTensor) -> float:
    """Measure how similar two decompositions are, whatever the order and scale of components.

    Parameters
    ----------
    first, second : tensorly CPTensor
        Non-negative, of the same tensor. The second may have more components.

    Returns
    -------
    float
        Mean over the first one's components of the product over modes of the cosines between
        matched columns; 1 if all are the same. Components are matched to maximize it.

    Examples
    --------
    >>> import numpy as np
    >>> from tensorly.cp_tensor import CPTensor
    >>> from neuroml.connectome import factor_match
    >>> factors = [np.eye(4)[:, :2], np.eye(3)[:, :2], np.ones((5, 2))]
    >>> swapped = [3 * factor[:, ::-1] for factor in factors]
    >>> round(factor_match(CPTensor((None, factors)), CPTensor((None, swapped))), 6)
    1.0
    """
    pairs = zip(normalize_cp(first).factors, normalize_cp(second).factors, strict=True)
    similarity = np.prod([a.T @ b for a, b in pairs], axis=0)
    matched = match_rows(similarity)
    rows = np.flatnonzero(matched >= 0)
    return float(similarity[rows, matched[rows]].mean())


def nonnegative_loadings(projected: np.ndarray, grams: np.ndarray) -> np.ndarray:
    """Minimize ``a @ gram @ a - 2 * projected @ a`` over a >= 0, for each row.

    Parameters
    ----------
    projected : ndarray of shape (n, n_components)
    grams : ndarray of shape (n_components, n_components) or (n, n_components, n_components)
        Positive semi-definite.
    """
    own = np.broadcast_to(grams, (len(projected), *grams.shape[-2:]))
    loadings = np.zeros(projected.shape)
    for row, wanted, gram in zip(loadings, projected, own, strict=True):
        # with gram = R^T R, R = sqrt(Lambda) V^T, this is |R a - b|^2 for b = Lambda^-1/2 V^T w;
        # directions with no more than rounding in them (1e-12) are left out
        values, vectors = np.linalg.eigh(gram)
        kept = values > values[-1] * 1e-12
        root = np.sqrt(values[kept])[:, None] * vectors[:, kept].T
        row[:] = nnls(root, (vectors[:, kept].T @ wanted) / np.sqrt(values[kept]))[0]
    return loadings
