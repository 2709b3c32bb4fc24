"""Dynamic functional connectomes: windowed connectivity and its tensor factorisation."""

from neuroml.connectome._factors import factor_match
from neuroml.connectome.affinity_tensor import AffinityTensor
from neuroml.connectome.nonnegative_cp import NonnegativeCP
from neuroml.connectome.rank_selection import RankSelection, core_consistency, select_rank
from neuroml.connectome.sliding_window import SlidingWindowConnectivity
from neuroml.connectome.tensors import FibreTensor, RowsOnDisk

__all__ = [
    "AffinityTensor",
    "FibreTensor",
    "NonnegativeCP",
    "RankSelection",
    "RowsOnDisk",
    "SlidingWindowConnectivity",
    "core_consistency",
    "factor_match",
    "select_rank",
]
