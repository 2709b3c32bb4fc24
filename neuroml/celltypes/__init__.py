"""Functional cell types: response models, and the stimuli that tell types apart."""

from neuroml.celltypes._comparisons import (
    cluster_features,
    compare_clusterings,
    stability,
    type_confusion,
)
from neuroml.celltypes.faceted_stimuli import FacetedStimuli
from neuroml.celltypes.most_discriminative_stimuli import MostDiscriminativeStimuli
from neuroml.celltypes.response_model import ResponseModel

__all__ = [
    "FacetedStimuli",
    "MostDiscriminativeStimuli",
    "ResponseModel",
    "cluster_features",
    "compare_clusterings",
    "stability",
    "type_confusion",
]
