"""Figures of fitted models, of their scores and of how fits went.

Every function takes a fitted estimator or plain arrays first and names everything else. Figures of
one panel are drawn on ``ax``, those of several panels on ``figure``; without them a new figure is
made, which pyplot does not know and a notebook shows. What was drawn on is returned.
"""

from neuroml.plotting._style import save_figure
from neuroml.plotting.brain import plot_brain_map
from neuroml.plotting.celltypes import (
    plot_candidates,
    plot_confusion,
    plot_response_map,
    plot_stimuli,
    plot_training,
)
from neuroml.plotting.communities import (
    plot_blocks,
    plot_brain,
    plot_connectogram,
    plot_motifs,
    plot_unit_traces,
)
from neuroml.plotting.connectome import (
    plot_cohort_components,
    plot_components,
    plot_loadings,
    plot_rank_selection,
)
from neuroml.plotting.couplings import plot_couplings, plot_filters
from neuroml.plotting.decoding import (
    plot_adaptation_curves,
    plot_agreement,
    plot_decodability,
    plot_gains,
    plot_penalties,
    plot_shared_response,
)
from neuroml.plotting.dendrites import Comparison, plot_comparisons, plot_threshold_design
from neuroml.plotting.evaluation import plot_evaluation
from neuroml.plotting.representation import plot_geometry
from neuroml.plotting.runs import (
    plot_component_agreement,
    plot_component_parameters,
    plot_convergence,
    plot_jobs,
)
from neuroml.plotting.switching import (
    plot_dwell_times,
    plot_intercepts,
    plot_psychometric,
    plot_state_raster,
    plot_states,
    plot_weights,
)

__all__ = [
    "Comparison",
    "plot_adaptation_curves",
    "plot_agreement",
    "plot_blocks",
    "plot_brain",
    "plot_brain_map",
    "plot_candidates",
    "plot_cohort_components",
    "plot_comparisons",
    "plot_component_agreement",
    "plot_component_parameters",
    "plot_components",
    "plot_confusion",
    "plot_connectogram",
    "plot_convergence",
    "plot_couplings",
    "plot_decodability",
    "plot_dwell_times",
    "plot_evaluation",
    "plot_filters",
    "plot_gains",
    "plot_geometry",
    "plot_intercepts",
    "plot_jobs",
    "plot_loadings",
    "plot_motifs",
    "plot_penalties",
    "plot_psychometric",
    "plot_rank_selection",
    "plot_response_map",
    "plot_shared_response",
    "plot_state_raster",
    "plot_states",
    "plot_stimuli",
    "plot_threshold_design",
    "plot_training",
    "plot_unit_traces",
    "plot_weights",
    "save_figure",
]
