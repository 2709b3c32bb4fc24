"""The stimuli that may be shown: their shape, how strong they may be, and how smooth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike

from neuroml.exceptions import DataError

__all__ = ["StimulusSpace", "along_channels", "check_axes", "smoothing_kernels"]

_DEFAULT_AXES = {1: "T", 2: "HW", 3: "THW", 4: "THWC"}


def check_axes(shape: Sequence[int], axes: str | None) -> str:
    """One letter per axis of a stimulus: T time, H height, W width, C channels.

    Raises
    ------
    DataError
        If the letters do not fit the shape.
    """
    found = _DEFAULT_AXES.get(len(shape), "") if axes is None else axes
    if len(found) != len(shape) or len(set(found)) < len(found) or set(found) - set("THWC"):
        raise DataError(
            "the axes do not fit the stimulus",
            expected=f"one of the letters T, H, W, C for each axis of {tuple(shape)}",
            found=repr(found),
            field="stimulus_axes",
        )
    return found


def along_channels(value: ArrayLike, shape: Sequence[int], axes: str) -> np.ndarray:
    """A number, or one per channel, as an array that broadcasts against stimuli.

    Raises
    ------
    DataError
        If there are several numbers, but not as many as channels.
    """
    array = np.asarray(value, dtype=np.float64)
    n_channels = shape[axes.index("C")] if "C" in axes else 1
    if array.ndim == 0:
        return array
    if array.shape != (n_channels,):
        raise DataError(
            "there must be one number, or one per channel",
            expected=f"{n_channels} for stimuli of shape {tuple(shape)} with axes {axes!r}",
            found=f"shape {array.shape}",
            field="pixel_range",
        )
    return array.reshape([n_channels if name == "C" else 1 for name in axes])


@dataclass(frozen=True)
class StimulusSpace:
    """The constraints on stimuli (as deviations from the mean stimulus).

    Attributes
    ----------
    shape : tuple of int
    norm : float or None
        Euclidean norm that every stimulus is scaled to.
    bounds : tuple of Tensor or None
        Lowest and highest value, broadcast against stimuli.
    kernels : dict
        ``{axis: matrix}`` that smooths along an axis of a batch of stimuli.
    """

    shape: tuple[int, ...]
    norm: float | None
    bounds: tuple[torch.Tensor, torch.Tensor] | None
    kernels: dict[int, torch.Tensor]

    def project(self, stimuli: torch.Tensor) -> torch.Tensor:
        """Scale to the norm, then clip to the range (the norm can end up smaller, never larger)."""
        if self.norm is not None:
            length = stimuli.flatten(start_dim=1).norm(dim=1).clamp_min(1e-12)
            stimuli = stimuli * (self.norm / length).reshape(-1, *[1] * len(self.shape))
        return stimuli if self.bounds is None else stimuli.clamp(*self.bounds)

    def smooth(self, stimuli: torch.Tensor) -> torch.Tensor:
        """Apply a symmetric Gaussian kernel along time and space."""
        for axis, kernel in self.kernels.items():
            stimuli = torch.movedim(torch.movedim(stimuli, axis, -1) @ kernel, -1, axis)
        return stimuli

    def random(self, n_stimuli: int, rng: np.random.Generator, like: torch.Tensor) -> torch.Tensor:
        """White noise, smoothed and projected."""
        noise = rng.standard_normal((n_stimuli, *self.shape))
        return self.project(self.smooth(torch.from_numpy(noise).to(like)))


def smoothing_kernels(
    shape: Sequence[int], axes: str, time: float, space: float, like: torch.Tensor
) -> dict[int, torch.Tensor]:
    """Matrices for `StimulusSpace`: Gaussians of the given widths in frames and pixels.

    They are symmetric, so that a smoothed gradient still points upwards.
    """
    widths = {"T": time, "H": space, "W": space, "C": 0.0}
    kernels = {}
    for i, (n, name) in enumerate(zip(shape, axes, strict=True), start=1):
        if widths[name] > 0:
            distance = np.subtract.outer(np.arange(n), np.arange(n)) / widths[name]
            kernels[i] = torch.from_numpy(np.exp(-(distance**2) / 2)).to(like)
    return kernels
