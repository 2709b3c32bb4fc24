"""Time and memory of one call in a process of its own, and tables of the results."""

import multiprocessing
import os
import resource
import statistics
import time
import warnings

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")


def _child(connection, function, arguments):
    warnings.simplefilter("ignore")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cpu, wall = time.process_time(), time.perf_counter()
    result = function(*arguments)
    cost = time.process_time() - cpu, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    connection.send((result, *cost, peak / 1024))


def measure(function, *arguments, repeats=3):
    """Result of the last call, median CPU seconds, wall seconds and megabytes above the start."""
    context = multiprocessing.get_context("fork")
    costs = []
    for _ in range(repeats):
        here, there = context.Pipe()
        process = context.Process(target=_child, args=(there, function, arguments))
        process.start()
        there.close()
        try:
            result, *cost = here.recv()
        except EOFError:
            raise RuntimeError(f"{function.__name__} failed in its process") from None
        process.join()
        costs.append(cost)
    return result, *(statistics.median(column) for column in zip(*costs, strict=True))


def have(module):
    """Whether a peer can be imported; says so if not."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            __import__(module)
    except Exception as error:
        print(f"  (skipped: {module} cannot be imported: {type(error).__name__})")
        return False
    return True


def table(header, rows):
    """Print rows of text and numbers in columns."""
    cells = [[c if isinstance(c, str) else f"{c:.4g}" for c in row] for row in [header, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    for row in cells:
        print("  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip())
