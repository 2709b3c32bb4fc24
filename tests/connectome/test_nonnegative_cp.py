import numpy as np
import pytest
from sklearn.decomposition import NMF
from tensorly.cp_tensor import CPTensor, cp_to_tensor

from neuroml.connectome import NonnegativeCP, factor_match
from neuroml.exceptions import NotConvergedWarning


def planted(seed, shape=(12, 10, 8), rank=3):
    rng = np.random.default_rng(seed)
    return CPTensor((np.ones(rank), [rng.uniform(size=(n, rank)) ** 3 for n in shape]))


def test_recovers_planted_components_over_seeds():
    matches = []
    for seed in range(10):
        truth = planted(seed)
        model = NonnegativeCP(
            3, random_state=seed, max_iter=2000, tol=1e-8, ridge=0, dtype="float64"
        ).fit(cp_to_tensor(truth))
        matches.append(factor_match(truth, model.cp_))
        assert model.reconstruction_err_ < 1e-3
    assert np.mean(matches) > 0.99


def test_recovers_with_a_third_of_the_entries_missing():
    matches = []
    for seed in range(5):
        truth = planted(seed)
        tensor = cp_to_tensor(truth)
        tensor[np.random.default_rng(seed).uniform(size=tensor.shape) < 1 / 3] = np.nan
        model = NonnegativeCP(3, random_state=seed, max_iter=3000, tol=1e-8).fit(tensor)
        matches.append(factor_match(truth, model.cp_))
    assert np.mean(matches) > 0.98


def test_error_is_the_relative_residual_on_observed_entries():
    tensor = np.random.default_rng(0).uniform(size=(6, 5, 4))
    tensor[0, 0, :2] = np.nan
    model = NonnegativeCP(2, random_state=0, ridge=0, dtype="float64").fit(tensor)
    residual = (tensor - cp_to_tensor(model.cp_))[~np.isnan(tensor)]
    expected = np.linalg.norm(residual) / np.linalg.norm(tensor[~np.isnan(tensor)])
    assert model.reconstruction_err_ == pytest.approx(expected, rel=1e-10)
    assert model.reconstruction_err_ == model.error_trace_[-1] == model.restart_errors_.min()


def test_what_stands_in_missing_entries_never_matters():
    tensor = np.random.default_rng(0).uniform(size=(6, 5, 4))
    mask = np.random.default_rng(1).uniform(size=tensor.shape) < 0.3
    fits = []
    for fill in (0.0, 1e6):
        given = np.where(mask, fill, tensor)
        given[mask] = np.nan
        fits.append(NonnegativeCP(2, random_state=0).fit(given).cp_.factors[0])
    np.testing.assert_array_equal(*fits)


@pytest.mark.parametrize("missing", [False, True])
def test_error_never_rises(missing):
    tensor = np.random.default_rng(0).uniform(size=(7, 6, 5))
    if missing:
        tensor[np.random.default_rng(1).uniform(size=tensor.shape) < 0.3] = np.nan
    trace = NonnegativeCP(4, random_state=0, tol=0, max_iter=20, dtype="float64").fit
    with pytest.warns(NotConvergedWarning):
        assert (np.diff(trace(tensor).error_trace_) <= 1e-12).all()


def test_permuting_a_mode_permutes_its_factor():
    tensor = cp_to_tensor(planted(0))
    order = np.random.default_rng(3).permutation(12)
    one = NonnegativeCP(3, random_state=0, tol=1e-9, max_iter=5000).fit(tensor)
    two = NonnegativeCP(3, random_state=0, tol=1e-9, max_iter=5000).fit(tensor[order])
    assert (
        factor_match(
            CPTensor((one.cp_.weights, [one.cp_.factors[0][order], *one.cp_.factors[1:]])), two.cp_
        )
        > 0.999
    )


def test_a_matrix_is_no_worse_than_scikit_learns_nmf():
    X = np.random.default_rng(0).uniform(size=(20, 15))
    ours = NonnegativeCP(3, random_state=0, n_init=5, tol=1e-8, max_iter=5000).fit(X)
    theirs = min(
        NMF(3, random_state=s, init="random", max_iter=5000, tol=1e-6).fit(X).reconstruction_err_
        for s in range(5)
    )
    assert ours.reconstruction_err_ * np.linalg.norm(X) < theirs * 1.005


def test_components_are_unit_norm_and_sorted():
    model = NonnegativeCP(3, random_state=0).fit(cp_to_tensor(planted(0)))
    for factor in model.cp_.factors:
        np.testing.assert_allclose(np.linalg.norm(factor, axis=0), 1.0)
        assert (factor >= 0).all()
    assert (np.diff(model.cp_.weights) <= 0).all()


def test_not_converged_is_told():
    tensor = np.random.default_rng(0).uniform(size=(6, 5, 4))
    with pytest.warns(NotConvergedWarning, match="NonnegativeCP stopped after 2 iterations"):
        model = NonnegativeCP(2, random_state=0, max_iter=2, tol=0).fit(tensor)
    assert not model.converged_ and model.n_iter_ == 2


@pytest.mark.parametrize(
    ("tensor", "parameters", "message"),
    [
        (-np.ones((2, 3, 4)), {}, "Negative values.*minimum -1 in 24 entries"),
        (np.full((2, 3, 4), np.nan), {}, "every entry is missing"),
        (
            np.ones((2, 3, 4)),
            {"n_components": 7},
            r"n_components <= 6; found n_components=7.*\(2, 3, 4\)",
        ),
        (np.full((2, 3), np.inf), {}, "infinity"),
        (np.ones((2, 3)), {"n_components": 0}, "n_components"),
    ],
)
def test_bad_input(tensor, parameters, message):
    with pytest.raises(ValueError, match=message):
        NonnegativeCP(**parameters).fit(tensor)


def test_all_zero_tensor_is_reconstructed():
    assert NonnegativeCP(1, random_state=0).fit(np.zeros((3, 3, 3))).reconstruction_err_ == 0
