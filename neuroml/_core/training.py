"""The one torch minibatch loop: early stopping, finite check, history, progress."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neuroml._core.warn import warn_caller
from neuroml.exceptions import NotConvergedWarning

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["Training", "train"]


@dataclass(frozen=True)
class Training:
    """How a training went.

    Attributes
    ----------
    history : list of dict
        Per epoch: ``epoch``, ``loss`` (mean over batches), ``validation`` (if there is one).
    best_epoch : int
        The epoch whose weights were kept; the last one without validation.
    converged : bool
        True if validation stopped improving before ``max_epochs``; without validation, the schedule
        is the criterion and a completed one counts.
    stop_reason : {"patience", "max_epochs"}
    """

    history: list[dict[str, float]]
    best_epoch: int
    converged: bool
    stop_reason: str


def train(
    module: nn.Module,
    loss: Callable[[Any], torch.Tensor],
    batches: Callable[[int], Iterable[Any]],
    optimizer: torch.optim.Optimizer,
    *,
    max_epochs: int,
    validate: Callable[[], float] | None = None,
    patience: int = 10,
    scheduler: Any = None,
    callback: Callable[[dict[str, float]], None] | None = None,
) -> Training:
    """Train ``module`` in place and leave it in eval mode with its best weights.

    Parameters
    ----------
    module : torch.nn.Module
    loss : callable
        ``loss(batch) -> scalar tensor``.
    batches : callable
        ``batches(epoch) -> iterable of batches``; the caller owns the order and its random stream.
    optimizer : torch.optim.Optimizer
    max_epochs : int
    validate : callable, optional
        ``validate() -> float`` after each epoch, smaller is better, called in eval mode without
        gradients. The weights of the best epoch are restored at the end.
    patience : int
        Epochs without improvement before training stops; used only with ``validate``.
    scheduler : torch learning-rate scheduler, optional
        Stepped after every batch.
    callback : callable, optional
        Called with each epoch's history entry.

    Raises
    ------
    FloatingPointError
        If a loss is not finite; the message says where.

    Warns
    -----
    NotConvergedWarning
        If validation was still improving at ``max_epochs``.
    """
    import torch

    history: list[dict[str, float]] = []
    best, best_epoch, best_weights = math.inf, 0, module.state_dict()
    for epoch in range(max_epochs):
        module.train()
        total, count = 0.0, 0
        for batch in batches(epoch):
            optimizer.zero_grad(set_to_none=True)
            value = loss(batch)
            total += _finite(value.item(), f"epoch {epoch}, batch {count}")
            count += 1
            value.backward()
            optimizer.step()
            if scheduler is not None:
                scheduler.step()
        module.eval()
        entry = {"epoch": float(epoch), "loss": total / max(count, 1)}
        if validate is not None:
            with torch.no_grad():
                entry["validation"] = _finite(float(validate()), f"validation of epoch {epoch}")
            if entry["validation"] < best:
                best, best_epoch = entry["validation"], epoch
                best_weights = copy.deepcopy(module.state_dict())
        history.append(entry)
        if callback is not None:
            callback(entry)
        if validate is not None and epoch - best_epoch >= patience:
            module.load_state_dict(best_weights)
            return Training(history, best_epoch, True, "patience")
    if validate is None:
        return Training(history, max_epochs - 1, True, "max_epochs")
    module.load_state_dict(best_weights)
    warn_caller(
        f"Training reached max_epochs={max_epochs} with its best validation at epoch {best_epoch}; "
        "more epochs may improve it.",
        NotConvergedWarning,
    )
    return Training(history, best_epoch, False, "max_epochs")


def _finite(value: float, where: str) -> float:
    if not math.isfinite(value):
        raise FloatingPointError(
            f"The loss became {value} in {where}. "
            "Lower the learning rate, or check the scale of inputs and targets."
        )
    return value
