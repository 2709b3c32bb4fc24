"""Seeded ground truth for tests, tutorials and benchmarks."""

from neuroml.simulate.connectome import make_dynamic_communities
from neuroml.simulate.dendrites import add_pattern_noise, make_patterns, unite_patterns
from neuroml.simulate.graphs import LFR_SETTINGS, make_planted_weights, make_weighted_lfr

__all__ = [
    "LFR_SETTINGS",
    "add_pattern_noise",
    "make_dynamic_communities",
    "make_patterns",
    "make_planted_weights",
    "make_weighted_lfr",
    "unite_patterns",
]
