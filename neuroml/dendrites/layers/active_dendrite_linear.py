"""Layers whose units are modulated by dendritic segments that receive a context."""

from __future__ import annotations

import math
from typing import Any, Literal, cast

import torch
from torch import nn

from neuroml.dendrites.layers._checks import check_share, check_sizes, check_width
from neuroml.dendrites.layers.sparse_linear import SparseLinear, mask_, random_mask
from neuroml.exceptions import DataError

__all__ = ["ActiveDendriteConv2d", "ActiveDendriteLinear"]


class _ActiveDendrites(nn.Module):
    """Segments of every unit, or channel, and what the strongest of them does to its drive."""

    last_winners_: torch.Tensor

    def __init__(
        self,
        feedforward: nn.Linear | nn.Conv2d,
        shape: tuple[int, int, int],
        select: str,
        apply: str,
        segment_density: float,
        context_density: float,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__()
        check_sizes(n_segments=shape[1], dim_context=shape[2])
        check_share(segment_density, "segment_density")
        check_share(context_density, "context_density")
        if select not in ("absmax", "max") or apply not in ("gate", "bias"):
            raise ValueError(
                "select must be 'absmax' or 'max' and apply 'gate' or 'bias', "
                f"got {select!r} and {apply!r}"
            )
        self.select, self.apply_to = select, apply
        self.feedforward = feedforward
        # uniform in +-1 / sqrt(fan-in of non-zero terms), as for the weights (see `SparseLinear`)
        bound = 1 / math.sqrt(context_density * segment_density * shape[2])
        self.segments = nn.Parameter(torch.empty(shape))
        nn.init.uniform_(self.segments, -bound, bound, generator=generator)
        if segment_density < 1:
            mask_(self, "segments", random_mask(shape, segment_density, generator))

    def extra_repr(self) -> str:
        """Return the arguments that the submodules do not show."""
        n_segments, dim_context = self.segments.shape[1:]
        return f"{n_segments=}, {dim_context=}, select={self.select!r}, apply={self.apply_to!r}"

    def _modulate(self, drive: torch.Tensor, strongest: torch.Tensor) -> torch.Tensor:
        return drive * torch.sigmoid(strongest) if self.apply_to == "gate" else drive + strongest

    def _strongest(self, context: torch.Tensor, batch: torch.Size) -> torch.Tensor:
        """Response of the winning segment, (n_units,) or batch + (n_units,)."""
        check_width(context, self.segments.shape[-1], "context")
        if context.ndim > 1 and context.shape[:-1] != batch:
            raise DataError(
                "there is not one context per sample",
                expected=f"context of shape ({context.shape[-1]},) or {tuple(batch)} + it",
                found=tuple(context.shape),
                field="context",
            )
        if _is_shared(context):
            context = context[0]
        segments = self.segments
        responses = nn.functional.linear(context, segments.flatten(0, 1))
        responses = responses.unflatten(-1, segments.shape[:2])
        # which segment wins has no gradient; its response has
        strength = responses.detach()
        strength = strength.abs() if self.select == "absmax" else strength
        self.last_winners_ = strength.argmax(dim=-1)
        return responses.gather(-1, self.last_winners_.unsqueeze(-1)).squeeze(-1)


class ActiveDendriteLinear(_ActiveDendrites):
    r"""Linear layer with active dendrites.

    Every unit has segments with responses :math:`r_j = u_j \cdot c` to a context c. The strongest
    one modulates the unit's feed-forward drive :math:`t = w \cdot x + b`:

    .. math:: y = t \, \sigma(r_{j^*}) \quad \text{(gate)} \qquad \text{or} \qquad
              y = t + r_{j^*} \quad \text{(bias)}

    Only the winning segment learns. Gates are computed once where a batch shares its context: for a
    single context vector, and for a batch of identical rows that needs no gradient.

    Parameters
    ----------
    in_features, out_features : int
    n_segments : int
        Number of segments per unit.
    dim_context : int
    select : {"absmax", "max"}, default="absmax"
        Whether the segment with the largest magnitude or the largest value modulates its unit. With
        "max" the gates of an untrained layer are nearly all open.
    apply : {"gate", "bias"}, default="gate"
    weight_density, segment_density : float, default=1.0
        Share of non-zero weights per unit and per segment; see `SparseLinear`.
    input_density, context_density : float, default=1.0, 0.1
        Share of inputs that are non-zero, for the initial scale only.
    bias : bool, default=True
    generator : torch.Generator, optional

    Attributes
    ----------
    feedforward : SparseLinear
    segments : Parameter of shape (out_features, n_segments, dim_context)
    last_winners_ : Tensor of int64, the shape of the gates
        Winning segment of every unit in the latest forward pass.

    Raises
    ------
    DataError
        If a size is no positive integer, a density not in (0, 1], or input or context have the
        wrong shape.

    References
    ----------
    A. Iyer, K. Grewal, A. Velu, L. O. Souza, J. Forest, S. Ahmad (2022). Avoiding catastrophe:
    active dendrites enable multi-task learning in dynamic environments. Frontiers in
    Neurorobotics 16, 846219.

    Examples
    --------
    >>> import torch
    >>> from neuroml.dendrites.layers import ActiveDendriteLinear
    >>> layer = ActiveDendriteLinear(4, 3, n_segments=2, dim_context=5)
    >>> x = torch.ones(8, 4)
    >>> layer(x, torch.zeros(5)).equal(0.5 * layer.feedforward(x))
    True
    """

    @classmethod
    def published(cls, **overrides: Any) -> ActiveDendriteLinear:
        """Make the first hidden layer of Iyer et al. (2022) for ten tasks of permuted MNIST.

        784 inputs and 2048 units with half of their weights, a segment for each task, 784 values of
        context, and gates by the largest magnitude. In the paper, `KWinners` with 5 % of the units
        follows; the second layer has ``in_features=2048, input_density=0.05``.

        Parameters
        ----------
        **overrides
            Any parameter of the class.

        Examples
        --------
        >>> from neuroml.dendrites.layers import ActiveDendriteLinear
        >>> layer = ActiveDendriteLinear.published(in_features=64, dim_context=64)
        >>> layer.segments.shape
        torch.Size([2048, 10, 64])
        """
        settings: dict[str, Any] = {
            "in_features": 784,
            "out_features": 2048,
            "n_segments": 10,
            "dim_context": 784,
            "weight_density": 0.5,
        }
        return cls(**(settings | overrides))

    def __init__(  # noqa: PLR0913
        self,
        in_features: int,
        out_features: int,
        n_segments: int,
        dim_context: int,
        *,
        select: Literal["absmax", "max"] = "absmax",
        apply: Literal["gate", "bias"] = "gate",
        weight_density: float = 1.0,
        segment_density: float = 1.0,
        input_density: float = 1.0,
        context_density: float = 0.1,
        bias: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        feedforward = SparseLinear(
            in_features,
            out_features,
            weight_density,
            bias=bias,
            input_density=input_density,
            generator=generator,
        )
        shape = (out_features, n_segments, dim_context)
        super().__init__(
            feedforward, shape, select, apply, segment_density, context_density, generator
        )

    def forward(self, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Return the modulated drive.

        Parameters
        ----------
        x : Tensor of shape (n_samples, in_features)
        context : Tensor of shape (dim_context,) or (n_samples, dim_context)

        Returns
        -------
        Tensor of shape (n_samples, out_features)
        """
        check_width(x, cast(SparseLinear, self.feedforward).in_features, "x")
        return self._modulate(self.feedforward(x), self._strongest(context, x.shape[:-1]))


class ActiveDendriteConv2d(_ActiveDendrites):
    r"""Convolution with active dendrites: a context modulates each of its channels as a whole.

    As `ActiveDendriteLinear`, with the drive of a channel at all positions in the place of that of
    a unit. Weights start as in `torch.nn.Conv2d`.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size : int or tuple of int
    n_segments : int
        Number of segments per channel.
    dim_context : int
    select : {"absmax", "max"}, default="absmax"
    apply : {"gate", "bias"}, default="gate"
    stride, padding : int or tuple of int, default=1, 0
    segment_density, context_density : float, default=1.0, 0.1
        As in `ActiveDendriteLinear`.
    bias : bool, default=True
    generator : torch.Generator, optional
        Draws the segments.

    Attributes
    ----------
    feedforward : torch.nn.Conv2d
    segments : Parameter of shape (out_channels, n_segments, dim_context)
    last_winners_ : Tensor of int64, the shape of the gates

    Raises
    ------
    DataError
        If a size is no positive integer, a density not in (0, 1], or input or context have the
        wrong shape.

    Examples
    --------
    >>> import torch
    >>> from neuroml.dendrites.layers import ActiveDendriteConv2d
    >>> layer = ActiveDendriteConv2d(3, 8, kernel_size=5, n_segments=2, dim_context=4)
    >>> layer(torch.zeros(6, 3, 32, 32), torch.ones(6, 4)).shape
    torch.Size([6, 8, 28, 28])
    """

    def __init__(  # noqa: PLR0913
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        n_segments: int,
        dim_context: int,
        *,
        select: Literal["absmax", "max"] = "absmax",
        apply: Literal["gate", "bias"] = "gate",
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        segment_density: float = 1.0,
        context_density: float = 0.1,
        bias: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        check_sizes(in_channels=in_channels, out_channels=out_channels)
        feedforward = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride=stride, padding=padding, bias=bias
        )
        shape = (out_channels, n_segments, dim_context)
        super().__init__(
            feedforward, shape, select, apply, segment_density, context_density, generator
        )

    def forward(self, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Return the modulated drive.

        Parameters
        ----------
        x : Tensor of shape (n_images, in_channels, height, width)
        context : Tensor of shape (dim_context,) or (n_images, dim_context)

        Returns
        -------
        Tensor of shape (n_images, out_channels, new_height, new_width)
        """
        if x.ndim != 4 or x.shape[1] != self.feedforward.in_channels:
            raise DataError(
                "this is no batch of images with channels",
                expected=f"shape (n_images, {self.feedforward.in_channels}, height, width)",
                found=tuple(x.shape),
                field="x",
            )
        strongest = self._strongest(context, x.shape[:1])
        return self._modulate(self.feedforward(x), strongest[..., None, None])


def _is_shared(context: torch.Tensor) -> bool:
    """Whether all rows of the batch have the same context, and none needs a gradient of its own."""
    if context.ndim != 2 or context.requires_grad or len(context) == 0:
        return False
    return context.stride(0) == 0 or bool((context == context[0]).all())
