"""Which estimators have tables and figures of their own, and where these are."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from neuroml.report.cohort import CohortView

__all__ = ["PRESENTERS", "Presenter", "cohort_view", "presenter", "without_figures"]


@dataclass(frozen=True)
class Presenter:
    """The functions that make a model's table and its figures, as "module:function".

    Names instead of functions, so that looking up a class imports neither its family nor
    matplotlib. Both functions take a model and its `neuroml.report.Context`. ``cohort`` says what
    is compared where a run has several jobs; ``posterior`` makes the table of hidden states, and
    ``errors`` the standard errors of parameters.
    """

    tables: str
    panels: str
    cohort: CohortView | None = None
    posterior: str | None = None
    errors: str | None = None

    def tabulate(self, model: Any, context: Any) -> Any:
        """The rows of a model's table, as a DataFrame."""
        return _function(f"tables.{self.tables}")(model, context)

    def draw(self, model: Any, context: Any) -> Any:
        """The figures of a model, as a list of panels."""
        return _function(f"panels.{self.panels}")(model, context)

    def posterior_of(self, model: Any, context: Any) -> Any:
        """The table of hidden states, or None for a model without, or without its data."""
        return None if self.posterior is None else _function(self.posterior)(model, context)

    def errors_of(self, model: Any, context: Any) -> Any:
        """Standard errors by the name of the parameter, or None where there are none."""
        return None if self.errors is None else _function(self.errors)(model, context)


def _function(place: str) -> Callable[..., Any]:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(f"neuroml.report.{module}"), name)


_STATES = CohortView(("weight", "intercept"), component="state", value="weight")
_POSTERIOR = "tables.switching:posteriors"
_LOADINGS = CohortView(("loading",), ("unit", "pair"), value="loading")

PRESENTERS = {
    "neuroml.celltypes.FacetedStimuli": Presenter("celltypes:facets", "celltypes:facets"),
    "neuroml.celltypes.FunctionalTypes": Presenter("celltypes:types", "celltypes:types"),
    "neuroml.celltypes.MostDiscriminativeStimuli": Presenter(
        "celltypes:clusters", "celltypes:clusters"
    ),
    "neuroml.celltypes.ResponseModel": Presenter("celltypes:training", "celltypes:training"),
    "neuroml.connectome.DynamicConnectome": Presenter("connectome:cohort", "connectome:cohort"),
    "neuroml.connectome.NonnegativeCP": Presenter(
        "connectome:loadings", "connectome:components", _LOADINGS
    ),
    "neuroml.connectome.WeightedSBM": Presenter("connectome:blocks", "connectome:blocks"),
    "neuroml.decoding.CrossSubjectDecoder": Presenter("decoding:tabulate", "decoding:draw"),
    "neuroml.decoding.HierarchicalRidgeDecoder": Presenter("decoding:tabulate", "decoding:draw"),
    "neuroml.decoding.MindBridgeDecoder": Presenter("decoding:tabulate", "decoding:draw"),
    "neuroml.decoding.ProcrustesAligner": Presenter("decoding:tabulate", "decoding:draw"),
    "neuroml.decoding.RidgeDecoder": Presenter("decoding:tabulate", "decoding:draw"),
    "neuroml.decoding.SharedResponseModel": Presenter("decoding:tabulate", "decoding:draw"),
    "neuroml.representation.PopulationGeometry": Presenter(
        "representation:geometry", "representation:geometry"
    ),
    "neuroml.switching.SwitchingGLM": Presenter(
        "switching:tabulate", "switching:glm", _STATES, _POSTERIOR, "tables.switching:errors"
    ),
    "neuroml.switching.SwitchingPopulationGLM": Presenter(
        "switching:tabulate", "switching:population_glm", _STATES, _POSTERIOR
    ),
}
"""Tables and figures by the public name of a class; its subclasses have the same. A report of any
other estimator holds its facts: the fitted attributes that are single numbers, words or truth
values."""


def presenter(kind: type) -> Presenter | None:
    """The tables and figures of a class or of the nearest class it derives from, or None."""
    names = (".".join([*c.__module__.split(".")[:2], c.__name__]) for c in kind.__mro__)
    return next((PRESENTERS[name] for name in names if name in PRESENTERS), None)


def cohort_view(name: str) -> CohortView | None:
    """What is compared over the jobs of a recipe whose last step has this name."""
    found = (one for key, one in PRESENTERS.items() if key.rpartition(".")[2] == name)
    return next((one.cohort for one in found), None)


def without_figures(kind: type) -> str | None:
    """What to say of a class that has no figures of its own; None if it has some."""
    if presenter(kind) is not None:
        return None
    return f"There are no figures of {kind.__name__}: the report holds its facts."
