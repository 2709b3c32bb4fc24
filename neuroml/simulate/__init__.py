"""Seeded ground truth for tests, tutorials, benchmarks and the planning of experiments."""

from neuroml.simulate.dendrites import add_pattern_noise, make_patterns, unite_patterns
from neuroml.simulate.switching import make_switching_choices
from neuroml.simulate.switching_spikes import make_switching_spikes

__all__ = [
    "add_pattern_noise",
    "make_patterns",
    "make_switching_choices",
    "make_switching_spikes",
    "unite_patterns",
]
