"""Tables of a model for other programs."""

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline

from neuroml.data import make_recording, stack
from neuroml.report import Context, draw
from neuroml.report.exports import describe_table, parameters, posteriors, with_errors
from neuroml.simulate import make_switching_choices
from neuroml.switching import SwitchingGLM


@pytest.mark.filterwarnings("ignore::neuroml.exceptions.NotConvergedWarning")
@pytest.mark.parametrize("pooling", ["complete", "none"])
def test_states_of_every_trial_and_weights_by_name(pooling):
    data = make_switching_choices(n_sessions=2, n_trials=150, n_states=2, random_state=0)
    recordings = [
        make_recording(
            data.X[data.sessions == s],
            modality="behaviour",
            rate_hz=2.0,
            units=["stimulus", "bias", "history"],
            key=(subject, "", ""),
        )
        for s, subject in enumerate(["anna", "ben"])
    ]
    arrays = stack(recordings)
    arrays.y = data.y
    context = Context.of(recordings, [None, None], arrays, ["choice"])
    model = SwitchingGLM(2, pooling=pooling, n_init=1, max_iter=100, random_state=0)
    model.fit(context.X, context.y, sessions=context.sessions, groups=context.groups)
    table = posteriors(model, context)
    assert list(table) == ["subject", "session", "time", "state_0", "state_1", "path"]
    assert table["subject"].tolist() == ["anna"] * 150 + ["ben"] * 150
    np.testing.assert_array_equal(table["time"][:150], np.arange(150) / 2)
    np.testing.assert_allclose(table[["state_0", "state_1"]].sum(axis=1), 1)
    learned = parameters(model, context)
    weight = learned.query("quantity == 'weights' and state == 1 and feature == 'history'")
    assert weight["value"].tolist() == [model.weights_[1, 0, 2]]
    assert weight["output"].tolist() == ["choice"]
    if pooling == "complete":
        se = model.standard_errors(context.X, context.y, sessions=context.sessions)
        assert weight["se"].tolist() == [se.weights[1, 0, 2]]
        known = with_errors(make_pipeline("passthrough", model), context).errors
        np.testing.assert_array_equal(known.weights, se.weights)
    assert not hasattr(model, "feature_names_in_"), "the model itself stays as it was"
    panels = draw(model, context)
    assert [panel.name for panel in panels][:3] == ["states", "weights", "dwell_times"]
    about = describe_table(table, model, context)
    assert about["Columns"]["time"]["Description"].endswith("time (s).") and about["Rows"] == 300
    assert all(column["Description"] for column in about["Columns"].values())
