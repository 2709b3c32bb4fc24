"""Data with their folds, and what fitting one fold comes to."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from sklearn.base import clone

from neuroml._core.cohort import Subject
from neuroml._core.estimator import metadata_keywords
from neuroml.evaluation._dependence import warn_of_neighbors
from neuroml.evaluation._fitted import (
    Alone,
    Fitted,
    Pooled,
    concatenate,
    fit_rows,
    last_step,
    takes_subjects,
)
from neuroml.evaluation._folds import (
    BY_SUBJECT,
    N_FOLDS,
    Folds,
    same_stimuli,
    split_across,
    split_rows,
    split_within,
    without_scraps,
)
from neuroml.evaluation._layouts import Rows
from neuroml.evaluation.nulls import surrogate
from neuroml.exceptions import DataError

__all__ = ["CellsDesign", "CohortDesign", "Design", "Parts", "RowsDesign", "design_of"]

Parts = list[tuple[Subject, Fitted, Rows]]


class Design(Protocol):
    """Data with their folds."""

    @property
    def n_folds(self) -> int: ...

    @property
    def test_share(self) -> float: ...

    @property
    def needs_refits(self) -> bool:
        """Whether a null needs fits of its own, and not only other targets for the predictions.

        It does where there are no targets, and where samples that are tested in one fold train in
        another. There the scores of the folds are dependent: for a linear model, the product of
        fold j's data with fold k's is in the scores of both, so that the variance of their mean is
        up to twice that of predictions that stay.
        """
        ...

    def run(self, model: Any, fold: int) -> tuple[Parts, float, Any]:
        """Fit one fold; what to ask whom, the seconds of the fit, and the fitted model."""
        ...

    def surrogate(self, kind: str, rng: np.random.Generator) -> Design:
        """The same folds of surrogate data."""
        ...

    def training(self, fold: int) -> Rows | dict[Subject, Rows]:
        """What a fold's models are fitted to, before they adapt to subjects that were left out."""
        ...


@dataclass(frozen=True)
class RowsDesign:
    """Samples with the same units, and folds of them."""

    data: Rows
    folds: list[tuple[np.ndarray, np.ndarray]]

    @classmethod
    def of(cls, data: Rows, cv: Any, models: list[Any]) -> RowsDesign:
        """Choose the folds, and warn where they test on what they have trained on."""
        folds = without_scraps(data, split_rows(data, cv, models), models)
        warn_of_neighbors(data, folds)
        return cls(data, folds)

    @property
    def n_folds(self) -> int:
        return len(self.folds)

    @property
    def test_share(self) -> float:
        return float(np.mean([len(test) / len(train) for train, test in self.folds]))

    @property
    def needs_refits(self) -> bool:
        if self.data.y is None or self.data.X is None:
            return True
        return _reused(len(self.data), self.folds)

    def run(self, model: Any, fold: int) -> tuple[Parts, float, Any]:
        train, test = self.folds[fold]
        known, asked = self.data.take(train), self.data.take(test)
        fitted, seconds = fit_rows(
            model.model if isinstance(model, Alone | Pooled) else model, known
        )
        parts = [(s, Fitted(fitted, known), part) for s, part in asked.by_subject()]
        return parts, seconds, fitted

    def surrogate(self, kind: str, rng: np.random.Generator) -> RowsDesign:
        return RowsDesign(surrogate(kind, self.data, rng), self.folds)

    def training(self, fold: int) -> Rows:
        return self.data.take(self.folds[fold][0])


def _reused(n_samples: int, folds: list[tuple[np.ndarray, np.ndarray]]) -> bool:
    """Whether some samples are tested in one fold and train in another."""
    tested = np.zeros(n_samples, dtype=bool)
    for _, test in folds:
        tested[test] = True
    return any(bool(tested[train].any()) for train, _ in folds)


@dataclass(frozen=True)
class CohortDesign:
    """Subjects with units of their own.

    Attributes
    ----------
    data : dict of subject to Rows
    folds : list of dict
        Training and test rows of every subject that has some. A subject that is left out has its
        adaptation rows under "adapt".
    by_subject : bool
        Whether folds leave out subjects.
    together : bool
        Whether all subjects saw the same stimuli in the same order, which surrogates then keep:
        what is tested still trains nobody.
    """

    data: dict[Subject, Rows]
    folds: list[dict[Subject, dict[str, np.ndarray]]]
    by_subject: bool
    together: bool = False

    @classmethod
    def of(cls, data: dict[Subject, Rows], cv: Any, n_adapt: int | None) -> CohortDesign:
        """Leave out subjects, or rows of every subject."""
        across = cv is None or n_adapt is not None or isinstance(cv, BY_SUBJECT)
        across |= isinstance(cv, Folds) and cv.kind == "subjects"
        if not across:
            return cls(data, split_within(data, cv), by_subject=False)
        sizes = {s: len(rows) for s, rows in data.items()}
        wanted = min(sizes.values()) // 2 if n_adapt is None else n_adapt
        short = {s: n for s, n in sizes.items() if n < wanted + 2}
        if short or wanted < 2:
            raise DataError(
                "too few rows are left to score",
                expected=f"at least {wanted + 2} of each subject: {wanted} to adapt, 2 to score",
                found=f"{min(sizes.values())} of {min(sizes, key=sizes.__getitem__)!r}",
                field="n_adapt",
            )
        stimuli = same_stimuli(data)
        folds = split_across(data, cv, wanted, stimuli)
        parts = [] if stimuli is None else list(stimuli.values())
        together = bool(parts) and all(np.array_equal(part, parts[0]) for part in parts)
        return cls(data, folds, by_subject=True, together=together)

    @property
    def n_folds(self) -> int:
        return len(self.folds)

    @property
    def test_share(self) -> float:
        known = [sum(len(p.get("train", ())) + len(p.get("adapt", ())) for p in f.values())
                 for f in self.folds]  # fmt: skip
        asked = [sum(len(p.get("test", ())) for p in f.values()) for f in self.folds]
        return float(np.mean(np.divide(asked, known)))

    @property
    def needs_refits(self) -> bool:
        nothing = np.empty(0, dtype=int)
        return any(
            _reused(
                len(rows),
                [
                    (part.get("train", part.get("adapt", nothing)), part.get("test", nothing))
                    for part in (fold[subject] for fold in self.folds if subject in fold)
                ],
            )
            for subject, rows in self.data.items()
        )

    def run(self, model: Any, fold: int) -> tuple[Parts, float, Any]:
        own = self.folds[fold]
        train = {s: self.data[s].take(p["train"]) for s, p in own.items() if "train" in p}
        adapt = {s: self.data[s].take(p["adapt"]) for s, p in own.items() if "adapt" in p}
        test = {s: self.data[s].take(p["test"]) for s, p in own.items() if "test" in p}
        start = time.perf_counter()
        models: dict[Subject, tuple[Any, Subject | None]] = {}
        fitted: Any = None
        if isinstance(model, Pooled):
            for s in test:
                more = [adapt[s]] if s in adapt else []
                if fitted is None or more:
                    rows = concatenate([*train.values(), *more])
                    fitted = fit_rows(clone(model.model), rows)[0]
                models[s] = fitted, None
        elif isinstance(model, Alone) or not takes_subjects(last_step(model)):
            single = model.model if isinstance(model, Alone) else model
            for s in test:
                rows = adapt[s] if s in adapt else train[s]
                models[s] = fit_rows(clone(single), rows)[0], None
        else:
            fitted = _fit_cohort(model, train)
            for s in test:
                one = fitted
                if s in adapt:
                    one = _adapt(fitted, adapt[s], s)
                models[s] = one, s
        seconds = time.perf_counter() - start
        parts = [(s, Fitted(one, None, name), test[s]) for s, (one, name) in models.items()]
        return parts, seconds, next(iter(models.values()))[0]

    def surrogate(self, kind: str, rng: np.random.Generator) -> CohortDesign:
        seeds = rng.integers(2**31, size=len(self.data))
        if self.together:
            seeds[:] = seeds[0]
        return replace(
            self,
            data={
                s: surrogate(kind, rows, np.random.default_rng(int(seed)))
                for seed, (s, rows) in zip(seeds, self.data.items(), strict=True)
            },
        )

    def training(self, fold: int) -> dict[Subject, Rows]:
        parts = self.folds[fold].items()
        return {s: self.data[s].take(p["train"]) for s, p in parts if "train" in p}


def design_of(
    data: Rows | dict[Subject, Rows], cv: Any, n_adapt: int | None, models: list[Any]
) -> Design:
    """The folds of data, of subjects with units of their own or not."""
    if isinstance(data, Rows):
        return RowsDesign.of(data, cv, models)
    return CohortDesign.of(data, cv, n_adapt)


def _fit_cohort(model: Any, parts: Mapping[Subject, Rows]) -> Any:
    sessions = {s: rows.sessions for s, rows in parts.items()}
    known = {"sessions": sessions} if _takes_sessions(model, "fit") else {}
    return clone(model).fit(
        {s: rows.X for s, rows in parts.items()}, {s: rows.y for s, rows in parts.items()}, **known
    )


def _adapt(model: Any, rows: Rows, subject: Subject) -> Any:
    known = {"sessions": rows.sessions} if _takes_sessions(model, "adapt") else {}
    return model.adapt(rows.X, rows.y, subject=subject, **known)


def _takes_sessions(model: Any, method: str) -> bool:
    return "sessions" in metadata_keywords(type(model), method)


@dataclass(frozen=True)
class CellsDesign:
    """A model of cells, which is clustered with several seeds and compared with known types.

    Nothing is held out: types are never seen by the clustering.
    """

    cells: Any
    types: np.ndarray
    n_folds: int = N_FOLDS

    @property
    def test_share(self) -> float:
        return 0.0

    @property
    def needs_refits(self) -> bool:
        return False

    def run(self, model: Any, fold: int) -> tuple[Parts, float, Any]:
        start = time.perf_counter()
        fitted = clone(model).set_params(random_state=fold).fit(self.cells)
        seconds = time.perf_counter() - start
        rows = Rows(None, self.types, np.zeros(len(self.types), dtype=int))
        return [("", Fitted(fitted), rows)], seconds, fitted

    def surrogate(self, kind: str, rng: np.random.Generator) -> CellsDesign:  # noqa: ARG002
        """The same cells with their types dealt anew, which is the only null they have."""
        return replace(self, types=self.types[rng.permutation(len(self.types))])

    def training(self, fold: int) -> Rows:  # noqa: ARG002
        raise DataError(
            "no cells are held out, so nothing can be chosen by held-out scores",
            expected="a model that is scored on samples",
            found="clusters of cells",
            fix="Compare numbers of clusters by neuroml.celltypes.stability.",
            field="models",
        )
