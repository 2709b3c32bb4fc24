"""Parameters that are given are checked, and those of a fit give the same model back."""

import numpy as np
import pytest

from neuroml.exceptions import DataError
from neuroml.switching import SwitchingGLM

FAMILIES = ["bernoulli", "categorical", "gaussian", "poisson", "negative_binomial"]
RNG = np.random.default_rng(0)
X = RNG.standard_normal((300, 4))
Y = {
    "bernoulli": RNG.integers(0, 2, (300, 2)),
    "categorical": RNG.integers(0, 3, 300),
    "gaussian": RNG.standard_normal((300, 2)),
    "poisson": RNG.poisson(2.0, (300, 2)),
    "negative_binomial": RNG.negative_binomial(2, 0.4, (300, 2)),
}
GOOD = {
    "weights": np.ones((2, 1, 1)),
    "intercept": [[-1.0], [1.0]],
    "transition_matrix": [[0.9, 0.1], [0.2, 0.8]],
}
COLUMNS = {"transition_columns": [0, 2], "transition_weights": np.zeros((2, 2, 2)), "n_features": 3}
EYE = np.stack([np.eye(2)] * 2)
NORMAL = {"weights": np.ones((2, 2, 1)), "intercept": np.zeros((2, 2)), "family": "gaussian"}
BAD = {
    "rows do not sum to one": {"transition_matrix": [[0.9, 0.8], [0.3, 0.2]]},
    "negative probability": {"transition_matrix": [[1.1, -0.1], [0.2, 0.8]]},
    "NaN probability": {"transition_matrix": [[np.nan, 0.1], [0.2, 0.8]]},
    "too many states": {"transition_matrix": np.eye(3)},
    "a matrix for each bin": {"transition_matrix": np.stack([np.eye(2)] * 5)},
    "initial sums to 2": {"initial_proba": [1.0, 1.0]},
    "initial of another length": {"initial_proba": [1.0]},
    "weights without outputs": {"weights": np.ones((2, 1))},
    "one number as weights": {"weights": 1.0},
    "NaN weights": {"weights": np.full((2, 1, 1), np.nan)},
    "intercept without outputs": {"intercept": [-1.0, 1.0]},
    "infinite intercept": {"intercept": [[np.inf], [1.0]]},
    "intercept of a model without": {"fit_intercept": False},
    "transition weights without columns": {"transition_weights": np.zeros((1, 2, 2))},
    "transition columns without weights": {"transition_columns": [0]},
    "other transition columns than weights": COLUMNS | {"transition_columns": [0]},
    "NaN transition weights": COLUMNS | {"transition_weights": np.full((2, 2, 2), np.nan)},
    "transition columns outside of X": COLUMNS
    | {"emission_columns": [0], "transition_columns": [0, 3]},
    "emission columns, unknown X": {"emission_columns": [0]},
    "emission columns outside of X": {"emission_columns": [5], "n_features": 2},
    "other emission columns than weights": {"emission_columns": [0, 1], "n_features": 2},
    "other features than weights": {"n_features": 2},
    "gaussian without covariances": NORMAL,
    "standard deviations as covariances": NORMAL | {"covariances": np.ones((2, 2))},
    "indefinite covariances": NORMAL | {"covariances": -EYE},
    "asymmetric covariances": NORMAL | {"covariances": EYE + np.triu(EYE + 0.5, 1)},
    "covariances that are not tied": NORMAL
    | {"covariances": [np.eye(2), 2 * np.eye(2)], "covariance_type": "tied"},
    "covariances that are not diagonal": NORMAL
    | {"covariances": EYE + 0.2, "covariance_type": "diagonal"},
    "covariances that are not spherical": NORMAL
    | {"covariances": EYE * [1, 2], "covariance_type": "spherical"},
    "negative dispersion": {"family": "negative_binomial", "dispersions": [[-1.0], [1.0]]},
    "covariances of counts": {"family": "poisson", "covariances": [[[1.0]], [[1.0]]]},
    "dispersions of choices": {"dispersions": [[1.0], [1.0]]},
    "dispersion of another shape": {"family": "negative_binomial", "dispersions": [1.0, 1.0]},
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_model_is_refused(name):
    with pytest.raises(DataError, match=r"expected .*; found|there are no covariances; expected"):
        SwitchingGLM.from_parameters(**(GOOD | BAD[name]))


def test_an_unknown_family_is_refused():
    with pytest.raises(ValueError, match="family"):
        SwitchingGLM.from_parameters(**GOOD, family="binomial")


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"emission_columns": [1, 3]},
        {"transition_columns": [0]},
        {"emission_columns": [2], "transition_columns": [0, 3]},
    ],
    ids=["all", "emission", "transition", "both"],
)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_parameters_of_a_fit_give_it_back(family, columns, fit_intercept):
    settings = {"family": family, "fit_intercept": fit_intercept, **columns}
    y = Y[family].astype(float)
    fitted = SwitchingGLM(2, n_init=1, tol=1e-2, random_state=0, **settings).fit(X, y)
    given = SwitchingGLM.from_parameters(
        fitted.weights_,
        fitted.intercept_,
        fitted.transition_matrix_,
        initial_proba=fitted.initial_proba_,
        transition_weights=fitted.transition_weights_ if "transition_columns" in columns else None,
        covariances=getattr(fitted, "covariances_", None),
        dispersions=getattr(fitted, "dispersions_", None),
        n_features=4,
        **settings,
    )
    assert given.score(X, y) == fitted.score(X, y)
    np.testing.assert_array_equal(given.predict_proba(X, y), fitted.predict_proba(X, y))
    bits = [m.score_bits(X, y, null="shuffled", random_state=0) for m in (given, fitted)]
    assert bits[0] == bits[1]
    with pytest.raises(DataError, match="one-state model of the training data is not known"):
        given.score_bits(X, y)


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diagonal", "spherical"])
def test_covariances_of_every_type_come_back(covariance_type):
    settings = {"family": "gaussian", "covariance_type": covariance_type}
    fitted = SwitchingGLM(2, n_init=1, tol=1e-2, random_state=0, **settings).fit(X, Y["gaussian"])
    given = SwitchingGLM.from_parameters(
        fitted.weights_,
        fitted.intercept_,
        fitted.transition_matrix_,
        initial_proba=fitted.initial_proba_,
        covariances=fitted.covariances_,
        **settings,
    )
    assert given.score(X, Y["gaussian"]) == fitted.score(X, Y["gaussian"])
    family = given._family()
    free = family.free_noise(given.covariances_)
    again = family.noise_from_free(free, given.covariances_)
    np.testing.assert_allclose(again, given.covariances_)
