"""The network of MindBridge [1]_: embedders and builders per subject, a shared trunk, heads.

.. [1] S. Wang et al. (2024). MindBridge: A cross-subject brain decoding framework. CVPR.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from neuroml._core.torch_state import as_tensor, own_torch_state

__all__ = ["Adapter", "Architecture", "CrossSubjectNetwork"]

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
        Size of the bottlenecks beside the voxels; 0 for none.
    dropout : float
        Rate after the embedder.
    block_dropout : float
        Rate in the translator.
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
    """Embedders and builders by the number of the subject, one translator and heads for all.

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
            self._embedder(size, linear=flat) for size, flat in zip(n_inputs, linear, strict=True)
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

    def _embedder(self, n_inputs: int, *, linear: bool) -> nn.Module:
        """An embedder with initial weights; a linear one is then fitted in closed form."""
        return _Linear(n_inputs, self.shape.hidden) if linear else Embedder(n_inputs, self.shape)

    def reset_subject(self, number: int, n_inputs: int, *, linear: bool) -> None:
        """Give a subject, known or the next one, an embedder and a builder with initial weights."""
        embedder, builder = self._embedder(n_inputs, linear=linear), Builder(n_inputs, self.shape)
        if number == len(self.embedders):
            self.embedders.append(embedder)
            self.builders.append(builder)
        else:
            self.embedders[number], self.builders[number] = embedder, builder

    def freeze_others(self, number: int) -> None:
        """Leave only one subject's embedder and builder to be trained."""
        self.requires_grad_(False)
        self.embedders[number].requires_grad_(True)
        self.builders[number].requires_grad_(True)

    @own_torch_state()
    def set_linear_embedder(self, number: int, coef: np.ndarray, intercept: np.ndarray) -> None:
        """Give a subject's linear embedder its coefficients (n_inputs, hidden) and intercept."""
        state = {"weight": as_tensor(coef.T), "bias": as_tensor(intercept)}
        self.embedders[number].load_state_dict(state)

    @own_torch_state()
    def run(self, number: int, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Latents and decoded coordinates of a subject's inputs, as float64."""
        with torch.no_grad():
            latent = self.embedders[number](as_tensor(inputs, dtype=torch.float32))
            decoded = torch.cat(self.decode(latent), dim=1)
        return latent.numpy().astype(np.float64), decoded.numpy().astype(np.float64)

    @own_torch_state()
    def build(self, number: int, latents: np.ndarray) -> np.ndarray:
        """Inputs (n_rows, n_inputs) of a subject that latents (n_rows, hidden) belong to."""
        with torch.no_grad():
            built = self.builders[number](as_tensor(latents, dtype=torch.float32))
        return built.numpy().astype(np.float64)
