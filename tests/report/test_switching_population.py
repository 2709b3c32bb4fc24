"""Tables and figures of switching populations."""

import numpy as np
import pytest

from neuroml.data import make_recording
from neuroml.report import Context
from neuroml.report.present import draw, tabulate
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
    units = [str(unit) for unit in recordings[0]["unit"].values]
    return model, Context(recordings, [None, None], units, data.sessions)


def test_table_holds_couplings_and_signs(fitted):
    model, context = fitted
    table = tabulate(model, context).set_index(["quantity", "component", "axis", "label"])["value"]
    to, source = context.columns[1], context.columns[3]
    assert table["weight", "1", f"input of {to}", source] == model.weights_[1, 1, 3]
    excitatory = table["P(excitatory)", "", f"input of {to}", source]
    assert excitatory == model.connection_probability_[1, 3, 2]
    assert table["baseline", "0", "output", to] == model.baseline_[0, 1]


def test_every_figure_is_drawn_with_labelled_axes(fitted, tmp_path):
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
