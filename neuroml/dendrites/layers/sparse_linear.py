"""Linear layers with few weights."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import nn
from torch.nn.utils import parametrize

from neuroml.dendrites.layers._checks import check_share, check_sizes

__all__ = ["Masked", "SparseLinear", "mask_", "random_mask"]


class Masked(nn.Module):
    """Parametrization that multiplies a weight by a fixed mask, whatever an optimizer did to it."""

    mask: torch.Tensor

    def __init__(self, mask: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the weight with zeros where the mask is zero."""
        return weight * self.mask


def mask_(module: nn.Module, name: str, mask: torch.Tensor) -> None:
    """Mask a weight of a module from now on; a mask that is there already is replaced."""
    weight = getattr(module, name)
    mask = mask.to(device=weight.device, dtype=weight.dtype)
    if parametrize.is_parametrized(module, name):
        for step in cast(nn.ModuleDict, module.parametrizations)[name].children():
            if isinstance(step, Masked):
                step.mask = mask
                return
    parametrize.register_parametrization(module, name, Masked(mask))


def random_mask(
    shape: tuple[int, ...], density: float, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Binary mask with exactly round(density * width) ones in every row, at least one."""
    n_kept = max(1, round(density * shape[-1]))
    kept = torch.rand(shape, generator=generator).topk(n_kept, dim=-1, sorted=False).indices
    return torch.zeros(shape).scatter_(-1, kept, 1.0)


class SparseLinear(nn.Linear):
    r"""Linear layer in which every unit keeps a fixed random share of its weights.

    The mask is a parametrization: `weight` is the product of mask and stored values, so no
    optimizer, weight decay or momentum can revive a weight, and nothing has to be called after a
    step. Weights start uniform in :math:`\pm 1 / \sqrt{d_{in} d_w n_{in}}` with the densities of
    the input :math:`d_{in}` and of the weights :math:`d_w`, so that the variance of the output does
    not depend on them (Ahmad and Scheinkman 2019, arXiv:1903.11257). Biases start as in
    `torch.nn.Linear`, uniform in :math:`\pm 1 / \sqrt{n_{in}}`: no input scales them.

    Parameters
    ----------
    in_features, out_features : int
    density : float, default=0.5
        Share of non-zero weights, the same in every row.
    bias : bool, default=True
    input_density : float, default=1.0
        Share of the inputs that are non-zero, for the initial scale only.
    generator : torch.Generator, optional
        Draws mask and weights.

    Raises
    ------
    DataError
        If a size is no positive integer or a density not in (0, 1].

    Examples
    --------
    >>> from neuroml.dendrites.layers import SparseLinear
    >>> layer = SparseLinear(100, 10, density=0.2)
    >>> (layer.weight != 0).sum(dim=1).tolist()
    [20, 20, 20, 20, 20, 20, 20, 20, 20, 20]
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        density: float = 0.5,
        *,
        bias: bool = True,
        input_density: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        check_sizes(in_features=in_features, out_features=out_features)
        check_share(density, "density")
        check_share(input_density, "input_density")
        super().__init__(in_features, out_features, bias=bias)
        bound = 1 / math.sqrt(input_density * density * in_features)
        nn.init.uniform_(self.weight, -bound, bound, generator=generator)
        if bias:
            # the dense bound: the sparse one would be 6 times larger at 256 inputs, 5 % of them
            # active and half of the weights kept, and would drown the drive of most units
            dense = 1 / math.sqrt(in_features)
            nn.init.uniform_(self.bias, -dense, dense, generator=generator)
        if density < 1:
            mask_(self, "weight", random_mask((out_features, in_features), density, generator))
