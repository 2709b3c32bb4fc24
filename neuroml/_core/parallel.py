"""Independent tasks on several processes, with one random stream each and results in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from numbers import Integral
from typing import Any, TypeVar

import numpy as np
from joblib import Parallel, delayed, parallel_config
from joblib.parallel import LokyBackend, get_active_backend

from neuroml.exceptions import DataError

__all__ = ["run_on_cluster", "run_parallel", "show_progress", "spawn_generators"]

T = TypeVar("T")
RandomState = int | np.random.RandomState | np.random.Generator | None


def spawn_generators(random_state: RandomState, n: int) -> list[np.random.Generator]:
    """Return ``n`` independent generators, the same ones for the same integer ``random_state``.

    A ``RandomState`` or ``Generator`` is advanced by one draw, so that a second call with the same
    object gives other streams.

    Raises
    ------
    DataError
        If ``random_state`` is something else, or a negative number.
    """
    if isinstance(random_state, np.random.RandomState):
        seed: Any = random_state.randint(2**31, size=4)
    elif isinstance(random_state, np.random.Generator):
        seed = random_state.integers(2**31, size=4)
    elif random_state is None or (isinstance(random_state, Integral) and random_state >= 0):
        seed = random_state
    else:
        raise DataError(
            "random numbers cannot be drawn from this",
            expected="an integer >= 0, a NumPy RandomState or Generator, or None",
            found=repr(random_state),
            field="random_state",
        )
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
        Processes; None or 1 runs in this process, unless ``joblib.parallel_config`` says otherwise,
        as in scikit-learn: ``with parallel_config(backend="dask"):`` runs the tasks on the workers
        of the Dask client. Workers compute with one thread each: threads under processes cost
        more than they give.
    """
    backend, configured = get_active_backend()
    # threads would share what tasks set for a whole process: warnings' filters, torch's options
    shared = getattr(backend, "supports_sharedmem", False)
    elsewhere = not shared and not isinstance(backend, LokyBackend)
    calls = (delayed(function)(*task) for task in tasks)
    if elsewhere:
        yield from Parallel(n_jobs=n_jobs, return_as="generator")(calls)
        return
    n_jobs = configured if n_jobs is None else n_jobs
    if n_jobs is None or n_jobs == 1:
        yield from (function(*task) for task in tasks)
        return
    with parallel_config(backend="loky", inner_max_num_threads=1):
        yield from Parallel(n_jobs=n_jobs, return_as="generator")(calls)


def show_progress(done: Iterable[T], total: int, description: str, verbose: int = 1) -> Iterator[T]:
    """Yield results as they come; with ``verbose``, beside a bar and the time that is left."""
    if not verbose:
        yield from done
        return
    from rich.progress import track

    yield from track(done, total=total, description=description)


def run_on_cluster(
    function: Callable[..., T], tasks: Iterable[tuple[Any, ...]], scheduler: str
) -> Iterator[tuple[int, T | Exception]]:
    """Run tasks on the workers of a running Dask cluster, in the order in which they end.

    A task whose worker dies is tried on another one; Dask gives up on it after it has taken several
    workers down.

    Parameters
    ----------
    function : callable
        A function that the workers can import.
    tasks : iterable of tuple
        Its positional arguments.
    scheduler : str
        The scheduler's address, such as ``tcp://10.0.0.5:8786``.

    Yields
    ------
    number : int
        The task's place in ``tasks``.
    result : object or Exception
        What the function returned, or the error that the cluster ended it with.
    """
    try:
        from dask.distributed import Client, as_completed
    except ImportError as error:
        raise ImportError(
            "A Dask cluster needs the extra [cluster]: pip install 'neuroml-learn[cluster]'"
        ) from error
    with Client(scheduler) as client:
        futures = {client.submit(function, *task, pure=False): i for i, task in enumerate(tasks)}
        for future in as_completed(futures):
            failure = future.exception()
            yield futures[future], future.result() if failure is None else failure
            future.release()
