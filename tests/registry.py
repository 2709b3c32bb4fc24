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

from neuroml.celltypes import FacetedStimuli, MostDiscriminativeStimuli, ResponseModel
from neuroml.connectome import NonnegativeCP, SlidingWindowConnectivity
from neuroml.dendrites import ActiveDendriteClassifier, KWinnersEncoder, SegmentBank
from neuroml.simulate import make_retina


def _samples() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {"X": rng.uniform(size=(40, 4)), "y": rng.integers(0, 2, size=40)}


def _retina() -> dict[str, Any]:
    types = ["on_transient", "off_sustained", "on_off"]
    return {"model": make_retina(types, n_cells=4, n_frames=30, random_state=0).module}


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
        ResponseModel(
            "linear",
            n_lags=1,
            n_filters=4,
            nonlinearity="identity",
            loss="gaussian",
            validation_fraction=0.0,
            max_epochs=40,
            device="cpu",
        ),
        {
            "check_fit_score_takes_y": "the second argument is called responses",
            "check_n_features_in_after_fitting": "the second argument is called responses",
            "check_methods_subset_invariance": "single precision: equal to 1e-6, not 1e-7",
        },
        lambda: dict(zip(("stimuli", "responses"), _samples().values(), strict=True)),
    ),
    Entry(SegmentBank(n_synapses=3, threshold=1)),
    Entry(KWinnersEncoder(n_cells=50, n_active=5)),
    Entry(ActiveDendriteClassifier(20, n_cells=200, n_active=20)),
]

CONTRACT = [
    Entry(FacetedStimuli(n_reference=60, n_seeds=20, n_steps=3), fit_arguments=_retina),
    Entry(MostDiscriminativeStimuli(3, n_reference=60, n_steps=5), fit_arguments=_retina),
]
