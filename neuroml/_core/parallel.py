"""Independent tasks on several processes, with one random stream each and results in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import numpy as np
from joblib import Parallel, delayed, parallel_config

__all__ = ["run_parallel", "spawn_generators"]

T = TypeVar("T")
RandomState = int | np.random.RandomState | np.random.Generator | None


def spawn_generators(random_state: RandomState, n: int) -> list[np.random.Generator]:
    """Return ``n`` independent generators, the same ones for the same integer ``random_state``.

    A ``RandomState`` or ``Generator`` is advanced by one draw, so that a second call with the same
    object gives other streams.
    """
    if isinstance(random_state, np.random.RandomState):
        seed: Any = random_state.randint(2**31, size=4)
    elif isinstance(random_state, np.random.Generator):
        seed = random_state.integers(2**31, size=4)
    else:
        seed = random_state
    return [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(n)]


def run_parallel(
    function: Callable[..., T], tasks: Iterable[tuple[Any, ...]], *, n_jobs: int | None = None
) -> Iterator[T]:
    """Yield ``function(*task)`` for each task, in order, as the results come in.

    Parameters
    ----------
    function : callable
        A function that worker processes can import.
    tasks : iterable of tuple
        Its positional arguments.
    n_jobs : int or None
        Processes; None or 1 runs in this process. Workers compute with one thread each: threads
        under processes cost more than they give.
    """
    if n_jobs is None or n_jobs == 1:
        yield from (function(*task) for task in tasks)
        return
    with parallel_config(backend="loky", inner_max_num_threads=1):
        yield from Parallel(n_jobs=n_jobs, return_as="generator")(
            delayed(function)(*task) for task in tasks
        )
