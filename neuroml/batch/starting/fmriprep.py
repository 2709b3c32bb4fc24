"""A recipe for derivatives of fMRIPrep: trial types, or connectivity that comes and goes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neuroml._core.validation import did_you_mean, list_some
from neuroml.batch.starting.models import assemblies, trial_types
from neuroml.batch.starting.writing import Section, counted, name_from, question, write_recipe
from neuroml.data.bids import BRAIN, Run, find_candidates, find_runs, other_folders
from neuroml.data.fmri import check_run
from neuroml.exceptions import DataError

__all__ = ["MODELS", "recipe_for"]

MODELS = ("decoding", "connectivity")
_STRATEGIES = (["high_pass", "motion", "wm_csf"], ["motion", "wm_csf"], ["motion"])
_RESPONSE_S = 4.0
"""From when after an onset the haemodynamic response is near its peak."""
_WINDOW_S = 60.0
"""Shorter windows take slow fluctuations for changes (Leonardi & Van De Ville 2015)."""
_ALONE = ("space", "task")
"""Entities with an option of their own."""
_N_PATTERNS = 20


def recipe_for(
    path: Path,
    where: Path,
    *,
    labels: Path | str | None = None,
    space: str | None = None,
    task: str | None = None,
    entities: Sequence[str] = (),
    raw: Path | str | None = None,
    column: str | None = None,
    model: str | None = None,
) -> str:
    """Write the recipe for the preprocessed runs of a folder.

    Parameters
    ----------
    path : Path
        Of the derivatives.
    where : Path
        The recipe's folder.
    labels : path-like, optional
        An atlas; without one the units are the voxels of each run's brain mask.
    space, task : str, optional
        Asked for where there are several; an empty text stands for files without the entity.
    entities : sequence of str
        More of them, such as "res=2".
    raw : path-like, optional
        The data set with the events; by default the one around the derivatives.
    column : str, optional
        Of the events, which is decoded: "trial_type" if there is one.
    model : {"decoding", "connectivity"}, optional
        By default decoding where all runs have events, connectivity where none has.
    """
    chosen = _settled(path, _given(space, task, entities, path))
    wanted = {name: label or None for name, label in chosen.items()}
    runs, _ = find_runs(path, entities=wanted, raw=raw)
    options = _options(runs, labels, where)
    if raw is not None:
        options["raw"] = name_from(Path(raw), where)
    model = _model(runs, model, path)
    decoded = _events(runs, column, path) if model == "decoding" else None
    data: dict[str, Any] = {"folder": name_from(path, where), "reader": "bids"}
    data |= {"entities": chosen} if chosen else {}
    data["options"] = options
    if decoded is not None:
        data["shared_by"] = len(runs)
    subjects = {run.key[0] for run in runs}
    return write_recipe(
        f"{'Trial types' if decoded else 'Dynamic connectivity'} in {path.resolve().name}",
        f"{counted(len(runs), 'run')} of {counted(len(subjects), 'subject')}.",
        [
            _data(data, labels is None),
            *([] if decoded is None else [decoded]),
            *_cleaning("confounds" in options, standardize=decoded is not None),
            *(
                _connectivity(runs, options, labels)
                if decoded is None
                else trial_types(len(subjects), len(runs))
            ),
        ],
    )


def _given(
    space: str | None, task: str | None, entities: Sequence[str], path: Path
) -> dict[str, str]:
    """The labels of entities that options give."""
    wrong = [one for one in entities if "=" not in one]
    if wrong:
        raise DataError(
            "this names no entity", expected="NAME=LABEL", found=wrong[0], file=path, field="entity"
        )
    given = {name: label for name, label in (("space", space), ("task", task)) if label is not None}
    return given | {name: label for name, _, label in (one.partition("=") for one in entities)}


def _settled(path: Path, given: dict[str, str]) -> dict[str, str]:
    """The entities that choose one file of each run, all of one task; else the question."""
    by_run = find_candidates(path, {name: label or None for name, label in given.items()})
    files = [parts for several in by_run.values() for parts in several]
    if "desc" not in given and all(parts.get("desc") != "preproc" for parts in files):
        raise DataError(
            "there is no preprocessed run of fMRIPrep",
            expected="sub-*/func/*_desc-preproc_bold.nii.gz",
            found="functional images of another kind",
            fix=other_folders(path)
            or "Name the folder of the derivatives, or a desc by --entity desc=LABEL.",
            file=path,
        )
    differing = {
        name: None
        for several in by_run.values()
        for parts in several
        for name in parts
        if len({one.get(name) for one in several}) > 1
    }
    tasks = _labels(files, "task")
    order = sorted(differing, key=lambda name: (name not in _ALONE, name))
    for name in [*order, *(["task"] if len(tasks) > 1 else [])]:
        option = f"--{name} LABEL" if name in _ALONE else f"--entity {name}=LABEL"
        found = [label or "(files without one)" for label in _labels(files, name)]
        answer = f"{option}, empty for files without one" if "" in _labels(files, name) else option
        raise question(f"which {name} is to be read", found, answer, path)
    only = {name: _labels(files, name) for name in _ALONE}
    return {name: one[0] for name, one in only.items() if len(one) == 1 and one[0]} | given


def _labels(files: list[dict[str, str]], name: str) -> list[str]:
    return sorted({parts.get(name, "") for parts in files})


def _options(runs: list[Run], labels: Path | str | None, where: Path) -> dict[str, Any]:
    """Options with which all runs can be read, as far as headers and tables tell it."""
    is_surface = check_run(runs[0].path) is None
    if labels is None and is_surface:
        raise question(
            "which regions of the surface are to be read", [], "--labels FILE", runs[0].path
        )
    if labels is not None and not Path(labels).is_file():
        raise DataError("there is no such atlas", file=labels, field="labels")
    options: dict[str, Any] = {"mask": BRAIN}
    if labels is not None:
        options = {"labels": name_from(Path(labels), where)}
        runs[0].read(labels=labels, on_nan="drop_units")
    options["on_nan"] = "drop_units"
    problems = [one for run in runs for one in run.find_problems(mask=options.get("mask"))]
    if problems and problems[0].field == "mask":
        what = "which voxels are to be read (a run has no brain mask beside it)"
        raise question(what, ["no mask"], "--labels FILE", runs[0].path)
    if problems:
        raise problems[0]
    for strategy in _STRATEGIES:
        confounds: dict[str, Any] = {"strategy": strategy}
        confounds |= {name: "basic" for name in ("motion", "wm_csf") if name in strategy}
        without = [one for run in runs for one in run.find_problems(confounds=confounds)]
        if not without:
            return {**options, "confounds": confounds}
        if len({one.file for one in without}) < len(runs):  # leaving them out would spoil the rest
            raise DataError(
                "some runs lack confounds that others have",
                expected=f"what load_confounds calls {list_some(strategy)}, in all or none",
                found=without[0].problem,
                fix="Put its table beside it, or choose the other runs by --entity NAME=LABEL.",
                file=without[0].file,
            )
    return options


def _model(runs: list[Run], model: str | None, path: Path) -> str:
    n_with = sum(run.events is not None and len(run.events) > 0 for run in runs)
    if model is not None:
        if model not in MODELS:
            raise DataError(
                "there is no such model", expected=list_some(list(MODELS)), found=model, file=path
            )
        return model
    if 0 < n_with < len(runs):
        without = [run.path.name for run in runs if run.events is None or not len(run.events)]
        raise question(
            "are trial types to be decoded, although some runs have no events",
            [f"none of {name}" for name in without],
            "--model connectivity, or choose the runs that have them by --entity NAME=LABEL",
            path,
        )
    return MODELS[0] if n_with else MODELS[1]


def _events(runs: list[Run], column: str | None, path: Path) -> Section:
    """The table of the labels that are decoded, and of when."""
    tables = [run.events for run in runs if run.events is not None]
    if len(tables) < len(runs):
        raise DataError("not all runs have events", fix="Pass --model connectivity.", file=path)
    events = pd.concat(tables)
    if column is None:
        text = [str(name) for name in events if events[name].dtype.kind not in "biuf"]
        if "trial_type" not in text:
            raise question("which column of the events is decoded", text, "--column NAME", path)
        column = "trial_type"
    if column not in events:
        raise DataError(
            f"the events have no column {column!r}{did_you_mean(column, map(str, events))}",
            expected=f"one of {list_some(list(events))}",
            fix="Name it by --column NAME.",
            file=path,
        )
    n_empty, kinds = int(events[column].isna().sum()), events[column].value_counts()
    if n_empty or len(kinds) < 2:
        raise DataError(
            f"the column {column!r} cannot be decoded",
            expected="at least two labels, and one in each row",
            found=f"{list_some([f'{kind} ({n})' for kind, n in kinds.items()]) or 'no label'}, "
            f"{n_empty} empty",
            fix="Name another one by --column NAME, or pass --model connectivity.",
            file=path,
        )
    last = np.nanmedian(events["duration"]) if events["duration"].notna().any() else 0.0
    stop = round(_RESPONSE_S + max(_RESPONSE_S, float(last)), 3)
    return Section(
        "[data.events]",
        {"label": column, "epoch_s": [_RESPONSE_S, stop]},
        notes={"epoch_s": "seconds after the onset, when the response is near its peak"},
        comment="Each event is a row: the mean of every unit over these seconds. Labels: "
        + ", ".join(f"{kind} ({n})" for kind, n in kinds.sort_index().items())
        + ".",
    )


def _data(data: dict[str, Any], is_voxels: bool) -> Section:
    comment = "Each region is the mean of its voxels."
    if is_voxels:
        comment = (
            "Units are the voxels of each run's own brain mask (--labels FILE takes the regions "
            "of an atlas instead)."
        )
    comment += " Units that were not scanned, or never vary, are left out."
    notes = {}
    if "shared_by" in data:
        notes["shared_by"] = "runs: units that all of them have"
    return Section("[data]", data, notes=notes, comment=comment)


def _cleaning(has_confounds: bool, *, standardize: bool) -> list[Section]:
    values: dict[str, Any] = {"detrend": True}
    comment = "There are no confounds that could be regressed out."
    if has_confounds:
        values["scrub"] = "outlier"
        comment = "Confounds are regressed out; volumes before the steady state are removed."
    if standardize:
        values["standardize"] = True
    notes = {"standardize": "each unit of each run"} if standardize else {}
    return [Section("[clean]", values, notes=notes, comment=comment)]


def _connectivity(
    runs: list[Run], options: dict[str, Any], labels: Path | str | None
) -> list[Section]:
    """Windowed correlations of regions, or of patterns of voxels, which are too many for pairs."""
    known = [check_run(run.path) for run in runs]
    lengths = [one for one in known if one is not None]
    if not lengths:  # surfaces: one has to be read
        one = runs[0].read(labels=labels, on_nan=options["on_nan"])
        lengths = [(one.sizes["time"], 1 / one.attrs["rate_hz"])]
    n_volumes = min(n for n, _ in lengths)
    before = [] if labels is not None else [_patterns(n_volumes)]
    return assemblies(
        1 / lengths[0][1],
        n_volumes,
        units="regions" if labels is not None else "patterns",
        window_s=_WINDOW_S,
        before=before,
    )


def _patterns(n_volumes: int) -> Section:
    return Section(
        "[[fit.steps]]",
        {"use": "PCA", "n_components": min(_N_PATTERNS, n_volumes // 4)},
        comment="Voxels have too many pairs: patterns of them stand in for regions.",
    )
