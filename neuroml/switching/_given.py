"""Checks of parameters that users give instead of fitting them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from neuroml.exceptions import DataError
from neuroml.switching.inference import check_distributions

if TYPE_CHECKING:
    from neuroml.switching.switching_glm import SwitchingGLM

__all__ = ["check_columns", "given_chain", "given_emissions", "given_spread"]


def _array(field: str, values: ArrayLike, shape: tuple[int | str, ...]) -> np.ndarray:
    """A finite array of a shape; letters stand for sizes that are free."""
    array = np.asarray(values, dtype=np.float64)
    fits = array.ndim == len(shape) and all(
        isinstance(wanted, str) or size == wanted
        for size, wanted in zip(array.shape, shape, strict=True)
    )
    if not fits:
        names = ", ".join(str(size) for size in shape)
        raise DataError(
            f"{field} has another shape",
            expected=f"({names})",
            found=f"shape {array.shape}",
            field=field,
        )
    if not np.isfinite(array).all():
        raise DataError(
            f"{field} is not finite",
            expected="finite numbers",
            found=f"{int((~np.isfinite(array)).sum())} NaN or infinite",
            field=field,
        )
    return array


def given_emissions(
    model: SwitchingGLM, weights: ArrayLike, intercept: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    """Weights (K, M, F) and intercept (K, M), which is zero in a model without one."""
    emissions = _array("weights", weights, (model.n_states, "n_outputs", "n_features"))
    constant = _array("intercept", intercept, emissions.shape[:2])
    if constant.any() and not model.fit_intercept:
        raise DataError(
            "there is an intercept in a model without one",
            expected="zeros, or fit_intercept=True",
            found=constant.tolist(),
            field="intercept",
        )
    return emissions, constant


def given_chain(
    model: SwitchingGLM, matrix: ArrayLike, initial: ArrayLike | None, weights: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First-state probabilities (K,), matrix (K, K) and input weights (U, K, K)."""
    k = model.n_states
    checked = check_distributions("transition_matrix", _array("transition_matrix", matrix, (k, k)))
    even = np.full(k, 1.0 / k) if initial is None else _array("initial", initial, (k,))
    n_inputs = _count(model.transition_columns)
    if (weights is None) != (n_inputs == 0):
        raise DataError(
            "transition_weights and transition_columns go together",
            expected=f"transition_weights of shape ({n_inputs or 'n_inputs'}, {k}, {k}) with "
            f"{n_inputs or 'as many'} transition_columns, or neither",
            found=f"transition_weights={None if weights is None else np.shape(weights)}, "
            f"transition_columns={model.transition_columns!r}",
            field="transition_weights",
        )
    by_input = np.zeros((0, k, k)) if weights is None else weights
    onward = _array("transition_weights", by_input, (n_inputs, k, k))
    return check_distributions("initial", even), checked, onward


def given_spread(model: SwitchingGLM, spread: ArrayLike | None, n_outputs: int) -> np.ndarray:
    """Covariances (K, M, M), dispersions (K, M), or ones where the family has no spread."""
    k, m = model.n_states, n_outputs
    if model.family == "gaussian":
        return _covariances(model, spread, m)
    if model.family == "categorical" and (spread is None or np.shape(spread) == (k, 0)):
        return np.empty((k, 0))
    values = _array("spread", np.ones((k, m)) if spread is None else spread, (k, m))
    if not (values > 0).all():
        raise DataError(
            "spread is not positive", expected="> 0", found=f"minimum {values.min():.4g}",
            field="spread",
        )  # fmt: skip
    return values


def _covariances(model: SwitchingGLM, spread: ArrayLike | None, m: int) -> np.ndarray:
    """Covariances (K, M, M) of the model's type."""
    if spread is None:
        raise DataError(
            "there is no spread",
            expected=f"covariances of shape ({model.n_states}, {m}, {m})",
            fix="Pass spread=, as the family 'gaussian' needs it.",
            field="spread",
        )
    values = _array("spread", spread, (model.n_states, m, m))
    if not np.allclose(values, values.transpose(0, 2, 1)) or np.linalg.eigvalsh(values).min() <= 0:
        raise DataError(
            "spread is not made of covariances",
            expected="symmetric positive definite matrices",
            found=f"smallest eigenvalue {np.linalg.eigvalsh(values).min():.4g}",
            field="spread",
        )
    variances = np.einsum("kmm->km", values)
    diagonal = values * np.eye(m)
    alike = {
        "full": values,
        "tied": np.broadcast_to(values[:1], values.shape),
        "diagonal": diagonal,
        "spherical": variances[:, :1, None] * np.eye(m),
    }[model.covariance_type]
    if not np.allclose(values, alike):
        raise DataError(
            f"spread is not {model.covariance_type}",
            expected=f"covariances of the type covariance_type={model.covariance_type!r}",
            found=values.tolist(),
            field="spread",
        )
    return values


def check_columns(model: SwitchingGLM, n_weights: int, n_features: int | None) -> int:
    """Number of columns of X, which the columns for emissions and transitions must be among."""
    used = {
        "emission_columns": model.emission_columns,
        "transition_columns": model.transition_columns,
    }
    chosen = {name: np.asarray(columns) for name, columns in used.items() if columns is not None}
    if n_features is None and model.emission_columns is not None:
        raise DataError(
            "the number of columns of X is not known",
            expected="n_features=, as emission_columns choose among the columns",
            found=model.emission_columns,
            field="n_features",
        )
    n_columns = n_weights if n_features is None else int(n_features)
    n_used = _count(chosen["emission_columns"]) if "emission_columns" in chosen else n_columns
    if n_used != n_weights:
        raise DataError(
            "weights do not match the columns of X",
            expected=f"{n_used} weights for each output",
            found=n_weights,
            field="weights",
        )
    for name, columns in chosen.items():
        if np.issubdtype(columns.dtype, np.integer) and columns.max(initial=-1) >= n_columns:
            raise DataError(
                f"{name} lie outside of X",
                expected=f"columns of the {n_columns} of X",
                found=columns.tolist(),
                field=name,
            )
    return n_columns


def _count(columns: ArrayLike | None) -> int:
    """How many columns numbers, names or a mask choose."""
    chosen = np.asarray([] if columns is None else columns)
    return int(chosen.sum()) if chosen.dtype == bool else chosen.size
