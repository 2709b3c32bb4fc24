"""Dynamic functional connectomes: affinities, their tensor factorization and its communities."""

from neuroml.connectome._factors import factor_match
from neuroml.connectome.affinity_tensor import AffinityTensor
from neuroml.connectome.coupled_factorization import CoupledFactorization
from neuroml.connectome.dynamic_connectome import DynamicConnectome
from neuroml.connectome.inference import association, reliability, surrogate, surrogate_test
from neuroml.connectome.masked_autoencoder import DynamicFCMaskedAutoencoder
from neuroml.connectome.nonnegative_cp import NonnegativeCP
from neuroml.connectome.rank_selection import RankSelection, core_consistency, select_rank
from neuroml.connectome.sliding_window import SlidingWindowConnectivity
from neuroml.connectome.tensors import FiberTensor, RowsOnDisk
from neuroml.connectome.weighted_sbm import WeightedSBM

__all__ = [
    "AffinityTensor",
    "CoupledFactorization",
    "DynamicConnectome",
    "DynamicFCMaskedAutoencoder",
    "FiberTensor",
    "NonnegativeCP",
    "RankSelection",
    "RowsOnDisk",
    "SlidingWindowConnectivity",
    "WeightedSBM",
    "association",
    "core_consistency",
    "factor_match",
    "reliability",
    "select_rank",
    "surrogate",
    "surrogate_test",
]
