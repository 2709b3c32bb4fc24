"""Seeded ground truth for tests, tutorials and benchmarks."""

from neuroml.simulate.connectome import make_dynamic_communities
from neuroml.simulate.graphs import LFR_SETTINGS, make_planted_weights, make_weighted_lfr

__all__ = [
    "LFR_SETTINGS",
    "make_dynamic_communities",
    "make_planted_weights",
    "make_weighted_lfr",
]
