import numpy as np
import pytest

from neuroml.data._time import rate_and_segments
from neuroml.exceptions import DataError


def test_regular_time():
    rate, segment = rate_and_segments(5.0 + np.arange(100) / 30, None)
    assert rate == pytest.approx(30.0, abs=1e-6)
    assert not segment.any()


def test_gap_starts_a_segment_and_does_not_count_for_the_rate():
    time = np.r_[0:10, 50:60, 70:80] * 0.1
    rate, segment = rate_and_segments(time, None)
    assert rate == pytest.approx(10.0)
    assert segment.tolist() == [0] * 10 + [1] * 10 + [2] * 10


def test_small_jitter_keeps_a_rate_and_a_large_one_does_not():
    rng = np.random.default_rng(0)
    steps = 0.6 + rng.normal(0, 0.01, 500)
    assert rate_and_segments(np.cumsum(steps), None)[0] == pytest.approx(1 / steps[1:].mean())
    assert rate_and_segments(np.cumsum(0.6 + rng.uniform(-0.25, 0.25, 500)), None)[0] is None


@pytest.mark.parametrize("bad", [[0, 1, 1, 2], [0, 2, 1, 3], [0, np.nan, 2], [0, np.inf]])
def test_time_that_does_not_increase(bad):
    with pytest.raises(DataError, match="time does not increase"):
        rate_and_segments(bad, None)


def test_milliseconds_contradict_the_rate():
    with pytest.raises(DataError, match="rate contradicts.*30 Hz; found 0.03 Hz"):
        rate_and_segments(np.arange(50) * 1000 / 30, 30.0)


def test_single_sample():
    assert rate_and_segments([3.0], 2.0) == (2.0, np.zeros(1))
