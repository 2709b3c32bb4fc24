"""First recipes: what a folder holds, written as a recipe that can be run as it stands."""

from __future__ import annotations

import tomllib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from neuroml._core.files import atomic_write
from neuroml.batch.evaluating import check_folds
from neuroml.batch.fitting import prepare
from neuroml.batch.recipe import Recipe
from neuroml.batch.runner import check_content, plan
from neuroml.batch.sources import open_source
from neuroml.batch.starting import fmriprep, kilosort, nwb, suite2p, trials
from neuroml.exceptions import DataError

__all__ = ["STARTERS", "start_recipe"]

STARTERS: dict[str, Callable[..., str]] = {
    "fmriprep": fmriprep.recipe_for,
    "kilosort": kilosort.recipe_for,
    "nwb": nwb.recipe_for,
    "suite2p": suite2p.recipe_for,
    "trials": trials.recipe_for,
}
"""``recipe_for(path, where, **options)``: the text of a recipe that is to lie in ``where``."""


def start_recipe(
    kind: str, path: Path | str, *, out: Path | str | None = None, **options: Any
) -> str:
    """Write a recipe for what is found at a path.

    Parameters
    ----------
    kind : str
        One of `STARTERS`.
    path : path-like
        A folder or a file.
    out : path-like, optional
        The file to write, which must not be there; files in the recipe are named from its folder,
        or from the current one if ``out`` is None, and nothing is written.
    **options
        Of the kind.

    Returns
    -------
    str
        The recipe.

    Raises
    ------
    DataError
        If nothing of the kind is there, or a choice is open that no option settles: the message
        is the question, with the ways to answer it; or if the options make a recipe that
        `neuroml.batch.check` refuses; or if a recording is too short for the recipe's folds.
    """
    path, file = Path(path), None if out is None else Path(out)
    if not path.exists():
        raise DataError("there is no such file or folder", file=path)
    if file is not None and file.exists():
        raise DataError(
            "there is a file already, which is not written over",
            fix="Name another one by --out, or remove it.",
            file=file,
        )
    where = Path.cwd() if file is None else file.absolute().parent
    text = STARTERS[kind](path, where, **options)
    recipe, faults = check_content(tomllib.loads(text), where)
    if recipe is None:
        raise DataError(
            "these options make no valid recipe",
            found="; ".join(faults),
            fix="Correct what the faults name.",
            file=path,
        )
    if kind != "fmriprep":  # whose images take minutes to read, and are long enough
        _check_lengths(recipe, path)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(file, text)
    return text


def _check_lengths(recipe: Recipe, path: Path) -> None:
    """Refuse recordings that the recipe's folds cannot divide, before its run does."""
    source = open_source(recipe.data, recipe.where)
    for job in plan(recipe, source):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the run says them again
            try:
                recordings = prepare(recipe, [source.read(key)[0] for key in job.keys])
                check_folds(recipe, recordings, [None] * len(recordings))
            except DataError as error:
                raise DataError(
                    "the recording is too short for the model that the recipe would fit, or cannot "
                    "be divided to choose and score it",
                    expected=error.expected,
                    found=f"{error.problem} (found {error.found})",
                    fix="Take longer recordings, or narrower bins by --bin-s where it is given; or "
                    "write a recipe without [select] and [evaluate].",
                    file=path,
                    subject=job.name,
                ) from error
