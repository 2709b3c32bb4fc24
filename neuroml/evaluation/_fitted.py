"""How models are fitted to part of the data and asked about the rest, whatever their kind."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import sklearn
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import get_routing_for_object

from neuroml._core.cohort import Subject
from neuroml.evaluation._layouts import Rows

__all__ = [
    "Alone",
    "Fitted",
    "Pooled",
    "call",
    "concatenate",
    "fit_rows",
    "last_step",
    "seeded",
    "takes_subjects",
]


def last_step(model: Any) -> Any:
    """The estimator at the end of a Pipeline, or the model itself."""
    return last_step(model.steps[-1][1]) if isinstance(model, Pipeline) else model


def seeded(model: Any, rng: np.random.Generator) -> Any:
    """A fresh copy whose random states that are None are drawn, so that results come again."""
    if isinstance(model, Alone | Pooled):
        return replace(model, model=seeded(model.model, rng))
    copy = clone(model)
    names = [n for n in copy.get_params() if n == "random_state" or n.endswith("__random_state")]
    given = copy.get_params()
    copy.set_params(**{n: int(rng.integers(2**31)) for n in sorted(names) if given[n] is None})
    return copy


def call(model: Any, method: str, *data: Any, rows: Rows) -> Any:
    """Call a method with what comes beside the rows (sessions, ...), if the model asks for it."""
    known = {"sessions": rows.sessions, "groups": rows.groups, "covariates": rows.covariates}
    with sklearn.config_context(enable_metadata_routing=True):
        asked = get_routing_for_object(model).consumes(method, list(known))
        given = {name: known[name] for name in asked if known[name] is not None}
        return getattr(model, method)(*data, **given)


@dataclass
class Fitted:
    """A model that was fitted to a fold's training data, and one subject that it is asked about.

    Attributes
    ----------
    model : estimator
    train : Rows
        The training data, for scores that compare with them.
    subject : hashable, optional
        Given to the model's methods, where they tell subjects apart.
    plain : callable, optional
        The score of a constant rate that was fitted to the same training data.
    """

    model: Any
    train: Rows | None = None
    subject: Subject | None = None
    plain: Callable[[Rows], float] | None = None
    _known: tuple[Any, Any] = field(default=(None, None), repr=False)
    _turn: tuple[Fitted, Rows, np.ndarray] | None = field(default=None, repr=False)

    def turned(self, rows: Rows, order: np.ndarray) -> Fitted:
        """The same fit, whose predictions turn with the inputs and are not computed again."""
        return replace(self, _turn=(self, rows, order))

    def predict(self, rows: Rows) -> np.ndarray:
        """Predictions (n_samples, ...); the last ones are kept for repeated questions."""
        if self._turn is not None:
            fitted, before, order = self._turn
            return fitted.predict(before)[order]
        if self._known[0] is not rows.X or rows.X is None:
            if self.subject is None:
                found = call(self.model, "predict", rows.X, rows=rows)
            else:
                found = self.model.predict(rows.X, subject=self.subject)
            self._known = rows.X, np.asarray(found)
        return self._known[1]

    def score(self, rows: Rows) -> float:
        """The model's own score."""
        if self.subject is not None:
            return float(self.model.score(rows.X, rows.y, subject=self.subject))
        return float(call(self.model, "score", rows.X, rows.y, rows=rows))


def fit_rows(model: Any, rows: Rows) -> tuple[Any, float]:
    """Fit to rows of samples; return the model and the seconds it took."""
    start = time.perf_counter()
    targets = () if rows.y is None else (rows.y,)
    fitted = call(model, "fit", rows.X, *targets, rows=rows)
    return fitted, time.perf_counter() - start


def takes_subjects(model: Any) -> bool:
    """Whether a model is fitted to several subjects with units of their own."""
    if not hasattr(model, "adapt"):
        return False
    # others that adapt to subjects have units in common, and groups= in the place of subject=
    return "subject" in inspect.signature(model.predict).parameters


@dataclass(frozen=True)
class Alone:
    """A baseline that is fitted to each subject's own rows, whatever it could learn from others."""

    model: Any


@dataclass(frozen=True)
class Pooled:
    """A baseline that is fitted to the rows of all subjects as if they were one: units agree."""

    model: Any


def concatenate(parts: list[Rows]) -> Rows:
    """All rows, one after the other."""
    shifts = np.cumsum([0, *(rows.sessions[-1] + 1 for rows in parts[:-1])])
    return Rows(
        _stack([rows.X for rows in parts]),
        None if parts[0].y is None else np.concatenate([rows.y for rows in parts]),
        np.concatenate([rows.sessions + k for rows, k in zip(parts, shifts, strict=True)]),
    )


def _stack(tables: list[Any]) -> Any:
    if all(isinstance(table, pd.DataFrame) for table in tables):
        return pd.concat(tables, ignore_index=True)
    return np.concatenate([np.asarray(table) for table in tables])
