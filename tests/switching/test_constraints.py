"""Where fits start and what they hold: given models, transitions, parameters and states."""

import numpy as np
import pytest

from neuroml.exceptions import DataError
from neuroml.switching import SwitchingGLM

pytestmark = pytest.mark.filterwarnings("ignore::neuroml.exceptions.NotConvergedWarning")
RNG = np.random.default_rng(0)
SESSIONS = np.repeat(np.arange(6), 40)
STATES = np.tile(np.repeat([0, 1, 2], [10, 10, 20]), 6)
X = RNG.normal(size=(240, 1))
Y = {
    "gaussian": np.array([3.0, 0.0, -3.0])[STATES] + X[:, 0] + RNG.normal(size=240),
    "poisson": RNG.poisson(np.array([9.0, 3.0, 0.5])[STATES]).astype(float),
    "negative_binomial": RNG.poisson(np.array([9.0, 3.0, 0.5])[STATES]).astype(float),
    "bernoulli": (RNG.random(240) < np.array([0.95, 0.5, 0.05])[STATES]).astype(float),
    "categorical": np.where(RNG.random(240) < 0.8, STATES, RNG.integers(0, 3, 240)).astype(float),
}
LEFT_RIGHT = np.triu(np.ones((3, 3), dtype=bool))


def model(family="gaussian", **settings):
    settings = {"n_init": 2, "max_iter": 30, "random_state": 0} | settings
    return SwitchingGLM(3, family, **settings)


@pytest.fixture(scope="module", params=list(Y))
def fitted(request):
    return model(request.param, n_init=1, max_iter=5).fit(X, Y[request.param], sessions=SESSIONS)


@pytest.mark.parametrize("columns", [None, [0]])
def test_forbidden_transitions_never_occur(columns):
    one = model(transition_mask=LEFT_RIGHT, transition_columns=columns, concentration=2.0)
    one.fit(X, Y["gaussian"], sessions=SESSIONS)
    assert (one.transition_matrix_[~LEFT_RIGHT] == 0.0).all()
    np.testing.assert_allclose(one.transition_matrix_.sum(axis=1), 1.0)
    steps = np.diff(one.predict(X, Y["gaussian"], sessions=SESSIONS))[SESSIONS[1:] == SESSIONS[:-1]]
    assert (steps >= 0).all()


def test_a_left_right_chain_finds_states_in_their_order():
    one = model(transition_mask=LEFT_RIGHT, n_init=5)
    one.fit(X, Y["gaussian"], sessions=SESSIONS)
    assert (one.predict(X, Y["gaussian"], sessions=SESSIONS) == STATES).mean() > 0.9


def test_a_fit_goes_on_from_a_given_model(fitted):
    y = Y[fitted.family]
    again = model(fitted.family).fit(X, y, sessions=SESSIONS, init=fitted)
    assert len(again.restart_objectives_) == 1
    assert again.objective_trace_[0] == pytest.approx(fitted.objective_trace_[-1], rel=1e-9)
    assert again.objective_trace_[-1] >= again.objective_trace_[0]


NAMES = ("weights", "intercept", "covariances", "dispersions", "transition_matrix", "initial_proba")


@pytest.mark.parametrize("name", NAMES)
def test_fixed_parameters_stay_and_the_others_do_not(fitted, name):
    if not hasattr(fitted, f"{name}_"):
        with pytest.raises(DataError, match="no such parameter to hold"):
            model(fitted.family).fit(X, Y[fitted.family], init=fitted, fixed=[name])
        return
    again = model(fitted.family, max_iter=4).fit(
        X, Y[fitted.family], sessions=SESSIONS, init=fitted, fixed=[name]
    )
    for other in (one for one in NAMES if hasattr(fitted, f"{one}_")):
        same = np.array_equal(getattr(again, f"{other}_"), getattr(fitted, f"{other}_"))
        assert same == (other == name), other


@pytest.mark.parametrize("family", list(Y))
def test_known_states_number_and_decide_the_states(family):
    some = np.where(np.arange(240) % 4 == 0, STATES, -1)
    one = model(family, n_init=1).fit(X, Y[family], sessions=SESSIONS, states=some)
    agree = (one.predict(X, Y[family], sessions=SESSIONS) == STATES).mean()
    assert agree > 0.8
    everything = model(family, n_init=1).fit(X, Y[family], sessions=SESSIONS, states=STATES)
    np.testing.assert_allclose(everything.occupancy_, [0.25, 0.25, 0.5])
    assert everything.transition_matrix_[0, 1] == pytest.approx(0.1)  # one move in ten bins


REFUSED = {
    "mask of numbers": ({"transition_mask": np.ones((3, 3))}, {}, "which transitions are allowed"),
    "mask of two": ({"transition_mask": np.ones((2, 2), bool)}, {}, "which transitions"),
    "nowhere": ({"transition_mask": np.tri(3, k=-1).astype(bool)}, {}, "lead nowhere.*rows .0."),
    "fixed alone": ({}, {"fixed": ["weights"]}, "values of fixed parameters are not known"),
    "states of floats": ({}, {"states": np.zeros(240)}, "not one whole number for each bin"),
    "too few states": ({}, {"states": [0, 1]}, "not one whole number for each bin"),
    "no such state": ({}, {"states": np.full(240, 3)}, "no such states.*3 at bin 0"),
    "forbidden": (
        {"transition_mask": LEFT_RIGHT}, {"states": STATES[::-1]}, "transition_mask forbids",
    ),
    "ragged mask": ({"transition_mask": [[True], [True, False]]}, {}, "which transitions"),
    "masked mask": (
        {"transition_mask": np.ma.masked_array(LEFT_RIGHT, ~LEFT_RIGHT)}, {}, "which transitions",
    ),
    "masked states": ({}, {"states": np.ma.masked_equal(STATES, 1)}, "not one whole number"),
    "no path through unknown states": (
        {"transition_mask": LEFT_RIGHT},
        {"states": np.r_[2, np.full(38, -1), 0, np.full(200, -1)]},
        "forbids.*2 at bin 0, 0 at bin 39",
    ),
    "too short a path": (
        {"transition_mask": np.eye(3, dtype=bool) | np.eye(3, k=1, dtype=bool)},
        {"states": np.r_[np.full(40, -1), 0, 2, np.full(198, -1)]},
        "forbids.*0 at bin 40, 2 at bin 41",
    ),
    "no model": ({}, {"init": 3}, "init is no model"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_constraints_that_are_none_are_refused(name):
    settings, given, message = REFUSED[name]
    with pytest.raises(DataError, match=message):
        model(**settings).fit(X, Y["gaussian"], sessions=SESSIONS, **given)


def test_another_kind_of_model_is_no_start():
    two = SwitchingGLM.from_parameters(np.zeros((2, 1, 1)), np.zeros((2, 1)), np.eye(2))
    with pytest.raises(DataError, match="init is another kind of model"):
        model("bernoulli").fit(X, Y["bernoulli"], init=two)


def test_expected_observations_are_means_over_states(fitted):
    y = Y[fitted.family]
    found = fitted.predict_mean(X, y, sessions=SESSIONS)
    if fitted.family == "categorical":
        np.testing.assert_allclose(found.sum(axis=1), 1.0)
        seen = np.take_along_axis(found, y.astype(int)[:, None], axis=1)
        score = np.log(seen).mean()
    elif fitted.family == "bernoulli":
        score = np.log(np.where(y == 1, found, 1 - found)).mean()
    else:
        # with errors of their own size, expectations beat the mean of all
        assert np.mean((y - found) ** 2) < np.var(y)
        return
    assert score == pytest.approx(fitted.score(X, y, sessions=SESSIONS))


def test_information_criteria_count_what_was_learned():
    y = Y["gaussian"]
    one = model(n_init=1, max_iter=5).fit(X, y, sessions=SESSIONS)
    assert one.n_parameters_ == 3 * 3 + 3 * 2 + 2  # weight, intercept, variance; chain; start
    deviance = -2 * 240 * one.score(X, y, sessions=SESSIONS)
    assert one.aic(X, y, sessions=SESSIONS) == pytest.approx(deviance + 2 * 17)
    assert one.bic(X, y, sessions=SESSIONS) == pytest.approx(deviance + np.log(240) * 17)
    settings = {"sessions": SESSIONS, "init": one, "fixed": ["covariances", "initial_proba"]}
    assert model(max_iter=1).fit(X, y, **settings).n_parameters_ == 17 - 3 - 2
    chain = model(transition_mask=LEFT_RIGHT, max_iter=1).fit(X, y, sessions=SESSIONS)
    assert chain.n_parameters_ == 17 - 3
    groups = np.where(SESSIONS < 3, "a", "b")
    own = model(pooling="none", max_iter=1).fit(X, y, sessions=SESSIONS, groups=groups)
    assert own.n_parameters_ == 17 + 9
    partial = model(pooling="partial", max_iter=1).fit(X, y, sessions=SESSIONS, groups=groups)
    with pytest.raises(DataError, match="number of parameters is not known"):
        partial.aic(X, y, sessions=SESSIONS, groups=groups)


@pytest.mark.parametrize("fixed", [["transition_matrix"], ["transition_weights"]])
@pytest.mark.parametrize("scale", [1.0, 100.0])
@pytest.mark.filterwarnings("ignore::neuroml.exceptions.NotConvergedWarning")
def test_the_objective_never_falls_where_a_part_of_the_transitions_is_held(fixed, scale):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(120, 1)), rng.poisson(2.0, 120)
    settings = {"transition_columns": [0], "transition_ridge": 0.01, "n_init": 1, "max_iter": 20}
    init = SwitchingGLM(2, "poisson", random_state=0, **settings | {"max_iter": 2}).fit(X, y)
    model = SwitchingGLM(2, "poisson", random_state=1, **settings)
    model.fit(scale * X, y, init=init, fixed=fixed)
    trace = model.objective_trace_
    assert (np.diff(trace) >= -1e-10 * np.abs(trace[:-1])).all()
    for name in fixed:
        np.testing.assert_array_equal(getattr(model, f"{name}_"), getattr(init, f"{name}_"))
