"""The runner: plans the jobs of a recipe, fits those not done yet, and keeps the record."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr
from pydantic import ValidationError
from threadpoolctl import threadpool_limits

import neuroml
from neuroml._core.files import (
    atomic_write,
    exclusive,
    remove_partial,
    sha256_of_dataset,
    sha256_of_file,
)
from neuroml._core.parallel import run_on_cluster, run_parallel
from neuroml._core.persistence import save
from neuroml._core.recording import RecordingKey, name_of
from neuroml.batch.component_tests import component_tests
from neuroml.batch.evaluating import SCORE_COLUMNS, Scored, choose_and_score
from neuroml.batch.fitting import fit_recipe, prepare
from neuroml.batch.manifest import append_record, is_done, read_manifest
from neuroml.batch.preparing import find_table_faults, table_files
from neuroml.batch.recipe import (
    DataSection,
    Recipe,
    load_recipe,
    refusal,
    validate_recipe,
)
from neuroml.batch.sources import Source, find_source_faults, open_source, provenance
from neuroml.batch.tables import left_out, tables_of, write_table, write_with_sidecar
from neuroml.data import list_datasets
from neuroml.evaluation._results import SUMMARY_COLUMNS
from neuroml.exceptions import DataError, RecipeError
from neuroml.report import Context, draw, facts
from neuroml.report.component_tests import describe_tests
from neuroml.report.exports import with_errors
from neuroml.report.html import write_report

__all__ = ["Job", "RunSummary", "check", "plan", "report", "run"]

_LEVELS = ("subject", "session", "run")
_GATHERED = {"scores": SCORE_COLUMNS, "evaluation": ["job", *SUMMARY_COLUMNS]}
_PARTIAL = "evaluation.partial.jsonl"  # finished fits of an evaluation that is not yet whole
_WHEREABOUTS = ("source", "sha256")  # of a file, which may be moved or hold more than is read


@dataclass(frozen=True)
class Job:
    """One piece of a run's work: the recordings that one model is fitted to.

    Attributes
    ----------
    name : str
        Also that of its folder.
    keys : tuple of (str, str, str)
        Subject, session and run of each recording.
    """

    name: str
    keys: tuple[RecordingKey, ...]


@dataclass(frozen=True)
class RunSummary:
    """How many jobs were done, skipped because they were done before, and failed."""

    done: int
    skipped: int
    failed: int

    def __str__(self) -> str:
        return f"{self.done} done, {self.skipped} skipped, {self.failed} failed"


def plan(recipe: Recipe, source: Source | None = None) -> list[Job]:
    """List the jobs of a recipe without reading any recording.

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
    keys = (source or open_source(recipe.data, recipe.where)).keys()
    faults = _key_faults(recipe.data, recipe.preparation, keys, recipe.where)
    if faults:
        raise RecipeError("\n".join(faults))
    chosen = _chosen(recipe.data, keys)
    if recipe.fit.scope == "cohort":
        return [Job("cohort", tuple(chosen))]
    if recipe.fit.scope == "recording":
        return [Job(_job_name(key), (key,)) for key in chosen]
    subjects = dict.fromkeys(key[0] for key in chosen)
    return [
        Job(_job_name((subject, "", "")), tuple(key for key in chosen if key[0] == subject))
        for subject in subjects
    ]


def check(name: Path | str) -> tuple[Recipe, list[Job]]:
    """Read a recipe, open the headers of its images, and list its jobs; no values are read.

    Parameters
    ----------
    name : path-like
        As in `read_recipe`.

    Returns
    -------
    recipe : Recipe
    jobs : list of Job

    Raises
    ------
    RecipeError
        With every fault found, in the recipe and in what it chooses from the data.
    """
    path, content = load_recipe(name)
    recipe, faults = check_content(content, path.resolve().parent)
    if recipe is None:
        raise refusal(path, faults)
    return recipe, plan(recipe)


def check_content(content: dict[str, Any], where: Path) -> tuple[Recipe | None, list[str]]:
    """The recipe, or None and every fault in it and in what it chooses from the data."""
    recipe, faults = validate_recipe(content, where)
    with contextlib.suppress(ValidationError, KeyError, TypeError):  # told among the faults
        section = DataSection(**content["data"])
        faults = faults + _data_faults(section, content.get("prepare"), where)
    return (None if faults else recipe), faults


def _data_faults(section: DataSection, steps: Any, where: Path) -> list[str]:
    """What is wrong with the data that a recipe names."""
    if section.dataset not in (None, *list_datasets()):
        return []
    try:
        source = open_source(section, where)
        faults = _key_faults(section, steps, source.keys(), where)
        return faults or find_source_faults(source, _chosen(section, source.keys()))
    except DataError as error:
        return [f"data: {error}"]


def _key_faults(
    section: DataSection, steps: Any, keys: Sequence[RecordingKey], where: Path
) -> list[str]:
    """What is wrong with the recordings that are chosen, and with the tables joined to them."""
    faults = _selection_faults(section, keys)
    return faults or [*find_table_faults(steps, _chosen(section, keys), where)]


def _chosen(section: DataSection, keys: Sequence[RecordingKey]) -> list[RecordingKey]:
    """The recordings that a recipe's subjects, sessions and runs leave."""
    wanted = [section.subjects, section.sessions, section.runs]
    return [
        key
        for key in keys
        if all(only is None or part in only for only, part in zip(wanted, key, strict=True))
    ]


def _selection_faults(section: DataSection, keys: Sequence[RecordingKey]) -> list[str]:
    """Subjects, sessions and runs that the data do not have, or that leave nothing."""
    wanted = [section.subjects, section.sessions, section.runs]
    faults = []
    for level, only, present in zip(_LEVELS, wanted, zip(*keys, strict=True), strict=True):
        absent = [name for name in only or [] if name not in present]
        if absent:
            faults.append(
                f"data.{level}s: {absent} are not in the data, "
                f"which have {sorted(set(present))[:20]}"
            )
    if not faults and not _chosen(section, keys):
        faults.append("data: its subjects, sessions and runs leave no recording")
    return faults


def _job_name(key: RecordingKey) -> str:
    return name_of(xr.Dataset(attrs=dict(zip(_LEVELS, key, strict=True)))).replace("/", "-")


def share(jobs: list[Job], array_task: tuple[int, int] | None) -> list[Job]:
    """The i-th of n shares of the jobs for ``array_task = (i, n)``; all of them for None."""
    return jobs if array_task is None else jobs[array_task[0] - 1 :: array_task[1]]


def run(
    recipe: Recipe,
    out: Path | str,
    *,
    n_jobs: int | None = None,
    force: bool = False,
    scheduler: str | None = None,
    array_task: tuple[int, int] | None = None,
) -> Iterator[dict[str, Any]]:
    """Fit every job that is not done yet; yield each job's record as it ends.

    A job is done if the manifest says so for the same recipe, the same data and the same code,
    and its files are unchanged. A failing job is recorded and the others go on.

    Parameters
    ----------
    recipe : Recipe
    out : path-like
        Folder of the run: ``manifest.jsonl``, ``run.json`` and ``jobs/<name>/``; with an
        ``[evaluate]`` also ``scores.csv`` and ``evaluation.csv``, those of all jobs.
    n_jobs : int or None
        Worker processes.
    force : bool
        Do every job again.
    scheduler : str, optional
        Address of a running Dask scheduler whose workers do the jobs; they must see the same
        files under the same paths.
    array_task : (int, int), optional
        ``(i, n)`` does the i-th of n shares of the jobs, 1 <= i <= n: one task of a job array. All
        tasks write into the same folder.
    """
    out = Path(out).resolve()
    source = open_source(recipe.data, recipe.where)
    jobs = plan(recipe, source)
    out.mkdir(parents=True, exist_ok=True)
    atomic_write(out / "run.json", json.dumps(_describe(recipe, jobs), indent=1))
    before = read_manifest(out / "manifest.jsonl")
    jobs = share(jobs, array_task)
    tasks = [
        _Task(recipe, source.only(job.keys), job, out, before.get(job.name), force) for job in jobs
    ]
    yield from _on_cluster(tasks, scheduler) if scheduler else _on_this_machine(tasks, n_jobs)
    _gather(out)


@dataclass(frozen=True)
class _Task:
    """What a worker needs to do one job."""

    recipe: Recipe
    source: Source
    job: Job
    out: Path
    before: dict[str, Any] | None
    force: bool = False


def _on_cluster(tasks: list[_Task], scheduler: str) -> Iterator[dict[str, Any]]:
    for number, outcome in run_on_cluster(_run_job, [(task,) for task in tasks], scheduler):
        yield _recorded(tasks[number], outcome) if isinstance(outcome, Exception) else outcome


def _on_this_machine(tasks: list[_Task], n_jobs: int | None) -> Iterator[dict[str, Any]]:
    """Do the jobs in worker processes; if one dies, those not done yet get one each."""
    ended = 0
    try:
        for record in run_parallel(_run_job, [(task,) for task in tasks], n_jobs=n_jobs):
            ended += 1
            yield record
    except BrokenProcessPool:
        records = read_manifest(tasks[0].out / "manifest.jsonl")
        for task in tasks[ended:]:
            yield _alone(replace(task, before=records.get(task.job.name)))


def _alone(task: _Task) -> dict[str, Any]:
    """Do one job in a worker process that no other job shares."""
    try:
        (record,) = run_parallel(_run_job, [(task,)], n_jobs=2)
    except BrokenProcessPool as error:
        return _recorded(task, error)
    return record


def _recorded(task: _Task, error: Exception) -> dict[str, Any]:
    """Put a failure into the manifest and return its record."""
    record = _failure(task, error)
    with contextlib.suppress(OSError):  # a full disk must not hide the error itself
        append_record(task.out / "manifest.jsonl", record)
    return record


def _failure(task: _Task, error: Exception) -> dict[str, Any]:
    """The record of a job that ended with an error; what an earlier run wrote is still its own."""
    return {
        "job": task.job.name,
        "id": None,
        "files": (task.before or {}).get("files", {}),
        "status": "failed",
        "error": f"{type(error).__name__}: {error}",
        "traceback": "".join(traceback.format_exception(error)),
    }


def _describe(recipe: Recipe, jobs: list[Job]) -> dict[str, Any]:
    return {
        "title": recipe.title,
        "description": recipe.description,
        "recipe": recipe.model_dump(mode="json", exclude={"where"}, exclude_none=True),
        "recipe_sha256": recipe.sha256,
        "code_sha256": _code_sha256(),
        "neuroml_version": neuroml.__version__,
        "data": provenance(recipe),
        "jobs": [job.name for job in jobs],
    }


@functools.cache
def _code_sha256() -> str:
    """Fingerprint of the package's source files."""
    digest = hashlib.sha256()
    package = Path(neuroml.__file__).parent
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package)}\n{sha256_of_file(path)}\n".encode())
    return digest.hexdigest()


def _run_job(task: _Task) -> dict[str, Any]:
    """Do one job unless it is done; return its record, with the error if it failed."""
    try:
        return _attempt(task)
    except Exception as error:
        return _recorded(task, error)


def _attempt(task: _Task) -> dict[str, Any]:
    started = time.perf_counter()
    recipe, job, out, before = task.recipe, task.job, task.out, task.before
    folder = out / "jobs" / job.name
    folder.mkdir(parents=True, exist_ok=True)
    with threadpool_limits(1), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pairs = [task.source.read(key) for key in job.keys]
        identity = _identity(recipe, job, pairs)
        with exclusive(folder) as waited:
            if waited:  # another run had this job in hand and may have done it
                before = read_manifest(out / "manifest.jsonl").get(job.name)
            partial = folder / _PARTIAL
            if (waited or not task.force) and is_done(before, identity, out):
                partial.unlink(missing_ok=True)
                return {"job": job.name, "status": "skipped"}
            if task.force:
                partial.unlink(missing_ok=True)
            files = _fit_and_write(recipe, job, pairs, out, identity)
            _remove_stale((before or {}).get("files", {}), files, folder)
            record = {
                "job": job.name,
                "id": identity,
                "status": "done",
                "files": files,
                "warnings": sorted({f"{w.category.__name__}: {w.message}" for w in caught}),
                "seconds": round(time.perf_counter() - started, 3),
            }
            append_record(out / "manifest.jsonl", record)
            partial.unlink(missing_ok=True)
            return record


def _identity(recipe: Recipe, job: Job, pairs: list[Any]) -> str:
    """Fingerprint of all that decides what a job writes: recipe, code, recordings and events."""
    parts = [recipe.sha256, _code_sha256(), str(recipe.data.dataset), repr(job)]
    for key in job.keys:
        parts += map(sha256_of_file, table_files(recipe.preparation, key, recipe.where))
    for recording, events in pairs:
        facts_of_file = {k: v for k, v in recording.attrs.items() if k not in _WHEREABOUTS}
        parts += [sha256_of_dataset(recording), repr(sorted(facts_of_file.items()))]
        parts.append("" if events is None else sha256_of_dataset(_as_dataset(events)))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _as_dataset(events: pd.DataFrame) -> xr.Dataset:
    return xr.Dataset.from_dataframe(events.reset_index(drop=True))


def _remove_stale(before: dict[str, str], now: dict[str, str], folder: Path) -> None:
    """Remove what an earlier run wrote into a job's folder and this one did not.

    A file that was changed since is somebody else's by now and stays, as do all other files; what
    a killed run left half written is removed.
    """
    for name in before.keys() - now.keys():
        path = folder / Path(name).name
        if path.is_file() and sha256_of_file(path) == before[name]:
            path.unlink()
    remove_partial(folder)


def _fit_and_write(
    recipe: Recipe, job: Job, pairs: list[Any], out: Path, identity: str
) -> dict[str, str]:
    """Score and fit; write model, tables, figures and summary, and return their fingerprints."""
    from neuroml.plotting import save_figure

    folder = out / "jobs" / job.name
    all_events = [events for _, events in pairs]
    recordings = prepare(recipe, [recording for recording, _ in pairs], all_events)
    if recordings[0].attrs["time_axis"] == "trials":  # no clock, on which events could be drawn
        all_events = [None] * len(pairs)
    # before the fit: it is done again after a kill, the finished fits of an evaluation are not
    scored = choose_and_score(recipe, recordings, all_events, folder / _PARTIAL, identity)
    model, context = fit_recipe(scored.recipe, recordings, all_events)
    context = with_errors(model, context)
    paths = [save(model, folder / "model.safetensors")]
    tables = {**tables_of(model, context, paths[0]), **_tables_of(scored, job)}
    if (tests := component_tests(recipe, model, recordings, all_events)) is not None:
        tables["components"] = tests
    for name, table in tables.items():
        paths += write_with_sidecar(table, folder / f"{name}.csv", model, context)
    panels = draw(model, context)
    for panel in panels:
        if panel.figure is not None:
            paths += save_figure(panel.figure, folder / panel.name)
    summary = {
        "facts": facts(model),
        "samples": sum(recording.sizes["time"] for recording in recordings),
        "columns": _n_columns(context),
        "recordings": [name_of(recording) for recording in recordings],
        "dropped": [note for recording in recordings for note in recording.attrs["dropped"]],
        "figures": [[panel.name, panel.caption] for panel in panels if panel.figure is not None],
        "not_drawn": [panel.caption for panel in panels if panel.figure is None]
        + left_out(tables, model),
    }
    if recipe.evaluate is not None and tests is not None:
        summary["components"] = describe_tests(tests, recipe.evaluate.n_permutations)
    if scored.evaluation is not None:
        summary["test_share"] = scored.evaluation.test_share_
    if scored.selection is not None:
        summary["selected"] = scored.selection.set_index("candidate")["chosen"].idxmax()
    atomic_write(folder / "summary.json", json.dumps(summary, indent=1, sort_keys=True))
    paths.append(folder / "summary.json")
    return {str(path.relative_to(out)): sha256_of_file(path) for path in paths}


def _tables_of(scored: Scored, job: Job) -> dict[str, pd.DataFrame]:
    """What choosing and evaluating came to, by the name of the file."""
    tables = {}
    if scored.selection is not None:
        tables["selection"] = scored.selection
    if scored.evaluation is not None:
        tables["scores"] = scored.evaluation.table_.assign(job=job.name)[SCORE_COLUMNS]
        tables["evaluation"] = scored.evaluation.summary()
        if scored.evaluation.null_:
            tables["null"] = scored.evaluation.null_frame()
    return tables


def _gather(out: Path) -> None:
    """Put the scores and summaries of all jobs that are done into one table each."""
    records = read_manifest(out / "manifest.jsonl")
    jobs = json.loads((out / "run.json").read_text(encoding="utf-8"))["jobs"]
    for name, columns in _GATHERED.items():
        parts = [
            pd.read_csv(out / file, dtype={"subject": str}).assign(job=job)
            for job in jobs
            if (file := f"jobs/{job}/{name}.csv") in records.get(job, {}).get("files", {})
            and (out / file).is_file()
        ]
        path = out / f"{name}.csv"
        if parts:
            write_table(pd.concat(parts, ignore_index=True)[columns], path)
        elif path.is_file() and list(pd.read_csv(path, nrows=0)) == columns:
            path.unlink()  # of an earlier recipe; a file with other columns is not the run's


def _n_columns(context: Context) -> str:
    """How many columns the data of a job have, as the report says it."""
    if isinstance(context.X, dict):
        counts = sorted({part.shape[1] for part in context.X.values()})
        return " to ".join(str(n) for n in dict.fromkeys([counts[0], counts[-1]]))
    return str(len(context.columns) or len(context.outputs))


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
    if (Path(out) / "run.json").is_file():
        _gather(Path(out))
    return write_report(out, read_manifest(Path(out) / "manifest.jsonl"))
