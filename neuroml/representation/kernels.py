"""Similarity of representations by their kernels: which samples are alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import pdist, squareform

from neuroml._core.estimator import check_option
from neuroml.exceptions import DataError
from neuroml.representation._checks import as_table, same_rows, standardized

__all__ = ["cka", "hsic_unbiased", "kernel_alignment"]


def cka(X: ArrayLike, Y: ArrayLike, *, kernel: str = "linear", unbiased: bool = False) -> float:
    r"""Centered kernel alignment of two representations of the same samples.

    .. math:: \frac{\langle \tilde K, \tilde L \rangle}{\|\tilde K\| \|\tilde L\|}

    with the kernels' doubly centered matrices [1]_: 1 for representations that differ by a rotation
    and a scale. Few samples and many units make it large for unrelated representations; the
    unbiased version replaces each inner product by the unbiased estimate of
    Hilbert-Schmidt independence [2]_, whose mean is zero for independent ones.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_units)
    Y : array-like of shape (n_samples, n_other_units)
    kernel : {"linear", "rbf"}, default="linear"
        "rbf" has the width of the median distance between samples.
    unbiased : bool, default=False
        Needs four samples. It can be negative.

    Returns
    -------
    float
        NaN where a representation does not vary.

    Raises
    ------
    DataError
        If the two are about different samples, or too few.

    References
    ----------
    .. [1] S. Kornblith, M. Norouzi, H. Lee, G. Hinton (2019). Similarity of neural network
       representations revisited. ICML.
    .. [2] L. Song, A. Smola, A. Gretton, J. Bedo, K. Borgwardt (2012). Feature selection via
       dependence maximization. Journal of Machine Learning Research 13.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.representation import cka
    >>> X = np.random.default_rng(0).normal(size=(20, 5))
    >>> rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(5, 5)))[0]
    >>> round(cka(X, 3 * X @ rotation), 6)
    1.0
    """
    check_option(kernel, ("linear", "rbf"), "kernel")
    first, second = as_table(X), as_table(Y, "Y")
    same_rows(first, second)
    first, second = standardized(first), standardized(second)
    if kernel == "linear" and not unbiased and max(first.shape[1], second.shape[1]) < len(first):
        return _linear_cka(first, second)
    K, L = (_kernel(one, kernel) for one in (first, second))
    return kernel_alignment(K, L, center=True, unbiased=unbiased)


def _linear_cka(X: np.ndarray, Y: np.ndarray) -> float:
    """The same through products of units, which are smaller than those of many samples."""
    norms = np.linalg.norm(X.T @ X) * np.linalg.norm(Y.T @ Y)
    return float(np.linalg.norm(X.T @ Y) ** 2 / norms) if norms > 0 else float("nan")


def _kernel(X: np.ndarray, kind: str) -> np.ndarray:
    if kind == "linear":
        return X @ X.T
    squared = squareform(pdist(X, "sqeuclidean"))
    middle = float(np.median(squared[np.triu_indices(len(X), 1)])) if len(X) > 1 else 1.0
    return np.exp(-squared / (2 * (middle or 1.0)))


def kernel_alignment(
    K: ArrayLike, L: ArrayLike, *, center: bool = False, unbiased: bool = False
) -> float:
    r"""Cosine of two kernels as matrices: :math:`\langle K, L \rangle / (\|K\| \|L\|)`.

    Parameters
    ----------
    K, L : array-like of shape (n, n)
    center : bool, default=False
        Center rows and columns first, as `cka` does; without it, as for tangent kernels.
    unbiased : bool, default=False
        Of inner products between centered kernels; see `cka`.

    Returns
    -------
    float
        NaN for a kernel of zeros.

    Raises
    ------
    DataError
        If the two are not square, or differ in size.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.representation import kernel_alignment
    >>> round(kernel_alignment(np.eye(3), 2 * np.eye(3)), 6)
    1.0
    """
    first, second = as_table(K, "K"), as_table(L, "L")
    if first.shape[0] != first.shape[1] or first.shape != second.shape:
        raise DataError(
            "these are not two kernels of the same samples",
            expected="two square matrices of one size",
            found=f"shapes {first.shape} and {second.shape}",
            field="K",
        )
    if unbiased:
        if len(first) < 4:
            raise DataError("too few samples", expected="at least 4", found=len(first), field="K")
        scale = hsic_unbiased(first, first) * hsic_unbiased(second, second)
        product = hsic_unbiased(first, second)
        return float(product / np.sqrt(scale)) if scale > 0 else float("nan")
    if center:
        first, second = _centered(first), _centered(second)
    norms = np.linalg.norm(first) * np.linalg.norm(second)
    return float((first * second).sum() / norms) if norms > 0 else float("nan")


def _centered(K: np.ndarray) -> np.ndarray:
    return K - K.mean(axis=0) - K.mean(axis=1)[:, None] + K.mean()


def hsic_unbiased(K: np.ndarray, L: np.ndarray) -> float:
    r"""Unbiased estimate of the inner product of centered kernels, of Song et al. (2012).

    .. math::
        \frac{1}{n(n-3)} \Big(\sum \tilde K \circ \tilde L
        + \frac{\sum \tilde K \sum \tilde L}{(n-1)(n-2)} - \frac{2}{n-2} \sum \tilde K \tilde L\Big)

    where the diagonals of both are zero.
    """
    n = len(K)
    K, L = K - np.diag(np.diag(K)), L - np.diag(np.diag(L))
    total = (K * L).sum() + K.sum() * L.sum() / ((n - 1) * (n - 2))
    return float((total - 2 / (n - 2) * (K.sum(axis=0) @ L.sum(axis=1))) / (n * (n - 3)))
