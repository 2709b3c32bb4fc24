"""Dynamic functional connectomes: windowed connectivity and its tensor factorisation."""

from neuroml.connectome.nonnegative_cp import NonnegativeCP
from neuroml.connectome.sliding_window import SlidingWindowConnectivity
from neuroml.connectome.weighted_sbm import WeightedSBM

__all__ = ["NonnegativeCP", "SlidingWindowConnectivity", "WeightedSBM"]
