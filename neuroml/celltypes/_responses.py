"""What a model must offer, and how it is looked at: frozen, in eval mode, and left as it was found.

A model is a torch module that maps stimuli ``(batch, *stimulus_shape)`` to responses
``(batch, n_cells)``, or to ``(batch, n_frames, n_cells)``, of which the mean over frames is taken.
It must be differentiable in the stimulus and treat every row of the batch by itself. It may have
the attributes ``stimulus_shape`` and ``stimulus_axes``; ``stimulus_mean`` and ``stimulus_sd``,
numbers or one per channel (0 and 1 if absent); and ``stimulus_range``, the lowest and highest
value it was trained on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn

from neuroml._core.torch_state import as_tensor, own_torch_state
from neuroml._core.validation import as_given, as_numbers
from neuroml.celltypes._space import along_channels, check_axes
from neuroml.exceptions import DataError
from neuroml.simulate import make_pink_stimuli

__all__ = ["ModelView", "Range", "frozen", "opened"]

_BATCH = 64
Range = tuple[np.ndarray, np.ndarray]


@contextmanager
def frozen(module: nn.Module) -> Iterator[nn.Module]:
    """Eval mode without parameter gradients, for as long as the context lasts."""
    modes = {part: part.training for part in module.modules()}
    wanted = {parameter: parameter.requires_grad for parameter in module.parameters()}
    module.eval()
    module.requires_grad_(False)
    try:
        yield module
    finally:
        for part, training in modes.items():
            part.training = training
        for parameter, requires_grad in wanted.items():
            parameter.requires_grad_(requires_grad)


@contextmanager
def opened(
    model: Any,
    *,
    stimulus_shape: Sequence[int] | None = None,
    stimulus_axes: str | None = None,
    window: int | None = None,
) -> Iterator[ModelView]:
    """Look at a model for as long as the context lasts.

    Parameters
    ----------
    model : Module or fitted ResponseModel
    stimulus_shape : sequence of int, optional
        The model's own if it has one.
    stimulus_axes : str, optional
        One of the letters T, H, W, C for each axis; the model's own if it has them.
    window : int, optional
        Take the mean over that many last frames of the responses only.

    Raises
    ------
    DataError
        If the model is no module, does not fulfil the protocol, or has no known stimulus shape.
    """
    module = model.as_module() if hasattr(model, "as_module") else model
    if not isinstance(module, nn.Module):
        raise DataError(
            "this is not a model of responses",
            expected="a fitted ResponseModel or a torch.nn.Module",
            found=type(model).__name__,
            field="model",
        )
    shape = stimulus_shape or getattr(module, "stimulus_shape", None)
    if shape is None:
        raise DataError(
            "the shape of one stimulus is not known",
            fix="Pass stimulus_shape=(n_frames, height, width), or whatever the module takes.",
            field="stimulus_shape",
        )
    axes = stimulus_axes or getattr(module, "stimulus_axes", None)
    with own_torch_state(_like(module).device), frozen(module):
        yield ModelView(module, tuple(int(n) for n in shape), axes, window)


def _like(module: nn.Module) -> torch.Tensor:
    """An empty tensor of the type and on the device that a module computes with."""
    tensors = [*module.parameters(), *module.buffers()]
    floats = (tensor for tensor in tensors if tensor.is_floating_point())
    found = next(floats, torch.empty(0, dtype=torch.float32, device="cpu"))
    return torch.empty(0, dtype=found.dtype, device=found.device)


class ModelView:
    """The responses of a model's cells, with stimuli as deviations from the mean stimulus.

    Attributes
    ----------
    shape, axes
        Of one stimulus.
    like : Tensor
        Empty, of the type and on the device that the model computes with.
    n_cells : int
    trained_range : tuple of ndarray or None
        Lowest and highest pixel value that the model was trained on.
    """

    def __init__(
        self, module: nn.Module, shape: tuple[int, ...], axes: str | None, window: int | None
    ) -> None:
        self.shape, self.axes = shape, check_axes(shape, axes)
        self.like = _like(module)
        self._module, self._window = module, window
        self._mean = along_channels(getattr(module, "stimulus_mean", 0.0), shape, self.axes)
        self._sd = along_channels(getattr(module, "stimulus_sd", 1.0), shape, self.axes)
        self._origin = as_tensor(self._mean).to(self.like)
        trained = getattr(module, "stimulus_range", None)
        self.trained_range = None if trained is None else self.as_range(trained)
        self.n_cells = self._check()

    def respond(self, deviations: torch.Tensor) -> torch.Tensor:
        """Responses (n_stimuli, n_cells) to stimuli (n_stimuli, *shape)."""
        responses = self._module(self._origin + deviations)
        if responses.ndim == 3:
            return responses[:, slice(-self._window if self._window else None, None)].mean(dim=1)
        return responses

    def record(self, deviations: torch.Tensor) -> np.ndarray:
        """Responses in double precision, batch by batch, without gradients."""
        with torch.no_grad():
            parts = [self.respond(part).double().cpu().numpy() for part in deviations.split(_BATCH)]
        return np.concatenate(parts)

    def deviations(self, stimuli: ArrayLike) -> torch.Tensor:
        """Stimuli as shown, turned into deviations."""
        array = as_numbers(as_given(stimuli, "stimuli"), "stimuli").astype(np.float64)
        if array.shape[1:] != self.shape or not np.isfinite(array).all():
            raise DataError(
                "these stimuli cannot be shown to the model",
                expected=f"finite values of shape (n_stimuli, {', '.join(map(str, self.shape))})",
                found=f"shape {array.shape}, {int((~np.isfinite(array)).sum())} not finite",
                field="stimuli",
            )
        return torch.from_numpy(array - self._mean).to(self.like)

    def shown(self, deviations: torch.Tensor) -> np.ndarray:
        """Deviations turned into stimuli as shown, in the model's precision."""
        return (self._origin + deviations).cpu().numpy()

    def as_range(self, limits: Sequence[ArrayLike]) -> Range:
        """(lowest, highest) pixel value as arrays that broadcast against stimuli."""
        low, high = (along_channels(limit, self.shape, self.axes) for limit in limits)
        if not (low < high).all():
            raise DataError(
                "the pixel range is empty",
                expected="(lowest, highest) with lowest < highest",
                found=tuple(limits),
                field="pixel_range",
            )
        return low, high

    def as_bounds(self, limits: Range | None) -> tuple[torch.Tensor, torch.Tensor] | None:
        """A range of pixel values as bounds of deviations."""
        if limits is None:
            return None
        low, high = (as_tensor(limit - self._mean).to(self.like) for limit in limits)
        return low, high

    def clips(self, n_stimuli: int, rng: np.random.Generator) -> torch.Tensor:
        """Random deviations with natural statistics and the spread of the model's stimuli."""
        clips = make_pink_stimuli(n_stimuli, self.shape, axes=self.axes, random_state=rng)
        return torch.from_numpy(clips * self._sd).to(self.like)

    def _check(self) -> int:
        """The number of cells of a model that does what the protocol says."""
        probe = self.clips(2, np.random.default_rng(0)).requires_grad_()
        try:
            responses = self._module(self._origin + probe)
        except (RuntimeError, ValueError, IndexError) as error:
            raise DataError(
                "the model does not take stimuli of this shape",
                expected=f"a module for stimuli (batch, {', '.join(map(str, self.shape))})",
                found=f"{type(error).__name__}: {error}",
                field="stimulus_shape",
            ) from error
        self._check_output(responses)
        responses = self.respond(probe)
        finite = torch.isfinite(responses).all(dim=0)
        if not finite.all():
            raise DataError(
                "the model's responses are not finite",
                expected="finite responses to ordinary stimuli",
                found=f"NaN or infinity in cells {torch.nonzero(~finite)[:10, 0].tolist()}",
                field="model",
            )
        with torch.no_grad():
            alone = torch.cat([self.respond(probe[:1]), self.respond(probe[1:])])
        if (alone - responses).abs().max() > 1e-3 * responses.abs().max():
            raise DataError(
                "the response to a stimulus changes with the rest of the batch, or by chance",
                expected="the same response alone and in a batch, every time",
                fix="Leave out batch statistics and sampling when the module is in eval mode.",
                field="model",
            )
        return responses.shape[1]

    def _check_output(self, responses: Any) -> None:
        if not isinstance(responses, torch.Tensor) or not (
            responses.ndim in (2, 3) and responses.shape[0] == 2 and 0 not in responses.shape
        ):
            raise DataError(
                "the model's output has the wrong shape",
                expected="(batch, n_cells) or (batch, n_frames, n_cells)",
                found=f"{tuple(getattr(responses, 'shape', ()))} for a batch of 2",
                field="model",
            )
        if not responses.requires_grad:
            raise DataError(
                "the model's responses have no gradient with respect to the stimulus",
                expected="a differentiable module",
                found="an output detached from the input",
                fix="Leave out detach(), no_grad() and NumPy inside forward.",
                field="model",
            )
        if self._window is not None and (responses.ndim == 2 or responses.shape[1] < self._window):
            raise DataError(
                "the model's responses have no such window",
                expected=f"(batch, n_frames, n_cells) with n_frames >= {self._window}",
                found=tuple(responses.shape),
                field="window",
            )
