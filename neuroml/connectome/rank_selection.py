"""Choice of the number of components of a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import clone
from tensorly.cp_tensor import CPTensor

from neuroml._core.estimator import check_kind, check_option
from neuroml._core.parallel import RandomState, show_progress, spawn_generators
from neuroml._core.statistics import first_within_one_standard_error
from neuroml._core.validation import as_given, as_numbers
from neuroml.connectome._holdout import (
    Layout,
    fiber_products,
    held_out_error,
    hold_out,
    in_memory,
    layout_of,
)
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
    holdout : str
        What was held out.
    gap : int
        Slices of time between a held-out block and what was fitted; 0 for other kinds.
    """

    best_rank: int
    table: pd.DataFrame
    folds: np.ndarray
    holdout: str
    gap: int


def select_rank(  # noqa: PLR0913 - what is held out, and how the work is done
    tensor: FiberTensor | ArrayLike,
    ranks: Sequence[int],
    *,
    holdout: str = "auto",
    time_mode: int | None = None,
    gap: int | None = None,
    groups: ArrayLike | None = None,
    n_folds: int = 5,
    model: NonnegativeCP | None = None,
    verbose: int = 0,
    random_state: RandomState = None,
) -> RankSelection:
    """Compare ranks by their error on held-out data that nothing in the fit tells.

    Parameters
    ----------
    tensor : FiberTensor or array-like
        Non-negative, NaN for missing. Windows by regions by regions are recognized: of an array
        in which two modes can be exchanged, both entries of a pair are held out together.
    ranks : sequence of int
        Rising: of ranks that do as well, the first is taken.
    holdout : {"auto", "subject", "time_block", "pair", "fiber"}, default="auto"
        "subject" and "time_block" leave out whole subjects, or stretches of time with a gap on
        either side. There, half of the fibers (pairs) say how strong each component is and the
        other half is predicted, so that neither overlapping windows nor mirror images help. "pair"
        leaves out pairs of a symmetric tensor for all time, and "fiber" pairs in single subjects;
        their neighbors in the same windows are fitted, so noise that pairs of a unit share counts
        as structure.
        "auto" is "subject" for three or more of them, else "time_block".
    time_mode : int, optional
        By default, the axis called "time" or "window" of a `FiberTensor` or DataArray; in an array,
        the mode beside two symmetric ones, or the last.
    gap : int, optional
        Slices between a held-out block of time and what is fitted, for "time_block". By default,
        the autocorrelation time of the tensor, but no more than the length of a block.
    groups : array-like of shape (n_times,), optional
        Subject of every slice of time, where those of several subjects stand one after the other.
    n_folds : int, default=5
        With fewer subjects than this, one fold for each.
    model : NonnegativeCP, optional
        The model whose parameters other than the rank are taken. Its ridge matters: without one,
        the held-out error explodes as soon as a pair is observed in fewer subjects than there are
        components, and a large one prefers too many, since two halves of a component have a
        smaller penalty than the whole.
    verbose : int, default=0
        1 shows the progress.
    random_state : int, RandomState, Generator or None, default=None

    Returns
    -------
    RankSelection

    Raises
    ------
    DataError
        If ranks are not rising numbers from 1, a kind of ``holdout`` does not go with the tensor,
        it is not plain which mode is time, nothing can be left out without losing an index
        altogether, the gap leaves nothing to fit, or a fold leaves out nothing but zeros.

    Notes
    -----
    Held-out halves of slices are the bi-cross-validation of [1]_ for tensors.

    References
    ----------
    .. [1] A. Owen and P. Perry (2009). Bi-cross-validation of the SVD and the nonnegative matrix
       factorization. Annals of Applied Statistics 3.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.connectome import select_rank
    >>> rng = np.random.default_rng(0)
    >>> a, b, c = (rng.gamma(0.3, size=(n, 2)) for n in (30, 8, 50))
    >>> tensor = np.einsum("ir,jr,kr->ijk", a, b, c)
    >>> tensor *= rng.uniform(0.5, 1.5, tensor.shape)
    >>> select_rank(tensor, [1, 2, 3], random_state=0).best_rank
    2
    """
    check_option(holdout, ("auto", "subject", "time_block", "pair", "fiber"), "holdout")
    _check_ranks(ranks)
    model = NonnegativeCP() if model is None else check_kind(model, (NonnegativeCP,), "model")
    layout = layout_of(tensor, time_mode, model.symmetric_modes)
    labels = _checked_groups(groups, layout.tensor.shape[-1])
    holdout = _kind_of(holdout, layout, labels, model.background)
    generators = spawn_generators(random_state, 1 + len(ranks))
    held, reach = hold_out(layout, holdout, n_folds, gap, labels, generators[0])
    folds, rows = np.empty((len(ranks), len(held))), []
    each = show_progress(zip(ranks, generators[1:], strict=True), len(ranks), "ranks", verbose)
    for k, (rank, rng) in enumerate(each):
        estimator = clone(model)
        seed = int(rng.integers(2**31))
        estimator.set_params(n_components=rank, random_state=seed, symmetric_modes=None)
        folds[k] = [held_out_error(estimator, layout, fold) for fold in held]
        estimator.fit(layout.tensor)
        others = np.delete(estimator.restart_matches_, estimator.restart_objectives_.argmin())
        match = np.median(others) if len(others) else np.nan
        consistency = core_consistency(estimator.cp_, layout.tensor)
        rows.append((rank, estimator.reconstruction_err_, match, consistency))
    table = pd.DataFrame(rows, columns=["rank", "error", "match", "core_consistency"])
    table.insert(1, "held_out", folds.mean(axis=1))
    table.insert(2, "held_out_se", folds.std(axis=1, ddof=1) / np.sqrt(len(held)))
    return RankSelection(int(ranks[_choose(folds)]), table, folds, holdout, reach)


def _check_ranks(ranks: Sequence[int]) -> None:
    given = list(ranks)
    whole = all(isinstance(rank, Integral) and rank >= 1 for rank in given)
    if not given or not whole or given != sorted(set(given)):
        raise DataError(
            "these are no ranks to compare",
            expected="rising whole numbers from 1, such as range(1, 6)",
            found=given[:10],
            field="ranks",
        )


def _checked_groups(groups: ArrayLike | None, length: int) -> np.ndarray | None:
    if groups is None:
        return None
    labels = np.asarray(groups)
    if labels.shape != (length,) or len(np.unique(labels)) < 2:
        raise DataError(
            "groups do not say which subject each slice of time is of",
            expected=f"{length} labels of two or more subjects",
            found=f"shape {labels.shape}, {len(np.unique(labels))} subjects",
            field="groups",
        )
    return labels


def _kind_of(holdout: str, layout: Layout, groups: np.ndarray | None, background: str) -> str:
    """Which hold-out is meant, once it is known to go with the tensor."""
    n_subjects = layout.n_subjects if groups is None else len(np.unique(groups))
    if holdout == "auto":
        # the background of another subject's pairs is its own, which nothing else tells
        of_subjects = n_subjects >= 3 and background == "none"
        return "subject" if of_subjects else "time_block"
    if background != "none" and holdout != "time_block":
        raise DataError(
            "the background of what is held out would not be known",
            expected="holdout='time_block' for a model with a background",
            found=f"holdout={holdout!r}, background={background!r}",
            field="holdout",
        )
    fits = {
        "subject": n_subjects >= 2,
        "pair": layout.symmetric,
        "fiber": not layout.symmetric,
        "time_block": True,
    }
    if not fits[holdout]:
        needs = {
            "subject": "two subjects: groups=, or a FiberTensor with an axis called subject",
            "pair": "two modes that can be exchanged, as in windows by regions by regions",
            "fiber": "fibers that stand there once: in a symmetric tensor, one entry of a pair "
            "tells the other; holdout='pair' leaves out both",
        }
        raise DataError(
            f"holdout={holdout!r} does not go with this tensor",
            expected=needs[holdout],
            found=f"shape {layout.tensor.shape}, axes {layout.tensor.axes or 'without names'}",
            field="holdout",
        )
    return holdout


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
    residual = in_memory(tensor) - fiber_products(factors, tensor.index) @ factors[-1].T
    excess = np.nan_to_num(residual) @ inverses[-1].T
    weights = [inverse.T[i] for inverse, i in zip(inverses[:-1], tensor.index.T, strict=True)]
    letters = "abcdefgh"[: len(weights)]
    subscripts = ",".join(f"n{letter}" for letter in letters)
    deviation = np.einsum(f"{subscripts},nz->{letters}z", *weights, excess, optimize=True)
    return float(100 * (1 - np.sum(deviation**2) / rank))


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
