"""Behaviour that switches between strategies, with known ground truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.utils import Bunch

from neuroml._core.parallel import RandomState, spawn_generators

__all__ = ["make_switching_choices", "make_switching_cohort"]

_COLUMNS = ["stimulus", "previous choice", "previous stimulus"]

_STRATEGIES = np.array(
    [  # stimulus, previous choice, bias: engaged, biased left, biased right, win-stay, disengaged
        [4.0, 0.2, 0.0],
        [1.0, 0.3, -2.0],
        [1.0, 0.3, 2.0],
        [0.5, 2.0, 0.0],
        [0.0, 0.0, 0.0],
    ]
)


def make_switching_choices(
    n_sessions: int = 20,
    n_trials: int = 500,
    n_states: int = 3,
    *,
    stay: float = 0.97,
    random_state: RandomState = None,
) -> Bunch:
    """Simulate two-alternative choices of a subject that switches between strategies.

    Strategies are engaged (the stimulus decides), biased to the left, biased to the right,
    repeating the previous choice, and guessing; the first ``n_states`` of them are used.

    Parameters
    ----------
    n_sessions, n_trials : int
        Number of sessions, and of trials in each.
    n_states : int
        Number of strategies, from 1 to 5.
    stay : float
        Probability of keeping the strategy from one trial to the next.
    random_state : int, RandomState, Generator or None

    Returns
    -------
    Bunch
        ``X (n, 3)``: signed stimulus from -1 to 1, previous choice (-1, 1, or 0 on the first trial
        of a session), previous stimulus (on which no choice depends); ``y (n,)``: choice, 0 or 1;
        ``sessions (n,)``; ``states (n,)``; the truth ``weights (n_states, 1, 3)``,
        ``intercept (n_states, 1)``, ``transition_matrix``; and ``columns``, the names of X.

    Raises
    ------
    ValueError
        If there is no such number of strategies.

    Examples
    --------
    >>> from neuroml.simulate import make_switching_choices
    >>> data = make_switching_choices(n_sessions=2, n_trials=100, random_state=0)
    >>> data.X.shape, sorted(set(data.y.tolist()))
    ((200, 3), [0.0, 1.0])
    """
    strategies = _strategies(n_states)
    (rng,) = spawn_generators(random_state, 1)
    data = _simulate(np.repeat(strategies[None], n_sessions, axis=0), n_trials, stay, rng)
    return Bunch(
        **data,
        weights=np.column_stack([strategies[:, :2], np.zeros(n_states)])[:, None],
        intercept=strategies[:, 2:],
        columns=_COLUMNS,
    )


def make_switching_cohort(
    n_subjects: int = 8,
    n_sessions: int = 10,
    n_trials: int = 100,
    n_states: int = 3,
    *,
    deviation: float | Sequence[float] = (0.8, 0.2, 0.3),
    stay: float = 0.97,
    random_state: RandomState = None,
) -> Bunch:
    """Simulate subjects that switch between the same strategies, each in its own way.

    The strategies are those of `make_switching_choices`; in every state, each subject's weights of
    the stimulus and the previous choice and its bias are normal around them.

    Parameters
    ----------
    n_subjects : int
    n_sessions, n_trials : int
        Number of sessions of each subject, and of trials in each.
    n_states : int
        Number of strategies, from 1 to 5.
    deviation : float or sequence of three
        Standard deviation over subjects of the weight of the stimulus, that of the previous choice,
        and the bias, in log-odds.
    stay : float
        Probability of keeping the strategy from one trial to the next.
    random_state : int, RandomState, Generator or None

    Returns
    -------
    Bunch
        As `make_switching_choices` returns, with ``groups (n,)``, the subject of each trial ("s00",
        "s01", ...); ``weights`` and ``intercept`` are the cohort's, and ``subject_weights
        (n_subjects, n_states, 1, 3)`` and ``subject_intercept (n_subjects, n_states, 1)`` are those
        of the subjects.

    Raises
    ------
    ValueError
        If there is no such number of strategies, or deviations are not numbers of at least zero.

    Examples
    --------
    >>> from neuroml.simulate import make_switching_cohort
    >>> data = make_switching_cohort(3, n_sessions=2, n_trials=50, random_state=0)
    >>> data.X.shape, data.subject_weights.shape, data.groups[-1].item()
    ((300, 3), (3, 3, 1, 3), 's02')
    """
    spread = np.asarray(deviation, dtype=np.float64)
    if spread.shape not in ((), (3,)) or not (spread >= 0).all() or np.isinf(spread).any():
        raise ValueError(f"deviation is one number or three of at least 0, not {deviation!r}")
    strategies = _strategies(n_states)
    own_rng, rng = spawn_generators(random_state, 2)
    own = strategies + spread * own_rng.normal(size=(n_subjects, *strategies.shape))
    data = _simulate(np.repeat(own, n_sessions, axis=0), n_trials, stay, rng)
    nothing = np.zeros((n_subjects, n_states, 1))
    names = np.array([f"s{i:02d}" for i in range(n_subjects)])
    return Bunch(
        **data,
        groups=np.repeat(names, n_sessions * n_trials),
        weights=np.column_stack([strategies[:, :2], np.zeros(n_states)])[:, None],
        intercept=strategies[:, 2:],
        subject_weights=np.concatenate([own[:, :, :2], nothing], axis=2)[:, :, None],
        subject_intercept=own[:, :, 2:],
        columns=_COLUMNS,
    )


def _strategies(n_states: int) -> np.ndarray:
    if not 1 <= n_states <= len(_STRATEGIES):
        raise ValueError(f"n_states is from 1 to {len(_STRATEGIES)}, not {n_states}")
    return _STRATEGIES[:n_states]


def _simulate(
    strategies: np.ndarray, n_trials: int, stay: float, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Trials of sessions whose strategies (n_sessions, n_states, 3) are given."""
    n_sessions, n_states, _ = strategies.shape
    matrix = np.full((n_states, n_states), (1.0 - stay) / max(n_states - 1, 1))
    np.fill_diagonal(matrix, stay if n_states > 1 else 1.0)
    shape = (n_sessions, n_trials)
    states = np.empty(shape, dtype=np.int64)
    states[:, 0] = rng.integers(n_states, size=n_sessions)
    moves, draws = rng.random(shape), rng.random(shape)
    stimulus = rng.choice([-1.0, -0.5, -0.25, -0.125, 0.0, 0.125, 0.25, 0.5, 1.0], size=shape)
    previous, y = np.zeros(shape), np.empty(shape)
    for t in range(n_trials):
        if t > 0:
            # next state by the inverse of the cumulative transition probabilities
            ladder = matrix.cumsum(axis=1)[states[:, t - 1], :-1]
            states[:, t] = (moves[:, t, None] >= ladder).sum(axis=1)
            previous[:, t] = 2.0 * y[:, t - 1] - 1.0
        by_stimulus, by_previous, bias = strategies[np.arange(n_sessions), states[:, t]].T
        log_odds = by_stimulus * stimulus[:, t] + by_previous * previous[:, t] + bias
        y[:, t] = draws[:, t] < 1.0 / (1.0 + np.exp(-log_odds))
    before = np.pad(stimulus, ((0, 0), (1, 0)))[:, :-1]
    return {
        "X": np.stack([stimulus, previous, before], axis=2).reshape(-1, 3),
        "y": y.ravel(),
        "sessions": np.repeat(np.arange(n_sessions), n_trials),
        "states": states.ravel(),
        "transition_matrix": matrix,
    }
