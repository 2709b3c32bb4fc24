"""Visual stimuli: movies with natural statistics, the chirp, and moving bars."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neuroml._core.parallel import RandomState, spawn_generators

__all__ = ["make_chirp", "make_moving_bars", "make_pink_stimuli"]


def make_pink_stimuli(
    n_stimuli: int, shape: Sequence[int], *, axes: str = "", random_state: RandomState = None
) -> np.ndarray:
    r"""Draw Gaussian stimuli whose amplitude falls as one over frequency, as in natural scenes.

    Parameters
    ----------
    n_stimuli : int
    shape : sequence of int
        Shape of one stimulus, e.g. ``(n_frames, height, width)``.
    axes : str
        One letter per axis; an axis called "C" holds channels, which are independent. By default
        the fourth of four axes does.
    random_state : int, RandomState, Generator or None

    Returns
    -------
    ndarray of float32 of shape (n_stimuli, ...)
        Each stimulus with mean 0 and standard deviation 1 in every channel.

    Notes
    -----
    The amplitude is :math:`1/|f|` with :math:`|f|` the length of the frequency vector over time and
    space, in cycles per sample, and no component at :math:`f=0`.

    Examples
    --------
    >>> from neuroml.simulate import make_pink_stimuli
    >>> clips = make_pink_stimuli(5, (24, 10, 12), random_state=0)
    >>> clips.shape, round(float(clips[0].std()), 3)
    ((5, 24, 10, 12), 1.0)
    """
    (rng,) = spawn_generators(random_state, 1)
    axes = axes or "THWC"[: len(shape)]
    correlated = tuple(i for i, name in enumerate(axes) if name != "C")
    frequencies = np.meshgrid(
        *[np.fft.fftfreq(n) if i in correlated else np.zeros(n) for i, n in enumerate(shape)],
        indexing="ij",
    )
    radius = np.sqrt(sum(f**2 for f in frequencies))
    amplitude = np.divide(1.0, radius, out=np.zeros_like(radius), where=radius > 0)
    stimuli = np.empty((n_stimuli, *shape), dtype=np.float32)
    for stimulus in stimuli:
        white = np.fft.fftn(rng.standard_normal(shape), axes=correlated)
        pink = np.fft.ifftn(white * amplitude, axes=correlated).real
        stimulus[:] = pink / pink.std(axis=correlated, keepdims=True)
    return stimuli


def make_chirp(rate_hz: float = 64.0, *, duration_s: float = 32.0) -> np.ndarray:
    """Make a full-field chirp: a step of light, a sweep of frequency and a sweep of contrast.

    Parameters
    ----------
    rate_hz : float
        Samples per second.
    duration_s : float
        Length, of which the parts have fixed shares: 2/32 dark, 3/32 bright, 3/32 dark, 2/32 gray,
        8/32 oscillation from 0.5 to 8 Hz, 2/32 gray, 8/32 oscillation at 2 Hz of growing contrast,
        2/32 gray, 2/32 dark. Frequencies are those of 32 s and scale with the speed.

    Returns
    -------
    ndarray of shape (duration_s * rate_hz,)
        Intensity from 0 to 1.

    Examples
    --------
    >>> from neuroml.simulate import make_chirp
    >>> make_chirp(30.0).shape
    (960,)
    """
    t = np.arange(round(rate_hz * duration_s)) * 32.0 / (rate_hz * duration_s)
    intensity = np.full(len(t), 0.5)
    intensity[(t < 2) | ((t >= 5) & (t < 8)) | (t >= 30)] = 0.0
    intensity[(t >= 2) & (t < 5)] = 1.0
    sweep = (t >= 10) & (t < 18)
    s = t[sweep] - 10
    # phase = integral of the frequency, which rises linearly from 0.5 to 8 Hz in 8 s
    intensity[sweep] += 0.5 * np.sin(2 * np.pi * (0.5 * s + (8 - 0.5) / 16 * s**2))
    ramp = (t >= 20) & (t < 28)
    s = t[ramp] - 20
    intensity[ramp] += 0.5 * (s / 8) * np.sin(2 * np.pi * 2 * s)
    return intensity


def make_moving_bars(
    n_frames: int, height: int, width: int, *, n_directions: int = 8, bar_width: float = 3.0
) -> np.ndarray:
    """Make bright bars that cross the canvas in evenly spaced directions.

    Parameters
    ----------
    n_frames : int
        Number of frames of one crossing.
    height, width : int
    n_directions : int
        Number of directions. The first one is to the right (increasing column), the following ones
        turn towards increasing row.
    bar_width : float
        Width of the bar in pixels.

    Returns
    -------
    ndarray of float32 of shape (n_directions, n_frames, height, width)
        -1 on the ground, 1 in the bar.

    Examples
    --------
    >>> from neuroml.simulate import make_moving_bars
    >>> bars = make_moving_bars(20, 10, 10)
    >>> [int(bars[0, t, 0].argmax()) for t in (5, 10, 15)]  # left edge, moving to the right
    [0, 4, 8]
    """
    rows, columns = np.mgrid[:height, :width].astype(float)
    rows -= (height - 1) / 2
    columns -= (width - 1) / 2
    reach = (np.hypot(height, width) + bar_width) / 2
    places = np.linspace(-reach, reach, n_frames)
    bars = np.empty((n_directions, n_frames, height, width), dtype=np.float32)
    for d, angle in enumerate(2 * np.pi * np.arange(n_directions) / n_directions):
        along = columns * np.cos(angle) + rows * np.sin(angle)
        inside = np.abs(along - places[:, None, None]) < bar_width / 2
        bars[d] = np.where(inside, 1.0, -1.0)
    return bars
