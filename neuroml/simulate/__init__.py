"""Seeded ground truth for tests, tutorials and benchmarks."""

from neuroml.simulate.dendrites import add_pattern_noise, make_patterns, unite_patterns

__all__ = ["add_pattern_noise", "make_patterns", "unite_patterns"]
