"""Seeded simulations with a known truth, for tests, tutorials and benchmarks."""

from neuroml.simulate.celltypes import CELL_TYPES, make_responses, make_retina
from neuroml.simulate.dendrites import add_pattern_noise, make_patterns, unite_patterns
from neuroml.simulate.stimuli import make_chirp, make_moving_bars, make_pink_stimuli

__all__ = [
    "CELL_TYPES",
    "add_pattern_noise",
    "make_chirp",
    "make_moving_bars",
    "make_patterns",
    "make_pink_stimuli",
    "make_responses",
    "make_retina",
    "unite_patterns",
]
