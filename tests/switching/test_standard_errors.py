"""Standard errors: finite where the data determine parameters, NaN where they do not."""

import numpy as np
import pytest

from neuroml.simulate import make_switching_choices
from neuroml.switching import SwitchingGLM
from neuroml.switching._chain import transitions
from neuroml.switching._em import Model
from neuroml.switching._kernels.forward_backward import smooth
from neuroml.switching._standard_errors import (
    cluster_scores,
    free_vector,
    from_free_vector,
    gradient,
)

LEFT_RIGHT = {
    "weights": np.zeros((2, 1, 0)),
    "intercept": [[-1.5], [1.5]],
    "transition_matrix": [[0.98, 0.02], [0.0, 1.0]],
    "initial_proba": [1.0, 0.0],
}


def driven(n_sessions=30, n_trials=60, effect=1.0, ridge=0.0, seed=0):
    """Two states whose transitions an input drives, and data of it."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_sessions * n_trials, 1))
    sessions = np.repeat(np.arange(n_sessions), n_trials)
    slopes = effect * np.array([[[-0.5, 0.5], [0.5, -0.5]]])
    truth = SwitchingGLM.from_parameters(
        np.zeros((2, 1, 1)),
        [[-2.0], [2.0]],
        [[0.8, 0.2], [0.2, 0.8]],
        transition_columns=[0],
        transition_weights=slopes,
        transition_ridge=ridge,
    )
    y, _ = truth.sample(X, sessions=sessions, random_state=seed)
    return truth, X, y, sessions


def test_transitions_that_cannot_be_have_no_error_and_no_warning():
    model = SwitchingGLM.from_parameters(**LEFT_RIGHT)
    sessions = np.repeat(np.arange(40), 50)
    y, _ = model.sample(sessions=sessions, random_state=0)
    errors = model.standard_errors(None, y, sessions=sessions)
    assert (errors.transition_matrix[0] > 0).all()
    np.testing.assert_array_equal(errors.transition_matrix[1], 0)
    assert (errors.intercept > 0).all()


@pytest.mark.parametrize("matrix", [[[0.0, 1.0], [1.0, 0.0]], [[0.0, 1.0], [0.3, 0.7]]])
def test_states_that_are_never_kept(matrix):
    model = SwitchingGLM.from_parameters(**(LEFT_RIGHT | {"transition_matrix": matrix}))
    y, _ = model.sample(sessions=np.zeros(2000), random_state=0)
    errors = model.standard_errors(None, y)
    held = np.array(matrix) % 1 == 0
    assert (errors.transition_matrix[held] == 0).all()
    assert (errors.transition_matrix[~held] > 0).all() and np.isfinite(errors.intercept).all()


def test_impossible_transitions_of_input_driven_chains_give_no_warning():
    truth, X, _, sessions = driven()
    model = SwitchingGLM.from_parameters(
        truth.weights_,
        truth.intercept_,
        [[0.95, 0.05], [0.0, 1.0]],
        initial_proba=[1.0, 0.0],
        transition_columns=[0],
        transition_weights=truth.transition_weights_,
        transition_ridge=0.0,
    )
    y, states = model.sample(X, sessions=sessions, random_state=0)
    assert (np.diff(states)[np.diff(sessions) == 0] >= 0).all()
    errors = model.standard_errors(X, y, sessions=sessions)
    assert (errors.transition_weights[0, 0] > 0).all()
    np.testing.assert_allclose(errors.transition_weights[0, 1], 0, atol=1e-10)


@pytest.mark.parametrize("with_inputs", [False, True])
def test_an_indefinite_information_gives_no_errors(with_inputs):
    """States that do the same make a saddle: moving them apart is no worse in either direction."""
    _, X, y, sessions = driven()
    driving = {
        "transition_columns": [0],
        "transition_weights": np.array([[[-0.5, 0.5], [0.5, -0.5]]]),
        "transition_ridge": 0.0,
    }
    rate = np.log(y.mean() / (1 - y.mean()))
    model = SwitchingGLM.from_parameters(
        np.zeros((2, 1, 1)),
        [[rate], [rate]],
        [[0.8, 0.2], [0.2, 0.8]],
        **(driving if with_inputs else {}),
    )
    with pytest.warns(RuntimeWarning, match="not positive definite") as caught:
        errors = model.standard_errors(X, y, sessions=sessions)
    assert caught[0].filename == __file__
    for name in ("weights", "intercept", "transition_matrix", "transition_weights"):
        found = errors[name]
        assert np.isnan(found).all(), name


def test_errors_of_input_weights_are_those_of_repeated_samples():
    """The spread of 16 estimates is within 4 standard errors of what a fit says of it."""
    estimates, errors = [], []
    for seed in range(16):
        truth, X, y, sessions = driven(seed=seed, ridge=1e-3)
        model = SwitchingGLM(
            2,
            transition_columns=[0],
            transition_ridge=1e-3,
            ridge=0.01,
            n_init=1,
            tol=1e-8,
            random_state=0,
        ).fit(X, y, sessions=sessions)
        order = np.argsort(model.intercept_[:, 0])
        grid = np.ix_([0], order, order)
        estimates.append(model.transition_weights_[grid])
        errors.append(model.standard_errors(X, y, sessions=sessions).transition_weights[grid])
    z = (np.array(estimates) - truth.transition_weights_) / np.array(errors)
    # the four z of a data set are two independent ones, each seen twice
    assert np.sqrt((z**2).mean()) == pytest.approx(1.0, abs=4 / np.sqrt(2 * 32))


@pytest.mark.parametrize("family", ["bernoulli", "gaussian", "negative_binomial"])
@pytest.mark.parametrize("columns", [None, [0]])
def test_free_vectors_give_their_model_back(family, columns):
    data = make_switching_choices(3, 60, 2, random_state=0)
    fitted = SwitchingGLM(
        3, family, transition_columns=columns, n_init=1, tol=1e-2, random_state=0
    ).fit(data.X, data.y, sessions=data.sessions)
    problem = fitted._arrange(data.X, data.y, data.sessions)
    family = fitted._family()
    chain = fitted._model().chain
    matrix = np.array([[0.0, 0.4, 0.6], [0.1, 0.9, 0.0], [0.3, 0.3, 0.4]])
    model = Model(fitted._model().emissions, chain._replace(matrix=matrix))
    vector = free_vector(family, model)
    back = from_free_vector(family, vector, model)
    np.testing.assert_allclose(back.chain.matrix, matrix, atol=1e-12)
    np.testing.assert_allclose(back.emissions.weights, model.emissions.weights)
    np.testing.assert_allclose(back.emissions.noise, model.emissions.noise)
    np.testing.assert_allclose(free_vector(family, back), vector)
    assert gradient(family, problem, model).shape == vector.shape


def test_errors_of_dispersions_are_those_of_repeated_samples():
    """Squared z of n independent estimates have a mean of 1 and a standard error of sqrt(2 / n)."""
    truth = SwitchingGLM.from_parameters(
        np.zeros((1, 2, 0)), [[1.0, 2.0]], [[1.0]], family="negative_binomial",
        dispersions=[[0.5, 0.2]], n_init=1,
    )  # fmt: skip
    z = []
    for seed in range(20):
        y, _ = truth.sample(sessions=np.zeros(2000), random_state=seed)
        model = SwitchingGLM(1, "negative_binomial", tol=1e-10).fit(None, y)
        errors = model.standard_errors(None, y)
        assert errors.dispersions.shape == model.dispersions_.shape
        z.append((model.dispersions_ - truth.dispersions_) / errors.dispersions)
    assert np.square(z).mean() == pytest.approx(1.0, abs=4 * np.sqrt(2 / 40))


FAMILY_DATA = {
    "bernoulli": lambda rng, n: rng.integers(2, size=(n, 1)),
    "categorical": lambda rng, n: rng.integers(3, size=(n, 1)),
    "gaussian": lambda rng, n: rng.normal(size=(n, 2)),
    "poisson": lambda rng, n: rng.poisson(1.0, (n, 2)),
    "negative_binomial": lambda rng, n: rng.negative_binomial(1, 0.4, (n, 2)),
}


@pytest.mark.filterwarnings("ignore::neuroml.exceptions.NotConvergedWarning")
@pytest.mark.parametrize("family", FAMILY_DATA)
def test_scores_are_the_gradients_of_each_clusters_likelihood(family):
    """Against central differences; one session misses an output, one is of a single bin."""
    rng = np.random.default_rng(0)
    y = FAMILY_DATA[family](rng, 80).astype(float)
    X, sessions = rng.normal(size=(80, 2)), np.repeat([0, 1, 2, 3], [30, 29, 1, 20])
    settings = {"covariance_type": "diagonal", "ridge": 0.5, "concentration": 1.5, "n_init": 1}
    model = SwitchingGLM(
        2, family, transition_columns=[0], max_iter=5, tol=0.0, random_state=0, **settings
    ).fit(X, y, sessions=sessions)
    y[sessions == 1, 0] = np.nan
    problem, own, fitted = model._arrange(X, y, sessions), model._family(), model._model()
    clusters = np.array([0, 1, 0, 2])
    scores = cluster_scores(own, problem, fitted, clusters)
    at = free_vector(own, fitted)

    def log_likelihoods(vector):
        moved = from_free_vector(own, vector, fitted)
        log_prob = problem.observations.log_prob(moved.emissions, problem.design)
        logs = smooth(
            log_prob.T,
            transitions(moved.chain, problem.transition_inputs),
            moved.chain.initial,
            problem.starts,
            np.ones((80, 1)),
        )[2]
        return np.bincount(clusters, logs)

    numeric = [
        (log_likelihoods(at + 1e-5 * e) - log_likelihoods(at - 1e-5 * e)) / 2e-5
        for e in np.eye(len(at))
    ]
    np.testing.assert_allclose(
        scores, np.array(numeric).T, atol=1e-6 * max(1.0, np.abs(scores).max())
    )


def test_one_state_is_the_clustered_regression():
    """The formula of statsmodels' GLM(...).fit(cov_type="cluster"), without its (n-1)/(n-k)."""
    rng = np.random.default_rng(0)
    X, sessions = rng.normal(size=(600, 1)), np.repeat(np.arange(30), 20)
    y = X[:, 0] + rng.normal(size=30)[sessions] + rng.normal(size=600)
    model = SwitchingGLM(1, "gaussian", ridge=0.0, covariance_prior=0.0, tol=1e-12)
    errors = model.fit(X, y, sessions=sessions).standard_errors(X, y, sessions=sessions)
    design = np.column_stack([X, np.ones(600)])
    residual = y - X @ model.weights_[0, 0] - model.intercept_[0, 0]
    scores = np.stack([design[sessions == g].T @ residual[sessions == g] for g in range(30)])
    bread = np.linalg.inv(design.T @ design)
    expected = np.sqrt(np.diag(bread @ (30 / 29 * scores.T @ scores) @ bread))
    np.testing.assert_allclose(
        [errors.weights[0, 0, 0], errors.intercept[0, 0]], expected, rtol=1e-4
    )
    assert (errors.cov, errors.degrees_of_freedom) == ("sandwich", 29)


def test_sessions_that_differ_have_larger_errors_and_alike_ones_the_same():
    """Within 4 standard errors of a ratio of 40 clusters' spread, sqrt(1 / 80) each."""
    rng = np.random.default_rng(1)
    sessions = np.repeat(np.arange(40), 100)
    for spread, low, high in ((0.0, 0.55, 1.45), (1.0, 2.0, np.inf)):
        rate = 1 / (1 + np.exp(-spread * rng.normal(size=40)))
        y = (rng.random(4000) < rate[sessions]).astype(float)
        model = SwitchingGLM(1).fit(None, y, sessions=sessions)
        observed, sandwich = (
            model.standard_errors(None, y, sessions=sessions, cov=cov).intercept[0, 0]
            for cov in ("observed", "sandwich")
        )
        assert low < sandwich / observed < high


def one_rate(n_sessions):
    y = np.random.default_rng(0).integers(2, size=10 * n_sessions).astype(float)
    return SwitchingGLM(1).fit(None, y), y, np.repeat(np.arange(n_sessions), 10)


@pytest.mark.parametrize(("n_sessions", "cov"), [(9, "observed"), (20, "sandwich")])
def test_the_default_is_clustered_from_ten_sessions(n_sessions, cov):
    model, y, sessions = one_rate(n_sessions)
    assert model.standard_errors(None, y, sessions=sessions).cov == cov
    assert model.standard_errors(None, y, sessions=sessions, cov="observed").cov == "observed"


def test_few_clusters_warn_and_wrong_ones_are_refused():
    model, y, sessions = one_rate(10)
    with pytest.warns(UserWarning, match="10 clusters tend to be too small"):
        model.standard_errors(None, y, sessions=sessions)
    with pytest.warns(UserWarning, match="5 clusters"):
        by_pairs = model.standard_errors(None, y, sessions=sessions, clusters=sessions // 2)
    assert by_pairs.degrees_of_freedom == 4
    wrong = {
        "lies in several clusters": {"clusters": np.arange(100) // 15},
        "one cluster has no spread": {"clusters": np.zeros(100)},
        "clusters do not match": {"clusters": np.zeros(99)},
        "no meaning": {"clusters": sessions, "cov": "observed"},
        "cov": {"cov": "robust"},
    }
    for message, arguments in wrong.items():
        with pytest.raises(ValueError, match=message):
            model.standard_errors(None, y, sessions=sessions, **arguments)
