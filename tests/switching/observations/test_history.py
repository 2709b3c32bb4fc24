"""History features and their basis functions."""

import numpy as np
import pytest

from neuroml.switching._observations.history import basis_functions, history


@pytest.mark.parametrize("kind", ["exponential", "raised-cosine"])
@pytest.mark.parametrize(("n_basis", "n_lags"), [(1, 1), (1, 5), (3, 5), (4, 40)])
def test_functions_are_non_negative_of_sum_one_and_independent(kind, n_basis, n_lags):
    functions = basis_functions(kind, n_basis, n_lags)
    assert functions.shape == (n_basis, n_lags)
    assert (functions >= 0).all()
    np.testing.assert_allclose(functions.sum(axis=1), 1.0)
    assert np.linalg.matrix_rank(functions) == n_basis


def test_the_authors_filter():
    np.testing.assert_allclose(
        basis_functions("exponential", 1, 5)[0], [0.636, 0.234, 0.086, 0.032, 0.012], atol=5e-4
    )


def test_one_function_per_lag():
    np.testing.assert_array_equal(basis_functions("lags", 3, 3), np.eye(3))


def test_history_equals_its_definition_within_sessions():
    rng = np.random.default_rng(0)
    counts = rng.poisson(1.0, (30, 3)).astype(float)
    sessions = np.repeat([0, 1], [12, 18])
    functions = basis_functions("raised-cosine", 2, 4)
    expected = np.zeros((2, 30, 3))
    for t in range(30):
        for lag in range(1, 5):
            if t - lag >= 0 and sessions[t - lag] == sessions[t]:
                expected[:, t] += functions[:, lag - 1, None] * counts[t - lag]
    np.testing.assert_allclose(history(counts, functions, sessions), expected, atol=1e-12)


def test_history_knows_nothing_of_the_present():
    counts = np.random.default_rng(1).poisson(1.0, (20, 2)).astype(float)
    changed = counts.copy()
    changed[10:] += 5
    functions, sessions = basis_functions("exponential", 1, 5), np.zeros(20, int)
    before, after = (history(c, functions, sessions) for c in (counts, changed))
    np.testing.assert_array_equal(before[:, :11], after[:, :11])
