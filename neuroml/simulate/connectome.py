"""Traces of subjects in which communities of neurons are active together for a while."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter1d
from sklearn.utils import Bunch

from neuroml._core.parallel import RandomState, spawn_generators
from neuroml.exceptions import DataError

__all__ = ["make_dynamic_communities"]

_SCHEDULES = ("dynamic", "static", "null")


def make_dynamic_communities(
    n_units: int = 60,
    n_subjects: int = 12,
    n_frames: int = 240,
    *,
    n_communities: int = 4,
    n_active_subjects: int = 7,
    schedule: str = "dynamic",
    noise: float = 0.5,
    unseen: float = 0.3,
    random_state: RandomState = None,
    **details: float,
) -> Bunch:
    r"""Simulate communities of units that are active in known intervals of known subjects.

    Each unit has a smooth signal of its own. While its community is active, it also has the
    community's signal, of which every subject has its own version:

    .. math::
        x_i(t) = o\, s_i(t) + a_{k(i)}(t)\, s_{k(i)}(t) + b\, g(t) + d_i(t) + \text{noise}

    with :math:`a_k = 1` inside the interval of community :math:`k` in a subject that has it and 0
    elsewhere, :math:`g` a background that all units share, and :math:`d_i` a slow drift. All smooth
    signals have a variance of one.

    Parameters
    ----------
    n_units, n_subjects, n_frames : int
    n_communities : int
        Number of communities. Each has ``n_units // (n_communities + 1)`` members; the other units
        belong to none.
    n_active_subjects : int
        Number of subjects in which a community becomes active.
    schedule : {"dynamic", "static", "null"}
        "dynamic": each community is active in its interval. "static": all communities are active
        in all subjects all the time. "null": none ever is.
    noise : float
        Standard deviation of white noise, relative to that of the smooth signals.
    unseen : float
        Share of the units that are missing in a subject, at random.
    random_state : int, RandomState, Generator or None
    **details : float
        ``own=0.5`` (standard deviation of a unit's own signal),
        ``smoothness=4.0`` (frames; standard deviation of the Gaussian filter behind the smooth
        signals), ``background=0.0`` (standard deviation of g), ``drift=0.0``
        (standard deviation of a random walk's end point).

    Returns
    -------
    Bunch
        ``X`` (n_subjects, n_frames, n_units), NaN columns for missing units;
        ``communities`` (n_units,), -1 for units in none;
        ``intervals`` (n_communities, 2), first and one-past-last frame;
        ``members`` (n_communities, n_units), ``active_frames`` (n_communities, n_frames) and
        ``active_subjects`` (n_communities, n_subjects), all bool.

    Raises
    ------
    DataError
        If there are too few units or subjects, or an argument is out of its range.

    Examples
    --------
    >>> from neuroml.simulate import make_dynamic_communities
    >>> truth = make_dynamic_communities(random_state=0)
    >>> truth.X.shape, truth.intervals.shape
    ((12, 240, 60), (4, 2))
    """
    size = n_units // (n_communities + 1)
    detail = {"own": 0.5, "smoothness": 4.0, "background": 0.0, "drift": 0.0}
    if unknown := sorted(set(details) - set(detail)):
        raise TypeError(f"unknown details {unknown}; there are {sorted(detail)}")
    detail.update(details)
    _check_design(schedule, unseen, size, n_active_subjects, n_subjects)
    (rng,) = spawn_generators(random_state, 1)
    communities = np.full(n_units, -1)
    members = rng.permutation(n_units)[: size * n_communities].reshape(n_communities, size)
    for k, who in enumerate(members):
        communities[who] = k
    plan = _plan(rng, schedule, n_communities, n_frames, n_subjects, n_active_subjects)
    X = np.stack(
        [
            _subject(rng, communities, plan["active_frames"] & on[:, None], detail)
            for on in plan["active_subjects"].T
        ]
    )
    X += noise * rng.standard_normal(X.shape)
    gone = _unseen(rng, n_subjects, n_units, unseen)
    X = np.where(gone[:, None, :], np.nan, X)
    return Bunch(
        X=X,
        communities=communities,
        members=communities == np.arange(n_communities)[:, None],
        **plan,
    )


def _check_design(schedule: str, unseen: float, size: int, n_active: int, n_subjects: int) -> None:
    rules = [
        ("schedule", schedule in _SCHEDULES, f"one of {_SCHEDULES}", schedule),
        ("unseen", 0 <= unseen <= 0.9, "a share in [0, 0.9]", unseen),
        ("n_units", size >= 2, "at least two units per community", f"{size} per community"),
        ("n_active_subjects", 1 <= n_active <= n_subjects, f"1 to {n_subjects}", n_active),
    ]
    for field, holds, expected, found in rules:
        if not holds:
            raise DataError(
                "this cohort cannot be made", expected=expected, found=found, field=field
            )


def _plan(
    rng: np.random.Generator,
    schedule: str,
    n_communities: int,
    n_frames: int,
    n_subjects: int,
    n_active: int,
) -> dict[str, Any]:
    """Draw intervals and subjects: each interval extends an eighth of its length to either side."""
    slot = n_frames / n_communities
    first = np.maximum(0, (np.arange(n_communities) * slot - slot / 8).astype(int))
    last = np.minimum(n_frames, ((np.arange(n_communities) + 1) * slot + slot / 8).astype(int))
    intervals = np.column_stack([first, last])
    on = np.zeros((n_communities, n_subjects), dtype=bool)
    for row in on:
        row[rng.permutation(n_subjects)[:n_active]] = True
    if schedule == "static":
        intervals[:] = 0, n_frames
        on[:] = True
    if schedule == "null":
        intervals[:] = 0
        on[:] = False
    frames = np.arange(n_frames)
    active = (frames >= intervals[:, :1]) & (frames < intervals[:, 1:])
    return {"intervals": intervals, "active_frames": active, "active_subjects": on}


def _subject(
    rng: np.random.Generator,
    communities: np.ndarray,
    active: np.ndarray,
    detail: dict[str, float],
) -> np.ndarray:
    """Traces of one subject without noise (n_frames, n_units)."""
    n_communities, n_frames = active.shape
    n_units = len(communities)
    own = _smooth(rng, n_frames, n_units, detail["smoothness"])
    shared = _smooth(rng, n_frames, n_communities, detail["smoothness"])
    joins = np.where(communities >= 0, active[communities].T, False)
    X = detail["own"] * own + joins * shared[:, communities]
    X += detail["background"] * _smooth(rng, n_frames, 1, detail["smoothness"])
    walk = rng.standard_normal((n_frames, n_units)).cumsum(axis=0)
    return np.asarray(X + detail["drift"] * walk / np.sqrt(n_frames))


def _smooth(rng: np.random.Generator, n_frames: int, n: int, width: float) -> np.ndarray:
    """Gaussian-filtered noise of unit variance (n_frames, n)."""
    noise = gaussian_filter1d(rng.standard_normal((n_frames, n)), width, axis=0, mode="wrap")
    return np.asarray((noise - noise.mean(axis=0)) / noise.std(axis=0))


def _unseen(rng: np.random.Generator, n_subjects: int, n_units: int, share: float) -> np.ndarray:
    """Which units are missing in which subject (n_subjects, n_units); none is missing in all."""
    gone = rng.uniform(size=(n_subjects, n_units)) < share
    lost = gone.all(axis=0)
    gone[rng.integers(n_subjects, size=lost.sum()), np.flatnonzero(lost)] = False
    return gone
