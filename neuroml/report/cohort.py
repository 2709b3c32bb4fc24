"""One picture of all jobs of a run: what the models of a cohort have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neuroml._core.statistics import match_rows
from neuroml.exceptions import DataError
from neuroml.report.elements import Panel

__all__ = ["DIAGNOSTICS", "CohortView", "cohort_panel", "matched"]

# More labels than these do not fit under one another at a readable size.
_MOST_LABELS = 14
# Numbers that say how a fit went, and nothing of what it found.
DIAGNOSTICS = ("converged", "n_iter", "n_epochs", "best_epoch", "dropped")


@dataclass(frozen=True)
class CohortView:
    """Which rows of a model's table are compared over jobs.

    Attributes
    ----------
    quantities : tuple of str
        Rows of these.
    axes : tuple of str
        Only those whose axis begins with one of these; all by default.
    component : str
        What a component is called.
    value : str
        What the values are, on the figure's axis.
    """

    quantities: tuple[str, ...]
    axes: tuple[str, ...] = ("",)
    component: str = "component"
    value: str = "value"


def cohort_panel(view: CohortView | None, folder: Path, jobs: list[dict[str, Any]]) -> Panel | None:
    """Draw what the models of several jobs have in common, or the numbers in which they differ.

    Parameters
    ----------
    view : CohortView or None
        Which rows of the tables are compared.
    folder : pathlib.Path
        Of the run.
    jobs : list of dict
        Summaries of the jobs that are done.

    Returns
    -------
    Panel or None
        None for one job, or if nothing differs between the jobs.
    """
    if len(jobs) < 2:
        return None
    if view is None:
        return _numbers(jobs)
    tables = {job["name"]: _read(folder / "jobs" / job["name"] / "table.csv") for job in jobs}
    found = _common(view, tables)
    return _numbers(jobs) if found is None else _parameters(view, *found)


def _parameters(view: CohortView, values: np.ndarray, labels: list[str], jobs: list[str]) -> Panel:
    from neuroml.plotting import plot_component_agreement, plot_component_parameters

    note = f"Each {view.component} is matched to the one it is most like in the other jobs."
    if len(labels) <= _MOST_LABELS:
        drawn: Any = plot_component_parameters(
            values, label_names=labels, component=view.component, value_label=view.value
        )
        what = f"{view.value.capitalize()} in every job (dots) and their median (bar)."
        return Panel("cohort", drawn, f"{what} {note}")
    drawn = plot_component_agreement(values, job_names=jobs, component=view.component)
    what = (
        f"How alike {view.component}s are across jobs: correlation of each job's {view.value}s "
        "with their mean in the other jobs."
    )
    return Panel("cohort", drawn, f"{what} {note}")


def _read(path: Path) -> pd.DataFrame:
    text = {name: str for name in ("component", "axis", "label")}
    return pd.read_csv(path, dtype=text, keep_default_na=False)


def _common(
    view: CohortView, tables: Mapping[str, pd.DataFrame]
) -> tuple[np.ndarray, list[str], list[str]] | None:
    """Matched values (n_jobs, n_components, n_labels) of what all jobs have, labels and jobs."""
    parts = {}
    for job, table in tables.items():
        rows = table[table["quantity"].isin(view.quantities)]
        rows = rows[[axis.startswith(view.axes) for axis in rows["axis"]]]
        labels = rows["label"].where(rows["quantity"] != "intercept", "bias")
        several = rows["axis"].nunique() > 1 + ("intercept" in view.quantities)
        if several:  # the same input acts on several outputs
            labels = labels + " · " + rows["axis"].str.removeprefix("input of ")
        wide = rows.assign(name=labels, value=rows["value"].astype(float))
        wide = wide.drop_duplicates(["component", "name"])
        parts[job] = wide.pivot(index="component", columns="name", values="value")
    sizes = {len(part) for part in parts.values()}
    shared = [n for n in _order(parts) if all(n in part.columns for part in parts.values())]
    if len(sizes) != 1 or not shared or not sizes.pop():
        return None
    values = np.stack([part[shared].to_numpy() for part in parts.values()])
    return (matched(values), shared, list(parts)) if np.isfinite(values).all() else None


def _order(parts: Mapping[str, pd.DataFrame]) -> list[str]:
    return sorted(next(iter(parts.values())).columns, key=lambda name: (name == "bias", name))


def matched(values: np.ndarray) -> np.ndarray:
    """Put every job's components in one order, by their distances to the mean of all jobs.

    Parameters
    ----------
    values : ndarray of shape (n_jobs, n_components, n_labels)

    Returns
    -------
    ndarray of the same shape
        Starting from the first job's order, matching and means take turns until nothing changes.
    """
    ordered = values.copy()
    mean = values[0]
    for _ in range(20):  # a few suffice; each turn lowers the sum of squared distances
        before = ordered
        order = [match_rows(-((mean[:, None] - job) ** 2).sum(axis=2)) for job in values]
        ordered = np.stack([job[o] for job, o in zip(values, order, strict=True)])
        mean = ordered.mean(axis=0)
        if np.array_equal(before, ordered):
            break
    return ordered


def _numbers(jobs: list[dict[str, Any]]) -> Panel | None:
    from neuroml.plotting import plot_jobs

    facts = [
        {name: value for name, value in job["facts"].items() if name not in DIAGNOSTICS}
        for job in jobs
    ]
    try:
        drawn = plot_jobs(facts)
    except DataError:  # no number differs
        return None
    return Panel(
        "cohort",
        drawn,
        "Numbers that differ between jobs (dots); the line is the median. What each of them is "
        "stands below, where the report says how the fits went.",
    )
