"""Cross-subject decoding: subjects with voxels of their own, one space of targets."""

from neuroml.decoding import metrics
from neuroml.decoding.bayesian_decoder import BayesianDecoder
from neuroml.decoding.cross_subject import CrossSubjectDecoder
from neuroml.decoding.cross_subject_classifier import CrossSubjectClassifier
from neuroml.decoding.hierarchical import HierarchicalRidgeDecoder
from neuroml.decoding.mindbridge import MindBridgeDecoder
from neuroml.decoding.procrustes import ProcrustesAligner
from neuroml.decoding.prototypes import PrototypeClassifier
from neuroml.decoding.ridge import RidgeDecoder
from neuroml.decoding.scoring import cross_subject_score
from neuroml.decoding.shared_response import SharedResponseModel

__all__ = [
    "BayesianDecoder",
    "CrossSubjectClassifier",
    "CrossSubjectDecoder",
    "HierarchicalRidgeDecoder",
    "MindBridgeDecoder",
    "ProcrustesAligner",
    "PrototypeClassifier",
    "RidgeDecoder",
    "SharedResponseModel",
    "cross_subject_score",
    "metrics",
]
