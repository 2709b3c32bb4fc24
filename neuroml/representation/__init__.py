"""The geometry of population codes, in recordings and in trained networks, beside its nulls.

Functions on tensors of torch (`activation_codes`, `laziness_report`, `tangent_kernel`) import torch
when they are called.
"""

from neuroml.representation.codes import (
    CodeSeparability,
    activation_codes,
    code_redundancy,
    code_separability,
)
from neuroml.representation.dichotomies import (
    ccgp,
    dichotomies,
    parallelism_score,
    shattering_dimensionality,
)
from neuroml.representation.dimensionality import effective_rank, participation_ratio
from neuroml.representation.dissimilarity import representational_dissimilarity
from neuroml.representation.information import mutual_information
from neuroml.representation.initialization import connectome_init, rank_limited_init
from neuroml.representation.kernels import cka, kernel_alignment
from neuroml.representation.laziness import LazinessReport, laziness_report, tangent_kernel
from neuroml.representation.population_geometry import PopulationGeometry

__all__ = [
    "CodeSeparability",
    "LazinessReport",
    "PopulationGeometry",
    "activation_codes",
    "ccgp",
    "cka",
    "code_redundancy",
    "code_separability",
    "connectome_init",
    "dichotomies",
    "effective_rank",
    "kernel_alignment",
    "laziness_report",
    "mutual_information",
    "parallelism_score",
    "participation_ratio",
    "rank_limited_init",
    "representational_dissimilarity",
    "shattering_dimensionality",
    "tangent_kernel",
]
