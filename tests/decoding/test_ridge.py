"""RidgeDecoder against scikit-learn, against refitting, and under changes that must not matter."""

import numpy as np
import pytest
from sklearn import config_context
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.model_selection import KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neuroml.decoding import RidgeDecoder
from neuroml.decoding._ridge_path import decompose
from neuroml.exceptions import DataError

ALPHAS = np.geomspace(1e-2, 1e4, 20)


def problem(seed, n=60, v=40, d=5):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, v)) * rng.uniform(0.5, 5, v) + rng.uniform(-3, 3, v)
    y = X @ rng.standard_normal((v, d)) * 0.1 + rng.standard_normal((n, d)) + 2
    return X, y


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", [(60, 40), (40, 120)])
def test_same_penalty_and_predictions_as_scikit_learn(seed, shape):
    X, y = problem(seed, *shape)
    ours = RidgeDecoder(ALPHAS).fit(X, y)
    theirs = make_pipeline(StandardScaler(), RidgeCV(ALPHAS)).fit(X, y)
    assert ours.alpha_[0] == theirs[-1].alpha_
    new = np.random.default_rng(9).standard_normal(X.shape)
    np.testing.assert_allclose(ours.predict(new), theirs.predict(new), atol=1e-8)


@pytest.mark.parametrize("shape", [(15, 6), (12, 30)])
def test_left_out_predictions_equal_refitting_without_the_sample(shape):
    X, y = problem(0, *shape)
    X = X - X.mean(axis=0)
    fit = decompose(X).solve(y, np.array([3.0]))
    for i in range(len(X)):
        rest = np.arange(len(X)) != i
        refitted = Ridge(3.0).fit(X[rest], y[rest])
        np.testing.assert_allclose(fit.left_out[i], refitted.predict(X[[i]])[0], atol=1e-8)


def test_odds_are_factors_on_the_penalty_of_each_target():
    X, y = problem(1)
    X = X - X.mean(axis=0)
    odds = np.array([0.1, 1.0, 2.0, 5.0, 10.0])
    together = decompose(X).solve(y, np.array([7.0]), odds)
    for k, factor in enumerate(odds):
        alone = decompose(X).solve(y[:, [k]], np.array([7.0 * factor]))
        np.testing.assert_allclose(together.weights[:, [k]], alone.weights, atol=1e-10)
        np.testing.assert_allclose(together.left_out[:, [k]], alone.left_out, atol=1e-10)


def test_subjects_are_fitted_apart_whatever_form_they_come_in():
    (X1, y1), (X2, y2) = problem(0), problem(1, n=50, v=25)
    cohort = RidgeDecoder().fit({"a": X1, "b": X2}, {"a": y1, "b": y2})
    alone = RidgeDecoder().fit(X2, y2)
    listed = RidgeDecoder().fit([X1, X2], [y1, y2])
    rows = np.empty(110, dtype=object)
    rows[:] = [*X1, *X2]
    groups = np.repeat(["a", "b"], [60, 50])
    stacked = RidgeDecoder().fit(rows, np.vstack([y1, y2]), groups=groups)
    expected = alone.predict(X2)
    np.testing.assert_allclose(cohort.predict(X2, subject="b"), expected)
    np.testing.assert_allclose(listed.predict([X1, X2])[1], expected)
    np.testing.assert_allclose(stacked.predict(rows, groups=groups)[60:], expected)
    np.testing.assert_allclose(cohort.adapt(X2, y2, subject="c").predict(X2, subject="c"), expected)
    assert set(cohort.coef_) == {"a", "b"}


def test_scikit_learn_splitters_over_rows_of_unequal_length():
    (X1, y1), (X2, y2) = problem(0), problem(1, n=50, v=25)
    rows = np.empty(110, dtype=object)
    rows[:] = [*X1, *X2]
    groups = np.repeat(["a", "b"], [60, 50])
    with config_context(enable_metadata_routing=True):
        scores = cross_val_score(
            RidgeDecoder(),
            rows,
            np.vstack([y1, y2]),
            cv=KFold(5, shuffle=True, random_state=0),
            params={"groups": groups},
        )
    assert scores.shape == (5,) and np.isfinite(scores).all()


def test_scale_and_offset_of_voxels_do_not_matter():
    X, y = problem(2)
    factor, offset = np.random.default_rng(0).uniform(0.1, 10, (2, X.shape[1]))
    one, other = RidgeDecoder().fit(X, y), RidgeDecoder().fit(X * factor + offset, y)
    np.testing.assert_allclose(one.predict(X), other.predict(X * factor + offset), atol=1e-8)


def test_rank_bounds_the_dimensions_of_the_predictions():
    X, y = problem(3)
    predicted = RidgeDecoder(rank=2).fit(X, y).predict(X)
    assert np.linalg.matrix_rank(predicted - predicted.mean(axis=0), tol=1e-8) == 2
    full, all_of_them = RidgeDecoder().fit(X, y), RidgeDecoder(rank=5).fit(X, y)
    np.testing.assert_allclose(full.predict(X), all_of_them.predict(X), atol=1e-10)


def test_one_dimensional_targets_stay_so():
    X, y = problem(4)
    assert RidgeDecoder().fit(X, y[:, 0]).predict(X).shape == (60,)


def test_penalties_must_be_positive():
    with pytest.raises(DataError, match="alphas > 0"):
        RidgeDecoder([1.0, -1.0]).fit(*problem(0))
