"""Recorded activity: against brute force, against the theory where it holds, and on real data."""

import numpy as np
import pytest
from scipy.stats import hypergeom

from neuroml.data import load_dataset
from neuroml.dendrites import false_match, recorded_false_match
from neuroml.exceptions import DataError
from neuroml.simulate import make_patterns


def test_against_every_pair_one_by_one():
    rng = np.random.default_rng(0)
    X = rng.random((25, 30)) < rng.uniform(0.1, 0.6, size=(25, 1))
    labels, s, theta = np.arange(25) % 3, 5, np.array([1, 2, 4])
    chances, others = [], []
    for i in range(25):
        for j in range(25):
            if X[i].sum() >= s and labels[i] != labels[j] and abs(i - j) >= 2:
                shared = (X[i] & X[j]).sum()
                chances.append(hypergeom.sf(theta - 1, X[i].sum(), shared, s))
                others.append(hypergeom.sf(theta - 1, 30, s, X[j].sum()))
    table = recorded_false_match(X, theta, s, labels=labels, min_lag=2, random_state=0)
    np.testing.assert_allclose(table.recorded, np.mean(chances, axis=0), rtol=1e-10)
    np.testing.assert_allclose(table.varying_activity, np.mean(others, axis=0), rtol=1e-10)
    assert table.n_pairs.unique() == [len(chances)]


@pytest.mark.parametrize("seed", range(3))
def test_all_four_agree_where_the_assumptions_hold(seed):
    X = make_patterns(500, n=200, a=20, random_state=seed)
    table = recorded_false_match(X, [2, 3, 4], s=10, random_state=seed)
    exact = false_match([2, 3, 4], 200, 10, 20)
    np.testing.assert_allclose(table.constant_activity, exact, rtol=1e-12)
    np.testing.assert_allclose(table.varying_activity, exact, rtol=1e-12)
    # 500 patterns make 125,000 pairs: a few per cent for the rarest of the three.
    np.testing.assert_allclose(table.recorded, exact, rtol=0.05)


@pytest.mark.parametrize("seed", range(3))
def test_ensembles_raise_the_rate_and_shuffling_takes_that_away(seed):
    rng = np.random.default_rng(seed)
    ensembles = rng.random((4, 100)) < 0.15
    X = (rng.random((600, 100)) < 0.02) | ensembles[rng.integers(0, 4, 600)]
    table = recorded_false_match(X, 6, s=8, random_state=seed)
    # A quarter of the pairs share their ensemble, and those match nearly always.
    assert 0.2 < table.recorded[6] < 0.3 and table.unequal_rates[6] < 0.05
    shuffled = recorded_false_match(rng.permuted(X, axis=0), 6, s=8, random_state=seed)
    np.testing.assert_allclose(shuffled.recorded, shuffled.unequal_rates, rtol=0.1)


def test_blocks_do_not_matter(monkeypatch):
    X = make_patterns(80, n=50, a=10, random_state=0)
    whole = recorded_false_match(X, [2, 5], 6, n_shuffles=1, random_state=0)
    monkeypatch.setattr("neuroml.dendrites.recorded._PAIRS_AT_ONCE", 100)
    assert whole.equals(recorded_false_match(X, [2, 5], 6, n_shuffles=1, random_state=0))


def test_real_populations_break_the_assumptions(shared_data):
    """Imaged CA1 cells on a track: places are confused far more often than the theory says."""
    recording = load_dataset("patmap_ensembles", data_dir=shared_data).recordings[2]
    table = recorded_false_match(
        recording["signal"].values,
        [4, 6, 8],
        s=10,
        labels=recording["covariates"].values[:, 0],
        min_lag=20,
        n_shuffles=2,
        random_state=0,
    )
    ratio = table.recorded / table.constant_activity
    assert ratio[4] > 10 and ratio[6] > 1000 and ratio[8] > 1e5
    assert np.all(table.recorded > table.unequal_rates)


def test_bad_input():
    X = make_patterns(20, n=50, a=10, random_state=0)
    with pytest.raises(DataError, match="no pair of moments.*>= s = 11.*at most 10"):
        recorded_false_match(X, 3, 11)
    with pytest.raises(DataError, match="no pair"):
        recorded_false_match(X, 3, 5, labels=np.zeros(20))
    with pytest.raises(DataError, match="labels do not match.*20 labels; found 3"):
        recorded_false_match(X, 3, 5, labels=[1, 2, 3])
    with pytest.raises(DataError, match="theta <= s"):
        recorded_false_match(X, 7, 6)
