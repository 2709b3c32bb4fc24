"""How many parameters a fit learned, and the information criteria that count them."""

from __future__ import annotations

from typing import Any

import numpy as np

from neuroml.exceptions import DataError
from neuroml.switching._chain import Chain
from neuroml.switching._em import Problem
from neuroml.switching._observations.base import Emissions
from neuroml.switching._observations.cohort import CohortEmissions

__all__ = ["check_counted", "count_parameters", "information_criteria"]


def check_counted(n_parameters: int | None, pooling: str) -> int:
    """The number of parameters, where it is known.

    Raises
    ------
    DataError
        If it is None.
    """
    if n_parameters is None:
        raise DataError(
            "the number of parameters is not known",
            expected="pooling='complete' or 'none'",
            found=f"pooling={pooling!r}, where subjects' own weights count in part",
            fix="Compare scores of held-out sessions.",
            field="pooling",
        )
    return n_parameters


def information_criteria(
    log_likelihood: float, n_observed: float, n_parameters: int
) -> tuple[float, float]:
    """Akaike's and the Bayesian information criterion; smaller is better."""
    deviance = -2.0 * log_likelihood
    return deviance + 2.0 * n_parameters, float(deviance + np.log(n_observed) * n_parameters)


def count_parameters(problem: Problem, emissions: Emissions | CohortEmissions, chain: Chain) -> int:
    """Number of parameters that a fit learned, with those of every subject.

    Parameters
    ----------
    problem : Problem
        With what was held.
    emissions, chain
        That were learned.
    """
    family: Any = problem.observations
    if isinstance(emissions, CohortEmissions):
        n_subjects, own = len(emissions.subjects.weights), emissions.of(0)
        family, design = family.family, problem.design.whole
    else:
        n_subjects, own, design = 1, emissions, problem.design
    n_states, n_outputs, n_inputs = own.weights.shape
    has_intercept = bool(design.has_intercept)
    counts = {
        "weights": n_states * n_outputs * (n_inputs - has_intercept),
        "intercept": n_states * n_outputs * has_intercept,
        "noise": family.free_noise(own.noise).size,
    }
    each = sum(n for name, n in counts.items() if name not in family.held)
    allowed = problem.prior.allowed
    onward = n_states * (n_states - 1) if allowed is None else int(allowed.sum()) - n_states
    shared = {
        "matrix": onward, "initial": n_states - 1, "weights": len(chain.weights) * onward,
    }  # fmt: skip
    return n_subjects * each + sum(n for name, n in shared.items() if name not in problem.held)
