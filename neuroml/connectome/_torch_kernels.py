"""The functions of `_kernels` in torch, for GPUs, with the same results up to rounding."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neuroml._core.torch_state import as_tensor
from neuroml.connectome._fibers import Entries

__all__ = [
    "across",
    "along",
    "array",
    "design",
    "diagonal",
    "gather",
    "gather_grams",
    "hals",
    "join",
    "on_device",
    "squared_norms",
    "stack",
    "sum_by",
    "to_numpy",
]

_BLOCK = 2048  # rows that are summed in the data's type, as in `_kernels`
_DTYPES = {"float32": torch.float32, "float64": torch.float64, "int64": torch.int64}


def array(values: Any, dtype: Any = np.float64, *, device: Any = "cpu") -> Tensor:
    """Convert values to a contiguous tensor on the given device."""
    wanted = _DTYPES[np.dtype(dtype).name]
    if isinstance(values, Tensor):
        return values.to(device=device, dtype=wanted).contiguous()
    return as_tensor(values, dtype=wanted, device=device)


def on_device(device: torch.device) -> SimpleNamespace:
    """Return these functions, with arrays on that device."""
    every = {name: globals()[name] for name in __all__ if name != "on_device"}
    return SimpleNamespace(**every | {"array": partial(array, device=device)})


def to_numpy(values: Tensor) -> np.ndarray:
    """Convert a tensor to NumPy."""
    return values.cpu().numpy()


def diagonal(values: Tensor) -> Tensor:
    """Return the diagonal matrix of the given values."""
    return torch.diag(values)


def join(parts: list[Tensor]) -> Tensor:
    """Concatenate tensors along the first axis."""
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def sum_by(values: Tensor, labels: Tensor, n_labels: int) -> Tensor:
    """Sum the values of each label: (n_labels, ...)."""
    out = values.new_zeros((n_labels, *values.shape[1:]))
    return out.index_add_(0, labels, values)


def squared_norms(data: Tensor) -> np.ndarray:
    """Compute the squared norm of every row, in float64."""
    return to_numpy((data.double() ** 2).sum(1))


def along(data: Tensor, factor: Tensor) -> Tensor:
    """``data @ factor``: contract the last mode; (n_rows, n_components) in the type of the data."""
    return data @ factor.to(data.dtype)


def across(data: Tensor, design: Tensor) -> Tensor:
    """``data.T @ design``: contract the rows; (length, n_components), summed in float64."""
    narrow = design.to(data.dtype)
    out = design.new_zeros((data.shape[1], design.shape[1]), dtype=torch.float64)
    for i in range(0, len(data), _BLOCK):
        out += data[i : i + _BLOCK].T @ narrow[i : i + _BLOCK]
    return out


def gather(contracted: Tensor, entries: Entries, partner: Tensor) -> Tensor:
    """Sum ``contracted[row] * partner[place]`` over the entries of each index: (size, R)."""
    products = contracted[entries.rows].double() * partner[entries.places]
    return sum_by(products, entries.index, len(entries.starts) - 1)


def design(factor: Tensor, entries: Entries, partner: Tensor, n_rows: int) -> Tensor:
    """Sum the products of all factors but the last over the entries of each row: (n_rows, R)."""
    return sum_by(factor[entries.index] * partner[entries.places], entries.rows, n_rows)


def gather_grams(entries: Entries, partner: Tensor, grams: Tensor, which: Tensor) -> Tensor:
    """Compute the normal matrix of each index (size, R, R) from the entries that are observed."""
    rows = partner[entries.places]
    outer = rows[:, :, None] * rows[:, None, :] * grams[which[entries.rows]]
    return sum_by(outer, entries.index, len(entries.starts) - 1)


def hals(factor: Tensor, projected: Tensor, gram: Tensor, n_passes: int) -> Tensor:
    """Minimize ``a @ gram @ a - 2 * projected @ a`` by coordinate descent, a >= 0, for each row."""
    columns, wanted = factor.T.contiguous(), projected.T.contiguous()
    own = gram.permute(1, 2, 0).contiguous() if gram.ndim == 3 else gram
    pivots = torch.diagonal(own).T if gram.ndim == 3 else torch.diagonal(own)
    pivots = torch.where(pivots > 0, pivots, torch.inf)
    for _ in range(n_passes):
        for r, pivot in enumerate(pivots):
            explained = (own[r] * columns).sum(0) if gram.ndim == 3 else own[r] @ columns
            # a_r <- max(0, a_r + (m_r - (G a)_r) / g_rr); an infinite pivot leaves it as it is
            columns[r].add_((wanted[r] - explained) / pivot).clamp_(min=0)
    return columns.T.contiguous()


def stack(matrices):  # type: ignore[no-untyped-def]
    """Concatenate matrices side by side; also return how to take blocks of such rows apart."""
    sizes = [matrix.shape[1] for matrix in matrices]
    return torch.cat(list(matrices), dim=1), lambda parts: list(join(parts).split(sizes, dim=1))
