"""Tables and figures of switching models."""

from dataclasses import replace

import numpy as np
import pytest

from neuroml.data import load_dataset, make_recording, stack
from neuroml.report import Context, draw, tabulate
from neuroml.switching import SwitchingGLM

INPUTS = ["s1", "s2"]


@pytest.fixture(scope="module")
def rat():
    recording = load_dataset("psytrack_rat").recordings[0].isel(time=slice(0, 2000))
    arrays = stack([recording], target="choice", inputs=INPUTS)
    model = SwitchingGLM(2, n_init=1, tol=1e-4, random_state=0)
    model.fit(arrays.X, arrays.y, sessions=arrays.sessions)
    return model, Context.of([recording], [None], arrays, ["choice"])


def test_table_holds_every_parameter(rat):
    table = tabulate(*rat).set_index(["quantity", "component", "label"])["value"]
    assert table["weight", "1", "s2"] == rat[0].weights_[1, 0, 1]
    assert table["intercept", "0", "choice"] == rat[0].intercept_[0, 0]
    assert table["transition", "0", "1"] == rat[0].transition_matrix_[0, 1]


def test_every_figure_is_drawn_with_labeled_axes(rat):
    panels = draw(*rat)
    names = [panel.name for panel in panels]
    assert names == ["states", "weights", "dwell_times", "psychometric", "convergence"]
    for panel in panels:
        assert all(axes.get_ylabel() for axes in panel.figure.axes)


def test_a_model_without_inputs_is_reported_by_unit():
    rng = np.random.default_rng(0)
    made = make_recording(
        rng.normal(size=(60, 2)) + 4.0 * (np.arange(60) // 15 % 2)[:, None],
        units=["left", "right"],
        rate_hz=1.0,
        modality="fmri",
    )
    arrays = stack([made], target="signal", inputs=[])
    model = SwitchingGLM(2, "gaussian", n_init=1, random_state=0)
    model.fit(None, arrays.y, sessions=arrays.sessions)
    context = Context.of([made], [None], arrays, ["left", "right"])
    table = tabulate(model, context).set_index(["quantity", "component", "label"])["value"]
    assert table["intercept", "1", "right"] == model.intercept_[1, 1]
    panels = {panel.name: panel.figure for panel in draw(model, context)}
    assert list(panels) == ["states", "intercepts", "dwell_times", "convergence"]
    labels = [tick.get_text() for tick in panels["intercepts"].axes[0].get_xticklabels()]
    assert labels == ["left", "right"]


@pytest.mark.parametrize("columns", [None, [1]])
def test_psychometric_lines_are_the_models_own_probabilities(columns):
    rng = np.random.default_rng(0)
    X, y = np.repeat([[-1.0, 2.0], [1.0, 0.5]], 20, axis=0), rng.integers(0, 2, 40)
    model = SwitchingGLM(1, emission_columns=columns, n_init=1, random_state=0).fit(X, y)
    made = make_recording(X, units=["a", "b"], rate_hz=1.0, modality="fmri")
    context = replace(Context.of([made], [None], stack([made])), y=y)
    (panel,) = (one for one in draw(model, context) if one.name == "psychometric")
    (line,) = (one for one in panel.figure.axes[0].lines if one.get_linestyle() == "-")
    np.testing.assert_allclose(line.get_ydata(), model.predict_mean(X[[0, -1]]))
    assert "what the model predicts" in panel.caption
