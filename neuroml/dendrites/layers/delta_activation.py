"""Activity that is transmitted only when it changes."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from neuroml.dendrites.layers._checks import mean_or_zero
from neuroml.exceptions import DataError

__all__ = ["DeltaActivation"]


class _Quantize(torch.autograd.Function):
    """Multiples of the step; the gradients are those that `DeltaActivation` describes."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        level = (x / step).round_()
        ctx.save_for_backward(level)
        ctx.step_shape = step.shape
        return level * step

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        (level,) = ctx.saved_tensors
        return gradient, -(gradient * level).sum_to_size(ctx.step_shape)


class DeltaActivation(nn.Module):
    r"""Quantize a signal over time, so that only its changes by a step need to be transmitted.

    .. math:: q_t = \Delta \, \mathrm{round}(x_t / \Delta), \qquad \delta_t = q_t - q_{t - 1}

    A following linear layer without bias can be driven by the sparse :math:`\delta_t` and add up
    its output. Training sees :math:`q`, with a gradient of one through the rounding. The gradient
    with respect to the step is that of its role as a multiplier, *negated*: added to the loss,
    `penalty` then enlarges the step and makes the changes rarer, as in the reference.

    Parameters
    ----------
    shape : tuple of int, default=()
        Shape of the step, which broadcasts with one frame: () for one per layer, (n_units,) for
        one per unit.
    step : float, default=0.1
        Initial step.

    Attributes
    ----------
    log_step : Parameter
        Natural logarithm of the step, which stays positive that way.
    penalty : Tensor
        Mean of :math:`|\delta_t|` over the latest input, without the first frame: add it to the
        loss, times a rate and the number of units it is sent to.
    density : float
        Share of :math:`\delta_t` that was not zero, without the first frame. Both are zero of an
        empty batch.

    Raises
    ------
    DataError
        If the step is not positive, or the input has fewer than two frames.

    References
    ----------
    A. Yousefzadeh, M. Sifalakis (2021). Training for temporal sparsity in deep neural networks,
    application in video processing. arXiv:2107.07305.

    Examples
    --------
    >>> import torch
    >>> from neuroml.dendrites.layers import DeltaActivation
    >>> layer = DeltaActivation(step=0.5)
    >>> layer(torch.tensor([[[0.1], [0.4], [0.6], [1.4]]])).flatten()
    tensor([0.0000, 0.5000, 0.5000, 1.5000], grad_fn=<ViewBackward0>)
    >>> round(layer.density, 2)
    0.67
    """

    penalty: torch.Tensor
    density: float

    def __init__(self, shape: tuple[int, ...] = (), *, step: float = 0.1) -> None:
        super().__init__()
        if not (step > 0 and math.isfinite(step)):
            raise DataError("the step is not positive", expected="> 0", found=step, field="step")
        self.log_step = nn.Parameter(torch.full(shape, math.log(step)))

    @property
    def step(self) -> torch.Tensor:
        """The step."""
        return self.log_step.exp()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Quantise x of shape (n_samples, n_times, ...)."""
        if x.ndim < 2 or x.shape[1] < 2:
            raise DataError(
                "no changes over time",
                expected="x of shape (n_samples, n_times >= 2, ...)",
                found=tuple(x.shape),
                field="x",
            )
        quantised = _Quantize.apply(x, self.step)
        changes = quantised.diff(dim=1)
        self.penalty = mean_or_zero(changes.abs())
        self.density = int(changes.count_nonzero()) / max(1, changes.numel())
        return quantised

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy gets: the latest penalty's value, without the graph that led to it."""
        state = dict(vars(self))
        if "penalty" in state:
            state["penalty"] = state["penalty"].detach()
        return state

    @staticmethod
    def changes(quantised: torch.Tensor) -> torch.Tensor:
        """Return what is sent: the first frame, then the differences; they add up to the input."""
        return torch.cat([quantised[:, :1], quantised.diff(dim=1)], dim=1)
