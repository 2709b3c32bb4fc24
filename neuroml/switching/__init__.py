"""State-switching generalised linear models for neural populations and for behaviour."""

from neuroml.switching.switching_glm import SwitchingGLM

__all__ = ["SwitchingGLM"]
