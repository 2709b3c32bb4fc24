"""What can be read out of conditions by lines: all splits in two, and how they generalize."""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations, permutations
from math import comb

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment

from neuroml._core.parallel import RandomState, spawn_generators
from neuroml.exceptions import DataError
from neuroml.representation._checks import (
    as_count,
    as_dichotomies,
    as_table,
    codes_of,
    condition_means,
    standardized,
)
from neuroml.representation._readout import Noise, accuracy_of, discriminants
from neuroml.representation.dissimilarity import part_means, parts_of_samples, rest_means

__all__ = [
    "ccgp",
    "cross_condition_accuracy",
    "decoding_accuracy",
    "dichotomies",
    "number_of_dichotomies",
    "parallelism",
    "parallelism_score",
    "shattering_dimensionality",
]

# All pairings of seven conditions with seven are 5040; of eight, eight times as many.
_MOST_EXACT = 7
_N_STARTS = 50
_TURNS_AT_ONCE = 32  # so that their scores, trials x dichotomies each, stay small
_MOST_LISTED = 1_000_000  # halves of 22 conditions are 352,716, of 24 four times as many


def dichotomies(
    n_conditions: int, *, most: int | None = None, random_state: RandomState = 0
) -> np.ndarray:
    """All ways to split conditions into two halves.

    Parameters
    ----------
    n_conditions : int
        Even; of an odd number, one side has one more.
    most : int, optional
        If there are more, so many of them are drawn.
    random_state : int, RandomState, Generator or None, default=0

    Returns
    -------
    ndarray of bool of shape (n_dichotomies, n_conditions)
        Each once: exchanging the two sides is the same dichotomy.

    Raises
    ------
    DataError
        If there are fewer than two conditions, or more dichotomies than can be listed.

    Examples
    --------
    >>> from neuroml.representation import dichotomies
    >>> dichotomies(4).astype(int)
    array([[1, 1, 0, 0],
           [1, 0, 1, 0],
           [1, 0, 0, 1]])
    """
    as_count(n_conditions, "n_conditions", 2)
    half = (n_conditions + 1) // 2
    number = number_of_dichotomies(n_conditions)
    if most is not None:
        most = min(as_count(most, "most"), number)
    elif number > _MOST_LISTED:
        raise DataError(
            "these are too many dichotomies to list",
            expected=f"at most {_MOST_LISTED}, or most= of them",
            found=f"{number:.3g} of {n_conditions} conditions",
            field="most",
        )
    # 24,310 halves of 18: drawn until there are enough, not listed
    if most is not None and n_conditions > 16 and 2 * most <= number:
        (rng,) = spawn_generators(random_state, 1)
        drawn: dict[bytes, np.ndarray] = {}
        while len(drawn) < most:
            row = np.zeros(n_conditions, dtype=bool)
            row[rng.permutation(n_conditions)[:half]] = True
            row = row if row[0] or n_conditions % 2 else ~row
            drawn[row.tobytes()] = row
        return np.array(list(drawn.values()))
    rows = []
    for chosen in combinations(range(n_conditions), half):
        # for an even number, the half with the first condition stands for both
        if n_conditions % 2 or chosen[0] == 0:
            row = np.zeros(n_conditions, dtype=bool)
            row[list(chosen)] = True
            rows.append(row)
    found = np.array(rows)
    if most is not None and len(found) > most:
        (rng,) = spawn_generators(random_state, 1)
        found = found[np.sort(rng.choice(len(found), most, replace=False))]
    return found


def number_of_dichotomies(n_conditions: int) -> int:
    """How many ways there are to split conditions into two halves."""
    return comb(n_conditions, n_conditions // 2) // (1 if n_conditions % 2 else 2)


def parallelism_score(X: ArrayLike, labels: ArrayLike) -> float:
    r"""How parallel the directions are that lead from one side of a dichotomy to the other.

    Conditions of the two sides are paired. Each pair has a direction, and the score is the mean
    cosine between the directions of all pairs, for the pairing in which it is largest [1]_: 1 for a
    code in which a variable moves every condition alike.

    Parameters
    ----------
    X : array-like of shape (n_conditions, n_units)
        One row per condition, such as the mean of its trials.
    labels : array-like of shape (n_conditions,)
        The side of each condition; both sides have equally many.

    Returns
    -------
    float
        The largest of all pairings is found exactly with up to 7 conditions a side; with more, by
        local search from 50 starts, which is a lower bound. NaN if two conditions coincide.

    Raises
    ------
    DataError
        If the sides differ in size, or have only one condition.

    References
    ----------
    .. [1] S. Bernardi, M. Benna, M. Rigotti, J. Munuera, S. Fusi, C. D. Salzman (2020). The
       geometry of abstraction in the hippocampus and prefrontal cortex. Cell 183.

    Examples
    --------
    >>> from neuroml.representation import parallelism_score
    >>> square = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    >>> round(parallelism_score(square, [0, 0, 1, 1]), 6)
    1.0
    """
    table = as_table(X)
    (side,) = as_dichotomies(labels, len(table))
    n = int(side.sum())
    if 2 * n != len(side) or n < 2:
        raise DataError(
            "pairs need as many conditions on either side, and two or more",
            expected="equal sides",
            found=f"{n} and {len(side) - n} conditions",
            field="labels",
        )
    return parallelism(table, side)


def parallelism(means: np.ndarray, side: np.ndarray) -> float:
    """`parallelism_score` of checked arguments."""
    plus, minus = means[side], means[~side]
    n = len(plus)
    steps = plus[:, None] - minus[None]  # (n, n, n_units)
    lengths = np.linalg.norm(steps, axis=2)
    if (lengths <= 0).any():
        return float("nan")
    steps = steps / lengths[:, :, None]
    flat = steps.reshape(n * n, -1)
    cosines = (flat @ flat.T).reshape(n, n, n, n)  # between pair (i, a) and pair (j, b)
    orders, i, j = _pairings(n)
    if n > _MOST_EXACT:
        orders = _searched(cosines, orders)
    values = cosines[i, orders[:, i], j, orders[:, j]].mean(axis=1)
    return float(values.max())


@lru_cache(maxsize=8)
def _pairings(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairings (n_pairings, n), and each two pairs of one: the same for every code.

    All of few conditions; of more, those that the search begins with.
    """
    if n <= _MOST_EXACT:
        return np.array(list(permutations(range(n)))), *np.triu_indices(n, 1)
    rng = np.random.default_rng(0)
    starts = np.array([np.arange(n), *(rng.permutation(n) for _ in range(_N_STARTS - 1))])
    return starts, *np.triu_indices(n, 1)


def _searched(cosines: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """Pairings that no exchange of the kind of Frank and Wolfe improves, from several starts."""
    n = len(cosines)
    flat = cosines.reshape(n * n, n * n)
    found = []
    for _ in range(50):
        # how well each pair goes with the pairs of the present pairing, for all starts at once
        chosen = np.zeros((len(orders), n, n))
        chosen[np.arange(len(orders))[:, None], np.arange(n), orders] = 1.0
        fits = (chosen.reshape(len(orders), -1) @ flat).reshape(-1, n, n)
        new = np.array([linear_sum_assignment(fit, maximize=True)[1] for fit in fits])
        settled = (new == orders).all(axis=1)
        found.append(orders[settled])
        # starts that have met go on as one
        new = new[~settled]
        orders = new[list({row.tobytes(): k for k, row in enumerate(new)}.values())]
        if not len(orders):
            break
    return np.concatenate([*found, orders])


def ccgp(X: ArrayLike, y: ArrayLike, labels: ArrayLike) -> float:
    """Cross-condition generalization performance of a dichotomy.

    A linear discriminant learns the two sides from all conditions but one on either side, and is
    tested on the trials of those two; the mean over all such choices [1]_. It is .5 on average for
    conditions at random places, however well they can be decoded. With two conditions on either
    side, they are held out in the pairs of their order, the first of both sides and the second of
    both: name conditions so that these agree in the other variable.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_units)
        Single trials.
    y : array-like of shape (n_samples,)
        The condition of each trial.
    labels : array-like of shape (n_conditions,)
        The side of each condition, conditions in sorted order.

    Returns
    -------
    float
        Mean accuracy over conditions.

    Raises
    ------
    DataError
        If a side has only one condition.

    References
    ----------
    .. [1] S. Bernardi et al. (2020), as in `parallelism_score`.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.representation import ccgp
    >>> y = np.repeat([0, 1, 2, 3], 20)
    >>> square = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> X = square[y] + 0.05 * np.random.default_rng(0).normal(size=(80, 2))
    >>> ccgp(X, y, [0, 0, 1, 1]), ccgp(X, y, [0, 1, 1, 0]) < 0.5
    (1.0, True)
    """
    table = as_table(X)
    names, codes = codes_of(y, len(table))
    (side,) = as_dichotomies(labels, len(names))
    if min(side.sum(), (~side).sum()) < 2:
        raise DataError(
            "a side with one condition leaves none to learn from when it is held out",
            expected="two or more conditions on each side",
            found=f"{int(side.sum())} and {int((~side).sum())}",
            field="labels",
        )
    return float(cross_condition_accuracy(standardized(table), codes, side[None])[0])


def cross_condition_accuracy(
    X: np.ndarray, codes: np.ndarray, sides: np.ndarray, turns: np.ndarray | None = None
) -> np.ndarray:
    """`ccgp` of several dichotomies (n_dichotomies, n_conditions), which share their fits.

    With ``turns`` (n_turns, n_conditions, n_conditions), rows are (n_turns, n_dichotomies): for
    conditions' means that are these combinations of what they are, each trial keeping its noise.
    """
    means = condition_means(X, codes)
    residuals = X - means[codes]
    means = means - means.mean(axis=0)  # discriminants know differences only
    moves = np.eye(len(means))[None] if turns is None else turns
    total, count = np.zeros((len(moves), len(sides))), np.zeros(len(sides))
    for (i, j), asked in _held_out_together(sides).items():
        kept = np.ones(len(means), dtype=bool)
        kept[[i, j]] = False
        # turns leave the noise as it is: with its products, one of them costs no look at units
        divided = Noise.of(residuals[kept[codes]]).divide(means)
        noise_i, noise_j = (residuals[codes == c] @ divided.T for c in (i, j))
        toward_i = np.where(sides[asked, i], 1.0, -1.0)
        for t in range(0, len(moves), _TURNS_AT_ONCE):
            some = moves[t : t + _TURNS_AT_ONCE]
            back = some.swapaxes(1, 2)
            products = some @ (means @ divided.T) @ back
            weights, cuts = discriminants(products, sides[asked], kept)
            balance_i, balance_j = (
                np.sign((noise @ back + products[:, [c]]) @ weights - cuts).mean(axis=1)
                for noise, c in ((noise_i, i), (noise_j, j))
            )
            total[t : t + len(some), asked] += 0.5 + toward_i * (balance_i - balance_j) / 4
        count[asked] += 1
    found = total / count
    return found[0] if turns is None else found


def _held_out_together(sides: np.ndarray) -> dict[tuple[int, int], np.ndarray]:
    """By pair of conditions: the dichotomies whose two sides are tested on them.

    All pairs across the sides are; but with two conditions on either side, only the first with the
    first and the second with the second. There, what is learned from two crossed conditions of a
    factored code is a line through the other two.
    """
    place = np.where(sides, np.cumsum(sides, axis=1), np.cumsum(~sides, axis=1))
    many = (sides.sum(axis=1) != 2) | ((~sides).sum(axis=1) != 2)
    asked = {
        (i, j): np.flatnonzero((sides[:, i] != sides[:, j]) & (many | (place[:, i] == place[:, j])))
        for i, j in combinations(range(sides.shape[1]), 2)
    }
    return {pair: rows for pair, rows in asked.items() if len(rows)}


def shattering_dimensionality(
    X: ArrayLike,
    y: ArrayLike,
    *,
    sessions: ArrayLike | None = None,
    most: int = 1000,
    random_state: RandomState = 0,
) -> float:
    """Mean accuracy with which lines tell the halves of all balanced dichotomies apart.

    Linear discriminants are tested on trials that they were not fitted to: left-out sessions, or a
    fifth of each condition. Accuracy is the mean over the two sides, and over the conditions of a
    side: 1 where every split can be read out [1]_; .5 is chance.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_units)
        Single trials.
    y : array-like of shape (n_samples,)
        The condition of each trial.
    sessions : array-like of shape (n_samples,), optional
        Left out in turn; each has every condition.
    most : int, default=1000
        If there are more dichotomies, so many of them are drawn.
    random_state : int, RandomState, Generator or None, default=0
        Draws them.

    Returns
    -------
    float

    Raises
    ------
    DataError
        If there is one condition, or one of them has only one trial.

    References
    ----------
    .. [1] M. Rigotti, O. Barak, M. Warden, X.-J. Wang, N. Daw, E. Miller, S. Fusi (2013). The
       importance of mixed selectivity in complex cognitive tasks. Nature 497.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.representation import shattering_dimensionality
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat(np.arange(4), 20)
    >>> X = rng.normal(size=(4, 30))[y] + 0.1 * rng.normal(size=(80, 30))
    >>> shattering_dimensionality(X, y)
    1.0
    """
    table = as_table(X)
    names, codes = codes_of(y, len(table))
    parts = parts_of_samples(codes, names, sessions)
    sides = dichotomies(len(names), most=most, random_state=random_state)
    return float(decoding_accuracy(standardized(table), codes, sides, parts).mean())


def decoding_accuracy(
    X: np.ndarray, codes: np.ndarray, sides: np.ndarray, parts: np.ndarray
) -> np.ndarray:
    """Accuracy of each dichotomy on parts of the samples that are left out in turn."""
    rest = rest_means(*part_means(X, codes, parts))
    scores = np.empty((len(X), len(sides)))
    for k, means in enumerate(rest):
        train, test = parts != k, parts == k
        divided = Noise.of(X[train] - means[codes[train]]).divide(means)
        weights, cuts = discriminants(means @ divided.T, sides)
        scores[test] = X[test] @ divided.T @ weights - cuts
    return accuracy_of(scores, codes, sides, parts)
