"""Figures and tables of a cohort show what was fitted, and the brain only where it is known."""

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from neuroml.connectome import (
    DynamicConnectome,
    NonnegativeCP,
    SlidingWindowConnectivity,
    WeightedSBM,
)
from neuroml.data import make_recording, stack
from neuroml.report import Context, draw, tabulate
from neuroml.report.component_tests import tested
from neuroml.simulate import make_dynamic_communities


def cohort(space):
    truth = make_dynamic_communities(
        20, 5, 100, n_communities=2, n_active_subjects=4, unseen=0.0, random_state=0
    )
    grid = np.arange(20.0)
    places = {"x": 3 * grid - 30, "y": 2 * grid - 60, "z": grid, "space": np.repeat(space, 20)}
    recordings = [
        make_recording(
            x,
            rate_hz=2.0,
            modality="fmri",
            key=(f"{k:02d}", "", ""),
            unit_coords=places if space else None,
        )
        for k, x in enumerate(truth.X)
    ]
    events = pd.DataFrame({"onset": [5.0, 20.0], "duration": 3.0, "trial_type": ["tone", "light"]})
    context = Context.of(recordings, [events] * 5, stack(recordings))
    return DynamicConnectome(2, n_init=2, random_state=0).fit(recordings), context


@pytest.mark.parametrize(
    ("space", "brain"), [("MNI152NLin6Asym", True), ("atlas", False), ("", False)]
)
def test_a_cohort_is_drawn_with_its_events_and_its_brain(space, brain):
    model, context = cohort(space)
    drawn = draw(model, context)
    (place,) = (panel for panel in drawn if panel.name == "brain")
    assert (place.figure is not None) == brain == ("not drawn" not in place.caption)
    panels = {panel.name: panel.figure for panel in drawn if panel.figure is not None}
    for figure in panels.values():
        figure.canvas.draw()
    assert {"components", "connectogram", "traces"} <= set(panels)
    course = panels["components"].axes[0]
    np.testing.assert_allclose(course.lines[0].get_ydata().max(), 1.0)
    np.testing.assert_allclose(course.lines[0].get_xdata(), np.arange(100) / 2.0)
    bars = [b.get_paths()[0].get_extents().x0 for b in course.collections[-2:]]
    assert sorted(bars) == [5.0, 20.0]
    table = tabulate(model, context)
    loadings = table[(table.quantity == "loading") & (table.component == "1")]["value"]
    np.testing.assert_allclose(loadings, model.subject_loadings_[:, 1])
    assert (table.quantity == "community").sum() == 2 * 20
    # whether other starts found the same components is told beside what they are
    matches = table[table.quantity == "match"]["value"]
    np.testing.assert_array_equal(matches, model.factorization_.restart_matches_)
    (caption,) = (panel.caption for panel in drawn if panel.name == "components")
    assert "Match of the other starts" in caption


def test_a_graph():
    W = np.random.default_rng(0).uniform(size=(12, 12))
    model = WeightedSBM(n_init=2, n_shuffles=2, random_state=0).fit(W + W.T)
    context = Context([], [], [f"n{k}" for k in range(12)], np.zeros(0))
    assert draw(model, context)[0].name == "consensus"
    assert (tabulate(model, context)["quantity"] == "block").sum() == 12


@pytest.mark.parametrize(("n_samples", "short"), [(300, False), (60, True)])
def test_a_recording_that_is_too_short_for_its_windows_is_said_to_be(n_samples, short):
    """Windows that overlap fourfold count a quarter."""
    X = np.random.default_rng(0).normal(size=(n_samples, 5))
    recording = make_recording(X, rate_hz=1.0, modality="fmri")
    windows = SlidingWindowConnectivity(20, 5, negative="zero")
    W = windows.fit_transform(X)
    model = Pipeline([("w", windows), ("cp", NonnegativeCP(1, n_init=1, random_state=0).fit(W))])
    context = Context.of([recording], [None], stack([recording])).after(windows, W)
    table = tabulate(model, context).set_index("quantity")["value"]
    assert table["independent_windows"] == len(W) / 4
    said = [p.caption for p in draw(model, context) if p.name == "windows"]
    assert len(said) == short and all("too short for its windows" in one for one in said)


def test_components_that_no_null_supports_are_called_so():
    nulls = ["shift", "shift", "matched-covariance", "matched-covariance"]
    tests = pd.DataFrame({"null": nulls, "component": [0, 1, 0, 1]}).assign(
        weight=1.0, contrast=0.5, weight_p=0.5, contrast_p=[0.01, 0.4, 0.9, 0.8], p=[0.04, 1] * 2
    )
    found = tested(tests, 99)
    assert found["notes"][0] == "Component 0 is more than unrelated units would give (p 0.04)."
    assert found["notes"][1].startswith("No null supports component 1")
    # the smallest p of 19 surrogates is 0.05, of which none of four tests could be convinced
    assert tested(tests, 19)["notes"][0].endswith("n_permutations = 79 or more can.")
