"""A background that is constant in time, beside the components."""

import numpy as np
import pytest
from scipy.optimize import nnls
from tensorly.cp_tensor import cp_to_tensor

from neuroml.connectome import (
    DynamicConnectome,
    FiberTensor,
    NonnegativeCP,
    RowsOnDisk,
    _kernels,
    _torch_kernels,
    select_rank,
)
from neuroml.connectome._factors import random_factors
from neuroml.connectome._hals import Penalty, background_of, update_all
from neuroml.connectome._packed import pack
from neuroml.connectome._problem import build_problem
from neuroml.evaluation._windows import _patterns_of

KINDS = ("mean", "rank-one")


def windows(seed=0, n_windows=12, n=6, hidden=0.0):
    """Windows by units by units, symmetric, some pairs hidden for all or for some time."""
    rng = np.random.default_rng(seed)
    tensor = rng.uniform(size=(n_windows, n, n))
    tensor += tensor.transpose(0, 2, 1)
    gone = np.triu(rng.uniform(size=tensor.shape) < hidden)
    tensor[gone | gone.transpose(0, 2, 1)] = np.nan
    return tensor


def modelled(model):
    """The fitted tensor of windows first, with its background."""
    return cp_to_tensor(model.cp_) + model.background_


def sweeps(tensor, kind, n, *, symmetric=(1, 2), kernels=_kernels, penalty=None):
    packed = pack(tensor, symmetric, along=0)
    problem = build_problem(
        packed, penalty or Penalty(), dtype="float64", kernels=kernels, background=kind
    )
    start = random_factors(tensor.shape, 3, 5.0, np.random.default_rng(0))
    if kind == "rank-one":
        start[0][:, -1] = 1
    factors, losses = [kernels.array(start[k]) for k in packed.order], []
    for _ in range(n):
        ((factors, loss),) = update_all(problem, [factors])
        losses.append(loss)
    found = background_of(problem, factors)
    return problem, packed, [kernels.to_numpy(f) for f in factors], losses, found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hidden", [0.0, 0.2])
@pytest.mark.parametrize("kernels", [_kernels, _torch_kernels])
@pytest.mark.parametrize("penalty", [Penalty(), Penalty(0.05, 0.1, 0.1)])
def test_the_objective_never_rises(kind, hidden, kernels, penalty):
    _, _, factors, losses, _ = sweeps(
        windows(hidden=hidden), kind, 15, kernels=kernels, penalty=penalty
    )
    assert (np.diff(losses) <= 1e-12 * losses[0]).all()
    if kind == "rank-one":
        np.testing.assert_array_equal(factors[-1][:, -1], 1)


@pytest.mark.parametrize("hidden", [0.0, 0.2])
def test_the_mean_background_is_what_brute_force_finds(hidden):
    """Time courses and background together, given the units' factors, by least squares."""
    tensor = windows(hidden=hidden)
    _, packed, factors, losses, found = sweeps(tensor, "mean", 1000)
    units = np.einsum("ir,jr->ijr", *factors[:2])
    i, j = np.triu_indices(6)
    pairs = len(i)
    seen = np.argwhere(~np.isnan(tensor))
    design = np.zeros((len(seen), pairs + tensor.shape[0] * 3))
    number = np.zeros((6, 6), dtype=int)
    number[i, j] = number[j, i] = np.arange(pairs)
    for row, (t, a, b) in zip(design, seen, strict=True):
        row[number[a, b]] = 1
        row[pairs + 3 * t : pairs + 3 * t + 3] = units[a, b]
    _, residual = nnls(design, tensor[~np.isnan(tensor)])
    # sweeps come near the optimum, and never below it
    assert residual**2 * (1 - 1e-9) <= losses[-1] <= residual**2 * 1.001
    given = np.concatenate([found[np.argsort(_pair_of_rows(packed))], factors[-1].ravel()])
    left = tensor[~np.isnan(tensor)] - design @ given
    assert left @ left == pytest.approx(losses[-1], rel=1e-6)


def _pair_of_rows(packed):
    """The number of the pair i <= j that each row holds."""
    number = np.zeros((6, 6), dtype=int)
    number[np.triu_indices(6)] = np.arange(21)
    pairs = np.zeros(packed.rows.max() + 1, dtype=int)
    low, high = np.sort(packed.index[:, :2], axis=1).T
    pairs[packed.rows] = number[low, high]
    return pairs


def test_half_of_a_symmetric_tensor_gives_the_fit_to_the_whole():
    # of rank one alone: without symmetry, the mean background of (i, j) is free of that of (j, i)
    tensor = windows(hidden=0.1)
    half, whole = (
        sweeps(tensor, "rank-one", 5, symmetric=symmetric) for symmetric in ((1, 2), None)
    )
    np.testing.assert_allclose(half[3], whole[3], rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("symmetric", [None, (1, 2)])
def test_error_transform_and_score_are_of_the_same_model(kind, symmetric):
    tensor = windows()
    model = NonnegativeCP(
        2, background=kind, symmetric_modes=symmetric, ridge=1e-6, tol=1e-10, max_iter=5000,
        dtype="float64", n_init=2, random_state=0,
    ).fit(tensor)  # fmt: skip
    assert model.background_.shape == tensor.shape[1:] and (model.background_ >= 0).all()
    error = np.linalg.norm(tensor - modelled(model)) / np.linalg.norm(tensor)
    assert model.reconstruction_err_ == pytest.approx(error, abs=1e-9)
    assert model.score(tensor) == pytest.approx(-error, abs=1e-4)
    weighted = model.score(tensor, sample_weight=np.full(len(tensor), 3.0))
    assert weighted == pytest.approx(model.score(tensor))
    # time courses are given by the rest but for what the background and a component can exchange
    loadings = model.transform(tensor[:5])
    shown = np.einsum("tr,ir,jr->tij", loadings, *model.cp_.factors[1:]) + model.background_
    left = np.linalg.norm(tensor[:5] - shown)
    assert left <= np.linalg.norm(tensor[:5] - modelled(model)[:5]) + 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_new_subjects_have_a_background_of_their_own(kind):
    rng = np.random.default_rng(0)
    pairs, courses = rng.uniform(size=(20, 2)), rng.gamma(0.3, size=(40, 2))
    subjects = rng.uniform(0.5, 1.5, size=(8, 2))
    constant = np.outer(rng.uniform(size=20), rng.uniform(1, 2, size=8))
    tensor = np.einsum("pr,ar,tr->pat", pairs, subjects, courses) + constant[:, :, None]
    model = NonnegativeCP(
        2, background=kind, sample_mode=1, ridge=1e-6, tol=1e-9, max_iter=3000, random_state=0
    )
    model.fit(FiberTensor.from_dense(tensor[:, :6]))
    assert model.reconstruction_err_ < 2e-2
    new = FiberTensor.from_dense(tensor[:, 6:])
    assert model.transform(new).shape == (2, 2)
    assert model.score(new) > -0.03
    plain = NonnegativeCP(2, sample_mode=1, random_state=0).fit(FiberTensor.from_dense(tensor))
    assert plain.reconstruction_err_ > 3 * model.reconstruction_err_


def test_rows_on_disk_give_what_rows_in_memory_do(tmp_path):
    values = np.random.default_rng(0).uniform(size=(30, 25)).astype(np.float32)
    np.save(tmp_path / "rows.npy", values)
    index = np.argwhere(np.ones((10, 3)))
    fits = [
        NonnegativeCP(2, background="mean", sample_mode=2, n_init=1, random_state=0).fit(
            FiberTensor(rows, index, (10, 3, 25))
        )
        for rows in (values, RowsOnDisk(tmp_path / "rows.npy", block_bytes=400))
    ]
    np.testing.assert_allclose(fits[0].background_, fits[1].background_, atol=1e-3)
    tensor = FiberTensor(values, index, (10, 3, 25))
    one, two = (model.score(tensor) for model in fits)
    assert one == pytest.approx(two, abs=1e-4)


def test_no_background_is_none_and_time_comes_first():
    assert NonnegativeCP(1, random_state=0).fit(windows()).background_ is None
    with pytest.raises(ValueError, match="time, which is the first mode"):
        NonnegativeCP(2, background="mean", symmetric_modes=(0, 1)).fit(windows().T)


def test_a_fiber_whose_background_is_not_known_is_refused():
    tensor = np.random.default_rng(0).uniform(size=(6, 3, 10))
    tensor[0, 0] = np.nan
    model = NonnegativeCP(1, background="mean", sample_mode=2, random_state=0)
    model.fit(FiberTensor.from_dense(tensor))
    with pytest.raises(ValueError, match="background of some fibers is not known"):
        model.transform(FiberTensor.from_dense(np.ones((6, 3, 4))))


def test_held_out_windows_are_predicted_with_the_background():
    tensor = windows(n_windows=20)
    i, j = np.triu_indices(6, k=1)
    for given, symmetric in ((tensor, (1, 2)), (tensor[:, i, j], None)):
        model = NonnegativeCP(2, background="mean", symmetric_modes=symmetric, random_state=0)
        patterns = _patterns_of(model.fit(given))
        expected = model.background_ if symmetric is None else model.background_[i, j]
        np.testing.assert_allclose(patterns.mean, expected)
        assert patterns.mean.max() > 0


def test_the_pipeline_passes_the_background_on():
    X = np.random.default_rng(0).normal(size=(3, 60, 5))
    options = {"n_components": 2, "n_init": 1, "background": "mean", "random_state": 0}
    model = DynamicConnectome(**options).fit(X)
    assert model.factorization_.background_.shape == (10, 3)
    assert model.transform(X[:2]).shape == (2, 2)
    assert _patterns_of(model).mean.shape == (10,)


def test_ranks_with_a_background_are_chosen_on_blocks_of_time():
    tensor = windows(n_windows=30)
    model = NonnegativeCP(n_init=1, tol=1e-3, background="mean")
    assert select_rank(tensor, [1, 2], n_folds=3, model=model, random_state=0).best_rank == 1
    with pytest.raises(ValueError, match="background"):
        select_rank(tensor, [1, 2], holdout="pair", model=model)


def cohort(seed, n_windows=30):
    """Windows of 83 regions of 6 runs: a global pattern, and communities of 8, 10 and 6."""
    rng = np.random.default_rng(seed)
    members = np.zeros((3, 83))
    members[0, :8] = members[1, 8:18] = members[2, 18:24] = 1
    common = rng.uniform(0.5, 1.0, 83)
    runs = []
    for _ in range(6):
        active = np.zeros((n_windows, 3))
        for k, first in enumerate(rng.integers(n_windows - 15, size=3)):
            active[first : first + 15, k] = 0.5
        noise = np.triu(rng.normal(0, 0.15, (n_windows, 83, 83)), 1)
        runs.append(noise + noise.transpose(0, 2, 1))
        runs[-1] += np.outer(common, common)
        runs[-1] += np.einsum("tk,ki,kj->tij", active, members, members)
    tensor = np.maximum(np.concatenate(runs), 0)
    np.einsum("tii->ti", tensor)[:] = np.nan
    return tensor, members


def precision(model, members):
    """Share of each community among the regions that its best component weights most."""
    order = np.argsort(-model.cp_.factors[1], axis=0)
    hits = [[row[top[: int(row.sum())]].mean() for top in order.T] for row in members]
    return np.max(hits, axis=1).mean()


def test_planted_communities_are_found_beside_a_global_pattern():
    found = {"none": [], "mean": [], "rank-one": []}
    for seed in range(2):
        tensor, members = cohort(seed)
        for kind, values in found.items():
            model = NonnegativeCP(
                3, background=kind, symmetric_modes=(1, 2), n_init=2, random_state=seed
            )
            values.append(precision(model.fit(tensor), members))
    # without a background the global pattern takes one of the three components
    assert np.mean(found["none"]) < 0.9 <= min(np.mean(found[kind]) for kind in KINDS), found
