import numpy as np
import pytest

from neuroml.data import load_dataset


@pytest.fixture(scope="module")
def finch(shared_data):
    return load_dataset("songbird_hvc", data_dir=shared_data).recordings[0]


def test_shapes(finch):
    assert finch.signal.shape == (666, 74)
    assert finch.song.shape == (4440, 141)
    assert finch.attrs["dropped"] == ["neuron70: all zero"]
    assert finch.time.values[-1] == pytest.approx(finch.song_time.values[-1], abs=0.03)


def test_every_neuron_is_one_of_ppseqs_list(finch, shared_data):
    ids = finch.ppseq_id.values
    assert len(set(ids)) == 74
    numbers, times = np.loadtxt(shared_data / "songbird_hvc/songbird_spikes.txt").T
    for column, number in enumerate(ids):
        frames = np.sort(np.round(times[numbers == number] * 30).astype(int)) - 1
        assert np.array_equal(np.flatnonzero(finch.signal.values[:, column]), frames)


def test_activity_repeats_with_the_song(finch):
    """Frames in which the song sounds alike have more similar activity, a shifted song's do not."""
    song = finch.song.values[: 666 * 20 // 3].reshape(-1, 20, 141)[:222].mean(axis=1)  # 0.1 s
    activity = finch.signal.values.reshape(222, 3, 74).mean(axis=1)
    activity = np.hypot.reduce([np.roll(activity, k, axis=0) for k in (-1, 0, 1)])
    far = np.triu_indices(222, k=10)
    alike = np.corrcoef(song)[far]
    right = np.corrcoef(alike, np.corrcoef(activity)[far])[0, 1]
    shifted = [
        np.corrcoef(alike, np.corrcoef(np.roll(activity, k, axis=0))[far])[0, 1]
        for k in (30, 60, 90, 120)
    ]
    assert right > max(shifted)
    assert right > 0.1
