"""The command line: thin, every command is one call into the library."""

from __future__ import annotations

import importlib
import re
import shlex
import sys
import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from neuroml.exceptions import DataError, RecipeError

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="Models of neural recordings: from a folder of recordings to fitted models and a report. "
    "(Not the NeuroML model-description language; that is libNeuroML.)",
)
data_app = typer.Typer(no_args_is_help=True, help="Data sets and data files.")
app.add_typer(data_app, name="data")
init_app = typer.Typer(
    no_args_is_help=True,
    help="Write a first recipe for a folder of data, with comments, that runs as it stands. "
    "What is not plain from the data is asked, and answered by an option.",
)
app.add_typer(init_app, name="init")
console = Console()
errors = Console(stderr=True)

RecipeArgument = Annotated[
    str, typer.Argument(help="A recipe (TOML file), or the name of a data set that has one.")
]


@app.command(name="run", epilog="Example: neuroml run nitime_fmri --out results")
def run_command(
    recipe: RecipeArgument,
    out: Annotated[
        Path | None, typer.Option(help="Folder for models, tables, figures, report.")
    ] = None,
    only_check: Annotated[
        bool, typer.Option("--check", help="Only check the recipe and count its jobs.")
    ] = False,
    workers: Annotated[int, typer.Option(help="Worker processes.")] = 1,
    force: Annotated[bool, typer.Option("--force", help="Do everything again.")] = False,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="A running Dask scheduler to work on.")
    ] = None,
    array_task: Annotated[
        str | None,
        typer.Option(
            metavar="I/N", help="Do the I-th of N shares of the jobs: one task of a job array."
        ),
    ] = None,
) -> None:
    """Fit a recipe's model to its recordings and write a report.

    Work that is done already, with the same recipe, data and code, is not done again: run the same
    command after an interruption to go on. Exits with 3 if any job failed.
    """
    from neuroml.batch import RunSummary, check, report, run
    from neuroml.batch.runner import share
    from neuroml.batch.vocabulary import estimator_classes
    from neuroml.report.presenters import without_figures

    checked, planned = check(recipe)
    number = _array_task(array_task)
    if only_check:
        typer.echo(f"{recipe} is valid: {_counted(len(planned), 'job')}")
        for job in planned:
            typer.echo(f"  {job.name} ({_counted(len(job.keys), 'recording')})")
        note = without_figures(estimator_classes()[checked.fit.steps[-1].use])
        if note is not None:
            typer.echo(f"{note} Weights of regions or voxels are drawn in the brain.")
        return
    if out is None:
        raise typer.BadParameter("name a folder for the results", param_hint="--out")
    counts = {"done": 0, "skipped": 0, "failed": 0}
    try:
        with _progress() as bar:
            task = bar.add_task(checked.title, total=len(share(planned, number)))
            for record in run(
                checked, out, n_jobs=workers, force=force, scheduler=scheduler, array_task=number
            ):
                counts[record["status"]] += 1
                bar.advance(task)
                if record["status"] == "failed":
                    message = f"failed {record['job']}: {record['error']}"
                    bar.console.print(message, style="red", markup=False, soft_wrap=True)
    except KeyboardInterrupt:
        errors.print(f"Interrupted: {RunSummary(**counts)}. The same command goes on from here.")
        raise typer.Exit(130) from None
    typer.echo(f"report: {report(out)}")
    typer.echo(str(RunSummary(**counts)))
    if counts["failed"]:
        raise typer.Exit(3)


def _counted(n: int, thing: str) -> str:
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"


def _array_task(text: str | None) -> tuple[int, int] | None:
    """Read ``I/N``."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise typer.BadParameter(
            f"expected I/N with 1 <= I <= N, got {text!r}", param_hint="--array-task"
        )
    return int(match[1]), int(match[2])


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=errors,
    )


@app.command(name="report", epilog="Example: neuroml report results")
def report_command(
    folder: Annotated[Path, typer.Argument(help="The --out folder of a run.")],
) -> None:
    """Write a run's report again from what is in its folder."""
    from neuroml.batch import report

    typer.echo(f"report: {report(folder)}")


@app.command(name="info", epilog="Example: neuroml info results/jobs/sub-01/model.safetensors")
def info_command(
    model: Annotated[Path, typer.Argument(help="A model written by neuroml.")],
) -> None:
    """Say what a saved model is, without loading it."""
    from neuroml._core.persistence import describe

    for name, value in describe(model).items():
        typer.echo(f"{name}: {value}")


@data_app.command(name="list", epilog="Example: neuroml data list")
def list_command() -> None:
    """List the named data sets."""
    from neuroml.data import list_datasets, read_card

    table = Table(Column("name", no_wrap=True), "subjects", Column("recipes"), "what", box=None)
    for name in list_datasets():
        card = read_card(name)
        recipes = ", ".join(sorted(path.stem for path in card.where.glob("recipe*.toml")))
        table.add_row(name, str(card.subjects), recipes, card.title)
    console.print(table)


@data_app.command(name="check", epilog="Example: neuroml data check bold.nii.gz traces.npy")
def check_command(files: Annotated[list[Path], typer.Argument(help="Files or folders.")]) -> None:
    """Say what is in each file and what is wrong with it; exits with 1 if anything is."""
    from neuroml.data import describe_file

    healthy = True
    for path in files:
        description = describe_file(path)
        healthy &= description.ok
        typer.echo(str(description))
    if not healthy:
        raise typer.Exit(1)


StartArgument = Annotated[Path, typer.Argument(metavar="PATH", help="A folder or a file.")]
OutOption = Annotated[
    Path | None, typer.Option("--out", help="The recipe to write; it is printed if not given.")
]
BinOption = Annotated[float | None, typer.Option("--bin-s", help="Width of the bins in seconds.")]
RateOption = Annotated[float | None, typer.Option("--rate-hz", help="Samples per second.")]


def _start(kind: str, path: Path, out: Path | None, **options: Any) -> None:
    from neuroml.batch import start_recipe

    text = start_recipe(kind, path, out=out, **options)
    if tomllib.loads(text)["data"].get("options", {}).get("time_axis") == "samples":
        errors.print(
            "The rate is not known: time counts samples, not seconds. Give --rate-hz.",
            highlight=False, soft_wrap=True,
        )  # fmt: skip
    if out is None:
        typer.echo(text, nl=False)
        return
    typer.echo(f"recipe: {out}")
    typer.echo(f"Run it by: neuroml run {shlex.quote(str(out))} --out results")


@init_app.command(name="suite2p", epilog="Example: neuroml init suite2p mice --rate-hz 30")
def init_suite2p(
    path: StartArgument, out: OutOption = None, rate_hz: RateOption = None, bin_s: BinOption = None
) -> None:
    """Assemblies of cells, from the plane folders of Suite2p at or below PATH."""
    _start("suite2p", path, out, rate_hz=rate_hz, bin_s=bin_s)


@init_app.command(name="kilosort", epilog="Example: neuroml init kilosort probe --bin-s 0.01")
def init_kilosort(
    path: StartArgument,
    out: OutOption = None,
    rate_hz: RateOption = None,
    bin_s: BinOption = None,
    label: Annotated[
        list[str] | None,
        typer.Option(help="Of the clusters to take, 'all' for every one; repeatable."),
    ] = None,
) -> None:
    """Couplings between units, from the folders of Kilosort or phy at or below PATH."""
    _start("kilosort", path, out, rate_hz=rate_hz, bin_s=bin_s, labels=label or ())


@init_app.command(name="nwb", epilog="Example: neuroml init nwb day1.nwb --series units")
def init_nwb(
    path: StartArgument,
    out: OutOption = None,
    series: Annotated[
        str | None, typer.Option(help="The series of cells, or 'units' for spiking units.")
    ] = None,
    bin_s: BinOption = None,
) -> None:
    """Couplings of units or assemblies of imaged cells, by what an NWB file holds."""
    _start("nwb", path, out, series=series, bin_s=bin_s)


@init_app.command(name="fmriprep", epilog="Example: neuroml init fmriprep fmriprep --task rest")
def init_fmriprep(
    path: StartArgument,
    out: OutOption = None,
    labels: Annotated[
        Path | None, typer.Option(help="An atlas; else each run's brain mask.")
    ] = None,
    space: Annotated[str | None, typer.Option(help="Of the images.")] = None,
    task: Annotated[str | None, typer.Option(help="Which one.")] = None,
    entity: Annotated[
        list[str] | None, typer.Option(help="NAME=LABEL, such as res=2; repeatable.")
    ] = None,
    raw: Annotated[Path | None, typer.Option(help="The data set with the events.")] = None,
    column: Annotated[str | None, typer.Option(help="Of the events, to decode.")] = None,
    model: Annotated[str | None, typer.Option(help="decoding or connectivity.")] = None,
) -> None:
    """Trial types or dynamic connectivity, from derivatives of fMRIPrep."""
    options = {"labels": labels, "space": space, "task": task, "entities": entity or ()}
    _start("fmriprep", path, out, **options, raw=raw, column=column, model=model)


@init_app.command(name="trials", epilog="Example: neuroml init trials trials.csv --y choice")
def init_trials(
    path: StartArgument,
    out: OutOption = None,
    y: Annotated[str | None, typer.Option("--y", help="The column to explain.")] = None,
    inputs: Annotated[
        list[str] | None, typer.Option("--input", help="A column that explains it; repeatable.")
    ] = None,
    subject: Annotated[str | None, typer.Option(help="The column of subjects.")] = None,
    session: Annotated[str | None, typer.Option(help="The column of sessions.")] = None,
    family: Annotated[str | None, typer.Option(help="Of SwitchingGLM, such as gaussian.")] = None,
    missing: Annotated[
        list[str] | None,
        typer.Option("--missing", help="What stands for a missed trial, such as 0; repeatable."),
    ] = None,
) -> None:
    """Strategies between which subjects switch, from a table with one row per trial."""
    columns = {"y": y, "inputs": inputs, "subject": subject, "session": session}
    _start("trials", path, out, **columns, family=family, missing=missing)


def main() -> None:
    """Run the command line; data and recipe errors are sentences, not tracebacks."""
    try:
        importlib.import_module("neuroml._core")
        app()
    except (DataError, RecipeError, FileNotFoundError, ImportError) as error:
        errors.print(f"error: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
