"""Names of files in the Brain Imaging Data Structure: their entities, and what belongs to what."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from neuroml.data._nifti import plausible_tr
from neuroml.exceptions import DataError

__all__ = ["entities_of", "files_that_apply", "plain_label", "same_label", "stated_tr"]

_NUMBERED = ("run", "echo", "split", "flip", "inv", "chunk")
"""Entities that BIDS counts: run-1 and run-01 are one. Other labels are compared as they stand."""
_EVEN = 0.01
"""By which share repetition times may differ and be one."""


def entities_of(path: Path | str) -> dict[str, str]:
    """The entities of a file's name with their labels.

    Examples
    --------
    >>> entities_of("sub-01_task-rest_run-1_bold.nii.gz")
    {'sub': '01', 'task': 'rest', 'run': '1'}
    """
    parts = Path(path).name.split("_")[:-1]
    return {name: label for name, mark, label in (part.partition("-") for part in parts) if mark}


def same_label(entity: str, one: Any, other: Any) -> bool:
    """Whether two labels of an entity are the same.

    Examples
    --------
    >>> same_label("run", "01", 1), same_label("sub", "01", "1")
    (True, False)
    """
    return plain_label(entity, one) == plain_label(entity, other)


def plain_label(entity: str, label: Any) -> str:
    """The label without leading zeros, where the entity counts.

    Examples
    --------
    >>> plain_label("run", "01"), plain_label("sub", "01")
    ('1', '01')
    """
    text = str(label)
    return str(int(text)) if entity in _NUMBERED and text.isdecimal() else text


def files_that_apply(home: Path, name: str, suffix: str, folders: Iterable[Path]) -> list[Path]:
    """Files by BIDS' inheritance principle, from the most general to the most special.

    Parameters
    ----------
    home : Path
        The data set's root.
    name : str
        Of the image.
    suffix : str
        What the files end in, such as "events.tsv".
    folders : iterable of Path
        Folders below ``home`` to look into, apart from it.

    Returns
    -------
    list of Path
        Those whose entities the image has, with the same labels.
    """
    wanted = entities_of(name)
    found = []
    for depth, folder in enumerate(dict.fromkeys([home, *folders])):
        for path in sorted(folder.glob(f"*{suffix}")):
            entities = entities_of(path)
            is_named = path.name == suffix or path.name.endswith(f"_{suffix}")
            fits = all(
                key in wanted and same_label(key, label, wanted[key])
                for key, label in entities.items()
            )
            if is_named and fits:
                found.append((depth, len(entities), path))
    return [path for _, _, path in sorted(found)]


def stated_tr(within: Callable[[], float], path: Path | None) -> float:
    """The repetition time (s) of a file's header, or of the sidecar that belongs to it.

    Parameters
    ----------
    within : callable
        Returns that of the header, or raises DataError.
    path : Path or None
        The image's file, if it has one.

    Raises
    ------
    DataError
        If the two differ, there is none that can be used, or a sidecar is damaged.
    """
    beside = None if path is None else _beside(path)
    if beside is None:
        return within()
    seconds, sidecar = beside
    try:
        stored = within()
    except DataError:  # none that could contradict
        return seconds
    if abs(seconds - stored) > _EVEN * stored:
        raise DataError(
            "the sidecar and the image's header state different repetition times",
            expected=f"{stored:g} s, as in the header",
            found=f"{seconds:g} s",
            fix="Find out which is right, and pass tr_s= or correct the other.",
            file=sidecar,
            field="RepetitionTime",
        )
    return seconds


def _beside(path: Path) -> tuple[float, Path] | None:
    """The repetition time (s) that stands beside an image or above it, and where.

    The file that is nearest to the image says it: one of the same name, then those that apply to it
    in its folder and in those above, up to the data set's root.
    """
    stem = path.name.split(".")[0]
    own = path.with_name(f"{stem}.json")
    applying: list[Path] = []
    subject = entities_of(path).get("sub")
    if subject is not None:
        here = path.parent.resolve()  # not of the image, which may be a link into a store
        above = [here, *here.parents]
        names = [folder.name for folder in above]
        n_below = names.index(f"sub-{subject}") + 1 if f"sub-{subject}" in names else 0
        root, *below = above[: n_below + 1][::-1]
        applying = files_that_apply(root, path.name, f"{stem.rpartition('_')[2]}.json", below)
    for sidecar in dict.fromkeys([*([own] if own.is_file() else []), *applying[::-1]]):
        stated = _stated_tr(sidecar)
        if stated is not None:
            return stated, sidecar
    return None


def _stated_tr(sidecar: Path) -> float | None:
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"the sidecar is not JSON ({error})", file=sidecar) from error
    if not isinstance(content, Mapping):
        raise DataError(
            "the sidecar is not JSON of named values",
            expected="an object, {...}",
            found=type(content).__name__,
            file=sidecar,
        )
    if content.get("RepetitionTime") is not None:
        return plausible_tr(content["RepetitionTime"], file=sidecar, field="RepetitionTime")
    if content.get("VolumeTiming") is not None:
        return _even_step(content["VolumeTiming"], sidecar)
    return None


def _even_step(onsets: Any, sidecar: Path) -> float:
    """The step of volumes whose onsets are listed, as for sparse acquisition."""
    try:
        steps = np.diff(np.asarray(onsets, dtype=np.float64))
    except (TypeError, ValueError):
        steps = np.zeros(0)
    if steps.ndim == 1 and steps.size and (np.abs(steps - steps[0]) <= _EVEN * steps[0]).all():
        return plausible_tr(float(steps.mean()), file=sidecar, field="VolumeTiming")
    raise DataError(
        "the volumes are not evenly spaced in time",
        expected="a repetition time, or onsets at equal steps",
        found=f"onsets {str(onsets)[:60]}",
        fix="Pass tr_s= only if they are evenly spaced after all.",
        file=sidecar,
        field="VolumeTiming",
    )
