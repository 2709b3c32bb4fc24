"""Seeded data with known ground truth, for tests, tutorials and planning of experiments."""

from neuroml.simulate.switching import make_switching_choices
from neuroml.simulate.switching_spikes import make_switching_spikes

__all__ = ["make_switching_choices", "make_switching_spikes"]
