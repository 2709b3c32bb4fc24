import numpy as np
import pytest
import torch

from neuroml.exceptions import DataError
from neuroml.simulate import CELL_TYPES, make_moving_bars, make_responses, make_retina


@pytest.fixture(scope="module")
def every():
    """One typical cell of every type, two color channels, larger canvas."""
    names = list(CELL_TYPES)
    retina = make_retina(
        names,
        1,
        stimulus_shape=(24, 15, 15, 2),
        n_frames=50,
        filter_jitter=0.0,
        gain_jitter=0.0,
        random_state=0,
    )
    return retina, {name: i for i, name in enumerate(names)}


def respond(retina, movie):
    """Peak rates (n_cells,) to a movie (n_frames, 15, 15) in both channels, or one with four axes."""
    movie = np.asarray(movie, dtype=np.float32)
    if movie.ndim == 3:
        movie = np.repeat(movie[..., None], 2, axis=-1)
    return retina.module.rates(movie).max(axis=0)


def spot(sign, radius=2.0, n_frames=40):
    rows, columns = np.mgrid[:15, :15] - 7
    movie = np.zeros((n_frames, 15, 15))
    movie[10:] = sign * (np.hypot(rows, columns) <= radius)
    return movie


def test_on_cells_answer_to_light_and_off_cells_to_its_absence(every):
    retina, index = every
    bright, dark = respond(retina, spot(1)), respond(retina, spot(-1))
    for name in ("on_transient", "on_sustained", "on_large"):
        assert bright[index[name]] > 2 * dark[index[name]]
    for name in ("off_transient", "off_sustained", "off_large"):
        assert dark[index[name]] > 2 * bright[index[name]]
    both = index["on_off"]
    assert bright[both] == pytest.approx(dark[both], rel=0.01)


def test_transient_cells_fall_back_and_sustained_ones_do_not(every):
    retina, index = every
    rates = retina.module.rates(np.repeat(spot(1)[..., None], 2, axis=-1).astype(np.float32))
    share = {}
    for name in ("on_transient", "on_sustained"):
        rate = rates[:, index[name]]
        share[name] = (rate[-1] - rate[5]) / (rate.max() - rate[5])
    assert share["on_transient"] < 0.2 < 0.8 < share["on_sustained"]


def test_direction_selective_cells_prefer_opposite_directions(every):
    retina, index = every
    bars = make_moving_bars(40, 15, 15, n_directions=2)
    right, left = (respond(retina, bar) for bar in bars)
    assert right[index["ds_right"]] > 1.5 * left[index["ds_right"]]
    assert left[index["ds_left"]] > 1.5 * right[index["ds_left"]]


def test_orientation_selective_cells_prefer_their_gratings(every):
    retina, index = every
    rows, columns = np.mgrid[:15, :15] - 7
    flicker = np.zeros((40, 1, 1))
    flicker[10:] = 1
    vertical = flicker * np.cos(2 * np.pi * columns / 5)
    horizontal = flicker * np.cos(2 * np.pi * rows / 5)
    first, second = respond(retina, vertical), respond(retina, horizontal)
    assert first[index["os_vertical"]] > 1.5 * second[index["os_vertical"]]
    assert second[index["os_horizontal"]] > 1.5 * first[index["os_horizontal"]]


def test_contrast_of_either_sign_suppresses_the_suppressed(every):
    retina, index = every
    for sign in (1, -1):
        rates = retina.module.rates(np.repeat(spot(sign)[..., None], 2, -1).astype(np.float32))
        assert rates[12:, index["suppressed"]].min() < 0.5 * rates[5, index["suppressed"]]


def test_color_opponent_cells_tell_channels_apart(every):
    retina, index = every
    green = np.stack([spot(1), np.zeros_like(spot(1))], axis=-1)
    uv = green[..., ::-1]
    first, second = respond(retina, green), respond(retina, uv)
    assert first[index["green_on_uv_off"]] > 2 * second[index["green_on_uv_off"]]
    assert second[index["uv_on_green_off"]] > 2 * first[index["uv_on_green_off"]]


def test_frames_and_clips_and_movies_agree():
    retina = make_retina(n_cells=1, n_frames=60, random_state=0)
    movie = retina.stimuli[:24]
    with torch.no_grad():
        frames = retina.module.frames(torch.from_numpy(movie[None]))[0].numpy()
        mean = retina.module(torch.from_numpy(movie[None]))[0].numpy()
    np.testing.assert_allclose(frames.mean(axis=0), mean, rtol=1e-5)
    np.testing.assert_allclose(retina.module.rates(movie)[9:], frames, rtol=1e-4, atol=1e-6)


def test_centered_cells_do_not_differ_by_place():
    retina = make_retina(
        ["on_sustained"],
        6,
        rf_jitter=2.0,
        filter_jitter=0.0,
        gain_jitter=0.0,
        n_frames=50,
        random_state=0,
    )
    clip = torch.from_numpy(retina.stimuli[None, :24])
    with torch.no_grad():
        assert retina.module(clip).std() > 0.05
        assert retina.module.centered()(clip).std() < 1e-5


def test_unequal_counts_jitter_and_shapes():
    counts = {"on_transient": 7, "off_sustained": 2}
    retina = make_retina(
        list(counts), counts, rf_jitter=1.0, n_frames=500, n_repeats=3, random_state=0
    )
    assert np.bincount(retina.types).tolist() == [7, 2]
    assert retina.responses.shape == (500, 9) and retina.test_responses.shape == (3, 50, 9)
    assert retina.centers.std(axis=0).min() > 0.2
    again = make_retina(
        list(counts), counts, rf_jitter=1.0, n_frames=500, n_repeats=3, random_state=0
    )
    np.testing.assert_array_equal(retina.responses, again.responses)
    other = make_retina(list(counts), counts, n_frames=500, random_state=1)
    assert not np.array_equal(retina.responses, other.responses)


def test_noise_is_what_it_says():
    rates = np.abs(np.random.default_rng(0).normal(2, 1, size=(300, 4)))
    poisson = make_responses(rates, n_repeats=2000, random_state=0)
    np.testing.assert_allclose(poisson.mean(axis=0), rates, atol=6 * np.sqrt(rates.max() / 2000))
    np.testing.assert_allclose(poisson.var(axis=0).mean(), rates.mean(), rtol=0.02)
    gaussian = make_responses(
        rates, noise="gaussian", noise_level=2.0, n_repeats=500, random_state=0
    )
    np.testing.assert_allclose(gaussian.std(axis=0).mean(axis=0), 2 * rates.std(axis=0), rtol=0.02)
    calcium = make_responses(
        np.eye(40)[:, :1], noise="calcium", noise_level=0.0, n_repeats=1, random_state=0
    )
    np.testing.assert_allclose(calcium[0, :, 0], np.exp(-np.arange(40) / 10), rtol=1e-5)
    with pytest.raises(DataError, match="unknown noise"):
        make_responses(rates, noise="pink")


def test_the_continuum_has_no_types():
    retina = make_retina("continuum", 30, n_frames=30, random_state=0)
    assert retina.type_names == ["continuum"] and (retina.types == 0).all()
    assert retina.responses.shape == (30, 30)


def test_bad_input():
    with pytest.raises(DataError, match="unknown cell types"):
        make_retina(["on_transient", "cone"])
    with pytest.raises(DataError, match="two channels"):
        make_retina(["uv_on_green_off"])
