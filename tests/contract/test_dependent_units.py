"""Units that are copies or sums of others are refused, by name and with a way out, or do no harm."""

import numpy as np
import pytest

from neuroml._core.dependence import dependent_units
from neuroml.connectome import SlidingWindowConnectivity
from neuroml.exceptions import DataError
from neuroml.switching import SwitchingGLM

RNG = np.random.default_rng(0)
X = RNG.standard_normal((200, 6))
DEPENDENT = {
    "twins": (np.column_stack([X, X[:, 2]]), [2, 6]),
    "scaled twins": (np.column_stack([X, 3.0 - 1e4 * X[:, 2]]), [2, 6]),
    "a sum of all": (np.column_stack([X, X.sum(axis=1)]), list(range(7))),
    "a sum of two": (np.column_stack([X, X[:, 0] - 2 * X[:, 4]]), [0, 4, 6]),
    "a sum, as float32": (
        np.column_stack([X.astype(np.float32), X.astype(np.float32)[:, :2].sum(axis=1)]),
        [0, 1, 6],
    ),
}


@pytest.mark.parametrize("name", DEPENDENT)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_dependent_units_are_found(name, dtype):
    table, units = DEPENDENT[name]
    covariance = np.cov(table.astype(dtype), rowvar=False, dtype=dtype)
    assert dependent_units(covariance).tolist() == units
    assert dependent_units(np.cov(X, rowvar=False)).tolist() == []


@pytest.mark.parametrize("name", DEPENDENT)
def test_partial_correlation(name):
    table, units = DEPENDENT[name]
    model = SlidingWindowConnectivity(50, 50, kind="partial correlation", covariance="empirical")
    named = f"units {', '.join(map(str, units))} depend on each other.*covariance='ledoit-wolf'"
    with pytest.raises(DataError, match=named):
        model.fit_transform(table)
    found = model.set_params(covariance="ledoit-wolf").fit_transform(table)
    assert np.isfinite(found).all() and np.abs(found).max() < 1
    found = model.set_params(kind="correlation", covariance="empirical").fit_transform(table)
    assert np.isfinite(found).all() and np.abs(found).max() <= 1 + 1e-6


@pytest.mark.parametrize(
    ("edges", "window"), [("drop", 2), ("drop", 6), ("shrink", 5), ("shrink", 6), ("shrink", 9)]
)
def test_partial_correlation_of_fewer_samples_than_units(window, edges):
    model = SlidingWindowConnectivity(
        window, kind="partial correlation", covariance="empirical", edges=edges
    )
    with pytest.raises(DataError, match="expected more samples than the 6 units in every window"):
        model.fit_transform(X)
    if edges == "drop":
        model.set_params(window=7).fit_transform(X)


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diagonal", "spherical"])
@pytest.mark.parametrize("name", DEPENDENT)
def test_gaussian_outputs_without_a_prior(name, covariance_type):
    table, units = DEPENDENT[name]
    model = SwitchingGLM(
        2,
        "gaussian",
        covariance_type=covariance_type,
        covariance_prior=0.0,
        n_init=1,
        tol=1e-2,
        random_state=0,
    )
    if covariance_type in ("full", "tied"):
        with pytest.raises(
            DataError, match=f"outputs \\{units}.*covariance_prior > 0".replace("]", r"\]")
        ):
            model.fit(None, table)
        model.set_params(covariance_prior=1.0)
    assert np.isfinite(model.fit(None, table).score(None, table))
