"""The search for the partition of the highest evidence, with or without a hierarchy above it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from scipy.spatial.distance import cdist

from neuroml._core.iteration import FitTrace, best_restart, iterate
from neuroml.connectome._block_kernels import merge_best, move_all
from neuroml.connectome._block_model import Evidence, compute_evidence
from neuroml.connectome._hierarchy import levels_of, nested_evidence

__all__ = ["search"]

# Rounds of search and new effects within the blocks found; one that changes no label is the last.
_N_ROUNDS = 3
# Merges that are tried with a new hierarchy, of those that cost least without one.
_N_MERGES = 3
# Numbers of parts from which the search inside a block starts.
_N_PARTS = (2, 4, 8)


def search(
    W: np.ndarray,
    family: str,
    degree_corrected: bool,
    max_blocks: int,
    n_init: int,
    max_iter: int,
    rng: np.random.Generator,
    nested: bool = False,
) -> list[FitTrace[np.ndarray]]:
    """Search for local optima of the ICL, first from one block, then from random centers.

    Every iteration moves each node, in random order, to its best block and then merges blocks while
    that gains. States are labels at every level (n_levels, n_nodes): one without ``nested``, where
    a last search goes on from the optimum whose evidence with a hierarchy is the highest.
    """
    free = compute_evidence(W, family, degree_corrected=degree_corrected)
    # numbers of blocks to start with: two to two nodes per block, evenly on a logarithmic scale
    most = min(max_blocks, max(1, len(W) // 2))
    numbers = np.geomspace(min(2, most), most, n_init).round().astype(int)
    starts = [np.zeros(len(W), dtype=np.int64)]
    starts += [_first_partition(free, number, rng) for number in numbers]
    found = [
        _search_with_effects(W, family, free, start, max_blocks, max_iter, rng)
        if degree_corrected
        else (_search_blocks(free, start, max_blocks, max_iter, rng), free)
        for start in starts
    ]
    fits = [replace(one, state=one.state[None]) for one, _ in found]
    if nested:
        one, evidence = max(found, key=lambda both: nested_evidence(both[1], both[0].state))
        refined = _refine(evidence, one.state, max_blocks, max_iter, rng)
        levels = np.stack(levels_of(evidence, refined.state))
        fits.append(replace(refined, state=levels))
    return fits


def _search_with_effects(
    W: np.ndarray,
    family: str,
    evidence: Evidence,
    labels: np.ndarray,
    max_blocks: int,
    max_iter: int,
    rng: np.random.Generator,
) -> tuple[FitTrace[np.ndarray], Evidence]:
    """Search a few times, with the nodes' effects estimated anew within the blocks in between."""
    done = [_search_blocks(evidence, labels, max_blocks, max_iter, rng)]
    under = [evidence]
    for _ in range(_N_ROUNDS - 1):
        evidence = compute_evidence(W, family, done[-1].state, degree_corrected=True)
        done.append(_search_blocks(evidence, done[-1].state, max_blocks, max_iter, rng))
        under.append(evidence)
        if np.array_equal(done[-1].state, done[-2].state):
            break
    best = best_restart(done, name="WeightedSBM")
    return done[best], under[best]


def _search_blocks(
    evidence: Evidence,
    labels: np.ndarray,
    max_blocks: int,
    max_iter: int,
    rng: np.random.Generator,
) -> FitTrace[np.ndarray]:
    """Move and merge until no label changes."""

    def step(labels: np.ndarray) -> tuple[np.ndarray, float]:
        order = rng.permutation(len(labels))
        labels = move_all(evidence.stats, labels, order, max_blocks, *evidence.model)
        labels = merge_best(evidence.stats, labels, *evidence.model)
        labels = np.unique(labels, return_inverse=True)[1]
        return labels, evidence.icl(labels)

    return iterate(
        step, labels, evidence.icl(labels), max_iter=max_iter, tol=0.0, settled=np.array_equal
    )


def _refine(
    evidence: Evidence,
    labels: np.ndarray,
    max_blocks: int,
    max_iter: int,
    rng: np.random.Generator,
) -> FitTrace[np.ndarray]:
    """Take the best merge, split or round of moves for as long as the nested evidence rises.

    Parameters
    ----------
    evidence : Evidence
    labels : ndarray of int of shape (n_nodes,)
        A partition where the evidence without a hierarchy is the highest nearby.
    max_blocks, max_iter : int
    rng : Generator
    """

    def step(labels: np.ndarray) -> tuple[np.ndarray, float]:
        tried = [labels, *_neighbors(evidence, labels, max_blocks, max_iter, rng)]
        scores = [nested_evidence(evidence, one) for one in tried]
        best = int(np.argmax(scores))
        return tried[best], scores[best]

    start = nested_evidence(evidence, labels)
    return iterate(step, labels, start, max_iter=max_iter, tol=0.0, settled=np.array_equal)


def _neighbors(
    evidence: Evidence,
    labels: np.ndarray,
    max_blocks: int,
    max_iter: int,
    rng: np.random.Generator,
) -> Iterator[np.ndarray]:
    """Partitions that differ by a merge or by blocks in parts, each also with its nodes moved."""
    n_blocks = int(labels.max()) + 1
    merged = [
        np.where(labels == a, b, labels - (labels > a)) for a in range(n_blocks) for b in range(a)
    ]
    merged.sort(key=evidence.icl, reverse=True)
    parts = [_parts_of(evidence, labels == block, max_iter, rng) for block in range(n_blocks)]
    divided = [_divided(labels, {block: part}) for block, part in enumerate(parts) if part.any()]
    divided += [_divided(labels, dict(enumerate(parts)))] * (len(divided) > 1)
    for one in (*merged[:_N_MERGES], *divided):
        if one.max() < max_blocks:
            yield one
            yield _moved(evidence, one, rng)


def _parts_of(
    evidence: Evidence, inside: np.ndarray, max_iter: int, rng: np.random.Generator
) -> np.ndarray:
    """Parts of a block, numbered from 0: the blocks of its own graph.

    There, the pairs of parts are few, so that small parts are worth their parameters.
    """
    own = replace(evidence, stats=evidence.stats[np.ix_(inside, inside)])
    starts = [_first_partition(own, number, rng) for number in _N_PARTS]
    fits = [_search_blocks(own, start, max(_N_PARTS), max_iter, rng) for start in starts]
    return max(fits, key=lambda one: one.objective).state


def _divided(labels: np.ndarray, parts: dict[int, np.ndarray]) -> np.ndarray:
    """The partition with some blocks in parts."""
    divided = labels.copy()
    for block, part in parts.items():
        # the first part keeps the number of the block
        numbers = np.where(part > 0, divided.max() + part, block)
        divided[labels == block] = numbers
    return divided


def _moved(evidence: Evidence, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Every node in the best of the blocks that there are."""
    order = rng.permutation(len(labels))
    moved = move_all(evidence.stats, labels, order, int(labels.max()) + 1, *evidence.model)
    return np.unique(moved, return_inverse=True)[1]


def _first_partition(
    evidence: Evidence, n_blocks: int, rng: np.random.Generator, nodes: np.ndarray | None = None
) -> np.ndarray:
    """Partition all nodes, or some, by the nearest of a few random ones in weights and edges."""
    rows = np.concatenate([evidence.stats[..., 2], evidence.stats[..., 1]], axis=1)
    rows = rows if nodes is None else rows[nodes]
    centers = rows[rng.permutation(len(rows))[:n_blocks]]
    return np.unique(cdist(rows, centers).argmin(axis=1), return_inverse=True)[1]
