"""Regressors of a trial that say what happened on the trials before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from neuroml._core.validation import list_some
from neuroml.data._columns import as_numbers, coded
from neuroml.exceptions import DataError

__all__ = ["history_of"]


def history_of(
    trials: pd.DataFrame,
    y: str,
    reward: str | None,
    lags: dict[str, int],
    place: tuple[np.ndarray, np.ndarray, np.ndarray],
    file: Path | None,
) -> pd.DataFrame:
    """What happened before each trial of the same session, 0 where nothing is known."""
    who, when, numbers = place

    def back(values: np.ndarray, n_back: int) -> np.ndarray:
        table = pd.DataFrame({"value": values, "number": numbers})
        before = table.groupby([who, when]).shift(n_back)
        follows = (numbers - before["number"] == n_back).to_numpy()
        return np.where(follows, before["value"].fillna(0.0), 0.0)

    past = dict[str, np.ndarray]()
    for name, n_lags in lags.items():
        if not isinstance(n_lags, int) or isinstance(n_lags, bool) or n_lags < 1:
            raise DataError(
                "a lag is not a number of trials", expected=">= 1", found=n_lags, field="lags"
            )
        values = _two_sided(trials[name], file)
        for lag in range(1, n_lags + 1):
            past[f"previous_{name}" + (f"_{lag}" if lag > 1 else "")] = back(values, lag)
    if reward is not None:
        choice = _two_sided(trials[y], file)
        if set(choice[~np.isnan(choice)]) != {-1.0, 1.0}:
            raise DataError(
                "win-stay, lose-switch is defined for two choices",
                expected="two values",
                found=f"{len(set(choice[~np.isnan(choice)]))}",
                fix="Leave reward= out.",
                file=file,
                field=y,
            )
        # c_{t-1} r_{t-1} of Ashwood et al. 2022, with both coded -1 and 1
        past["win_stay_lose_switch"] = back(choice * _signed_reward(trials[reward], file), 1)
    clash = [name for name in past if name in trials]
    if clash:
        raise DataError(
            "a regressor would have the name of a column",
            found=list_some(clash),
            fix="Rename the column.",
            file=file,
            field="lags",
        )
    return pd.DataFrame(past, trials.index)


def _two_sided(column: pd.Series, file: Path | None) -> np.ndarray:
    """Two values as -1 and 1, other numbers as they are."""
    values, classes = coded(column, file)
    if len(classes) > 2:
        raise DataError(
            "more than two labels have no lag: their codes are in no order",
            expected="numbers, or two labels",
            found=list_some(classes),
            fix="Make one column of 0 and 1 per label, and name these in lags=.",
            file=file,
            field=str(column.name),
        )
    levels = np.unique(values[~np.isnan(values)])
    if len(levels) != 2:
        return values
    return np.where(np.isnan(values), np.nan, np.where(values == levels[1], 1.0, -1.0))


def _signed_reward(column: pd.Series, file: Path | None) -> np.ndarray:
    values = as_numbers(column, file)
    found = set(values[~np.isnan(values)])
    if not (found <= {0.0, 1.0} or found <= {-1.0, 1.0}):
        raise DataError(
            "the rewards are not yes or no",
            expected="0 and 1, or -1 and 1",
            found=list_some(sorted(map(float, found))),
            fix="Make a column that is 1 where the trial was rewarded and 0 where it was not.",
            file=file,
            field=str(column.name),
        )
    return np.where(np.isnan(values), np.nan, np.where(values == 1.0, 1.0, -1.0))
