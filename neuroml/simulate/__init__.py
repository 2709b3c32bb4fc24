"""Seeded ground truth for tests, tutorials, benchmarks and the planning of experiments."""

from neuroml.simulate.celltypes import CELL_TYPES, make_responses, make_retina
from neuroml.simulate.connectome import make_dynamic_communities
from neuroml.simulate.decoding import make_cohort
from neuroml.simulate.dendrites import add_pattern_noise, make_patterns, unite_patterns
from neuroml.simulate.graphs import LFR_SETTINGS, make_planted_weights, make_weighted_lfr
from neuroml.simulate.representation import make_aligned_task
from neuroml.simulate.stimuli import make_chirp, make_moving_bars, make_pink_stimuli
from neuroml.simulate.switching import make_switching_choices, make_switching_cohort
from neuroml.simulate.switching_spikes import make_switching_spikes

__all__ = [
    "CELL_TYPES",
    "LFR_SETTINGS",
    "add_pattern_noise",
    "make_aligned_task",
    "make_chirp",
    "make_cohort",
    "make_dynamic_communities",
    "make_moving_bars",
    "make_patterns",
    "make_pink_stimuli",
    "make_planted_weights",
    "make_responses",
    "make_retina",
    "make_switching_choices",
    "make_switching_cohort",
    "make_switching_spikes",
    "make_weighted_lfr",
    "unite_patterns",
]
