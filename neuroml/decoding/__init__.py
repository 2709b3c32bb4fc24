"""Cross-subject decoding: brains with voxels of their own, one space of targets."""

from neuroml.decoding import metrics
from neuroml.decoding.procrustes import ProcrustesAligner
from neuroml.decoding.ridge import RidgeDecoder
from neuroml.decoding.shared_response import SharedResponseModel

__all__ = ["ProcrustesAligner", "RidgeDecoder", "SharedResponseModel", "metrics"]
