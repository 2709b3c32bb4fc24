"""Weights of bins multiply the log-probabilities of their observations."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, PoissonRegressor

from neuroml.exceptions import DataError
from neuroml.switching import SwitchingGLM
from neuroml.switching._em import assess

N = 90
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 2))
SESSIONS = np.repeat([0, 1, 2], N // 3)
GROUPS = np.repeat(["a", "b", "b"], N // 3)
WEIGHTS = RNG.uniform(0.0, 3.0, N)
Y = {
    "bernoulli": RNG.integers(0, 2, N),
    "categorical": RNG.integers(0, 3, N),
    "gaussian": RNG.normal(size=N),
    "poisson": RNG.poisson(2.0, N),
    "negative_binomial": RNG.negative_binomial(2, 0.4, N),
}
CASES = [
    (family, pooling)
    for family in Y
    for pooling in ("complete", "none", "partial")
    if (family, pooling) != ("negative_binomial", "partial")
]
pytestmark = pytest.mark.filterwarnings("ignore::neuroml.exceptions.NotConvergedWarning")


def model(family, n_states=2, **settings):
    settings = {"n_init": 1, "max_iter": 5, "random_state": 0, **settings}
    return SwitchingGLM(n_states, family, **settings)


@pytest.mark.parametrize(("family", "pooling"), CASES)
def test_no_weight_is_a_missing_observation(family, pooling):
    y = Y[family].astype(float)
    weights = np.ones(N)
    weights[::4] = 0.0
    data = {"sessions": SESSIONS, "groups": GROUPS}
    weighted = model(family, pooling=pooling, max_iter=3).fit(X, y, **data, sample_weight=weights)
    missing = np.where(weights > 0, y, np.nan)
    like = model(family, pooling=pooling, max_iter=3).fit(X, missing, **data)
    np.testing.assert_allclose(weighted.weights_, like.weights_, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(weighted.objective_trace_, like.objective_trace_, rtol=1e-9)


@pytest.mark.parametrize("family", ["bernoulli", "poisson"])
def test_one_state_is_the_weighted_regression(family):
    y = Y[family]
    fitted = model(family, 1, ridge=0.5, rate_prior=0.0, max_iter=50).fit(
        X, y, sample_weight=WEIGHTS
    )
    if family == "bernoulli":
        like = LogisticRegression(C=2.0, tol=1e-10, max_iter=1000)
    else:  # whose loss is a mean over weights
        like = PoissonRegressor(alpha=0.5 / WEIGHTS.sum(), tol=1e-10, max_iter=1000)
    like.fit(X, y, sample_weight=WEIGHTS)
    np.testing.assert_allclose(fitted.weights_.ravel(), np.ravel(like.coef_), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(fitted.intercept_.item(), np.ravel(like.intercept_)[0], rtol=1e-4)


@pytest.mark.parametrize("family", Y)
def test_a_weight_of_two_counts_the_likelihood_twice(family):
    """With one state and no prior, bins that come twice are bins of weight two."""
    flat = {"ridge": 0.0, "rate_prior": 0.0, "covariance_prior": 0.0, "max_iter": 100}
    repeats = RNG.integers(1, 3, N)
    y = Y[family]
    weighted = model(family, 1, **flat).fit(X, y, sample_weight=repeats)
    twice = model(family, 1, **flat).fit(np.repeat(X, repeats, axis=0), np.repeat(y, repeats))
    np.testing.assert_allclose(weighted.weights_, twice.weights_, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("family", "pooling"), CASES)
def test_the_weighted_objective_never_falls(family, pooling):
    fitted = model(family, pooling=pooling if pooling != "partial" else "complete", max_iter=30)
    fitted.fit(X, Y[family], sessions=SESSIONS, groups=GROUPS, sample_weight=WEIGHTS)
    trace = fitted.objective_trace_
    assert (np.diff(trace) >= -1e-9 * np.abs(trace[:-1])).all()


def test_the_objective_is_per_unit_of_weight():
    """Without priors it does not change where all weights are a thousand times smaller."""
    settings = {"ridge": 0.0, "max_iter": 3}
    traces = [
        model("bernoulli", 1, **settings)
        .fit(X, Y["bernoulli"], sample_weight=WEIGHTS * scale)
        .objective_trace_
        for scale in (1.0, 1e-3)
    ]
    np.testing.assert_allclose(traces[0][-1], traces[1][-1], rtol=1e-6)


def test_standard_errors_and_the_bootstrap_take_the_weights():
    """Errors of one state shrink by the root of two where all weights are two."""
    fitted = model("bernoulli", 1, ridge=0.0, max_iter=50).fit(X, Y["bernoulli"])
    errors = [
        fitted.standard_errors(X, Y["bernoulli"], cov="observed", sample_weight=w).weights
        for w in (None, np.full(N, 2.0))
    ]
    np.testing.assert_allclose(errors[0], np.sqrt(2.0) * errors[1], rtol=1e-5)
    weights = np.where(SESSIONS == 0, 0.0, 1.0)
    data = {"sessions": SESSIONS, "n": 2, "random_state": 0}
    missing = np.where(weights > 0, Y["bernoulli"].astype(float), np.nan)
    found = fitted.bootstrap(X, Y["bernoulli"], sample_weight=weights, **data)["value"]
    like = fitted.bootstrap(X, missing, **data)["value"]
    np.testing.assert_allclose(found, like, rtol=1e-9)


def test_weights_and_states_come_in_the_parts_of_the_data():
    y, states = Y["poisson"], np.where(np.arange(N) % 3 == 0, RNG.integers(0, 2, N), -1)
    like = model("poisson").fit(X, y, sessions=SESSIONS, sample_weight=WEIGHTS, states=states)
    for cut in (
        lambda values: np.split(values, 3),
        lambda values: dict(zip("abc", np.split(values, 3), strict=True)),
    ):
        for inputs in (X, None):
            given = {"sample_weight": cut(WEIGHTS), "states": cut(states)}
            if isinstance(given["states"], dict):  # by name, in any order
                given["states"] = dict(reversed(given["states"].items()))
            if inputs is None:
                one = model("poisson").fit(None, cut(y), **given)
                whole = {"sessions": SESSIONS, "sample_weight": WEIGHTS, "states": states}
                other = model("poisson").fit(None, y, **whole)
            else:
                one, other = model("poisson").fit(cut(X), cut(y), **given), like
            np.testing.assert_array_equal(one.intercept_, other.intercept_)


@pytest.mark.parametrize("field", ["states", "sample_weight"])
def test_parts_that_do_not_match_are_refused(field):
    y = Y["poisson"]
    values = np.ones(N, dtype=int)
    with pytest.raises(DataError, match=f"data and {field} do not come in the same parts"):
        model("poisson").fit(X, y, sessions=SESSIONS, **{field: np.split(values, 3)})
    with pytest.raises(DataError, match=f"X and {field} do not come in the same parts"):
        model("poisson").fit(np.split(X, 3), np.split(y, 3), **{field: np.split(values, 2)})
    with pytest.raises(DataError, match=rf"field {field}\[0\]: X and {field} differ"):
        parts = [values[:29], values[29:60], values[60:]]
        model("poisson").fit(np.split(X, 3), np.split(y, 3), **{field: parts})


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (-np.ones(N), "90 others; the first is -1.0"),
        (np.full(N, np.nan), "some weights are no weights"),
        (np.zeros(N), "no sample has any weight"),
        (np.ones(N - 1), "weights do not match"),
    ],
)
def test_bad_weights(weights, message):
    with pytest.raises(DataError, match=message):
        model("poisson").fit(X, Y["poisson"], sample_weight=weights)


def test_the_e_step_weighs_too():
    """A bin of weight two moves the posterior of one state sequence as two observations do."""
    fitted = model("bernoulli").fit(X, Y["bernoulli"])
    problem, _ = fitted._problem(
        X[:1], Y["bernoulli"][:1], None, None, reset=False, sample_weight=[2.0]
    )
    state, _ = assess(problem, fitted._model())
    expected = np.log(fitted.initial_proba_) + 2.0 * state.log_prob[:, 0]
    expected = np.exp(expected - np.logaddexp.reduce(expected))
    np.testing.assert_allclose(state.smoothed.posterior[0], expected, rtol=1e-10)
