"""Seeded ground truth for tests, tutorials and benchmarks."""

from neuroml.simulate.switching_spikes import make_switching_spikes

__all__ = ["make_switching_spikes"]
