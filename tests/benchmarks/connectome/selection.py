"""How often `select_rank` finds the planted rank, and one component in noise.

``python selection.py``: cubes, windows by regions by regions, and cohorts, at 30 % noise; then
correlations of unrelated units in overlapping windows; then cohorts with planted communities.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from neuroml.connectome import (
    AffinityTensor,
    FiberTensor,
    NonnegativeCP,
    SlidingWindowConnectivity,
    select_rank,
)
from neuroml.simulate import make_dynamic_communities

NAMES = ("pair", "subject", "time")


def noisy(tensor: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Noise of 30 % of the tensor's norm, clipped at zero: its mean is a component of its own."""
    spread = 0.3 * np.linalg.norm(tensor) / np.sqrt(tensor.size)
    return np.maximum(tensor + spread * noise, 0)


def mirrored(windows: np.ndarray) -> np.ndarray:
    upper = np.triu(windows)
    return upper + np.triu(windows, 1).swapaxes(1, 2)


def cube(seed: int, rank: int, shape: tuple[int, ...] = (20, 20, 40)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    factors = [rng.gamma(0.3, size=(n, rank)) for n in shape]
    return noisy(np.einsum("ir,jr,kr->ijk", *factors), rng.standard_normal(shape))


def cohort(seed: int, rank: int) -> FiberTensor:
    return FiberTensor.from_dense(cube(seed, rank, (100, 8, 40)), axes=NAMES)


def windows(seed: int, rank: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    courses, units = (rng.gamma(0.3, size=(n, rank)) for n in (50, 20))
    tensor = np.einsum("tr,ir,jr->tij", courses, units, units)
    return noisy(tensor, mirrored(rng.standard_normal(tensor.shape)))


def unrelated(seed: int, length: int, stride: int) -> np.ndarray:
    X = np.random.default_rng(seed).standard_normal((length, 15))
    options = {"negative": "zero", "covariance": "empirical", "vectorize": False}
    return SlidingWindowConnectivity(30, stride=stride, **options).fit_transform(X)


def communities(seed: int) -> FiberTensor:
    X = make_dynamic_communities(n_communities=4, random_state=seed).X
    return AffinityTensor("mtd", min_subjects=2, stride=4).fit_transform(X)


CASES: dict[str, tuple[Callable[[int], Any], int, int, dict[str, str]]] = {
    "cube, 3 planted": (lambda s: cube(s, 3), 3, 10, {}),
    "cube, 5 planted": (lambda s: cube(s, 5), 5, 10, {}),
    "windows, 3 planted": (lambda s: windows(s, 3), 3, 10, {}),
    "cohort, 3 planted, fibers": (lambda s: cohort(s, 3), 3, 10, {"holdout": "fiber"}),
    "cohort, 3 planted, subjects": (lambda s: cohort(s, 3), 3, 10, {}),
    "noise, cube": (lambda s: np.random.default_rng(s).uniform(size=(20, 20, 40)), 1, 40, {}),
    "noise, windows every 5": (lambda s: unrelated(s, 300, 5), 1, 40, {}),
    "noise, windows every 30": (lambda s: unrelated(s, 900, 30), 1, 40, {}),
    "4 communities, subjects": (communities, 4, 5, {}),
    "4 communities, fibers": (communities, 4, 5, {"holdout": "fiber"}),
}


def main() -> None:
    """Print a line per case."""
    warnings.simplefilter("ignore")
    model = NonnegativeCP(n_init=2, tol=1e-4)
    for label, (make, planted, n_sets, options) in CASES.items():
        began, found = time.process_time(), []
        for seed in range(n_sets):
            ranks = range(1, planted + 4)
            chosen = select_rank(make(seed), ranks, model=model, random_state=seed, **options)
            found.append(chosen.best_rank)
        near = sum(abs(rank - planted) <= 1 for rank in found)
        same = found.count(planted)
        seconds = (time.process_time() - began) / n_sets
        print(f"{label}: {same} right and {near} within 1 of {n_sets}; {found}; {seconds:.1f} s each",
              flush=True)  # fmt: skip


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))
    from arguments import arguments

    arguments(__doc__)
    main()
