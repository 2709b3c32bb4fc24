"""Scores of decoding and alignment, with chance levels, ceilings and intervals.

Rows are samples (stimuli or time points); every score names its chance level or centers what it
compares, so that a constant prediction cannot look good.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import bootstrap
from sklearn.preprocessing import normalize
from sklearn.utils import check_array

from neuroml._core.cohort import Subject, by_subject, pair_by_subject
from neuroml._core.estimator import check_option
from neuroml._core.parallel import RandomState, spawn_generators
from neuroml._core.statistics import permutation_p_value
from neuroml._core.validation import one_array
from neuroml.decoding._subjects import check_same_rows
from neuroml.exceptions import DataError

__all__ = [
    "Interval",
    "Matching",
    "PermutationTest",
    "Retrieval",
    "feature_correlation",
    "intersubject_correlation",
    "noise_ceiling",
    "permutation_test",
    "retrieval_accuracy",
    "retrieval_from_scores",
    "sample_correlation",
    "subject_interval",
    "time_segment_matching",
    "two_way_identification",
]


class Retrieval(NamedTuple):
    """Top-k retrieval in both directions, with its chance level ``k / n_gallery``."""

    forward: float
    backward: float
    chance: float


class Matching(NamedTuple):
    """Time-segment matching: accuracy (n_subjects,) and its chance level."""

    accuracy: np.ndarray
    chance: float


class Interval(NamedTuple):
    """A mean over subjects and its confidence interval."""

    mean: float
    low: float
    high: float


class PermutationTest(NamedTuple):
    """An observed score, its null distribution (n_permutations,) and the one-sided p value."""

    score: float
    null: np.ndarray
    p_value: float


def retrieval_accuracy(predicted: ArrayLike, gallery: ArrayLike, k: int = 1) -> Retrieval:
    """Share of samples whose right candidate is among the k most similar ones.

    Parameters
    ----------
    predicted : array-like of shape (n_samples, n_targets)
    gallery : array-like of shape (n_candidates, n_targets)
        Row i is the truth of prediction i; rows beyond n_samples are distractors.
    k : int, default=1

    Returns
    -------
    Retrieval
        ``forward``: each prediction searches the gallery by cosine similarity. ``backward``: each
        candidate that has a prediction searches the predictions (its chance is k / n_samples).
        ``chance``: k / n_candidates. Ties count as if broken at random.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.decoding.metrics import retrieval_accuracy
    >>> gallery = np.eye(4)
    >>> retrieval_accuracy(gallery, gallery)
    Retrieval(forward=1.0, backward=1.0, chance=0.25)
    >>> retrieval_accuracy(np.ones((4, 4)), gallery).forward
    0.25
    """
    decoded, candidates = _matrix(predicted), _matrix(gallery)
    if decoded.shape[1] != candidates.shape[1] or len(decoded) > len(candidates):
        raise DataError(
            "predictions and gallery do not match",
            expected=f"at least {len(decoded)} rows and {decoded.shape[1]} columns",
            found=f"shape {candidates.shape}",
            field="gallery",
        )
    return retrieval_from_scores(normalize(decoded) @ normalize(candidates).T, k)


def retrieval_from_scores(scores: ArrayLike, k: int = 1) -> Retrieval:
    """Top-k retrieval from any matrix of scores, such as log-likelihoods.

    Parameters
    ----------
    scores : array-like of shape (n_samples, n_candidates)
        Larger is better; candidate i is the right one of sample i.
    k : int, default=1

    Returns
    -------
    Retrieval
        As `retrieval_accuracy`.
    """
    table = _matrix(scores)
    n_samples, n_candidates = table.shape
    if not 1 <= k <= n_candidates:
        raise ValueError(f"k must lie between 1 and the {n_candidates} candidates, got {k}.")
    if n_samples > n_candidates:
        raise DataError(
            "there are fewer candidates than samples",
            expected=f"at least {n_samples} columns",
            found=f"shape {table.shape}",
            field="scores",
        )
    square = table[:, :n_samples]
    return Retrieval(_top_k(table, k), _top_k(square.T, k), k / n_candidates)


def _top_k(scores: np.ndarray, k: int) -> float:
    """Expected share of rows whose own column is among the k best, ties broken at random."""
    right = np.diagonal(scores)[:, None]
    # scores that differ by rounding are ties; the k - better places left go to `tied` candidates
    resolution = 1e-12 * np.maximum(1.0, np.abs(right))
    better = (scores > right + resolution).sum(axis=1)
    tied = (np.abs(scores - right) <= resolution).sum(axis=1)
    return float(np.clip((k - better) / tied, 0, 1).mean())


def two_way_identification(predicted: ArrayLike, truth: ArrayLike) -> float:
    """Share of pairs in which a prediction is closer to its own truth than to another one.

    Similarity is the correlation between rows; ties count one half, so chance is 0.5 for any
    predictor that knows nothing, a constant one included.

    Parameters
    ----------
    predicted, truth : array-like of shape (n_samples, n_targets)

    Returns
    -------
    float

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.decoding.metrics import two_way_identification
    >>> two_way_identification(np.zeros((3, 5)), np.eye(3, 5))
    0.5
    """
    decoded, true = _pair(predicted, truth)
    scores = _unit(decoded, axis=1) @ _unit(true, axis=1).T
    right = np.diagonal(scores)[:, None]
    wins = np.where(np.abs(right - scores) <= 1e-12, 0.5, right > scores)
    n = len(scores)
    return float((wins.sum() - 0.5 * n) / (n * (n - 1)))


def feature_correlation(predicted: ArrayLike, truth: ArrayLike) -> np.ndarray:
    """Correlation over samples of every target with its prediction.

    Parameters
    ----------
    predicted, truth : array-like of shape (n_samples, n_targets)

    Returns
    -------
    ndarray of shape (n_targets,)
        0 where either is constant.
    """
    decoded, true = _pair(predicted, truth)
    return (_unit(decoded, axis=0) * _unit(true, axis=0)).sum(axis=0)


def sample_correlation(predicted: ArrayLike, truth: ArrayLike) -> np.ndarray:
    """Correlation over targets of every sample with its prediction, targets centered first.

    Parameters
    ----------
    predicted, truth : array-like of shape (n_samples, n_targets)

    Returns
    -------
    ndarray of shape (n_samples,)
        0 where either is constant: the mean of the targets as prediction scores 0.
    """
    decoded, true = _pair(predicted, truth)
    return (_unit(_centered(decoded), axis=1) * _unit(_centered(true), axis=1)).sum(axis=1)


def noise_ceiling(trials: ArrayLike) -> np.ndarray:
    r"""Largest correlation that a perfect model can have with the mean of repeated trials.

    With noise variance :math:`\sigma^2`, the unbiased variance over the n repeats, and signal
    variance :math:`s^2 = \max(0, \mathrm{var}(\bar x) - \sigma^2 / n)`, the ceiling is
    :math:`\sqrt{s^2 / (s^2 + \sigma^2 / n)}`.

    Parameters
    ----------
    trials : array-like of shape (n_stimuli, n_repeats, n_units)

    Returns
    -------
    ndarray of shape (n_units,)

    Raises
    ------
    DataError
        If there are fewer than two stimuli or two repeats.
    """
    values = _matrix(trials, allow_nd=True)
    if values.ndim != 3 or values.shape[0] < 2 or values.shape[1] < 2:
        raise DataError(
            "a noise ceiling needs repeats",
            expected="(n_stimuli >= 2, n_repeats >= 2, n_units)",
            found=f"shape {values.shape}",
            field="trials",
        )
    # variance of the mean's noise, of the mean, and of the signal as their difference
    noise = values.var(axis=1, ddof=1).mean(axis=0) / values.shape[1]
    total = values.mean(axis=1).var(axis=0, ddof=1)
    signal = np.maximum(total - noise, 0.0)
    return np.sqrt(signal / np.where(signal + noise > 0, signal + noise, 1.0))


def intersubject_correlation(X: dict[Subject, ArrayLike] | Sequence[ArrayLike]) -> np.ndarray:
    """Correlation of every subject with the mean of the others, in a common space.

    Parameters
    ----------
    X : dict or list of array-like of shape (n_samples, n_units)
        Subjects with the same samples and the same (aligned) units.

    Returns
    -------
    ndarray of shape (n_subjects, n_units)
        In the order of the subjects; 0 for a constant unit.
    """
    parts = _common_space(X)
    total = np.sum(list(parts.values()), axis=0)
    n_others = len(parts) - 1
    return np.stack(
        [feature_correlation(part, (total - part) / n_others) for part in parts.values()]
    )


def time_segment_matching(
    X: dict[Subject, ArrayLike] | Sequence[ArrayLike], window: int = 10
) -> Matching:
    """Share of segments of a subject that are most like the same segment of the others' mean.

    Every window of a subject is compared with the same window of the mean of the others and with
    all windows that do not overlap it, by correlation of units and time together [1]_.

    Parameters
    ----------
    X : dict or list of array-like of shape (n_samples, n_units)
        Subjects in a common space; every unit is z-scored over time first.
    window : int, default=10
        Samples.

    Returns
    -------
    Matching
        Accuracy of each subject (n_subjects,), ties counting as if broken at random, and the chance
        level: the mean of 1 / number of candidates.

    References
    ----------
    .. [1] J. V. Haxby et al. (2011). A common, high-dimensional model of the representational space
       in human ventral temporal cortex. Neuron 72(2).
    """
    parts = {s: _standardized(part) for s, part in _common_space(X).items()}
    n_samples = len(next(iter(parts.values())))
    n_windows = n_samples - window + 1
    if window < 1 or n_windows <= window:
        raise DataError(
            "no two windows lie apart",
            expected=f"n_samples >= 2 * window = {2 * window}",
            found=n_samples,
            field="window",
        )
    # a window competes with those that do not overlap it
    starts = np.arange(n_windows)
    apart = np.abs(starts[:, None] - starts) >= window
    total = np.sum(list(parts.values()), axis=0)
    accuracy = [
        _matched(_segments(part, window), _segments(total - part, window), apart)
        for part in parts.values()
    ]
    return Matching(np.array(accuracy), float(np.mean(1 / (1 + apart.sum(axis=1)))))


def _segments(X: np.ndarray, window: int) -> np.ndarray:
    views = np.lib.stride_tricks.sliding_window_view(X, window, axis=0)
    return _unit(views.reshape(len(views), -1), axis=1)


def _matched(own: np.ndarray, others: np.ndarray, apart: np.ndarray) -> float:
    scores = own @ others.T
    scores[~apart & ~np.eye(len(apart), dtype=bool)] = -np.inf
    return _top_k(scores, 1)


def subject_interval(
    values: ArrayLike,
    *,
    confidence: float = 0.95,
    n_resamples: int = 9999,
    random_state: RandomState = None,
) -> Interval:
    """Mean over subjects with a bias-corrected and accelerated bootstrap interval.

    The subject is the unit of inference: give one value for each, never one per sample or draw.

    Parameters
    ----------
    values : array-like of shape (n_subjects,)
        Scores, or paired differences of scores.
    confidence : float, default=0.95
    n_resamples : int, default=9999
    random_state : int, RandomState, Generator or None, default=None

    Returns
    -------
    Interval
        With both ends at the mean if all values are equal.

    Examples
    --------
    >>> from neuroml.decoding.metrics import subject_interval
    >>> interval = subject_interval([0.1, 0.3, 0.2, 0.4], random_state=0)
    >>> interval.low < interval.mean < interval.high
    True
    """
    scores = _matrix(values, ensure_2d=False, ensure_min_samples=2)
    mean = float(scores.mean())
    if np.ptp(scores) == 0:
        return Interval(mean, mean, mean)
    (rng,) = spawn_generators(random_state, 1)
    found = bootstrap(
        (scores,),
        np.mean,
        confidence_level=confidence,
        n_resamples=n_resamples,
        rng=rng,
    ).confidence_interval
    return Interval(mean, float(found.low), float(found.high))


def permutation_test(
    metric: Callable[[np.ndarray, np.ndarray], float],
    predicted: Any,
    truth: Any,
    *,
    scheme: Literal["shuffle", "shift"] = "shuffle",
    n_permutations: int = 999,
    random_state: RandomState = None,
) -> PermutationTest:
    """Test the mean over subjects of a score against pairings broken within each subject.

    Parameters
    ----------
    metric : callable
        ``metric(predicted, truth) -> float`` for one subject; larger is better.
    predicted, truth : dict of array-like of shape (n_samples_s, n_targets), or one such array
    scheme : {"shuffle", "shift"}, default="shuffle"
        Shuffle the rows of the truth, or, for time series, shift them in a circle by at least a
        tenth of their number, which keeps their autocorrelation.
    n_permutations : int, default=999
    random_state : int, RandomState, Generator or None, default=None

    Returns
    -------
    PermutationTest
        ``p_value = (1 + #null >= score) / (1 + n_permutations)``.
    """
    check_option(scheme, ("shuffle", "shift"), "scheme")
    first, second = pair_by_subject(predicted, truth)
    pairs = [_pair(first[s], second[s]) for s in first]
    score = float(np.mean([metric(p, t) for p, t in pairs]))
    (rng,) = spawn_generators(random_state, 1)

    def broken(n: int) -> np.ndarray:
        return rng.permutation(n) if scheme == "shuffle" else _shifted(n, rng)

    null = np.array(
        [np.mean([metric(p, t[broken(len(t))]) for p, t in pairs]) for _ in range(n_permutations)]
    )
    return PermutationTest(score, null, float(permutation_p_value(score, null)))


def _shifted(n: int, rng: np.random.Generator) -> np.ndarray:
    minimum = max(1, n // 10)
    return np.roll(np.arange(n), rng.integers(minimum, n - minimum + 1))


def _matrix(values: Any, **checks: Any) -> np.ndarray:
    return np.asarray(check_array(one_array(values), **({"dtype": np.float64} | checks)))


def _centered(X: np.ndarray) -> np.ndarray:
    """Columns without their mean, and exactly zero where constant."""
    return np.where(np.ptp(X, axis=0) > 0, X - X.mean(axis=0), 0.0)


def _unit(X: np.ndarray, axis: int) -> np.ndarray:
    """Centered along an axis and of unit norm, or zero where constant."""
    centered = X - X.mean(axis=axis, keepdims=True)
    norm = np.linalg.norm(centered, axis=axis, keepdims=True)
    noise = 1e-12 * np.linalg.norm(X, axis=axis, keepdims=True)
    return np.where(norm > noise, centered / np.where(norm > noise, norm, 1.0), 0.0)


def _standardized(X: np.ndarray) -> np.ndarray:
    return _unit(X, axis=0) * np.sqrt(len(X))


def _pair(first: ArrayLike, second: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    arrays = [
        _matrix(
            np.reshape(a, (-1, 1)) if np.ndim(a) == 1 else a,
            ensure_min_samples=2,
        )
        for a in (one_array(first, "predicted"), one_array(second, "truth"))
    ]
    if arrays[0].shape != arrays[1].shape:
        raise DataError(
            "predictions and truth differ in shape",
            expected=f"{arrays[0].shape}, as predicted",
            found=arrays[1].shape,
            field="truth",
        )
    return arrays[0], arrays[1]


def _common_space(X: dict[Subject, ArrayLike] | Sequence[ArrayLike]) -> dict[Subject, np.ndarray]:
    parts = {s: _matrix(part) for s, part in by_subject(X).items()}
    widths = sorted({part.shape[1] for part in parts.values()})
    if len(parts) < 2 or len(widths) > 1:
        raise DataError(
            "subjects must be in a common space",
            expected="at least two subjects with the same units",
            found=f"{len(parts)} subject(s) with {widths} units",
            fix="Align them first, with SharedResponseModel or ProcrustesAligner.",
            field="X",
        )
    check_same_rows(parts)
    return parts
