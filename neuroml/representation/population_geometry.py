"""The geometry of a population's code for conditions, each number beside its null."""

from __future__ import annotations

from numbers import Integral

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from neuroml._core.estimator import RANDOM_STATE, Estimator, Interval, StrOptions, validated_fit
from neuroml._core.parallel import RandomState, spawn_generators
from neuroml._core.statistics import permutation_p_value
from neuroml._core.validation import check_table
from neuroml._core.warn import warn_caller
from neuroml.exceptions import DataError
from neuroml.representation._checks import (
    as_dichotomies,
    codes_of,
    condition_means,
    standardized,
)
from neuroml.representation.dichotomies import (
    cross_condition_accuracy,
    decoding_accuracy,
    dichotomies,
    number_of_dichotomies,
    parallelism,
)
from neuroml.representation.dissimilarity import (
    crossnobis,
    part_means,
    parts_of_samples,
    rest_means,
)

__all__ = ["PopulationGeometry"]


class PopulationGeometry(Estimator):
    r"""Measure how a population of units lays out conditions, from single trials.

    - ``participation_ratio``: dimensions of the conditions' means, from products of independent
      parts of the trials, so that the noise of trials is no dimension. It has no null: without
      differences between conditions there are no dimensions to count.
    - ``distance``: mean cross-validated squared distance of two conditions per unit; zero on
      average where they do not differ.
    - ``reliability``: mean correlation of the distances in one part with those in the others, the
      lower noise ceiling of any model of them.
    - ``decoding``: accuracy of linear discriminants on left-out trials, the mean over dichotomies
      (with all balanced ones: the shattering dimensionality).
    - ``ccgp``: accuracy on conditions that the discriminant has not seen. Of more than four
      conditions, the mean over all balanced dichotomies is .5 for any code, by symmetry: look at
      single dichotomies that you name.
    - ``parallelism``: of the directions from one side to the other.

    The others stand beside their nulls. Distance, reliability and decoding are compared with trials
    whose conditions are shuffled within parts. Decodable conditions at
    random places still generalize and are parallel now and then, so CCGP and parallelism are
    compared with conditions' means that are rotated at random within the covariance that they have,
    each trial keeping its noise.

    Parameters
    ----------
    n_permutations : int, default=200
        Of both nulls.
    n_bootstrap : int, default=100
        Times that units are drawn anew with replacement, for the intervals. Sessions are not
        drawn: the copies of one would have to stay in one part, of few sessions that leaves only a
        few different ones to test on, and units and sessions drawn together count the noise of
        trials twice [1]_. So intervals say nothing of other sessions.
    max_dichotomies : int, default=100
        If conditions have more balanced dichotomies than these, so many are drawn, with a warning.
    parts : {"sessions", "trials"}, default="sessions"
        The independent parts of the trials. "sessions": those that `fit` is given. "trials": trials
        take turns within their condition, also where there are sessions, such as one long recording
        or laps that lack conditions. Trials that follow each other then have to be independent.
    random_state : int, RandomState, Generator or None, default=None

    Attributes
    ----------
    conditions_ : ndarray of shape (n_conditions,)
        In sorted order.
    dichotomies_ : ndarray of bool of shape (n_dichotomies, n_conditions)
        The side of each condition.
    condition_means_ : ndarray of shape (n_conditions, n_units)
    dissimilarity_ : ndarray of shape (n_conditions, n_conditions)
        Cross-validated squared distances per unit.
    table_ : DataFrame
        What `to_frame` returns.
    n_features_in_ : int
        Number of units.

    See Also
    --------
    ccgp, parallelism_score, shattering_dimensionality, representational_dissimilarity

    References
    ----------
    .. [1] H. Schütt, A. Kipnis, J. Diedrichsen, N. Kriegeskorte (2023). Statistical inference on
       representational geometries. eLife 12.

    S. Bernardi, M. Benna, M. Rigotti, J. Munuera, S. Fusi, C. D. Salzman (2020). The geometry of
    abstraction in the hippocampus and prefrontal cortex. Cell 183.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.representation import PopulationGeometry
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat(np.arange(8), 15)
    >>> cube = np.array([[i >> 2 & 1, i >> 1 & 1, i & 1] for i in range(8)], dtype=float)
    >>> X = cube[y] @ rng.normal(size=(3, 40)) + 0.5 * rng.normal(size=(120, 40))
    >>> side = [0, 0, 0, 0, 1, 1, 1, 1]
    >>> model = PopulationGeometry(n_permutations=19, n_bootstrap=10, random_state=0)
    >>> found = model.fit(X, y, labels=side).to_frame().set_index("quantity")
    >>> float(found.loc["ccgp", "value"]), float(found.loc["ccgp", "p"]) < 0.2
    (1.0, True)
    """

    _parameter_constraints = {
        "n_permutations": [Interval(Integral, 1, None, closed="left")],
        "n_bootstrap": [Interval(Integral, 2, None, closed="left")],
        "max_dichotomies": [Interval(Integral, 1, None, closed="left")],
        "parts": [StrOptions({"sessions", "trials"})],
        "random_state": RANDOM_STATE,
    }

    def __init__(
        self,
        n_permutations: int = 200,
        *,
        n_bootstrap: int = 100,
        max_dichotomies: int = 100,
        parts: str = "sessions",
        random_state: RandomState = None,
    ) -> None:
        self.n_permutations = n_permutations
        self.n_bootstrap = n_bootstrap
        self.max_dichotomies = max_dichotomies
        self.parts = parts
        self.random_state = random_state

    @validated_fit
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        labels: ArrayLike | None = None,
        sessions: ArrayLike | None = None,
    ) -> PopulationGeometry:
        """Measure the geometry, its nulls and its intervals.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_units)
            Single trials. An array, DataFrame, DataArray, recording or torch tensor; masked entries
            are NaN.
        y : array-like of shape (n_samples,)
            The condition of each trial.
        labels : array-like of shape (n_dichotomies, n_conditions) or (n_conditions,), optional
            Dichotomies: the side of each condition, in sorted order. By default all balanced ones.
        sessions : array-like of shape (n_samples,), optional
            Independent parts of the trials, such as runs, each with every condition. Without them,
            or with ``parts="trials"``, trials take turns within their condition.

        Returns
        -------
        self

        Raises
        ------
        DataError
            If there are fewer than two conditions, a condition has one trial, a session lacks one,
            or labels do not match the conditions.
        """
        table = np.asarray(check_table(self, X, dtype=np.float64))
        if y is None:
            raise DataError("requires y to be passed, but the target y is None", field="y")
        names, codes = codes_of(y, len(table))
        parts = parts_of_samples(codes, names, sessions if self.parts == "sessions" else None)
        null_rng, rotation_rng, unit_rng, draw_rng = spawn_generators(self.random_state, 4)
        if labels is None:
            seed = int(draw_rng.integers(2**31))
            sides = dichotomies(len(names), most=self.max_dichotomies, random_state=seed)
            if len(sides) < number_of_dichotomies(len(names)):
                warn_caller(
                    f"{len(sides)} of {number_of_dichotomies(len(names))} balanced dichotomies of "
                    f"{len(names)} conditions were drawn: max_dichotomies= says how many, labels= "
                    "which.",
                    UserWarning,
                )
        else:
            sides = as_dichotomies(labels, len(names))
        self.conditions_, self.dichotomies_ = names, sides
        self.condition_means_ = condition_means(table, codes)
        self.dissimilarity_ = crossnobis(*part_means(table, codes, parts))
        # only distances change with the scale, as its square
        largest = np.abs(table - table.mean(axis=0)).max()
        table = standardized(table)
        observed = _measured(table, codes, parts, sides) | _abstract(table, codes, sides)
        shuffled = [
            _measured(table, _shuffled(codes, parts, null_rng), parts, sides)
            for _ in range(self.n_permutations)
        ]
        for draw in shuffled:
            del draw["participation_ratio"]
        turns = _rotations(len(names), self.n_permutations, rotation_rng)
        rotated = _abstract(table, codes, sides, turns)
        resampled = []
        for _ in range(self.n_bootstrap):
            units = unit_rng.integers(table.shape[1], size=table.shape[1])
            part = table[:, units]
            resampled.append(_measured(part, codes, parts, sides) | _abstract(part, codes, sides))
        for draw in (observed, *shuffled, *resampled):
            draw["distance"] = draw["distance"] * largest**2
        self.table_ = _table(observed, _stacked(shuffled) | rotated, _stacked(resampled))
        return self

    def to_frame(self) -> pd.DataFrame:
        """Return what was found as a table.

        Returns
        -------
        DataFrame
            One row per quantity: ``quantity`` ("ccgp[3]" is that of the fourth dichotomy, "ccgp"
            the mean over all), ``value``, ``null_mean``, ``p`` (the share of the null at least as
            large), and ``ci_low, ci_high``, the 95 % interval over units, centered on the value.
        """
        check_is_fitted(self)
        return self.table_.copy()


def _shuffled(codes: np.ndarray, parts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Conditions dealt anew within each part."""
    found = codes.copy()
    for k in range(int(parts.max()) + 1):
        own = np.flatnonzero(parts == k)
        found[own] = codes[rng.permutation(own)]
    return found


def _measured(
    X: np.ndarray, codes: np.ndarray, parts: np.ndarray, sides: np.ndarray
) -> dict[str, np.ndarray]:
    """What shuffled conditions are the null of."""
    means, counts = part_means(X, codes, parts)
    distances = crossnobis(means, counts)
    above = np.triu_indices(len(distances), 1)
    return {
        "participation_ratio": np.array([_participation(means)]),
        "distance": np.array([distances[above].mean()]),
        "reliability": np.array([_reliability(means, counts)]),
        "decoding": decoding_accuracy(X, codes, sides, parts),
    }


def _participation(means: np.ndarray) -> float:
    """(tr G)^2 / tr G^2 of the products G of conditions' means in different parts."""
    n_parts = len(means)
    centered = means - means.mean(axis=1, keepdims=True)
    total = centered.sum(axis=0)
    own = np.einsum("kiu,kju->ij", centered, centered, optimize=True)
    products = (total @ total.T - own) / (n_parts * (n_parts - 1))
    trace, squares = np.trace(products), (products**2).sum()
    return float(trace**2 / squares) if trace > 0 and squares > 0 else float("nan")


def _reliability(means: np.ndarray, counts: np.ndarray) -> float:
    """Mean correlation of the distances in each part with those in the rest."""
    above = np.triu_indices(means.shape[1], 1)
    if len(above[0]) < 3:
        return float("nan")  # two conditions have one distance
    values = []
    for one, other in zip(means, rest_means(means, counts), strict=True):
        first, second = (_squared(part)[above] for part in (one, other))
        if first.std() > 0 and second.std() > 0:
            values.append(np.corrcoef(first, second)[0, 1])
    return float(np.mean(values)) if values else float("nan")


def _squared(means: np.ndarray) -> np.ndarray:
    own = (means**2).sum(axis=1)
    return own[:, None] + own - 2 * means @ means.T


def _rotations(n_conditions: int, number: int, rng: np.random.Generator) -> np.ndarray:
    """Turns of conditions about their mean (number, n_conditions, n_conditions).

    As combinations of conditions they leave the covariance that the means have over units.
    """
    # an orthonormal basis of what is orthogonal to the mean over conditions
    basis = np.linalg.svd(np.eye(n_conditions) - 1 / n_conditions)[0][:, : n_conditions - 1]
    found = []
    for _ in range(number):
        turn, R = np.linalg.qr(rng.normal(size=(n_conditions - 1, n_conditions - 1)))
        found.append(basis @ (turn * np.sign(np.diag(R))) @ basis.T)  # uniform over rotations
    return np.array(found)


def _abstract(
    X: np.ndarray, codes: np.ndarray, sides: np.ndarray, turns: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """What rotated means are the null of, once or for each turn; NaN for dichotomies without it."""
    usable = (sides.sum(axis=1) >= 2) & ((~sides).sum(axis=1) >= 2)
    equal = usable & (sides.sum(axis=1) == (~sides).sum(axis=1))
    means = condition_means(X, codes)
    codes_of_means = means[None] if turns is None else turns @ (means - means.mean(axis=0))
    shape = (len(codes_of_means), len(sides))
    found = {name: np.full(shape, np.nan) for name in ("ccgp", "parallelism")}
    if usable.any():
        found["ccgp"][:, usable] = cross_condition_accuracy(X, codes, sides[usable], turns)
    for row, moved in zip(found["parallelism"], codes_of_means, strict=True):
        row[equal] = [parallelism(moved, side) for side in sides[equal]]
    return {name: rows[0] if turns is None else rows for name, rows in found.items()}


def _stacked(draws: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.stack([draw[name] for draw in draws]) for name in draws[0]}


def _table(
    observed: dict[str, np.ndarray], null: dict[str, np.ndarray], resampled: dict[str, np.ndarray]
) -> pd.DataFrame:
    rows = []
    for name, values in observed.items():
        if np.isnan(values).all():
            continue
        single = [(name, None)] if len(values) == 1 else [(name, None), *[
            (f"{name}[{d}]", d) for d in range(len(values))
        ]]  # fmt: skip
        for label, d in single:
            value = float(_mean(values) if d is None else values[d])
            draws, again = (
                None if part is None else np.array([_mean(one) for one in part]) if d is None
                else part[:, d]
                for part in (null.get(name), resampled[name])
            )  # fmt: skip
            again = np.asarray(again, dtype=np.float64)
            again = again[np.isfinite(again)]
            # fewer different units than there are lower what is measured: ends are moved by that
            ends = np.quantile(again, [0.025, 0.975]) - again.mean() + value if len(again) else (
                np.nan, np.nan)  # fmt: skip
            expected, p = (np.nan, np.nan)
            if draws is not None:
                expected, p = _mean(draws), float(permutation_p_value(value, draws))
            rows.append((label, value, expected, p, *map(float, ends)))
    columns = ["quantity", "value", "null_mean", "p", "ci_low", "ci_high"]
    return pd.DataFrame(rows, columns=columns)


def _mean(values: np.ndarray) -> float:
    """Mean of what is there, NaN if nothing is."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
