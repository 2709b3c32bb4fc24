import numpy as np
import pytest
from sklearn.decomposition import NMF
from tensorly.cp_tensor import CPTensor, cp_to_tensor

from neuroml.connectome import AffinityTensor, FiberTensor, NonnegativeCP, factor_match
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
    assert (
        model.reconstruction_err_ == model.objective_trace_[-1] == model.restart_objectives_.min()
    )


def test_what_stands_in_missing_entries_never_matters():
    tensor = np.random.default_rng(0).uniform(size=(6, 5, 4))
    mask = np.random.default_rng(1).uniform(size=tensor.shape) < 0.3
    fits = []
    gaps = np.where(mask, np.nan, tensor)
    under = [np.ma.masked_array(np.where(mask, fill, tensor), mask=mask) for fill in (0.0, 1e6, -1)]
    for given in (gaps, *under):
        model = NonnegativeCP(2, random_state=0).fit(given)
        fits.append((model.cp_.factors[0], model.transform(given), model.score(given)))
    for fit in fits[1:]:
        for one, first in zip(fit, fits[0], strict=True):
            np.testing.assert_array_equal(one, first)
    from_gaps = FiberTensor.from_dense(gaps)
    for given in under:
        np.testing.assert_array_equal(FiberTensor.from_dense(given).values, from_gaps.values)


@pytest.mark.parametrize("missing", [False, True])
def test_error_never_rises(missing):
    tensor = np.random.default_rng(0).uniform(size=(7, 6, 5))
    if missing:
        tensor[np.random.default_rng(1).uniform(size=tensor.shape) < 0.3] = np.nan
    trace = NonnegativeCP(4, random_state=0, tol=0, max_iter=20, dtype="float64").fit
    with pytest.warns(NotConvergedWarning):
        assert (np.diff(trace(tensor).objective_trace_) <= 1e-12).all()


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


@pytest.mark.parametrize("symmetric", [None, (1, 2)])
def test_float32_and_float64_agree(symmetric):
    tensor = np.random.default_rng(0).uniform(size=(12, 8, 8))
    tensor += tensor.transpose(0, 2, 1)
    fits = [
        NonnegativeCP(2, symmetric_modes=symmetric, random_state=0, dtype=dtype).fit(tensor)
        for dtype in ("float32", "float64")
    ]
    assert fits[0].reconstruction_err_ == pytest.approx(fits[1].reconstruction_err_, abs=1e-5)
    assert factor_match(fits[0].cp_, fits[1].cp_) > 0.999


def test_transform_of_the_training_data_is_the_fitted_factor():
    for mode in range(3):
        tensor = cp_to_tensor(planted(0))
        model = NonnegativeCP(
            3, random_state=0, sample_mode=mode, tol=1e-10, max_iter=5000, ridge=0, dtype="float64"
        ).fit(tensor)
        expected = model.cp_.factors[mode] * model.cp_.weights
        np.testing.assert_allclose(model.transform(tensor), expected, rtol=1e-2, atol=1e-2)
        assert model.score(tensor) == pytest.approx(-model.reconstruction_err_, abs=1e-4)


def test_loadings_of_new_subjects_are_recovered_with_units_unseen():
    truth = planted(0, shape=(40, 20, 30))
    tensor = cp_to_tensor(truth)
    rng = np.random.default_rng(1)
    tensor[rng.uniform(size=(40, 20)) < 0.3] = np.nan
    model = NonnegativeCP(3, random_state=0, sample_mode=1, ridge=0, tol=1e-9, max_iter=3000)
    model.fit(tensor[:, :12])
    loadings = model.transform(tensor[:, 12:])
    assert loadings.shape == (8, 3)
    found = CPTensor((None, [model.cp_.factors[0], loadings, model.cp_.factors[2]]))
    planted_there = CPTensor((None, [truth.factors[0], truth.factors[1][12:], truth.factors[2]]))
    assert factor_match(planted_there, found) > 0.99
    assert model.score(tensor[:, 12:]) > -0.02
    from_fibers = model.transform(FiberTensor.from_dense(tensor[:, 12:]))
    np.testing.assert_allclose(from_fibers, loadings, rtol=1e-3, atol=1e-3)


def test_init_is_where_the_fit_starts():
    truth = planted(1)
    tensor = cp_to_tensor(truth)
    model = NonnegativeCP(3, init=truth, ridge=0, dtype="float64").fit(tensor)
    assert model.n_iter_ <= 2 and model.reconstruction_err_ < 1e-6
    assert model.restart_objectives_.shape == (1,)
    weighted = CPTensor((np.full(3, 8.0), [factor / 2 for factor in truth.factors]))
    again = NonnegativeCP(3, init=weighted, ridge=0, dtype="float64").fit(tensor)
    assert again.reconstruction_err_ < 1e-6
    given = [factor.copy() for factor in truth.factors]
    for before, after in zip(given, truth.factors, strict=True):
        np.testing.assert_array_equal(before, after)


def test_matches_of_restarts():
    model = NonnegativeCP(3, random_state=0, tol=1e-8, max_iter=3000).fit(cp_to_tensor(planted(0)))
    assert model.restart_matches_.max() == pytest.approx(1)
    assert model.restart_matches_.shape == (5,)


def test_ridge_shrinks_and_sparsity_empties():
    tensor = cp_to_tensor(planted(0, rank=1))
    free, ridged = (
        NonnegativeCP(1, random_state=0, ridge=r, dtype="float64").fit(tensor) for r in (0, 0.25)
    )
    assert ridged.cp_.weights[0] == pytest.approx(free.cp_.weights[0] / 1.25)
    noisy = tensor + np.random.default_rng(0).uniform(size=tensor.shape)
    zeros = [
        sum(
            (f == 0).sum()
            for f in NonnegativeCP(3, random_state=0, sparsity=s).fit(noisy).cp_.factors
        )
        for s in (0, 1.0)
    ]
    assert zeros[1] > zeros[0]


def test_smoothness_smooths_the_last_mode():
    rng = np.random.default_rng(0)
    tensor = FiberTensor.from_dense(
        cp_to_tensor(planted(0, shape=(6, 5, 40), rank=2)) + rng.uniform(size=(6, 5, 40))
    )
    rough = []
    for smoothness in (0, 5.0):
        model = NonnegativeCP(2, random_state=0, smoothness=smoothness, max_iter=3000).fit(tensor)
        rough.append(np.square(np.diff(model.cp_.factors[2], axis=0)).sum())
    assert rough[1] < rough[0] / 4


@pytest.mark.parametrize(
    ("tensor", "parameters", "message"),
    [
        (np.random.default_rng(0).uniform(size=(4, 4, 3)), {"symmetric_modes": (0, 1)}, "are not"),
        (np.ones((4, 5, 3)), {"symmetric_modes": (0, 1)}, "cannot be symmetric"),
        (np.ones((4, 4, 3)), {"symmetric_modes": (0, 0)}, "cannot be symmetric"),
        (np.where(np.arange(4)[:, None, None] == 2, np.nan, np.ones((4, 4, 3))), {}, r"\[2\] of mode 0"),
        (np.ones((4, 4, 3)), {"init": CPTensor((None, [np.ones((4, 2))] * 3))}, "init does not fit"),
        (np.ones((4, 4, 3)), {"init": CPTensor((None, [-np.ones((n, 3)) for n in (4, 4, 3)]))}, "negative"),
        (np.ones((4, 4, 3)), {"init": CPTensor((None, [np.full((n, 3), np.nan) for n in (4, 4, 3)]))}, "not finite"),
        (np.ones((4, 4, 3)), {"init": CPTensor((-np.ones(3), [np.ones((n, 3)) for n in (4, 4, 3)]))}, "weights that are"),
        (
            AffinityTensor().fit_transform(np.random.default_rng(0).normal(size=(30, 4))),
            {"symmetric_modes": (0, 1)},
            "no symmetric modes",
        ),
    ],
)  # fmt: skip
def test_bad_tensors(tensor, parameters, message):
    with pytest.raises(ValueError, match=message):
        NonnegativeCP(3, **parameters).fit(tensor)


def test_new_data_of_another_shape_are_refused():
    model = NonnegativeCP(2, random_state=0).fit(np.random.default_rng(0).uniform(size=(6, 5, 4)))
    with pytest.raises(ValueError, match="modes of the data seen in fit"):
        model.transform(np.ones((3, 5, 5)))


def test_a_mask_is_missing_in_new_data_along_any_mode():
    X = np.random.default_rng(0).uniform(1, 2, (6, 5, 4))
    hidden = np.zeros(X.shape, dtype=bool)
    hidden[0, 0, 0] = True
    spoilt = np.where(hidden, 1e3, X)
    for mode in range(3):
        model = NonnegativeCP(1, n_init=1, sample_mode=mode, random_state=0).fit(X)
        np.testing.assert_array_equal(
            model.transform(np.ma.array(spoilt, mask=hidden)),
            model.transform(np.where(hidden, np.nan, X)),
        )
