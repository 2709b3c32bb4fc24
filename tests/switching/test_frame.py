"""The table of a switching model, with the errors that it knows."""

import numpy as np
import pandas as pd
import pytest

from neuroml.simulate import make_switching_choices
from neuroml.switching import SwitchingGLM


@pytest.fixture(scope="module")
def data():
    found = make_switching_choices(n_sessions=4, n_trials=60, n_states=2, random_state=0)
    return pd.DataFrame(found.X, columns=["stimulus", "bias", "history"]), found.y, found.sessions


@pytest.mark.filterwarnings("ignore::neuroml.exceptions.NotConvergedWarning")
def test_weights_stand_beside_their_names_and_errors(data):
    X, y, sessions = data
    model = SwitchingGLM(2, n_init=1, max_iter=30, ridge=1, random_state=0)
    model.fit(X, y, sessions=sessions)
    errors = model.standard_errors(X, y, sessions=sessions, cov="observed")
    plain, table = model.to_frame(), model.to_frame(errors)
    assert "se" not in plain
    pd.testing.assert_frame_equal(table.drop(columns="se"), plain)
    one = table.query("quantity == 'weights' and state == 1 and feature == 'history'").iloc[0]
    assert one["value"] == model.weights_[1, 0, 2] and one["se"] == errors.weights[1, 0, 2]
    onward = table.query("quantity == 'transition_matrix' and state == 0 and to_state == 1").iloc[0]
    assert onward["value"] == model.transition_matrix_[0, 1]
    assert table.query("quantity == 'occupancy'")["se"].isna().all()


@pytest.mark.filterwarnings("ignore::neuroml.exceptions.NotConvergedWarning")
def test_subjects_have_rows_of_their_own(data):
    X, y, sessions = data
    groups = np.where(sessions < 2, "anna", "ben")
    model = SwitchingGLM(1, pooling="partial", n_init=1, max_iter=5, random_state=0)
    table = model.fit(X, y, sessions=sessions, groups=groups).to_frame()
    own = table.query("quantity == 'subject_weights' and subject == 'ben' and feature == 'bias'")
    assert own["value"].tolist() == [model.subject_weights_[1, 0, 0, 1]]
    assert own["se"].tolist() == [model.subject_weights_std_[1, 0, 0, 1]]
