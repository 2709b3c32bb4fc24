"""Tables and figures of switching populations."""

import numpy as np
import pytest

from neuroml.data import make_recording, stack
from neuroml.report import Context, draw, tabulate
from neuroml.simulate import make_switching_spikes
from neuroml.switching import SwitchingPopulationGLM


@pytest.fixture(scope="module")
def fitted():
    data = make_switching_spikes(5, 2, n_sessions=2, n_bins=300, random_state=0)
    recordings = [
        make_recording(
            data.spikes[data.sessions == s], modality="spikes", key=("a", str(s), ""), rate_hz=50.0
        )
        for s in range(2)
    ]
    model = SwitchingPopulationGLM(
        2, link="sigmoid", prior="one-hot", basis="raised-cosine", n_basis=2, n_init=1, tol=1e-3,
        random_state=0,
    )  # fmt: skip
    model.fit(data.spikes, sessions=data.sessions)
    return model, Context.of(recordings, [None, None], stack(recordings))


def test_table_holds_couplings_and_signs(fitted):
    model, context = fitted
    table = tabulate(model, context).set_index(["quantity", "component", "axis", "label"])["value"]
    to, source = context.columns[1], context.columns[3]
    assert table["weight", "1", f"input of {to}", source] == model.weights_[1, 1, 3]
    excitatory = table["P(excitatory)", "", f"input of {to}", source]
    assert excitatory == model.connection_probability_[1, 3, 2]
    assert table["intercept", "0", "output", to] == model.intercept_[0, 1]


def test_every_figure_is_drawn_with_labeled_axes(fitted, tmp_path):
    panels = draw(*fitted)
    names = [panel.name for panel in panels]
    assert names == ["states", "couplings", "filters", "dwell_times", "convergence"]
    for panel in panels:
        panel.figure.savefig(tmp_path / "figure.png")
        assert panel.figure.axes[0].get_ylabel()
        assert panel.figure.axes[-1].get_xlabel() or panel.figure.axes[-1].get_ylabel()


def test_raster_shows_every_spike(fitted):
    model, context = fitted
    (raster,) = (panel.figure for panel in draw(model, context) if panel.name == "states")
    counts = np.concatenate([recording.signal.values for recording in context.recordings])
    assert len(raster.axes[1].lines[0].get_xdata()) == (counts > 0).sum()


def test_stacked_recordings_are_drawn_one_after_the_other(fitted):
    model, context = fitted
    (raster,) = (panel.figure for panel in draw(model, context) if panel.name == "states")
    posterior, spikes = raster.axes
    last = 2 * 300 / 50.0
    assert last - 1.0 < max(spikes.lines[0].get_xdata()) <= last
    drawn = posterior.collections[0].get_paths()[0].get_extents()
    assert last - 1.0 < drawn.x1 <= last
    assert "2 recordings end to end" in spikes.get_xlabel()


def test_starts_under_another_prior_are_not_drawn_and_it_is_said(fitted):
    (panel,) = (panel for panel in draw(*fitted) if panel.name == "convergence")
    (line,) = panel.figure.axes[0].lines
    np.testing.assert_array_equal(line.get_ydata(), fitted[0].objective_trace_)
    assert "another prior" in panel.caption
