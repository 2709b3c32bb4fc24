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

from neuroml.connectome import NonnegativeCP, SlidingWindowConnectivity
from neuroml.decoding import (
    CrossSubjectDecoder,
    HierarchicalRidgeDecoder,
    ProcrustesAligner,
    PrototypeClassifier,
    RidgeDecoder,
    SharedResponseModel,
)
from neuroml.dendrites import ActiveDendriteClassifier, KWinnersEncoder, SegmentBank


def _samples() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {"X": rng.uniform(size=(40, 4)), "y": rng.integers(0, 2, size=40)}


def _cohort() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    sizes = {"anna": 12, "ben": 15}
    return {
        "X": {s: rng.standard_normal((30, size)) for s, size in sizes.items()},
        "y": {s: rng.standard_normal((30, 6)) for s in sizes},
    }


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
    Entry(CrossSubjectDecoder()),
    Entry(HierarchicalRidgeDecoder()),
    Entry(ProcrustesAligner()),
    Entry(PrototypeClassifier()),
    Entry(RidgeDecoder()),
    Entry(SharedResponseModel(1)),
    Entry(SegmentBank(n_synapses=3, threshold=1)),
    Entry(KWinnersEncoder(n_cells=50, n_active=5)),
    Entry(ActiveDendriteClassifier(20, n_cells=200, n_active=20)),
]

CONTRACT: list[Entry] = [
    Entry(CrossSubjectDecoder("network", hidden=8, max_steps=4), fit_arguments=_cohort),
]
