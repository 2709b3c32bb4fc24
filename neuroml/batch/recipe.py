"""The recipe: what to read, how to clean it, which model to fit, as a checked TOML file."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sklearn.base import BaseEstimator, clone

from neuroml._core.validation import did_you_mean
from neuroml.batch.checks import find_faults
from neuroml.batch.vocabulary import LABEL, estimator_classes, step_names
from neuroml.data import list_datasets, read_card
from neuroml.exceptions import RecipeError

__all__ = [
    "DataSection",
    "EvaluateSection",
    "EventsSection",
    "FitSection",
    "PrepareStep",
    "Recipe",
    "Step",
    "load_recipe",
    "read_recipe",
    "refusal",
    "validate_recipe",
]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EventsSection(_Section):
    """``[data.events]``: events make the rows, and their labels are y.

    Attributes
    ----------
    label : str
        The column of the events' tables that y is.
    lag_s : float
        Every sample is a row, with the label of the event that it falls into this long after, or
        "rest" (`neuroml.data.labels_from_events`).
    epoch_s : (float, float), optional
        Every event is a row instead: the mean of each unit from the first to the second time
        after the onset (`neuroml.data.epochs`).
    """

    label: str = "trial_type"
    lag_s: float = 0.0
    epoch_s: tuple[float, float] | None = None


class DataSection(_Section):
    """``[data]``: a named data set, files and the reader for them, or a BIDS folder.

    Attributes
    ----------
    dataset : str
        A name from ``neuroml data list``.
    files : list of str
        Paths or glob patterns, relative to the recipe.
    reader : {"bids", "fmri", "traces", "spikes", "trials"}
        Which of ``neuroml.data.read_*`` reads each file.
    options : dict
        Arguments of the reader.
    folder, entities : str, dict
        For ``reader = "bids"`` the folder, relative to the recipe, and which of its files to take
        (`neuroml.data.read_bids`); an empty label stands for files without the entity.
    subjects, sessions, runs : list of str
        Only these.
    signal : str
        The variable that becomes X.
    target, inputs, stimuli : str, list of str, str
        For models that need them: the y (a column, or "signal" for all units), the columns of X
        instead of the signal (an empty list is no X), the stimulus (then X is the frame shown at
        each sample and y the signal).
    covariates : list of str
        Columns of the recordings' covariates (or variables on time) that a model takes beside X.
    events : EventsSection
        The labels of events as y, in place of a target.
    layout : {"stacked", "subjects"}
        One array of all samples, or, for models with a part for each subject (who may have units of
        their own), a dict of one array per subject; then there is one step only.
    shared_by : int
        Put recordings with named units on one axis, keeping units that this many recordings have.
    """

    dataset: str | None = None
    files: list[str] | None = None
    reader: Literal["bids", "fmri", "traces", "spikes", "trials"] | None = None
    folder: str | None = None
    entities: dict[str, str | int] = {}
    options: dict[str, Any] = {}
    subjects: list[str] | None = None
    sessions: list[str] | None = None
    runs: list[str] | None = None
    signal: str = "signal"
    target: str | list[str] | None = None
    inputs: list[str] | None = None
    stimuli: str | None = None
    covariates: list[str] | None = None
    events: EventsSection | None = None
    layout: Literal["stacked", "subjects"] = "stacked"
    shared_by: int | None = None

    @property
    def y(self) -> str | list[str] | None:
        """What `neuroml.data.stack` takes as the target."""
        return self.target if self.events is None else LABEL


class _Use(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)
    use: str

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters given in the recipe."""
        return dict(self.model_extra or {})


class PrepareStep(_Use):
    """One ``[[prepare]]``: ``use`` names a function of ``neuroml.data``, other keys its options."""


class Step(_Use):
    """One ``[[fit.steps]]``: ``use`` names a class, every other key is a parameter of it."""

    def build(self, random_state: int | None = None) -> BaseEstimator:
        """Return a fresh estimator; ``random_state`` is used if the recipe's step gives none."""
        estimator = estimator_classes()[self.use](**self.parameters)
        if "random_state" in estimator.get_params() and "random_state" not in self.parameters:
            estimator.set_params(random_state=random_state)
        return clone(estimator)


class FitSection(_Section):
    """``[fit]``: the chain of transformers and the model at its end.

    Attributes
    ----------
    scope : {"recording", "subject", "cohort"}
        One model for each recording, for each subject's recordings, or for all of them.
    random_state : int
        Seed of every step that takes one.
    steps : list of Step
        Classes with their parameters, in the order of the chain.
    """

    scope: Literal["recording", "subject", "cohort"] = "recording"
    random_state: int = 0
    steps: list[Step]


class EvaluateSection(_Section):
    """``[evaluate]``: the model beside its baselines, as `neuroml.evaluation.evaluate` does it.

    Attributes
    ----------
    cv : int, "sessions", "blocks" or "subjects"
        What is held out at a time; a number is one of folds: of sessions where there are as many,
        else of blocks of time. By default as `neuroml.evaluation.evaluate` has it.
    scoring : str or list of str
        Names of scores, the summary's first; by default those of the model's class.
    baselines : "default", "none", or dict of str to step
        Steps of the user's own, each of which takes the place of the last one.
    null : "default", "permutation", "circular-shift" or "matched-covariance"
        No p-values if absent.
    n_permutations : int
        How many draws from the null.
    n_adapt : int
        Samples of a left-out subject that the model adapts to.
    """

    cv: Any = None
    scoring: Any = None
    baselines: Any = "default"
    null: Any = None
    n_permutations: int = Field(default=200, ge=1)
    n_adapt: int | None = Field(default=None, ge=2)


class Recipe(_Section):
    """A whole recipe.

    Attributes
    ----------
    title, description : str
        The heading of the report, and what stands below it.
    data : DataSection
        What to read.
    prepare : list of PrepareStep
        ``[[prepare]]``: what is done to each recording on its own, in this order.
    clean : dict
        Arguments of `neuroml.data.clean`, which comes after these; no cleaning if absent.
    fit : FitSection
        Which model to fit to what.
    evaluate : EvaluateSection
        What to compare the model with; no scores if absent.
    select : dict
        ``[select]``: one parameter of the last step, or under the name of a step one of that step,
        with its values from simple to complex. The first one is taken whose held-out score is
        within one standard error of the best one's, of the paired difference over folds; the folds
        are those of ``evaluate``, or its defaults. What is evaluated is then the choice and the
        fit together: every fold chooses anew in its own training data.
    where : Path
        The folder that relative file names start from.
    """

    title: str
    description: str = ""
    data: DataSection
    prepare: list[PrepareStep] = []
    clean: dict[str, Any] | None = None
    fit: FitSection
    evaluate: EvaluateSection | None = None
    select: dict[str, Any] | None = None
    where: Path

    @property
    def sha256(self) -> str:
        """Fingerprint of everything in the recipe that changes results."""
        content = self.model_dump(mode="json", exclude={"title", "description", "where"})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def preparation(self) -> list[dict[str, Any]]:
        """``[[prepare]]`` as TOML has it."""
        return [step.model_dump() for step in self.prepare]

    def candidates(self) -> dict[str, Recipe]:
        """The recipe with each value of its ``select``, by ``parameter=value``; else none."""
        if self.select is None:
            return {}
        ((key, given),) = self.select.items()
        number, name, values = len(self.fit.steps) - 1, key, given
        if isinstance(given, dict):
            number = step_names([step.use for step in self.fit.steps]).index(key)
            ((name, values),) = given.items()
        return {f"{name}={value}": self._with(number, {name: value}) for value in values}

    def with_last(self, step: dict[str, Any]) -> Recipe:
        """The recipe with another last step."""
        return self._with_steps([*self.fit.steps[:-1], Step(**step)])

    def _with(self, number: int, parameters: dict[str, Any]) -> Recipe:
        steps = list(self.fit.steps)
        steps[number] = Step(use=steps[number].use, **steps[number].parameters, **parameters)
        return self._with_steps(steps)

    def _with_steps(self, steps: list[Step]) -> Recipe:
        fit = self.fit.model_copy(update={"steps": steps})
        return self.model_copy(update={"fit": fit, "select": None})


def read_recipe(name: Path | str) -> Recipe:
    """Read and check a recipe.

    Parameters
    ----------
    name : path-like
        A TOML file, or the name of a data set that comes with a recipe.

    Raises
    ------
    RecipeError
        With every fault found, each naming its key and, for a misspelt one, the nearest valid key.
    """
    path, content = load_recipe(name)
    recipe, faults = validate_recipe(content, path.resolve().parent)
    if recipe is None:
        raise refusal(path, faults)
    return recipe


def load_recipe(name: Path | str) -> tuple[Path, dict[str, Any]]:
    """Find a recipe's file and parse it; nothing in it is checked.

    Raises
    ------
    RecipeError
        If there is no such file, or it is not TOML.
    """
    path = Path(name)
    if not path.is_file() and str(name) in list_datasets():
        path = read_card(str(name)).where / "recipe.toml"
    if not path.is_file():
        hint = did_you_mean(str(name), list_datasets())
        raise RecipeError(
            f"There is no recipe {str(name)!r}{hint}: give a TOML file or a data set."
        )
    try:
        return path, tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        hint = "" if path.suffix == ".toml" else ". neuroml init writes a recipe for recordings"
        raise RecipeError(f"{path} is not valid TOML: {error}{hint}") from error


def validate_recipe(content: dict[str, Any], where: Path) -> tuple[Recipe | None, list[str]]:
    """Return the recipe, or None and every fault in it."""
    recipe, faults = None, []
    try:
        recipe = Recipe(**{**content, "where": where})
    except ValidationError as error:
        faults = [_explain(fault) for fault in error.errors()]
    if "where" in content:
        faults.append("where: unknown key")
    faults += find_faults(content, where)
    return (None if faults else recipe), faults


def refusal(path: Path, faults: Iterable[str]) -> RecipeError:
    """The error that lists a recipe's faults."""
    lines = "\n".join(f"  {fault}" for fault in faults)
    return RecipeError(f"{path} is not a valid recipe:\n{lines}")


def _explain(fault: Any) -> str:
    """One sentence for one of pydantic's errors, with the place and the nearest valid key."""
    place = ".".join(str(part) for part in fault["loc"]) or "recipe"
    if fault["type"] == "extra_forbidden":
        sections: dict[str, type[BaseModel]] = {
            "data": DataSection,
            "data.events": EventsSection,
            "fit": FitSection,
            "evaluate": EvaluateSection,
        }
        above = ".".join(str(part) for part in fault["loc"][:-1])
        section = sections[above] if above else Recipe
        known = [key for key in section.model_fields if key != "where"]
        hint = did_you_mean(str(fault["loc"][-1]), known)
        return f"{place}: unknown key{hint} (known: {', '.join(known)})"
    if fault["type"] == "missing":
        return f"{place}: this key is missing"
    return f"{place}: {fault['msg'].removeprefix('Value error, ')}"
