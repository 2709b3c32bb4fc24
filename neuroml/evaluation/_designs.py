"""Which samples train and which test, and what one fit of one fold comes to."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import (
    GroupKFold,
    GroupShuffleSplit,
    LeaveOneGroupOut,
    LeavePGroupsOut,
    StratifiedGroupKFold,
)

from neuroml._core.cohort import Subject
from neuroml.data import BlockedKFold, LeaveOneSubjectOut, SessionKFold
from neuroml.evaluation._choosing import Choice, fold_scores, simplest
from neuroml.evaluation._dependence import memory_of, warn_of_neighbors
from neuroml.evaluation._fitted import (
    Alone,
    Fitted,
    Pooled,
    concatenate,
    fit_rows,
    last_step,
    seeded,
    takes_subjects,
)
from neuroml.evaluation._layouts import Rows
from neuroml.evaluation._scorers import Scorer
from neuroml.evaluation.nulls import reorder, surrogate
from neuroml.exceptions import DataError

__all__ = [
    "CellsDesign",
    "CohortDesign",
    "Design",
    "Folds",
    "Result",
    "RowsDesign",
    "Task",
    "choose",
    "design_of",
    "run_task",
]

_N_FOLDS = 5
_BY_SUBJECT = (
    LeaveOneSubjectOut,
    LeaveOneGroupOut,
    LeavePGroupsOut,
    GroupKFold,
    GroupShuffleSplit,
    StratifiedGroupKFold,
)

Parts = list[tuple[Subject, Fitted, Rows]]


class Folds(NamedTuple):
    """What is left out at a time, where no splitter says it.

    Attributes
    ----------
    kind : {"sessions", "blocks", "subjects"}
    n_splits : int
        The largest number of folds of sessions; the number of blocks; not used for subjects.
    """

    kind: str
    n_splits: int = _N_FOLDS

    @classmethod
    def of(cls, data: Rows, cv: int | np.integer[Any] | None) -> Folds:
        """Sessions where there are as many as folds, else blocks of time."""
        n_splits = _N_FOLDS if cv is None else int(cv)
        return cls("sessions" if _n_sessions(data) >= n_splits else "blocks", n_splits)


def _n_sessions(data: Rows) -> int:
    return len(np.unique(data.whole_sessions))


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
        folds = _split(data, cv, models)
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


def _split(data: Rows, cv: Any, models: list[Any]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Folds of rows, by the rules of `neuroml.evaluation.evaluate`."""
    folds = [
        (_indices(train, len(data), k), _indices(test, len(data), k))
        for k, (train, test) in enumerate(_proposed(data, cv, models))
    ]
    if not folds:
        raise DataError("there are no folds", expected="at least one", found=0, field="cv")
    for k, (train, test) in enumerate(folds):
        known = np.zeros(len(data), dtype=bool)
        known[train] = True
        both, twice = int(known[test].sum()), int((np.bincount(test) > 1).sum())
        if both or twice:
            raise DataError(
                "a fold scores samples that it has trained on, or scores some twice",
                expected="test samples that are in the fold once",
                found=f"{both} in both, {twice} more than once, fold {k}",
                field="cv",
            )
    return folds


def _indices(rows: Any, n_samples: int, fold: int) -> np.ndarray:
    """Row numbers of one side of a fold, given as such or as a mask."""
    given = np.asarray(rows)
    if given.dtype == bool and given.shape == (n_samples,):
        given = np.flatnonzero(given)
    if (
        given.ndim != 1
        or not given.size
        or given.dtype.kind not in "iu"
        or given.min() < 0
        or given.max() >= n_samples
    ):
        raise DataError(
            "these are no samples to train on or to test",
            expected=f"row numbers from 0 to {n_samples - 1}, or a mask of {n_samples}",
            found=f"{np.array2string(given, threshold=6)} in fold {fold}",
            field="cv",
        )
    return given


def _proposed(data: Rows, cv: Any, models: list[Any]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """What the splitter says, not checked."""
    every, sessions = np.zeros((len(data), 1)), data.whole_sessions
    if cv is None or isinstance(cv, int | np.integer):
        cv = Folds.of(data, cv)
    if isinstance(cv, Folds):
        cv = _splitter(data, cv, models)
    if isinstance(cv, SessionKFold | BlockedKFold):
        yield from cv.split(every, sessions=sessions)
    elif hasattr(cv, "split"):
        targets = data.y if data.y is not None and np.ndim(data.y) == 1 else None
        yield from cv.split(every, targets, data.groups)
    else:
        yield from cv


def _splitter(data: Rows, folds: Folds, models: list[Any]) -> Any:
    if folds.kind == "subjects":
        return LeaveOneSubjectOut()
    if folds.kind == "blocks":
        return BlockedKFold(folds.n_splits, gap=_gap(data, models, folds.n_splits))
    n_sessions = _n_sessions(data)
    if n_sessions < 2:
        raise DataError(
            "there is only one session",
            expected="at least two, to leave one out",
            found=n_sessions,
            fix="Leave out blocks of time.",
            field="cv",
        )
    return SessionKFold(min(folds.n_splits, n_sessions))


def _gap(data: Rows, models: list[Any], n_splits: int) -> int:
    """The longest window or history of the models, or the memory of the data if that is longer."""
    names = ("window", "n_lags")
    spans = [
        int(value)
        for model in models
        for name, value in model.get_params().items()
        if name.split("__")[-1] in names and isinstance(value, int | np.integer)
    ]
    tau = memory_of(data)
    memory = int(np.ceil(tau)) if tau >= 2 else 0
    shortest = int(np.bincount(data.sessions).min())
    # a gap longer than half a block would leave more out than it keeps apart
    return max([min(memory, shortest // (2 * n_splits)), *spans])


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
    """

    data: dict[Subject, Rows]
    folds: list[dict[Subject, dict[str, np.ndarray]]]
    by_subject: bool

    @classmethod
    def of(cls, data: dict[Subject, Rows], cv: Any, n_adapt: int | None) -> CohortDesign:
        """Leave out subjects, or rows of every subject."""
        across = cv is None or n_adapt is not None or isinstance(cv, _BY_SUBJECT)
        across |= isinstance(cv, Folds) and cv.kind == "subjects"
        if not across:
            return cls(data, _within(data, cv), by_subject=False)
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
        return cls(data, _across(data, cv, wanted), by_subject=True)

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
                    one = fitted.adapt(adapt[s].X, adapt[s].y, subject=s)
                models[s] = one, s
        seconds = time.perf_counter() - start
        parts = [(s, Fitted(one, None, name), test[s]) for s, (one, name) in models.items()]
        return parts, seconds, next(iter(models.values()))[0]

    def surrogate(self, kind: str, rng: np.random.Generator) -> CohortDesign:
        return replace(self, data={s: surrogate(kind, rows, rng) for s, rows in self.data.items()})

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
    return clone(model).fit(
        {s: rows.X for s, rows in parts.items()}, {s: rows.y for s, rows in parts.items()}
    )


def _within(data: dict[Subject, Rows], cv: Any) -> list[dict[Subject, dict[str, np.ndarray]]]:
    """The same fold of every subject's rows at once."""
    split: dict[Subject, list[tuple[np.ndarray, np.ndarray]]] = {}
    for subject, rows in data.items():
        split[subject] = _split(rows, cv, [])
        warn_of_neighbors(rows, split[subject])
    counts = {len(folds) for folds in split.values()}
    if len(counts) != 1:
        raise DataError(
            "subjects have different numbers of folds",
            expected="the same number of each subject",
            found=sorted(counts),
            field="cv",
        )
    return [
        {s: dict(zip(("train", "test"), folds[k], strict=True)) for s, folds in split.items()}
        for k in range(counts.pop())
    ]


def _across(
    data: dict[Subject, Rows], cv: Any, n_adapt: int
) -> list[dict[Subject, dict[str, np.ndarray]]]:
    names = list(data)
    numbers = np.arange(len(names))
    splitter = LeaveOneSubjectOut() if cv is None or isinstance(cv, int | Folds) else cv
    if isinstance(cv, int):
        splitter = GroupKFold(cv)
    folds = []
    for train, test in splitter.split(numbers[:, None], None, numbers):
        fold: dict[Subject, dict[str, np.ndarray]] = {
            names[i]: {"train": np.arange(len(data[names[i]]))} for i in train
        }
        for i in test:
            every = np.arange(len(data[names[i]]))
            fold[names[i]] = {"adapt": every[:n_adapt], "test": every[n_adapt:]}
        folds.append(fold)
    return folds


@dataclass(frozen=True)
class CellsDesign:
    """A model of cells, which is clustered with several seeds and compared with known types.

    Nothing is held out: types are never seen by the clustering.
    """

    cells: Any
    types: np.ndarray
    n_folds: int = _N_FOLDS

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

    def surrogate(self, kind: str, rng: np.random.Generator) -> CellsDesign:
        raise NotImplementedError

    def training(self, fold: int) -> Rows:
        raise NotImplementedError


@dataclass(frozen=True)
class Task:
    """One model in one fold."""

    design: Design
    fold: int
    name: str
    model: Any
    scorers: dict[str, Scorer]
    seed: int
    null: str | None
    draws: np.ndarray
    refits: bool = False


@dataclass
class Result:
    """What came of a task.

    Attributes
    ----------
    name, fold : str, int
    rows : list of tuple
        Of the evaluation's table.
    null : dict of str to dict of subject to ndarray of shape (n_permutations,)
        By score.
    failure : str
        Why a default baseline could not be fitted, if so.
    unscored : list of str
        Why surrogates could not be fitted or scored.
    warned : list of (str, type)
        Warnings of its fits, each once.
    """

    name: str
    fold: int
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    null: dict[str, dict[Subject, np.ndarray]] = field(default_factory=dict)
    failure: str = ""
    unscored: list[str] = field(default_factory=list)
    warned: list[tuple[str, type[Warning]]] = field(default_factory=list)


def run_task(task: Task, optional: set[str]) -> Result:
    """Fit, score, and score again without the effect.

    Warnings travel with the result: those of worker processes would be lost.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = _attempt(task, optional)
    result.warned = list(dict.fromkeys((str(one.message), one.category) for one in caught))
    return result


def _attempt(task: Task, optional: set[str]) -> Result:
    try:
        return _run(task)
    except Exception as error:
        if task.name not in optional:
            error.add_note(f"While {task.name!r} was evaluated in fold {task.fold}.")
            raise
        missing = [
            (task.name, "", task.fold, scoring, np.nan, np.nan, None) for scoring in task.scorers
        ]
        nothing = np.full(len(task.draws), np.nan)
        return Result(
            task.name,
            task.fold,
            missing,
            {scoring: {"": nothing} for scoring in task.scorers},
            f"{type(error).__name__}: {error}",
        )


def _run(task: Task) -> Result:
    parts, seconds, fitted = _fit(task, task.design)
    converged = getattr(last_step(fitted), "converged_", None)
    result = Result(task.name, task.fold)
    for scoring, scorer in task.scorers.items():
        for subject, one, rows in parts:
            value = scorer(one, rows)
            result.rows.append((task.name, subject, task.fold, scoring, value, seconds, converged))
    if task.null is None:
        return result
    if task.refits:
        result.null, result.unscored = _refitted(task, task.null, [one[0] for one in parts])
        return result
    for scoring, scorer in task.scorers.items():
        result.null[scoring] = {
            subject: _permuted(task, task.null, scorer, one, rows) for subject, one, rows in parts
        }
    return result


def _fit(task: Task, design: Design) -> tuple[Parts, float, Any]:
    model = task.model
    if isinstance(model, Choice):  # anew in every fold: the choice must not see what is held out
        model = choose(model, design.training(task.fold), task.seed)
    return design.run(seeded(model, np.random.default_rng(task.seed)), task.fold)


def choose(choice: Choice, data: Rows | dict[Subject, Rows], seed: int) -> Any:
    """The simplest candidate whose held-out score is within a standard error of the best one's."""
    candidates = choice.candidates
    if isinstance(data, dict) and len(data) == 1:
        data = next(iter(data.values()))
    cv = choice.cv
    if isinstance(data, Rows) and isinstance(cv, Folds) and cv.kind == "subjects":
        if data.groups is None or len(np.unique(data.groups)) < 2:
            cv = None  # only one subject is left to choose on
    design = design_of(data, cv, choice.n_adapt, list(candidates.values()))
    results = [
        _attempt(
            Task(design, fold, name, model, choice.scorers, seed, None, np.empty(0)),
            optional=set(),
        )
        for name, model in candidates.items()
        for fold in range(design.n_folds)
    ]
    rows = [(name, fold, value) for one in results for name, _, fold, _, value, *_ in one.rows]
    names = list(candidates)
    return candidates[names[simplest(fold_scores(rows, names), names)]]


def _permuted(task: Task, kind: str, scorer: Scorer, fitted: Fitted, rows: Rows) -> np.ndarray:
    """Scores of the same predictions for targets in another order."""
    values = np.empty(len(task.draws))
    for b, draw in enumerate(task.draws):
        # the same draw for every model, so that their p-values are of the same permutations
        order = reorder(kind, rows.whole_sessions, np.random.default_rng([int(draw), task.fold]))
        values[b] = scorer(fitted, rows.with_y(rows.y[order]))
    return values


def _refitted(
    task: Task, kind: str, subjects: list[Subject]
) -> tuple[dict[str, dict[Subject, np.ndarray]], list[str]]:
    """Scores of fits to surrogates, the same ones in every fold and for every model.

    A surrogate that cannot be fitted (its training data may lack a class) is NaN, which counts
    against significance.
    """
    found = {
        scoring: {subject: np.full(len(task.draws), np.nan) for subject in subjects}
        for scoring in task.scorers
    }
    failures = []
    for b, draw in enumerate(task.draws):
        design = task.design.surrogate(kind, np.random.default_rng(int(draw)))
        try:
            for subject, one, rows in _fit(task, design)[0]:
                for scoring, scorer in task.scorers.items():
                    found[scoring][subject][b] = scorer(one, rows)
        except Exception as error:
            failures.append(f"{type(error).__name__}: {error}")
    return found, failures
