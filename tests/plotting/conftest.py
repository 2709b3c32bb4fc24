"""One small fitted model, or arrays, for every public figure."""

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from neuroml.celltypes import FunctionalTypes, MostDiscriminativeStimuli, ResponseModel
from neuroml.connectome import AffinityTensor, DynamicConnectome, NonnegativeCP, select_rank
from neuroml.data import read_fmri
from neuroml.decoding import CrossSubjectDecoder, RidgeDecoder
from neuroml.evaluation import evaluate
from neuroml.plotting import Comparison
from neuroml.representation import PopulationGeometry
from neuroml.simulate import make_cohort, make_dynamic_communities, make_retina
from neuroml.switching import SwitchingGLM, SwitchingPopulationGLM

RNG = np.random.default_rng
SESSIONS = np.repeat([0, 1], 60)


@dataclass(frozen=True)
class Case:
    """What a figure takes: what it is drawn from, and every name it can be given."""

    first: tuple
    required: dict[str, Any] = field(default_factory=dict)
    named: dict[str, Any] = field(default_factory=dict)


@cache
def glm():
    X, y = RNG(0).normal(size=(120, 2)), RNG(1).integers(0, 2, 120)
    return SwitchingGLM(2, n_init=2, tol=1e-2, random_state=0).fit(X, y, sessions=SESSIONS)


@cache
def population():
    spikes = RNG(0).poisson(0.5, (120, 3))
    return SwitchingPopulationGLM(2, n_lags=4, n_init=2, tol=1e-2, random_state=0).fit(spikes)


@cache
def evaluation():
    X = RNG(0).normal(size=(60, 2))
    groups = np.repeat([0, 1, 2], 20)
    scoring = ["r2", "neg_mean_absolute_error"]
    y = X[:, 0] + RNG(1).normal(size=60)
    return evaluate(Ridge(), X, y, groups=groups, sessions=groups, scoring=scoring, cv=3)


@cache
def factorization():
    return NonnegativeCP(2, n_init=2, tol=1e-3, random_state=0).fit(RNG(0).uniform(size=(20, 5, 5)))


@cache
def regions():
    values = RNG(0).normal(size=(4, 4, 4, 9)).astype(np.float32)
    atlas = (1 + np.arange(64) % 3).reshape(4, 4, 4).astype(np.int16)
    image, labels = (
        nibabel.Nifti1Image(one, np.diag([20.0, 20, 20, 1])) for one in (values, atlas)
    )
    return read_fmri(image, labels=labels, tr_s=2.0).assign_attrs(space="MNI152NLin6Asym")


@cache
def cohort():
    affinity = AffinityTensor()
    tensor = affinity.fit_transform([RNG(seed).normal(size=(50, 4)) for seed in range(3)])
    return NonnegativeCP(2, n_init=1, tol=1e-3, random_state=0).fit(tensor), affinity


@cache
def communities():
    truth = make_dynamic_communities(
        20, 5, 100, n_communities=2, n_active_subjects=4, random_state=0
    )
    return DynamicConnectome(2, n_init=1, random_state=0).fit(truth.X)


@cache
def decoders():
    data = make_cohort(2, n_stimuli=40, n_voxels=(20, 30), random_state=0)
    return CrossSubjectDecoder().fit(data.X, data.y), RidgeDecoder().fit(data.X, data.y)


@cache
def clusters():
    retina = make_retina(["on_sustained", "off_sustained"], 3, n_frames=50, random_state=0)
    return MostDiscriminativeStimuli(2, n_steps=10, random_state=0).fit(retina.module)


@cache
def types():
    X = RNG(0).normal(size=(20, 8))
    return FunctionalTypes(max_types=3, n_init=1, n_bootstrap=0, random_state=0).fit(X)


@cache
def twin():
    retina = make_retina(["on_transient"], n_cells=2, n_frames=400, random_state=0)
    model = ResponseModel("linear", n_lags=5, max_epochs=30, patience=3, random_state=0)
    return model.fit(retina.stimuli, retina.responses)


@cache
def geometry():
    X, y = RNG(0).normal(size=(40, 5)), np.arange(40) % 4
    return PopulationGeometry(5, n_bootstrap=3, random_state=0).fit(X, y)


@cache
def rank():
    quick = NonnegativeCP(n_init=2, tol=1e-3)
    X = RNG(0).uniform(size=(8, 6, 7))
    return select_rank(X, [1, 2], n_folds=2, model=quick, random_state=0)


def scores():
    rng = RNG(0)
    rows = [
        (method, subject, n, repeat, base + n / 1000 + 0.01 * rng.normal())
        for method, base in (("ridge", 0.1), ("cohort", 0.3))
        for subject in "abcd"
        for n in (50, 200)
        for repeat in range(3)
    ]
    return pd.DataFrame(rows, columns=["method", "subject", "n_adapt", "repeat", "score"])


def cases():
    """The arguments of every public figure, by its name."""
    posterior = RNG(0).dirichlet([1, 1], 120)
    matrix = np.abs(np.corrcoef(RNG(0).normal(size=(5, 30))))
    labels = np.array([1, 0, -1, 1, 0])
    by_time = {"times": np.arange(120) / 2, "time_label": "time (s)", "sessions": SESSIONS}
    names = [f"n{k}" for k in range(5)]
    events = pd.DataFrame({"onset": [5.0, 20.0], "duration": 3.0, "trial_type": ["tone", "light"]})
    limits = {"max_false_match": 1e-9, "max_false_negative": 1e-3}
    curve = ([1, 2, 3], [0.1, 0.01, 0.001])
    return {
        "plot_states": Case((posterior,), named=by_time),
        "plot_state_raster": Case(
            (posterior, RNG(0).poisson(0.5, (120, 4))), named=by_time | {"max_bins": 80}
        ),
        "plot_weights": Case(
            (glm(),),
            named={
                "standard_errors": np.full((2, 1, 2), 0.1),
                "input_names": ["tone", "light"],
                "output_names": ["choice"],
                "max_outputs": 1,
            },
        ),
        "plot_intercepts": Case((glm(),), named={"output_names": ["choice"]}),
        "plot_psychometric": Case(
            (RNG(0).normal(size=120), RNG(1).integers(0, 2, 120)),
            named={
                "posterior": posterior,
                "predicted": np.full_like(posterior, 0.4),
                "stimulus_label": "tone",
                "choice_label": "right",
            },
        ),
        "plot_dwell_times": Case(
            (posterior.argmax(axis=1),),
            named={
                "transition_matrix": [[0.9, 0.1], [0.2, 0.8]],
                "sessions": SESSIONS,
                "sample_label": "trials",
            },
        ),
        "plot_couplings": Case((population(),), named={"unit_names": list("xyz")}),
        "plot_filters": Case((population(),)),
        "plot_components": Case(
            (factorization(),),
            named={
                "times": np.arange(20) / 2,
                "time_label": "time (s)",
                "sessions": np.repeat([0, 1], 10),
                "unit_label": "region",
            },
        ),
        "plot_loadings": Case((factorization(),), named={"unit_names": names}),
        "plot_cohort_components": Case(
            cohort(),
            named={
                "times": np.arange(len(cohort()[0].cp_.factors[2])) / 2,
                "time_label": "time (s)",
                "subject_names": ["a", "b", "c"],
            },
        ),
        "plot_rank_selection": Case((rank(),)),
        "plot_motifs": Case(
            (communities(),),
            named={
                "times": np.arange(100) / 2,
                "time_label": "time (s)",
                "subject_names": list("abcde"),
                "events": events,
            },
        ),
        "plot_blocks": Case((matrix, labels), named={"value_label": "correlation"}),
        "plot_connectogram": Case((matrix, labels), named={"unit_names": names}),
        "plot_brain": Case((matrix, labels, RNG(0).uniform(-40, 40, (5, 3)))),
        "plot_brain_map": Case(
            (RNG(0).normal(size=(2, 3)), regions()), named={"map_names": ["a", "b"]}
        ),
        "plot_unit_traces": Case(
            (RNG(0).normal(size=(50, 5)), labels),
            named={
                "times": np.arange(50) / 2,
                "time_label": "time (s)",
                "intervals": [[3, 9], [20, 50]],
            },
        ),
        "plot_agreement": Case(([0.4, 0.1, 0.3],), named={"subject_names": ["a", "b", "c"]}),
        "plot_shared_response": Case(
            (RNG(0).normal(size=(30, 5)),),
            named={"times": np.arange(30) / 2, "time_label": "time (s)", "n_columns": 2},
        ),
        "plot_decodability": Case(decoders()[:1]),
        "plot_penalties": Case(decoders()[1:]),
        "plot_adaptation_curves": Case(
            (scores(),), named={"chance": 0.01, "score_label": "accuracy"}
        ),
        "plot_gains": Case(
            (scores(),), {"baseline": "ridge", "n_adapt": 50}, {"score_label": "accuracy"}
        ),
        "plot_stimuli": Case(
            (RNG(0).normal(size=(2, 10, 6, 8)),),
            {"stimulus_axes": "THW"},
            {"rate_hz": 30.0, "stimulus_names": ["on", "off"]},
        ),
        "plot_confusion": Case(
            (clusters(),),
            named={"type_shares": pd.DataFrame(np.eye(2), index=["on", "off"])},
        ),
        "plot_candidates": Case((types(),)),
        "plot_response_map": Case((clusters(),)),
        "plot_training": Case((twin(),)),
        "plot_comparisons": Case(([Comparison("one", "x", "y", {"a": curve}, {"a": curve})],)),
        "plot_threshold_design": Case((10_000, 30, 200, 40), limits),
        "plot_evaluation": Case(
            (evaluation(),), named={"scoring": "neg_mean_absolute_error", "score_label": "error"}
        ),
        "plot_convergence": Case((factorization(),), named={"label": "relative error"}),
        "plot_component_agreement": Case(
            (RNG(0).normal(size=(3, 2, 5)),),
            named={"job_names": ["a", "b", "c"], "component": "state"},
        ),
        "plot_component_parameters": Case(
            (RNG(0).normal(size=(3, 2, 5)),),
            named={"label_names": names, "value_label": "weight", "component": "state"},
        ),
        "plot_geometry": Case((geometry(),)),
        "plot_jobs": Case(([{"n_iter": 3}, {"n_iter": 5}],)),
    }


@pytest.fixture(scope="session")
def figures():
    return cases()
