"""Sparse patterns on dendritic segments: theory, simulators, a classifier, and torch layers.

The layers are in `neuroml.dendrites.layers`, which imports torch; this module does not.
"""

from neuroml.dendrites.active_dendrite_classifier import ActiveDendriteClassifier
from neuroml.dendrites.design import (
    capacity,
    min_synapses,
    optimal_threshold,
    sweep,
    union_capacity,
)
from neuroml.dendrites.k_winners_encoder import KWinnersEncoder
from neuroml.dendrites.published import published_values
from neuroml.dendrites.recorded import recorded_false_match
from neuroml.dendrites.segment_bank import SegmentBank
from neuroml.dendrites.simulation import (
    SimulatedRate,
    simulate_bank_false_match,
    simulate_false_match,
    simulate_false_negative,
    simulate_union_false_match,
)
from neuroml.dendrites.theory import (
    FalseAlarms,
    bank_false_match,
    exact_match,
    false_alarms,
    false_match,
    false_negative,
    noise_tolerance,
    overlap_pmf,
)
from neuroml.dendrites.unions import union_false_match, union_size_mean, union_size_pmf

__all__ = [
    "ActiveDendriteClassifier",
    "FalseAlarms",
    "KWinnersEncoder",
    "SegmentBank",
    "SimulatedRate",
    "bank_false_match",
    "capacity",
    "exact_match",
    "false_alarms",
    "false_match",
    "false_negative",
    "min_synapses",
    "noise_tolerance",
    "optimal_threshold",
    "overlap_pmf",
    "published_values",
    "recorded_false_match",
    "simulate_bank_false_match",
    "simulate_false_match",
    "simulate_false_negative",
    "simulate_union_false_match",
    "sweep",
    "union_capacity",
    "union_false_match",
    "union_size_mean",
    "union_size_pmf",
]
