"""Contexts of tasks, and which of them a sample belongs to."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from neuroml.dendrites.layers._checks import check_sizes, check_width
from neuroml.exceptions import DataError

__all__ = ["TaskPrototypes"]


class TaskPrototypes(nn.Module):
    """Mean training sample of every task, which is its context; a sample takes the nearest one.

    With it a network with active dendrites needs no task labels when it is tested [1]_. Its
    prototypes are buffers: they are saved with the network, and nothing trains them.

    Parameters
    ----------
    dim : int
        Length of a sample.

    Attributes
    ----------
    prototypes : Tensor of shape (n_tasks, dim)
    counts : Tensor of int64 of shape (n_tasks,)
        Training samples of each task so far.

    Raises
    ------
    DataError
        If a sample has another length or is not finite, or is asked about before there is a task.

    References
    ----------
    .. [1] A. Iyer, K. Grewal, A. Velu, L. O. Souza, J. Forest, S. Ahmad (2022). Avoiding
       catastrophe: active dendrites enable multi-task learning in dynamic environments. Frontiers
       in Neurorobotics 16, 846219.

    Examples
    --------
    >>> import torch
    >>> from neuroml.dendrites.layers import TaskPrototypes
    >>> contexts = TaskPrototypes(2)
    >>> contexts.update(torch.tensor([[0.0, 0.0], [0.0, 2.0]]), task=0)
    >>> contexts.update(torch.tensor([[9.0, 9.0]]), task=1)
    >>> contexts(torch.tensor([[8.0, 8.0], [1.0, 1.0]]))
    tensor([[9., 9.],
            [0., 1.]])
    """

    prototypes: torch.Tensor
    counts: torch.Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        check_sizes(dim=dim)
        self.dim = dim
        self.register_buffer("prototypes", torch.zeros(0, dim))
        self.register_buffer("counts", torch.zeros(0, dtype=torch.int64))

    @torch.no_grad()
    def update(self, x: torch.Tensor, task: int) -> None:
        """Take training samples (n_samples, dim) of a task into its mean.

        ``task`` counts from 0; the one after the last is a new task.
        """
        check_width(x, self.dim, "x")
        _require_finite(x)
        known = len(self.prototypes)
        if not 0 <= task <= known:
            raise DataError(
                "tasks are numbered as they come",
                expected=f"0 to {known}, where {known} is a new one",
                found=task,
                field="task",
            )
        if task == known:
            self.prototypes = torch.cat([self.prototypes, self.prototypes.new_zeros(1, self.dim)])
            self.counts = torch.cat([self.counts, self.counts.new_zeros(1)])
        samples = x.reshape(-1, self.dim).to(self.prototypes)
        self.counts[task] += len(samples)
        share = len(samples) / max(1, int(self.counts[task]))
        if len(samples):
            self.prototypes[task] += share * (samples.mean(dim=0) - self.prototypes[task])

    def infer(self, x: torch.Tensor) -> torch.Tensor:
        """Return the task of every sample (..., dim), that with the nearest prototype."""
        check_width(x, self.dim, "x")
        if not len(self.prototypes):
            raise DataError("no task has been seen", expected="update() first", found=0, field="x")
        _require_finite(x)
        # distances have no implementation in half precision, nor for a single vector
        known = self.prototypes.to(torch.promote_types(self.prototypes.dtype, torch.float32))
        return torch.cdist(x.reshape(-1, self.dim).to(known), known).argmin(-1).view(x.shape[:-1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the context of every sample: the nearest prototype, the shape of x."""
        return self.prototypes[self.infer(x)]

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{self.dim}, n_tasks={len(self.prototypes)}"

    def _load_from_state_dict(
        self, state_dict: dict[str, torch.Tensor], prefix: str, *args: Any
    ) -> None:
        # the number of tasks is part of the state
        for name in ("prototypes", "counts"):
            saved = state_dict.get(prefix + name)
            if saved is not None:
                setattr(self, name, torch.zeros_like(saved, device=getattr(self, name).device))
        super()._load_from_state_dict(state_dict, prefix, *args)


def _require_finite(x: torch.Tensor) -> None:
    """Refuse NaN: in a prototype it would win every later comparison."""
    finite = x.isfinite()
    if not finite.all():
        raise DataError(
            "samples are not finite",
            expected="finite numbers",
            found=f"{int((~finite).sum())} of {x.numel()} are NaN or infinite",
            field="x",
        )
