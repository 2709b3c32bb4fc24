"""Where a fit starts, and what it holds: given models, transitions, parameters and states."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from neuroml._core.validation import as_given, list_some
from neuroml.exceptions import DataError
from neuroml.switching._em import Model

__all__ = ["check_fixed", "check_mask", "check_start", "check_states"]

# Names of attributes, without their underscores, and what they are in a chain or a family.
_CHAIN = {
    "transition_matrix": "matrix", "initial_proba": "initial", "transition_weights": "weights",
}  # fmt: skip
_EMISSIONS = {
    "weights": "weights", "intercept": "intercept", "covariances": "noise", "dispersions": "noise",
}  # fmt: skip


def check_mask(mask: ArrayLike | None, n_states: int) -> np.ndarray | None:
    """Allowed transitions (K, K), of which every state has one.

    Raises
    ------
    DataError
        If they are not bool, have another shape, or leave a state nowhere to go.
    """
    if mask is None:
        return None
    try:
        allowed = np.asarray(as_given(mask, "transition_mask"))
    except ValueError:  # rows of different lengths
        allowed = np.empty((0, 0))
    if allowed.dtype != bool or allowed.shape != (n_states, n_states):
        raise DataError(
            "transition_mask does not say which transitions are allowed",
            expected=f"True or False, shape ({n_states}, {n_states}), from row to column",
            found=f"{allowed.dtype}, shape {allowed.shape}",
            field="transition_mask",
        )
    nowhere = np.flatnonzero(~allowed.any(axis=1))
    if len(nowhere):
        raise DataError(
            "states lead nowhere",
            expected="at least one True in each row",
            found=f"none in rows {nowhere.tolist()}",
            field="transition_mask",
        )
    return allowed


def check_fixed(
    fixed: Iterable[str], known: Iterable[str], init: Any
) -> tuple[frozenset[str], frozenset[str]]:
    """What the chain and the emissions hold, of the names of parameters.

    Parameters
    ----------
    fixed : iterable of str
    known : iterable of str
        The model's parameters.
    init : SwitchingGLM or None

    Raises
    ------
    DataError
        If there is no such parameter, or no model to take values from.
    """
    names = [fixed] if isinstance(fixed, str) else list(fixed)
    known = [name for name in known if name in _CHAIN | _EMISSIONS]
    others = [name for name in names if name not in known]
    if others:
        raise DataError(
            "there is no such parameter to hold",
            expected=f"some of {list_some(known)}",
            found=list_some(others),
            field="fixed",
        )
    if names and init is None:
        raise DataError(
            "the values of fixed parameters are not known",
            expected="init=, a model that has them",
            found=f"fixed={names} alone",
            field="init",
        )
    chain = frozenset(_CHAIN[name] for name in names if name in _CHAIN)
    return chain, frozenset(_EMISSIONS[name] for name in names if name in _EMISSIONS)


def check_states(
    states: ArrayLike | None, n_states: int, starts: np.ndarray, allowed: np.ndarray | None
) -> np.ndarray | None:
    """Known states (T,), -1 where unknown.

    Raises
    ------
    DataError
        If they are no states, or one follows another that may not lead to it.
    """
    if states is None:
        return None
    known, n_bins = np.asarray(as_given(states, "states")), int(starts[-1])
    if known.shape != (n_bins,) or known.dtype.kind not in "iu":
        raise DataError(
            "states are not one whole number for each bin",
            expected=f"integers from -1 (unknown) to {n_states - 1}, shape ({n_bins},)",
            found=f"{known.dtype}, shape {known.shape}",
            field="states",
        )
    bad = np.flatnonzero((known < -1) | (known >= n_states))
    if len(bad):
        raise DataError(
            "there are no such states",
            expected=f"-1 (unknown) to {n_states - 1}",
            found=f"{known[bad[0]]} at bin {bad[0]}",
            field="states",
        )
    if allowed is not None:
        for start, stop in pairwise(starts):
            _check_path(known[start:stop], allowed, int(start))
    return known.astype(np.int64)


def check_start(
    model: Model, own: tuple[Any, ...], theirs: tuple[Any, ...], allowed: np.ndarray | None
) -> Model:
    """The model to start at, without transitions that are forbidden.

    Parameters
    ----------
    model : Model
    own, theirs : tuple
        Of the fit, and of the model: family, number of states, intercept, outputs, inputs,
        transition inputs, classes.
    allowed : ndarray of bool of shape (n_states, n_states), or None

    Raises
    ------
    DataError
        If it is another kind of model.
    """
    if own != theirs:
        words = "family, n_states, fit_intercept, outputs, inputs, transition inputs, classes"
        raise DataError(
            "init is another kind of model",
            expected=f"{own} ({words})",
            found=theirs,
            field="init",
        )
    if allowed is None:
        return model
    matrix = model.chain.matrix * allowed
    total = matrix.sum(axis=1, keepdims=True)
    chain = model.chain._replace(matrix=matrix / np.where(total > 0, total, 1.0))
    return model._replace(chain=chain)


def _check_path(known: np.ndarray, allowed: np.ndarray, start: int) -> None:
    """Refuse known states of a session that no allowed path goes through."""
    seen = np.flatnonzero(known >= 0)
    for before, after in pairwise(seen):
        # where all paths of so many steps lead; unknown bins in between may be anything
        reached = np.eye(len(allowed))[known[before]] > 0
        for _ in range(after - before):
            reached = reached @ allowed
        if not reached[known[after]]:
            raise DataError(
                "states follow each other in a way that transition_mask forbids",
                expected="a path of transitions that are True in transition_mask",
                found=f"{known[before]} at bin {start + before}, "
                f"{known[after]} at bin {start + after}",
                field="states",
            )
