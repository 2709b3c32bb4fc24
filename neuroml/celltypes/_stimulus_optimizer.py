"""Gradient ascent on stimuli, all of a batch at once, under constraints on what may be shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from neuroml.celltypes._model_adapter import ModelAdapter
from neuroml.exceptions import DataError

__all__ = [
    "OptimizedStimuli",
    "OptimizerSettings",
    "StimulusSpace",
    "build_space",
    "optimize_stimuli",
    "smoothing_kernels",
]

_TINY = 1e-12  # keeps a stimulus or gradient of zeros from being divided by zero


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
    axes : str
        One of the letters T, H, W, C for each axis of a stimulus.
    laplace : float
        Weight of `roughness` against the objective.
    """

    shape: tuple[int, ...]
    norm: float | None
    bounds: tuple[torch.Tensor, torch.Tensor] | None
    kernels: dict[int, torch.Tensor]
    axes: str = ""
    laplace: float = 0.0

    def project(self, stimuli: torch.Tensor) -> torch.Tensor:
        """Scale to the norm, then clip to the range (the norm can end up smaller, never larger).

        The order is that of Burg et al. (2024): clipping first would leave the range again.
        """
        if self.norm is not None:
            stimuli = stimuli * (self.norm / _norm(stimuli))
        return stimuli if self.bounds is None else stimuli.clamp(*self.bounds)

    def smooth(self, stimuli: torch.Tensor) -> torch.Tensor:
        """Apply a symmetric Gaussian kernel along time and space."""
        for axis, kernel in self.kernels.items():
            stimuli = torch.movedim(torch.movedim(stimuli, axis, -1) @ kernel, -1, axis)
        return stimuli

    def roughness(self, stimuli: torch.Tensor) -> torch.Tensor:
        """Mean square (n_stimuli,) of the Laplacian over rows and columns, edges reflected.

        The filter is that of Burg et al. (2024), [.25 .5 .25; .5 -3 .5; .25 .5 .25], reflected by
        two pixels: a small blur minus the pixel itself.
        """
        rows, columns = self.axes.index("H") + 1, self.axes.index("W") + 1
        frames = stimuli.movedim((rows, columns), (-2, -1))
        blur = frames.new_tensor([0.5, 1.0, 0.5])
        kernel = torch.outer(blur, blur)
        kernel[1, 1] -= 4
        flat = frames.reshape(-1, 1, *frames.shape[-2:])
        padded = functional.pad(flat, (2, 2, 2, 2), mode="reflect")
        found = functional.conv2d(padded, kernel[None, None])
        return found.square().reshape(len(stimuli), -1).mean(dim=1)

    def random(self, n_stimuli: int, rng: np.random.Generator, like: torch.Tensor) -> torch.Tensor:
        """White noise, smoothed and projected."""
        noise = rng.standard_normal((n_stimuli, *self.shape))
        return self.project(self.smooth(torch.from_numpy(noise).to(like)))


def build_space(
    adapter: ModelAdapter,
    reference: torch.Tensor,
    *,
    norm: float | str | None,
    pixel_range: Any,
    smooth_time: float,
    smooth_space: float,
    laplace: float = 0.0,
) -> StimulusSpace:
    """The constraints that an estimator's parameters of the same names stand for.

    Parameters
    ----------
    adapter : ModelAdapter
    reference : Tensor of shape (n_stimuli, *shape)
        Reference stimuli as deviations, whose mean norm ``norm="reference"`` takes.
    norm, pixel_range, smooth_time, smooth_space, laplace
        As in `MostDiscriminativeStimuli`.

    Raises
    ------
    DataError
        If the Laplacian is asked for of stimuli that have no rows and columns, or too few.
    """
    small = [n for n, name in zip(adapter.shape, adapter.axes, strict=True) if name in "HW"]
    if laplace > 0 and (len(small) < 2 or min(small) < 3):
        raise DataError(
            "these stimuli have no Laplacian over space",
            expected="axes H and W of at least 3 pixels",
            found=f"shape {adapter.shape} with axes {adapter.axes!r}",
            fix="Use laplace=0, or smooth_time for waveforms.",
            field="laplace",
        )
    if isinstance(norm, str):
        norm = float(reference.flatten(1).norm(dim=1).mean())
    return StimulusSpace(
        adapter.shape,
        norm,
        adapter.as_bounds(adapter.pixel_limits(pixel_range)),
        smoothing_kernels(adapter.shape, adapter.axes, smooth_time, smooth_space, adapter.like),
        adapter.axes,
        laplace,
    )


def smoothing_kernels(
    shape: Sequence[int], axes: str, time: float, space: float, like: torch.Tensor
) -> dict[int, torch.Tensor]:
    """Matrices for `StimulusSpace`: Gaussians of the given widths in frames and pixels.

    They are symmetric and positive definite, so a smoothed gradient K g is still a direction in
    which the objective grows: g' K g > 0. Normalized rows would break the symmetry at the edges.
    """
    widths = {"T": time, "H": space, "W": space, "C": 0.0}
    kernels = {}
    for i, (n, name) in enumerate(zip(shape, axes, strict=True), start=1):
        if widths[name] > 0:
            # K_ij = exp(-(i - j)^2 / (2 width^2))
            distance = np.subtract.outer(np.arange(n), np.arange(n)) / widths[name]
            kernels[i] = torch.from_numpy(np.exp(-(distance**2) / 2)).to(like)
    return kernels


@dataclass(frozen=True)
class OptimizerSettings:
    """How stimuli are optimized.

    Attributes
    ----------
    n_steps : int
    learning_rate : float
        0.03 of the norm in 40 steps with momentum moves a stimulus about its own length; it was
        chosen on simulated retinas, where the published rate (100, without normalization of the
        gradient) fits one model's gradients only.
    momentum : float
        0.9 is the customary value.
    scale_free : bool
        Move by ``learning_rate`` times the stimulus's own norm along the gradient, whatever the
        gradient's length; otherwise by ``learning_rate`` times the gradient.
    keep_best : bool
        Return the best stimulus of all steps rather than the last one.
    """

    n_steps: int = 40
    learning_rate: float = 0.03
    momentum: float = 0.9
    scale_free: bool = True
    keep_best: bool = True


@dataclass(frozen=True)
class OptimizedStimuli:
    """Stimuli (n, *shape), the responses (n, n_cells) to them, and their objective (n,)."""

    stimuli: torch.Tensor
    responses: torch.Tensor
    objective: torch.Tensor


def optimize_stimuli(
    respond: Callable[[torch.Tensor], torch.Tensor],
    objective: Callable[[torch.Tensor], torch.Tensor],
    start: torch.Tensor,
    space: StimulusSpace,
    settings: OptimizerSettings,
) -> OptimizedStimuli:
    """Raise the objective of stimuli by projected gradient ascent, all in one batch.

    Parameters
    ----------
    respond : callable
        Stimuli (n, *shape) to responses (n, n_cells), each row depending on its stimulus alone.
    objective : callable
        Responses (n, n_cells) to (n,), each entry depending on its row alone. The gradient of the
        sum is then the gradient of each, and a batch gives what each stimulus gives by itself.
    start : Tensor of shape (n, *shape)
        Stimuli that fulfil the constraints.
    space : StimulusSpace
        The constraints, which stimuli are projected to after every step.
    settings : OptimizerSettings
    """
    current = start.detach()
    velocity = torch.zeros_like(current)
    best: OptimizedStimuli | None = None
    for step in range(settings.n_steps + 1):
        current.requires_grad_(step < settings.n_steps)
        responses = respond(current)
        value = objective(responses)
        if space.laplace > 0:
            value = value - space.laplace * space.roughness(current)
        found = OptimizedStimuli(current.detach(), responses.detach(), value.detach())
        best = found if best is None or not settings.keep_best else _better(best, found)
        if step == settings.n_steps:
            break
        # gradient, smoothed over space and time
        (gradient,) = torch.autograd.grad(value.sum(), current)
        gradient = space.smooth(gradient)
        with torch.no_grad():
            # v <- momentum v + g, with g of unit norm in scale-free steps
            if settings.scale_free:
                gradient = gradient / _norm(gradient)
            velocity = settings.momentum * velocity + gradient
            # s <- P(s + rate v), or P(s + rate |s| v / |v|), with P the projection
            move = settings.learning_rate * velocity
            if settings.scale_free:
                move = move * (_norm(current) / _norm(velocity))
            current = space.project(current.detach() + move)
    assert best is not None
    return best


def _norm(stimuli: torch.Tensor) -> torch.Tensor:
    """Euclidean norm of each stimulus, never zero, with the axes kept."""
    norm = stimuli.flatten(start_dim=1).norm(dim=1)
    return norm.clamp_min(_TINY).reshape(-1, *[1] * (stimuli.ndim - 1))


def _better(best: OptimizedStimuli, found: OptimizedStimuli) -> OptimizedStimuli:
    """Row by row the one with the higher objective."""
    improved = found.objective > best.objective
    rows = improved.reshape(-1, *[1] * (found.stimuli.ndim - 1))
    return OptimizedStimuli(
        torch.where(rows, found.stimuli, best.stimuli),
        torch.where(improved[:, None], found.responses, best.responses),
        torch.where(improved, found.objective, best.objective),
    )
