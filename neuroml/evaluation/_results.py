"""The table of scores, its summary, and how results come together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from neuroml._core.estimator import check_option
from neuroml._core.statistics import mean_interval, permutation_p_value, resampled_interval
from neuroml._core.warn import warn_caller
from neuroml.evaluation._designs import (
    Design,
)
from neuroml.evaluation._scorers import Scorer
from neuroml.evaluation._tasks import Result
from neuroml.evaluation._text import SummaryTable

__all__ = ["SUMMARY_COLUMNS", "TABLE_COLUMNS", "Evaluation", "collect"]

TABLE_COLUMNS = ["model", "subject", "fold", "scoring", "value", "fit_seconds", "converged"]


SUMMARY_COLUMNS = [
    "model", "mean", "difference", "ci_low", "ci_high", "n_subjects_above", "n_subjects", "p",
]  # fmt: skip


# A t interval over fewer subjects is so wide, and so sensitive to one of them, that the interval
# over folds says more; the summary's column says which one it is.
_MIN_SUBJECTS = 5


@dataclass(frozen=True)
class Evaluation:
    """Scores of models and baselines on the same held-out data.

    Attributes
    ----------
    table_ : DataFrame
        One row per model, subject, fold and score: ``model`` (baselines are called
        ``baseline: ...``), ``subject`` ("" where subjects are not told apart), ``fold``,
        ``scoring``, ``value`` (larger is better), ``fit_seconds`` and ``converged`` (None where a
        model does not say).
    null_ : dict of str to dict of str to ndarray of shape (n_permutations,)
        By score and model: the mean score of each permutation.
    test_share_ : float
        Samples of a fold's test data over those of its training data.
    """

    table_: pd.DataFrame
    null_: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)
    test_share_: float = np.nan

    def to_frame(self) -> pd.DataFrame:
        """Return ``table_``: one row per model, subject, fold and score."""
        return self.table_.copy()

    def null_frame(self) -> pd.DataFrame:
        """Return the null as a table: ``scoring, model, permutation, value``, empty without one."""
        rows = [
            (scoring, model, b, float(value))
            for scoring, models in self.null_.items()
            for model, values in models.items()
            for b, value in enumerate(values)
        ]
        return pd.DataFrame(rows, columns=["scoring", "model", "permutation", "value"])

    def summary(self, scoring: str | None = None) -> pd.DataFrame:
        """Compare the models by one score.

        Parameters
        ----------
        scoring : str, optional
            A score of the table; by default the first.

        Returns
        -------
        DataFrame
            One row per model, the best first: ``model``; ``mean`` over subjects of the mean over
            folds, NaN where a score is missing that other models have; ``difference``, the mean
            minus that of the best baseline (by mean), with ``ci_low`` and ``ci_high``, its 95 %
            interval: Student's over subjects where there are five or more, else over folds with
            the correction of Nadeau and Bengio for training data that folds share;
            ``n_subjects_above``, the subjects in which it does better than that baseline, of
            ``n_subjects``; ``p``, the share of permutations with a mean at least as large (NaN
            without a null). Printed, it is whole in 80 columns, to three digits and without
            what is empty.

        Raises
        ------
        DataError
            If there is no such score.
        """
        scoring, by_subject, folds = self._means(scoring)
        means = by_subject.mean()
        plain = means[[name for name in means.index if name.startswith("baseline: ")]].dropna()
        best = str(plain.idxmax()) if len(plain) else None
        null = self.null_.get(scoring, {})
        rows = [
            self._row(str(name), best, by_subject, folds, null.get(str(name)))
            for name in means.sort_values(ascending=False, kind="stable").index
        ]
        return SummaryTable(rows, columns=SUMMARY_COLUMNS)

    def pooled_sentence(self, scoring: str | None = None) -> str:
        """Name the pooled baseline if it is as good as the best model that is no baseline.

        Only cohorts whose subjects share their units have one ("baseline: pooled ..."). It is as
        good where the 95 % interval of the model's paired gain over it is not above zero.

        Parameters
        ----------
        scoring : str, optional
            A score of the table; by default the first.

        Returns
        -------
        str
            Empty if there is no such baseline, no interval, or the model is better.
        """
        scoring, by_subject, folds = self._means(scoring)
        means = by_subject.mean().dropna()
        pooled = [str(name) for name in means.index if name.startswith("baseline: pooled ")]
        models = [str(name) for name in means.index if not name.startswith("baseline: ")]
        if not pooled or not models:
            return ""
        plain, model = (str(means[names].idxmax()) for names in (pooled, models))
        found = self._row(model, plain, by_subject, folds, None)
        if not found["ci_low"] <= 0:
            return ""
        return (
            f"All subjects have the same units, and one plain model of all of them "
            f"({plain.removeprefix('baseline: ')}) is as good: {scoring} {means[plain]:.3g} "
            f"against {means[model]:.3g} of {model} (difference {found['difference']:.3g}, "
            f"95 % interval {found['ci_low']:.3g} to {found['ci_high']:.3g})."
        )

    def _means(self, scoring: str | None) -> tuple[str, pd.DataFrame, pd.DataFrame]:
        """The score that is meant, and its means by subject and by fold, a column per model."""
        names = list(dict.fromkeys(self.table_["scoring"]))
        scoring = names[0] if scoring is None else scoring
        check_option(scoring, names, "scoring")
        chosen = self.table_[self.table_["scoring"] == scoring]
        cells = chosen.pivot(index=["subject", "fold"], columns="model", values="value")
        cells = cells[list(dict.fromkeys(chosen["model"]))].dropna(how="all")
        # means over other cells than those of the other models would not compare
        cells.loc[:, cells.isna().any()] = np.nan
        by_subject = cells.groupby(level="subject", sort=False).mean()
        return scoring, by_subject, cells.groupby(level="fold", sort=False).mean()

    def _row(
        self,
        name: str,
        best: str | None,
        by_subject: pd.DataFrame,
        folds: pd.DataFrame,
        null: np.ndarray | None,
    ) -> dict[str, Any]:
        mean = float(by_subject[name].mean())
        n_subjects = int(by_subject[name].notna().sum())
        row = {"model": name, "mean": mean, "difference": np.nan, "ci_low": np.nan}
        row |= {"ci_high": np.nan, "n_subjects_above": 0, "n_subjects": n_subjects, "p": np.nan}
        if best is not None:
            gains = (by_subject[name] - by_subject[best]).dropna()
            found = (
                mean_interval(gains)
                if len(gains) >= _MIN_SUBJECTS
                else resampled_interval((folds[name] - folds[best]).dropna(), self.test_share_)
            )
            row["difference"] = float(gains.mean()) if len(gains) else np.nan
            if name != best:
                row |= {"ci_low": found.low, "ci_high": found.high}
            row["n_subjects_above"] = int((gains > 0).sum())
        if null is not None:
            row["p"] = float(permutation_p_value(mean, null))
        return row

    def __repr__(self) -> str:
        parts = [type(self).__name__, repr(self.summary())]
        return "\n".join(filter(None, [*parts, self.pooled_sentence()]))

    def _repr_html_(self) -> str:
        return str(self.summary().to_html(index=False))


def collect(
    done: list[Result],
    scorers: dict[str, Scorer],
    kind: str | None,
    design: Design,
) -> Evaluation:
    for message, category in dict.fromkeys(one for found in done for one in found.warned):
        warn_caller(message, category)
    table = _table(done)
    _warn_of_missing(done, table)
    null: dict[str, dict[str, np.ndarray]] = {}
    if kind is not None:
        # the mean of a permutation is taken as the summary takes that of the scores: over folds,
        # then over subjects, where any model has a score
        scored = table.groupby(["scoring", "subject", "fold"])["value"].count() > 0
        for scoring in scorers:
            null[scoring] = {
                name: _null_mean([one for one in done if one.name == name], scoring, scored)
                for name in dict.fromkeys(found.name for found in done)
            }
    return Evaluation(table, null, design.test_share)


def _table(done: list[Result]) -> pd.DataFrame:
    """All rows; a model that failed is NaN for each subject that the others were scored on."""
    subjects = {
        found.fold: list(dict.fromkeys(row[1] for row in found.rows))
        for found in done
        if not found.failure
    }
    rows = [
        (row[0], subject, *row[2:]) if found.failure else row
        for found in done
        for row in found.rows
        for subject in (subjects.get(found.fold, [row[1]]) if found.failure else [row[1]])
    ]
    return pd.DataFrame(rows, columns=TABLE_COLUMNS)


def _null_mean(own: list[Result], scoring: str, scored: pd.Series) -> np.ndarray:
    by_subject: dict[Any, list[np.ndarray]] = {}
    for found in own:
        for subject, values in found.null[scoring].items():
            if scored.get((scoring, subject, found.fold), False):
                by_subject.setdefault(subject, []).append(values)
    if not by_subject:
        return np.full_like(next(iter(own[0].null[scoring].values())), np.nan)
    return np.mean([np.mean(values, axis=0) for values in by_subject.values()], axis=0)


def _warn_of_missing(done: list[Result], table: pd.DataFrame) -> None:
    for found in done:
        if found.failure:
            warn_caller(
                f"{found.name} cannot be fitted or scored, and is NaN in fold {found.fold}: "
                f"{found.failure}",
                UserWarning,
            )
        if found.unscored:
            warn_caller(
                f"{len(found.unscored)} surrogates of fold {found.fold} cannot be fitted or scored "
                f"by {found.name}, and count against its significance; the first: "
                f"{found.unscored[0]}",
                UserWarning,
            )
    failed = {(found.name, found.fold) for found in done if found.failure}
    missing = table[table["value"].isna()]
    missing = missing[[one not in failed for one in zip(missing.model, missing.fold, strict=True)]]
    if len(missing):
        first = missing.iloc[0]
        warn_caller(
            f"{len(missing)} of {len(table)} scores are NaN, the first one {first['scoring']} of "
            f"{first['model']} in fold {first['fold']}: the summary leaves out what no model has a "
            f"score for, and is NaN for a model that lacks a score which others have.",
            UserWarning,
        )
