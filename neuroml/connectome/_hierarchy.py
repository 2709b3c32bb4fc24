"""Partitions with a hierarchy above them: their evidence, and their levels."""

from __future__ import annotations

import numpy as np

from neuroml.connectome._block_kernels import sum_blocks
from neuroml.connectome._block_model import Evidence
from neuroml.connectome._nested_kernels import (
    best_groups,
    block_graph,
    group_graph,
    nested_gain,
    single_cells,
)

__all__ = ["levels_of", "nested_evidence"]


def nested_evidence(evidence: Evidence, labels: np.ndarray) -> float:
    """Log-probability of weights and partition under its best hierarchy, if that is the higher."""
    flat = evidence.icl(labels)
    n_blocks = int(labels.max()) + 1
    if n_blocks == 1:
        return flat
    blocks = sum_blocks(evidence.stats, labels, n_blocks)
    return flat + max(nested_gain(blocks, *evidence.model), 0.0)


def levels_of(evidence: Evidence, labels: np.ndarray) -> list[np.ndarray]:
    """Labels of the nodes (n_nodes,) at every level with more than one block, the finest first."""
    levels = [labels]
    n_blocks = int(labels.max()) + 1
    blocks = sum_blocks(evidence.stats, labels, n_blocks)
    if n_blocks == 1 or nested_gain(blocks, *evidence.model) <= 0:
        return levels
    graph = block_graph(blocks, evidence.weights)
    while True:
        groups, _ = best_groups(graph, evidence.presence)
        if groups.max() == 0:
            return levels
        levels.append(groups[levels[-1]])
        graph = single_cells(group_graph(graph, groups))
