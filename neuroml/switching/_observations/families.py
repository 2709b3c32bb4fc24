"""The families of `SwitchingGLM` by their names, and what their noise is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from neuroml.exceptions import DataError
from neuroml.switching._chain import given_array
from neuroml.switching._observations.base import Family
from neuroml.switching._observations.categorical import Categorical
from neuroml.switching._observations.gaussian import Gaussian
from neuroml.switching._observations.scalar import Bernoulli, NegativeBinomial, Poisson

__all__ = ["FAMILIES", "NOISE", "check_given_noise", "make_family", "noise_name"]

FAMILIES = ("bernoulli", "categorical", "gaussian", "poisson", "negative_binomial")
NOISE = {"gaussian": "covariances", "negative_binomial": "dispersions"}


def make_family(name: str, settings: Mapping[str, Any], n_classes: int | None) -> Family:
    """The family of this name with its priors.

    Parameters
    ----------
    name : str
    settings : mapping of str to object
        Parameters of `SwitchingGLM`.
    n_classes : int or None
        Of choices.
    """
    ridge, rate_prior = settings["ridge"], settings["rate_prior"]
    families: dict[str, Callable[[], Family]] = {
        "bernoulli": lambda: Bernoulli(ridge),
        "categorical": lambda: Categorical(ridge, n_classes or 2),
        "gaussian": lambda: Gaussian(
            ridge, settings["covariance_type"], settings["covariance_prior"]
        ),
        "poisson": lambda: Poisson(ridge, rate_prior),
        "negative_binomial": lambda: NegativeBinomial(ridge, rate_prior),
    }
    return families[name]()


def noise_name(family: str, prefix: str) -> str:
    """Attribute of a family's noise; the one-state model of a Gaussian has one covariance."""
    name = NOISE[family]
    return f"{prefix}covariance_" if prefix and name == "covariances" else f"{prefix}{name}_"


def check_given_noise(
    name: str, given: Mapping[str, ArrayLike | None], shape: tuple[int, int]
) -> np.ndarray | None:
    """The noise that a user gives to a family, by the name that the family has for it.

    Parameters
    ----------
    name : str
        Of the family.
    given : mapping of str to array-like or None
        By the names in `NOISE`.
    shape : tuple of int
        States and outputs.

    Raises
    ------
    DataError
        If the family has no such noise, or it has another shape.
    """
    k, m = shape
    own = NOISE.get(name)
    for other, value in given.items():
        if value is not None and other != own:
            raise DataError(
                f"the family {name!r} has no {other}",
                expected=f"{own}=" if own else "neither covariances= nor dispersions=",
                found=f"{other} of shape {np.shape(value)}",
                field=other,
            )
    if own is None or given[own] is None:
        return None
    wanted = (k, m, m) if own == "covariances" else (k, m)
    return given_array(own, np.asarray(given[own]), wanted)
