"""Models beside their baselines, on the same held-out data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from neuroml._core.estimator import check_option
from neuroml._core.parallel import (
    RandomState,
    run_parallel,
    show_progress,
    spawn_generators,
)
from neuroml._core.warn import each_warning_once
from neuroml.evaluation._choosing import Choice
from neuroml.evaluation._designs import (
    CellsDesign,
    Design,
    design_of,
)
from neuroml.evaluation._fitted import Alone, last_step, takes_subjects
from neuroml.evaluation._folds import Folds
from neuroml.evaluation._layouts import Rows, read_array, read_cells, read_samples, read_subjects
from neuroml.evaluation._results import Evaluation, collect
from neuroml.evaluation._scorers import SCORERS, Scorer, named_scorers, predicts_states
from neuroml.evaluation._tasks import Result, Task, run_task
from neuroml.evaluation._whole_data import with_classes, with_covariates
from neuroml.evaluation.defaults import Defaults, defaults_of
from neuroml.evaluation.nulls import KINDS, warn_of_few_orders
from neuroml.exceptions import DataError

__all__ = ["Plan", "Store", "evaluate", "plan_evaluation"]


@each_warning_once()
def evaluate(  # noqa: PLR0913
    models: Any,
    X: Any,
    y: Any = None,
    *,
    sessions: Any = None,
    groups: ArrayLike | None = None,
    covariates: Any = None,
    cv: Any = None,
    scoring: Any = None,
    baselines: Any = "default",
    null: str | None = None,
    n_permutations: int = 200,
    n_adapt: int | None = None,
    n_jobs: int | None = None,
    verbose: int = 0,
    random_state: RandomState = None,
) -> Evaluation:
    """Score models and their baselines on the same held-out data.

    Parameters
    ----------
    models : estimator, list of estimators, or dict of str to estimator
        They are copied; nothing is fitted in place.
    X, y
        As for the models' ``fit``: an array, table or recording, a list of sessions or a dict of
        subjects; stimuli and responses for a `neuroml.celltypes.ResponseModel`; a model of cells
        and their known types for `neuroml.celltypes.MostDiscriminativeStimuli`.
    sessions : array-like of shape (n_samples,), optional
        Session of each sample; a dict of them where X is a dict of subjects whose units differ.
    groups : array-like of shape (n_samples,), optional
        Subject of each sample.
    covariates : array-like of shape (n_samples, n_covariates), optional
        For models that take them, as for their ``fit``. Nulls leave them where they are.
    cv : None, int, splitter, or iterable of (train, test), default=None
        None: each subject is left out once, where models adapt to new subjects and there are two or
        more; else five folds of whole sessions where there are as many; else five contiguous blocks
        of time with a gap as long as the models' windows and histories, and as the data's
        autocorrelation time. An int sets the number of folds. A splitter of scikit-learn or of
        `neuroml.data`; with ``n_adapt``, or if it splits by groups, it splits subjects. Clusters of
        cells are found with several seeds instead, five by default.
    scoring : None, str, callable, list or dict, default=None
        None: those of the first model's class. "log_likelihood" and "bits" per sample (above a
        constant rate), "correlation", "r2", "retrieval", "accuracy", "explained_share" (of
        held-out entries of connectivity), "score" (a model's own), a name of scikit-learn's, or a
        function of estimator, X and y. Larger is better.
    baselines : "default", None, or dict of str to estimator, default="default"
        "default": the plain models of the first model's class, see `neuroml.evaluation.defaults`.
    null : None, "default", "permutation", "circular-shift" or "matched-covariance", default=None
        What there would be to find by chance, for ``p``. Where there are targets, they are dealt
        anew within sessions ("permutation", for samples that are exchangeable), or the inputs are
        turned in time within sessions ("circular-shift"): targets that a model follows in time
        keep their course. Models of X alone see samples dealt anew within sessions, units turned
        in time independently, or spectra with new phases, the same for all units
        ("matched-covariance"). Every fold is fitted anew to each of these data, since the scores
        of folds that train on each other's test data depend on each other; only where no sample
        both trains and is tested, as in a single fold, fits stay and only held-out samples move,
        which costs next to nothing. "default": the class's.
    n_permutations : int, default=200
    n_adapt : int, optional
        Rows of a left-out subject that models adapt to; by default half of the rows of the
        shortest subject. They are the first ones: samples near in time are alike. Where subjects
        have targets in common, they saw the same stimuli: those that are tested then train no
        other subject either, and only the second half of a subject's rows is tested.
    n_jobs : int, optional
        Processes over models and folds; within ``joblib.parallel_config(backend="dask")``, the
        workers of a Dask cluster.
    verbose : int, default=0
        1 shows the progress.
    random_state : int, RandomState, Generator or None, default=None
        Also of models whose own is None.

    Returns
    -------
    Evaluation
        ``table_`` with every score, and ``summary()``.

    Raises
    ------
    DataError
        If data, splits or scores do not fit the models.
    Exception
        Whatever stops the fit, or the score, of one of ``models``, with a note that names it.

    Warns
    -----
    UserWarning
        If much of the test data lies within the autocorrelation time of training data, or a default
        baseline cannot be fitted.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from neuroml.evaluation import evaluate
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(100, 3))
    >>> y = X @ [1.0, 0.5, 0.0] + rng.normal(size=100)
    >>> found = evaluate(
    ...     {"ridge": Ridge()}, X, y, null="permutation", n_permutations=19, random_state=0
    ... )
    >>> found.summary()[["model", "mean"]].round(2).values.tolist()
    [['ridge', 0.59], ['baseline: mean', -0.03]]
    >>> float(found.summary()["p"][0])
    0.05
    """
    plan = plan_evaluation(
        models, X, y, sessions=sessions, groups=groups, cv=cv, scoring=scoring, baselines=baselines,
        null=null, n_permutations=n_permutations, n_adapt=n_adapt, random_state=random_state,
        covariates=covariates,
    )  # fmt: skip
    return plan.run(n_jobs=n_jobs, verbose=verbose)


class Store(Protocol):
    """Keeps the result of each task as it comes, so that a stopped evaluation can go on."""

    def recall(self, name: str, fold: int) -> Result | None:
        """What was kept of a model in a fold."""
        ...

    def keep(self, result: Result) -> None:
        """Keep a result."""
        ...


@dataclass(frozen=True)
class Plan:
    """The fits of an evaluation, before any of them is done.

    Attributes
    ----------
    design : Design
    tasks : list of Task
        One for each fold and model.
    scorers : dict of str to Scorer
    kind : str or None
        Of the null.
    optional : set of str
        Models whose failure does not end the evaluation.
    """

    design: Design
    tasks: list[Task]
    scorers: dict[str, Scorer]
    kind: str | None
    optional: set[str]

    def run(
        self, store: Store | None = None, *, n_jobs: int | None = None, verbose: int = 0
    ) -> Evaluation:
        """Do the tasks that the store does not know, and put all results together."""
        known: dict[tuple[str, int], Result] = {}
        if store is not None:
            kept = [store.recall(task.name, task.fold) for task in self.tasks]
            known = {(one.name, one.fold): one for one in kept if one is not None}
        left = [(task, self.optional) for task in self.tasks if (task.name, task.fold) not in known]
        done: Iterable[Result] = run_parallel(run_task, left, n_jobs=n_jobs)
        for result in show_progress(done, len(left), "fits", verbose):
            known[result.name, result.fold] = result
            if store is not None:
                store.keep(result)
        results = [known[task.name, task.fold] for task in self.tasks]
        return collect(results, self.scorers, self.kind, self.design)


def plan_evaluation(  # noqa: PLR0913
    models: Any,
    X: Any,
    y: Any = None,
    *,
    sessions: Any,
    groups: Any,
    cv: Any,
    scoring: Any,
    baselines: Any,
    null: str | None,
    n_permutations: int,
    n_adapt: int | None,
    random_state: RandomState,
    covariates: Any = None,
) -> Plan:
    """The plan of `evaluate`, which says what the parameters are; models may be a `Choice`."""
    named = _named(models)
    given = next(iter(named.values()))
    first = given.model if isinstance(given, Choice) else given
    known = defaults_of(first)
    cv = _checked_cv(cv)
    if null is not None and (not _is_whole(n_permutations, 1)):
        raise DataError(
            "a null needs permutations", expected="an int of at least 1", found=n_permutations,
            field="n_permutations",
        )  # fmt: skip
    scorers = named_scorers(scoring, known.scoring)
    _check_scores(_candidates(named), scorers)
    data = _read(first, known, X, y, sessions, groups, n_adapt=n_adapt)
    if covariates is not None:
        data = with_covariates(data, covariates, X, _candidates(named))
    named = {name: with_classes(model, data) for name, model in named.items()}
    first = with_classes(first, data)
    kind = _null_kind(null, known, data)
    if kind is not None:
        parts = [data] if isinstance(data, Rows) else list(data.values())
        if parts[0].y is not None:
            warn_of_few_orders(kind, [rows.sessions for rows in parts], n_permutations)
    plain = _baselines(first, known, data, baselines)
    everyone = named | {f"baseline: {name}": one for name, one in plain.items()}
    (rng,) = spawn_generators(random_state, 1)
    if isinstance(data, Rows) and (cv is None or isinstance(cv, int | np.integer)):
        cv = Folds.of(data, cv)
    design: Design
    if known.layout == "cells" and isinstance(data, Rows):
        _check_cells(cv, kind)
        design = CellsDesign(data.X, data.y, cv.n_splits)
    else:
        design = design_of(data, cv, n_adapt, _candidates(named))
    everyone = {
        name: replace(one, cv=cv) if isinstance(one, Choice) else one
        for name, one in everyone.items()
    }
    tasks = _tasks(design, everyone, scorers, kind, n_permutations, rng)
    optional = set() if baselines != "default" else everyone.keys() - named.keys()
    return Plan(design, tasks, scorers, kind, optional)


def _check_cells(cv: Any, kind: str | None) -> None:
    """Cells have no time to split or to turn."""
    if not isinstance(cv, Folds) or kind not in (None, "permutation"):
        raise DataError(
            "cells are clustered with several seeds, and their types can only be dealt anew",
            expected="cv=None or a number of seeds, null=None or 'permutation'",
            found=f"cv={cv!r}, null={kind!r}",
            field="cv" if not isinstance(cv, Folds) else "null",
        )


def _candidates(models: dict[str, Any]) -> list[Any]:
    return [
        one
        for model in models.values()
        for one in (model.candidates.values() if isinstance(model, Choice) else [model])
    ]


def _check_scores(models: list[Any], scorers: dict[str, Scorer]) -> None:
    """A function of the user's own may ask for anything; a name of ours is held to its meaning."""
    asked = tuple(name for name, one in scorers.items() if SCORERS.get(name) is one)
    for model in models:
        reason = predicts_states(type(last_step(model)), asked)
        if reason is not None:
            raise DataError(reason, field="scoring")


def _is_whole(value: Any, least: int) -> bool:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return bool(whole and value >= least)


def _checked_cv(cv: Any) -> Any:
    """Folds that are given one by one as a list, since each subject's rows go through them."""
    whole = _is_whole(cv, 2)
    if (
        cv is None
        or whole
        or isinstance(cv, Folds)
        or (hasattr(cv, "split") and not isinstance(cv, str))
    ):
        return cv
    if isinstance(cv, Iterable) and not isinstance(cv, str | Mapping):
        folds = list(cv)
        if all(isinstance(fold, Sequence | np.ndarray) and len(fold) == 2 for fold in folds):
            return folds
    raise DataError(
        "these are no folds",
        expected="None, an int of at least 2, a splitter, or pairs of train and test rows",
        found=repr(cv)[:80],
        field="cv",
    )


def _named(models: Any) -> dict[str, Any]:
    if isinstance(models, Mapping):
        found = {str(name): model for name, model in models.items()}
    elif isinstance(models, Sequence):
        found = {}
        for model in models:
            name = type(last_step(model)).__name__
            copies = sum(other.split(" #")[0] == name for other in found)
            found[name if not copies else f"{name} #{copies + 1}"] = model
    else:
        found = {type(last_step(models)).__name__: models}
    wrong = [
        name
        for name, model in found.items()
        if not hasattr(model, "fit") and not isinstance(model, Choice)
    ]
    if wrong or not found or any(name.startswith("baseline: ") for name in found):
        raise DataError(
            "these are no models to evaluate",
            expected="an estimator, a list of them, or a dict of names (not 'baseline: ...')",
            found=f"no fit in {wrong}" if wrong else repr(list(found)),
            field="models",
        )
    return found


def _read(
    first: Any,
    known: Defaults,
    X: Any,
    y: Any,
    sessions: Any,
    groups: ArrayLike | None,
    *,
    n_adapt: int | None,
) -> Rows | dict[Any, Rows]:
    subjects = known.layout == "subjects" or takes_subjects(last_step(first))
    if subjects:
        data = read_subjects(X, y, sessions, groups)
        if len(data) > 1:
            return data
    if n_adapt is not None:
        raise DataError(
            "this model does not adapt to new subjects, or there is only one subject",
            expected="n_adapt=None, or a model with adapt and two or more subjects",
            found=f"n_adapt={n_adapt} for {type(last_step(first)).__name__}",
            field="n_adapt",
        )
    if subjects:
        return next(iter(data.values()))
    if known.layout == "cells":
        if y is None:
            raise DataError(
                "clusters of cells are compared with known types",
                expected="y=, the type of each cell",
                found="None",
                fix="Without types, neuroml.celltypes.stability compares seeds.",
                field="y",
            )
        return read_cells(X, y)
    if known.layout == "array" and last_step(first) is first:
        return read_array(X, y, sessions, groups)
    return read_samples(X, y, sessions, groups)


def _null_kind(null: str | None, known: Defaults, data: Rows | dict[Any, Rows]) -> str | None:
    if null is None:
        return None
    check_option(null, ("default", *KINDS), "null")
    kind = known.null if null == "default" else null
    rows = data if isinstance(data, Rows) else next(iter(data.values()))
    if null == "default" and rows.X is None:
        kind = "permutation"  # y alone: turning it leaves it as it is
    if kind == "matched-covariance" and rows.y is not None:
        raise DataError(
            "surrogates of matched covariance are for models of X alone",
            expected="null='permutation' or 'circular-shift' where there is a y",
            found="null='matched-covariance' with y",
            field="null",
        )
    return kind


def _baselines(
    first: Any, known: Defaults, data: Rows | dict[Any, Rows], baselines: Any
) -> dict[str, Any]:
    if baselines is None:
        return {}
    if isinstance(baselines, Mapping):
        wrong = [name for name, one in baselines.items() if not hasattr(one, "fit")]
        if not wrong:
            return {str(name).removeprefix("baseline: "): one for name, one in baselines.items()}
        baselines = f"no fit in {wrong}"
    elif isinstance(baselines, str):
        check_option(baselines, ("default",), "baselines")
        found = known.baselines(first, data)
        # a baseline that is the model itself would win or lose by nothing
        inner = {name: one.model if isinstance(one, Alone) else one for name, one in found.items()}
        return {name: one for name, one in found.items() if repr(inner[name]) != repr(first)}
    raise DataError(
        "these are no baselines",
        expected="'default', None, or a dict of name and estimator",
        found=repr(baselines),
        field="baselines",
    )


def _tasks(
    design: Design,
    models: dict[str, Any],
    scorers: dict[str, Scorer],
    kind: str | None,
    n_permutations: int,
    rng: np.random.Generator,
) -> list[Task]:
    """One for each fold and model; with a null that needs new fits, also for each surrogate."""
    seeds = rng.integers(2**31, size=(design.n_folds, len(models)))
    refits = kind is not None and design.needs_refits
    draws = rng.integers(2**31, size=n_permutations if kind is not None else 0)
    tasks = [
        Task(design, fold, name, model, scorers, int(seeds[fold, k]), kind, draws, refits=refits)
        for fold in range(design.n_folds)
        for k, (name, model) in enumerate(models.items())
    ]
    return tasks
