"""The network of MindBridge [1]_: embedders and builders per subject, a shared trunk, heads.

.. [1] S. Wang et al. (2024). MindBridge: A cross-subject brain decoding framework. CVPR.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

__all__ = ["Adapter", "Architecture", "Builder", "CrossSubjectNetwork", "Embedder", "flat_embedder"]

# whatever torch's default dtype is, so that the same seed gives the same weights
_Linear = partial(nn.Linear, dtype=torch.float32)
_LayerNorm = partial(nn.LayerNorm, dtype=torch.float32)


@dataclass(frozen=True)
class Architecture:
    """Sizes and switches.

    Attributes
    ----------
    hidden : int
    n_blocks : int
        Residual blocks of the translator.
    adapter_rank : int
        Of the bottlenecks beside the voxels; 0 for none.
    dropout : float
        After the embedder.
    block_dropout : float
        In the translator.
    linear_builder : bool
        One linear map to voxels, instead of linear, layer norm, GELU (which cannot go clearly
        below zero) and adapter.
    """

    hidden: int
    n_blocks: int
    adapter_rank: int
    dropout: float
    block_dropout: float
    linear_builder: bool


class Adapter(nn.Module):
    """Residual bottleneck; the way up starts at zero, so that it starts as the identity."""

    def __init__(self, size: int, rank: int) -> None:
        super().__init__()
        self.down = _Linear(size, rank)
        self.up = _Linear(rank, size)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.up(torch.relu(self.down(x)))


def _adapter(size: int, rank: int) -> nn.Module:
    return Adapter(size, rank) if rank else nn.Identity()


class Embedder(nn.Module):
    """Voxels of one subject to the shared latent space, before dropout."""

    def __init__(self, n_inputs: int, shape: Architecture) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _adapter(n_inputs, shape.adapter_rank),
            _Linear(n_inputs, shape.hidden),
            _LayerNorm(shape.hidden),
            nn.GELU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def flat_embedder(n_inputs: int, shape: Architecture) -> nn.Linear:
    """A linear map in the place of an embedder, to be fitted in closed form."""
    return _Linear(n_inputs, shape.hidden)


class Builder(nn.Module):
    """The shared latent space back to the voxels of one subject."""

    def __init__(self, n_inputs: int, shape: Architecture) -> None:
        super().__init__()
        linear = _Linear(shape.hidden, n_inputs)
        self.layers = (
            nn.Sequential(linear)
            if shape.linear_builder
            else nn.Sequential(
                linear, _LayerNorm(n_inputs), nn.GELU(), _adapter(n_inputs, shape.adapter_rank)
            )
        )

    def forward(self, e: Tensor) -> Tensor:
        return self.layers(e)


class _Block(nn.Module):
    def __init__(self, size: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _Linear(size, size), _LayerNorm(size), nn.GELU(), nn.Dropout(dropout)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class CrossSubjectNetwork(nn.Module):
    """Embedders and builders by the number of the subject; translator and heads for all.

    Parameters
    ----------
    n_inputs : list of int
        Voxels, or pooled voxels, of each subject.
    linear : list of bool
        Whether a subject's embedder is a linear map, fitted in closed form.
    n_outputs : list of int
        Targets of each head.
    shape : Architecture
    """

    def __init__(
        self, n_inputs: list[int], linear: list[bool], n_outputs: list[int], shape: Architecture
    ) -> None:
        super().__init__()
        self.shape = shape
        self.embedders = nn.ModuleList(
            flat_embedder(size, shape) if flat else Embedder(size, shape)
            for size, flat in zip(n_inputs, linear, strict=True)
        )
        self.builders = nn.ModuleList(Builder(size, shape) for size in n_inputs)
        self.dropout = nn.Dropout(shape.dropout)
        self.translator = nn.Sequential(
            *[_Block(shape.hidden, shape.block_dropout) for _ in range(shape.n_blocks)]
        )
        self.heads = nn.ModuleList(_Linear(shape.hidden, size) for size in n_outputs)

    def decode(self, latent: Tensor) -> list[Tensor]:
        """Targets of each head from latents (n_rows, hidden)."""
        shared = self.translator(latent)
        return [head(shared) for head in self.heads]
