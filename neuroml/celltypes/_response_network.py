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
_TINY = 1e-12  # keeps a mask of zeros from being divided by zero


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
    readout : {"point", "gaussian", "factorized"}
    nonlinearity : {"softplus", "exp", "identity"}
    n_covariates : int
        What else the cells depend on, beside the stimulus.
    """

    core: str
    n_lags: int
    n_filters: int
    n_features: int
    kernel_size: int
    readout: str
    nonlinearity: str
    n_covariates: int = 0


class ResponseNetwork(nn.Module):
    r"""A core shared by all cells, and for each cell a place and weights of the core's features.

    With :math:`\phi_k(x, t)` the core's features, the response of cell :math:`i` is
    :math:`f(b_i + \sum_k w_{ik} \phi_k(x_i, t) + \sum_j v_{ij} z_j(t))`, features at :math:`x_i`
    interpolated from the pixels around it, and :math:`z` the standardized covariates. With
    factorized readouts, :math:`\sum_x m_i(x) \phi_k(x, t)` with a mask :math:`m_i` over the canvas
    takes the place of :math:`\phi_k(x_i, t)`. The mean stimulus is taken to continue beyond the
    edges.

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
        Read all cells out at the pixel in the middle, and compute only what this depends on; or
        with masks moved to the middle.
    covariates : tuple of two Tensors of shape (n_covariates,), optional
        Mean and standard deviation that covariates are standardized with.
    """

    mean: torch.Tensor
    sd: torch.Tensor
    covariate_mean: torch.Tensor
    covariate_sd: torch.Tensor
    mask: nn.Parameter | None
    covariate_weights: nn.Parameter | None

    def __init__(
        self,
        architecture: Architecture,
        frame_shape: Sequence[int],
        n_cells: int,
        *,
        mean: torch.Tensor,
        sd: torch.Tensor,
        centered: bool = False,
        covariates: tuple[torch.Tensor, torch.Tensor] | None = None,
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
        self._add_mask(n_cells, spatial)
        self._add_covariates(n_cells, covariates)
        self.generator: torch.Generator | None = None  # of places drawn in training

    def _add_mask(self, n_cells: int, spatial: bool) -> None:
        """Masks (n_cells, n_pixels) of factorized readouts, in units of ``_mask_unit``."""
        half = [(size - 1) / 2 for size in self.canvas]
        # the sum over pixels of a Gaussian of height 1: with it, a mask starts with the sum 1, as
        # the weights of interpolation have, and with entries on which steps of any size are small
        self._mask_unit = 1 / math.prod(max(1, math.sqrt(math.tau) * _INITIAL_SD * h) for h in half)
        masked = spatial and self.architecture.readout == "factorized"
        mask = torch.zeros(n_cells, math.prod(self.canvas), dtype=self.mean.dtype)
        self.register_parameter("mask", nn.Parameter(mask) if masked else None)
        self.place.requires_grad_(spatial and not masked)

    def _add_covariates(
        self, n_cells: int, scales: tuple[torch.Tensor, torch.Tensor] | None
    ) -> None:
        n_covariates = self.architecture.n_covariates
        weights = torch.zeros(n_cells, n_covariates, dtype=self.mean.dtype)
        self.register_parameter(
            "covariate_weights", nn.Parameter(weights) if n_covariates else None
        )
        if scales is not None:
            self.register_buffer("covariate_mean", scales[0])
            self.register_buffer("covariate_sd", scales[1])

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
            # a frozen core was trained before, on other cells
            if isinstance(layer, nn.Conv3d) and layer.weight.requires_grad:
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
            if self.mask is not None:
                self.mask.copy_(self._bump())

    def _bump(self) -> torch.Tensor:
        """A Gaussian (n_cells, n_pixels) of height 1 around each cell's place."""
        along = []
        for axis, size in enumerate(self.canvas):
            pixels = torch.linspace(-1, 1, size) if size > 1 else torch.zeros(1)
            distance = pixels.to(self.place) - self.place[:, axis, None].clamp(-1, 1)
            along.append((-((distance / _INITIAL_SD) ** 2) / 2).exp() if size > 1 else distance + 1)
        return (along[0][:, :, None] * along[1][:, None]).flatten(start_dim=1)

    def finish(self, constant: torch.Tensor) -> None:
        """End training: ``constant`` cells (n_cells,) keep their bias alone."""
        self.generator = None  # it can be neither copied nor pickled
        with torch.no_grad():
            silent = constant.to(self.weights.device)
            self.weights[silent] = 0.0
            if self.covariate_weights is not None:
                self.covariate_weights[silent] = 0.0
            if self.mask is not None:
                # mask and weights are known up to a factor: masks get the sum 1, weights the rest
                size = self.masks().abs().sum(dim=(1, 2)) * self.mask.sum(dim=1).sign()
                size = torch.where(size == 0, 1.0, size)[:, None]
                self.mask.div_(size)
                self.weights.mul_(size)

    def forward(
        self, stimuli: torch.Tensor, covariates: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Responses (batch, n_frames - n_lags + 1, n_cells) to stimuli (batch, n_frames, ...).

        If stimuli are images, responses (batch, n_cells) to stimuli (batch, ...). The first
        response is to the first frame with a full history. Covariates are (batch, n_frames - n_lags
        + 1, n_covariates), or (batch, n_covariates) with images; at their mean if not given.
        """
        drive = self._drive(stimuli[:, None])[:, 0] if self.is_static else self._drive(stimuli)
        if covariates is not None:
            scores = (covariates - self.covariate_mean) / self.covariate_sd
            assert self.covariate_weights is not None
            drive = drive + scores @ self.covariate_weights.T
        return _NONLINEARITIES[self.architecture.nonlinearity](drive)

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
        if self.mask is not None:
            return self._mask_centers()
        half = (self.place.new_tensor([height, width]) - 1) / 2
        return (self.place.clamp(-1, 1) + 1) * half

    def masks(self) -> torch.Tensor:
        """Return the masks (n_cells, height, width) of factorized readouts."""
        assert self.mask is not None
        return (self.mask * self._mask_unit).unflatten(1, self.canvas)

    def readout_size(self) -> torch.Tensor:
        """Mean absolute readout weight over cells and features, summed over a mask's pixels.

        The product of weights and masks stays the same if a factor moves from one to the other.
        """
        size = self.weights.abs()
        if self.mask is not None:
            size = size * self.masks().abs().sum(dim=(1, 2))[:, None]
        return size.mean()

    def roughness(self) -> torch.Tensor:
        """Squared differences between neighboring pixels over squares of a mask, mean of cells."""
        masks = self.masks()
        steps = sum(masks.diff(dim=axis).square().sum(dim=(1, 2)) for axis in (1, 2))
        return (steps / masks.square().sum(dim=(1, 2)).clamp_min(_TINY)).mean()

    def _mask_centers(self) -> torch.Tensor:
        """Row and column (n_cells, 2) of the center of mass of each mask above half its maximum."""
        size = self.masks().abs()
        heavy = (size - size.amax(dim=(1, 2), keepdim=True) / 2).clamp_min(0)
        total = heavy.sum(dim=(1, 2)).clamp_min(torch.finfo(size.dtype).tiny)
        along = [heavy.sum(dim=2), heavy.sum(dim=1)]
        pixels = [torch.arange(n, dtype=size.dtype, device=size.device) for n in self.canvas]
        return torch.stack([m @ x / total for m, x in zip(along, pixels, strict=True)], dim=1)

    def _centered_masks(self) -> torch.Tensor:
        """Masks moved to the middle; what lies beyond the canvas then is lost."""
        masks = self.masks()
        moved = self._mask_centers() - self.place.new_tensor([n // 2 for n in self.canvas])
        for axis, size in enumerate(self.canvas):
            pixels = torch.arange(size, dtype=masks.dtype, device=masks.device)
            # m'(x) = m(x + shift), interpolated: max(0, 1 - |x + shift - pixel|) along each axis
            source = pixels[:, None] + moved[:, axis, None, None]
            shift = (1 - (source - pixels).abs()).clamp_min(0)
            masks = torch.einsum("nij,njk->nik" if axis == 0 else "nij,nkj->nki", shift, masks)
        return masks

    def _drive(self, stimuli: torch.Tensor) -> torch.Tensor:
        """Drive (batch, time, n_cells) by stimuli (batch, n_frames, ...)."""
        features = self.core(self._canvas((stimuli - self.mean) / self.sd))
        return self._read_out(features) + self.bias

    def _canvas(self, stimuli: torch.Tensor) -> torch.Tensor:
        """Stimuli as (batch, channels, time, height, width), with all that the readouts reach."""
        if len(self.frame_shape) in (1, 3):
            stimuli = stimuli.movedim(-1, 1)
        else:
            stimuli = stimuli.unsqueeze(1)
        height, width = self.canvas
        # with channels last in memory, the gradient of a convolution takes several times longer
        stimuli = stimuli.reshape(*stimuli.shape[:3], height, width).contiguous()
        if not self.is_centered or self.mask is not None:
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
        # features at a place, or under a mask, as a matrix product: faster than grid_sample for
        # small canvases
        values = features.flatten(start_dim=3) @ self._pixel_weights().T
        return torch.einsum("bftn,nf->btn", values, self.weights)

    def _pixel_weights(self) -> torch.Tensor:
        """Weights (n_cells, n_pixels) with which each cell sees the features of every pixel."""
        if self.mask is not None:
            return (self._centered_masks() if self.is_centered else self.masks()).flatten(1)
        place: torch.Tensor = self.place
        # place ~ N(mean, sd^2), drawn anew for each batch: features at the cell's place have a
        # gradient that reaches beyond the four pixels around it (Lurz et al. 2021)
        if self.training and self.architecture.readout == "gaussian":
            noise = torch.randn(
                place.shape, generator=self.generator, dtype=place.dtype, device=place.device
            )
            place = place + self.spread.exp()[:, None] * noise
        return self._interpolation(place)

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
