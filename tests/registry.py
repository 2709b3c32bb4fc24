"""Every public estimator, with a small instance of it and the checks it is expected to fail.

Estimators that take a 2-D X stand in ``TWO_DIMENSIONAL`` and pass scikit-learn's own suite, except
for the checks named here with a reason (three at most). The others stand in ``CONTRACT`` with a
function that makes arguments for their ``fit``, and pass the house's contract.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from neuroml.connectome import (
    AffinityTensor,
    DynamicConnectome,
    NonnegativeCP,
    SlidingWindowConnectivity,
    WeightedSBM,
)
from neuroml.dendrites import ActiveDendriteClassifier, KWinnersEncoder, SegmentBank


def _samples() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {"X": rng.uniform(size=(40, 4)), "y": rng.integers(0, 2, size=40)}


def _graph() -> dict[str, Any]:
    W = np.random.default_rng(0).uniform(size=(12, 12))
    return {"W": W + W.T}


@dataclass(frozen=True)
class Entry:
    """A small instance, what it may fail of scikit-learn's suite and why, and how to fit it."""

    estimator: BaseEstimator
    expected_failures: dict[str, str] = field(default_factory=dict)
    fit_arguments: Callable[[], dict[str, Any]] = _samples


_ORDER = "windows over time depend on the order of samples"
_SUBSET = "a window needs neighbouring samples, so single rows cannot be transformed"

TWO_DIMENSIONAL = [
    Entry(
        SlidingWindowConnectivity(window=10, edges="shrink", covariance="empirical"),
        {
            "check_methods_sample_order_invariance": _ORDER,
            "check_methods_subset_invariance": _SUBSET,
        },
    ),
    Entry(NonnegativeCP(n_components=2, n_init=1, max_iter=500)),
    Entry(
        WeightedSBM(n_init=2, n_shuffles=2, random_state=0),
        {"check_estimators_pickle": "scatters NaN over a matrix that has to stay symmetric"},
        _graph,
    ),
    Entry(SegmentBank(n_synapses=3, threshold=1)),
    Entry(KWinnersEncoder(n_cells=50, n_active=5)),
    Entry(ActiveDendriteClassifier(20, n_cells=200, n_active=20)),
]

CONTRACT: list[Entry] = [
    Entry(AffinityTensor()),  # a 2-D X is one recording; what comes out is no array
    Entry(DynamicConnectome(n_components=1, method="same_sign", n_init=1)),  # one row an animal
]
