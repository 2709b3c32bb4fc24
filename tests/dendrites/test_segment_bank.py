"""The bank does what the equations say, on any input format, and says when it cannot."""

import numpy as np
import pytest
from scipy.stats import binom

from neuroml.dendrites import (
    SegmentBank,
    bank_false_match,
    false_match,
    false_negative,
    segment_bank,
)
from neuroml.exceptions import DataError
from neuroml.simulate import add_pattern_noise, make_patterns


@pytest.fixture
def patterns():
    return make_patterns(400, n=500, a=40, random_state=0)


def test_segments_sample_their_own_pattern(patterns):
    bank = SegmentBank(n_synapses=24, random_state=0).fit(patterns)
    assert np.all(bank.synapses_.sum(axis=1) == 24)
    np.testing.assert_array_equal(bank.synapses_.multiply(patterns).sum(axis=1), 24)
    overlaps = bank.transform(patterns)
    np.testing.assert_array_equal(overlaps, (patterns.toarray().astype(int) @ bank.synapses_.T))
    assert np.all(np.diag(overlaps) == 24) and bank.predict(patterns).all()
    np.testing.assert_array_equal(bank.matches(patterns).toarray(), overlaps >= 12)


def test_dense_sparse_boolean_and_real_input_are_the_same(patterns):
    first = SegmentBank(random_state=0).fit(patterns).transform(patterns[:5])
    dense = patterns.toarray()
    for X in (dense.astype(bool), dense * 0.3 - 0.1, dense.astype(np.float32)):
        again = SegmentBank(random_state=0).fit(X).transform(X[:5])
        np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("backend", ["inverted", "bits", "csr", "dense"])
def test_backends_give_the_same(patterns, backend):
    auto = SegmentBank(random_state=0).fit(patterns)
    one = SegmentBank(random_state=0, backend=backend).fit(patterns)
    assert one.backend_ == backend
    np.testing.assert_array_equal(auto.transform(patterns), one.transform(patterns))


def test_no_pattern_within_the_noise_tolerance_is_missed_and_misses_follow_equation_6(patterns):
    bank = SegmentBank(n_synapses=24, threshold=12, random_state=0).fit(patterns)

    def own(noisy):
        return bank.transform(noisy).diagonal() >= 12

    assert own(add_pattern_noise(patterns, 12, random_state=1)).all()
    v, repeats = 22, 20
    misses = sum(
        np.sum(~own(add_pattern_noise(patterns, v, random_state=r))) for r in range(repeats)
    )
    p = false_negative(12, 24, 40, v)
    low, high = binom.interval(1 - 1e-6, repeats * 400, p)
    assert 0.05 < p < 0.95 and low <= misses <= high


def test_false_match_of_the_bank_is_equation_8_and_is_what_happens(patterns):
    bank = SegmentBank(n_synapses=20, threshold=7, random_state=0).fit(patterns)
    p = bank_false_match(false_match(7, 500, 20, 40), 400)
    np.testing.assert_allclose(bank.false_match_, p, rtol=1e-12)
    others = make_patterns(4000, n=500, a=40, random_state=9)
    hits = bank.predict(others).sum()
    # Patterns share the bank: its spread was measured to be no wider than binomial at this size.
    low, high = binom.interval(1 - 1e-6, 4000, p)
    assert 0.05 < p < 0.5 and low <= hits <= high


def test_ragged_patterns_average_the_law_over_sizes():
    rng = np.random.default_rng(0)
    X = rng.random((60, 300)) < rng.uniform(0.02, 0.2, size=(60, 1))
    bank = SegmentBank(n_synapses=15, threshold=5, random_state=0).fit(X)
    active, sizes = X.sum(axis=1), np.minimum(X.sum(axis=1), 15)
    np.testing.assert_array_equal(bank.synapses_.sum(axis=1), sizes)
    none = [
        np.prod([1 - false_match(5, 300, int(s), int(a)) if s >= 5 else 1.0 for s in sizes])
        for a in active
    ]
    np.testing.assert_allclose(bank.false_match_, np.mean(1 - np.array(none)), rtol=1e-9)


def test_automatic_threshold_is_the_lowest_that_is_rare_enough(patterns):
    bank = SegmentBank(24, "auto", max_false_match=1e-6, random_state=0).fit(patterns)
    assert bank.false_match_ <= 1e-6
    lower = SegmentBank(24, bank.threshold_ - 1, random_state=0).fit(patterns)
    assert lower.false_match_ > 1e-6


def test_several_patterns_on_one_segment(patterns):
    bank = SegmentBank(24, 12, patterns_per_segment=5, random_state=0).fit(patterns)
    assert bank.n_segments_ == 80 and bank.get_feature_names_out()[-1] == "segmentbank79"
    overlaps = bank.transform(patterns)
    assert np.all(overlaps[np.arange(400), np.arange(400) // 5] >= 24)
    single = SegmentBank(24, 12, random_state=0).fit(patterns).synapses_.toarray()
    united = single.reshape(80, 5, -1).max(axis=1)
    np.testing.assert_array_equal(bank.synapses_.toarray(), united)


def test_partial_fit_adds_and_keeps(patterns):
    bank = SegmentBank(24, "auto", random_state=0).partial_fit(patterns[:300])
    before, threshold = bank.synapses_.toarray(), bank.threshold_
    bank.partial_fit(patterns[300:])
    assert bank.n_segments_ == 400 and bank.n_calls_ == 2 and bank.threshold_ >= threshold
    np.testing.assert_array_equal(bank.synapses_.toarray()[:300], before)
    assert bank.predict(patterns).all()
    assert bank.fit(patterns[:10]).n_segments_ == 10


def test_relabeling_cells_does_not_change_overlap_counts(patterns):
    bank = SegmentBank(n_synapses=40, random_state=0).fit(patterns)  # every active cell
    order = np.random.default_rng(0).permutation(500)
    again = SegmentBank(n_synapses=40, random_state=0).fit(patterns[:, order])
    np.testing.assert_array_equal(bank.transform(patterns), again.transform(patterns[:, order]))


def test_bad_input(patterns):
    with pytest.raises(DataError, match="no segment can ever match.*>= 41.*at most 40"):
        SegmentBank(n_synapses=60, threshold=41).fit(patterns)
    with pytest.raises(DataError, match="no segment can ever match"):
        SegmentBank(threshold=1).fit(np.zeros((3, 5)))
    with pytest.raises(DataError, match="no segment can ever match"):
        SegmentBank(3, "auto", max_false_match=1e-9).fit(patterns)
    with pytest.raises(ValueError, match="minimum of 1 is required"):
        SegmentBank(threshold=1).fit(np.zeros((0, 5)))
    with pytest.raises(ValueError, match="NaN"):
        SegmentBank().fit([[np.nan, 1.0]])
    bank = SegmentBank().fit(patterns)
    with pytest.raises(ValueError, match="499 features, but SegmentBank is expecting 500"):
        bank.transform(patterns[:, :499])
    with pytest.raises(ValueError, match="'backend' parameter"):
        SegmentBank(backend="gpu").fit(patterns)


def test_samples_taken_a_few_at_a_time_give_the_same(monkeypatch):
    patterns = make_patterns(40, n=200, a=20, random_state=0)
    bank = SegmentBank(n_synapses=10, threshold=4, random_state=0).fit(patterns)
    whole = bank.transform(patterns) >= 4
    monkeypatch.setattr(segment_bank, "_OVERLAPS_AT_ONCE", 7 * 40)
    np.testing.assert_array_equal(bank.predict(patterns), whole.any(axis=1))
    np.testing.assert_array_equal(bank.matches(patterns).toarray(), whole)
