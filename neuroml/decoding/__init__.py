"""Cross-subject decoding: brains with voxels of their own, one space of targets."""

from neuroml.decoding import metrics
from neuroml.decoding.ridge import RidgeDecoder

__all__ = ["RidgeDecoder", "metrics"]
