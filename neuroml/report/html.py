"""The report: one page that holds everything it shows."""

from __future__ import annotations

import base64
import json
import platform
import re
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

import jinja2

from neuroml._core.files import atomic_write
from neuroml.exceptions import DataError
from neuroml.report.cohort import DIAGNOSTICS, cohort_panel
from neuroml.report.elements import Panel
from neuroml.report.evaluation import evaluated
from neuroml.report.meanings import fact_meaning
from neuroml.report.presenters import cohort_view

__all__ = ["write_report"]

MOST_WITH_FIGURES = 60
MOST_NAMED = 6
# The smallest letters of a figure, 7 points at 110 dots per inch, are 10.7 pixels high. A figure
# that a narrow screen shrinks has a link to itself at a width where none is below 9.
LEAST_SCALE = 9 / (7 / 72 * 110)
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
    done = [job for job in jobs if job["status"] == "done"]
    evaluation = evaluated(folder, jobs)
    last = run["recipe"]["fit"]["steps"][-1]["use"]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("neuroml.report", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html.j2").render(
        run=run,
        jobs=jobs,
        asked=_asked(run, last, done),
        convergence=_convergence(done),
        evaluation=evaluation,
        scores=None if evaluation is None else _drawn(_score_panel(evaluation)),
        cohort=_drawn(cohort_panel(cohort_view(last), folder, done)),
        facts={name: fact_meaning(name) for name in _fact_names(done)},
        counts={s: sum(u["status"] == s for u in jobs) for s in ("done", "failed", "missing")},
        most=MOST_WITH_FIGURES,
        most_named=MOST_NAMED,
        seconds=sum(job.get("seconds", 0.0) for job in jobs),
        versions={name: metadata.version(name) for name in _PACKAGES},
        python=platform.python_version(),
    )
    atomic_write(folder / "report.html", page)
    return folder / "report.html"


def _fact_names(done: list[dict[str, Any]]) -> list[str]:
    return sorted({name for job in done for name in job["facts"]}, key=_late)


def _late(name: str) -> tuple[bool, str]:
    """What the fit found comes before how the fit went."""
    return name in DIAGNOSTICS, name


def _asked(run: dict[str, Any], last: str, done: list[dict[str, Any]]) -> str:
    """What was fitted to what, in a sentence."""
    n, scope = sum(len(job["recordings"]) for job in done), run["recipe"]["fit"]["scope"]
    models = f"{len(done)} models" if len(done) > 1 else "one model"
    recordings = "recordings" if n != 1 else "recording"
    per = "" if scope == "cohort" else f", one for each {scope}"
    return f"{last}: {models} of {n} {recordings}{per if len(done) > 1 else ''}."


def _convergence(done: list[dict[str, Any]]) -> dict[str, Any] | None:
    """How many models converged, and which did not; None where models do not say."""
    told = [job for job in done if "converged" in job["facts"]]
    if not told:
        return None
    return {"n": len(told), "not": [job["name"] for job in told if not job["facts"]["converged"]]}


def _score_panel(evaluation: dict[str, Any]) -> Panel:
    from neuroml.plotting import plot_evaluation

    whole = evaluation["evaluation"]
    chance = "; a tick is what a model scores by chance" if whole.null_ else ""
    unit = "subject" if whole.table_["subject"].nunique() > 1 else "fold"
    caption = (
        f"The model (blue) and its baselines (orange) on held-out data, larger is better: "
        f"{evaluation['score']}, of each {unit} (dots) and on average (large dot). The line "
        f"through the model's mean is the 95 % interval of its difference to the best baseline, "
        f"which is the vertical line{chance}."
    )
    return Panel("scores", plot_evaluation(whole, score_label=evaluation["score"]), caption)


def _job(folder: Path, name: str, record: dict[str, Any] | None) -> dict[str, Any]:
    if record is None:
        return {"name": name, "status": "missing"}
    job = {"name": name, **record}
    # what is said matters, and not how Python sorts it
    job["warnings"] = [re.sub(r"^\w*Warning: ", "", note) for note in record.get("warnings", [])]
    if record["status"] == "done":
        summary = folder / "jobs" / name / "summary.json"
        job |= json.loads(summary.read_text(encoding="utf-8"))
    return job


def _images(folder: Path, job: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        _embedded(
            (folder / "jobs" / job["name"] / f"{name}.png").read_bytes(),
            caption,
            f"{job['name']}-{name}",
        )
        for name, caption in job["figures"]
    ]


def _drawn(panel: Panel | None) -> dict[str, Any] | None:
    """A panel as an embedded image."""
    if panel is None or panel.figure is None:
        return None
    from neuroml.plotting import save_figure

    with tempfile.TemporaryDirectory() as folder:
        png = save_figure(panel.figure, Path(folder) / panel.name)[0].read_bytes()
    return _embedded(png, panel.caption, f"figure-{panel.name}")


def _embedded(png: bytes, caption: str, name: str) -> dict[str, Any]:
    """An image for the page, with the width that it has at least where it is shown larger."""
    width = int.from_bytes(png[16:20], "big")  # of the header chunk, which a PNG begins with
    return {
        "id": name,
        "source": f"data:image/png;base64,{base64.b64encode(png).decode()}",
        "caption": caption,
        "least": round(LEAST_SCALE * width),
    }
