"""Non-negative CP decomposition by hierarchical alternating least squares (HALS)."""

from __future__ import annotations

import numpy as np
import tensorly as tl
from tensorly.cp_tensor import CPTensor, cp_to_tensor
from tensorly.decomposition import non_negative_parafac_hals

from neuroml._core.em import Climb, climb

__all__ = ["fit_cp", "normalise_cp"]


def fit_cp(
    tensor: np.ndarray, n_components: int, rng: np.random.Generator, max_iter: int, tol: float
) -> Climb[CPTensor]:
    r"""Fit from one random start.

    Minimises :math:`\sum_{\text{observed}} (x_{ijk\ldots} - \sum_r a_{ir} b_{jr} c_{kr} \cdots)^2`
    over non-negative factors. Missing entries (NaN) are replaced by the current reconstruction
    before every sweep, which is EM for Gaussian noise and never raises the observed error.

    Parameters
    ----------
    tensor : ndarray
        Non-negative, NaN where missing.
    n_components : int
    rng : numpy.random.Generator
    max_iter : int
    tol : float
        Change of the relative error below which the fit has converged.

    Returns
    -------
    Climb
        The state is a CPTensor, the objective minus the relative error on observed entries.
    """
    observed = ~np.isnan(tensor)
    complete = bool(observed.all())
    data = np.where(observed, tensor, 0.0)
    norm = float(np.linalg.norm(data)) or 1.0

    def error_of(reconstruction: np.ndarray) -> float:
        residual = data - reconstruction
        return float(np.linalg.norm(residual if complete else residual[observed]) / norm)

    def sweep(state: tuple[CPTensor, np.ndarray]) -> tuple[tuple[CPTensor, np.ndarray], float]:
        cp, reconstruction = state
        filled = data if complete else np.where(observed, data, reconstruction)
        with tl.backend_context("numpy", local_threadsafe=True):
            cp = non_negative_parafac_hals(
                filled, n_components, n_iter_max=1, init=cp.cp_copy(), tol=None
            )
            reconstruction = cp_to_tensor(cp)
        return (cp, reconstruction), -error_of(reconstruction)

    start = _random_cp(data, n_components, rng, norm)
    with tl.backend_context("numpy", local_threadsafe=True):
        reconstruction = cp_to_tensor(start)
    climbed = climb(
        sweep, (start, reconstruction), -error_of(reconstruction), max_iter=max_iter, tol=tol
    )
    return Climb(
        normalise_cp(climbed.state[0]), climbed.trace, climbed.converged, climbed.stop_reason
    )


def _random_cp(
    data: np.ndarray, n_components: int, rng: np.random.Generator, norm: float
) -> CPTensor:
    """Uniform factors whose reconstruction has the norm of the data."""
    factors = [rng.uniform(size=(size, n_components)) for size in data.shape]
    gram = np.prod([factor.T @ factor for factor in factors], axis=0)
    scale = (norm / np.sqrt(gram.sum())) ** (1 / data.ndim)
    return CPTensor((np.ones(n_components), [factor * scale for factor in factors]))


def normalise_cp(cp: CPTensor) -> CPTensor:
    """Unit-norm factor columns, components sorted by falling weight."""
    weights, factors = cp
    norms = [np.linalg.norm(factor, axis=0) for factor in factors]
    weights = weights * np.prod(norms, axis=0)
    order = np.argsort(-weights, kind="stable")
    scaled = [
        (factor / np.where(norm > 0, norm, 1.0))[:, order]
        for factor, norm in zip(factors, norms, strict=True)
    ]
    return CPTensor((weights[order], scaled))
