"""Every public estimator, with a small instance of it and the checks it is expected to fail.

Estimators that take a 2-D X stand in ``TWO_DIMENSIONAL`` and pass scikit-learn's own suite, except
for the checks named here with a reason (three at most). An expected failure fails on every processor:
by a refusal, or by numbers that differ by more than rounding. A check whose outcome rounding decides
is left out. The others stand in ``CONTRACT`` with a function that makes arguments for their ``fit``,
and pass the house's contract.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from neuroml.celltypes import (
    FacetedStimuli,
    FunctionalTypes,
    MostDiscriminativeStimuli,
    ResponseModel,
)
from neuroml.connectome import (
    AffinityTensor,
    CoupledFactorization,
    DynamicConnectome,
    DynamicFCMaskedAutoencoder,
    NonnegativeCP,
    SlidingWindowConnectivity,
    WeightedSBM,
)
from neuroml.decoding import (
    BayesianDecoder,
    CrossSubjectClassifier,
    CrossSubjectDecoder,
    HierarchicalRidgeDecoder,
    MindBridgeDecoder,
    ProcrustesAligner,
    PrototypeClassifier,
    RidgeDecoder,
    SharedResponseModel,
)
from neuroml.dendrites import ActiveDendriteClassifier, KWinnersEncoder, SegmentBank
from neuroml.representation import PopulationGeometry
from neuroml.simulate import make_retina
from neuroml.switching import SwitchingGLM, SwitchingPopulationGLM


def _samples() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {"X": rng.uniform(size=(40, 4)), "y": rng.integers(0, 2, size=40)}


def _counts() -> dict[str, Any]:
    return {"spikes": np.random.default_rng(0).poisson(1.0, (60, 3)).astype(float)}


def _cohort() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    sizes = {"anna": 12, "ben": 15}
    return {
        "X": {s: rng.standard_normal((30, size)) for s, size in sizes.items()},
        "y": {s: rng.standard_normal((30, 6)) for s in sizes},
    }


def _activity() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {"X": {s: rng.uniform(size=(20, n)) for s, n in {"anna": 6, "ben": 9}.items()}}


def _windows() -> dict[str, Any]:
    return {"X": np.random.default_rng(0).uniform(size=(12, 6))}


def _retina() -> dict[str, Any]:
    types = ["on_transient", "off_sustained", "on_off"]
    return {"model": make_retina(types, n_cells=4, n_frames=30, random_state=0).module}


def _graph() -> dict[str, Any]:
    W = np.random.default_rng(0).uniform(size=(12, 12))
    return {"W": W + W.T}


@dataclass(frozen=True)
class Entry:
    """A small instance, what of scikit-learn's suite it fails or leaves out and why, how to fit it."""

    estimator: BaseEstimator
    expected_failures: dict[str, str] = field(default_factory=dict)
    fit_arguments: Callable[[], dict[str, Any]] = _samples
    left_out: dict[str, str] = field(default_factory=dict)


_ORDER = "windows over time depend on the order of samples"
_SUBSET = "a window needs neighboring samples, so single rows cannot be transformed"

_SINGLE = "single precision: whether sums of another order agree to 1e-7 is up to the processor"
_ORDER_OF_STATES = "the probability of a hidden state depends on the bins before and after"

TWO_DIMENSIONAL = [
    Entry(
        SlidingWindowConnectivity(window=10, edges="shrink", covariance="empirical"),
        {
            "check_methods_sample_order_invariance": _ORDER,
            "check_methods_subset_invariance": _SUBSET,
        },
    ),
    Entry(NonnegativeCP(n_components=2, n_init=1, max_iter=500)),
    Entry(SegmentBank(n_synapses=3, threshold=1)),
    Entry(KWinnersEncoder(n_cells=50, n_active=5)),
    Entry(ActiveDendriteClassifier(20, n_cells=200, n_active=20)),
    Entry(
        SwitchingGLM(n_states=2, family="gaussian", n_init=1),
        {
            "check_methods_sample_order_invariance": _ORDER_OF_STATES,
            "check_methods_subset_invariance": _ORDER_OF_STATES,
            "check_sample_weight_equivalence_on_dense_data": "a weight counts what is observed in a "
            "bin, and not its transition, as a bin that is left out or repeated does",
        },
    ),
    Entry(
        SwitchingPopulationGLM(n_states=2, n_lags=2, link="sigmoid", n_init=1),
        {
            "check_methods_sample_order_invariance": _ORDER_OF_STATES,
            "check_methods_subset_invariance": _ORDER_OF_STATES,
        },
        _counts,
    ),
    Entry(
        WeightedSBM(n_init=2, n_shuffles=2, random_state=0),
        {"check_estimators_pickle": "scatters NaN over a matrix that has to stay symmetric"},
        _graph,
    ),
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
        },
        lambda: dict(zip(("stimuli", "responses"), _samples().values(), strict=True)),
        {  # tests/celltypes/test_response_model.py holds both to single precision
            "check_methods_subset_invariance": _SINGLE,
            "check_methods_sample_order_invariance": _SINGLE,
        },
    ),
    Entry(BayesianDecoder()),
    Entry(CrossSubjectClassifier()),
    Entry(CrossSubjectDecoder()),
    Entry(
        FunctionalTypes(2, "tied", n_init=1, n_bootstrap=2),
        {
            "check_clustering": "of two samples about their mean and over their deviation, a sign is left"
        },
    ),
    Entry(HierarchicalRidgeDecoder()),
    Entry(ProcrustesAligner()),
    Entry(PrototypeClassifier()),
    Entry(RidgeDecoder()),
    Entry(SharedResponseModel(1)),
]


def _conditions() -> dict[str, Any]:
    X = np.random.default_rng(0).normal(size=(24, 5))
    return {"X": X, "y": np.arange(24) % 4}


CONTRACT: list[Entry] = [
    Entry(PopulationGeometry(4, n_bootstrap=2), fit_arguments=_conditions),
    Entry(FacetedStimuli(n_reference=60, n_seeds=20, n_steps=3), fit_arguments=_retina),
    Entry(MostDiscriminativeStimuli(3, n_reference=60, n_steps=5), fit_arguments=_retina),
    Entry(MindBridgeDecoder(hidden=8, max_steps=4), fit_arguments=_cohort),
    Entry(CoupledFactorization(1, n_init=2), fit_arguments=_activity),
    Entry(DynamicFCMaskedAutoencoder(2, hidden=4, max_epochs=2), fit_arguments=_windows),
    Entry(AffinityTensor()),  # a 2-D X is one recording; what comes out is no array
    Entry(DynamicConnectome(n_components=1, method="same_sign", n_init=1)),  # one row a subject
]
