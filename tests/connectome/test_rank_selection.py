import numpy as np
import pytest
from tensorly.cp_tensor import CPTensor, cp_to_tensor

from neuroml.connectome import FiberTensor, NonnegativeCP, core_consistency, select_rank
from neuroml.connectome.rank_selection import _choose, _folds
from neuroml.exceptions import DataError

QUICK = NonnegativeCP(n_init=3, tol=1e-4)


def planted(seed, rank=3, shape=(60, 10, 40), noise=0.3):
    rng = np.random.default_rng(seed)
    tensor = cp_to_tensor(CPTensor((None, [rng.gamma(0.3, size=(n, rank)) for n in shape])))
    spread = noise * np.linalg.norm(tensor) / np.sqrt(tensor.size)
    return np.maximum(tensor + spread * rng.standard_normal(shape), 0)


@pytest.mark.parametrize("holdout", ["fiber", "time_block"])
def test_finds_the_planted_rank(holdout):
    found = [
        select_rank(
            planted(seed), range(1, 6), holdout=holdout, n_folds=3, model=QUICK, random_state=seed
        ).best_rank
        for seed in range(4)
    ]
    assert sum(abs(rank - 3) <= 1 for rank in found) >= 3, found


def test_a_core_of_the_right_rank_is_superdiagonal_and_of_one_too_many_is_not():
    tensor = planted(0, noise=0.05)
    fits = {
        rank: NonnegativeCP(rank, random_state=0, max_iter=2000, ridge=0).fit(tensor).cp_
        for rank in (3, 5)
    }
    assert core_consistency(fits[3], tensor) > 90 > core_consistency(fits[5], tensor)


def test_core_consistency_is_that_of_the_least_squares_core():
    tensor = planted(0, rank=2, shape=(6, 5, 8), noise=0.5)
    cp = NonnegativeCP(2, random_state=0).fit(tensor).cp_
    factors = [cp.factors[0] * cp.weights, *cp.factors[1:]]
    design = np.einsum("ia,jb,kc->ijkabc", *factors).reshape(tensor.size, 8)
    core = np.linalg.lstsq(design, tensor.ravel(), rcond=None)[0].reshape(2, 2, 2)
    ideal = np.zeros((2, 2, 2))
    ideal[0, 0, 0] = ideal[1, 1, 1] = 1
    expected = 100 * (1 - np.sum((core - ideal) ** 2) / 2)
    assert core_consistency(cp, tensor) == pytest.approx(expected)


def test_core_consistency_is_nan_where_a_mode_is_smaller_than_the_rank():
    tensor = planted(0, shape=(20, 2, 15))
    assert np.isnan(core_consistency(NonnegativeCP(3, random_state=0).fit(tensor).cp_, tensor))


@pytest.mark.parametrize("holdout", ["fiber", "time_block"])
def test_every_value_is_left_out_once(holdout):
    tensor = FiberTensor.from_dense(planted(0))
    masks = _folds(tensor, tensor.values, holdout, 4, np.random.default_rng(0))
    times = sum(np.broadcast_to(mask, tensor.values.shape).astype(int) for mask in masks)
    assert (times == 1).all()


def test_the_smallest_rank_within_a_standard_error_is_chosen():
    folds = np.array([[0.9, 0.9, 0.9], [0.51, 0.49, 0.53], [0.5, 0.5, 0.5], [0.6, 0.6, 0.6]])
    assert _choose(folds) == 1


def test_one_subject_leaves_nothing_to_leave_out():
    with pytest.raises(DataError, match="at least two subjects"):
        select_rank(planted(0, shape=(20, 1, 15)), [1, 2])
    with pytest.raises(ValueError, match="'fiber' or 'time_block'"):
        select_rank(planted(0), [1, 2], holdout="pairs")
