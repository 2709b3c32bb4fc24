"""Functional cell types: response models, and the stimuli that tell types apart."""

from neuroml.celltypes.most_discriminative_stimuli import PAPER_PRESET, MostDiscriminativeStimuli

__all__ = ["PAPER_PRESET", "MostDiscriminativeStimuli"]
