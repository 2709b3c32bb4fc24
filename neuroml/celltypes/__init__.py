"""Functional cell types: response models, and the stimuli that tell types apart."""

from neuroml.celltypes._comparisons import (
    compare_clusterings,
    stability,
    type_confusion,
)
from neuroml.celltypes._response_features import quality_index
from neuroml.celltypes.faceted_stimuli import FacetedStimuli
from neuroml.celltypes.functional_types import FunctionalTypes
from neuroml.celltypes.most_discriminative_stimuli import MostDiscriminativeStimuli
from neuroml.celltypes.response_model import ResponseModel

__all__ = [
    "FacetedStimuli",
    "FunctionalTypes",
    "MostDiscriminativeStimuli",
    "ResponseModel",
    "compare_clusterings",
    "quality_index",
    "stability",
    "type_confusion",
]
