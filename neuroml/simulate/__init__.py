"""Seeded data with known ground truth, for tests, tutorials and planning of experiments."""

from neuroml.simulate.switching import make_switching_choices

__all__ = ["make_switching_choices"]
