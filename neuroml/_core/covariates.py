"""Covariates beside the data: one row per sample, complete, with columns in the order of fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from neuroml._core.samples import is_mapping, join_like, parts_of
from neuroml._core.validation import (
    align_columns,
    as_given,
    as_numbers,
    names_of,
    set_or_forget,
)
from neuroml.exceptions import DataError

__all__ = ["check_covariates", "set_covariate_scales", "standardized"]


def check_covariates(
    estimator: Any, covariates: Any, X: Any, n_samples: int, *, reset: bool
) -> np.ndarray | None:
    """Covariates (n_samples, n_covariates) in the order of fit, or None without any.

    Parameters
    ----------
    estimator : BaseEstimator
        Keeps the names of a table's columns (``covariate_names_``) in fit; later ones are put into
        this order.
    covariates : array-like of shape (n_samples,) or (n_samples, n_covariates), or None
        Or a list or dict of such, in the parts of X.
    X : as `neuroml._core.samples.as_samples` takes it
    n_samples : int
    reset : bool
        True in fit; False after it, which has as many (``covariate_mean_``).

    Raises
    ------
    DataError
        If shapes or names do not fit, values are missing, or fit had others.
    """
    n_expected = None if reset else len(getattr(estimator, "covariate_mean_", ()))
    if covariates is None:
        _check_none_needed(n_samples, n_expected)
        if reset:
            set_or_forget(estimator, "covariate_names_", None)
        return None
    # a list of arrays or a dict is in the parts of X; a list of numbers is one covariate
    parts = list(covariates.values()) if is_mapping(covariates) else parts_of(covariates)
    if isinstance(parts, dict):
        parts = list(parts.values())
    first = as_given(parts[0] if parts else covariates, "covariates")
    if isinstance(first, list | tuple):  # the sessions of one subject
        first = as_given(first[0], "covariates")
    Z = (
        join_like(covariates, X, None, "covariates")
        if parts
        else as_numbers(as_given(covariates, "covariates"), "covariates")
    ).astype(np.float64)
    Z = Z[:, None] if Z.ndim == 1 else Z
    _check_shape(Z, n_samples, n_expected)
    if not np.isfinite(Z).all():
        raise DataError(
            "the covariates hold NaN or infinity",
            expected="finite numbers",
            found=f"{int((~np.isfinite(Z)).sum())} of {Z.size} values",
            fix="Interpolate them (blinks, lost tracking), or leave those samples out and mark the "
            "gaps with sessions=.",
            field="covariates",
        )
    names = names_of(first)
    if reset:
        set_or_forget(estimator, "covariate_names_", names)
        return Z
    table = Z if names is None else pd.DataFrame(Z, columns=names)
    known = getattr(estimator, "covariate_names_", None)
    return np.asarray(align_columns(table, known, field="covariates"))


def _check_none_needed(n_samples: int, n_expected: int | None) -> None:
    if n_expected:
        raise DataError(
            "the model was fitted with covariates, and there are none",
            expected=f"covariates= of shape ({n_samples}, {n_expected})",
            fix="Pass them, or their means (covariate_mean_) at every sample.",
            field="covariates",
        )


def _check_shape(Z: np.ndarray, n_samples: int, n_expected: int | None) -> None:
    fits = Z.ndim == 2 and len(Z) == n_samples and Z.shape[1] > 0
    if fits and n_expected in (None, Z.shape[1]):
        return
    width = "n_covariates" if n_expected is None else n_expected
    raise DataError(
        "the covariates do not fit",
        expected=f"shape ({n_samples}, {width}), as in fit"
        if n_expected is not None
        else f"shape ({n_samples}, {width}): one row per sample",
        found=f"shape {Z.shape}",
        fix="Leave covariates= out: the model was fitted without." if n_expected == 0 else None,
        field="covariates",
    )


def set_covariate_scales(estimator: Any, covariates: np.ndarray | None) -> None:
    """Set ``covariate_mean_`` and ``covariate_sd_`` (1 where all is the same), or forget them."""
    spread = None if covariates is None else covariates.std(axis=0)
    set_or_forget(estimator, "covariate_mean_", None if covariates is None else covariates.mean(0))
    set_or_forget(
        estimator, "covariate_sd_", None if spread is None else np.where(spread > 0, spread, 1.0)
    )


def standardized(estimator: Any, covariates: np.ndarray) -> np.ndarray:
    """Covariates in standard deviations from their means in fit."""
    return np.asarray((covariates - estimator.covariate_mean_) / estimator.covariate_sd_)
