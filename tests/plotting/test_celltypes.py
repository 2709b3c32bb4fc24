"""Stimuli of every kind, read back from their axes."""

import numpy as np
import pytest

from neuroml.exceptions import DataError
from neuroml.plotting import plot_stimuli


@pytest.mark.parametrize(
    ("shape", "axes", "n_axes"),
    [
        ((30,), "T", 2),
        ((30, 3), "TC", 2),
        ((3, 30), "CT", 2),
        ((6, 8), "HW", 3),
        ((10, 6, 8, 2), "THWC", 33),
    ],
)
def test_stimuli_of_every_kind(shape, axes, n_axes):
    """One axis per waveform, or per frame and channel and one for the color bar."""
    stimuli = np.random.default_rng(0).normal(size=(2, *shape))
    figure = plot_stimuli(stimuli, stimulus_axes=axes, rate_hz=30.0)
    assert len(figure.axes) == n_axes
    if axes == "THWC":  # last frame of the second channel of the second stimulus
        np.testing.assert_array_equal(
            figure.axes[31].images[0].get_array(), stimuli[1, -1, :, :, 1]
        )
    if axes == "CT":
        np.testing.assert_array_equal(figure.axes[1].lines[2].get_ydata(), stimuli[1, 2])


@pytest.mark.parametrize("axes", ["", "TH", "TT", "XY", None])
def test_axes_that_are_none_are_refused(axes):
    with pytest.raises(DataError, match="stimulus_axes does not name the axes of a stimulus"):
        plot_stimuli(np.zeros((2, 3, 4)), stimulus_axes=axes)
