from itertools import permutations

import numpy as np
import pytest
from scipy import stats

from neuroml._core.statistics import (
    first_within_one_standard_error,
    match_rows,
    mean_interval,
    one_standard_error,
    permutation_p_value,
    resampled_interval,
)
from neuroml.exceptions import DataError


def test_p_values_count_the_observed_value_and_ties():
    null = np.array([[1.0, 5.0], [2.0, 6.0], [3.0, np.nan], [4.0, 7.0]])
    assert permutation_p_value([3.0, 6.5], null).tolist() == [3 / 5, 3 / 5]
    assert permutation_p_value(10.0, null[:, 0]) == 1 / 5
    assert np.isnan(permutation_p_value(np.nan, null[:, 0]))


def test_a_tie_up_to_rounding_is_a_tie():
    values = np.array([0.1, 0.2, 0.3, 1e8])
    sums = np.array([sum(values[list(order)]) for order in permutations(range(4))])
    assert np.ptp(sums) > 0
    assert permutation_p_value(sums.max(), sums) == 1.0


@pytest.mark.parametrize("level", [0.05, 0.1, 0.2])
def test_p_values_of_exchangeable_statistics_keep_the_level(level):
    rng = np.random.default_rng(0)
    p = permutation_p_value(rng.normal(size=4000), rng.normal(size=(99, 4000)))
    share = (p <= level).mean()
    assert abs(share - level) < 3 * np.sqrt(level * (1 - level) / 4000)


def test_interval_of_a_mean_is_students():
    x = np.array([0.3, 0.1, 0.5, 0.2])
    low, high = stats.t.interval(0.9, 3, x.mean(), stats.sem(x))
    assert mean_interval(x, 0.9) == pytest.approx((x.mean(), low, high))
    assert np.isnan(mean_interval([0.3]).low)


def test_corrected_interval_covers_the_difference_of_correlated_folds():
    """Differences d_j = mu + shared + own have correlation n_test / (n_test + n_train)."""
    rng = np.random.default_rng(1)
    n_folds, share = 5, 0.25
    rho = share / (1 + share)
    shared = np.sqrt(rho) * rng.normal(size=(4000, 1))
    folds = 0.7 + shared + np.sqrt(1 - rho) * rng.normal(size=(4000, n_folds))
    covered = [low <= 0.7 <= high for _, low, high in (resampled_interval(x, share) for x in folds)]
    naive = [low <= 0.7 <= high for _, low, high in map(mean_interval, folds)]
    assert abs(np.mean(covered) - 0.95) < 3 * np.sqrt(0.95 * 0.05 / 4000) + 0.005
    assert np.mean(naive) < 0.9


def test_choice_is_paired():
    difficulty = np.array([0.0, 5.0, -5.0, 2.0])
    rng = np.random.default_rng(0)
    simple = difficulty + rng.normal(0, 0.01, 4)
    better = difficulty + 1.0 + rng.normal(0, 0.01, 4)
    assert first_within_one_standard_error([simple, better]) == 1  # whatever the folds' spread
    assert first_within_one_standard_error([better, simple]) == 0
    assert first_within_one_standard_error([simple, simple]) == 0
    noise = np.array([0.3, -0.25, 0.2, -0.2])
    assert first_within_one_standard_error([simple, simple + 0.02 + noise]) == 0


def test_matching_is_the_best_of_all_permutations():
    table = np.random.default_rng(0).normal(size=(5, 5))
    best = max(permutations(range(5)), key=lambda p: table[range(5), p].sum())
    assert match_rows(table).tolist() == list(best)
    wide = match_rows(table[:, :3])
    assert sorted(wide[wide >= 0]) == [0, 1, 2] and (wide == -1).sum() == 2
    assert (match_rows(table[:3]) >= 0).all()


def results_of(folds):
    """As GridSearchCV keeps them, of scores (n_candidates, n_folds)."""
    kept = {f"split{i}_test_score": scores for i, scores in enumerate(folds.T)}
    with np.errstate(invalid="ignore"):
        mean, deviation = folds.mean(axis=1), folds.std(axis=1)
    return kept | {"mean_test_score": mean, "std_test_score": deviation}


@pytest.mark.parametrize("bad", [np.nan, -np.inf, np.inf])
@pytest.mark.parametrize("where", [(0, 0), (1, 2), (3, 1)])
def test_a_candidate_without_a_score_is_named_and_not_compared(where, bad):
    folds = np.array([[-5.0, -5.1, -5.0], [-1.0, -1.1, -1.2], [-1.0, -1.2, -1.1], [-3, -3, -2.9]])
    results = results_of(folds)
    assert one_standard_error(results) == 1
    folds[where] = bad
    results = results_of(folds) | {"params": [{"n_states": k + 1} for k in range(4)]}
    named = rf"1 without: \{{'n_states': {where[0] + 1}\}} in folds \[{where[1]}\]"
    with pytest.raises(DataError, match=named):
        one_standard_error(results)


def test_one_fold_has_no_standard_error():
    with pytest.raises(DataError, match="needs folds"):
        one_standard_error(results_of(np.array([[1.0], [2.0]])))
