"""Torch layers for sparse networks: sparse weights, sparse activity, active dendrites.

They are ordinary modules: they take float tensors whose last axis holds the units, save their whole
state in ``state_dict`` and draw from torch's random numbers or from a ``generator``.
"""

from neuroml.dendrites.layers.active_dendrite_linear import (
    ActiveDendriteConv2d,
    ActiveDendriteLinear,
)
from neuroml.dendrites.layers.activity import ActivationMeter
from neuroml.dendrites.layers.cett import CETTSparsity, cett, cett_sparsity
from neuroml.dendrites.layers.delta_activation import DeltaActivation
from neuroml.dendrites.layers.k_winners import KWinners, KWinners2d
from neuroml.dendrites.layers.prosparse import ActivationL1, FATReLU, SineStageSchedule
from neuroml.dendrites.layers.pruning import prune_rnn_
from neuroml.dendrites.layers.quadratic_linear import QuadraticLinear, relinear_param_groups
from neuroml.dendrites.layers.sparse_linear import SparseLinear
from neuroml.dendrites.layers.task_prototypes import TaskPrototypes

__all__ = [
    "ActivationL1",
    "ActivationMeter",
    "ActiveDendriteConv2d",
    "ActiveDendriteLinear",
    "CETTSparsity",
    "DeltaActivation",
    "FATReLU",
    "KWinners",
    "KWinners2d",
    "QuadraticLinear",
    "SineStageSchedule",
    "SparseLinear",
    "TaskPrototypes",
    "cett",
    "cett_sparsity",
    "prune_rnn_",
    "relinear_param_groups",
]
