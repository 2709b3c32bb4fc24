"""The adapter of a user's torch model: frozen, in eval mode, and left as it was found.

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
from neuroml.exceptions import DataError
from neuroml.simulate import make_pink_stimuli

__all__ = ["ModelAdapter", "Range", "frozen"]

_BATCH = 64  # stimuli that pass through the model at once: bounds the memory, changes no number
# The response to a stimulus alone and in a batch may differ by this share of the largest response:
# float32 leaves about 1e-6 whatever the order of the sums, batch statistics leave 0.01 and more.
_BATCH_TOLERANCE = 1e-3
_DEFAULT_AXES = {1: "T", 2: "HW", 3: "THW", 4: "THWC"}
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


def _like(module: nn.Module) -> torch.Tensor:
    """An empty tensor of the type and on the device that a module computes with."""
    tensors = [*module.parameters(), *module.buffers()]
    floats = (tensor for tensor in tensors if tensor.is_floating_point())
    found = next(floats, torch.empty(0, dtype=torch.float32, device="cpu"))
    return torch.empty(0, dtype=found.dtype, device=found.device)


def _check_axes(shape: Sequence[int], axes: str | None) -> str:
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


def _turned_axes(shape: Sequence[int], axes: str) -> list[int]:
    """Rows and columns of a batch of stimuli, which quarter turns exchange.

    Raises
    ------
    DataError
        If there are none, or they differ in number.
    """
    found = [axes.index(name) + 1 for name in "HW" if name in axes]
    if len(found) < 2 or len({shape[i - 1] for i in found}) > 1:
        raise DataError(
            "these stimuli cannot be turned by 90 degrees",
            expected="axes H and W of the same length",
            found=f"shape {tuple(shape)} with axes {axes!r}",
            fix="Use rotate=False, or square frames.",
            field="rotate",
        )
    return found


class ModelAdapter:
    """The responses of a model's cells to stimuli given as deviations from the mean stimulus.

    Made by `adapt`, and valid as long as its context lasts.

    Attributes
    ----------
    shape : tuple of int
        Shape of one stimulus.
    axes : str
        One of the letters T, H, W, C for each axis of a stimulus.
    like : Tensor
        Empty; has the type and the device that the model computes with.
    n_cells : int
    """

    def __init__(
        self,
        module: nn.Module,
        shape: tuple[int, ...],
        axes: str | None,
        window: int | None,
        rotate: bool = False,
    ) -> None:
        self.shape, self.axes = shape, _check_axes(shape, axes)
        self._turned = _turned_axes(shape, self.axes) if rotate else None
        self.like = _like(module)
        self._module, self._window = module, window
        self._mean = self._along_channels(getattr(module, "stimulus_mean", 0.0))
        self._sd = self._along_channels(getattr(module, "stimulus_sd", 1.0))
        self._origin = as_tensor(self._mean).to(self.like)
        trained = getattr(module, "stimulus_range", None)
        self._trained_range = None if trained is None else self._as_range(trained)
        self.n_cells = self._check_model()

    @classmethod
    @contextmanager
    def adapt(
        cls,
        model: Any,
        *,
        stimulus_shape: Sequence[int] | None = None,
        stimulus_axes: str | None = None,
        window: int | None = None,
        rotate: bool = False,
    ) -> Iterator[ModelAdapter]:
        """Adapt a model, which stays frozen and in eval mode as long as the context lasts.

        Parameters
        ----------
        model : Module or fitted ResponseModel
        stimulus_shape : sequence of int, optional
            The model's own if it has one.
        stimulus_axes : str, optional
            One of the letters T, H, W, C for each axis; the model's own if it has them.
        window : int, optional
            Take the mean over that many last frames of the responses only.
        rotate : bool
            Take the largest response to a stimulus turned by multiples of 90 degrees.

        Raises
        ------
        DataError
            If the model is no module, does not fulfil the protocol, or has no known stimulus
            shape.
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
            yield cls(module, tuple(int(n) for n in shape), axes, window, rotate)

    def respond(self, deviations: torch.Tensor) -> torch.Tensor:
        """Responses (n_stimuli, n_cells) to stimuli (n_stimuli, *shape)."""
        if self._turned is None:
            return self._respond(deviations)
        turned = [torch.rot90(deviations, k, self._turned) for k in range(4)]
        return torch.stack([self._respond(one) for one in turned]).amax(dim=0)

    def _respond(self, deviations: torch.Tensor) -> torch.Tensor:
        """Responses to stimuli as they are, over the window."""
        responses = self._module(self._origin + deviations)
        if responses.ndim == 3:
            return responses[:, slice(-self._window if self._window else None, None)].mean(dim=1)
        return responses

    def record(self, deviations: torch.Tensor) -> np.ndarray:
        """Responses (n_stimuli, n_cells) in double precision, batch by batch, without gradients."""
        with torch.no_grad():
            parts = [self.respond(part).double().cpu().numpy() for part in deviations.split(_BATCH)]
        return np.concatenate(parts)

    def deviations(self, stimuli: ArrayLike) -> torch.Tensor:
        """Turn stimuli into deviations from the mean stimulus."""
        array = as_numbers(as_given(stimuli, "stimuli"), "stimuli").astype(np.float64)
        if array.shape[1:] != self.shape or not np.isfinite(array).all():
            raise DataError(
                "these stimuli cannot be shown to the model",
                expected=f"finite values of shape (n_stimuli, {', '.join(map(str, self.shape))})",
                found=f"shape {array.shape}, {int((~np.isfinite(array)).sum())} not finite",
                field="stimuli",
            )
        return torch.from_numpy(array - self._mean).to(self.like)

    def as_shown(self, deviations: torch.Tensor) -> np.ndarray:
        """Turn deviations back into stimuli as they are shown, in the model's precision."""
        return (self._origin + deviations).cpu().numpy()

    def pixel_limits(self, pixel_range: Any) -> Range | None:
        """Lowest and highest pixel value, as arrays that broadcast against stimuli.

        Parameters
        ----------
        pixel_range : tuple or "model" or None
            (lowest, highest), numbers or one per channel; the range that the model was trained on,
            if it knows that; no limits.
        """
        if pixel_range is None:
            return None
        if isinstance(pixel_range, str):
            return self._trained_range
        return self._as_range(pixel_range)

    def as_bounds(self, limits: Range | None) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Turn a range of pixel values into bounds of deviations."""
        if limits is None:
            return None
        low, high = (as_tensor(limit - self._mean).to(self.like) for limit in limits)
        return low, high

    def clips(self, n_stimuli: int, rng: np.random.Generator) -> torch.Tensor:
        """Random deviations: 1/f statistics, the standard deviation of the model's stimuli."""
        clips = make_pink_stimuli(n_stimuli, self.shape, axes=self.axes, random_state=rng)
        return torch.from_numpy(clips * self._sd).to(self.like)

    def _as_range(self, limits: Sequence[ArrayLike]) -> Range:
        low, high = (self._along_channels(limit) for limit in limits)
        if not (low < high).all():
            raise DataError(
                "the pixel range is empty",
                expected="(lowest, highest) with lowest < highest",
                found=tuple(limits),
                field="pixel_range",
            )
        return low, high

    def _along_channels(self, value: ArrayLike) -> np.ndarray:
        """A number, or one per channel, as an array that broadcasts against stimuli."""
        array = np.asarray(value, dtype=np.float64)
        n_channels = self.shape[self.axes.index("C")] if "C" in self.axes else 1
        if array.ndim == 0:
            return array
        if array.shape != (n_channels,):
            raise DataError(
                "there must be one number, or one per channel",
                expected=f"{n_channels} for stimuli of shape {self.shape} with axes {self.axes!r}",
                found=f"shape {array.shape}",
                field="pixel_range",
            )
        return array.reshape([n_channels if name == "C" else 1 for name in self.axes])

    def _check_model(self) -> int:
        """Check that the model does what the protocol says, and return its number of cells."""
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
        # the mean over frames, which is what stimuli are optimized for
        responses = self.respond(probe)
        finite = torch.isfinite(responses).all(dim=0)
        if not finite.all():
            raise DataError(
                "the model's responses are not finite",
                expected="finite responses to ordinary stimuli",
                found=f"NaN or infinity in cells {torch.nonzero(~finite)[:10, 0].tolist()}",
                field="model",
            )
        # All clusters' stimuli are optimized in one batch: that is exact only if no row of the
        # batch changes another one's response (batch norm in train mode and dropout would).
        with torch.no_grad():
            alone = torch.cat([self.respond(probe[:1]), self.respond(probe[1:])])
        if (alone - responses).abs().max() > _BATCH_TOLERANCE * responses.abs().max():
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
