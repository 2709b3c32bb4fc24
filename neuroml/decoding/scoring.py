"""Scores of decoders that are fitted to some subjects and adapted to a held-out one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.model_selection import LeaveOneGroupOut

from neuroml._core.cohort import align_targets, pair_by_subject
from neuroml._core.estimator import safe_indexing
from neuroml._core.parallel import RandomState, spawn_generators
from neuroml._core.warn import each_warning_once
from neuroml.exceptions import DataError

__all__ = ["cross_subject_score"]


@each_warning_once()
def cross_subject_score(
    estimator: Any,
    X: Any,
    y: Any,
    n_adapt: int | Sequence[int],
    cv: Any = None,
    *,
    groups: ArrayLike | None = None,
    scoring: Callable[[np.ndarray, np.ndarray], float] | None = None,
    shuffle: bool = True,
    gap: int = 0,
    random_state: RandomState = None,
) -> pd.DataFrame:
    """Fit on some subjects, adapt to part of a held-out one, score on the rest of it.

    Parameters
    ----------
    estimator : estimator with ``fit``, ``adapt`` and ``predict``
    X : dict, list, or rows with groups
        ``{subject: (n_samples_s, n_voxels_s)}``.
    y : like X
    n_adapt : int or sequence of int
        Samples of the held-out subject to adapt to; of several, the smaller sets are parts of the
        larger ones and all are scored on the same samples.
    cv : scikit-learn splitter, optional
        Over subjects, called with one row and one group for each; the default leaves out one at a
        time.
    groups : array-like of shape (n_rows,), optional
        The subject of each row, where X is one array (of rows of unequal length, if need be).
    scoring : callable, optional
        ``scoring(y_true, y_pred) -> float``; the default is the estimator's own ``score``.
    shuffle : bool, default=True
        Whether the samples to adapt to are drawn at random; for time series, use False (the first
        ones) together with a gap.
    gap : int, default=0
        Samples to leave out between those for adapting and those for scoring.
    random_state : int, RandomState, Generator or None, default=None

    Returns
    -------
    DataFrame
        One row per held-out subject and size: ``fold``, ``subject``, ``n_adapt``, ``n_test``,
        ``score``.

    Raises
    ------
    DataError
        If a held-out subject has too few samples, or a fold holds out all subjects.

    Examples
    --------
    >>> from neuroml.decoding import RidgeDecoder, cross_subject_score
    >>> from neuroml.simulate import make_cohort
    >>> cohort = make_cohort(3, n_stimuli=60, n_test=5, n_voxels=(30, 40), random_state=0)
    >>> table = cross_subject_score(RidgeDecoder(), cohort.X, cohort.y, [20, 40], random_state=0)
    >>> table[["subject", "n_adapt", "n_test"]].head(2).values.tolist()
    [['s1', 20, 20], ['s1', 40, 20]]
    """
    lacking = [name for name in ("fit", "adapt", "predict") if not hasattr(estimator, name)]
    if lacking:
        raise DataError(
            f"this estimator has no {' and no '.join(lacking)}",
            expected="a decoder with fit, adapt and predict",
            found=type(estimator).__name__,
            fix="Give a decoder by itself, not in a Pipeline; prepare X before.",
            field="estimator",
        )
    data, targets = pair_by_subject(X, y, groups)
    names = list(data)
    sizes = sorted(np.atleast_1d(n_adapt).tolist())
    rows = np.arange(len(names))[:, None]
    folds = (LeaveOneGroupOut() if cv is None else cv).split(rows, groups=rows[:, 0])
    rngs = spawn_generators(random_state, len(names))
    results = []
    for fold, (train, test) in enumerate(folds):
        if not len(train):
            raise DataError("a fold holds out all subjects", expected="some to fit on", field="cv")
        sources = [names[i] for i in train]
        fitted = clone(estimator).fit(
            {s: data[s] for s in sources}, {s: targets[s] for s in sources}
        )
        for i in test:
            subject = names[i]
            known, held = data[subject], targets[subject]
            order = rngs[i].permutation(len(known)) if shuffle else np.arange(len(known))
            pool, rest = _apart(order, sizes[-1], gap, subject)
            for size in sizes:
                chosen = pool[-size:]
                adapted = fitted.adapt(
                    safe_indexing(known, chosen), safe_indexing(held, chosen), subject=subject
                )
                asked, truth = safe_indexing(known, rest), safe_indexing(held, rest)
                score = _score(adapted, asked, truth, subject, scoring)
                results.append((fold, subject, size, len(rest), score))
    return pd.DataFrame(results, columns=["fold", "subject", "n_adapt", "n_test", "score"])


def _apart(order: np.ndarray, n_pool: int, gap: int, subject: Any) -> tuple[np.ndarray, np.ndarray]:
    """Samples to adapt to and samples to score."""
    if len(order) < n_pool + gap + 2:
        raise DataError(
            "too few samples are left to score",
            expected=f"at least {n_pool + gap + 2}: {n_pool} to adapt, {gap} between, 2 to score",
            found=len(order),
            subject=subject,
        )
    return order[:n_pool], order[n_pool + gap :]


def _score(
    model: Any,
    X: Any,
    y: Any,
    subject: Any,
    scoring: Callable[[np.ndarray, np.ndarray], float] | None,
) -> float:
    if scoring is None:
        return float(model.score(X, y, subject=subject))
    truth = np.asarray(align_targets(model, y, subject))
    return float(scoring(truth, model.predict(X, subject=subject)))
