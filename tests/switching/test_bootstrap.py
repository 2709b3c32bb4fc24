"""The bootstrap over sessions: its spread, its states, and resamples that are kept."""

import warnings

import numpy as np
import pandas as pd
import pytest

from neuroml.exceptions import DataError, NotConvergedWarning
from neuroml.simulate import make_switching_choices
from neuroml.switching import SwitchingGLM, _bootstrap
from neuroml.switching._bootstrap import resample

N_SESSIONS, N_TRIALS = 30, 100


@pytest.fixture(scope="module")
def data():
    return make_switching_choices(N_SESSIONS, N_TRIALS, 2, random_state=0)


@pytest.fixture(scope="module")
def model(data):
    return SwitchingGLM(2, n_init=2, random_state=0).fit(data.X, data.y, sessions=data.sessions)


def bootstrap(model, data, **settings):
    settings = {"n": 4, "random_state": 0, "sessions": data.sessions, **settings}
    return model.bootstrap(data.X, data.y, **settings)


def test_spread_agrees_with_the_clustered_errors(model, data):
    """Both estimate one covariance from the same 30 sessions.

    The logarithm of a deviation from n resamples has one of 1 / sqrt(2 n), .07; refits of few
    sessions, which are not linear in them, add as much again. Four of their sums: .4; and .2 for
    the mean of twelve that are not independent.
    """
    found = bootstrap(model, data, n=100)
    errors = model.standard_errors(data.X, data.y, sessions=data.sessions, cov="sandwich")
    ratios = []
    for name in ("weights", "intercept", "transition_matrix"):
        mine = found[found["parameter"] == name]
        deviations = mine.groupby(mine.groupby("resample").cumcount())["value"].std()
        ratios.append(np.log(deviations.to_numpy() / errors[name].ravel()))
        fitted = getattr(model, f"{name}_").ravel()
        means = mine.groupby(mine.groupby("resample").cumcount())["value"].mean().to_numpy()
        assert (np.abs(means - fitted) < deviations).all()  # states are those of the model
    ratios = np.concatenate(ratios)
    assert np.abs(ratios).max() < 0.4, ratios
    assert abs(ratios.mean()) < 0.2, ratios


def test_states_that_traded_places_are_matched(model, data, monkeypatch):
    straight = bootstrap(model, data)
    real = _bootstrap.fit_em
    swapped = []

    def trading(problem, start, *settings):
        fit = real(problem, start, *settings)
        swapped.append(1)
        return type(fit)(fit.state.of_states(np.array([1, 0])), fit.trace, fit.converged, "")

    monkeypatch.setattr(_bootstrap, "fit_em", trading)
    pd.testing.assert_frame_equal(bootstrap(model, data), straight)
    assert len(swapped) == 4


def test_a_resample_holds_whole_sessions(model, data):
    problem = model._arrange(data.X, data.y, data.sessions)
    drawn = resample(problem, np.array([3, 3, 0]))
    np.testing.assert_array_equal(drawn.starts, np.arange(4) * N_TRIALS)
    for part, session in enumerate((3, 3, 0)):
        rows = slice(part * N_TRIALS, (part + 1) * N_TRIALS)
        np.testing.assert_array_equal(
            drawn.design.targets[0, rows], data.y[data.sessions == session]
        )
        np.testing.assert_array_equal(
            drawn.design.inputs[:-1, rows].T, data.X[data.sessions == session]
        )


def test_rows_and_names():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(80, 2)), columns=["stimulus", "reward"])
    y = pd.DataFrame(rng.normal(size=(80, 2)), columns=["left", "right"])
    sessions = np.repeat(np.arange(4), 20)
    model = SwitchingGLM(
        1, "gaussian", emission_columns=["reward"], transition_columns=["stimulus"], n_init=1
    ).fit(X, y, sessions=sessions)
    found = model.bootstrap(X, y, sessions=sessions, n=3, random_state=0)
    assert list(found.columns) == [
        "resample", "parameter", "state", "to_state", "output", "to_output", "feature", "value",
    ]  # fmt: skip
    sizes = found.groupby("parameter").size() // 3
    assert sizes.to_dict() == {
        "covariances": 4, "initial_proba": 1, "intercept": 2, "transition_matrix": 1,
        "transition_weights": 1, "weights": 2,
    }  # fmt: skip
    features = found.dropna(subset="feature").groupby("parameter")["feature"].unique()
    assert {name: list(value) for name, value in features.items()} == {
        "transition_weights": ["stimulus"], "weights": ["reward"],
    }  # fmt: skip
    one = found[(found["resample"] == 2) & (found["parameter"] == "covariances")]
    np.testing.assert_allclose(one["value"].iloc[1], one["value"].iloc[2])
    assert one[["output", "to_output"]].to_numpy().tolist()[1] == ["left", "right"]


def test_it_goes_on_from_the_folder(model, data, tmp_path, monkeypatch):
    whole = bootstrap(model, data)
    folder = tmp_path / "kept"
    pd.testing.assert_frame_equal(
        bootstrap(model, data, n=3, resume=folder), whole[: -len(whole) // 4]
    )
    done = []
    real = _bootstrap.fit_em
    monkeypatch.setattr(_bootstrap, "fit_em", lambda *a: (done.append(1), real(*a))[1])
    pd.testing.assert_frame_equal(bootstrap(model, data, resume=folder), whole)
    assert len(done) == 1


def test_an_interruption_keeps_what_is_done(model, data, tmp_path, monkeypatch):
    whole, real = bootstrap(model, data), _bootstrap.fit_em
    done = []

    def stopped(*arguments):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(1)
        return real(*arguments)

    monkeypatch.setattr(_bootstrap, "fit_em", stopped)
    with pytest.raises(KeyboardInterrupt):
        bootstrap(model, data, resume=tmp_path)
    monkeypatch.setattr(_bootstrap, "fit_em", lambda *a: (done.append(1), real(*a))[1])
    pd.testing.assert_frame_equal(bootstrap(model, data, resume=tmp_path), whole)
    assert len(done) == 4


def test_what_cannot_go_on_is_refused(model, data, tmp_path):
    bootstrap(model, data, n=1, resume=tmp_path / "kept")
    with pytest.raises(DataError, match="another bootstrap.*Give another folder"):
        bootstrap(model, data, n=1, random_state=1, resume=tmp_path / "kept")
    with pytest.raises(DataError, match="random_state.*expected an int"):
        bootstrap(model, data, n=1, random_state=None, resume=tmp_path / "kept")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="holds something else"):
        bootstrap(model, data, n=1, resume=tmp_path)
    with pytest.raises(DataError, match="no folder"):
        bootstrap(model, data, n=1, resume=tmp_path / "notes.txt")
    with pytest.raises(DataError, match="nothing to draw from.*1 session"):
        model.bootstrap(data.X, data.y)
    with pytest.raises(DataError, match="no resamples"):
        bootstrap(model, data, n=0)


def test_refits_that_do_not_converge_are_counted(model, data):
    short = SwitchingGLM(2, n_init=1, max_iter=1, random_state=0)
    with pytest.warns(NotConvergedWarning):
        short.fit(data.X, data.y, sessions=data.sessions)
    with pytest.warns(NotConvergedWarning, match="4 of 4 resamples"):
        bootstrap(short, data)


def test_progress_is_shown_on_request(model, data, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bootstrap(model, data, n=2)
        assert not capsys.readouterr().out
        bootstrap(model, data, n=2, verbose=1)
    assert "resamples" in capsys.readouterr().out
