"""Penalties and weights are chosen on sessions or blocks: exact, and what it is good for."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import Ridge

from neuroml.decoding import (
    CrossSubjectDecoder,
    HierarchicalRidgeDecoder,
    MindBridgeDecoder,
    PrototypeClassifier,
    RidgeDecoder,
)
from neuroml.decoding._held_out_folds import block_folds, held_out_folds, session_folds
from neuroml.decoding._ridge_path import Voxels, decompose
from neuroml.exceptions import DataError


@pytest.mark.parametrize("shape", [(30, 6), (24, 60)], ids=["few voxels", "many voxels"])
@pytest.mark.parametrize("sizes", [(10, 6, 8), (1, 5, 18), (2, 2, 20)])
@pytest.mark.parametrize("several", [False, True], ids=["one penalty", "one for each target"])
def test_left_out_predictions_equal_refitting_without_the_fold(shape, sizes, several):
    rng = np.random.default_rng(0)
    n = sum(sizes)
    X = rng.normal(size=(n, shape[1])) + 2
    y = X[:, :3] @ rng.normal(size=(3, 3)) + rng.normal(size=(n, 3)) - 5
    folds = np.random.default_rng(1).permutation(np.repeat(range(3), sizes))
    odds = np.array([0.3, 1.0, 4.0]) if several else 1.0
    fit = decompose(X - X.mean(axis=0), folds).solve(y, np.array([2.0]), odds)
    for k in range(3):
        rest, out = folds != k, folds == k
        for target, factor in enumerate(np.broadcast_to(odds, 3)):
            model = Ridge(2.0 * factor).fit(X[rest], y[rest, target])
            np.testing.assert_allclose(fit.left_out[out, target], model.predict(X[out]), atol=1e-9)
    np.testing.assert_allclose(fit.errors, np.mean((y - fit.left_out) ** 2), rtol=1e-12)


def test_folds_of_single_samples_are_leave_one_out():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 5)), rng.normal(size=(20, 2))
    one, other = Voxels.of(X), Voxels.of(X, np.arange(20))
    np.testing.assert_array_equal(one.spectrum.solve(y).left_out, other.spectrum.solve(y).left_out)


def alike(seed, n=600, n_units=150, n_targets=1, width=4.0):
    """A slow target in noise that is as slow: neighbors tell each sample, distant samples hardly."""
    rng = np.random.default_rng(seed)

    def slow(columns):
        values = gaussian_filter1d(rng.normal(size=(2 * n, columns)), width, axis=0)
        return values / values.std(axis=0)

    y = slow(n_targets)
    X = 0.05 * y @ rng.normal(size=(n_targets, n_units)) + slow(n_units)
    X += 0.1 * rng.normal(size=X.shape)
    return (X[:n], y[:n]), (X[n:], y[n:])


def test_where_neighbors_are_alike_one_at_a_time_loses_to_the_mean_and_blocks_do_not():
    errors = {"loo": [], "auto": [], "mean": []}
    for seed in range(8):
        train, (X, y) = alike(seed)
        models = {cv: RidgeDecoder(cv=cv).fit(*train) for cv in ("loo", "auto")}
        for name, model in (models | {"mean": DummyRegressor().fit(*train)}).items():
            errors[name].append(
                np.mean((model.predict(X) - y.reshape(model.predict(X).shape)) ** 2)
            )
        assert models["auto"].alpha_[0] > 10 * models["loo"].alpha_[0]
    loo, auto, mean = (np.array(errors[name]) for name in ("loo", "auto", "mean"))
    spread = np.std(auto - mean, ddof=1) / np.sqrt(8)
    assert np.mean(loo) > 1.1 * np.mean(mean)
    assert np.mean(auto) < np.mean(mean) + spread
    assert (auto < loo).all()


@pytest.mark.parametrize(
    "model",
    [RidgeDecoder(), HierarchicalRidgeDecoder(), CrossSubjectDecoder()],
    ids=lambda model: type(model).__name__,
)
def test_every_decoder_of_the_family_chooses_on_sessions(model):
    """As long as all errors were of samples by themselves, sessions changed nothing."""
    (X, y), _ = alike(0, n=120, n_units=30, n_targets=4)
    cohort = {"a": X, "b": X[:, ::2]}, {"a": y, "b": y[:, ::-1]}
    sessions = {s: np.repeat(range(6), 20) for s in "ab"}
    by_session = model.fit(*cohort, sessions=sessions).predict(X, subject="a")
    explicit = model.set_params(cv="sessions").fit(*cohort, sessions=sessions)
    np.testing.assert_allclose(explicit.predict(X, subject="a"), by_session, rtol=1e-9)
    adapted = explicit.adapt(X, y, subject="c", sessions=np.repeat(range(6), 20))
    alone = model.set_params(cv="loo").fit(*cohort, sessions=sessions)
    assert np.abs(alone.predict(X, subject="a") - by_session).max() > 1e-3
    other = alone.adapt(X, y, subject="c")
    assert np.abs(adapted.predict(X, subject="c") - other.predict(X, subject="c")).max() > 1e-3
    in_lists = {s: list(part.reshape(6, 20, -1)) for s, part in cohort[0].items()}
    targets = {s: list(part.reshape(6, 20, -1)) for s, part in cohort[1].items()}
    listed = model.set_params(cv="auto").fit(in_lists, targets).predict(X, subject="a")
    np.testing.assert_allclose(listed, by_session, rtol=1e-9)
    rows = np.vstack([X[:, ::2], X[:, 1::2]])
    stacked = {"sessions": np.tile(sessions["a"], 2), "groups": np.repeat(["a", "b"], 120)}
    pair = model.fit(rows, np.vstack([y, y]), **stacked).predict(rows, groups=stacked["groups"])
    parts = {"a": X[:, ::2], "b": X[:, 1::2]}, {"a": y, "b": y}
    np.testing.assert_allclose(
        pair[:120], model.fit(*parts, sessions=sessions).predict(X[:, ::2], subject="a"), rtol=1e-9
    )


def test_a_linear_embedder_is_chosen_on_sessions_too():
    (X, y), _ = alike(1, n=60, n_units=12, n_targets=3)
    model = MindBridgeDecoder(hidden=8, max_steps=4, random_state=0).fit({"a": X}, {"a": y})
    sessions = np.repeat(range(6), 10)
    by_session = model.adapt(X, y, subject="b", sessions=sessions).predict(X, subject="b")
    interleaved = np.random.default_rng(0).permutation(60)
    other = model.adapt(X[interleaved], y[interleaved], subject="b").predict(X, subject="b")
    assert np.abs(by_session - other).max() > 1e-6


@pytest.mark.parametrize("seed", range(3))
def test_which_folds_auto_takes(seed):
    rng = np.random.default_rng(seed)
    fresh, one = rng.normal(size=(200, 4)), np.zeros(200, dtype=int)
    slow = gaussian_filter1d(fresh, 3, axis=0)
    assert held_out_folds("auto", fresh, one) is None
    assert held_out_folds("auto", slow, one).tolist() == np.repeat(range(5), 40).tolist()
    four = np.repeat(range(4), 50)
    assert held_out_folds("auto", fresh, four) is four
    uneven = np.repeat([0, 1], [150, 50])  # a fit to 50 says little about the penalty of 200
    assert held_out_folds("auto", fresh, uneven) is None
    assert held_out_folds("sessions", fresh, uneven) is uneven
    assert held_out_folds("blocks", fresh, four).tolist() == np.repeat(range(5), 40).tolist()


def test_sessions_that_are_not_there_are_refused():
    X = np.random.default_rng(0).normal(size=(20, 3))
    with pytest.raises(DataError, match='field sessions.*only one session.*cv="blocks"'):
        RidgeDecoder(cv="sessions").fit(X, X)
    with pytest.raises(DataError, match="in the form of X, of the subjects 'a'"):
        RidgeDecoder().fit({"a": X}, {"a": X}, sessions={"b": np.zeros(20)})


def test_blocks_of_classes_leave_out_no_class():
    y = np.eye(3)[np.repeat([0, 1, 2], [20, 10, 15])]
    folds = block_folds(y, 5)
    for k in range(5):
        assert (y[folds != k].sum(axis=0) > 0).all() and (y[folds == k].sum(axis=0) > 0).all()
    assert (np.diff(folds[:20]) >= 0).all()


def test_sessions_are_dealt_whole():
    sessions = np.repeat(range(7), 3)
    folds = session_folds(sessions, 3)
    assert len(np.unique(folds)) == 3
    assert all(len(np.unique(folds[sessions == s])) == 1 for s in range(7))
    assert len(np.unique(session_folds(sessions, 10))) == 7


def test_a_default_grid_goes_on_beyond_its_ends_and_a_given_one_does_not():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 20))
    exact, noise = X @ rng.normal(size=(20, 1)), rng.normal(size=(60, 1))
    with_mean = np.column_stack([X, np.ones(60)])  # nothing of the noise lies in its span
    noise -= with_mean @ np.linalg.lstsq(with_mean, noise)[0]
    grid = decompose(X - X.mean(axis=0)).default_alphas()
    for y, beyond in ((noise, 1), (exact, -1)):
        model = RidgeDecoder().fit(X, y)
        ratio = model.alpha_[0] / grid[-1 if beyond > 0 else 0]
        assert (ratio > 1) == (beyond > 0) and ratio != 1
        assert len(model.alphas_[0]) == len(model.cv_errors_[0]) > len(grid)
        assert (np.diff(model.alphas_[0]) > 0).all()
        assert model.alphas_[0][model.cv_errors_[0].argmin()] == model.alpha_[0]
        given = RidgeDecoder(grid).fit(X, y)
        assert given.alpha_[0] == grid[-1 if beyond > 0 else 0]


def classes_in_runs(seed, n_classes=5, n_runs=6, length=9):
    """Blocks of each class in every run; what drifts slowly is alike within a block."""
    rng = np.random.default_rng(seed)
    patterns = rng.normal(size=(n_classes, 80))
    X, y = [], []
    for _ in range(n_runs):
        for c in rng.permutation(n_classes):
            X.append(0.25 * patterns[c] + rng.normal(size=80) + 0.3 * rng.normal(size=(length, 80)))
            y += [f"class {c}"] * length
    return np.vstack(X), np.array(y), np.repeat(range(n_runs), n_classes * length)


def test_prototypes_find_their_temperature_on_runs():
    """With neighbors on both sides, classes looked certain that were guessed."""
    losses = []
    for seed in range(4):
        X, y, runs = classes_in_runs(seed)
        train = runs < 4
        model = PrototypeClassifier(cv=4).fit(X[train], y[train], sessions=runs[train])
        proba = model.predict_proba(X[~train])
        right = proba[np.arange((~train).sum()), np.searchsorted(model.classes_, y[~train])]
        losses.append(-np.log(right).mean())
    assert np.mean(losses) < np.log(5)
