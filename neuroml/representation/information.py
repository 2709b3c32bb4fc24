"""Information between activity and labels or a variable, in bits, with its bias said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist
from scipy.special import digamma, logsumexp

from neuroml._core.estimator import check_option
from neuroml._core.validation import check_labels, one_array
from neuroml._core.warn import warn_caller
from neuroml.exceptions import DataError
from neuroml.representation._checks import as_table

__all__ = ["mutual_information"]

# Noise variance of the kernel estimate, over the largest activity: that of Chelombiev et al.
_NOISE = 1e-3
_N_NEIGHBORS = 3
_N_SHUFFLES = 20
_ROWS_AT_ONCE = 1024


def mutual_information(
    X: ArrayLike,
    y: ArrayLike,
    *,
    method: str = "adaptive-bins",
    correction: str | None = None,
    n_bins: int = 30,
) -> float:
    r"""Estimate the mutual information between activity and a label or a continuous variable.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_units) or (n_samples,)
    y : array-like of shape (n_samples,)
        Whole numbers, truth values and texts are labels; floating-point numbers are a continuous
        variable, which bins and kernels cut into ``n_bins`` parts of equal size. A label for every
        sample gives the information that binned or noisy activity has about which sample it was.
    method : {"adaptive-bins", "adaptive-kde", "ksg"}, default="adaptive-bins"
        "adaptive-bins": each unit's activity falls into one of ``n_bins`` bins, which hold equally
        many of the different values of all units [1]_, and :math:`I = H(T) + H(Y) - H(T, Y)` of the
        frequencies: the same at any scale of X. "adaptive-kde": every sample is a Gaussian of
        variance .001 of the largest activity, and
        :math:`H(T) \le -\langle \log \langle e^{-d_{ij}^2 / 2 s^2} \rangle_j \rangle_i` [2]_.
        "ksg": distances to the third neighbor [3]_, [4]_, for few continuous units whose values do
        not come back, unlike counts and rectified activity.
    correction : {None, "shuffle", "quadratic"}, default=None
        Few samples make estimates of all methods but "ksg" too large. "shuffle" subtracts the mean
        of twenty shuffles of y. "quadratic" fits :math:`I + a/n + b/n^2` to the data, halves and
        quarters of them [5]_; it leaves most of the bias where kernels hardly overlap.
    n_bins : int, default=30

    Returns
    -------
    float
        In bits. The bias is in it unless it is corrected; corrected values can be negative.

    Raises
    ------
    DataError
        If the two are about different samples, or too few for the method or the correction, or
        values come back for "ksg".

    Warns
    -----
    UserWarning
        If more than half of the samples have an activity of their own, so that :math:`\log_2 n`
        bounds what can be measured and any label would seem to be known.

    References
    ----------
    .. [1] I. Chelombiev, C. Houghton, C. O'Donnell (2019). Adaptive estimators show information
       compression in deep neural networks. ICLR.
    .. [2] A. Kolchinsky, B. Tracey (2017). Estimating mixture entropy with pairwise distances.
       Entropy 19.
    .. [3] A. Kraskov, H. Stögbauer, P. Grassberger (2004). Estimating mutual information. Physical
       Review E 69.
    .. [4] B. Ross (2014). Mutual information between discrete and continuous data sets. PLoS ONE 9.
    .. [5] S. Strong, R. Koberle, R. de Ruyter van Steveninck, W. Bialek (1998). Entropy and
       information in neural spike trains. Physical Review Letters 80.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.representation import mutual_information
    >>> y = np.arange(100) % 2
    >>> round(mutual_information(y[:, None] * 5.0, y), 6)
    1.0
    """
    check_option(method, ("adaptive-bins", "adaptive-kde", "ksg"), "method")
    if correction is not None:
        check_option(correction, ("shuffle", "quadratic"), "correction")
    given = one_array(X)
    table = as_table(np.asarray(given)[:, None] if np.ndim(given) == 1 else given)
    target = check_labels(y, len(table), "y")
    if len(table) < 4 or target.dtype.kind == "c" or not np.isfinite(_numbers_of(target)).all():
        raise DataError(
            "these are no samples of a label or a variable",
            expected="one finite value of y for each of 4 or more samples",
            found=f"y of shape {target.shape} and type {target.dtype}",
            field="y",
        )
    if not (isinstance(n_bins, int | np.integer) and n_bins >= 2):
        raise DataError("too few bins", expected="an int of at least 2", found=n_bins,
                        field="n_bins")  # fmt: skip
    estimate, first, second = _prepared(table, target, method, int(n_bins))
    value = estimate(first, second)
    if correction == "shuffle":
        rng = np.random.default_rng(0)
        shuffled = [estimate(first, rng.permutation(second)) for _ in range(_N_SHUFFLES)]
        return value - float(np.mean(shuffled))
    return _extrapolated(estimate, first, second, value) if correction == "quadratic" else value


def _numbers_of(target: np.ndarray) -> np.ndarray:
    """The values if they are a continuous variable."""
    return target if target.dtype.kind == "f" else np.empty(0)


Estimate = Callable[[np.ndarray, np.ndarray], float]


def _prepared(
    X: np.ndarray, y: np.ndarray, method: str, n_bins: int
) -> tuple[Estimate, np.ndarray, np.ndarray]:
    """The estimator, and what it takes: codes for bins, numbers for the others."""
    continuous = y.dtype.kind == "f"
    if method == "ksg":
        deviation = X.std(axis=0)
        scaled = (X - X.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
        if not continuous:
            return _ksg_labels, scaled, np.unique(y, return_inverse=True)[1].ravel()
        spread = y.std()
        return _ksg_continuous, scaled, (y - y.mean()) / (spread if spread > 0 else 1.0)
    labels = _binned(y[:, None], n_bins)[:, 0] if continuous else y
    codes = np.unique(labels, return_inverse=True)[1].ravel()
    if method == "adaptive-kde":
        variance = _NOISE * float(np.abs(X).max())

        def estimate(some: np.ndarray, of: np.ndarray) -> float:
            return _kde(some, of, variance)

        return estimate, X, codes
    words = np.unique(_binned(X, n_bins), axis=0, return_inverse=True)[1].ravel()
    alone = float((np.bincount(words)[words] == 1).mean())
    if alone > 0.5:
        warn_caller(
            f"{alone:.0%} of the samples have an activity of their own after binning: what can be "
            f"measured is bounded by log2(n) = {np.log2(len(X)):.1f} bits, and any label would "
            "seem to be known. Use fewer units or bins, or a correction.",
            UserWarning,
        )
    return _plug_in, words, codes


def _binned(values: np.ndarray, n_bins: int) -> np.ndarray:
    """Bin of every value, with equally many different values in each bin."""
    different = np.unique(values)
    inner = (
        np.arange(1, min(n_bins, len(different))) * len(different) // min(n_bins, len(different))
    )
    return np.searchsorted(different[inner], values, side="right")


def _entropy(codes: np.ndarray) -> float:
    shares = np.bincount(codes) / len(codes)
    shares = shares[shares > 0]
    return float(-(shares * np.log2(shares)).sum())


def _plug_in(words: np.ndarray, labels: np.ndarray) -> float:
    pairs = np.unique(np.column_stack([words, labels]), axis=0, return_inverse=True)[1]
    return _entropy(words) + _entropy(labels) - _entropy(pairs.ravel())


def _kde(X: np.ndarray, labels: np.ndarray, variance: float) -> float:
    """H(T) - sum_y p(y) H(T | y), where what does not depend on the samples cancels."""
    total = _mixture_entropy(X, variance)
    own = [
        (np.mean(labels == c), _mixture_entropy(X[labels == c], variance))
        for c in np.unique(labels)
    ]
    return (total - sum(share * entropy for share, entropy in own)) / np.log(2)


def _mixture_entropy(X: np.ndarray, variance: float) -> float:
    if variance <= 0:  # no activity at all
        return 0.0
    rows = [
        logsumexp(-cdist(X[at : at + _ROWS_AT_ONCE], X, "sqeuclidean") / (2 * variance), axis=1)
        for at in range(0, len(X), _ROWS_AT_ONCE)
    ]
    return float(-(np.concatenate(rows) - np.log(len(X))).mean())


def _ksg_continuous(X: np.ndarray, y: np.ndarray) -> float:
    n, k = len(X), min(_N_NEIGHBORS, len(X) - 1)
    both = np.column_stack([X, y])
    # the distance to the k-th other sample in both; neighbors strictly nearer in each alone
    radius = _strictly_within(cKDTree(both).query(both, k + 1, p=np.inf)[0][:, -1])
    counts = [
        cKDTree(one).query_ball_point(one, radius, p=np.inf, return_length=True)
        for one in (X, y[:, None])
    ]
    found = digamma(k) + digamma(n) - np.mean([digamma(count).mean() for count in counts]) * 2
    return float(found / np.log(2))


def _strictly_within(radius: np.ndarray) -> np.ndarray:
    """The next smaller distances (n_samples,)."""
    if not radius.all():
        raise DataError(
            "neighbors at no distance: their density is infinite",
            expected="continuous values, of which at most three are the same",
            found=f"{int((radius == 0).sum())} of {len(radius)} samples as often or more often",
            fix="Take method='adaptive-bins', or add noise of the precision of the measurement.",
            field="X",
        )
    return np.asarray(np.nextafter(radius, 0))


def _ksg_labels(X: np.ndarray, labels: np.ndarray) -> float:
    sizes = np.bincount(labels)
    kept = sizes[labels] > 1  # a label that occurs once has no neighbor
    X, labels = X[kept], labels[kept]
    if not len(X):
        raise DataError(
            "no label occurs twice", expected="several samples of a label", found="none", field="y"
        )
    tree, n = cKDTree(X), len(X)
    radius, neighbors = np.empty(n), np.empty(n)
    for c in np.unique(labels):
        own = np.flatnonzero(labels == c)
        k = min(_N_NEIGHBORS, len(own) - 1)
        radius[own] = cKDTree(X[own]).query(X[own], k + 1, p=np.inf)[0][:, -1]
        neighbors[own] = k
    counts = tree.query_ball_point(X, _strictly_within(radius), p=np.inf, return_length=True)
    found = (
        digamma(n)
        + digamma(neighbors).mean()
        - digamma(sizes[labels]).mean()
        - digamma(counts).mean()
    )
    return float(found / np.log(2))


def _extrapolated(estimate: Estimate, X: Any, y: Any, value: float) -> float:
    """The constant of I + a/n + b/n^2 through all data, the mean of halves, and of quarters."""
    n = len(X)
    if n < 16:
        raise DataError("too few samples to divide by four", expected="at least 16", found=n,
                        field="correction")  # fmt: skip
    order = np.random.default_rng(0).permutation(n)
    means = [
        float(np.mean([estimate(X[part], y[part]) for part in np.array_split(order, pieces)]))
        for pieces in (2, 4)
    ]
    sizes = n / np.array([1.0, 2.0, 4.0])
    design = np.column_stack([np.ones(3), 1 / sizes, 1 / sizes**2])
    return float(np.linalg.solve(design, [value, *means])[0])
