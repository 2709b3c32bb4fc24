"""Figures and tables of a cohort show what was fitted, and the brain only where it is known."""

import numpy as np
import pandas as pd
import pytest

from neuroml.connectome import DynamicConnectome, WeightedSBM
from neuroml.data import make_recording, stack
from neuroml.report import Context, draw, tabulate
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


def test_a_graph():
    W = np.random.default_rng(0).uniform(size=(12, 12))
    model = WeightedSBM(n_init=2, n_shuffles=2, random_state=0).fit(W + W.T)
    context = Context([], [], [f"n{k}" for k in range(12)], np.zeros(0))
    assert draw(model, context)[0].name == "consensus"
    assert (tabulate(model, context)["quantity"] == "block").sum() == 12
