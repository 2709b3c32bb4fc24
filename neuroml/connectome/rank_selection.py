"""Choice of the number of components of a tensor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import mul

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import clone
from tensorly.cp_tensor import CPTensor

from neuroml._core.estimator import check_kind, check_option
from neuroml._core.parallel import RandomState, spawn_generators
from neuroml._core.statistics import first_within_one_standard_error
from neuroml._core.validation import as_given, as_numbers
from neuroml.connectome.nonnegative_cp import NonnegativeCP
from neuroml.connectome.tensors import FiberTensor
from neuroml.exceptions import DataError

__all__ = ["RankSelection", "core_consistency", "select_rank"]


@dataclass(frozen=True)
class RankSelection:
    """The result of `select_rank`.

    Attributes
    ----------
    best_rank : int
        The smallest rank whose held-out error is not above the lowest one by more than the
        standard error of their difference over folds.
    table : pandas.DataFrame
        One row per rank: ``rank``; ``held_out`` and ``held_out_se``, mean and standard error over
        folds of the relative error on held-out data; ``error``, that on all data; ``match``, the
        median `factor_match` of the other starts with the best one; ``core_consistency``, in
        percent.
    folds : ndarray of shape (n_ranks, n_folds)
        Held-out error of each fold.
    """

    best_rank: int
    table: pd.DataFrame
    folds: np.ndarray


def select_rank(
    tensor: FiberTensor | ArrayLike,
    ranks: Sequence[int],
    *,
    holdout: str = "fiber",
    n_folds: int = 5,
    model: NonnegativeCP | None = None,
    random_state: RandomState = None,
) -> RankSelection:
    """Compare ranks by their error on held-out data.

    Parameters
    ----------
    tensor : FiberTensor or array-like
        Non-negative, NaN for missing; the last mode is time. No modes may be symmetric: the same
        value would be both left out and fitted.
    ranks : sequence of int
    holdout : {"fiber", "time_block"}, default="fiber"
        "fiber" leaves out whole fibers at random (a pair in a subject), each in one fold.
        "time_block" leaves out a block of time in every subject, another one in each, which also
        tests that time courses are shared.
    n_folds : int, default=5
    model : NonnegativeCP, optional
        The model whose parameters other than the rank are taken. Its ridge matters: without one,
        the held-out error explodes as soon as a pair is observed in fewer subjects than there are
        components, and a large one prefers too many, since two halves of a component have a
        smaller penalty than the whole.
    random_state : int, RandomState, Generator or None, default=None

    Returns
    -------
    RankSelection

    Raises
    ------
    DataError
        If nothing can be left out without losing an index altogether, as with one subject, or a
        fold leaves out nothing but zeros.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.connectome import select_rank
    >>> rng = np.random.default_rng(0)
    >>> a, b, c = (rng.gamma(0.3, size=(n, 2)) for n in (30, 8, 50))
    >>> tensor = np.einsum("ir,jr,kr->ijk", a, b, c)
    >>> select_rank(tensor, [1, 2, 3], random_state=0).best_rank
    2
    """
    check_option(holdout, ("fiber", "time_block"), "holdout")
    if not isinstance(tensor, FiberTensor):
        tensor = FiberTensor.from_dense(as_numbers(as_given(tensor), "tensor").astype(np.float64))
    values = _values_of(tensor)
    model = NonnegativeCP() if model is None else check_kind(model, (NonnegativeCP,), "model")
    generators = spawn_generators(random_state, 1 + len(ranks))
    masks = list(_folds(tensor, values, holdout, n_folds, generators[0]))
    folds, rows = np.empty((len(ranks), n_folds)), []
    for k, (rank, rng) in enumerate(zip(ranks, generators[1:], strict=True)):
        estimator = clone(model)
        estimator.set_params(n_components=rank, random_state=int(rng.integers(2**31)))
        folds[k] = [_held_out_error(estimator, tensor, values, mask) for mask in masks]
        estimator.fit(tensor)
        others = np.delete(estimator.restart_matches_, estimator.restart_objectives_.argmin())
        match = np.median(others) if len(others) else np.nan
        consistency = core_consistency(estimator.cp_, tensor)
        rows.append((rank, estimator.reconstruction_err_, match, consistency))
    table = pd.DataFrame(rows, columns=["rank", "error", "match", "core_consistency"])
    table.insert(1, "held_out", folds.mean(axis=1))
    table.insert(2, "held_out_se", folds.std(axis=1, ddof=1) / np.sqrt(n_folds))
    return RankSelection(int(ranks[_choose(folds)]), table, folds)


def core_consistency(cp: CPTensor, tensor: FiberTensor | ArrayLike) -> float:
    r"""Measure how nearly the least-squares core of a tensor, given the factors, is superdiagonal.

    Parameters
    ----------
    cp : tensorly CPTensor
    tensor : FiberTensor or array-like
        Missing values are taken from the decomposition itself.

    Returns
    -------
    float
        :math:`100 (1 - \|G - I\|^2 / R)` percent [1]_: near 100 for a rank that the data support,
        low or negative for a higher one. NaN if a mode is smaller than the rank, where the core is
        not determined.

    References
    ----------
    .. [1] R. Bro and H. Kiers (2003). A new efficient method for determining the number of
       components in PARAFAC models. Journal of Chemometrics 17.
    """
    if not isinstance(tensor, FiberTensor):
        tensor = FiberTensor.from_dense(as_numbers(as_given(tensor), "tensor").astype(np.float64))
    factors = [cp.factors[0] * cp.weights, *cp.factors[1:]]
    rank = len(cp.weights)
    if any(np.linalg.matrix_rank(factor) < rank for factor in factors):
        return float("nan")
    # The core is G = X contracted with the factors' pseudo-inverses; that of the model itself is I,
    # so that G - I is the contraction of the residual, which is zero where data are missing.
    inverses = [np.linalg.pinv(factor) for factor in factors]
    residual = _values_of(tensor) - _models(factors, tensor.index) @ factors[-1].T
    excess = np.nan_to_num(residual) @ inverses[-1].T
    weights = [inverse.T[i] for inverse, i in zip(inverses[:-1], tensor.index.T, strict=True)]
    letters = "abcdefgh"[: len(weights)]
    subscripts = ",".join(f"n{letter}" for letter in letters)
    deviation = np.einsum(f"{subscripts},nz->{letters}z", *weights, excess, optimize=True)
    return float(100 * (1 - np.sum(deviation**2) / rank))


def _values_of(tensor: FiberTensor) -> np.ndarray:
    return tensor.values if isinstance(tensor.values, np.ndarray) else tensor.values.materialize()


def _models(factors: Sequence[np.ndarray], index: np.ndarray) -> np.ndarray:
    """Product of all factors but the last for each fiber (n_fibers, R)."""
    return reduce(mul, (f[i] for f, i in zip(factors[:-1], index.T, strict=True)))


def _folds(
    tensor: FiberTensor, values: np.ndarray, holdout: str, n_folds: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Yield what each fold leaves out: a mask (n_fibers, 1) or (n_fibers, length)."""
    n_fibers, length = values.shape
    if holdout == "fiber":
        fold = rng.permutation(np.arange(n_fibers) % n_folds)
        masks = [(fold == f)[:, None] for f in range(n_folds)]
    else:
        block = np.arange(length) * n_folds // length
        turn = rng.integers(n_folds, size=tensor.shape[1])[tensor.index[:, 1]]
        masks = [(block + turn[:, None]) % n_folds == f for f in range(n_folds)]
    for mask in masks:
        yield _keep_every_index(tensor, mask)


def _keep_every_index(tensor: FiberTensor, mask: np.ndarray) -> np.ndarray:
    """Put back fibers without which an index has no data, and check that some stay left out."""
    mask = mask.copy()
    left = ~mask.all(axis=1)
    for size, places in zip(tensor.shape[:-1], tensor.index.T, strict=True):
        shown = np.bincount(places[left], minlength=size) > 0
        mask[~shown[places]] = False
    if not mask.any():
        raise DataError(
            "nothing can be left out: every fiber is the only one of its pair or subject",
            expected="pairs seen in at least two subjects",
            found=f"{len(mask)} fibers for shape {tensor.shape}",
            field="tensor",
        )
    return mask


def _without(tensor: FiberTensor, values: np.ndarray, mask: np.ndarray) -> FiberTensor:
    if mask.shape[1] == 1:
        kept = ~mask[:, 0]
        return replace(tensor, values=values[kept], index=tensor.index[kept])
    return replace(tensor, values=np.where(mask, np.nan, values))


def _held_out_error(
    estimator: NonnegativeCP, tensor: FiberTensor, values: np.ndarray, mask: np.ndarray
) -> float:
    """Relative error of a fit on the data that the mask left out."""
    weights, factors = estimator.fit(_without(tensor, values, mask)).cp_
    held = np.flatnonzero(mask.any(axis=1))
    shares = _models([factors[0] * weights, *factors[1:]], tensor.index[held])
    # the ridge shrinks every component by 1 / (1 + ridge), which is undone
    model = shares @ factors[-1].T * (1 + estimator.ridge)
    chosen = np.broadcast_to(mask[held], model.shape) & ~np.isnan(values[held])
    target = values[held][chosen]
    norm = np.linalg.norm(target)
    return float(np.linalg.norm(target - model[chosen]) / norm) if norm > 0 else float("nan")


def _choose(folds: np.ndarray) -> int:
    """The first row that is within a standard error of the best one, fold by fold."""
    unscored = np.flatnonzero(~np.isfinite(folds).all(axis=1))
    if len(unscored):
        raise DataError(
            "some ranks have no finite held-out error in some folds, so they cannot be compared",
            expected="something above zero in what each fold leaves out",
            found=f"{len(unscored)} of {len(folds)} ranks without, the first has "
            f"{folds[unscored[0]].tolist()}",
            fix="Use fewer folds, or leave out fibers that are zero throughout.",
            field="tensor",
        )
    return first_within_one_standard_error(-folds)
