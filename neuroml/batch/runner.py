"""The runner: plans the units of a recipe, fits those not done yet, and keeps the record."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import time
import traceback
import warnings
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import xarray as xr
from threadpoolctl import threadpool_limits

import neuroml
from neuroml._core.files import (
    atomic_path,
    atomic_write,
    exclusive,
    sha256_of_dataset,
    sha256_of_file,
)
from neuroml._core.parallel import run_on_cluster, run_parallel
from neuroml._core.persistence import save
from neuroml._core.recording import RecordingKey, name_of
from neuroml.batch.fitting import fit_recipe, prepare
from neuroml.batch.manifest import append_record, is_done, read_manifest
from neuroml.batch.recipe import Recipe
from neuroml.batch.sources import Source, open_source, provenance
from neuroml.exceptions import RecipeError
from neuroml.report import draw, facts, tabulate
from neuroml.report.html import write_report

__all__ = ["RunSummary", "Unit", "plan", "report", "run"]

_LEVELS = ("subject", "session", "run")


@dataclass(frozen=True)
class Unit:
    """One piece of work: the recordings that one model is fitted to."""

    name: str
    keys: tuple[RecordingKey, ...]


@dataclass(frozen=True)
class RunSummary:
    """How many units were done, skipped because they were done before, and failed."""

    done: int
    skipped: int
    failed: int

    def __str__(self) -> str:
        return f"{self.done} done, {self.skipped} skipped, {self.failed} failed"


def plan(recipe: Recipe, source: Source | None = None) -> list[Unit]:
    """List the units of a recipe without reading any recording.

    Parameters
    ----------
    recipe : Recipe
    source : Source, optional
        The recipe's data, if they are open already.

    Raises
    ------
    RecipeError
        If the recipe's subjects, sessions or runs leave nothing to do.
    DataError
        If the data are not found.
    """
    section = recipe.data
    wanted = [section.subjects, section.sessions, section.runs]
    keys = (source or open_source(recipe)).keys()
    chosen = [
        key
        for key in keys
        if all(only is None or part in only for only, part in zip(wanted, key, strict=True))
    ]
    for level, only, present in zip(_LEVELS, wanted, zip(*keys, strict=True), strict=True):
        absent = [name for name in only or [] if name not in present]
        if absent:
            raise RecipeError(
                f"data.{level}s: {absent} are not in the data, "
                f"which have {sorted(set(present))[:20]}"
            )
    if not chosen:
        raise RecipeError("The recipe's subjects, sessions and runs leave no recording.")
    if recipe.fit.scope == "cohort":
        return [Unit("cohort", tuple(chosen))]
    if recipe.fit.scope == "recording":
        return [Unit(_unit_name(key), (key,)) for key in chosen]
    subjects = dict.fromkeys(key[0] for key in chosen)
    return [
        Unit(_unit_name((subject, "", "")), tuple(key for key in chosen if key[0] == subject))
        for subject in subjects
    ]


def _unit_name(key: RecordingKey) -> str:
    return name_of(xr.Dataset(attrs=dict(zip(_LEVELS, key, strict=True)))).replace("/", "-")


def share(units: list[Unit], array_task: tuple[int, int] | None) -> list[Unit]:
    """The i-th of n shares of the units for ``array_task = (i, n)``; all of them for None."""
    return units if array_task is None else units[array_task[0] - 1 :: array_task[1]]


def run(
    recipe: Recipe,
    out: Path | str,
    *,
    n_jobs: int | None = None,
    force: bool = False,
    scheduler: str | None = None,
    array_task: tuple[int, int] | None = None,
) -> Iterator[dict[str, Any]]:
    """Fit every unit that is not done yet; yield each unit's record as it ends.

    A unit is done if the manifest says so for the same recipe, the same data and the same code,
    and its files are unchanged. A failing unit is recorded and the others go on.

    Parameters
    ----------
    recipe : Recipe
    out : path-like
        Folder of the run: ``manifest.jsonl``, ``run.json`` and ``units/<name>/``.
    n_jobs : int or None
        Worker processes.
    force : bool
        Do every unit again.
    scheduler : str, optional
        Address of a running Dask scheduler whose workers do the units; they must see the same
        files under the same paths.
    array_task : (int, int), optional
        ``(i, n)`` does the i-th of n shares of the units, 1 <= i <= n: one task of a job array. All
        tasks write into the same folder.
    """
    out = Path(out).resolve()
    source = open_source(recipe)
    units = plan(recipe, source)
    out.mkdir(parents=True, exist_ok=True)
    atomic_write(out / "run.json", json.dumps(_describe(recipe, units), indent=1))
    before = {} if force else read_manifest(out / "manifest.jsonl")
    units = share(units, array_task)
    tasks = [
        _Task(recipe, source.only(unit.keys), unit, out, before.get(unit.name)) for unit in units
    ]
    yield from _on_cluster(tasks, scheduler) if scheduler else _on_this_machine(tasks, n_jobs)


@dataclass(frozen=True)
class _Task:
    """What a worker needs to do one unit."""

    recipe: Recipe
    source: Source
    unit: Unit
    out: Path
    before: dict[str, Any] | None


def _on_cluster(tasks: list[_Task], scheduler: str) -> Iterator[dict[str, Any]]:
    for number, outcome in run_on_cluster(_run_unit, [(task,) for task in tasks], scheduler):
        yield _recorded(tasks[number], outcome) if isinstance(outcome, Exception) else outcome


def _on_this_machine(tasks: list[_Task], n_jobs: int | None) -> Iterator[dict[str, Any]]:
    """Do the units in worker processes; if one dies, those not done yet get one each."""
    ended = 0
    try:
        for record in run_parallel(_run_unit, [(task,) for task in tasks], n_jobs=n_jobs):
            ended += 1
            yield record
    except BrokenProcessPool:
        records = read_manifest(tasks[0].out / "manifest.jsonl")
        for task in tasks[ended:]:
            yield _alone(replace(task, before=records.get(task.unit.name)))


def _alone(task: _Task) -> dict[str, Any]:
    """Do one unit in a worker process that no other unit shares."""
    try:
        (record,) = run_parallel(_run_unit, [(task,)], n_jobs=2)
    except BrokenProcessPool as error:
        return _recorded(task, error)
    return record


def _recorded(task: _Task, error: Exception) -> dict[str, Any]:
    """Put a failure into the manifest and return its record."""
    record = _failure(task.unit, error)
    with contextlib.suppress(OSError):  # a full disk must not hide the error itself
        append_record(task.out / "manifest.jsonl", record)
    return record


def _failure(unit: Unit, error: Exception) -> dict[str, Any]:
    """The record of a unit that ended with an error."""
    return {
        "unit": unit.name,
        "id": None,
        "files": {},
        "status": "failed",
        "error": f"{type(error).__name__}: {error}",
        "traceback": "".join(traceback.format_exception(error)),
    }


def _describe(recipe: Recipe, units: list[Unit]) -> dict[str, Any]:
    return {
        "title": recipe.title,
        "description": recipe.description,
        "recipe": recipe.model_dump(mode="json", exclude={"where"}, exclude_none=True),
        "recipe_sha256": recipe.sha256,
        "code_sha256": _code_sha256(),
        "neuroml_version": neuroml.__version__,
        "data": provenance(recipe),
        "units": [unit.name for unit in units],
    }


@functools.cache
def _code_sha256() -> str:
    """Fingerprint of the package's source files."""
    digest = hashlib.sha256()
    package = Path(neuroml.__file__).parent
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package)}\n{sha256_of_file(path)}\n".encode())
    return digest.hexdigest()


def _run_unit(task: _Task) -> dict[str, Any]:
    """Do one unit unless it is done; return its record, with the error if it failed."""
    try:
        return _attempt(task)
    except Exception as error:
        return _recorded(task, error)


def _attempt(task: _Task) -> dict[str, Any]:
    started = time.perf_counter()
    recipe, unit, out, before = task.recipe, task.unit, task.out, task.before
    folder = out / "units" / unit.name
    folder.mkdir(parents=True, exist_ok=True)
    with threadpool_limits(1), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pairs = [task.source.read(key) for key in unit.keys]
        identity = _identity(recipe, unit, [recording for recording, _ in pairs])
        with exclusive(folder) as waited:
            if waited:  # another run had this unit in hand and may have done it
                before = read_manifest(out / "manifest.jsonl").get(unit.name)
            if is_done(before, identity, out):
                return {"unit": unit.name, "status": "skipped"}
            record = {
                "unit": unit.name,
                "id": identity,
                "status": "done",
                "files": _fit_and_write(recipe, unit, pairs, out),
                "warnings": sorted({f"{w.category.__name__}: {w.message}" for w in caught}),
                "seconds": round(time.perf_counter() - started, 3),
            }
            append_record(out / "manifest.jsonl", record)
            return record


def _identity(recipe: Recipe, unit: Unit, recordings: list[xr.Dataset]) -> str:
    parts = [recipe.sha256, _code_sha256(), str(recipe.data.dataset), repr(unit)]
    parts += [sha256_of_dataset(recording) for recording in recordings]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _fit_and_write(recipe: Recipe, unit: Unit, pairs: list[Any], out: Path) -> dict[str, str]:
    """Fit, write model, table, figures and summary, and return their fingerprints."""
    from neuroml.report.figures.style import save_figure

    folder = out / "units" / unit.name
    recordings = prepare(recipe, [recording for recording, _ in pairs])
    model, context = fit_recipe(recipe, recordings, [events for _, events in pairs])
    paths = [save(model, folder / "model.safetensors")]
    with atomic_path(folder / "table.csv") as temporary:
        tabulate(model, context).to_csv(temporary, index=False)
    paths.append(folder / "table.csv")
    panels = draw(model, context)
    for panel in panels:
        paths += save_figure(panel.figure, folder / panel.name)
    summary = {
        "facts": facts(model),
        "samples": sum(recording.sizes["time"] for recording in recordings),
        "columns": len(context.columns),
        "recordings": [name_of(recording) for recording in recordings],
        "dropped": [note for recording in recordings for note in recording.attrs["dropped"]],
        "figures": [[panel.name, panel.caption] for panel in panels],
    }
    atomic_write(folder / "summary.json", json.dumps(summary, indent=1, sort_keys=True))
    paths.append(folder / "summary.json")
    for stale in set(folder.iterdir()) - set(paths):
        stale.unlink()
    return {str(path.relative_to(out)): sha256_of_file(path) for path in paths}


def report(out: Path | str) -> Path:
    """Write a run's ``report.html`` from what is in its folder, and return its path.

    Parameters
    ----------
    out : path-like
        The folder given to `run`.

    Raises
    ------
    DataError
        If the folder is not that of a run.
    """
    return write_report(out, read_manifest(Path(out) / "manifest.jsonl"))
