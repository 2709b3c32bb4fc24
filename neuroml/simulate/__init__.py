"""Seeded ground truth for tests, tutorials and benchmarks."""

from neuroml.simulate.decoding import make_cohort
from neuroml.simulate.dendrites import add_pattern_noise, make_patterns, unite_patterns

__all__ = ["add_pattern_noise", "make_cohort", "make_patterns", "unite_patterns"]
