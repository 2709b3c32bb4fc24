"""Seeded ground truth for tests, tutorials and benchmarks."""

from neuroml.simulate.decoding import make_cohort

__all__ = ["make_cohort"]
