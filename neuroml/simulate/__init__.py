"""Seeded ground truth for tests, tutorials, benchmarks and the planning of experiments."""

from neuroml.simulate.connectome import make_dynamic_communities
from neuroml.simulate.dendrites import add_pattern_noise, make_patterns, unite_patterns
from neuroml.simulate.graphs import LFR_SETTINGS, make_planted_weights, make_weighted_lfr
from neuroml.simulate.switching import make_switching_choices
from neuroml.simulate.switching_spikes import make_switching_spikes

__all__ = [
    "LFR_SETTINGS",
    "add_pattern_noise",
    "make_dynamic_communities",
    "make_patterns",
    "make_planted_weights",
    "make_switching_choices",
    "make_switching_spikes",
    "make_weighted_lfr",
    "unite_patterns",
]
