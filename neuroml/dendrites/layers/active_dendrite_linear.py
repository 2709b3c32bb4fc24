"""A linear layer whose units are modulated by dendritic segments that receive a context."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import nn

from neuroml.dendrites.layers._checks import check_share, check_sizes, check_width
from neuroml.dendrites.layers.sparse_linear import SparseLinear, mask_, random_mask
from neuroml.exceptions import DataError

__all__ = ["ActiveDendriteLinear"]


class ActiveDendriteLinear(nn.Module):
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

    last_winners_: torch.Tensor

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
        super().__init__()
        check_sizes(n_segments=n_segments, dim_context=dim_context)
        check_share(segment_density, "segment_density")
        check_share(context_density, "context_density")
        if select not in ("absmax", "max") or apply not in ("gate", "bias"):
            raise ValueError(
                "select must be 'absmax' or 'max' and apply 'gate' or 'bias', "
                f"got {select!r} and {apply!r}"
            )
        self.select, self.apply_to = select, apply
        self.feedforward = SparseLinear(
            in_features,
            out_features,
            weight_density,
            bias=bias,
            input_density=input_density,
            generator=generator,
        )
        shape = (out_features, n_segments, dim_context)
        # uniform in +-1 / sqrt(fan-in of non-zero terms), as for the weights (see `SparseLinear`)
        bound = 1 / math.sqrt(context_density * segment_density * dim_context)
        self.segments = nn.Parameter(torch.empty(shape))
        nn.init.uniform_(self.segments, -bound, bound, generator=generator)
        if segment_density < 1:
            mask_(self, "segments", random_mask(shape, segment_density, generator))

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
        check_width(x, self.feedforward.in_features, "x")
        check_width(context, self.segments.shape[-1], "context")
        if context.ndim > 1 and context.shape[:-1] != x.shape[:-1]:
            raise DataError(
                "there is not one context per sample",
                expected=f"context of shape ({context.shape[-1]},) or {tuple(x.shape[:-1])} + it",
                found=tuple(context.shape),
                field="context",
            )
        drive = self.feedforward(x)
        strongest = self._strongest(context[0] if _is_shared(context) else context)
        return drive * torch.sigmoid(strongest) if self.apply_to == "gate" else drive + strongest

    def extra_repr(self) -> str:
        """Return the arguments that the submodules do not show."""
        n_segments, dim_context = self.segments.shape[1:]
        return f"{n_segments=}, {dim_context=}, select={self.select!r}, apply={self.apply_to!r}"

    def _strongest(self, context: torch.Tensor) -> torch.Tensor:
        """Response of the winning segment, (out_features,) or (n_samples, out_features)."""
        segments = self.segments
        responses = nn.functional.linear(context, segments.flatten(0, 1))
        responses = responses.unflatten(-1, segments.shape[:2])
        # which segment wins has no gradient; its response has
        strength = responses.detach()
        strength = strength.abs() if self.select == "absmax" else strength
        self.last_winners_ = strength.argmax(dim=-1)
        return responses.gather(-1, self.last_winners_.unsqueeze(-1)).squeeze(-1)


def _is_shared(context: torch.Tensor) -> bool:
    """Whether all rows of the batch have the same context, and none needs a gradient of its own."""
    if context.ndim != 2 or context.requires_grad or len(context) == 0:
        return False
    return context.stride(0) == 0 or bool((context == context[0]).all())
