"""Kills, dead workers, full disks and rivals: nothing finished is lost, nothing half is kept."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest

from neuroml.batch import plan, read_recipe, report, run, runner
from neuroml.batch.manifest import read_manifest
from neuroml.batch.sources import open_source


def command(recipe, out, *more):
    arguments = [sys.executable, "-m", "neuroml.cli", "run", str(recipe), "--out", str(out), *more]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def contents(out):
    """Bytes of every model, table, figure and summary, and the page without its timing."""
    found = {str(p.relative_to(out)): p.read_bytes() for p in sorted((out / "jobs").rglob("*.*"))}
    page = report(out).read_text()
    head, rest = page.split("<!-- timing -->")
    return found | {"page": head + rest.split("<!-- /timing -->")[1]}


@pytest.fixture
def good_cohort(cohort):
    (cohort / "sub-02.csv").unlink()
    for subject in ("04", "05"):
        table = pd.read_csv(cohort / "sub-01.csv")
        (table * float(subject)).to_csv(cohort / f"sub-{subject}.csv", index=False)
    return cohort


@pytest.mark.slow
def test_killed_at_random_moments_and_resumed_gives_the_same_bytes(good_cohort, tmp_path):
    recipe = good_cohort / "recipe.toml"
    list(run(read_recipe(recipe), tmp_path / "undisturbed"))
    chance = random.Random(0)
    for _ in range(3):
        process = command(recipe, tmp_path / "killed")
        time.sleep(chance.uniform(2.5, 7.0))
        process.kill()
        process.communicate()
    *_, last = command(recipe, tmp_path / "killed").communicate()[0].strip().splitlines()
    assert last.endswith("0 failed")
    assert contents(tmp_path / "killed") == contents(tmp_path / "undisturbed")


@pytest.mark.slow
def test_two_runs_at_once_do_not_corrupt_each_other(good_cohort, tmp_path):
    recipe = good_cohort / "recipe.toml"
    list(run(read_recipe(recipe), tmp_path / "alone"))
    rivals = [command(recipe, tmp_path / "shared") for _ in range(2)]
    for rival in rivals:
        _, err = rival.communicate(timeout=300)
        assert rival.returncode == 0, err
    assert contents(tmp_path / "shared") == contents(tmp_path / "alone")


def test_tasks_of_a_job_array_share_one_folder(good_cohort, tmp_path):
    recipe = read_recipe(good_cohort / "recipe.toml")
    first = [r["job"] for r in run(recipe, tmp_path / "out", array_task=(1, 3))]
    second = [r["job"] for r in run(recipe, tmp_path / "out", array_task=(2, 3))]
    third = [r["job"] for r in run(recipe, tmp_path / "out", array_task=(3, 3))]
    assert (first, second, third) == (["sub-01", "sub-05"], ["sub-03"], ["sub-04"])
    assert all(r["status"] == "skipped" for r in run(recipe, tmp_path / "out"))


@pytest.fixture
def cluster(tmp_path):
    """A Dask scheduler with two single-threaded workers, on loopback; yields address and workers."""
    pytest.importorskip("distributed")
    file = tmp_path / "scheduler.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    base = [sys.executable, "-m"]
    scheduler = subprocess.Popen(
        [
            *base,
            "distributed.cli.dask_scheduler",
            "--host",
            "127.0.0.1",
            "--port",
            "0",
            "--no-dashboard",
            "--scheduler-file",
            str(file),
        ],
        **quiet,
    )
    workers = [
        subprocess.Popen(
            [
                *base,
                "distributed.cli.dask_worker",
                "--scheduler-file",
                str(file),
                "--nthreads",
                "1",
                "--no-nanny",
                "--no-dashboard",
                "--host",
                "127.0.0.1",
                "--local-directory",
                str(tmp_path / f"worker{i}"),
            ],
            **quiet,
        )
        for i in range(2)
    ]
    for _ in range(300):
        if file.is_file():
            break
        time.sleep(0.1)
    yield json.loads(file.read_text())["address"], workers
    for process in [*workers, scheduler]:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kill_one", [True])
def test_a_dask_cluster_gives_the_same_outputs(good_cohort, cluster, tmp_path, kill_one):
    address, workers = cluster
    recipe = read_recipe(good_cohort / "recipe.toml")
    list(run(recipe, tmp_path / "here"))
    statuses = []
    for record in run(recipe, tmp_path / "there", scheduler=address):
        statuses.append(record["status"])
        if kill_one and len(statuses) == 1:
            workers[0].send_signal(signal.SIGKILL)
    assert statuses == ["done"] * 4
    assert contents(tmp_path / "there") == contents(tmp_path / "here")


def test_an_unreadable_input_is_a_recorded_failure(good_cohort, tmp_path):
    (good_cohort / "sub-03.csv").write_bytes(b"\x00\xff garbage")
    records = {r["job"]: r for r in run(read_recipe(good_cohort / "recipe.toml"), tmp_path / "out")}
    assert records["sub-03"]["status"] == "failed" and "sub-03.csv" in records["sub-03"]["error"]
    assert read_manifest(tmp_path / "out" / "manifest.jsonl")["sub-03"]["status"] == "failed"


def test_a_folder_that_cannot_be_written_is_a_recorded_failure(good_cohort, tmp_path):
    out = tmp_path / "out"
    (out / "jobs").mkdir(parents=True)
    (out / "jobs" / "sub-03").touch()  # a file where the folder should be: works as root too
    records = {r["job"]: r for r in run(read_recipe(good_cohort / "recipe.toml"), out)}
    assert records["sub-03"]["status"] == "failed"
    assert [r["status"] for name, r in records.items() if name != "sub-03"] == ["done"] * 3


@pytest.fixture
def full_disk():
    """A file system of one megabyte."""
    folder = Path("/tmp") / f"neuroml-full-{os.getpid()}"
    folder.mkdir()
    mounted = (
        shutil.which("mount")
        and subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True
        ).returncode
        == 0
    )
    yield folder if mounted else None
    if mounted:
        subprocess.run(["umount", str(folder)], check=True)
    folder.rmdir()


def test_a_full_disk_ends_in_a_failure_and_leaves_nothing_half(good_cohort, full_disk):
    if full_disk is None:
        pytest.skip("mounting a small file system needs root")
    (full_disk / "ballast").write_bytes(b"0" * 700_000)
    records = list(run(read_recipe(good_cohort / "recipe.toml"), full_disk / "out"))
    failed = [r for r in records if r["status"] == "failed"]
    assert failed and all("No space left" in r["error"] for r in failed)
    assert not list((full_disk / "out").rglob("*.part*"))
    (full_disk / "ballast").unlink()
    again = list(run(read_recipe(good_cohort / "recipe.toml"), full_disk / "out"))
    assert {r["status"] for r in again} <= {"done", "skipped"}


def local_workers():
    """Process numbers of joblib's workers below this process."""
    children = psutil.Process().children()
    return [
        child.pid for child in children if any("popen_loky" in part for part in child.cmdline())
    ]


@pytest.mark.slow
def test_a_worker_that_is_killed_loses_nothing(good_cohort, tmp_path):
    recipe = read_recipe(good_cohort / "recipe.toml")
    list(run(recipe, tmp_path / "undisturbed"))
    statuses = []
    for record in run(recipe, tmp_path / "out", n_jobs=2):
        if not statuses:
            os.kill(local_workers()[0], signal.SIGKILL)
        statuses.append(record["status"])
    assert set(statuses) <= {"done", "skipped"} and len(statuses) == 4
    assert contents(tmp_path / "out") == contents(tmp_path / "undisturbed")


@pytest.mark.slow
def test_a_recording_that_takes_its_worker_down_is_a_recorded_failure(good_cohort, tmp_path):
    recipe = read_recipe(good_cohort / "recipe.toml")

    class Deadly:
        """Local, so that it is sent to the worker by value."""

        def read(self, key):
            os.kill(os.getpid(), signal.SIGKILL)

    (tmp_path / "out").mkdir()
    deadly, good = plan(recipe)[:2]
    tasks = [
        runner._Task(recipe, Deadly(), deadly, tmp_path / "out", None),
        runner._Task(recipe, open_source(recipe.data, recipe.where), good, tmp_path / "out", None),
    ]
    records = {r["job"]: r for r in runner._on_this_machine(tasks, n_jobs=2)}
    failed = records.pop(deadly.name)
    assert failed["status"] == "failed" and "unexpectedly terminated" in failed["error"]
    assert records[good.name]["status"] in ("done", "skipped")
    assert read_manifest(tmp_path / "out" / "manifest.jsonl")[failed["job"]] == failed
