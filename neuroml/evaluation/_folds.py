"""Which samples train and which test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from sklearn.model_selection import (
    GroupKFold,
    GroupShuffleSplit,
    LeaveOneGroupOut,
    LeavePGroupsOut,
    StratifiedGroupKFold,
)

from neuroml._core.cohort import Subject
from neuroml._core.warn import warn_caller
from neuroml.data import BlockedKFold, LeaveOneSubjectOut, SessionKFold
from neuroml.evaluation._dependence import memory_of, warn_of_neighbors
from neuroml.evaluation._layouts import Rows
from neuroml.exceptions import DataError

__all__ = [
    "BY_SUBJECT",
    "N_FOLDS",
    "Folds",
    "same_stimuli",
    "split_across",
    "split_rows",
    "split_within",
    "without_scraps",
]

N_FOLDS = 5


BY_SUBJECT = (
    LeaveOneSubjectOut,
    LeaveOneGroupOut,
    LeavePGroupsOut,
    GroupKFold,
    GroupShuffleSplit,
    StratifiedGroupKFold,
)


class Folds(NamedTuple):
    """What is left out at a time, where no splitter says it.

    Attributes
    ----------
    kind : {"sessions", "blocks", "subjects"}
    n_splits : int
        The largest number of folds of sessions; the number of blocks; not used for subjects.
    """

    kind: str
    n_splits: int = N_FOLDS

    @classmethod
    def of(cls, data: Rows, cv: int | np.integer[Any] | None) -> Folds:
        """Sessions where there are as many as folds, else blocks of time."""
        n_splits = N_FOLDS if cv is None else int(cv)
        return cls("sessions" if _n_sessions(data) >= n_splits else "blocks", n_splits)


def _n_sessions(data: Rows) -> int:
    return len(np.unique(data.whole_sessions))


def split_rows(data: Rows, cv: Any, models: list[Any]) -> list[tuple[np.ndarray, np.ndarray]]:
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


def _spans(models: list[Any], *names: str) -> list[int]:
    """Parameters of the models, or of their steps, that are lengths in samples."""
    return [
        int(value)
        for model in models
        for name, value in model.get_params().items()
        if name.split("__")[-1] in names and isinstance(value, int | np.integer)
    ]


def _gap(data: Rows, models: list[Any], n_splits: int) -> int:
    """The longest window or history of the models, or the memory of the data if that is longer."""
    tau = memory_of(data)
    memory = int(np.ceil(tau)) if tau >= 2 else 0
    shortest = int(np.bincount(data.sessions).min())
    # a gap longer than half a block would leave more out than it keeps apart
    return max([min(memory, shortest // (2 * n_splits)), *_spans(models, "window", "n_lags")])


def without_scraps(
    data: Rows, folds: list[tuple[np.ndarray, np.ndarray]], models: list[Any]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Leave out stretches of training data that folds cut shorter than the models' windows.

    Beside a block that is left out, a session may keep less than one window, on which nothing can
    be computed. Whole sessions that are too short are the data's and stay: the model refuses them.
    """
    window = max(_spans(models, "window"), default=0)
    if not window:
        return folds
    kept, n_dropped = [], 0
    for k, (train, test) in enumerate(folds):
        short = _cut_short(data, test, window)
        if short.any():
            raise DataError(
                "what is tested is shorter than the models' window",
                expected=f"stretches of at least {window} samples",
                found=f"one of {short[short > 0].min()} in fold {k}",
                fix="Use fewer folds, a shorter window, or leave out whole sessions.",
                field="cv",
            )
        short = _cut_short(data, train, window)
        n_dropped += int(np.count_nonzero(short))
        if short.all():
            raise DataError(
                "a fold has nothing to train on",
                expected=f"a stretch of at least {window} samples, the models' window",
                found=f"shorter ones only in fold {k}",
                fix="Use more folds with a smaller gap, a shorter window, or whole sessions.",
                field="cv",
            )
        kept.append((np.sort(train)[short == 0], test))
    if n_dropped:
        warn_caller(
            f"folds cut some training data into stretches shorter than the window of {window} "
            f"samples: {n_dropped} of {sum(len(train) for train, _ in folds)} training samples "
            "over all folds are left out.",
            UserWarning,
        )
    return kept


def _cut_short(data: Rows, rows: np.ndarray, window: int) -> np.ndarray:
    """For each of the sorted rows the length of its stretch, if folds cut it below the window.

    Zero for rows of other stretches, long ones and whole sessions.
    """
    rows = np.sort(rows)
    breaks = (np.diff(rows) != 1) | (np.diff(data.sessions[rows]) != 0)
    stretch = np.concatenate([[0], np.cumsum(breaks)])
    length = np.bincount(stretch)[stretch]
    whole = np.bincount(data.sessions)[data.sessions[rows]]
    return np.where((length < window) & (length < whole), length, 0)


def split_within(data: dict[Subject, Rows], cv: Any) -> list[dict[Subject, dict[str, np.ndarray]]]:
    """The same fold of every subject's rows at once."""
    split: dict[Subject, list[tuple[np.ndarray, np.ndarray]]] = {}
    for subject, rows in data.items():
        split[subject] = split_rows(rows, cv, [])
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


def same_stimuli(data: dict[Subject, Rows]) -> dict[Subject, np.ndarray] | None:
    """The stimulus of each row, where subjects saw the same ones; None where there are no repeats.

    Rows with the same target are one stimulus. Class names, and numbers that mostly repeat within a
    subject, are no stimuli: that every subject has each of them is the point.

    Returns
    -------
    dict of subject to ndarray of int of shape (n_samples,), or None
    """
    targets = [np.asarray(rows.y) for rows in data.values()]
    tables = [one.reshape(len(one), -1) for one in targets if one.dtype.kind == "f"]
    if len(tables) < len(data) or len({table.shape[1] for table in tables}) > 1:
        return None
    codes = np.unique(np.concatenate(tables), axis=0, return_inverse=True)[1].ravel()
    parts = np.split(codes, np.cumsum([len(table) for table in tables])[:-1])
    distinct = [np.unique(part) for part in parts]
    if any(2 * len(d) <= len(part) for d, part in zip(distinct, parts, strict=True)):
        return None
    if np.bincount(np.concatenate(distinct)).max() == 1:
        return None
    return dict(zip(data, parts, strict=True))


def split_across(
    data: dict[Subject, Rows],
    cv: Any,
    n_adapt: int,
    stimuli: dict[Subject, np.ndarray] | None = None,
) -> list[dict[Subject, dict[str, np.ndarray]]]:
    """Folds of subjects, whose first rows are for adaptation.

    Where subjects saw the same ``stimuli``, those that are tested train nobody, and only the second
    half of a subject's rows is tested, so that the other subjects keep enough to train on.
    """
    names = list(data)
    numbers = np.arange(len(names))
    splitter = LeaveOneSubjectOut() if cv is None or isinstance(cv, int | Folds) else cv
    if isinstance(cv, int):
        splitter = GroupKFold(cv)
    folds = []
    for train, test in splitter.split(numbers[:, None], None, numbers):
        fold: dict[Subject, dict[str, np.ndarray]] = {}
        asked = []
        for name in (names[i] for i in test):
            n = len(data[name])
            first = n_adapt if stimuli is None else max(n_adapt, n // 2)
            fold[name] = {"adapt": np.arange(n_adapt), "test": np.arange(first, n)}
            if stimuli is not None:
                asked.append(stimuli[name][first:])
        for name in (names[i] for i in train):
            rows = np.arange(len(data[name]))
            if stimuli is not None:
                rows = rows[~np.isin(stimuli[name], np.concatenate(asked))]
                if len(rows) < 2:
                    raise DataError(
                        "a subject has nothing to train on but the stimuli that are tested",
                        expected="other stimuli in the first half of the rows of those left out",
                        found=f"{len(rows)} of {len(data[name])} rows of {name!r}",
                        fix="Use a smaller n_adapt, or leave out rows of every subject (cv=).",
                        field="n_adapt",
                    )
            fold[name] = {"train": rows}
        folds.append(fold)
    return folds
