"""State-switching generalised linear models for neural populations and for behaviour."""

from neuroml.switching.switching_glm import SwitchingGLM
from neuroml.switching.switching_population_glm import SwitchingPopulationGLM

__all__ = ["SwitchingGLM", "SwitchingPopulationGLM"]
