"""Checks, and a mean, that several layers share."""

from __future__ import annotations

import torch

from neuroml.dendrites._counts import check_counts, check_probability
from neuroml.exceptions import DataError

__all__ = ["check_share", "check_sizes", "check_width", "mean_or_zero"]


def check_sizes(**sizes: int) -> None:
    """Refuse numbers of units that are no positive integers."""
    check_counts(**sizes)
    for name, size in sizes.items():
        if size < 1:
            raise DataError(f"{name} is too small", expected=">= 1", found=size, field=name)


def check_share(share: float, name: str) -> None:
    """Refuse a density outside (0, 1]."""
    if not check_probability(share, name):
        raise DataError(f"{name} leaves nothing", expected=f"{name} > 0", found=share, field=name)


def check_width(x: torch.Tensor, width: int, name: str) -> None:
    """Refuse a tensor whose last axis has another length than the layer was made for."""
    if x.ndim == 0 or x.shape[-1] != width:
        raise DataError(
            f"{name} has the wrong width",
            expected=f"{name} of shape (..., {width})",
            found=tuple(x.shape),
            field=name,
        )


def mean_or_zero(x: torch.Tensor) -> torch.Tensor:
    """Mean of all elements; zero of an empty batch, whose NaN would enter the loss."""
    return x.mean() if x.numel() else x.sum()
