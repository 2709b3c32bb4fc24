"""A recipe for tables of trials: strategies between which subjects switch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from neuroml._core.validation import did_you_mean, list_some
from neuroml.batch.starting.models import n_strategies, strategies
from neuroml.batch.starting.writing import Section, names_from, question, write_recipe
from neuroml.data._columns import is_of_numbers, refuse_decimal_commas
from neuroml.data._tables import is_table
from neuroml.data.trials import letters_of, numbers_trials, read_trial_table, read_trials
from neuroml.exceptions import DataError

__all__ = ["recipe_for"]

_SUBJECT = {"subject", "subjectid", "participant", "participantid", "mouse", "mouseid", "animal"}
_SUBJECT |= {"animalid", "rat", "ratid", "monkey", "subj"}
_SESSION = {"session", "sessionid", "day", "date", "sess", "block", "eid"}
_REWARD = {"reward", "rewarded", "correct", "feedback", "outcome", "hit", "feedbacktype"}
_AFTER = _REWARD | {"rt", "reactiontime", "responsetime", "latency", "movementtime", "choicetime"}
_AFTER |= {"rewardvolume", "responsetimes", "feedbacktimes", "firstmovementtimes"}
"""What is known only after the choice, and cannot explain it."""
_UNCLEAR = re.compile("(reward|correct|feedback|outcome|reaction|response|latency).*|.*times")
"""Names that may be of either: a reward's probability is known before, its size is not."""
_MANY_CODES = 2
_ARE = {"categorical": "codes 0, 1, ...", "poisson": "counts", "gaussian": "amounts"}
_RECODE = "Codes of choices that are not 0, 1, ... have to be words in the table (left, right)."

_CHANGES = {
    1: "do not change",
    2: "switch between two hidden states",
    3: "switch between three hidden states",
}
"""By the number of strategies, what their weights do."""


def recipe_for(
    path: Path,
    where: Path,
    *,
    y: str | None = None,
    inputs: Sequence[str] | None = None,
    subject: str | None = None,
    session: str | None = None,
    family: str | None = None,
    missing: Sequence[str] | None = None,
) -> str:
    """Write the recipe for a table of trials, or for all tables in a folder.

    Parameters
    ----------
    path : Path
    where : Path
        The recipe's folder.
    y : str, optional
        The column to explain; asked for if not given.
    inputs : sequence of str, optional
        The columns that explain it; all of numbers if not given, but for those whose names say
        that they are known only after the choice.
    subject, session : str, optional
        The columns that say who, and when; found by their names if not given.
    family : str, optional
        Of `neuroml.switching.SwitchingGLM`; asked for where numbers may be codes or amounts.
    missing : sequence of str, optional
        What stands in ``y`` for a missed trial, beside an empty cell.
    """
    files = _tables(path)
    columns = read_trial_table(files[0], [])[0].columns
    parts = {
        part: _part(part, name, words, columns, files[0])
        for part, name, words in (("subject", subject, _SUBJECT), ("session", session, _SESSION))
    }
    named = {part: name for part, name in parts.items() if name is not None}
    if y is None:
        raise question(
            "which column is to be explained (the choice, or a reaction time)",
            [n for n in map(str, columns) if n not in named.values() and not numbers_trials(n)],
            "--y COLUMN",
            files[0],
        )
    _check_known([y, *(inputs or ())], columns, files[0])
    taken, left_out = _inputs(columns, y, list(named.values()), inputs, files[0])
    reward = _reward(columns, y)
    options: dict[str, Any] = {"y": y, **named, "inputs": taken}
    if missing:
        options["missing"] = list(missing)
    recordings = _read(files, options)
    _check_inputs_known(recordings, files[0])
    family = _family(recordings, y, family, files[0])
    if len(recordings[0].attrs.get("classes", ())) <= _MANY_CODES:  # more labels have no order
        options["lags"] = {y: 1}
    if family == "bernoulli" and reward is not None:
        options["reward"] = reward
    recordings = _read(files, options)
    subjects = {one.attrs["subject"] or str(at) for at, one in enumerate(recordings)}
    n_sessions = sum(len(np.unique(one["segment"].values)) for one in recordings)
    n_trials = sum(int(one["signal"].notnull().sum()) for one in recordings)
    sizes = {"n_trials": n_trials, "n_subjects": len(subjects), "n_sessions": n_sessions}
    return write_recipe(
        f"Strategies in {path.resolve().name}",
        f"What explains {y}, with weights that {_CHANGES[n_strategies(n_trials)]}.",
        [
            _data(recordings[0], names_from(files, where), options, left_out),
            *strategies(family, **sizes),
        ],
    )


def _data(
    recording: xr.Dataset, names: list[str], options: dict[str, Any], left_out: list[str]
) -> Section:
    """The table that says what is read, and what is left out of the inputs."""
    inputs = [str(name) for name in recording["feature"].values] if "feature" in recording else []
    values = {
        "files": names,
        "reader": "trials",
        "options": options,
        "target": options["y"],
        "inputs": inputs,
    }
    comment = "Inputs have to be known before the choice: take out what is not."
    if left_out:
        comment += f" Left out, as known after it by their names or of text: {', '.join(left_out)}."
    if not options["inputs"]:
        comment += " No column of numbers is left, so that the past alone explains the choice."
    return Section("[data]", values, comment=comment)


def _tables(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    found = sorted(one for one in path.iterdir() if one.is_file() and is_table(one))
    if not found:
        raise DataError(
            "there is no table", expected="csv, tsv or txt in the folder", found="none", file=path
        )
    return found


def _read(files: list[Path], options: dict[str, Any]) -> list[xr.Dataset]:
    found = [(file, one) for file in files for one in read_trials(file, **options)]
    first = found[0][1].attrs.get("classes", [])
    for file, one in found:
        if one.attrs.get("classes", []) != first:
            raise DataError(
                "the tables have different labels, so that their codes mean different things",
                expected=f"{list_some(first) or 'numbers'}, as in {files[0].name}",
                found=list_some(one.attrs.get("classes", [])) or "numbers",
                fix="Put the trials into one table, or correct the labels.",
                file=file,
                field=options["y"],
            )
    return [one for _, one in found]


def _part(
    part: str, name: str | None, words: set[str], columns: pd.DataFrame, file: Path
) -> str | None:
    """The column of subjects, or sessions: the one named, or the only one of such a name."""
    if name is not None:
        _check_known([name], columns, file)
        return name
    found = [str(column) for column in columns if letters_of(column) in words]
    if len(found) > 1:
        raise question(f"which column is the {part}", found, f"--{part} COLUMN", file)
    return found[0] if found else None


def _check_known(names: Sequence[str], columns: pd.DataFrame, file: Path) -> None:
    for name in names:
        if name not in columns:
            raise DataError(
                f"there is no column {name!r}{did_you_mean(name, map(str, columns))}".rstrip("?"),
                expected=f"one of {list_some(list(columns))}",
                file=file,
            )


def _inputs(
    columns: pd.DataFrame, y: str, named: list[str], inputs: Sequence[str] | None, file: Path
) -> tuple[list[str], list[str]]:
    """The columns that explain y, and those that are left out for a reason."""
    if inputs is not None:
        return list(inputs), []
    others = [name for name in map(str, columns) if name not in [y, *named]]
    others = [name for name in others if not numbers_trials(name)]
    known_before = [n for n in others if letters_of(n) not in _AFTER]
    are_text = [n for n in known_before if not is_of_numbers(columns[n])]
    refuse_decimal_commas(columns[are_text], file)
    bad = [n for n in others if n not in known_before or n in are_text]
    unclear = [n for n in others if n not in bad and _UNCLEAR.fullmatch(letters_of(n))]
    if unclear:
        raise question(
            "which of these columns are known before the choice, so that they may explain it",
            unclear,
            "--input COLUMN (repeatable), which names all columns to take",
            file,
        )
    return [name for name in others if name not in bad], bad


def _check_inputs_known(recordings: list[xr.Dataset], file: Path) -> None:
    """Refuse inputs with empty cells: no model of strategies takes them."""
    tables = [one["covariates"] for one in recordings if "covariates" in one]
    n_empty = pd.DataFrame([one.isnull().sum("time").to_pandas() for one in tables]).sum()
    n_empty = n_empty[n_empty > 0]
    if len(n_empty):
        raise DataError(
            "an input has empty cells, which no model of strategies takes",
            expected="a number in each row",
            found=list_some([f"{name} ({n:.0f} empty)" for name, n in n_empty.items()]),
            fix="Fill them in the table, or name the inputs to take by --input COLUMN.",
            file=file,
        )


def _reward(columns: pd.DataFrame, y: str) -> str | None:
    """The only column of rewards, for win-stay, lose-switch."""
    found = [str(name) for name in columns if letters_of(name) in _REWARD and name != y]
    found = [n for n in found if is_of_numbers(columns[n])]
    yes_or_no = [n for n in found if set(columns[n].dropna()) in ({0, 1}, {-1, 1})]
    return yes_or_no[0] if len(yes_or_no) == 1 else None


def _family(recordings: list[xr.Dataset], y: str, family: str | None, file: Path) -> str:
    """The family of y's values, if labels or the values themselves settle it."""
    classes = recordings[0].attrs.get("classes", ())
    values = np.concatenate([one["signal"].values.ravel() for one in recordings])
    levels = np.unique(values[~np.isnan(values)])
    takes = _families_for(levels, are_labels=bool(classes))
    if family is not None and family not in takes:
        raise DataError(
            f"the values of {y!r} are not those of this family{did_you_mean(family, takes)}",
            expected=list_some(takes),
            found=f"{family!r}, and values {list_some(classes or [f'{x:g}' for x in levels])}",
            fix=_RECODE,
            file=file,
            field="family",
        )
    if family is not None:
        return family
    if classes:
        return "categorical" if len(classes) > _MANY_CODES else "bernoulli"
    if "bernoulli" in takes:
        return "bernoulli"
    if len(levels) > _MANY_CODES and (levels != np.round(levels)).any():
        return "gaussian"
    ways = [f"{name} ({_ARE[name]})" for name in takes if name in _ARE]
    raise question(
        f"what are the numbers in {y!r}: codes of choices, counts, or amounts",
        [f"{level:g}" for level in levels],
        f"--family {' or '.join(ways)}"
        + ", or --missing VALUE where one of them stands for a missed trial"
        + ("" if "categorical" in takes else f". {_RECODE[:-1]}"),
        file,
    )


def _families_for(levels: np.ndarray, *, are_labels: bool) -> list[str]:
    """The families that can take the different values of y, labels being coded 0, 1, ..."""
    are_codes = levels.tolist() == list(range(len(levels)))
    are_counts = not are_labels and (levels >= 0).all() and (levels == np.round(levels)).all()
    takes = {
        "bernoulli": are_codes and len(levels) == _MANY_CODES,
        "categorical": are_codes,
        "poisson": are_counts,
        "negative_binomial": are_counts,
        "gaussian": not are_labels,
    }
    return [family for family, can in takes.items() if can]
