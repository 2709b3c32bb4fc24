"""Panels of factorized connectivity and of communities."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator

from neuroml.connectome import AffinityTensor, DynamicConnectome
from neuroml.plotting import (
    plot_blocks,
    plot_brain,
    plot_cohort_components,
    plot_components,
    plot_connectogram,
    plot_convergence,
    plot_loadings,
    plot_motifs,
    plot_unit_traces,
)
from neuroml.report.context import Context
from neuroml.report.elements import Panel, last_step
from neuroml.report.tables.connectome import (
    affinity_of,
    mode_labels,
    restarts_sentence,
    subject_names,
    windows_sentence,
)

__all__ = ["blocks", "cohort", "components"]


def components(model: BaseEstimator, context: Context) -> list[Panel]:
    """Components over time, groups of units or subjects, and how the fit converged."""
    affinity = affinity_of(model)
    last = [_convergence(model), *_short(model)]
    if affinity is not None:
        return [_cohort_components(model, affinity, context), *last]
    return [_components(model, context), _loadings(model, context), *last]


def _short(model: BaseEstimator) -> list[Panel]:
    """What is said where a recording is too short for its windows."""
    said = windows_sentence(model)
    return [] if said is None else [Panel("windows", None, said)]


def _components(model: BaseEstimator, context: Context) -> Panel:
    (time_label, times), (unit_label, _), *_ = mode_labels(model, context)
    sessions = None
    if len(last_step(model).cp_.factors[0]) == len(context.sessions):
        time_label = time_label.replace(context.time_label, context.running_label)
        times, sessions = context.running_time, context.sessions
    return Panel(
        "components",
        plot_components(
            last_step(model),
            times=times,
            time_label=time_label,
            sessions=sessions,
            unit_label=unit_label,
        ),
        "Left: strength of each component over time, as a share of the largest value of all. "
        "Right: the pattern that the component stands for, units sorted by the component on "
        "which they load most (a matrix between units, or the loadings of units or pairs).",
    )


def _loadings(model: BaseEstimator, context: Context) -> Panel:
    _, names = mode_labels(model, context)[1]
    return Panel(
        "groups",
        plot_loadings(last_step(model), unit_names=names),
        "Loading of every unit or pair on every component, as a share of its largest.",
    )


def _convergence(model: BaseEstimator) -> Panel:
    return Panel(
        "convergence",
        plot_convergence(last_step(model), label="relative error"),
        "Relative reconstruction error after each iteration of the kept start (line) and at the "
        "end of every start (dots). A wide spread of dots means local minima. "
        f"{restarts_sentence(last_step(model))}",
    )


def _cohort_components(model: BaseEstimator, affinity: AffinityTensor, context: Context) -> Panel:
    _, (_, subjects), (time_label, times) = mode_labels(model, context)
    return Panel(
        "components",
        plot_cohort_components(
            last_step(model),
            affinity,
            times=times,
            time_label=time_label,
            subject_names=subjects,
        ),
        "For each component, when it is active, in which subjects, and between which units, "
        "sorted by their place in the hierarchy of the strongest component's affinities.",
    )


def blocks(model: BaseEstimator, context: Context) -> list[Panel]:  # noqa: ARG001
    """How often the starts agree, nodes sorted by block."""
    model = last_step(model)
    drawn = plot_blocks(model.coassignment_, model.labels_, value_label="share of starts")
    caption = "Share of the starts that put two nodes into one block; lines part the kept blocks."
    return [Panel("consensus", drawn, caption)]


def cohort(model: BaseEstimator, context: Context) -> list[Panel]:
    """When, in which subjects and between whom; the strongest edges; the traces behind them."""
    model = last_step(model)
    first = int(np.argmax(model.communities_.max(axis=1)))
    return [
        _motifs(model, context),
        Panel(
            "connectogram",
            plot_connectogram(
                model.motifs_[first], model.communities_[first], unit_names=context.columns
            ),
            f"The strongest connections of component {first}. Colors are communities, gray units "
            "belong to none.",
        ),
        _traces(model, context, first),
        _brain(model, context, first),
        *_short(model),
    ]


def _motifs(model: DynamicConnectome, context: Context) -> Panel:
    n_times = len(model.time_courses_)
    return Panel(
        "components",
        plot_motifs(
            model,
            times=context.running_time[: n_times * model.stride : model.stride],
            time_label=context.time_label,
            subject_names=subject_names(model, context),
            events=context.events[0],
        ),
        "For each component, when it is active (shaded), in which subjects, and between which "
        "units, sorted by community; lines part the communities. "
        f"{restarts_sentence(model.factorization_)}",
    )


def _traces(model: DynamicConnectome, context: Context, component: int) -> Panel:
    """Traces of the subject that has most of a component."""
    rows = list(context.rows_of_subjects().values())
    if context.X is None or not rows:
        return Panel(
            "traces", None, "The traces are not drawn: they did not come along with the model."
        )
    shown = rows[int(model.subject_loadings_[:, component].argmax())]
    active = model.table_[model.table_.component == component]
    return Panel(
        "traces",
        plot_unit_traces(
            context.X[shown],
            model.communities_[component],
            intervals=active[["start", "stop"]].to_numpy(dtype=int),
            times=context.running_time[: len(shown)],
            time_label=context.time_label,
        ),
        f"Traces of the subject with the largest loading on component {component}, sorted by "
        "community; white lines are the borders of its active intervals.",
    )


def _brain(model: DynamicConnectome, context: Context, component: int) -> Panel:
    places = _places(context)
    if places is None:
        return Panel(
            "brain", None, "The brain is not drawn: not all units have coordinates in an MNI space."
        )
    return Panel(
        "brain",
        plot_brain(model.motifs_[component], model.communities_[component], places),
        f"The strongest connections of component {component} in the brain. Colors of regions are "
        "communities, gray ones belong to none.",
    )


def _places(context: Context) -> np.ndarray | None:
    """Coordinates of the units in MNI space (n_units, 3) in mm, if they have them."""
    recording = context.recordings[0]
    units = recording["unit"].coords
    if not {"x", "y", "z"} <= set(units) or len(context.columns) != units["unit"].size:
        return None
    own = recording.attrs.get("space", "")  # of an image; a table may say it of each unit
    space = np.atleast_1d(units["space"].values) if "space" in units else [own]
    if not all(str(name).startswith("MNI") for name in space):
        return None
    return np.column_stack([units[axis].values for axis in "xyz"])
