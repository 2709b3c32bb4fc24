"""State-switching generalized linear models for neural populations and for behaviour."""

from neuroml.switching.matching import match_states, match_weights
from neuroml.switching.recovery import recovery_study
from neuroml.switching.selection import select_by_sessions
from neuroml.switching.switching_glm import SwitchingGLM
from neuroml.switching.switching_population_glm import SwitchingPopulationGLM

__all__ = [
    "SwitchingGLM",
    "SwitchingPopulationGLM",
    "match_states",
    "match_weights",
    "recovery_study",
    "select_by_sessions",
]
