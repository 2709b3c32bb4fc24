"""Tables with one row per trial, to recordings of behaviour."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from neuroml._core.files import sha256_of_file
from neuroml._core.recording import break_points, make_recording
from neuroml._core.validation import did_you_mean, list_some
from neuroml.data._alf import is_alf_trials, read_alf_trials
from neuroml.data._arrays import existing_file
from neuroml.data._columns import as_numbers, coded, is_of_numbers, refuse_decimal_commas
from neuroml.data._history import history_of
from neuroml.data._tables import (
    Table,
    check_named,
    is_number,
    is_table,
    parse_number,
    read_text_table,
)
from neuroml.exceptions import DataError

__all__ = ["letters_of", "numbers_trials", "read_trial_table", "read_trials"]

_TRIAL_NUMBERS = {
    "trial",
    "trialnumber",
    "trialnum",
    "trialno",
    "trialindex",
    "trialidx",
    "trialid",
}
_PARTS = {"subject": {"subject", "subjectid"}, "session": {"session", "sessionid"}}
"""Columns that may not be passed over in silence, by their letters in lower case."""


def read_trials(
    path: Path | str | pd.DataFrame,
    *,
    y: str,
    inputs: Sequence[str] | None = None,
    subject: str | None = None,
    session: str | None = None,
    reward: str | None = None,
    lags: Mapping[str, int] | None = None,
    missing: Collection[Any] = ("",),
) -> list[xr.Dataset]:
    r"""Read a table with one row per trial.

    Parameters
    ----------
    path : path-like or DataFrame
        A table (csv, tsv, txt, or parquet, which needs pyarrow) whose columns have names, with the
        trials of a session in the order in which they took place; or a folder in the naming of ALF
        (``_ibl_trials.choice.npy``, ... or ``_ibl_trials.table.pqt``).
    y : str
        The column to explain: the choice, or a reaction time. Numbers stay as they are; labels are
        coded 0, 1, ... in sorted order over the whole table, and so are choices of -1 and 1.
    inputs : sequence of str, optional
        Columns of numbers that become the recordings' covariates; by default all but ``y``, the
        subjects and the sessions. Columns of text are then left out, with a note.
    subject, session : str, optional
        The columns that say who did the trial, and when; one subject, or session, if not given.
    reward : str, optional
        A column of 0 and 1, or -1 and 1: adds the covariate ``win_stay_lose_switch``,
        :math:`c_{t-1} r_{t-1}` with choice and reward coded -1 and 1. It is 1 where to stay after
        a reward, or to switch after none, leads to the second of the two choices, and -1 where it
        leads to the first. With the previous choice it spans win-stay and lose-switch alone:
        half their sum and half their difference.
    lags : mapping of str to int, optional
        How many trials to look back, by column: ``{"choice": 2}`` adds the covariates
        ``previous_choice`` and ``previous_choice_2``. A column with two values is coded -1 for the
        first in sorted order and 1 for the second; other numbers stay as they are. They are 0
        where there is nothing to look back at: at the start of a session, after a missed trial,
        and after a gap in the column ``trial`` if there is one. So a trial without a past pulls
        the choice to neither side, as in psytrack.
    missing : collection of str or number
        What stands in ``y`` for a missed trial, beside an empty cell: it becomes NaN.

    Returns
    -------
    list of Dataset
        One recording per subject, in the order of the table: modality "behaviour", time axis
        "trials", one unit named like ``y``, one segment per session. ``attrs["sessions"]`` names
        the sessions, and ``attrs["classes"]`` the labels behind the codes, if there are labels.

    Raises
    ------
    DataError
        If a column is unknown, has text where numbers are due or the other way round, or has no
        value for a subject or session; if ``y`` has one value only, or none for a subject; if the
        rows of a session do not follow each other, or a column ``trial`` repeats or falls within a
        session; if the table has subjects or sessions that were not asked for.
    ImportError
        For parquet files without pyarrow.

    References
    ----------
    Roy, N. A. et al. (2021). Extracting the dynamics of behavior in sensory decision-making
    experiments. Neuron 109, 597-610 (psytrack).

    Ashwood, Z. C. et al. (2022). Mice alternate between discrete strategies during perceptual
    decision-making. Nature Neuroscience 25, 201-212 (win-stay, lose-switch).

    Examples
    --------
    >>> import pandas as pd
    >>> from neuroml.data import read_trials
    >>> table = pd.DataFrame({"day": [1, 1, 2, 2], "choice": ["right", "left", "left", ""]})
    >>> (recording,) = read_trials(table, y="choice", session="day", lags={"choice": 1})
    >>> recording.signal.values.ravel().tolist(), recording.attrs["classes"]
    ([1.0, 0.0, 0.0, nan], ['left', 'right'])
    >>> recording.covariates.sel(feature="previous_choice").values.tolist()
    [0.0, 1.0, 0.0, -1.0]
    """
    lags = dict(lags or {})
    table, file = read_trial_table(path, [y, *(name for name in (subject, session) if name)])
    trials = table.columns
    roles = [y, *(name for name in (subject, session, reward) if name)]
    _check_names(trials, roles, inputs, lags, file)
    who = _labels(trials, subject, "subject", file)
    when = _labels(trials, session, "session", file)
    _check_order(who, when, file)
    target, classes = _target(trials[y], missing, file)
    _check_observed(target, who, y, file)
    numbers = _check_trial_numbers(trials, who, when, file)
    known = trials.assign(**{y: _uncoded(target, classes)})
    past = history_of(known, y, reward, lags, (who, when, numbers), file)
    covariates, left_out = _inputs(trials, inputs, [y, subject, session], file)
    covariates = pd.concat([covariates, past], axis=1)
    recordings = []
    for name in dict.fromkeys(who):
        own = who == name
        recording = make_recording(
            target[own][:, None],
            units=[y],
            time_axis="trials",
            modality="behaviour",
            value_units=y,
            key=(name, "", ""),
            covariates=covariates[own] if len(covariates.columns) else None,
            segment=pd.factorize(when[own])[0],
            dropped=[*table.notes, *left_out],
            source=str(file or ""),
            sha256=sha256_of_file(file) if file and file.is_file() else "",
        )
        about = {"sessions": list(dict.fromkeys(when[own]))} if session else {}
        recordings.append(recording.assign_attrs(about | ({"classes": classes} if classes else {})))
    return recordings


def read_trial_table(path: Path | str | pd.DataFrame, text: list[str]) -> tuple[Table, Path | None]:
    """The trials, with columns named by text, and the file that they come from."""
    if isinstance(path, pd.DataFrame):
        columns = path.set_axis([str(name) for name in path.columns], axis=1)
        return _checked(Table(columns.reset_index(drop=True), True), None), None
    if is_alf_trials(Path(path)):
        return _checked(Table(read_alf_trials(Path(path)), True), Path(path)), Path(path)
    file = existing_file(path)
    if is_table(file):
        return _checked(read_text_table(file, text=[name.lower() for name in text]), file), file
    raise DataError(
        "this is not a table of trials",
        expected="csv, tsv, txt or parquet, or a folder with _ibl_trials.*.npy",
        found=file.suffix or "no suffix",
        fix="Read it with pandas, and pass the DataFrame.",
        file=file,
    )


def _checked(table: Table, file: Path | None) -> Table:
    columns = table.columns.columns
    if not table.has_names:
        raise DataError(
            "the columns have no names",
            expected="a first line that names them",
            found=f"{len(columns)} columns of numbers",
            file=file,
        )
    check_named(table, "Name it in the first line.", file=file)
    if not columns.is_unique:
        twice = list_some(sorted(set(columns[columns.duplicated()])))
        raise DataError("column names repeat", expected="one name per column", found=twice)
    if not len(table.columns):
        raise DataError("the table has no trials", expected="one row per trial", found=0, file=file)
    return table


def _check_names(
    trials: pd.DataFrame,
    roles: list[str],
    inputs: Sequence[str] | None,
    lags: Mapping[str, int],
    file: Path | None,
) -> None:
    if isinstance(inputs, str):
        raise DataError("inputs is not a list", expected=f"[{inputs!r}]", field="inputs")
    for name in [*roles, *(inputs or ()), *lags]:
        if name not in trials:
            raise DataError(
                f"there is no column {name!r}{did_you_mean(name, map(str, trials))}".rstrip("?"),
                expected=f"one of {list_some(list(trials))}",
                fix="Names are taken literally.",
                file=file,
            )
    given = list(inputs or ())
    twice = sorted({n for names in (roles, given) for n in names if names.count(n) > 1})
    if twice or roles[0] in given:
        raise DataError(
            "a column is named twice" if twice else "y is among its own inputs",
            found=list_some(twice or roles[:1]),
            fix="Name it once.",
            file=file,
            field=None if twice else "inputs",
        )


def _labels(trials: pd.DataFrame, name: str | None, part: str, file: Path | None) -> np.ndarray:
    """The subject, or session, of each trial as text; shape (n_trials,)."""
    if name is None:
        may_be = [str(n) for n in trials if letters_of(n) in _PARTS[part]]
        several = [n for n in may_be if trials[n].nunique(dropna=False) > 1]
        if several:
            raise DataError(
                f"the table has a column {several[0]!r}, and nothing says that it is to be used",
                expected=f"{part}={several[0]!r}",
                found=f"{part}=None, which takes all trials for those of one {part}",
                fix="If that is meant, take the column out of the table.",
                file=file,
                field=part,
            )
        return np.full(len(trials), "", dtype=object)
    column = trials[name]
    if column.isna().any():
        raise DataError(
            f"a trial has no {part}",
            expected="a value in each row",
            found=f"none in row {int(column.isna().to_numpy().argmax()) + 1}",
            file=file,
            field=name,
        )
    if pd.api.types.is_float_dtype(column) and (column == column.round()).all():
        column = column.astype(np.int64)
    return column.astype(str).to_numpy(dtype=object)


def numbers_trials(name: object) -> bool:
    """Whether a column numbers the trials, by its name."""
    return letters_of(name) in _TRIAL_NUMBERS


def letters_of(name: object) -> str:
    """The letters of a column's name, in lower case."""
    return re.sub("[^a-z]", "", str(name).lower())


def _check_order(who: np.ndarray, when: np.ndarray, file: Path | None) -> None:
    """Refuse sessions that return: nothing says how their parts follow each other."""
    for subject in dict.fromkeys(who):
        own = when[who == subject]
        starts = own[break_points(own)]
        again = pd.Series(starts).duplicated().to_numpy()
        if again.any():
            raise DataError(
                "a session returns after another one",
                expected="the trials of a session in rows that follow each other",
                found=f"{starts[again][0]!r} twice",
                fix="Sort the rows by subject, session and trial.",
                file=file,
                subject=subject or None,
                field="session",
            )


def _check_trial_numbers(
    trials: pd.DataFrame, who: np.ndarray, when: np.ndarray, file: Path | None
) -> np.ndarray:
    """The number of each trial in its session, from a column ``trial`` or else counted."""
    groups = [who, when]
    counted = trials.groupby(groups).cumcount().to_numpy(dtype=np.float64)
    names = [str(n) for n in trials if numbers_trials(n)]
    names = [n for n in names if is_of_numbers(trials[n])]
    if not names:
        return counted
    column = trials[names[0]].astype(np.float64)
    wrong = (~(column.groupby(groups).diff() > 0)).to_numpy() & (counted > 0)
    if wrong.any():
        at = int(wrong.argmax())
        previous = np.flatnonzero((who[:at] == who[at]) & (when[:at] == when[at]))[-1]
        raise DataError(
            "trial numbers repeat or fall within a session",
            expected="numbers that rise",
            found=f"{column[previous]:g} then {column[at]:g} in row {at + 1}",
            fix="Pass session= (and subject=) where numbers begin anew, sort the rows, drop "
            "repeated ones; or rename the column if it does not number trials.",
            file=file,
            subject=who[at] or None,
            field=names[0],
        )
    return column.to_numpy()


def _target(
    column: pd.Series, missing: Collection[Any], file: Path | None
) -> tuple[np.ndarray, list[str]]:
    """Values (n_trials,), NaN where a trial was missed, and the labels behind codes."""
    if isinstance(missing, str):
        raise DataError("missing is not a list", expected=f"({missing!r},)", field="missing")
    words = {str(word).strip() for word in missing}
    amounts = {parse_number(word) for word in words if is_number(word)}
    amounts = {amount for amount in amounts if amount == amount}  # NaN is no word for itself

    def is_missed(cell: Any) -> bool:
        word = str(cell).strip()
        return word in words | {""} or (is_number(word) and parse_number(word) in amounts)

    values, classes = coded(column.mask(column.map(is_missed)), file)
    levels = np.unique(values[~np.isnan(values)])
    if levels.tolist() == [-1, 1]:  # two sides, not amounts: what they are coded by is kept
        values, classes = (values + 1) / 2, ["-1", "1"]
    if len(levels) < 2:
        raise DataError(
            "y has fewer than two different values",
            expected="a column that varies",
            found=list_some(classes or levels.tolist()) or "no value",
            fix="Is it the right column, and does missing= name no value that counts?",
            file=file,
            field=str(column.name),
        )
    return values, classes


def _uncoded(target: np.ndarray, classes: list[str]) -> np.ndarray:
    """Labels in place of codes, None where a trial was missed: codes of many are no amounts."""
    if not classes:
        return target
    observed = ~np.isnan(target)
    labels = np.full(len(target), None, dtype=object)
    labels[observed] = np.array(classes, dtype=object)[target[observed].astype(np.int64)]
    return labels


def _check_observed(target: np.ndarray, who: np.ndarray, y: str, file: Path | None) -> None:
    for name in dict.fromkeys(who):
        own = who == name
        if np.isnan(target[own]).all():
            raise DataError(
                "a subject has no trial with a value of y",
                found=f"{int(own.sum())} missed trials",
                fix="Take the subject out of the table.",
                file=file,
                subject=name,
                field=y,
            )


def _inputs(
    trials: pd.DataFrame,
    inputs: Sequence[str] | None,
    taken: list[str | None],
    file: Path | None,
) -> tuple[pd.DataFrame, list[str]]:
    """The covariates, and what was left out."""
    names = [str(name) for name in trials if name not in taken] if inputs is None else list(inputs)
    is_text = [name for name in names if not is_of_numbers(trials[name])]
    notes = []
    if inputs is None and is_text:
        refuse_decimal_commas(trials[is_text], file)
        notes = [f"the columns {list_some(is_text)}, which are not of numbers"]
        names = [name for name in names if name not in is_text]
    return pd.DataFrame({n: as_numbers(trials[n], file) for n in names}, trials.index), notes
