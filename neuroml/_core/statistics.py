"""Statistics that several families need: p-values, intervals, choosing, matching."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from scipy.optimize import linear_sum_assignment

from neuroml.exceptions import DataError

__all__ = [
    "MeanInterval",
    "first_within_one_standard_error",
    "match_rows",
    "mean_interval",
    "one_standard_error",
    "permutation_p_value",
    "resampled_interval",
]

# Two sums of the same numbers in another order differ by a few times 1e-16 per term. A permuted
# score that is the observed one up to that is a tie, which counts against significance.
_ROUNDING = 1e-12


class MeanInterval(NamedTuple):
    """A mean with the ends of its confidence interval, NaN where there is none."""

    mean: float
    low: float
    high: float


def permutation_p_value(observed: ArrayLike, null: ArrayLike) -> np.ndarray:
    r"""Share of permutations at least as large as what was observed, which counts as one of them.

    .. math:: p = (1 + \#\{b : t_b \ge t\}) / (1 + B)

    With the observed statistic among the permutations, the test is valid at every level [1]_.

    Parameters
    ----------
    observed : array-like of shape (...)
        Statistics, larger is more extreme.
    null : array-like of shape (n_permutations, ...)
        The same of permuted data; NaN counts as larger.

    Returns
    -------
    ndarray of shape (...)
        NaN where the observed statistic is NaN.

    References
    ----------
    .. [1] B. Phipson and G. Smyth (2010). Permutation p-values should never be zero. Statistical
       Applications in Genetics and Molecular Biology 9.
    """
    t, permuted = np.asarray(observed, dtype=np.float64), np.asarray(null, dtype=np.float64)
    beaten = permuted < t - _ROUNDING * np.abs(t)
    p = (1 + (~beaten).sum(axis=0)) / (1 + len(permuted))
    return np.where(np.isnan(t), np.nan, p)


def mean_interval(values: ArrayLike, confidence: float = 0.95) -> MeanInterval:
    """Mean of independent values, such as one per subject, with Student's t interval.

    Parameters
    ----------
    values : array-like of shape (n,)
    confidence : float, default=0.95

    Returns
    -------
    MeanInterval
        Without an interval if there is only one value.
    """
    x = np.asarray(values, dtype=np.float64)
    if len(x) < 2:
        return MeanInterval(float(x.mean()) if len(x) else np.nan, np.nan, np.nan)
    half = stats.t.ppf(0.5 + confidence / 2, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x))
    return MeanInterval(float(x.mean()), float(x.mean() - half), float(x.mean() + half))


def resampled_interval(
    differences: ArrayLike, test_share: float, confidence: float = 0.95
) -> MeanInterval:
    r"""Mean of differences over the folds of a cross-validation, with the corrected t interval.

    Folds share most of their training data, so their differences are correlated and the variance
    of the mean is larger than that of independent values. Nadeau and Bengio [1]_ take

    .. math:: \left(\frac{1}{J} + \frac{n_{test}}{n_{train}}\right) \hat\sigma^2

    Parameters
    ----------
    differences : array-like of shape (n_folds,)
        Of two models that saw the same training data and were scored on the same test data.
    test_share : float
        Samples of a fold's test data over those of its training data.
    confidence : float, default=0.95

    Returns
    -------
    MeanInterval
        Without an interval if there is only one fold.

    References
    ----------
    .. [1] C. Nadeau and Y. Bengio (2003). Inference for the generalization error. Machine
       Learning 52.
    """
    x = np.asarray(differences, dtype=np.float64)
    if len(x) < 2:
        return MeanInterval(float(x.mean()) if len(x) else np.nan, np.nan, np.nan)
    error = np.sqrt((1 / len(x) + test_share) * x.var(ddof=1))
    half = stats.t.ppf(0.5 + confidence / 2, len(x) - 1) * error
    return MeanInterval(float(x.mean()), float(x.mean() - half), float(x.mean() + half))


def first_within_one_standard_error(scores: ArrayLike) -> int:
    """Return the first candidate whose shortfall to the best is within one standard error of it.

    The shortfall is paired: folds differ in difficulty, which all candidates share, so its standard
    error is that of the difference over folds, not that of the scores themselves.

    Parameters
    ----------
    scores : array-like of shape (n_candidates, n_folds)
        Larger is better; candidates from simple to complex.

    Returns
    -------
    int
        The best candidate (by mean) itself, if none before it comes so close.
    """
    folds = np.asarray(scores, dtype=np.float64)
    shortfall = folds[folds.mean(axis=1).argmax()] - folds
    error = shortfall.std(axis=1, ddof=1) / np.sqrt(folds.shape[1])
    # a constant shortfall has no error but rounding: nothing that is worse may pass for equal
    return int(np.flatnonzero(shortfall.mean(axis=1) <= error)[0])


def one_standard_error(cv_results: Mapping[str, Any]) -> int:
    """Return the first candidate whose paired shortfall to the best is within a standard error.

    For ``GridSearchCV(refit=one_standard_error)``: list candidates from simple to complex. The
    shortfall of a candidate is its difference to the best mean score, fold by fold; it is taken if
    the mean of these differences is at most their standard error.

    Parameters
    ----------
    cv_results : mapping
        As `sklearn.model_selection.GridSearchCV` keeps it.

    Returns
    -------
    int
        Index of the candidate.

    Raises
    ------
    DataError
        If a candidate has no finite score in some fold, or there are fewer than two folds.

    Examples
    --------
    >>> from neuroml.evaluation import one_standard_error
    >>> folds = {"split0_test_score": [1.0, 1.5, 1.4], "split1_test_score": [3.0, 3.5, 3.7]}
    >>> one_standard_error({"mean_test_score": [2.0, 2.5, 2.55]} | folds)
    1
    """
    mean = np.asarray(cv_results["mean_test_score"], dtype=np.float64)
    names = [name for name in cv_results if re.fullmatch(r"split\d+_test_score", name)]
    if len(names) < 2:
        raise DataError(
            "a standard error needs folds", expected="at least 2", found=len(names), field="cv"
        )
    folds = np.stack([np.broadcast_to(cv_results[name], mean.shape) for name in names], axis=1)
    _refuse_unscored(folds, mean, cv_results.get("params"))
    return first_within_one_standard_error(folds)


def _refuse_unscored(folds: np.ndarray, mean: np.ndarray, params: Any) -> None:
    """Refuse candidates without a finite score in some fold (n_candidates, n_folds)."""
    unscored = ~np.isfinite(folds)
    failed = np.flatnonzero(unscored.any(axis=1) | ~np.isfinite(mean))
    if not len(failed):
        return
    names = [str(k if params is None else params[k]) for k in failed[:5]]
    names = [
        f"{name} in folds {np.flatnonzero(unscored[k]).tolist()}"
        for name, k in zip(names, failed, strict=False)
    ]
    raise DataError(
        "some candidates have no finite score in some folds, so they cannot be compared",
        expected=f"a finite score of each of {len(mean)} candidates in each fold",
        found=f"{len(failed)} without: {', '.join(names)}",
        fix="Leave these candidates out; if all of them fail, a session may hold a unit or class "
        "that the others lack: use fewer folds, or leave it out.",
        field="cv_results",
    )


def match_rows(likeness: ArrayLike) -> np.ndarray:
    """Match rows to columns one to one, so that the sum of their likeness is largest.

    Parameters
    ----------
    likeness : array-like of shape (n_rows, n_columns)

    Returns
    -------
    ndarray of int of shape (n_rows,)
        The column of each row; -1 where none is left.
    """
    table = np.asarray(likeness, dtype=np.float64)
    rows, columns = linear_sum_assignment(table, maximize=True)
    order = np.full(len(table), -1)
    order[rows] = columns
    return order
