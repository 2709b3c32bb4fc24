"""Which units depend linearly on others, so that no inverse of their covariance exists."""

from __future__ import annotations

import numpy as np

__all__ = ["dependent_units"]

_LEAST_LEFT = 1e-10
"""Share of the variance, a hundred-thousandth of the standard deviation: what float32 resolves."""
_LEAST_PART = 1e-3


def dependent_units(covariance: np.ndarray) -> np.ndarray:
    """Indices of the units that take part in a linear dependence; empty if there is an inverse.

    Parameters
    ----------
    covariance : ndarray of shape (n_units, n_units)
        Symmetric, positive semidefinite up to rounding.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml._core.dependence import dependent_units
    >>> X = np.random.default_rng(0).normal(size=(50, 4))
    >>> dependent_units(np.cov(np.column_stack([X, X[:, 1]]), rowvar=False)).tolist()
    [1, 4]
    """
    deviation = np.sqrt(np.diag(covariance))
    constant = deviation <= 0
    deviation = np.where(constant, 1.0, deviation)
    values, vectors = np.linalg.eigh(covariance / np.outer(deviation, deviation))
    rounding = 10 * len(values) * np.finfo(values.dtype).eps * values[-1]
    null = vectors[:, values <= max(_LEAST_LEFT, rounding)]
    return np.flatnonzero(constant | (np.linalg.norm(null, axis=1) > _LEAST_PART))
