import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold

from neuroml.decoding import RidgeDecoder
from neuroml.evaluation import BlockedKFold, Evaluation, evaluate
from neuroml.evaluation._layouts import Rows
from neuroml.evaluation.nulls import n_orders, reorder, surrogate
from neuroml.exceptions import DataError
from neuroml.switching import SwitchingGLM

TABLE = ["model", "subject", "fold", "scoring", "value", "fit_seconds", "converged"]


class Sums(RegressorMixin, BaseEstimator):
    """Weights without any fit: sums of products, so that scores of folds can be worked out."""

    def fit(self, X, y):
        self.weights_ = X.T @ y
        return self

    def predict(self, X):
        return X @ self.weights_


def product(model, X, y):
    return float(model.predict(X) @ y)


def test_folds_that_train_on_each_other_are_fitted_to_every_permutation():
    """With products a_i = x_i y_i the score is the sum over folds j != k of a_j a_k, each twice.

    Its standard deviation is sqrt(2) times that of predictions that stay.
    """
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 3)), rng.normal(size=60)
    found = evaluate(
        Sums(), X, y, cv=KFold(3), baselines=None, scoring={"product": product},
        null="permutation", n_permutations=300, random_state=0,
    )  # fmt: skip
    scores = []
    for _ in range(300):
        a = X * rng.permutation(y)[:, None]
        folds = a.reshape(3, 20, 3).sum(axis=1)
        total = folds.sum(axis=0)
        scores.append((total @ total - (folds**2).sum()) / 3)
    null = found.null_["product"]["Sums"]
    assert stats.ks_2samp(null, scores).pvalue > 0.001
    # three standard errors of a ratio of standard deviations of 300 draws each
    assert abs(np.std(null) / np.std(scores) - 1) < 3 / np.sqrt(300)


def test_predictions_stay_where_nothing_that_is_tested_trains():
    fits = []

    class Counted(Ridge):
        def fit(self, X, y):
            fits.append(1)
            return super().fit(X, y)

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 2)), rng.normal(size=40)
    one = [(np.arange(20), np.arange(20, 40))]
    evaluate(Counted(), X, y, cv=one, baselines=None, null="permutation", n_permutations=9)
    assert len(fits) == 1
    evaluate(Counted(), X, y, cv=2, baselines=None, null="permutation", n_permutations=9)
    assert len(fits) == 1 + 2 * 10


def test_subjects_that_are_left_out_in_turn_are_fitted_anew():
    rng = np.random.default_rng(0)
    X = {s: rng.normal(size=(30, 4)) for s in "ab"}
    y = {s: rng.normal(size=(30, 2)) for s in "ab"}
    found = evaluate(RidgeDecoder(), X, y, cv=3, null="permutation", n_permutations=4)
    assert np.ptp(found.null_["correlation"]["RidgeDecoder"]) > 0
    assert "baseline: ridge" not in set(found.table_["model"])  # the model itself


def test_turns_have_no_turn_among_them_so_that_short_sessions_are_not_significant():
    """12 samples have 11 turns of a tenth or more: the best of 12 orders is p = 1/12, not 1/2000."""
    sessions = np.zeros(12, dtype=int)
    rng = np.random.default_rng(0)
    orders = [tuple(reorder("circular-shift", sessions, rng)) for _ in range(1200)]
    assert n_orders("circular-shift", sessions) == len(set(orders)) == 12
    stays = orders.count(tuple(range(12)))
    assert stats.binomtest(stays, 1200, 1 / 12).pvalue > 0.001
    y = np.zeros(24)
    y[18] = 1.0
    X = np.column_stack([y, y])
    cv = [(np.r_[0:12], np.r_[12:24])]
    with pytest.warns(UserWarning, match="only 144 orders by null='circular-shift'"):
        found = evaluate(
            {"truth": Truth()}, X, y, cv=cv, sessions=np.repeat([0, 1], 12), baselines=None,
            null="circular-shift", n_permutations=400, scoring={"product": product},
        )  # fmt: skip
    assert found.summary()["p"].item() > 1 / 24


class Truth(Sums):
    def predict(self, X):
        return X[:, 0]


def test_sessions_of_one_sample_have_one_order():
    X, y = np.random.default_rng(0).normal(size=(2, 20, 1))
    with pytest.warns(UserWarning, match="only 1 orders"):
        found = evaluate(
            Ridge(), X, y.ravel(), sessions=np.arange(20), baselines=None, null="permutation"
        )
    assert found.summary()["p"].item() == 1


def test_numbers_of_orders():
    sessions = np.repeat([0, 1], [3, 4])
    assert n_orders("permutation", sessions) == pytest.approx(math.factorial(3) * 24)
    assert n_orders("circular-shift", sessions) == pytest.approx(12)
    assert n_orders("permutation", np.zeros(1000, dtype=int)) == math.inf


@pytest.mark.parametrize("kind", ["permutation", "circular-shift"])
def test_surrogates_of_inputs_and_targets_break_their_pairs_within_sessions(kind):
    sessions = np.repeat([0, 1], 20)
    rows = Rows(np.arange(40.0)[:, None], np.arange(40), sessions)
    found = surrogate(kind, rows, np.random.default_rng(1))
    moved, kept = found.y, found.X.ravel()
    if kind == "circular-shift":  # targets keep their course
        moved, kept = kept, moved
        assert all(b - a in (1, -19) for a, b in pairwise(moved[:20]))
    assert (kept == rows.y).all() and (moved != rows.y).any()
    assert all(set(moved[part]) == set(rows.y[part]) for part in (sessions == 0, sessions == 1))


def test_targets_that_are_followed_in_time_keep_their_course():
    """A session that is turned has a jump, which a chain of states pays for: inputs are turned."""
    y = np.repeat([0, 1, 0, 1], 30)
    X = np.random.default_rng(0).normal(size=(120, 1))
    model = SwitchingGLM(2, n_init=1, max_iter=50, emission_columns=[])  # hears nothing of X
    for cv in (2, [(np.arange(60), np.arange(60, 120))]):  # with and without new fits
        found = evaluate(
            model, X, y, cv=cv, baselines=None, null="default", n_permutations=9,
            scoring="log_likelihood", random_state=0,
        )  # fmt: skip
        null = found.null_["log_likelihood"]["SwitchingGLM"]
        assert null == pytest.approx(found.summary()["mean"].item(), abs=1e-6)


def test_predictions_turn_with_the_inputs():
    X = np.random.default_rng(0).normal(size=(40, 1))
    cv = [(np.arange(20), np.arange(20, 40))]
    options = {"cv": cv, "null": "circular-shift", "n_permutations": 20, "baselines": None}
    found = evaluate({"m": Ridge()}, X, X.ravel(), scoring=["r2", "correlation"], **options)
    null = found.null_["correlation"]["m"]
    draws = [  # a line's correlation is that of its input, whichever of the two is turned
        np.corrcoef(X[20:, 0], np.roll(X[20:, 0], k))[0, 1] for k in [0, *range(2, 19)]
    ]
    assert all(np.isclose(draws, value, atol=1e-9).any() for value in null)
    assert found.summary()["p"].item() <= (1 + (null > 1 - 1e-9).sum()) / 21 + 1e-9


def test_a_surrogate_that_cannot_be_fitted_counts_against_significance():
    """Some permutations leave one class to train on."""
    y = np.array([1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0])
    X = 5.0 * y[:, None] + np.random.default_rng(0).normal(size=(12, 1))
    with pytest.warns(UserWarning, match="surrogates of fold .* count against its significance"):
        found = evaluate(
            {"model": LogisticRegression()}, X, y, cv=[(np.arange(6), np.arange(6, 12)),
            (np.arange(6, 12), np.arange(6))], baselines=None, null="permutation",
            n_permutations=60, random_state=0,
        )  # fmt: skip
    null = found.null_["score"]["model"]
    assert np.isnan(null).any()
    expected = (
        1 + np.isnan(null).sum() + (null >= found.summary()["mean"].item() - 1e-12).sum()
    ) / 61
    assert found.summary()["p"].item() == pytest.approx(expected)


def table(values):
    rows = [
        (name, "", fold, "score", value, 0.0, None)
        for name, own in values.items()
        for fold, value in enumerate(own)
    ]
    return Evaluation(pd.DataFrame(rows, columns=TABLE), {}, 0.25).summary().set_index("model")


def test_models_are_compared_on_the_same_folds():
    """A model that has no score for a hard fold must not look better for it."""
    found = table({"model": [3.0, np.nan, 3.0], "baseline: a": [3.0, 0.0, 3.0]})
    assert np.isnan(found.loc["model", "mean"]) and np.isnan(found.loc["model", "difference"])
    assert found.loc["baseline: a", "mean"] == 2
    found = table({"model": [3.0, np.nan], "baseline: a": [2.0, np.nan]})
    assert found.loc["model", "mean"] == 3 and found.loc["model", "difference"] == 1
    found = table({"model": [3.0, 1.0], "baseline: a": [4.0, np.nan], "baseline: b": [1.0, 1.0]})
    assert found.loc["model", "difference"] == 1  # to b: a has no comparable mean


def test_scores_that_are_missing_are_told():
    X, y = np.random.default_rng(0).normal(size=(2, 30, 1))

    def second_fold_missing(model, X, y):
        return np.nan if len(y) == 20 else 1.0

    cv = [(np.arange(20), np.arange(20, 30)), (np.arange(20, 30), np.arange(20))]
    with pytest.warns(UserWarning, match="1 of 2 scores are NaN"):
        found = evaluate(
            Ridge(), X, y.ravel(), cv=cv, baselines=None, scoring=second_fold_missing,
            null="permutation", n_permutations=3,
        )  # fmt: skip
    assert found.summary()["p"].item() == 1  # the mean of the null, too, is of the first fold


FOLDS = {
    "overlap": [(np.arange(30), np.arange(29, 40))],
    "twice": [(np.arange(20), np.array([30, 30]))],
    "empty": [(np.arange(20), np.arange(0))],
    "outside": [(np.arange(20), np.array([40]))],
    "negative": [(np.arange(20), np.array([-1]))],
    "a mask too short": [(np.arange(20) < 9, np.arange(40) > 20)],
}


@pytest.mark.parametrize("name", FOLDS)
def test_folds_that_are_none_are_refused(name):
    X, y = np.random.default_rng(0).normal(size=(2, 40, 1))
    with pytest.raises(DataError, match=r"field cv: .* fold 0"):
        evaluate(Ridge(), X, y.ravel(), cv=FOLDS[name])


@pytest.mark.parametrize("cv", [1, True, "loo", {}, [1, 2, 3]])
def test_what_are_no_folds_is_refused(cv):
    X, y = np.random.default_rng(0).normal(size=(2, 40, 1))
    with pytest.raises(DataError, match="no folds"):
        evaluate(Ridge(), X, y.ravel(), cv=cv)


def test_folds_as_masks_and_once_for_all_subjects():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 2)), rng.normal(size=40)
    first = np.arange(40) < 20
    by_mask = evaluate(Ridge(), X, y, cv=[(first, ~first)])
    by_rows = evaluate(Ridge(), X, y, cv=[(np.arange(20), np.arange(20, 40))])
    assert by_mask.table_["value"].tolist() == by_rows.table_["value"].tolist()
    folds = iter([(np.arange(20), np.arange(20, 40))])
    cohort = evaluate(RidgeDecoder(), {"a": X, "b": X}, {"a": y, "b": y}, cv=folds)
    assert set(cohort.table_["subject"]) == {"a", "b"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_permutations": 0}, "a null needs permutations"),
        ({"n_permutations": 1.5}, "a null needs permutations"),
        ({"scoring": []}, "there is no score"),
        ({"scoring": "bits"}, "above a constant rate"),
        ({"baselines": {"a": 3}}, "no fit in"),
        ({"y": np.zeros(39)}, "differ in their rows"),
    ],
)
def test_further_arguments_that_are_refused(arguments, message):
    rng = np.random.default_rng(0)
    given = {"X": rng.normal(size=(40, 2)), "y": rng.normal(size=40), "null": "permutation"}
    with pytest.raises(DataError, match=message):
        evaluate(Ridge(), **(given | arguments))


def test_subjects_without_sessions_and_one_subject_that_cannot_adapt_are_refused():
    rng = np.random.default_rng(0)
    X = {s: rng.normal(size=(30, 3)) for s in "ab"}
    y = {s: rng.normal(size=(30, 2)) for s in "ab"}
    with pytest.raises(DataError, match="sessions and data are of other subjects"):
        evaluate(RidgeDecoder(), X, y, cv=BlockedKFold(2), sessions={"a": np.zeros(30)})
    with pytest.raises(DataError, match="does not adapt"):
        evaluate(RidgeDecoder(), X["a"], y["a"], n_adapt=10)
