"""Small convolutional networks that turn stimuli into the responses of many cells."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

__all__ = ["Architecture", "ResponseNetwork"]

# Standard deviation of a Gaussian readout's position before training, as a share of half the
# canvas: wide enough for the gradient to find a better place nearby; training then shrinks it.
_INITIAL_SD = 0.15
# Readout weights start this much smaller than the core's, so that training starts from the mean
# responses, which the biases give.
_WEIGHT_SCALE = 0.1


@dataclass(frozen=True)
class Architecture:
    """The layers of a `ResponseNetwork`.

    Attributes
    ----------
    core : {"linear", "conv2d", "conv3d"}
        One layer of filters; filters over space and lags and a hidden layer; or the same with
        filters that are sums of products of space and time.
    n_lags : int
        Frames that a response depends on.
    n_filters, n_features : int
        Channels of the first and of the hidden layer.
    kernel_size : int
        Height and width of the filters, an odd number.
    readout : {"point", "gaussian"}
    nonlinearity : {"softplus", "exp", "identity"}
    """

    core: str
    n_lags: int
    n_filters: int
    n_features: int
    kernel_size: int
    readout: str
    nonlinearity: str


class ResponseNetwork(nn.Module):
    r"""A core shared by all cells, and for each cell a place and weights of the core's features.

    With :math:`\phi_k(x, t)` the core's features, the response of cell :math:`i` is
    :math:`f(b_i + \sum_k w_{ik} \phi_k(x_i, t))`, features at :math:`x_i` interpolated from the
    pixels around it. The mean stimulus is taken to continue beyond the edges.

    Parameters
    ----------
    architecture : Architecture
    frame_shape : sequence of int
        Shape of one frame: (), (channels,), (height, width) or (height, width, channels).
    n_cells : int
    mean, sd : Tensor
        Mean and standard deviation that stimuli are standardized with, numbers or one per channel;
        all weights have their type, whatever torch's default is.
    centered : bool
        Read all cells out at the pixel in the middle, and compute only what this depends on.
    """

    mean: torch.Tensor
    sd: torch.Tensor

    def __init__(
        self,
        architecture: Architecture,
        frame_shape: Sequence[int],
        n_cells: int,
        *,
        mean: torch.Tensor,
        sd: torch.Tensor,
        centered: bool = False,
    ) -> None:
        super().__init__()
        self.architecture, self.frame_shape = architecture, tuple(frame_shape)
        self.register_buffer("mean", mean)
        self.register_buffer("sd", sd)
        self.is_centered = centered
        n_channels = self.frame_shape[-1] if len(self.frame_shape) in (1, 3) else 1
        spatial = len(self.frame_shape) >= 2
        self.canvas = self.frame_shape[:2] if spatial else (1, 1)
        self.reach = architecture.kernel_size // 2 if spatial else 0
        self.core = _build_core(architecture, n_channels, 2 * self.reach + 1, mean.dtype)
        n_features = next(m for m in reversed(self.core) if isinstance(m, nn.Conv3d)).out_channels
        self.place = nn.Parameter(torch.zeros(n_cells, 2, dtype=mean.dtype), requires_grad=spatial)
        self.spread = nn.Parameter(
            torch.full((n_cells,), math.log(_INITIAL_SD), dtype=mean.dtype),
            requires_grad=spatial and architecture.readout == "gaussian",
        )
        self.weights = nn.Parameter(torch.zeros(n_cells, n_features, dtype=mean.dtype))
        self.bias = nn.Parameter(torch.zeros(n_cells, dtype=mean.dtype))
        self.generator: torch.Generator | None = None  # of places drawn in training

    @property
    def is_static(self) -> bool:
        """Whether stimuli are single images, without an axis for time."""
        return self.architecture.n_lags == 1 and len(self.frame_shape) > 0

    def initialize(
        self, bias: torch.Tensor, place: torch.Tensor | None, generator: torch.Generator
    ) -> None:
        """Draw the weights before training.

        Parameters
        ----------
        bias : Tensor of shape (n_cells,)
            The drive that gives each cell's mean response.
        place : Tensor of shape (n_cells, 2) or None
            Where each cell's readout starts, from -1 to 1 along each axis of the canvas.
        generator : torch.Generator
            Also draws the readouts' places in training.
        """
        self.generator = generator
        # weights with the variance 1 / fan_in keep the variance of features from layer to layer
        for layer in self.core:
            if isinstance(layer, nn.Conv3d):
                fan_in = layer.weight[0].numel()
                nn.init.normal_(layer.weight, std=fan_in**-0.5, generator=generator)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        std = _WEIGHT_SCALE * self.weights.shape[1] ** -0.5
        nn.init.normal_(self.weights, std=std, generator=generator)
        with torch.no_grad():
            self.bias.copy_(bias)
            if place is not None:
                self.place.copy_(place)

    def finish(self, constant: torch.Tensor) -> None:
        """End training: ``constant`` cells (n_cells,) keep their bias alone."""
        self.generator = None  # it can be neither copied nor pickled
        with torch.no_grad():
            self.weights[constant.to(self.weights.device)] = 0.0

    def forward(self, stimuli: torch.Tensor) -> torch.Tensor:
        """Responses (batch, n_frames - n_lags + 1, n_cells) to stimuli (batch, n_frames, ...).

        If stimuli are images, responses (batch, n_cells) to stimuli (batch, ...). The first
        response is to the first frame with a full history.
        """
        if self.is_static:
            return self._respond(stimuli[:, None])[:, 0]
        return self._respond(stimuli)

    def centered(self) -> ResponseNetwork:
        """Return the same network with all cells at the pixel in the middle."""
        twin = copy.deepcopy(self)
        twin.is_centered = True
        return twin

    def places(self) -> torch.Tensor:
        """Return row and column of each cell's readout in pixels (n_cells, 2)."""
        height, width = self.canvas
        if self.is_centered:
            return self.place.new_tensor([height // 2, width // 2]).expand_as(self.place)
        half = (self.place.new_tensor([height, width]) - 1) / 2
        return (self.place.clamp(-1, 1) + 1) * half

    def _respond(self, stimuli: torch.Tensor) -> torch.Tensor:
        features = self.core(self._canvas((stimuli - self.mean) / self.sd))
        drive = self._read_out(features) + self.bias
        return _NONLINEARITIES[self.architecture.nonlinearity](drive)

    def _canvas(self, stimuli: torch.Tensor) -> torch.Tensor:
        """Stimuli as (batch, channels, time, height, width), with all that the readouts reach."""
        if len(self.frame_shape) in (1, 3):
            stimuli = stimuli.movedim(-1, 1)
        else:
            stimuli = stimuli.unsqueeze(1)
        height, width = self.canvas
        # with channels last in memory, the gradient of a convolution takes several times longer
        stimuli = stimuli.reshape(*stimuli.shape[:3], height, width).contiguous()
        if not self.is_centered:
            return functional.pad(stimuli, (self.reach,) * 4)
        # cut out the square that the filters at the pixel in the middle reach, padded where it
        # extends beyond the canvas (a negative pad cuts)
        row, column = height // 2, width // 2
        top, left = row - self.reach, column - self.reach
        bottom, right = height - 1 - row - self.reach, width - 1 - column - self.reach
        return functional.pad(stimuli, (-left, -right, -top, -bottom))

    def _read_out(self, features: torch.Tensor) -> torch.Tensor:
        """Drive (batch, time, n_cells) from features (batch, n_features, time, height, width)."""
        if features.shape[-2:] == (1, 1):
            return features[..., 0, 0].transpose(1, 2) @ self.weights.T
        place: torch.Tensor = self.place
        # place ~ N(mean, sd^2), drawn anew for each batch: features at the cell's place have a
        # gradient that reaches beyond the four pixels around it (Lurz et al. 2021)
        if self.training and self.architecture.readout == "gaussian":
            noise = torch.randn(
                place.shape, generator=self.generator, dtype=place.dtype, device=place.device
            )
            place = place + self.spread.exp()[:, None] * noise
        # bilinear interpolation as a matrix product, faster than grid_sample for small canvases
        values = features.flatten(start_dim=3) @ self._interpolation(place).T
        return torch.einsum("bftn,nf->btn", values, self.weights)

    def _interpolation(self, place: torch.Tensor) -> torch.Tensor:
        """Weights (n_cells, n_pixels) of the pixels around each place, four at most.

        The weight along an axis is max(0, 1 - |position - pixel|), that of a pixel the product.
        """
        along = []
        for axis, size in enumerate(self.canvas):
            position = (place[:, axis, None].clamp(-1, 1) + 1) * (size - 1) / 2
            pixels = torch.arange(size, dtype=position.dtype, device=position.device)
            along.append((1 - (position - pixels).abs()).clamp_min(0))
        return (along[0][:, :, None] * along[1][:, None]).flatten(start_dim=1)


class _FiltersOverTime(nn.Conv3d):
    """A convolution over time alone, done by conv1d, which is several times faster."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        batch, _, _, height, width = features.shape
        lines = features.permute(0, 3, 4, 1, 2).flatten(0, 2)
        found = functional.conv1d(lines, self.weight[..., 0, 0], self.bias)
        return found.reshape(batch, height, width, *found.shape[1:]).permute(0, 3, 4, 1, 2)


def _build_core(
    architecture: Architecture, n_channels: int, size: int, dtype: torch.dtype
) -> nn.Sequential:
    """Convolutions without padding, weights not yet drawn."""
    a = architecture

    def layer(inputs: int, outputs: int, time: int, space: int) -> nn.Module:
        kind = _FiltersOverTime if space == 1 and time > 1 else nn.Conv3d
        return nn.utils.skip_init(kind, inputs, outputs, (time, space, space), dtype=dtype)

    if a.core == "linear":
        return nn.Sequential(layer(n_channels, a.n_filters, a.n_lags, size))
    if a.core == "conv2d":
        filters = [layer(n_channels, a.n_filters, a.n_lags, size)]
    else:
        filters = [
            layer(n_channels, a.n_filters, 1, size),
            layer(a.n_filters, a.n_filters, a.n_lags, 1),
        ]
    hidden = layer(a.n_filters, a.n_features, 1, 1)
    return nn.Sequential(*filters, nn.ELU(), hidden, nn.ELU())


_NONLINEARITIES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "softplus": functional.softplus,
    "exp": torch.exp,
    "identity": lambda drive: drive,
}
