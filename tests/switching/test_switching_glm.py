"""SwitchingGLM against brute force, scikit-learn, numeric derivatives, and simulated truth."""

import itertools
import warnings

import numpy as np
import pytest
import sklearn
from scipy import stats
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor
from sklearn.model_selection import cross_val_score

from neuroml.data import SessionKFold
from neuroml.exceptions import DataError, NotConvergedWarning
from neuroml.simulate import make_switching_choices
from neuroml.switching import SwitchingGLM
from neuroml.switching._em import penalized_log_likelihood, smooth_model
from neuroml.switching._standard_errors import free_vector, from_free_vector, gradient
from neuroml.switching.switching_glm import FAMILIES


def draw_y(rng, family, n, n_outputs=1):
    shape = (n, n_outputs)
    return {
        "bernoulli": lambda: rng.integers(2, size=shape),
        "categorical": lambda: rng.integers(3, size=(n, 1)),
        "gaussian": lambda: rng.normal(size=shape) + rng.integers(3, size=(n, 1)),
        "poisson": lambda: rng.poisson(2, size=shape),
        "negative_binomial": lambda: rng.negative_binomial(1, 0.3, size=shape),
    }[family]().astype(float)


def random_fit(rng, family, n=60, **settings):
    """A short fit to data without structure, with missing bins and ragged sessions."""
    n_outputs = 1 if family == "categorical" else int(rng.integers(1, 3))
    X, y = rng.normal(size=(n, 2)), draw_y(rng, family, n, n_outputs)
    y[rng.random(n) < 0.1] = np.nan
    sessions = np.sort(rng.integers(4, size=n))
    settings = {"n_states": 3, "n_init": 1, "max_iter": 15, "tol": 0.0, **settings}
    model = SwitchingGLM(family=family, random_state=rng, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotConvergedWarning)
        model.fit(X, y, sessions=sessions)
    return model, X, y, sessions


def log_density(model, k, x, y):
    """Of one bin in one state, by SciPy's distributions."""
    if np.isnan(y).all():
        return 0.0
    eta = model.weights_[k] @ x + model.intercept_[k]
    if model.family == "bernoulli":
        return stats.bernoulli.logpmf(y, 1 / (1 + np.exp(-eta))).sum()
    if model.family == "categorical":
        odds = np.exp(np.r_[0.0, eta])
        return np.log(odds[int(y[0])] / odds.sum())
    if model.family == "gaussian":
        return stats.multivariate_normal.logpdf(y, eta, model.covariances_[k])
    if model.family == "poisson":
        return stats.poisson.logpmf(y, np.exp(eta)).sum()
    r = 1 / model.dispersions_[k]
    return stats.nbinom.logpmf(y, r, r / (r + np.exp(eta))).sum()


def onward(model, x):
    """Transition matrix into a bin with inputs x."""
    columns = [] if model.transition_columns is None else list(model.transition_columns)
    logits = np.log(model.transition_matrix_)
    for value, weights in zip(x[columns], model.transition_weights_, strict=True):
        logits = logits + value * weights
    odds = np.exp(logits)
    return odds / odds.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("columns", [None, [1]])
@pytest.mark.parametrize("family", FAMILIES)
def test_score_posterior_and_path_equal_enumeration(family, columns):
    rng = np.random.default_rng(FAMILIES.index(family))
    model, X, y, _ = random_fit(rng, family, transition_columns=columns, n_states=2)
    X, y = X[:6], y[:6].copy()
    y[2] = np.nan
    sessions = np.array([0, 0, 0, 0, 1, 1])
    total, path, posterior = 0.0, [], np.zeros((6, 2))
    for bins in (range(4), range(4, 6)):
        joint = {}
        for states in itertools.product(range(2), repeat=len(bins)):
            value = np.log(model.initial_proba_[states[0]])
            for i, (t, k) in enumerate(zip(bins, states, strict=True)):
                value += log_density(model, k, X[t], y[t])
                value += np.log(onward(model, X[t])[states[i - 1], k]) if i else 0.0
            joint[states] = value
        evidence = np.logaddexp.reduce(list(joint.values()))
        total += evidence
        path += max(joint, key=joint.get)
        for states, value in joint.items():
            posterior[list(bins), list(states)] += np.exp(value - evidence)
    observed = (~np.isnan(y).all(axis=1)).sum()
    assert model.score(X, y, sessions=sessions) * observed == pytest.approx(total, rel=1e-10)
    assert model.predict(X, y, sessions=sessions).tolist() == path
    np.testing.assert_allclose(
        model.predict_proba(X, y, sessions=sessions), posterior, rtol=0, atol=1e-10
    )
    filtered = model.filter_proba(X, y, sessions=sessions)
    np.testing.assert_allclose(filtered[[3, 5]], posterior[[3, 5]], rtol=0, atol=1e-10)


@pytest.mark.parametrize("covariance_type", ["full", "diagonal", "spherical", "tied"])
def test_gaussian_gradients(covariance_type):
    check_gradient(np.random.default_rng(0), "gaussian", covariance_type=covariance_type)


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_equal_central_differences(family):
    for seed in range(3):
        check_gradient(np.random.default_rng(seed), family)


def check_gradient(rng, family, **settings):
    settings = {
        "concentration": 1.5,
        "stickiness": 2.0,
        "ridge": 0.5,
        "rate_prior": 0.3,
        **settings,
    }
    model, X, y, sessions = random_fit(rng, family, transition_columns=[0], max_iter=3, **settings)
    problem, parameters = model._arrange(X, y, sessions), model._model()
    emissions = model._family()
    at = free_vector(emissions, parameters)

    def objective(vector):
        moved = from_free_vector(emissions, vector, parameters)
        return penalized_log_likelihood(problem, moved, smooth_model(problem, moved).log_likelihood)

    numeric = np.array(
        [(objective(at + 1e-5 * e) - objective(at - 1e-5 * e)) / 2e-5 for e in np.eye(len(at))]
    )
    analytic = gradient(emissions, problem, parameters)
    np.testing.assert_allclose(analytic, numeric, atol=1e-6 * max(1.0, np.abs(analytic).max()))


@pytest.mark.parametrize("family", FAMILIES)
def test_em_never_lowers_the_objective(family):
    """A MonotonicityWarning is an error here."""
    rng = np.random.default_rng(7)
    for i in range(30):
        settings = {
            "transition_columns": [None, [0, 1]][i % 2],
            "stickiness": float(i % 3),
            "ridge": [0.0, 1.0][i % 2],
            "rate_prior": [0.0, 0.01, 1.0][i % 3],
            "covariance_type": ["full", "diagonal", "spherical", "tied"][i % 4],
        }
        model, *_ = random_fit(rng, family, **settings)
        assert np.diff(model.objective_trace_).min() >= -1e-9


class TestOneState:
    rng = np.random.default_rng(3)
    X = rng.normal(size=(400, 3))
    drive = X @ [0.5, -0.3, 0.0] + 0.2

    def fit(self, family, y, **settings):
        return SwitchingGLM(1, family, tol=1e-13, **settings).fit(self.X, y)

    def test_logistic_regression(self):
        y = (self.rng.random(400) < 1 / (1 + np.exp(-self.drive))).astype(float)
        model = self.fit("bernoulli", y, ridge=1.0)
        theirs = LogisticRegression(C=1.0, tol=1e-10).fit(self.X, y)
        np.testing.assert_allclose(model.weights_[0], theirs.coef_, atol=1e-6)
        np.testing.assert_allclose(model.intercept_[0], theirs.intercept_, atol=1e-6)

    def test_multinomial_regression_predicts_the_same(self):
        y = self.rng.integers(3, size=400).astype(float)
        model = self.fit("categorical", y, ridge=0.0)
        theirs = LogisticRegression(C=np.inf, tol=1e-10).fit(self.X, y)
        differences = theirs.coef_[1:] - theirs.coef_[0]
        np.testing.assert_allclose(model.weights_[0], differences, atol=1e-5)

    def test_poisson_regression(self):
        y = self.rng.poisson(np.exp(self.drive)).astype(float)
        model = self.fit("poisson", y, ridge=400 * 0.1, rate_prior=0.0)
        theirs = PoissonRegressor(alpha=0.1, tol=1e-12, solver="newton-cholesky").fit(self.X, y)
        np.testing.assert_allclose(model.weights_[0, 0], theirs.coef_, atol=1e-6)
        np.testing.assert_allclose(model.intercept_[0], theirs.intercept_, atol=1e-6)

    def test_linear_regression(self):
        y = self.drive + self.rng.normal(size=400)
        model = self.fit("gaussian", y, ridge=0.0, covariance_prior=0.0)
        theirs = LinearRegression().fit(self.X, y)
        residual = y - theirs.predict(self.X)
        np.testing.assert_allclose(model.weights_[0, 0], theirs.coef_, atol=1e-8)
        np.testing.assert_allclose(model.covariances_[0, 0, 0], (residual**2).mean(), rtol=1e-8)

    def test_negative_binomial_is_the_maximum_over_r(self):
        mean = np.exp(self.drive)
        y = self.rng.negative_binomial(2.0, 2.0 / (2.0 + mean)).astype(float)
        model = self.fit("negative_binomial", y, ridge=0.0, rate_prior=0.0)
        r = 1 / model.dispersions_[0, 0]
        fitted = np.exp(self.X @ model.weights_[0, 0] + model.intercept_[0])

        def total(r):
            return stats.nbinom.logpmf(y, r, r / (r + fitted)).sum()

        assert total(r) >= max(total(r * 1.01), total(r / 1.01))
        assert model.score(self.X, y) * 400 == pytest.approx(total(r), rel=1e-10)


def test_priors_are_pseudo_counts():
    """With states that are told apart without doubt, transitions are counts plus pseudo-counts."""
    rng = np.random.default_rng(0)
    states = np.repeat(rng.integers(2, size=40), 5)
    y = 100.0 * states + rng.normal(size=200)
    model = SwitchingGLM(2, "gaussian", concentration=3.0, stickiness=4.0, random_state=0)
    path = model.fit(None, y).predict(None, y)
    counts = np.zeros((2, 2))
    np.add.at(counts, (path[:-1], path[1:]), 1.0)
    counts += 2.0 + 4.0 * np.eye(2)
    np.testing.assert_allclose(
        model.transition_matrix_, counts / counts.sum(axis=1, keepdims=True), atol=1e-9
    )
    first = np.full(2, 2.0) + np.eye(2)[path[0]]
    np.testing.assert_allclose(model.initial_proba_, first / first.sum(), atol=1e-9)


class TestRatePrior:
    """A gamma prior worth ``rate_prior * n_bins / n_states`` bins at a unit's mean rate."""

    rng = np.random.default_rng(0)
    states = np.repeat([0, 1, 0, 1], 50)
    y = rng.poisson(np.array([[0.0, 3.0], [40.0, 0.0]])[states]).astype(float)

    @pytest.mark.parametrize("prior", [0.01, 0.5])
    def test_rates_are_those_of_pseudo_counts(self, prior):
        """The states are told apart without doubt, so that the M-step has a closed form."""
        y = self.y.copy()
        y[:10, 1] = np.nan
        model = SwitchingGLM(2, "poisson", rate_prior=prior, tol=1e-13, n_init=4, random_state=0)
        model.fit(None, y)
        resp = model.predict_proba(None, y)
        seen = ~np.isnan(y)
        bins = prior * seen.sum(axis=0) / 2
        mean = (np.nansum(y, axis=0) + 0.5) / seen.sum(axis=0)
        expected = (resp.T @ np.nan_to_num(y) + bins * mean) / (resp.T @ seen + bins)
        np.testing.assert_allclose(np.exp(model.intercept_), expected, rtol=1e-5)

    # A negative binomial of any mean has P(1) near r = 1 / dispersion, which is 1e-3 at least, where
    # the prior alone keeps the mean from zero.
    @pytest.mark.parametrize(("family", "margin"), [("poisson", 0.0), ("negative_binomial", 8.0)])
    def test_a_spike_of_a_silent_unit_stays_possible(self, family, margin):
        """It costs the logarithm of the prior's rate, and no more than two nats beside it."""
        surprise = self.y.copy()
        surprise[0, 0] = 1.0
        costs = []
        for prior in (0.0, 0.01):
            model = SwitchingGLM(2, family, rate_prior=prior, n_init=4, random_state=0)
            model.fit(None, self.y)
            costs.append((model.score(None, self.y) - model.score(None, surprise)) * len(self.y))
        rate = 0.005 * (self.y[:, 0].sum() + 0.5) / (100 + 0.005 * 200)
        assert costs[1] < 2 - np.log(rate) + margin
        assert costs[1] < costs[0]

    @pytest.mark.parametrize("family", ["poisson", "negative_binomial"])
    def test_a_constant_added_to_inputs_changes_nothing(self, family):
        X = self.rng.normal(size=(200, 2))
        y = self.rng.poisson(np.exp(X @ [0.5, -0.5] + self.states)).astype(float)
        fits = [
            SwitchingGLM(2, family, rate_prior=0.1, n_init=1, tol=1e-12, random_state=0)
            .fit(inputs, y)
            .predict_proba(inputs, y)
            for inputs in (X, X + np.array([2.0, -1.0]))
        ]
        np.testing.assert_allclose(*fits, atol=1e-3)

    def test_only_counts_have_rates(self):
        y = (self.y[:, :1] > 0).astype(float)
        with_it, without = (
            SwitchingGLM(2, rate_prior=prior, n_init=1, random_state=0).fit(None, y)
            for prior in (0.5, 0.0)
        )
        np.testing.assert_array_equal(with_it.intercept_, without.intercept_)


def test_input_driven_transitions_are_recovered():
    rng = np.random.default_rng(0)
    n, A, V = 20_000, np.full((2, 2), 0.1) + 0.8 * np.eye(2), np.array([[-0.7, 0.7], [-0.7, 0.7]])
    x, states = rng.normal(size=n), np.zeros(n, dtype=int)
    for t in range(1, n):
        odds = A[states[t - 1]] * np.exp(x[t] * V[states[t - 1]])
        states[t] = rng.random() < odds[1] / odds.sum()
    y = rng.poisson(np.array([1.0, 4.0])[states]).astype(float)
    model = SwitchingGLM(2, "poisson", emission_columns=[], transition_columns=[0], n_init=2)
    model.set_params(random_state=0).fit(x[:, None], y)
    order = np.argsort(model.intercept_[:, 0])
    drive = model.transition_weights_[0][np.ix_(order, order)]
    np.testing.assert_allclose(drive[:, 1] - drive[:, 0], [1.4, 1.4], atol=0.2)
    np.testing.assert_allclose(model.transition_matrix_[np.ix_(order, order)], A, atol=0.03)
    assert np.exp(model.intercept_[order, 0]) == pytest.approx([1.0, 4.0], rel=0.05)


@pytest.fixture(scope="module")
def choices():
    return make_switching_choices(20, 300, 2, random_state=1)


@pytest.fixture(scope="module")
def fitted(choices):
    model = SwitchingGLM(2, n_init=2, random_state=0, tol=1e-9)
    return model.fit(choices.X, choices.y, sessions=choices.sessions)


class TestInvariance:
    def same(self, choices, fitted, X, y, sessions, scale=1.0):
        model = SwitchingGLM(2, n_init=2, random_state=0, tol=1e-9).fit(X, y, sessions=sessions)
        np.testing.assert_allclose(model.weights_ * scale, fitted.weights_, atol=2e-3)
        np.testing.assert_allclose(model.transition_matrix_, fitted.transition_matrix_, atol=1e-3)

    def test_session_names_and_lists_change_nothing(self, choices, fitted):
        parts = [choices.sessions == s for s in range(20)]
        model = SwitchingGLM(2, n_init=2, random_state=0, tol=1e-9)
        model.fit([choices.X[p] for p in parts], [choices.y[p] for p in parts])
        np.testing.assert_allclose(model.weights_, fitted.weights_, rtol=1e-9)

    def test_order_of_sessions_changes_nothing(self, choices, fitted):
        order = np.arange(6000).reshape(20, 300)[::-1].ravel()
        self.same(choices, fitted, choices.X[order], choices.y[order], choices.sessions[order])

    def test_units_of_inputs_change_nothing(self, choices, fitted):
        scale = np.array([10.0, 0.1, 1.0])
        model = SwitchingGLM(2, n_init=2, random_state=0, tol=1e-9, ridge=0.0)
        model.fit(choices.X * scale, choices.y, sessions=choices.sessions)
        plain = SwitchingGLM(2, n_init=2, random_state=0, tol=1e-9, ridge=0.0)
        plain.fit(choices.X, choices.y, sessions=choices.sessions)
        np.testing.assert_allclose(model.weights_ * scale, plain.weights_, atol=2e-3)

    def test_every_session_twice_is_the_same_likelihood_per_bin(self, choices):
        settings = {"ridge": 0.0, "n_init": 2, "random_state": 0, "tol": 1e-10}
        once = SwitchingGLM(2, **settings).fit(choices.X, choices.y, sessions=choices.sessions)
        twice = SwitchingGLM(2, **settings).fit(
            np.tile(choices.X, (2, 1)),
            np.tile(choices.y, 2),
            sessions=np.r_[choices.sessions, choices.sessions + 20],
        )
        assert twice.objective_trace_[-1] == pytest.approx(once.objective_trace_[-1], abs=1e-6)

    def test_a_silent_session_of_missing_bins_changes_nothing(self, choices, fitted):
        X = np.vstack([choices.X, np.zeros((50, 3))])
        y = np.r_[choices.y, np.full(50, np.nan)]
        assert fitted.score(X, y, sessions=np.r_[choices.sessions, np.full(50, 99)]) == (
            pytest.approx(fitted.score(choices.X, choices.y, sessions=choices.sessions), rel=1e-12)
        )

    def test_an_output_missing_everywhere_equals_the_model_without_it(self):
        rng = np.random.default_rng(0)
        model, X, y, sessions = random_fit(rng, "poisson", n=100)
        while model.n_outputs_ != 2:
            model, X, y, sessions = random_fit(rng, "poisson", n=100)
        alone = SwitchingGLM.from_parameters(
            model.weights_[:, :1],
            model.intercept_[:, :1],
            model.transition_matrix_,
            initial_proba=model.initial_proba_,
            family="poisson",
        )
        masked = y.copy()
        masked[:, 1] = np.nan
        np.testing.assert_allclose(
            model.predict_proba(X, masked, sessions=sessions),
            alone.predict_proba(X, y[:, 0], sessions=sessions),
            atol=1e-12,
        )


def test_filter_does_not_see_the_future(choices, fitted):
    before = fitted.filter_proba(choices.X[:100], choices.y[:100])
    changed = choices.y[:100].copy()
    changed[60:] = 1 - changed[60:]
    after = fitted.filter_proba(choices.X[:100], changed)
    np.testing.assert_allclose(before[:60], after[:60], rtol=0, atol=1e-12)
    assert np.abs(before[60:] - after[60:]).max() > 0.01


def test_without_y_states_follow_the_chain(fitted):
    proba = fitted.predict_proba(np.zeros((4, 3)))
    expected = [
        fitted.initial_proba_ @ np.linalg.matrix_power(fitted.transition_matrix_, t)
        for t in range(4)
    ]
    np.testing.assert_allclose(proba, expected, atol=1e-12)
    assert fitted.predict(np.zeros((4, 3))).shape == (4,)


def test_recovers_strategies(choices, fitted):
    order = np.argsort(-fitted.weights_[:, 0, 0])
    errors = fitted.standard_errors(choices.X, choices.y, sessions=choices.sessions)
    z = (fitted.weights_[order] - choices.weights) / errors.weights[order]
    assert np.abs(z).max() < 4
    found = np.argsort(order)[fitted.predict(choices.X, choices.y, sessions=choices.sessions)]
    truth = SwitchingGLM.from_parameters(
        choices.weights, choices.intercept, choices.transition_matrix
    )
    oracle = truth.predict(choices.X, choices.y, sessions=choices.sessions)
    assert (found == choices.states).mean() > (oracle == choices.states).mean() - 0.02


def test_bits_gained_over_null_models(choices, fitted):
    arguments = (choices.X, choices.y)
    over_glm = fitted.score_bits(*arguments, sessions=choices.sessions)
    over_shuffle = fitted.score_bits(
        *arguments, sessions=choices.sessions, null="shuffled", random_state=0
    )
    glm = SwitchingGLM(1).fit(*arguments, sessions=choices.sessions)
    gain = fitted.score(*arguments, sessions=choices.sessions) - glm.score(
        *arguments, sessions=choices.sessions
    )
    assert over_glm == pytest.approx(gain / np.log(2), abs=1e-6)
    assert over_shuffle > 0.05
    with pytest.raises(ValueError, match="null has no such option"):
        fitted.score_bits(*arguments, null="mean")


@pytest.mark.parametrize("family", FAMILIES)
def test_samples_have_the_moments_of_the_model(family):
    n_outputs = 2
    noise = {
        "gaussian": {"covariances": np.array([[[1.0, 0.5], [0.5, 2.0]]] * 2)},
        "negative_binomial": {"dispersions": np.full((2, 2), 1 / 3)},
    }.get(family, {})
    model = SwitchingGLM.from_parameters(
        np.zeros((2, n_outputs, 0)),
        np.array([[0.0, 1.0], [1.0, -1.0]]),
        [[0.9, 0.1], [0.2, 0.8]],
        initial_proba=[1.0, 0.0],
        family=family,
        **noise,
    )
    sessions = np.repeat(np.arange(400), 50)
    y, states = model.sample(sessions=sessions, random_state=0)
    assert (states[::50] == 0).all()
    y = y.reshape(len(sessions), -1)
    stay = (states[1:] == states[:-1])[(sessions[1:] == sessions[:-1]) & (states[:-1] == 0)]
    assert stay.mean() == pytest.approx(0.9, abs=4 * np.sqrt(0.09 / len(stay)))
    eta = model.intercept_[0]
    odds = np.exp(np.r_[0.0, eta])
    mean, variance = {
        "bernoulli": (1 / (1 + np.exp(-eta)), None),
        "categorical": ((odds * np.arange(3)).sum(keepdims=True) / odds.sum(), None),
        "gaussian": (eta, np.array([1.0, 2.0])),
        "poisson": (np.exp(eta), np.exp(eta)),
        "negative_binomial": (np.exp(eta), np.exp(eta) + np.exp(2 * eta) / 3.0),
    }[family]
    mine = y[states == 0]
    error = mine.std(axis=0) / np.sqrt(len(mine))
    assert np.abs(mine.mean(axis=0) - mean).max() < 4.5 * error.max()
    if variance is not None:
        np.testing.assert_allclose(mine.var(axis=0), variance, rtol=0.1)


def test_sessions_reach_fit_and_score_through_cross_validation(choices):
    seen = []

    class Spy(SwitchingGLM):
        def fit(self, X, y, *, sessions=None):
            seen.append(("fit", len(np.unique(sessions))))
            return super().fit(X, y, sessions=sessions)

        def score(self, X, y, *, sessions=None):
            seen.append(("score", len(np.unique(sessions))))
            return super().score(X, y, sessions=sessions)

    with sklearn.config_context(enable_metadata_routing=True):
        spy = Spy(2, n_init=1, random_state=0)
        scores = cross_val_score(
            spy, choices.X, choices.y, cv=SessionKFold(4), params={"sessions": choices.sessions}
        )
    assert seen == [("fit", 15), ("score", 5)] * 4
    assert (scores > np.log(0.5)).all()


def test_wald_intervals_cover_the_truth():
    """4 slopes and intercepts in each of 60 data sets: 0.95 +- 4 standard errors of 480 trials."""
    hits = []
    for seed in range(60):
        data = make_switching_choices(10, 250, 2, random_state=seed)
        model = SwitchingGLM(2, ridge=0.0, n_init=2, tol=1e-8, random_state=0)
        model.fit(data.X, data.y, sessions=data.sessions)
        errors = model.standard_errors(data.X, data.y, sessions=data.sessions, cov="observed")
        order = np.argsort(-model.weights_[:, 0, 0])
        hits += [np.abs(model.weights_ - data.weights[np.argsort(order)]) < 1.96 * errors.weights]
        hits += [
            np.abs(model.intercept_ - data.intercept[np.argsort(order)])[..., None]
            < 1.96 * errors.intercept[..., None]
        ]
    coverage = np.concatenate([h.ravel() for h in hits]).mean()
    assert coverage == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / 480))


def test_hostile_data_gives_finite_models_that_do_not_claim_too_much():
    rng = np.random.default_rng(0)
    for i in range(40):
        family = FAMILIES[i % 5]
        check_hostile(rng, family, 1 + i % 4)


def check_hostile(rng, family, n_states):
    n = int(rng.integers(2, 40))
    y = draw_y(rng, family, n, 1 if family == "categorical" else 2)
    if family in ("poisson", "negative_binomial"):
        y[:, 0] *= rng.choice([0, 1, 10_000])
    if family == "gaussian":
        scale = rng.choice([0.0, 1e-6, 1e6])
        y[:, 0] = scale * y[:, 0] + rng.choice([0.0, 1e4]) * (scale or 1.0)
    x = rng.normal(size=(n, 1)) * rng.choice([1e-3, 1.0, 100.0])
    X = np.hstack([x, x, np.ones_like(x), np.zeros_like(x)])
    y[rng.random(n) < 0.2] = np.nan
    y[0] = np.nan_to_num(y[0])
    sessions = np.sort(rng.integers(n, size=n))
    model = SwitchingGLM(n_states, family, n_init=2, max_iter=100, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotConvergedWarning)
        model.fit(X, y, sessions=sessions)
    for name in ("weights_", "intercept_", "covariances_", "transition_matrix_", "initial_proba_"):
        assert np.isfinite(getattr(model, name, 0.0)).all(), name
    trace = model.objective_trace_
    assert np.isfinite(trace).all()
    assert not model.converged_ or trace[-1] - trace[-2] <= model.tol
    posterior = model.predict_proba(X, y, sessions=sessions)
    np.testing.assert_allclose(posterior.sum(axis=1), 1.0, atol=1e-12)
    np.testing.assert_allclose(model.transition_matrix_.sum(axis=1), 1.0, atol=1e-12)


@pytest.mark.parametrize(
    ("family", "y", "message"),
    [
        ("poisson", [0.0, 1.5, 2.0], "1 others, the first 1.5 at bin 1"),
        ("poisson", [0.0, -1.0, 2.0], "whole numbers >= 0"),
        ("bernoulli", [0.0, 1.0, 2.0], "y is not binary"),
        ("categorical", [0.0, 0.5, 2.0], "class labels"),
        ("gaussian", [0.0, np.inf, 2.0], "y is infinite"),
        ("gaussian", [np.nan, np.nan, np.nan], "missing in every bin"),
        ("gaussian", [1.0, 2.0], r"expected shape \(3,\)"),
        ("gaussian", [[1.0, np.nan], [1.0, 2.0], [0.0, 0.0]], "1 such bins, the first is 0"),
    ],
)
def test_bad_y(family, y, message):
    with pytest.raises(DataError, match=message):
        SwitchingGLM(1, family).fit(np.ones((3, 1)), y)


def test_bad_sessions_and_missing_x(fitted):
    with pytest.raises(DataError, match="not contiguous"):
        SwitchingGLM(1).fit(np.ones((3, 1)), [0, 1, 0], sessions=[0, 1, 0])
    with pytest.raises(DataError, match="X is missing"):
        fitted.predict(None, [0.0, 1.0])
    with pytest.raises(DataError, match="number of bins is not known"):
        fitted.sample()
    with pytest.raises(DataError, match="neither an input nor an intercept"):
        SwitchingGLM(1, fit_intercept=False).fit(None, [0.0, 1.0])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("family", "n_classes", "noise"),
    [
        ("bernoulli", 2, None),
        ("categorical", 3, None),
        ("gaussian", None, "covariances"),
        ("poisson", None, None),
        ("negative_binomial", None, "dispersions"),
    ],
)
def test_attributes_without_meaning_for_the_family_are_absent(family, n_classes, noise):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 1))
    categories = rng.integers(0, 3, size=80)
    y = np.minimum(categories, 1) if family == "bernoulli" else categories
    model = SwitchingGLM(2, family="categorical", n_init=1, max_iter=3, random_state=0)
    model.fit(X, categories)
    model.set_params(family="gaussian").fit(X, rng.normal(size=80))
    model.set_params(family=family).fit(X, y)  # nothing is left of the fits before
    given = SwitchingGLM.from_parameters(
        model.weights_, model.intercept_, model.transition_matrix_, family=family,
        **({noise: getattr(model, f"{noise}_")} if noise else {}),
    )  # fmt: skip
    for one in (model, given):
        assert getattr(one, "n_classes_", None) == n_classes
        for name in ("covariances", "dispersions"):
            assert hasattr(one, f"{name}_") == (name == noise)
        assert one.predict_proba(X, y).shape == (80, 2)
    assert hasattr(model, "glm_covariance_") == (noise == "covariances")
    assert hasattr(model, "glm_dispersions_") == (noise == "dispersions")
    assert np.isfinite(model.score(X, y))


def test_inputs_far_from_zero_may_drive_transitions():
    """At zero input the probabilities are then beyond any bound; those of the bins are not."""
    rng = np.random.default_rng(0)
    u = 30.0 + rng.normal(size=200)
    states = (u > 30.0).astype(int)
    model = SwitchingGLM(
        2, "gaussian", transition_columns=[0], emission_columns=[], transition_ridge=1e-4,
        n_init=1, tol=1e-9, random_state=0,
    ).fit(u[:, None], states + 0.1 * rng.normal(size=200), states=states)  # fmt: skip
    trace = model.objective_trace_
    assert (np.diff(trace) >= -1e-12 * np.abs(trace[:-1])).all()
    logits = np.log(model.transition_matrix_) + 31.0 * model.transition_weights_[0]
    assert (logits[:, 1] - logits[:, 0] > 5.0).all()
