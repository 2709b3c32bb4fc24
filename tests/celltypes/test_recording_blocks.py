import numpy as np
import pytest

from neuroml.celltypes._recording_blocks import clip_starts, frames_with_history, split_blocks
from neuroml.exceptions import DataError


def test_every_session_loses_its_first_frames():
    sessions = np.repeat([0, 1], [10, 6])
    assert frames_with_history(sessions, 4) == [(3, 10), (13, 16)]
    with pytest.raises(DataError, match="session 1"):
        frames_with_history(sessions, 7)


@pytest.mark.parametrize("seed", range(5))
def test_blocks_cover_all_frames_once_and_a_share_is_held_out(seed):
    runs = [(3, 103), (110, 160)]
    train, held_out = split_blocks(runs, 0.2, 10, np.random.default_rng(seed))
    frames = np.sort(np.concatenate([np.arange(*block) for block in train + held_out]))
    np.testing.assert_array_equal(frames, np.r_[3:103, 110:160])
    assert len(held_out) == 4


def test_something_is_left_to_train_on():
    assert split_blocks([(0, 1)], 0.5, 10, np.random.default_rng(0)) == ([(0, 1)], [])
    train, held_out = split_blocks([(0, 2)], 0.99, 10, np.random.default_rng(0))
    assert len(train) == len(held_out) == 1
    assert split_blocks([(0, 50)], 0.0, 5, np.random.default_rng(0))[1] == []


def test_clips_cover_all_frames_and_stay_inside():
    runs = [(0, 23), (40, 50)]
    starts, length = clip_starts(runs, 10)
    assert length == 10 and starts.tolist() == [0, 10, 13, 40]
    starts, length = clip_starts([(0, 23), (40, 44)], 10)
    assert length == 4
    assert set(np.concatenate([np.arange(s, s + 4) for s in starts])) == {
        *range(23),
        *range(40, 44),
    }
