"""What is wrong with a recipe's ``[evaluate]`` and ``[select]``: every fault, not the first one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.metrics import get_scorer_names

from neuroml._core.validation import did_you_mean
from neuroml.batch.vocabulary import estimator_classes, has_y, step_names
from neuroml.evaluation._scorers import OWN_SCORES, SCORERS, predicts_states
from neuroml.evaluation.defaults import defaults_of_class
from neuroml.evaluation.nulls import KINDS

__all__ = ["find_score_faults"]

StepFaults = Callable[[str, dict[str, Any]], Iterator[str]]
_SPLITS = ("sessions", "blocks", "subjects")
_IN_WINDOWS = "explained_share"


def find_score_faults(
    content: dict[str, Any], steps: list[dict[str, Any]], step_faults: StepFaults
) -> list[str]:
    """List what is wrong with ``[evaluate]`` and ``[select]``, each fault with its key.

    Parameters
    ----------
    content : dict
        The recipe as TOML gives it.
    steps : list of dict
        Its steps.
    step_faults : callable
        ``step_faults(place, step)``: what is wrong with a step.
    """
    faults: list[str] = []
    evaluate, select = content.get("evaluate"), content.get("select")
    if isinstance(select, dict):
        faults += _select_faults(select, steps, step_faults)
    if isinstance(evaluate, dict):
        faults += _cv_faults(evaluate, content)
        faults += _null_faults(evaluate, content)
        faults += _baseline_faults(evaluate.get("baselines"), step_faults)
        faults += _adapt_faults(evaluate, _class_of(steps[-1:]))
    if isinstance(evaluate, dict) or isinstance(select, dict):
        place = "evaluate" if isinstance(evaluate, dict) else "select"
        scoring = evaluate.get("scoring") if isinstance(evaluate, dict) else None
        faults += _scoring_faults(place, scoring, content, steps)
    return faults


def _class_of(steps: list[dict[str, Any]]) -> type[BaseEstimator] | None:
    return estimator_classes().get(str(steps[0].get("use"))) if steps else None


def _section(content: dict[str, Any], name: str) -> dict[str, Any]:
    found = content.get(name)
    return found if isinstance(found, dict) else {}


def _cv_faults(evaluate: dict[str, Any], content: dict[str, Any]) -> Iterator[str]:
    cv = evaluate.get("cv")
    if cv is None:
        return
    if isinstance(cv, str) and cv in _SPLITS:
        scope = _section(content, "fit").get("scope", "recording")
        if cv == "subjects" and scope != "cohort":
            yield (
                f"evaluate.cv: scope = {scope!r} has one subject in each job, so that none can be "
                "left out; use fit.scope = 'cohort', or cv = 'sessions' or 'blocks'"
            )
    elif isinstance(cv, bool) or not isinstance(cv, int) or cv < 2:
        hint = did_you_mean(cv, _SPLITS) if isinstance(cv, str) else ""
        yield (
            f"evaluate.cv: {cv!r} says no folds{hint}; give a number of folds from 2 on, or one of "
            f"{', '.join(_SPLITS)}"
        )


def _null_faults(evaluate: dict[str, Any], content: dict[str, Any]) -> Iterator[str]:
    null, known = evaluate.get("null"), ("default", *KINDS)
    if null is None:
        if "n_permutations" in evaluate:
            yield "evaluate.n_permutations: there is nothing to permute without a null; name one"
        return
    if null not in known:
        hint = did_you_mean(null, known) if isinstance(null, str) else ""
        yield f"evaluate.null: there is no null {null!r}{hint} (known: {', '.join(known)})"
    data = _section(content, "data")
    if null == "matched-covariance" and has_y(data):
        yield (
            "evaluate.null: 'matched-covariance' is for models of X alone; where there is a y, use "
            "'permutation' or 'circular-shift'"
        )


def _baseline_faults(baselines: Any, step_faults: StepFaults) -> Iterator[str]:
    if baselines is None or baselines in ("default", "none"):
        return
    if not isinstance(baselines, dict):
        hint = did_you_mean(baselines, ("default", "none")) if isinstance(baselines, str) else ""
        yield (
            f"evaluate.baselines: {baselines!r} is not understood{hint}; give 'default', 'none', "
            "or a table of names and steps"
        )
        return
    for name, step in baselines.items():
        place = f"evaluate.baselines.{name}"
        if isinstance(step, dict) and isinstance(step.get("use"), str):
            yield from step_faults(place, step)
        else:
            yield f"{place}: a baseline is a step; write {{ use = 'Class' }}"


def _adapt_faults(evaluate: dict[str, Any], kind: type[BaseEstimator] | None) -> Iterator[str]:
    if "n_adapt" in evaluate and kind is not None and not hasattr(kind, "adapt"):
        yield f"evaluate.n_adapt: {kind.__name__} does not adapt to new subjects; leave it out"


def _scoring_faults(
    place: str, scoring: Any, content: dict[str, Any], steps: list[dict[str, Any]]
) -> Iterator[str]:
    """Whether the names are scores, and the model can be given each of them."""
    names = [scoring] if isinstance(scoring, str) else scoring
    known = [*SCORERS, *get_scorer_names()]
    if names is not None and not (
        isinstance(names, list) and names and all(isinstance(name, str) for name in names)
    ):
        yield f"{place}.scoring: {scoring!r} is not understood; give the name of a score, or a list"
        return
    for name in [name for name in names or [] if name not in known]:
        hint = did_you_mean(name, known)
        yield (
            f"{place}.scoring: there is no score {name!r}{hint} (known: {', '.join(SCORERS)}, and "
            "scikit-learn's)"
        )
    kind = _class_of(steps[-1:])
    if kind is None:
        return
    data = _section(content, "data")
    before, told = [_class_of([step]) for step in steps[:-1]], has_y(data)
    for name in names or defaults_of_class(kind).scoring:
        if (
            name in known
            and (reason := _unscorable(kind, before, name, has_target=told)) is not None
        ):
            yield f"{place}: {reason}"


def _unscorable(
    kind: type[BaseEstimator], before: list[Any], scoring: str, *, has_target: bool
) -> str | None:
    """Why a chain cannot be given a score, if so."""
    name, windows = kind.__name__, defaults_of_class(kind).scoring == (_IN_WINDOWS,)
    if windows != (scoring == _IN_WINDOWS):
        wanted = _IN_WINDOWS if windows else "another score"
        return f"{scoring!r} is no score of {name}; use {wanted}"
    if windows:
        return None
    changing = [one.__name__ for one in before if one is not None and _makes_windows(one)]
    if changing:
        return (
            f"{changing[0]} makes windows of the samples, which have no held-out samples that "
            f"{name} could be scored on; end in NonnegativeCP"
        )
    if scoring in OWN_SCORES:
        return None if hasattr(kind, "score") else f"{name} has no score, so it cannot be evaluated"
    if not hasattr(kind, "predict"):
        return f"{name} predicts nothing, so it has no {scoring!r}"
    if (reason := predicts_states(kind, (scoring,))) is not None:
        return reason
    return None if has_target else f"{scoring!r} compares predictions with a y: name a target"


def _makes_windows(kind: type[BaseEstimator]) -> bool:
    return kind.__module__.startswith("neuroml.connectome.")


def _select_faults(
    select: dict[str, Any], steps: list[dict[str, Any]], step_faults: StepFaults
) -> Iterator[str]:
    if len(select) != 1:
        yield (
            f"select: name one parameter, not {len(select)} ({', '.join(select)}): only the values "
            "of one have an order from simple to complex"
        )
        return
    ((key, given),) = select.items()
    names = step_names([str(step.get("use")) for step in steps])
    if isinstance(given, dict):
        if key not in names:
            yield f"select.{key}: there is no step {key!r}{did_you_mean(key, names)}" + (
                f" (steps: {', '.join(names)})"
            )
        elif len(given) != 1:
            yield f"select.{key}: name one parameter of the step, not {len(given)}"
        else:
            ((name, values),) = given.items()
            step = steps[names.index(key)]
            yield from _value_faults(f"select.{key}", name, values, step, step_faults)
    elif steps:
        yield from _value_faults("select", key, given, steps[-1], step_faults)


def _value_faults(
    place: str, name: str, values: Any, step: dict[str, Any], step_faults: StepFaults
) -> Iterator[str]:
    """Whether a step has the parameter, and it can have each of the values."""
    kind = _class_of([step])
    if kind is None:
        return
    if not isinstance(values, list) or len(values) < 2 or len(set(map(str, values))) < len(values):
        yield f"{place}.{name}: give a list of two or more different values, from simple to complex"
        return
    if name in step:
        yield (
            f"{place}.{name}: the step {step['use']} has {name} = {step[name]!r} already; leave it "
            "out there, or here"
        )
    told = (fault for value in values for fault in step_faults(place, _only(step, name, value)))
    yield from dict.fromkeys(told)


def _only(step: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    return {"use": step["use"], name: value}
