"""Speed and quality of `NonnegativeCP` beside tensorly's HALS and tensortools' ncp_hals.

Same tensor, same start, one thread each; CPU seconds until the relative error is within a margin of
the smallest one that any of them reached. Peers run in the Python named by NEUROML_PEERS (this one
by default); one that is not installed there is skipped.
"""

import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from tensorly.cp_tensor import CPTensor, cp_to_tensor

from neuroml.connectome import FiberTensor, NonnegativeCP, _kernels, _torch_kernels, factor_match
from neuroml.connectome._factors import random_factors
from neuroml.connectome._hals import Penalty, factorize, update_all
from neuroml.connectome._packed import pack
from neuroml.connectome._problem import build_problem
from neuroml.exceptions import NotConvergedWarning

SIZES = [(100, 200, 5, 1e-4), (180, 600, 10, 1e-3)]
DESIGNS = ("overlapping", "sparse")


def planted(n_units, length, rank, design="overlapping", seed=0):
    """Symmetric slices with 20 % noise, (units, units, time)."""
    rng = np.random.default_rng(seed)
    draw = rng.uniform if design == "overlapping" else lambda size: rng.gamma(0.5, size=size)
    a, c = draw(size=(n_units, rank)), draw(size=(length, rank))
    tensor = np.einsum("ir,jr,tr->ijt", a, a, c)
    noise = rng.standard_normal(tensor.shape)
    noise += noise.transpose(1, 0, 2)
    tensor += 0.2 * noise * np.linalg.norm(tensor) / np.linalg.norm(noise)
    return np.maximum(tensor, 0)


def starts_for(tensor, rank, n, seed=0):
    norm = float(np.linalg.norm(np.nan_to_num(tensor)))
    return [
        random_factors(tensor.shape, rank, norm, np.random.default_rng([seed, k])) for k in range(n)
    ]


def peer(name, tensor, factors, sweeps, mask=None):
    """What peers.py prints, or None where the peer is not installed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "problem.npz"
        extra = {} if mask is None else {"mask": mask}
        np.savez(path, tensor=tensor, **{f"factor_{k}": f for k, f in enumerate(factors)}, **extra)
        done = subprocess.run(
            [os.environ.get("NEUROML_PEERS", sys.executable), Path(__file__).with_name("peers.py"),
             name, path, str(sweeps)],
            capture_output=True, text=True,
        )  # fmt: skip
    if done.returncode:
        print(f"  {name} skipped: {done.stderr.strip().splitlines()[-1]}")
        return None
    return json.loads(done.stdout)


def seconds_to(errors, seconds_per_sweep, target):
    reached = np.flatnonzero(np.asarray(errors) <= target)
    return (reached[0] + 1) * seconds_per_sweep if len(reached) else np.inf


def ours(tensor, symmetric, factors, dtype, kernels, target=None):
    """Error after each sweep, CPU seconds of the loop and before it."""
    began = time.process_time()
    packed = pack(tensor, symmetric)
    problem = build_problem(packed, Penalty(), dtype=dtype, kernels=kernels)
    before = time.process_time() - began
    start = [kernels.array(factors[k]) for k in packed.order]
    update_all(problem, [start])
    (full,) = factorize(problem, [start], max_iter=200, tol=1e-7)
    errors = -np.array(full.trace)
    if target is None:
        return errors, None, before
    needed = int(np.flatnonzero(errors <= target)[0])
    times = []
    for _ in range(5):
        began = time.process_time()
        if needed:
            factorize(problem, [start], max_iter=needed, tol=-np.inf)
        else:
            update_all(problem, [start])
        times.append(time.process_time() - began)
    return errors, float(np.median(times)), before


def speed():
    for (n_units, length, rank, margin), design in itertools.product(SIZES, DESIGNS):
        tensor = planted(n_units, length, rank, design)
        (factors,) = starts_for(tensor, rank, 1)
        print(
            f"\n{n_units} x {n_units} x {length}, rank {rank}, {design} components: "
            f"CPU s to best error + {margin:g}"
        )
        narrow = tensor.astype(np.float32)
        found = {
            "tensorly HALS, float64": peer("tensorly_hals", tensor, factors, 60),
            "tensorly HALS, float32": peer("tensorly_hals", narrow, factors, 60),
            "tensortools ncp_hals, float64": peer("tensortools_hals", tensor, factors, 100),
        }
        mine = {
            "NonnegativeCP, float64": ("float64", _kernels),
            "NonnegativeCP, float32": ("float32", _kernels),
            "NonnegativeCP, float32, torch on the CPU": ("float32", _torch_kernels),
        }
        finals = [min(one["errors"]) for one in found.values() if one]
        finals += [ours(tensor, (0, 1), factors, *how)[0].min() for how in mine.values()]
        target = min(finals) + margin
        reference = {}
        for label, one in found.items():
            if one:
                reference[label] = seconds_to(one["errors"], one["seconds"], target)
                print(
                    f"  {label:42s} {reference[label]:8.4f}  ({1e3 * one['seconds']:.1f} ms/sweep)"
                )
        for label, (dtype, kernels) in mine.items():
            _, seconds, before = ours(tensor, (0, 1), factors, dtype, kernels, target)
            ratios = ", ".join(
                f"{other / seconds:.1f}x (with packing {other / (seconds + before):.1f}x) {name}"
                for name, other in reference.items()
            )
            print(f"  {label:42s} {seconds:8.4f}  + packing {before:.4f}; faster than: {ratios}")


def masked():
    """Half of the fibers missing because neurons were not seen."""
    rng = np.random.default_rng(0)
    n_units, n_subjects, length, rank = 40, 15, 200, 6
    i, j = np.triu_indices(n_units, k=1)
    truth = [rng.gamma(0.5, size=(n, rank)) for n in (len(i), n_subjects, length)]
    tensor = cp_to_tensor(CPTensor((None, truth)))
    noise = rng.standard_normal(tensor.shape)
    tensor = np.maximum(tensor + 0.4 * noise * np.linalg.norm(tensor) / np.linalg.norm(noise), 0)
    seen = rng.uniform(size=(n_subjects, n_units)) < 0.7
    fiber = (seen[:, i] & seen[:, j]).T
    fiber[np.flatnonzero(~fiber.any(axis=1)), 0] = True
    mask = np.broadcast_to(fiber[:, :, None], tensor.shape).copy()
    (factors,) = starts_for(np.where(mask, tensor, 0), rank, 1)
    planted_cp = CPTensor((None, truth))
    print(
        f"\n{len(i)} x {n_subjects} x {length}, rank {rank}, {fiber.mean():.0%} of fibers observed"
    )
    rows = {}
    for name, sweeps in (
        ("tensorly_masked", 30),
        ("tensortools_hals", 20),
        ("tensortools_hals", 60),
    ):
        one = peer(name, np.where(mask, tensor, 0), factors, sweeps, mask)
        if one:
            cp = CPTensor((None, [np.array(f) for f in one["factors"]]))
            rows[f"{name}, {sweeps}"] = (
                one["seconds"],
                len(one["errors"]),
                observed_error(cp, tensor, mask),
                cp,
            )
    given = FiberTensor.from_dense(np.where(mask, tensor, np.nan))
    for dtype in ("float64", "float32"):
        problem = build_problem(pack(given, None), Penalty(), dtype=dtype, kernels=_kernels)
        factorize(problem, [factors], max_iter=2, tol=-np.inf)
        began = time.process_time()
        (done,) = factorize(problem, [factors], max_iter=500, tol=1e-6)
        seconds = time.process_time() - began
        cp = CPTensor((None, list(done.state.factors)))
        rows[f"NonnegativeCP, {dtype}"] = (
            seconds / done.n_iter, done.n_iter, observed_error(cp, tensor, mask), cp,
        )  # fmt: skip
    ours_seconds = {k: v[0] * v[1] for k, v in rows.items() if k.startswith("Nonneg")}
    for label, (seconds, n, error, cp) in rows.items():
        ratio = ", ".join(f"{seconds * n / s:.0f}x {k}" for k, s in ours_seconds.items())
        print(
            f"  {label:26s} {1e3 * seconds:8.2f} ms/sweep, {n:3d} sweeps, {seconds * n:7.3f} CPU s, "
            f"observed error {error:.4f}, factor match {factor_match(planted_cp, cp):.3f} "
            f"(CPU seconds: {ratio})"
        )


def observed_error(cp, tensor, mask):
    return np.linalg.norm((tensor - cp_to_tensor(cp))[mask]) / np.linalg.norm(tensor[mask])


def restarts():
    for n_units, length, rank, _ in SIZES:
        tensor = planted(n_units, length, rank).astype(np.float32)
        problem = build_problem(pack(tensor, (0, 1)), Penalty(), dtype="float32", kernels=_kernels)
        starts = starts_for(tensor, rank, 16)
        update_all(problem, starts)
        began = time.process_time()
        factorize(problem, starts, max_iter=200, tol=1e-5)
        together = time.process_time() - began
        one_by_one = []
        for start in starts:
            began = time.process_time()
            factorize(problem, [start], max_iter=200, tol=1e-5)
            one_by_one.append(time.process_time() - began)
        print(
            f"\n16 starts, {n_units} x {n_units} x {length} rank {rank}, float32: {together:.3f} CPU s "
            f"together, one {np.median(one_by_one):.3f} (median): {together / np.median(one_by_one):.1f} "
            "times one"
        )


def quality():
    tensor = planted(100, 200, 5)
    theirs, mine = [], []
    for factors in starts_for(tensor, 5, 20, seed=1):
        one = peer("tensorly_hals", tensor, factors, 150)
        if one is None:
            return
        theirs.append(one["errors"][-1])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotConvergedWarning)
            model = NonnegativeCP(
                5, symmetric_modes=(0, 1), init=CPTensor((None, factors)), ridge=0
            ).fit(tensor)
        mine.append(model.reconstruction_err_)
    for label, errors in (("tensorly, 150 sweeps", theirs), ("NonnegativeCP, float32", mine)):
        low, high = np.quantile(errors, [0.5, 0.9])
        print(
            f"  final error over 20 starts, {label:24s} median {low:.5f}, 90th percentile {high:.5f}"
        )


def bandwidth():
    tensor = planted(180, 600, 10).astype(np.float32)
    problem = build_problem(pack(tensor, (0, 1)), Penalty(), dtype="float32", kernels=_kernels)
    (start,) = starts_for(tensor, 10, 1)
    update_all(problem, [start])
    began = time.process_time()
    for _ in range(10):
        update_all(problem, [start])
    seconds = (time.process_time() - began) / 10
    ((_, data),) = problem.rows.blocks()
    began = time.process_time()
    for _ in range(10):
        data.sum()
    read = 10 * data.nbytes / (time.process_time() - began)
    used = 2 * data.nbytes / seconds
    print(
        f"\nread bandwidth at 180 x 180 x 600 rank 10, float32: {used / 1e9:.1f} GB/s of "
        f"{read / 1e9:.1f} GB/s that a plain sum reaches ({used / read:.0%})"
    )


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))
    from arguments import sections

    torch.set_num_threads(1)
    parts = {f.__name__: f for f in (speed, masked, restarts, quality, bandwidth)}
    for name in sections(__doc__, parts):
        parts[name]()
