import os
import warnings

import numpy as np
import pytest
from joblib import parallel_config

from neuroml._core.parallel import run_parallel, spawn_generators


def draw(rng, n):
    return rng.normal(size=n).tolist()


def worker_pid(_):
    return os.getpid()


def test_order_and_results_do_not_depend_on_n_jobs():
    tasks = [(rng, 3) for rng in spawn_generators(0, 6)]
    one = list(run_parallel(draw, tasks))
    two = list(run_parallel(draw, [(rng, 3) for rng in spawn_generators(0, 6)], n_jobs=2))
    assert one == two


def test_other_processes_do_the_work():
    assert os.getpid() not in set(run_parallel(worker_pid, [(i,) for i in range(4)], n_jobs=2))


def test_joblibs_configuration_is_kept():
    with parallel_config(n_jobs=2):
        assert os.getpid() not in set(run_parallel(worker_pid, [(i,) for i in range(4)]))
    with parallel_config(backend="threading", n_jobs=2):  # tasks set what threads would share
        assert {os.getpid()} == set(run_parallel(worker_pid, [(i,) for i in range(4)], n_jobs=1))
        assert os.getpid() not in set(run_parallel(worker_pid, [(0,)] * 4, n_jobs=2))


def test_dask_workers_do_the_work():
    distributed = pytest.importorskip("distributed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cluster = distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        )
    with cluster, distributed.Client(cluster), parallel_config(backend="dask"):
        assert os.getpid() not in set(run_parallel(worker_pid, [(i,) for i in range(4)]))


def test_errors_come_through():
    with pytest.raises(TypeError):
        list(run_parallel(draw, [(None, 1, 2, 3)]))


@pytest.mark.parametrize("make", [lambda: 5, lambda: np.random.RandomState(5)])
def test_streams_are_reproducible_and_differ(make):
    first = [rng.normal() for rng in spawn_generators(make(), 4)]
    assert first == [rng.normal() for rng in spawn_generators(make(), 4)]
    assert len(set(first)) == 4


def test_a_shared_generator_moves_on():
    rng = np.random.default_rng(0)
    assert spawn_generators(rng, 1)[0].normal() != spawn_generators(rng, 1)[0].normal()


def test_none_is_not_reproducible():
    assert spawn_generators(None, 1)[0].normal() != spawn_generators(None, 1)[0].normal()
