"""State-switching generalised linear models for neural populations and for behaviour."""

from neuroml.switching.selection import (
    match_states,
    match_weights,
    one_standard_error,
    recovery_study,
    select_by_sessions,
)
from neuroml.switching.switching_glm import SwitchingGLM

__all__ = [
    "SwitchingGLM",
    "match_states",
    "match_weights",
    "one_standard_error",
    "recovery_study",
    "select_by_sessions",
]
