"""How many dimensions there are."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from neuroml._core.estimator import check_option
from neuroml.representation._checks import as_table, standardized

__all__ = ["effective_rank", "participation_ratio"]


def participation_ratio(X: ArrayLike) -> float:
    r"""Dimensions over which the variance of samples spreads.

    .. math:: \frac{(\mathrm{tr}\, C)^2}{\mathrm{tr}\, C^2}

    with the covariance C over samples: d for d equal directions. Noise of single trials counts as
    dimensions; `PopulationGeometry` takes it out by halves of the trials.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_units)

    Returns
    -------
    float
        NaN if nothing varies.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.representation import participation_ratio
    >>> participation_ratio([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    2.0
    """
    centered = standardized(as_table(X))
    # the smaller of the two products has the same non-zero eigenvalues
    wide = centered.shape[1] > centered.shape[0]
    product = centered @ centered.T if wide else centered.T @ centered
    squares = (product**2).sum()
    return float(np.trace(product) ** 2 / squares) if squares > 0 else float("nan")


def effective_rank(W: ArrayLike, kind: str = "entropy") -> float:
    r"""Number of directions that a matrix acts along.

    Parameters
    ----------
    W : array-like of shape (n_rows, n_columns)
    kind : {"entropy", "stable"}, default="entropy"
        "entropy": :math:`\exp(-\sum_i p_i \log p_i)` of the singular values' shares
        :math:`p_i = s_i / \sum s` [1]_. "stable": :math:`\|W\|_F^2 / \|W\|_2^2`.

    Returns
    -------
    float
        0 for a matrix of zeros.

    References
    ----------
    .. [1] O. Roy and M. Vetterli (2007). The effective rank: a measure of effective dimensionality.
       European Signal Processing Conference.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.representation import effective_rank
    >>> round(effective_rank(np.eye(5)), 6), effective_rank(np.ones((3, 4)), "stable").__round__(6)
    (5.0, 1.0)
    """
    check_option(kind, ("entropy", "stable"), "kind")
    values = np.linalg.svd(as_table(W, "W"), compute_uv=False)
    if not values[0] > 0:
        return 0.0
    values = values / values[0]
    if kind == "stable":
        return float((values**2).sum())
    shares = values / values.sum()
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))
