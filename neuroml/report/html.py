"""The report: one page that holds everything it shows."""

from __future__ import annotations

import base64
import json
import platform
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

import jinja2

from neuroml._core.files import atomic_write
from neuroml.exceptions import DataError
from neuroml.report.evaluation import evaluated

__all__ = ["write_report"]

MOST_WITH_FIGURES = 60
FEWEST_FOR_OVERVIEW = 3
_PACKAGES = ("neuroml-learn", "numpy", "scipy", "scikit-learn", "torch", "nilearn", "tensorly")


def write_report(folder: Path | str, records: dict[str, dict[str, Any]]) -> Path:
    """Write ``report.html`` from the records and outputs of a run.

    The page needs nothing beside itself: figures are embedded, there are no scripts and no
    requests. Of a large run, the figures of the first jobs are embedded and the page says so.

    Parameters
    ----------
    folder : path-like
        The output folder of a run.
    records : dict
        The manifest's record of every job, by the job's name.

    Returns
    -------
    pathlib.Path
        The report's path.

    Raises
    ------
    DataError
        If the folder is not that of a run.
    """
    folder = Path(folder)
    if not (folder / "run.json").is_file():
        raise DataError(
            "this is not the folder of a run",
            expected="a folder written by 'neuroml run RECIPE --out FOLDER'",
            file=folder,
        )
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    jobs = [_job(folder, name, records.get(name)) for name in run["jobs"]]
    for number, job in enumerate(job for job in jobs if job["status"] == "done"):
        if number < MOST_WITH_FIGURES:
            job["images"] = _images(folder, job)
    fitted = [job["facts"] for job in jobs if job["status"] == "done"]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("neuroml.report", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html.j2").render(
        run=run,
        jobs=jobs,
        evaluation=evaluated(folder, jobs),
        fact_names=sorted({name for each in fitted for name in each}),
        overview=_overview(fitted) if len(fitted) >= FEWEST_FOR_OVERVIEW else None,
        counts={s: sum(u["status"] == s for u in jobs) for s in ("done", "failed", "missing")},
        most=MOST_WITH_FIGURES,
        seconds=sum(job.get("seconds", 0.0) for job in jobs),
        versions={name: metadata.version(name) for name in _PACKAGES},
        python=platform.python_version(),
    )
    atomic_write(folder / "report.html", page)
    return folder / "report.html"


def _job(folder: Path, name: str, record: dict[str, Any] | None) -> dict[str, Any]:
    if record is None:
        return {"name": name, "status": "missing"}
    job = {"name": name, **record}
    if record["status"] == "done":
        summary = folder / "jobs" / name / "summary.json"
        job |= json.loads(summary.read_text(encoding="utf-8"))
    return job


def _images(folder: Path, job: dict[str, Any]) -> list[dict[str, str]]:
    images = []
    for name, caption in job["figures"]:
        data = (folder / "jobs" / job["name"] / f"{name}.png").read_bytes()
        images.append({"name": name, "caption": caption, "source": _embedded(data)})
    return images


def _overview(fitted: list[dict[str, Any]]) -> str | None:
    """A figure of every number that differs between jobs, as an embedded image."""
    from neuroml.plotting import plot_jobs, save_figure

    try:
        figure = plot_jobs(fitted)
    except DataError:  # no number differs
        return None
    with tempfile.TemporaryDirectory() as folder:
        return _embedded(save_figure(figure, Path(folder) / "jobs")[0].read_bytes())


def _embedded(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
