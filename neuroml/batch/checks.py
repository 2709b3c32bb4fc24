"""What is wrong with a recipe that its schema does not see: every fault, not the first one.

Each check looks at one part of the recipe as it stands in the file and passes over what the schema
refuses anyway, so that no fault hides another.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sklearn.base import BaseEstimator

from neuroml._core.estimator import (
    InvalidParameterError,
    validate_parameter_constraints,
)
from neuroml._core.validation import did_you_mean
from neuroml.batch.preparing import find_preparation_faults, misfit
from neuroml.batch.score_checks import find_score_faults
from neuroml.batch.vocabulary import READERS, estimator_classes, files_in, has_y
from neuroml.data import list_datasets

__all__ = ["find_faults"]

_FROM_RECORDINGS = ("X", "spikes", "stimuli")


def find_faults(content: dict[str, Any], where: Path) -> list[str]:
    """List what is wrong with a recipe's content, each fault with its key.

    Parameters
    ----------
    content : dict
        The recipe as TOML gives it.
    where : Path
        The folder that relative file names start from.

    Returns
    -------
    list of str
    """
    data, fit = _table(content, "data"), _table(content, "fit")
    steps = fit.get("steps")
    steps = [step for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []
    return [
        *_source_faults(data),
        *_option_faults(data, where),
        *_trial_faults(data),
        *_event_faults(data),
        *_stimulus_faults(data),
        *find_preparation_faults(content, where),
        *(f for i, step in enumerate(steps) for f in _step_faults(f"fit.steps.{i}", step)),
        *_chain_faults(data, fit, steps),
        *find_score_faults(content, steps, _step_faults),
    ]


def _table(content: dict[str, Any], name: str) -> dict[str, Any]:
    found = content.get(name)
    return found if isinstance(found, dict) else {}


def _source_faults(data: dict[str, Any]) -> Iterator[str]:
    dataset, files, folder = (data.get(name) for name in ("dataset", "files", "folder"))
    if sum(one is not None for one in (dataset, files, folder)) != 1:
        yield "data: name either a dataset or files, or a folder of BIDS"
    if files is not None and data.get("reader") in (None, "bids"):
        yield "data: files need a reader: 'fmri', 'traces', 'spikes' or 'trials'"
    if folder is not None and data.get("reader") != "bids":
        yield "data.folder: a folder is for reader = 'bids'"
    if "entities" in data and folder is None:
        yield "data.entities: these choose files of a folder, with reader = 'bids'"
    if isinstance(dataset, str) and dataset not in list_datasets():
        hint = did_you_mean(dataset, list_datasets())
        yield f"data: there is no data set {dataset!r}{hint}"
    if dataset is not None and files is None and folder is None:
        for key in ("reader", "options"):
            if key in data:
                yield f"data.{key}: a named data set has a reader of its own; this is for files"


def _event_faults(data: dict[str, Any]) -> Iterator[str]:
    events = data.get("events")
    if not isinstance(events, dict):
        return
    for name in ("target", "stimuli"):
        if data.get(name) is not None:
            yield f"data.{name}: with events, y is their label; leave it out"
    if data.get("files") is not None:
        yield "data.events: files have none; this is for reader = 'bids', or a data set"
    epoch = events.get("epoch_s")
    if epoch is not None and "lag_s" in events:
        yield "data.events: epoch_s counts from the onset; leave lag_s out, and shift epoch_s"
    if isinstance(epoch, list) and len(epoch) == 2 and not epoch[0] <= epoch[1]:
        yield f"data.events.epoch_s: {epoch} begins after it ends"


def _option_faults(data: dict[str, Any], where: Path) -> Iterator[str]:
    reader, options = data.get("reader"), _table(data, "options")
    if not isinstance(reader, str) or reader not in READERS:
        return
    _, *parameters = inspect.signature(READERS[reader]).parameters.values()
    known = [one.name for one in parameters if one.name not in ("key", "entities")]
    kinds = typing.get_type_hints(READERS[reader])
    for name, value in options.items():
        if name in known and (reason := misfit(value, kinds[name])) is not None:
            yield f"data.options.{name}: {value!r} does not fit ({reason})"
        if name not in known:
            yield (
                f"data.options.{name}: read_{reader} has no such option"
                f"{did_you_mean(name, known)} (it has {', '.join(known)})"
            )
    for parameter in parameters:
        if parameter.default is parameter.empty and parameter.name not in options:
            yield f"data.options: read_{reader} needs {parameter.name}"
    for name, file in files_in(reader, options, where).items():
        if not file.exists():
            yield f"data.options.{name}: there is no file {str(file)!r}"


def _trial_faults(data: dict[str, Any]) -> Iterator[str]:
    """A table of trials has y for a signal, so that X has to be named."""
    y = _table(data, "options").get("y")
    if data.get("reader") == "trials" and "inputs" not in data:
        yield f"data.inputs: name the columns of X; the signal of a table of trials is its y, {y!r}"
    target, inputs = data.get("target"), data.get("inputs")
    if isinstance(target, str) and isinstance(inputs, list) and target in inputs:
        yield f"data.inputs: {target!r} is the target, which would be explained by itself"


def _stimulus_faults(data: dict[str, Any]) -> Iterator[str]:
    if data.get("stimuli") is None:
        return
    for key in ("target", "inputs"):
        if data.get(key) is not None:
            yield f"data.{key}: with stimuli, X is the stimulus and y the signal; leave it out"
    if data.get("layout") == "subjects":
        yield "data.layout: stimuli are for layout = 'stacked'"


def _step_faults(place: str, step: dict[str, Any]) -> Iterator[str]:
    """Class, names and values of one step's parameters."""
    classes, use = estimator_classes(), step.get("use")
    if not isinstance(use, str):
        return
    if use not in classes:
        yield f"{place}: there is no estimator {use!r}{did_you_mean(use, classes)}"
        return
    known = classes[use]._get_param_names()
    parameters = {name: value for name, value in step.items() if name != "use"}
    for name in parameters:
        if name not in known:
            yield (
                f"{place}: {use} has no parameter {name!r}{did_you_mean(name, known)}"
                f" (it has {', '.join(known)})"
            )
    constraints = getattr(classes[use], "_parameter_constraints", {})
    for name in [name for name in parameters if name in constraints]:
        try:
            validate_parameter_constraints(constraints, {name: parameters[name]}, use)
        except InvalidParameterError as error:
            yield f"{place}: {error}"


def _chain_faults(
    data: dict[str, Any], fit: dict[str, Any], steps: list[dict[str, Any]]
) -> Iterator[str]:
    """Whether each step can take what the one before it, or the data, hand on."""
    if fit.get("steps") == []:
        yield "fit.steps: name at least one step"
    if data.get("layout") == "subjects" and len(steps) > 1:
        yield "fit.steps: layout = 'subjects' takes exactly one step"
    known, every = estimator_classes(), [str(step.get("use")) for step in steps]
    for number, use in enumerate(every):
        if use in known:
            place, last = f"fit.steps.{number}", number == len(every) - 1
            yield from (f"{place}: {fault}" for fault in _place_faults(known[use], last=last))
    if every and every[0] in known and data.get("inputs") == []:
        if not _takes_no_x(known[every[0]]):
            yield f"data.inputs: an empty list is no X, and {every[0]} needs one"
    if every and every[-1] in known and _needs_y(known[every[-1]]):
        if not has_y(data):
            yield f"data: {every[-1]} needs a y: name a target (or stimuli, or events)"


def _place_faults(kind: type[BaseEstimator], *, last: bool) -> Iterator[str]:
    first = _fit_parameters(kind)[0].name
    if first not in _FROM_RECORDINGS:
        yield (
            f"{kind.__name__} is fitted to a {first if len(first) > 1 else 'matrix'}, which no "
            "step makes of recordings, so that it cannot stand in a recipe"
        )
    elif not last and not (hasattr(kind, "transform") and hasattr(kind, "get_feature_names_out")):
        yield f"{kind.__name__} hands no new X on, so that it can only be the last step"


def _fit_parameters(kind: type[BaseEstimator]) -> list[inspect.Parameter]:
    return list(inspect.signature(kind.fit).parameters.values())[1:]


def _needs_y(kind: type[BaseEstimator]) -> bool:
    positional = [p for p in _fit_parameters(kind) if p.kind is p.POSITIONAL_OR_KEYWORD]
    return len(positional) > 1 and positional[1].default is inspect.Parameter.empty


def _takes_no_x(kind: type[BaseEstimator]) -> bool:
    return "None" in str(_fit_parameters(kind)[0].annotation).split(" | ")
