"""First recipes: what a folder holds, written as a recipe that can be run as it stands."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from neuroml._core.files import atomic_write
from neuroml.batch.runner import check_content
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
        `neuroml.batch.check` refuses.
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
    _, faults = check_content(tomllib.loads(text), where)
    if faults:
        raise DataError(
            "these options make no valid recipe",
            found="; ".join(faults),
            fix="Correct what the faults name.",
            file=path,
        )
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(file, text)
    return text
