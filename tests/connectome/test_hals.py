"""The engine against brute force: layouts, masks, penalties, back ends."""

from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.optimize import nnls

from neuroml.connectome import FiberTensor, _kernels, _torch_kernels
from neuroml.connectome._factors import nonnegative_loadings, random_factors
from neuroml.connectome._hals import Penalty, factorize, normal_equations, update_all
from neuroml.connectome._packed import pack
from neuroml.connectome._problem import build_problem

NONE = Penalty()
ALL = Penalty(ridge=0.05, sparsity=0.3, smoothness=0.2)


def problem_of(tensor, symmetric=None, penalty=NONE, kernels=_kernels, dtype="float64"):
    packed = pack(tensor, symmetric)
    return build_problem(packed, penalty, dtype=dtype, kernels=kernels), packed


def start_of(tensor, rank=3, seed=0):
    return random_factors(tensor.shape, rank, 5.0, np.random.default_rng(seed))


def sweeps(problem, packed, start, n=4):
    """Factors in the order of the tensor's modes after some sweeps, and the losses."""
    factors, losses = [problem.kernels.array(start[k]) for k in packed.order], []
    for _ in range(n):
        ((factors, loss),) = update_all(problem, [factors])
        losses.append(loss)
    arrays = [problem.kernels.to_numpy(factor) for factor in factors]
    return [arrays[k] for k in np.argsort(packed.order)], losses


def objective(tensor, factors, order, penalty):
    """The documented objective, term by term."""
    model = np.einsum("ir,jr,kr->ijk", *factors)
    residual = (tensor - model)[~np.isnan(tensor)]
    energy = np.prod([(f**2).sum(0) for f in factors], axis=0)
    mass = np.prod([f.sum(0) for f in factors], axis=0)
    last = factors[order[-1]]
    rough = ((last[1:] - last[:-1]) ** 2).sum(0) * energy / (last**2).sum(0)
    penalties = penalty.ridge * energy + penalty.sparsity * mass + penalty.smoothness * rough
    return residual @ residual + penalties.sum()


def symmetric_tensor(seed=0, diagonal=True):
    rng = np.random.default_rng(seed)
    tensor = rng.uniform(size=(7, 7, 9))
    tensor += tensor.transpose(1, 0, 2)
    if not diagonal:
        tensor[np.arange(7), np.arange(7)] = np.nan
    return tensor


def missing(pattern, tensor, seed=0):
    """NaN in the places of a pattern, none of which hides an index altogether."""
    rng = np.random.default_rng(seed)
    tensor = tensor.copy()
    if pattern == "fibers":
        tensor[rng.uniform(size=tensor.shape[:2]) < 0.4] = np.nan
    elif pattern == "entries":
        tensor[rng.uniform(size=tensor.shape) < 0.4] = np.nan
    elif pattern == "fibers of the first mode":
        tensor[:, rng.uniform(size=tensor.shape[1:]) < 0.4] = np.nan
    elif pattern == "block":
        tensor[:3, :, :4] = np.nan
    elif pattern == "fibers and entries":
        tensor[rng.uniform(size=tensor.shape[:2]) < 0.2] = np.nan
        tensor[rng.uniform(size=tensor.shape) < 0.2] = np.nan
    return tensor


PATTERNS = ("none", "fibers", "entries", "fibers of the first mode", "block", "fibers and entries")


@pytest.mark.parametrize("diagonal", [True, False])
@pytest.mark.parametrize("penalty", [NONE, ALL])
def test_packed_symmetric_iterates_are_those_of_the_whole_tensor(diagonal, penalty):
    tensor = symmetric_tensor(diagonal=diagonal)
    start = start_of(tensor)
    whole, whole_losses = sweeps(*problem_of(tensor, None, penalty), start)
    packed, packed_losses = sweeps(*problem_of(tensor, (0, 1), penalty), start)
    for a, b in zip(whole, packed, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(whole_losses, packed_losses, rtol=1e-10)


def test_packed_symmetric_keeps_half_of_the_rows():
    _, packed = problem_of(symmetric_tensor(), (0, 1))
    assert packed.values.shape == (28, 9)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("mode", range(3))
def test_a_mode_given_the_others_is_brute_force_weighted_least_squares(pattern, mode):
    rng = np.random.default_rng(1)
    tensor = missing(pattern, rng.uniform(size=(6, 5, 8)))
    factors = start_of(tensor)
    problem, packed = problem_of(tensor)
    wanted, gram = normal_equations(
        problem, [factors[k] for k in packed.order], packed.order.index(mode)
    )
    found = nonnegative_loadings(wanted, gram)
    others = [factors[k] for k in range(3) if k != mode]
    design = np.einsum("ar,br->abr", *others).reshape(-1, 3)
    for row, data in zip(found, np.moveaxis(tensor, mode, 0), strict=True):
        seen = ~np.isnan(data.ravel())
        np.testing.assert_allclose(row, nnls(design[seen], data.ravel()[seen])[0], atol=1e-8)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("penalty", [NONE, ALL])
@pytest.mark.parametrize("kernels", [_kernels, _torch_kernels])
def test_loss_is_the_objective_and_never_rises(pattern, penalty, kernels):
    for seed in range(3):
        tensor = missing(pattern, np.random.default_rng(seed).uniform(size=(6, 5, 8)), seed)
        problem, packed = problem_of(tensor, None, penalty, kernels)
        start = start_of(tensor, seed=seed)
        factors, losses = sweeps(problem, packed, start, 12)
        assert losses[-1] == pytest.approx(objective(tensor, factors, packed.order, penalty))
        assert losses[0] <= objective(tensor, start, packed.order, penalty)
        assert (np.diff(losses) <= 1e-12 * losses[0]).all()


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_torch_gives_the_same_iterates(pattern, dtype):
    tensor = missing(pattern, np.random.default_rng(2).uniform(size=(6, 5, 8)))
    start = start_of(tensor)
    results = [
        sweeps(*problem_of(tensor, None, ALL, kernels, dtype), start)[0]
        for kernels in (_kernels, _torch_kernels.on_device(torch.device("cpu")))
    ]
    tolerance = 1e-9 if dtype == "float64" else 1e-4
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("rank", [1, 2, 3, 5, 30])
@pytest.mark.parametrize("shape", [(3, 1, 2), (19, 3, 33), (4, 5, 17)])
def test_kernels_at_odd_sizes(rank, shape):
    tensor = np.random.default_rng(0).uniform(size=shape)
    start = start_of(tensor, rank)
    for kernels in (_kernels, _torch_kernels):
        factors, losses = sweeps(*problem_of(tensor, kernels=kernels), start, 2)
        model = np.einsum("ir,jr,kr->ijk", *factors)
        expected = np.sum((tensor - model) ** 2)
        assert losses[-1] == pytest.approx(expected, abs=1e-9 * np.sum(tensor**2))


def test_four_modes():
    rng = np.random.default_rng(0)
    tensor = rng.uniform(size=(4, 3, 5, 6))
    tensor[1, 2] = np.nan
    problem, packed = problem_of(tensor)
    factors, losses = sweeps(problem, packed, start_of(tensor), 20)
    model = np.einsum("ir,jr,kr,lr->ijkl", *factors)
    assert losses[-1] == pytest.approx(np.nansum((tensor - model) ** 2))
    assert (np.diff(losses) <= 1e-12 * losses[0]).all()


def test_restarts_in_lockstep_are_those_one_by_one():
    tensor = missing("fibers", np.random.default_rng(0).uniform(size=(8, 6, 10)))
    problem, _ = problem_of(tensor)
    starts = [start_of(tensor, seed=seed) for seed in range(9)]
    together = factorize(problem, starts, max_iter=300, tol=1e-8)
    for start, one in zip(starts, together, strict=True):
        (alone,) = factorize(problem, [start], max_iter=300, tol=1e-8)
        assert one.objective == pytest.approx(alone.objective, abs=1e-6)


def test_iterations_end_where_an_update_changes_nothing():
    tensor = np.random.default_rng(0).uniform(size=(8, 6, 10))
    problem, _ = problem_of(tensor)
    (found,) = factorize(problem, [start_of(tensor)], max_iter=5000, tol=1e-13)
    factors = found.state.factors
    for mode in range(3):
        wanted, gram = normal_equations(problem, factors, mode)
        best = nonnegative_loadings(wanted, gram)
        np.testing.assert_allclose(factors[mode], best, atol=1e-3)


def test_every_small_mask_of_fibers():
    """All ways to miss two of six fibers: the fit never reads them."""
    dense = np.random.default_rng(0).uniform(size=(3, 2, 4))
    for gone in combinations(range(6), 2):
        tensor = dense.copy()
        tensor.reshape(6, 4)[list(gone)] = np.nan
        if np.isnan(tensor).all(axis=(1, 2)).any() or np.isnan(tensor).all(axis=(0, 2)).any():
            continue
        given = FiberTensor.from_dense(tensor)
        start = start_of(tensor, 2)
        (a, _), (b, _) = (sweeps(*problem_of(one), start) for one in (tensor, given))
        model = np.einsum("ir,jr,kr->ijk", *a)
        problem, packed = problem_of(tensor)
        losses = sweeps(problem, packed, start)[1]
        assert losses[-1] == pytest.approx(np.nansum((tensor - model) ** 2))
        for first, second in zip(a, b, strict=True):
            np.testing.assert_allclose(first, second, rtol=1e-9)
