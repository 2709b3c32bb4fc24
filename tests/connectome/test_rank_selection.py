"""Ranks are chosen on data that nothing in the fit tells."""

import numpy as np
import pytest
import xarray as xr
from tensorly.cp_tensor import CPTensor, cp_to_tensor

from neuroml.connectome import (
    AffinityTensor,
    FiberTensor,
    NonnegativeCP,
    SlidingWindowConnectivity,
    core_consistency,
    select_rank,
)
from neuroml.connectome._holdout import hold_out, layout_of
from neuroml.connectome.rank_selection import _choose

QUICK = NonnegativeCP(n_init=2, tol=1e-3)
NAMES = ("pair", "subject", "time")


def mirrored(windows):
    upper = np.triu(windows)
    return upper + np.triu(windows, 1).swapaxes(1, 2)


def planted(seed, rank=3, shape=(40, 8, 30), noise=0.3):
    rng = np.random.default_rng(seed)
    tensor = cp_to_tensor(CPTensor((None, [rng.gamma(0.3, size=(n, rank)) for n in shape])))
    spread = noise * np.linalg.norm(tensor) / np.sqrt(tensor.size)
    return np.maximum(tensor + spread * rng.standard_normal(shape), 0)


def planted_windows(seed, rank=3, shape=(40, 12), noise=0.3):
    rng = np.random.default_rng(seed)
    courses, units = (rng.gamma(0.3, size=(n, rank)) for n in shape)
    tensor = np.einsum("tr,ir,jr->tij", courses, units, units)
    spread = noise * np.linalg.norm(tensor) / np.sqrt(tensor.size)
    return np.maximum(tensor + spread * mirrored(rng.standard_normal(tensor.shape)), 0)


def windows_of_noise(seed, window=30, stride=5):
    """Correlations of unrelated units: windows overlap, and every pair stands there twice."""
    X = np.random.default_rng(seed).standard_normal((300, 10))
    options = {"negative": "zero", "covariance": "empirical", "vectorize": False}
    return SlidingWindowConnectivity(window, stride=stride, **options).fit_transform(X)


def fibers_of(tensor):
    return FiberTensor.from_dense(tensor, axes=NAMES)


PLANTED = {
    "fiber": lambda seed: fibers_of(planted(seed)),
    "subject": lambda seed: fibers_of(planted(seed)),
    "time_block": lambda seed: planted(seed, shape=(12, 12, 30)),
    "symmetric": planted_windows,
}


@pytest.mark.parametrize("kind", PLANTED)
def test_finds_the_planted_rank(kind):
    found = []
    for seed in range(4):
        holdout = "auto" if kind == "symmetric" else kind
        selection = select_rank(
            PLANTED[kind](seed), range(1, 6), holdout=holdout, n_folds=3, model=QUICK,
            random_state=seed,
        )  # fmt: skip
        found.append(selection.best_rank)
    assert selection.holdout == ("time_block" if kind == "symmetric" else kind)
    assert sum(abs(rank - 3) <= 1 for rank in found) >= 3, found


NOISE = {
    "windows": windows_of_noise,
    "cubic": lambda seed: np.abs(np.random.default_rng(seed).standard_normal((10, 10, 30))),
    "symmetric": lambda seed: mirrored(np.random.default_rng(seed).uniform(size=(30, 10, 10))),
    "subjects": lambda seed: fibers_of(np.random.default_rng(seed).uniform(size=(30, 5, 20))),
}


@pytest.mark.parametrize("kind", NOISE)
def test_noise_has_one_component(kind):
    found = [
        select_rank(NOISE[kind](seed), range(1, 4), model=QUICK, random_state=seed).best_rank
        for seed in range(4)
    ]
    assert max(found) <= 2 and found.count(1) >= 3, found


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


def places_of(layout, fold):
    """The entries of a tensor that a fold leaves out (n_fibers, length)."""
    out = np.zeros(layout.tensor.values.shape, dtype=bool)
    if fold.mode is None:
        out[fold.fibers] = True
    elif fold.mode == layout.tensor.ndim - 1:
        out[:, fold.test] = True
    else:
        out[np.isin(layout.tensor.index[:, fold.mode], fold.test)] = True
    return out


@pytest.mark.parametrize("holdout", ["fiber", "time_block", "subject"])
def test_every_value_is_left_out_once(holdout):
    layout = layout_of(fibers_of(planted(0)), None, None)
    folds, _ = hold_out(layout, holdout, 4, 2, None, np.random.default_rng(0))
    assert (sum(places_of(layout, fold).astype(int) for fold in folds) == 1).all()


@pytest.mark.parametrize("holdout", ["pair", "time_block"])
def test_both_entries_of_a_pair_are_held_out_together(holdout):
    layout = layout_of(planted_windows(0), None, None)
    assert layout.symmetric and layout.tensor.shape == (12, 12, 40)
    folds, _ = hold_out(layout, holdout, 4, 3, None, np.random.default_rng(0))
    for fold in folds:
        out = np.zeros((12, 12), dtype=bool)
        out[tuple(layout.tensor.index[fold.fibers].T)] = True
        np.testing.assert_array_equal(out, out.T)
        assert out.any() and not out.all()


@pytest.mark.parametrize("holdout", ["fiber", "time_block", "subject"])
@pytest.mark.parametrize(
    "options", [{"directed": True}, {"opposite": "separate"}, {"directed": True, "implicit": True}]
)
def test_both_directions_and_signs_of_a_pair_are_held_out_together(options, holdout):
    X = np.random.default_rng(0).normal(size=(3, 40, 5))
    affinity = AffinityTensor(**options)
    layout = layout_of(affinity.fit_transform(X), None, None)
    folds, _ = hold_out(layout, holdout, 3, 2, None, np.random.default_rng(0))
    pairs = np.sort(affinity.pairs_, axis=1)
    for fold in folds:
        found = {}
        for (row, subject), out in zip(layout.tensor.index, fold.fibers, strict=True):
            found.setdefault((*pairs[row], subject), set()).add(bool(out))
        assert len(found) == 30 and all(len(one) == 1 for one in found.values())
        assert fold.fibers.any() and not fold.fibers.all()


def test_blocks_of_time_keep_their_distance_to_what_is_fitted():
    layout = layout_of(planted_windows(0), None, None)
    folds, reach = hold_out(layout, "time_block", 4, 3, None, np.random.default_rng(0))
    assert reach == 3
    for fold in folds:
        assert np.abs(fold.train[:, None] - fold.test).min() == 4


def test_the_gap_is_what_windows_share():
    # windows of 30 samples every 5 share samples with 5 neighbors on either side; the estimate
    # from 55 windows may miss the last of them, which share 5 samples
    gaps = [
        select_rank(windows_of_noise(seed), [1], n_folds=3, model=QUICK).gap for seed in range(2)
    ]
    assert min(gaps) >= 4 and max(gaps) <= 7, gaps
    apart = select_rank(windows_of_noise(0, stride=30), [1], n_folds=2, model=QUICK)
    assert apart.gap <= 1


def test_the_order_of_modes_and_the_forms_of_a_tensor_do_not_matter():
    windows = planted_windows(1, shape=(24, 8))
    options = {"model": QUICK, "n_folds": 3, "gap": 1, "random_state": 0}
    expected = select_rank(windows, [1, 2], **options).folds
    last = np.moveaxis(windows, 0, -1)
    named = xr.DataArray(last, dims=("region", "other", "time"))
    for given, more in (
        (last, {}),
        (last, {"time_mode": 2}),
        (named, {}),
        (FiberTensor.from_dense(windows), {}),
        (windows, {"time_mode": 0}),
    ):
        np.testing.assert_allclose(select_rank(given, [1, 2], **options, **more).folds, expected)
    symmetric = NonnegativeCP(n_init=2, tol=1e-3, symmetric_modes=(1, 2))
    options["model"] = symmetric
    np.testing.assert_allclose(select_rank(windows, [1, 2], **options).folds, expected)


def test_the_diagonal_of_correlations_is_no_observation():
    windows = windows_of_noise(0)
    assert (np.einsum("tii->ti", windows) == 1).all()
    without = windows.copy()
    np.einsum("tii->ti", without)[:] = np.nan
    both = [select_rank(w, [1, 2], model=QUICK, random_state=0).folds for w in (windows, without)]
    np.testing.assert_array_equal(*both)


def test_groups_say_which_windows_are_of_one_subject():
    windows = planted_windows(0, shape=(36, 8))
    groups = np.repeat(["a", "b", "c"], 12)
    selection = select_rank(windows, [1, 2], groups=groups, model=QUICK, random_state=0)
    assert selection.holdout == "subject" and selection.folds.shape == (2, 3)
    layout = layout_of(windows, None, None)
    folds, _ = hold_out(layout, "subject", 5, None, groups, np.random.default_rng(0))
    for fold in folds:
        assert set(groups[fold.train]).isdisjoint(groups[fold.test])


def test_pairs_that_one_subject_alone_has_are_not_asked_for():
    tensor = planted(0, shape=(20, 4, 30))
    tensor[:3, 1:] = np.nan
    selection = select_rank(fibers_of(tensor), [1, 2], model=QUICK, random_state=0)
    assert selection.holdout == "subject" and np.isfinite(selection.folds).all()


def test_the_smallest_rank_within_a_standard_error_is_chosen():
    folds = np.array([[0.9, 0.9, 0.9], [0.51, 0.49, 0.53], [0.5, 0.5, 0.5], [0.6, 0.6, 0.6]])
    assert _choose(folds) == 1


def test_one_subject_is_judged_by_blocks_of_time():
    one = fibers_of(planted(0, shape=(20, 1, 30)))
    selection = select_rank(one, [1, 2], n_folds=3, model=QUICK, random_state=0)
    assert selection.holdout == "time_block"


CUBE = planted(0, shape=(8, 8, 8))
TWICE_SYMMETRIC = sum(CUBE.transpose(order) for order in
                      [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])  # fmt: skip


@pytest.mark.parametrize(
    ("tensor", "options", "message"),
    [
        (fibers_of(planted(0, shape=(20, 1, 15))), {"holdout": "fiber"}, "at least two subjects"),
        (planted(0), {"holdout": "pairs"}, "'subject'.*'fiber'"),
        (planted(0), {"holdout": "pair"}, "can be exchanged"),
        (planted(0), {"holdout": "subject"}, "axis called subject"),
        (fibers_of(planted(0, shape=(20, 1, 15))), {"holdout": "subject"}, "two subjects"),
        (planted_windows(0), {"holdout": "fiber"}, "one entry of a pair tells the other"),
        (planted_windows(0), {"time_mode": 1}, "one of two symmetric modes"),
        (planted(0), {"time_mode": 3}, "no such mode"),
        (fibers_of(planted(0)), {"time_mode": 0}, "along its last mode"),
        (TWICE_SYMMETRIC, {}, "several pairs of modes are symmetric"),
        (planted_windows(0), {"gap": 20}, "leave nothing to fit"),
        (planted_windows(0), {"gap": -1}, "gap"),
        (planted_windows(0), {"n_folds": 1}, "n_folds"),
        (planted_windows(0), {"n_folds": 50}, "n_folds"),
        (planted_windows(0), {"groups": np.zeros(40)}, "groups do not say"),
        (planted_windows(0), {"groups": np.arange(3)}, "groups do not say"),
    ],
)  # fmt: skip
def test_what_cannot_be_held_out_is_refused(tensor, options, message):
    with pytest.raises(ValueError, match=message):
        select_rank(tensor, [1, 2], model=QUICK, **options)
