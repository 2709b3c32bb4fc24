"""Every score against its definition, its chance level, and what must not change it."""

import numpy as np
import pytest

from neuroml.decoding import metrics
from neuroml.exceptions import DataError


def noisy(seed, n=40, d=6, noise=1.0):
    rng = np.random.default_rng(seed)
    truth = rng.standard_normal((n, d))
    return truth + noise * rng.standard_normal((n, d)), truth


@pytest.mark.parametrize("k", [1, 5])
def test_retrieval_by_brute_force(k):
    predicted, truth = noisy(0)
    distractors = np.random.default_rng(1).standard_normal((10, 6))
    gallery = np.vstack([truth, distractors])
    cosine = np.array(
        [[p @ g / np.linalg.norm(p) / np.linalg.norm(g) for g in gallery] for p in predicted]
    )
    hits = [i in np.argsort(-row)[:k] for i, row in enumerate(cosine)]
    back = [i in np.argsort(-row)[:k] for i, row in enumerate(cosine[:, :40].T)]
    found = metrics.retrieval_accuracy(predicted, gallery, k)
    assert found == pytest.approx((np.mean(hits), np.mean(back), k / 50))


def test_retrieval_of_ties_and_of_distractors():
    gallery = noisy(0)[1]
    assert metrics.retrieval_accuracy(np.ones((40, 6)), gallery).backward == pytest.approx(1 / 40)
    assert metrics.retrieval_from_scores(np.zeros((4, 8)), 2) == pytest.approx((0.25, 0.5, 0.25))
    with pytest.raises(DataError, match="at least 40 rows and 6 columns"):
        metrics.retrieval_accuracy(gallery, gallery[:5])
    with pytest.raises(ValueError, match="between 1 and the 40"):
        metrics.retrieval_accuracy(gallery, gallery, 41)


def test_two_way_by_brute_force_and_ties():
    predicted, truth = noisy(2)
    wins = []
    for i in range(40):
        own = np.corrcoef(predicted[i], truth[i])[0, 1]
        wins += [own > np.corrcoef(predicted[i], truth[j])[0, 1] for j in range(40) if j != i]
    assert metrics.two_way_identification(predicted, truth) == pytest.approx(np.mean(wins))
    same = np.tile(truth[0], (40, 1))
    assert metrics.two_way_identification(same, truth) == pytest.approx(0.5)
    assert metrics.two_way_identification(truth, truth) == 1.0


def test_correlations():
    predicted, truth = noisy(3)
    expected = [np.corrcoef(predicted[:, j], truth[:, j])[0, 1] for j in range(6)]
    np.testing.assert_allclose(metrics.feature_correlation(predicted, truth), expected)
    assert np.all(metrics.feature_correlation(np.ones_like(truth), truth) == 0)
    mean = np.tile(truth.mean(axis=0), (40, 1))
    assert np.all(metrics.sample_correlation(mean, truth) == 0)
    shifted = metrics.sample_correlation(predicted + 5.0, truth - np.arange(6))
    np.testing.assert_allclose(shifted, metrics.sample_correlation(predicted, truth))


@pytest.mark.parametrize("seed", range(5))
def test_noise_ceiling_of_known_signal(seed):
    rng = np.random.default_rng(seed)
    signal = rng.standard_normal((2000, 1, 3)) * np.array([0.0, 1.0, 2.0])
    ceiling = metrics.noise_ceiling(signal + 2 * rng.standard_normal((2000, 4, 3)))
    np.testing.assert_allclose(ceiling[1:], np.sqrt([1 / 2, 4 / 5]), atol=0.04)
    assert ceiling[0] < 0.25
    with pytest.raises(DataError, match="n_repeats >= 2"):
        metrics.noise_ceiling(np.ones((5, 1, 2)))


def test_intersubject_correlation_by_brute_force():
    rng = np.random.default_rng(0)
    X = {s: rng.standard_normal((30, 4)) for s in "abc"}
    found = metrics.intersubject_correlation(X)
    others = (X["a"] + X["b"]) / 2
    assert found[2, 1] == pytest.approx(np.corrcoef(X["c"][:, 1], others[:, 1])[0, 1])
    with pytest.raises(DataError, match="common space"):
        metrics.intersubject_correlation({"a": X["a"], "b": X["b"][:, :2]})


def test_time_segments_by_brute_force():
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((40, 5))
    X = [shared + 2 * rng.standard_normal((40, 5)) for _ in range(3)]
    scaled = [(x - x.mean(axis=0)) / x.std(axis=0) for x in X]
    window, expected = 4, []
    for i, own in enumerate(scaled):
        others = sum(x for j, x in enumerate(scaled) if j != i)
        hits = []
        for t in range(37):
            rest = [u for u in range(37) if abs(u - t) >= window]
            r = {
                u: np.corrcoef(own[t : t + 4].ravel(), others[u : u + 4].ravel())[0, 1]
                for u in [t, *rest]
            }
            hits.append(max(r, key=r.get) == t)
        expected.append(np.mean(hits))
    found = metrics.time_segment_matching(X, window)
    np.testing.assert_allclose(found.accuracy, expected)
    noise = [rng.standard_normal((400, 3)) for _ in range(6)]
    by_chance = metrics.time_segment_matching(noise, 5)
    assert by_chance.accuracy.mean() < 10 * by_chance.chance
    with pytest.raises(DataError, match="2 \\* window"):
        metrics.time_segment_matching(X, 25)


def test_interval_covers_as_often_as_it_says():
    inside = []
    for seed in range(200):
        values = np.random.default_rng(seed).standard_normal(20)
        _, low, high = metrics.subject_interval(values, n_resamples=500, random_state=seed)
        inside.append(low < 0 < high)
    assert 0.85 < np.mean(inside) <= 1.0  # 0.95, less the small-sample loss of the bootstrap
    assert metrics.subject_interval([0.5, 0.5, 0.5]) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("scheme", ["shuffle", "shift"])
def test_permutation_p_values_are_valid(scheme):
    def score(p, t):
        return metrics.feature_correlation(p, t).mean()

    p_values = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        predicted, truth = ({s: rng.standard_normal((30, 2)) for s in "ab"} for _ in range(2))
        test = metrics.permutation_test(
            score, predicted, truth, scheme=scheme, n_permutations=39, random_state=seed
        )
        p_values.append(test.p_value)
    assert np.mean(np.array(p_values) <= 0.25) < 0.25 + 3 * np.sqrt(0.25 * 0.75 / 40)
    predicted, truth = noisy(0)
    strong = metrics.permutation_test(
        score, predicted, truth, scheme=scheme, n_permutations=99, random_state=0
    )
    assert strong.p_value == pytest.approx(0.01) and strong.null.max() < strong.score


def test_a_mask_is_missing_in_a_metric():
    truth = np.random.default_rng(0).standard_normal((20, 3))
    masked = np.ma.array(truth, mask=truth > 1)
    with pytest.raises(ValueError, match="NaN"):
        metrics.feature_correlation(masked, truth)
