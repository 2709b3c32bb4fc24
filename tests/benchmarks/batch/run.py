"""What faults cost a batch run, and what the runner itself costs per recording.

``python tests/benchmarks/batch/run.py faults [--kills 20]`` runs a recipe on real data (``song_fmri``
unless ``--recipe`` says otherwise) undisturbed; killed at random moments and resumed; twice at
once; and on a Dask cluster of two workers on this machine, with and without one of them killed. It
compares every model, table, figure and the report with the undisturbed run, byte for byte.

``python tests/benchmarks/batch/run.py cost [--up-to 10000]`` times the runner without its model and
figures on simulated recordings, and its peak memory.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

NEUROML = [sys.executable, "-m", "neuroml.cli"]
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def start(recipe: str, out: Path, *options: str) -> subprocess.Popen:
    """Start a run in a process of its own."""
    command = [*NEUROML, "run", recipe, "--out", str(out), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen) -> str:
    """Wait for a run, and return its last line."""
    output, errors = process.communicate()
    if process.returncode:
        raise SystemExit(f"exit code {process.returncode}\n{output[-2000:]}{errors[-2000:]}")
    return output.strip().splitlines()[-1]


def contents(out: Path) -> dict[str, bytes]:
    """Bytes of all outputs, and the report without its timing."""
    found = {str(p.relative_to(out)): p.read_bytes() for p in (out / "jobs").rglob("*.*")}
    page = (out / "report.html").read_text()
    timing = r"<!-- timing -->.*<!-- /timing -->"
    return found | {"report": re.sub(timing, "", page, flags=re.S).encode()}


def compared(out: Path, undisturbed: dict[str, bytes]) -> str:
    """How many outputs are missing, additional or different."""
    here = contents(out)
    different = sum(here.get(name) != content for name, content in undisturbed.items())
    more = len(here.keys() - undisturbed.keys())
    return f"{len(undisturbed)} outputs, {different} lost or different, {more} additional"


def done_so_far(out: Path) -> int:
    """How many jobs the manifest counts as done."""
    path = out / "manifest.jsonl"
    lines = path.read_text().splitlines() if path.is_file() else []
    jobs = set()
    for line in lines:
        try:
            jobs.add(json.loads(line)["job"])
        except json.JSONDecodeError:
            continue
    return len(jobs)


def killed(recipe: str, out: Path, n_kills: int, seconds: float) -> list[str]:
    """Kill the run at random moments, and let it finish at last."""
    chance, rows = random.Random(0), []
    for number in range(1, n_kills + 1):
        process = start(recipe, out)
        after = chance.uniform(2.0, max(seconds, 4.0))
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
        half = len([p for p in out.rglob("*.part*")]) if out.is_dir() else 0
        rows.append(
            f"kill {number:>2} after {after:5.1f} s: {done_so_far(out):>3} jobs kept, "
            f"{half} temporary files left"
        )
    rows.append(f"then resumed: {finish(start(recipe, out))}")
    return rows


@contextmanager
def cluster(folder: Path) -> Iterator[tuple[str, list[subprocess.Popen]]]:
    """A Dask scheduler and two workers on loopback."""
    file = folder / "scheduler.json"
    host = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(file)]
    module = [sys.executable, "-m"]
    scheduler = subprocess.Popen(
        [*module, "distributed.cli.dask_scheduler", "--port", "0", *host], **QUIET
    )
    while not file.is_file():
        time.sleep(0.1)
    worker = ["distributed.cli.dask_worker", "--nthreads", "1", "--no-nanny"]
    workers = [
        subprocess.Popen(
            [*module, *worker, "--local-directory", str(folder / f"worker{number}"), *host], **QUIET
        )
        for number in range(2)
    ]
    try:
        yield json.loads(file.read_text())["address"], workers
    finally:
        for process in [*workers, scheduler]:
            process.kill()
            process.wait()
        file.unlink()


def faults(recipe: str, n_kills: int) -> None:
    """Print what happened at each fault, and what was lost."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        began = time.perf_counter()
        line = finish(start(recipe, folder / "undisturbed"))
        seconds = time.perf_counter() - began
        good = contents(folder / "undisturbed")
        print(f"undisturbed: {line} in {seconds:.0f} s, {len(good)} outputs", flush=True)
        for row in killed(recipe, folder / "killed", n_kills, 2 * seconds / max(n_kills, 1)):
            print(row)
        print("  ", compared(folder / "killed", good), flush=True)
        rivals = [start(recipe, folder / "rivals") for _ in range(2)]
        print("two runs at once:", "; ".join(finish(rival) for rival in rivals))
        print("  ", compared(folder / "rivals", good), flush=True)
        for kill_one in (False, True):
            with cluster(folder) as (address, workers):
                out = folder / f"cluster{kill_one}"
                process = start(recipe, out, "--scheduler", address)
                while kill_one and done_so_far(out) < 2:
                    time.sleep(0.1)
                if kill_one:
                    workers[0].kill()
                what = "a cluster of two workers" + (", one killed" if kill_one else "")
                print(f"{what}: {finish(process)}")
                print("  ", compared(out, good), flush=True)


RECIPE = """
title = "Cost of the runner"

[data]
files = ["*.csv"]
reader = "fmri"
options = { tr_s = 2.0 }

[fit]
scope = "recording"

[[fit.steps]]
use = "SlidingWindowConnectivity"
window = 20
"""
WORKER = """
import resource, sys, time
import pandas as pd
from neuroml.batch import read_recipe, runner
from neuroml.connectome import SlidingWindowConnectivity

class Context:
    X, columns, outputs = None, (), ()

model = SlidingWindowConnectivity()
runner.fit_recipe = lambda recipe, recordings, events: (model, Context)
runner.facts = lambda model: {}
runner.tabulate = lambda model, context: pd.DataFrame({"value": [0.0]})
runner.draw = lambda model, context: []
recipe = read_recipe(sys.argv[1])
began, cpu = time.perf_counter(), time.process_time()
count = 0
for record in runner.run(recipe, sys.argv[2]):
    assert record["status"] in ("done", "skipped"), record
    count += 1
print(count, time.perf_counter() - began, time.process_time() - cpu,
      resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def cost(up_to: int) -> None:
    """Print milliseconds per recording and peak memory against the number of recordings."""
    rng = np.random.default_rng(0)
    print(f"{'recordings':>10}  {'call':<7}{'wall ms each':>13}{'CPU ms each':>13}{'peak MiB':>10}")
    n = 10
    while n <= up_to:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "recipe.toml").write_text(RECIPE)
            for number in range(n):
                np.savetxt(
                    folder / f"sub-{number:05d}.csv",
                    rng.normal(size=(40, 4)),
                    delimiter=",",
                    header="a,b,c,d",
                    comments="",
                )
            for call in ("first", "second"):
                command = [sys.executable, "-c", WORKER, str(folder / "recipe.toml")]
                done = subprocess.run(
                    [*command, str(folder / "out")], stdout=subprocess.PIPE, text=True, check=True
                )
                jobs, wall, cpu, mebibytes = map(float, done.stdout.split())
                print(
                    f"{n:>10}  {call:<7}{1000 * wall / jobs:>13.1f}{1000 * cpu / jobs:>13.1f}"
                    f"{mebibytes:>10.0f}",
                    flush=True,
                )
            shutil.rmtree(folder / "out")
        n *= 10


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["faults", "cost"])
    parser.add_argument("--recipe", default="song_fmri")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--up-to", type=int, default=10_000)
    chosen = parser.parse_args()
    if chosen.what == "faults":
        faults(chosen.recipe, chosen.kills)
    else:
        cost(chosen.up_to)
    print(f"peak memory of this script: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss} KiB")


if __name__ == "__main__":
    main()
