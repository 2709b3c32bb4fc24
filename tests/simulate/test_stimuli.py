import numpy as np
import pytest

from neuroml.simulate import make_chirp, make_moving_bars, make_pink_stimuli


def test_pink_stimuli_have_the_stated_spectrum():
    clips = make_pink_stimuli(400, (32,), random_state=0)
    np.testing.assert_allclose(clips.mean(axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(clips.std(axis=1), 1, rtol=1e-5)
    power = (np.abs(np.fft.rfft(clips, axis=1)) ** 2).mean(axis=0)[1:-1]
    slope = np.polyfit(np.log(np.arange(1, 16)), np.log(power), 1)[0]
    assert slope == pytest.approx(-2, abs=0.2)


def test_channels_are_independent():
    clips = make_pink_stimuli(100, (16, 6, 6, 2), random_state=0)
    assert abs(np.corrcoef(clips[..., 0].ravel(), clips[..., 1].ravel())[0, 1]) < 0.05
    neighbors = np.corrcoef(clips[:, :, :-1, :, 0].ravel(), clips[:, :, 1:, :, 0].ravel())[0, 1]
    assert neighbors > 0.2


def test_chirp_has_its_parts():
    rate = 50
    chirp = make_chirp(rate)
    assert chirp.min() >= 0 and chirp.max() <= 1
    for first, last, level in ((0, 2, 0), (2, 5, 1), (5, 8, 0), (8, 10, 0.5), (30, 32, 0)):
        assert (chirp[first * rate + 1 : last * rate - 1] == level).all()
    sweep = chirp[10 * rate : 18 * rate] - 0.5
    crossings = np.flatnonzero(np.diff(np.sign(sweep)))
    assert np.diff(crossings)[0] > 4 * np.diff(crossings)[-1]
    ramp = np.abs(chirp[20 * rate : 28 * rate] - 0.5).reshape(8, rate).max(axis=1)
    assert (np.diff(ramp) > 0).all()


def test_bars_move_in_their_directions():
    bars = make_moving_bars(30, 11, 11, n_directions=4)
    rows, columns = np.mgrid[:11, :11]

    def center(frame):
        bright = frame > 0
        return np.array([rows[bright].mean(), columns[bright].mean()])

    expected = [(0, 1), (1, 0), (0, -1), (-1, 0)]
    for bar, direction in zip(bars, expected, strict=True):
        middle = [frame for frame in bar if (frame > 0).sum() >= 22]
        moved = center(middle[-1]) - center(middle[0])
        np.testing.assert_allclose(moved / np.linalg.norm(moved), direction, atol=1e-6)
