"""Inference in hidden Markov models, given the log-likelihood of every observation in every state.

All functions take the same arguments: ``log_emissions (n_bins, n_states)``, where a missing
observation is a row of zeros; ``transition (n_states, n_states)``, or ``(n_bins - 1, n_states,
n_states)`` with entry t leading from bin t to t + 1 (entries across session borders are not used);
``initial (n_states,)``; and ``sessions``, one label per bin. Sessions are independent.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from neuroml._core.estimator import resolve_device
from neuroml._core.parallel import RandomState, spawn_generators
from neuroml._core.recording import break_points
from neuroml._core.validation import check_sessions
from neuroml.exceptions import DataError

__all__ = [
    "Posterior",
    "filter_states",
    "forward_backward",
    "log_likelihood",
    "sample_states",
    "viterbi",
]


class Posterior(NamedTuple):
    """What `forward_backward` returns.

    Attributes
    ----------
    probabilities : ndarray of shape (n_bins, n_states)
        P(state at t | all observations of the session).
    expected_transitions : ndarray of shape (n_states, n_states)
        P(state i at t, state j at t + 1 | observations), summed over t and sessions.
    log_likelihood : float
        Sum over all sessions.
    session_log_likelihoods : ndarray of shape (n_sessions,)
    """

    probabilities: np.ndarray
    expected_transitions: np.ndarray
    log_likelihood: float
    session_log_likelihoods: np.ndarray


def forward_backward(
    log_emissions: ArrayLike,
    transition: ArrayLike,
    initial: ArrayLike,
    sessions: ArrayLike | None = None,
    *,
    device: Any = "cpu",
) -> Posterior:
    """Smooth: the probability of every state in every bin given all observations.

    Parameters
    ----------
    log_emissions : array-like of shape (n_bins, n_states)
    transition : array-like of shape (n_states, n_states) or (n_bins - 1, n_states, n_states)
    initial : array-like of shape (n_states,)
    sessions : array-like of shape (n_bins,), optional
    device : str or torch.device, default="cpu"
        "cpu" runs compiled recursions; "cuda", "cuda:0", ... an associative scan over time
        (Särkkä and García-Fernández 2021), whose depth grows with log(n_bins).

    Returns
    -------
    Posterior

    Raises
    ------
    DataError
        If shapes disagree, probabilities do not sum to one, emissions hold NaN, or no path through
        a session is possible.

    Examples
    --------
    >>> import numpy as np
    >>> from neuroml.switching.inference import forward_backward
    >>> log_emissions = np.log([[0.9, 0.2], [0.5, 0.5], [0.1, 0.7]])
    >>> posterior = forward_backward(log_emissions, [[0.8, 0.2], [0.2, 0.8]], [0.5, 0.5])
    >>> posterior.probabilities.round(2).tolist()
    [[0.72, 0.28], [0.46, 0.54], [0.19, 0.81]]
    """
    arrays = _check(log_emissions, transition, initial, sessions)
    if device != "cpu":  # which does without torch
        device = resolve_device(device, double=True)
    if str(device) == "cpu":
        from neuroml.switching._kernels.forward_backward import smooth

        probabilities, expected, totals = smooth(*arrays, np.ones((1, 1)))
    else:
        from neuroml.switching._kernels.scan import smooth_by_scan

        probabilities, expected, totals = smooth_by_scan(*arrays, device=device)
    _refuse_impossible(totals)
    return Posterior(probabilities, expected[0], float(totals.sum()), totals)


def filter_states(
    log_emissions: ArrayLike,
    transition: ArrayLike,
    initial: ArrayLike,
    sessions: ArrayLike | None = None,
) -> np.ndarray:
    """Filter: the probability of every state given the observations up to the same bin.

    Parameters
    ----------
    log_emissions, transition, initial, sessions
        As for `forward_backward`.

    Returns
    -------
    ndarray of shape (n_bins, n_states)

    Raises
    ------
    DataError
        As `forward_backward`.
    """
    filtered, totals = _filter(_check(log_emissions, transition, initial, sessions))
    _refuse_impossible(totals)
    return filtered


def log_likelihood(
    log_emissions: ArrayLike,
    transition: ArrayLike,
    initial: ArrayLike,
    sessions: ArrayLike | None = None,
) -> float:
    """Log-likelihood of the observations, summed over all paths.

    Parameters
    ----------
    log_emissions, transition, initial, sessions
        As for `forward_backward`.

    Returns
    -------
    float
        ``-inf`` if no path is possible.

    Raises
    ------
    DataError
        If shapes disagree, probabilities do not sum to one, or emissions hold NaN.
    """
    return float(_filter(_check(log_emissions, transition, initial, sessions))[1].sum())


def viterbi(
    log_emissions: ArrayLike,
    transition: ArrayLike,
    initial: ArrayLike,
    sessions: ArrayLike | None = None,
) -> tuple[np.ndarray, float]:
    """Return the most probable path through each session.

    Among equally probable paths the one with the lower states, from the end, is returned.

    Parameters
    ----------
    log_emissions, transition, initial, sessions
        As for `forward_backward`.

    Returns
    -------
    states : ndarray of int of shape (n_bins,)
    log_probability : float
        Log-probability of the path and the observations together.

    Raises
    ------
    DataError
        As `log_likelihood`.
    """
    from neuroml.switching._kernels.forward_backward import best_paths

    checked, onward, first, starts = _check(log_emissions, transition, initial, sessions)
    states = np.empty(len(checked), dtype=np.int64)
    totals = np.empty(len(starts) - 1)
    with np.errstate(divide="ignore"):
        checked = np.ascontiguousarray(checked)
        best_paths(checked, np.log(onward), np.log(first), starts, states, totals)
    return states, float(totals.sum())


def sample_states(
    log_emissions: ArrayLike,
    transition: ArrayLike,
    initial: ArrayLike,
    sessions: ArrayLike | None = None,
    *,
    random_state: RandomState = None,
) -> np.ndarray:
    """Draw one path through each session from its posterior; with all-zero emissions, its prior.

    Parameters
    ----------
    log_emissions, transition, initial, sessions
        As for `forward_backward`.
    random_state : int, RandomState, Generator or None

    Returns
    -------
    ndarray of int of shape (n_bins,)

    Raises
    ------
    DataError
        As `forward_backward`.
    """
    from neuroml.switching._kernels.forward_backward import random_paths

    arrays = _check(log_emissions, transition, initial, sessions)
    filtered, totals = _filter(arrays)
    _refuse_impossible(totals)
    (rng,) = spawn_generators(random_state, 1)
    states = np.empty(len(filtered), dtype=np.int64)
    random_paths(filtered, arrays.transition, arrays.starts, rng.random(len(filtered)), states)
    return states


class _Arrays(NamedTuple):
    """Checked arguments as the compiled recursions take them."""

    log_emissions: np.ndarray
    transition: np.ndarray
    initial: np.ndarray
    starts: np.ndarray


def _filter(arrays: _Arrays) -> tuple[np.ndarray, np.ndarray]:
    from neuroml.switching._kernels.forward_backward import filter_forward

    return filter_forward(*arrays)


def _refuse_impossible(totals: np.ndarray) -> None:
    impossible = np.flatnonzero(np.isneginf(totals))
    if len(impossible):
        raise DataError(
            f"no path through session {impossible[0]} is possible",
            expected="at least one path of positive probability",
            fix="Check for zeros in transition and initial, and for -inf in log_emissions.",
            field="log_emissions",
        )


def _check(
    log_emissions: ArrayLike,
    transition: ArrayLike,
    initial: ArrayLike,
    sessions: ArrayLike | None,
) -> _Arrays:
    emissions = np.asarray(log_emissions, dtype=np.float64)
    if emissions.ndim != 2 or 0 in emissions.shape:
        raise DataError(
            "log_emissions is not a table of bins by states",
            expected="shape (n_bins, n_states)",
            found=f"shape {emissions.shape}",
            field="log_emissions",
        )
    unusable = ~(emissions < np.inf).all(axis=1)
    if unusable.any():
        raise DataError(
            "log-likelihoods are NaN or infinite",
            expected="finite values, or -inf where a state is impossible",
            found=f"{int(unusable.sum())} bins, the first is {int(unusable.argmax())}",
            fix="Give missing observations a row of zeros.",
            field="log_emissions",
        )
    n_bins, n_states = emissions.shape
    onward = check_distributions("transition", transition)
    if onward.shape not in ((n_states, n_states), (n_bins - 1, n_states, n_states)):
        raise DataError(
            "transition does not match log_emissions",
            expected=f"shape {(n_states, n_states)} or {(n_bins - 1, n_states, n_states)}",
            found=f"shape {onward.shape}",
            field="transition",
        )
    first = check_distributions("initial", initial)
    if first.shape != (n_states,):
        raise DataError(
            "initial does not match log_emissions",
            expected=f"shape {(n_states,)}",
            found=f"shape {first.shape}",
            field="initial",
        )
    if onward.ndim == 2:
        onward = onward[None]
    elif n_bins == 1:
        onward = np.full((1, n_states, n_states), 1.0 / n_states)
    starts = np.append(break_points(check_sessions(sessions, n_bins)), n_bins)
    return _Arrays(emissions, onward, first, starts.astype(np.int64))


def check_distributions(field: str, values: ArrayLike) -> np.ndarray:
    """Probabilities, with an error that names ``field`` unless they sum to one over the last axis.

    Raises
    ------
    DataError
    """
    array = np.ascontiguousarray(values, dtype=np.float64)
    off = np.abs(array.sum(axis=-1) - 1.0)
    if not (array >= 0).all() or not (off <= 1e-6).all():
        raise DataError(
            f"{field} is not made of probabilities",
            expected="entries >= 0 with sums of one over the last axis",
            found=f"minimum {array.min():.3g}, sums off by up to {off.max():.3g}",
            field=field,
        )
    return array
