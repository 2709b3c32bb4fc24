"""Choosing one of several candidates by held-out scores, within training data alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuroml._core.statistics import one_standard_error

__all__ = ["Choice", "fold_scores", "simplest"]


@dataclass(frozen=True)
class Choice:
    """A model with a parameter that is chosen anew in the training data of every fold.

    Scores of the folds that chose it flatter a parameter; what is held out must not take part.

    Attributes
    ----------
    model : estimator
        With the value that all data chose: which scores and baselines go with it.
    candidates : dict of str to estimator
        From simple to complex.
    cv : Any
        As `neuroml.evaluation.evaluate` takes it, for the folds of the training data.
    scorers : dict of str to Scorer
        The one that decides.
    n_adapt : int, optional
    """

    model: Any
    candidates: Mapping[str, Any]
    cv: Any
    scorers: dict[str, Any]
    n_adapt: int | None = None


def fold_scores(rows: Iterable[tuple[str, int, float]], names: Iterable[str]) -> np.ndarray:
    """Scores (n_candidates, n_folds) from candidate, fold and value, averaged over subjects.

    A value that is missing makes the average NaN, so that no candidate gains by its failures.
    """
    cells: dict[tuple[str, int], list[float]] = {}
    for name, fold, value in rows:
        cells.setdefault((name, int(fold)), []).append(float(value))
    folds = sorted({fold for _, fold in cells})
    return np.array([[np.mean(cells[name, fold]) for fold in folds] for name in names])


def simplest(scores: np.ndarray, names: Iterable[str]) -> int:
    """The first candidate within one standard error of the best one, all of them scored."""
    found = {f"split{k}_test_score": fold for k, fold in enumerate(scores.T)}
    mean = scores.mean(axis=1)
    return one_standard_error({"mean_test_score": mean, "params": list(names), **found})
